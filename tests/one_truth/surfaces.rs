//! What each surface says of one organisation.

use serde_json::Value;

use super::stage::Stage;

/// What is to be said of an organisation.
pub(super) struct Said {
    pub(super) org: &'static str,
    /// The level of the organisation and of its domain.
    pub(super) level: &'static str,
    /// The word of the worst matter.
    pub(super) what: Option<&'static str>,
    /// The level of its worst key.
    pub(super) key: &'static str,
    /// The first task of the pack.
    pub(super) task: Option<&'static str>,
    /// The tasks about SPF and DMARC.
    pub(super) policies: &'static [&'static str],
}

impl Said {
    /// That all is well.
    pub(super) fn of(org: &'static str) -> Self {
        Self {
            org,
            level: "well",
            what: None,
            key: "well",
            task: Some("keep"),
            policies: &["spf keep", "dmarc keep"],
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The one of a list that has this value.
fn find<'a>(list: &'a Value, name: &str, value: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one[name] == value)
}

impl Stage {
    /// Goes through all surfaces.
    #[track_caller]
    pub(super) fn expect(&self, said: &Said) {
        self.expect_judgements(said);
        self.expect_pages(said);
        self.expect_commands(said);
        self.expect_pack(said);
    }

    /// `zegel status` and `/status.json`.
    #[track_caller]
    fn expect_judgements(&self, said: &Said) {
        let status = self.status();
        let own = find(&status["judgements"], "organisation", said.org);
        match said.what {
            None => assert!(own.is_none_or(|own| own["level"] == "well"), "{status}"),
            Some(what) => {
                let own = own.unwrap_or_else(|| panic!("{status}"));
                assert_eq!(own["level"], said.level, "{status}");
                assert_eq!(own["matters"][0]["what"], what, "{status}");
                let sentence = text(&own["matters"][0]["text"]["en"]);
                let people = self.run(&["status"], 1);
                assert!(people.contains(sentence), "{sentence}\n{people}");
            }
        }
        let page = self.page("/status.json");
        let page: Value = serde_json::from_str(&page[page.find('{').unwrap_or_default()..])
            .unwrap_or_else(|error| panic!("{error}: {page}"));
        let own = &page["judgements"][said.org];
        match said.what {
            None => assert!(own.is_null(), "{page}"),
            Some(what) => {
                assert_eq!(own["level"], said.level, "{page}");
                assert_eq!(own["matters"][0]["what"], what, "{page}");
            }
        }
    }

    /// The list, and the page of the organisation.
    #[track_caller]
    fn expect_pages(&self, said: &Said) {
        // What is well has no mark.
        let level = format!("class=\"level {}\"", said.level);
        let all = self.page("/");
        let begin = all.find(&format!("/org/{}", said.org)).expect("a row");
        let row = &all[begin..];
        let row = &row[..row.find("</tr>").unwrap_or(row.len())];
        let before = &all[..begin];
        let before = &before[before.rfind("<tr").unwrap_or_default()..];
        let one = self.page(&format!("/org/{}", said.org));
        if said.what.is_some() {
            assert!(format!("{before}{row}").contains(&level), "{before}{row}");
            assert!(one.contains(&level), "{one}");
        } else {
            assert!(row.contains("Nothing to do"), "{row}");
        }
        let is_asked = said.policies.iter().any(|task| !task.ends_with("keep"));
        if is_asked || said.task.is_some_and(|task| task != "keep") {
            let nothing = "<p>Nothing to do.</p>";
            assert!(!one.contains(nothing), "{one}");
        }
        // What has a worse level than the one that it is would be another truth.
        let levels = [
            "compromised",
            "unverifiable",
            "tempfailed",
            "unsigned",
            "act",
        ];
        let worse = levels.iter().take_while(|one| **one != said.level);
        for other in worse {
            assert!(
                !one.contains(&format!("class=\"level {other}\"")),
                "{other}: {one}"
            );
        }
    }

    /// `key list`, `check`, `dns check`, `explain`, `top`.
    #[track_caller]
    fn expect_commands(&self, said: &Said) {
        let domain = format!("{}.example", said.org);
        let keys = self.json(&["key", "list", said.org, "--json"]);
        let levels = [
            "compromised",
            "unverifiable",
            "tempfailed",
            "unsigned",
            "act",
        ];
        let rank = |level: &str| levels.iter().position(|one| *one == level).unwrap_or(9);
        let all = keys["keys"].as_array().into_iter().flatten();
        let all = all.flat_map(|key| key["domains"].as_array().into_iter().flatten());
        let worst = all
            .map(|domain| text(&domain["level"]))
            .min_by_key(|level| rank(level));
        assert_eq!(worst, Some(said.key), "{keys}");
        let check = self.json(&["check", "--json"]);
        let own = find(&check["organisations"], "id", said.org);
        let own = own.and_then(|own| find(&own["domains"], "domain", &domain));
        let own = own.unwrap_or_else(|| panic!("{check}"));
        assert_eq!(own["level"], said.level, "{check}");
        let dns = self.json(&["dns", "check", said.org, "--json"]);
        assert_eq!(dns["domains"][0]["level"], said.level, "{dns}");
        let message = self.message(said.org);
        let client = ["--client", "127.0.0.1"];
        let explain = self.json(&["explain", &message, "--json", client[0], client[1]]);
        assert_eq!(explain["level"], said.level, "{explain}");
    }

    /// The hand-over pack.
    #[track_caller]
    fn expect_pack(&self, said: &Said) {
        let pack = self.json(&["dns", "records", said.org, "--format", "json"]);
        let domain = &pack["domains"][0];
        assert_eq!(domain["keys"][0]["task"].as_str(), said.task, "{pack}");
        let policies = domain["policies"].as_array().into_iter().flatten();
        let tasks = policies.map(|one| format!("{} {}", text(&one["kind"]), text(&one["task"])));
        let tasks: Vec<String> = tasks.collect();
        if domain["policies"][0]["seen"].is_array() {
            assert_eq!(tasks, said.policies, "{pack}");
        }
    }
}
