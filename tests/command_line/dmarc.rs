//! `zegel dmarc status`: from reports and a record in the DNS to the next record.

use std::{collections::HashMap, fmt::Write as _, fs, net::UdpSocket};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    dns_server::{Answer, serve},
    setup::{Done, Setup},
};

/// 1 January 2026.
const FIRST: i64 = 1_767_225_600;
const RUA: &str = "rua=mailto:dmarc@relay.example";

/// A day's report of each of three receivers: what our relay signed, and what others send.
fn reports(setup: &Setup, days: std::ops::Range<i64>, policy: &str, others: &str) {
    reports_read(setup, "2026-03-20", days, policy, others);
}

/// The same, as if they were read on this day.
fn reports_read(setup: &Setup, read: &str, days: std::ops::Range<i64>, policy: &str, others: &str) {
    let folder = setup.path("in");
    fs::create_dir_all(&folder).unwrap();
    for day in days {
        for reporter in ["google.com", "outlook.com", "ziggo.nl"] {
            let begin = FIRST + day * 86_400;
            let mut text = String::new();
            write!(
                text,
                "<feedback><report_metadata><org_name>{reporter}</org_name><email>a@b.nl</email>\
                 <report_id>{day}-{}</report_id><date_range><begin>{begin}</begin><end>{}</end>\
                 </date_range></report_metadata><policy_published><domain>voorbeeld.nl</domain>\
                 {policy}</policy_published>{}{others}</feedback>",
                others.len(),
                begin + 86_399,
                record("192.0.2.1", 100, "pass", "voorbeeld.nl", "s1"),
            )
            .unwrap();
            let name = format!("{reporter}-{day}-{}.xml", others.len());
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let folder = folder.display().to_string();
    let ingest = ["report", "ingest", "--as-of", read, &folder];
    setup.run(ingest).expect(0);
}

fn record(address: &str, messages: u64, aligned: &str, domain: &str, selector: &str) -> String {
    format!(
        "<record><row><source_ip>{address}</source_ip><count>{messages}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>{aligned}</dkim><spf>fail</spf></policy_evaluated>\
         </row><identifiers><header_from>voorbeeld.nl</header_from></identifiers><auth_results>\
         <dkim><domain>{domain}</domain><selector>{selector}</selector><result>pass</result></dkim>\
         </auth_results></record>"
    )
}

/// With a key, a relay, and this DMARC record of voorbeeld.nl in the DNS.
fn setup(published: &str) -> Setup {
    let setup = Setup::with_key();
    let records = HashMap::from([(
        "_dmarc.voorbeeld.nl".to_owned(),
        Answer::Texts(vec![published.to_owned()]),
    )]);
    let resolver = serve(records);
    let text = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nresolvers = [\"{resolver}\"]\n\
         relay_addresses = [\"192.0.2.1\"]\n[handover]\nrua = \"dmarc@relay.example\"\n\
         [reports]\nstate = \"{}\"\n",
        setup.path("keys").display(),
        setup.path("reports").display()
    );
    setup.write("zegel.toml", &text);
    setup
}

fn status(setup: &Setup, more: &[&str]) -> Done {
    setup.run(["dmarc", "status", "voorbeeld"].iter().chain(more))
}

fn domain(document: &Value, name: &str) -> Value {
    let domains = document["domains"].as_array().unwrap();
    let found = domains.iter().find(|one| one["domain"] == name);
    found.unwrap().clone()
}

#[test]
fn reports_lead_from_one_record_to_the_next() {
    let none = format!("v=DMARC1; p=none; {RUA}");
    let setup = setup(&none);
    reports(&setup, 0..60, "<p>none</p>", "");
    let at = |more: &[&str]| {
        let done = status(&setup, &[&["--json"], more].concat());
        domain(&done.json(), "voorbeeld.nl")
    };
    let early = at(&["--as-of", "2026-01-31"]);
    assert_eq!(early["step"], "none");
    assert_eq!(early["published"], none);
    assert_eq!(early["evidence"]["days"], 31);
    assert_eq!(early["evidence"]["legitimate_aligned"], 31 * 300);
    assert_eq!(early["holds"][0]["code"], "not_enough_days");
    assert_eq!(early["advice"]["action"], "wait");
    assert_eq!(early["advice"]["not_before"], "2026-02-25");
    // Names that do not exist send nothing: the record may say so already.
    assert_eq!(
        early["advice"]["record"],
        format!("v=DMARC1; p=none; np=reject; {RUA}")
    );
    let text = early["advice"]["text"].as_str().unwrap();
    assert!(
        text.contains("say more than the one that is there"),
        "{text}"
    );
    let selectors = early["selectors"].as_array().unwrap();
    let used = selectors.iter().find(|one| one["passed"] != 0).unwrap();
    assert_eq!(
        (&used["domain"], &used["selector"]),
        (&"voorbeeld.nl".into(), &"s1".into())
    );
    assert_eq!(used["passed"], 31 * 300);

    let ready = at(&["--as-of", "2026-02-26"]);
    assert_eq!(ready["holds"], Value::Array(Vec::new()));
    assert_eq!(ready["advice"]["action"], "publish");
    assert_eq!(ready["advice"]["name"], "_dmarc.voorbeeld.nl");
    let next = ready["advice"]["record"].as_str().unwrap().to_owned();
    assert!(next.starts_with("v=DMARC1; p=quarantine; "), "{next}");
    assert!(next.ends_with(&format!("t=y; pct=0; {RUA}")), "{next}");

    // As if it were there: no report shows it yet.
    let assumed = format!("voorbeeld.nl={next}");
    let there = at(&["--as-of", "2026-02-26", "--published", &assumed]);
    assert_eq!(there["step"], "quarantine_test");
    assert_eq!(there["since"], Value::Null);
    assert_eq!(there["advice"]["action"], "wait");
    assert_eq!(there["advice"]["record"], next);
    // And once reports do.
    reports(
        &setup,
        60..74,
        "<p>quarantine</p><testing>y</testing><pct>0</pct>",
        "",
    );
    let there = at(&["--as-of", "2026-03-15", "--published", &assumed]);
    assert_eq!(there["since"], "2026-03-02");
    assert_eq!(there["advice"]["step"], "quarantine");
}

#[test]
fn who_sends_unknown_holds_until_someone_has_said_who_it_is() {
    let setup = setup(&format!("v=DMARC1; p=none; {RUA}"));
    let invoices = record("203.0.113.66", 5, "fail", "factuur.nl", "fs");
    let stranger = record("203.0.113.9", 1, "pass", "voorbeeld.nl", "oud2019");
    reports(&setup, 0..60, "<p>none</p>", &invoices);
    reports(&setup, 59..60, "<p>none</p>", &stranger);
    let done = status(&setup, &["--as-of", "2026-03-01"]);
    assert_eq!(done.status, 1);
    for part in [
        "voorbeeld.nl (voorbeeld): none since 2026-01-01",
        "  unknown_stream (quarantine_test): via:factuur.nl sent 840 messages",
        "    zegel report name voorbeeld.nl via:factuur.nl --as known",
        "  dkim.unknown_selector: dkim:voorbeeld.nl/oud2019: ",
        "  ask: ",
        "nieuws.voorbeeld.nl (voorbeeld): as voorbeeld.nl",
        "oud-voorbeeld.nl (voorbeeld, parked): no record",
        "  publish: publish this record",
        "  _dmarc.oud-voorbeeld.nl TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@relay.example\"",
    ] {
        assert!(done.out.contains(part), "{part}\n{}", done.out);
    }
    let name = ["report", "name", "voorbeeld.nl", "via:factuur.nl"];
    setup.run(name.iter().chain(&["--as", "known"])).expect(0);
    let found = status(&setup, &["--as-of", "2026-03-01", "--json"]).json();
    let found = domain(&found, "voorbeeld.nl");
    assert_eq!(found["holds"][0]["code"], "failing_stream");
    assert_eq!(found["advice"]["action"], "fix");
    setup.run(name.iter().chain(&["--as", "abuse"])).expect(0);
    let found = status(&setup, &["--as-of", "2026-03-01", "--json"]).json();
    assert_eq!(
        domain(&found, "voorbeeld.nl")["advice"]["action"],
        "publish"
    );
    // All organisations: a row for each domain.
    let table = setup.run(["dmarc", "status", "--as-of", "2026-03-01"]);
    assert!(table.out.contains("oud-voorbeeld.nl"), "{}", table.out);
}

#[test]
fn a_domain_that_sends_below_a_parked_one_gets_a_record_of_its_own_first() {
    let setup = setup("v=DMARC1; p=none");
    setup.write(
        "orgs.d/voorbeeld.toml",
        "domains = [\"mail.voorbeeld.nl\"]\nparked = [\"voorbeeld.nl\"]\n",
    );
    let found = status(&setup, &["--json"]).json();
    let parked = domain(&found, "voorbeeld.nl");
    assert_eq!(parked["advice"]["action"], "wait");
    assert_eq!(parked["advice"]["record"], Value::Null);
    let sending = domain(&found, "mail.voorbeeld.nl");
    assert_eq!(sending["advice"]["name"], "_dmarc.mail.voorbeeld.nl");
    assert_eq!(
        sending["advice"]["record"],
        format!("v=DMARC1; p=none; {RUA}")
    );
}

#[test]
fn nobody_climbs_where_the_dns_does_not_answer() {
    let setup = Setup::with_key();
    let found = status(&setup, &["--json"]).json();
    let found = domain(&found, "voorbeeld.nl");
    assert_eq!(found["step"], Value::Null);
    assert_eq!(found["advice"]["record"], Value::Null);
    assert_eq!(found["holds"][0]["code"], "unknown_record");
    let other = status(&setup, &["--published", "ander.nl=v=DMARC1; p=none"]);
    assert_eq!(other.status, 2, "{}", other.err);
    assert!(other.err.contains("ander.nl is no domain"), "{}", other.err);
}

/// On the way to the top someone has to say once a year that nobody is missing.
#[test]
fn the_list_of_those_who_send_is_confirmed_where_that_is_asked_for() {
    let test = format!("v=DMARC1; p=reject; t=y; pct=0; {RUA}");
    let setup = setup(&test);
    let config = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write(
        "zegel.toml",
        &format!("{config}[dmarc]\nconfirm = true\nreject_test_days = 20\n"),
    );
    let policy = "<p>reject</p><testing>y</testing><pct>0</pct>";
    let others = record("203.0.113.9", 30, "fail", "enquete.example", "e1");
    reports(&setup, 0..30, policy, &others);
    let name = ["report", "name", "voorbeeld.nl", "via:enquete.example"];
    setup
        .run(name.into_iter().chain(["--as", "abuse"]))
        .expect(0);
    let at = |day: &str| {
        let done = status(&setup, &["--json", "--as-of", day]);
        domain(&done.json(), "voorbeeld.nl")
    };
    // The days are those of zegel.toml.
    assert_eq!(at("2026-01-19")["advice"]["action"], "ask");
    assert_eq!(at("2026-01-19")["holds"][0]["code"], "not_enough_days");
    let asked = at("2026-01-31");
    assert_eq!(asked["advice"]["action"], "ask");
    assert_eq!(asked["holds"][0]["code"], "unconfirmed");
    assert_eq!(asked["holds"][0]["blocks"], "reject");
    assert_eq!(
        asked["advice"]["command"],
        "zegel dmarc confirm voorbeeld.nl"
    );
    let confirm = |more: &[&str]| {
        let words = ["dmarc", "confirm", "voorbeeld.nl"];
        setup.run(words.iter().chain(more))
    };
    let listed = confirm(&[]).expect(1);
    assert!(listed.out.contains("  ours: ours, "), "{}", listed.out);
    assert!(!listed.out.contains("enquete"), "{}", listed.out);
    assert!(listed.out.contains("[ ] elections"), "{}", listed.out);
    assert_eq!(at("2026-01-31")["advice"]["action"], "ask");
    confirm(&["--yes"]).expect(0);
    assert_eq!(at("2026-01-31")["advice"]["action"], "publish");
    let log = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    assert!(log.contains(r#""event":"streams_confirmed""#), "{log}");
    setup
        .run(["dmarc", "confirm", "www.voorbeeld.nl"])
        .expect(2);
}

/// What the keeper has counted of a day.
fn counted(setup: &Setup, day: i64, signed: u64, gap: bool) {
    let folder = setup.path("keys/keeper.counts");
    fs::create_dir_all(&folder).unwrap();
    let time = |hour: i64| Timestamp::from_second(FIRST + day * 86_400 + hour * 3_600).unwrap();
    let gaps = if gap {
        format!(
            r#"[{{"signer":"a:9465","from":"{}","until":"{}","kind":"lost"}}]"#,
            time(10),
            time(11)
        )
    } else {
        "[]".to_owned()
    };
    let date = time(0).strftime("%Y-%m-%d").to_string();
    let text = format!(
        r#"{{"version":1,"day":"{date}","until":"{}","organisations":{{"voorbeeld":{{"signed":{signed},
           "signed_by":{{"s1":{signed}}}}}}},"gaps":{gaps},"signers":{{}}}}"#,
        time(23)
    );
    fs::write(folder.join(format!("{date}.json")), text).unwrap();
}

#[test]
fn what_is_reported_is_compared_with_what_was_signed() {
    let setup = setup(&format!("v=DMARC1; p=none; {RUA}"));
    let none = "<p>none</p>";
    // The reporters are known since 5 January.
    reports_read(&setup, "2026-01-05", 0..4, none, "");
    reports_read(&setup, "2026-03-02", 4..60, none, "");
    let on = |day: &str| {
        let done = status(&setup, &["--json", "--as-of", day]);
        (domain(&done.json(), "voorbeeld.nl"), done.status)
    };
    let today = || on("2026-03-01");
    let alarms = |found: &Value| -> Vec<Value> {
        let findings = found["findings"].as_array().unwrap().iter();
        let replays = findings.filter(|one| one["code"] == "dkim.replay");
        replays.cloned().collect()
    };
    // Nothing was counted.
    assert_eq!(today().0["evidence"]["coverage"], Value::Null);
    for day in 24..60 {
        counted(&setup, day, 600, false);
    }
    let (found, _) = today();
    assert_eq!(found["evidence"]["coverage"], 0.5, "{found}");
    assert!(alarms(&found).is_empty(), "{found}");
    let text = status(&setup, &["--as-of", "2026-03-01"]).out;
    let line = "  coverage: reports tell of 50 % of 16800 signatures, on 28 days";
    assert!(text.contains(line), "{text}");
    // Of a time of which nothing is kept any more.
    let (found, _) = on("2026-01-25");
    assert_eq!(found["evidence"]["coverage"], Value::Null);

    // Someone has begun to report, and says that a million passed.
    let folder = setup.path("in");
    let million = record("198.51.100.9", 1_000_000, "pass", "voorbeeld.nl", "s1");
    let report = fs::read_to_string(folder.join("ziggo.nl-57-0.xml")).unwrap();
    let forged = report.replace("ziggo.nl", "nieuw.example");
    let forged = forged.replace("</feedback>", &format!("{million}</feedback>"));
    fs::write(folder.join("nieuw.xml"), forged).unwrap();
    reports_read(&setup, "2026-03-02", 0..0, none, "");
    let (found, _) = today();
    assert!(alarms(&found).is_empty(), "{found}");

    let again = record("198.51.100.1", 10_000, "pass", "voorbeeld.nl", "s1");
    // Nobody is believed in his first four weeks, though nobody has reported for longer.
    reports_read(&setup, "2026-03-02", 28..29, none, &again);
    let (found, _) = on("2026-02-04");
    assert!(alarms(&found).is_empty(), "{found}");

    // What was signed once is sent ten thousand times, to each receiver.
    reports_read(&setup, "2026-03-02", 57..58, none, &again);
    let (found, code) = today();
    let alarm = &alarms(&found)[0];
    assert_eq!(
        (&alarm["selector"], &alarm["severity"]),
        (&"s1".into(), &"act".into())
    );
    assert_eq!((&alarm["stream"], code), (&Value::Null, 1));
    let text = alarm["text"].as_str().unwrap();
    for part in ["from 2026-02-22 to 2026-02-28, 324", "and 6000 were signed"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The number is a setting.
    let config = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write(
        "zegel.toml",
        &format!("{config}[dmarc]\nreplay_factor = 6\n"),
    );
    assert!(alarms(&today().0).is_empty());
    setup.write("zegel.toml", &config);
    assert_eq!(alarms(&today().0).len(), 1);
    // A signer was started again: nobody knows what it had signed.
    counted(&setup, 58, 600, true);
    let (found, _) = today();
    assert!(alarms(&found).is_empty(), "{found}");
    assert_eq!(found["evidence"]["coverage"], 0.5);
}

/// Nobody waits for minutes, and what the keeper knew lately counts.
#[test]
fn where_no_resolver_answers_the_record_is_the_one_that_the_keeper_knew() {
    let setup = Setup::with_key();
    // It takes all questions, and answers none.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = silent.local_addr().unwrap();
    let text = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nresolvers = [\"{resolver}\"]\n\
         [reports]\nstate = \"{}\"\n",
        setup.path("keys").display(),
        setup.path("reports").display()
    );
    setup.write("zegel.toml", &text);
    let names: Vec<String> = (0..50).map(|place| format!("d{place}.example")).collect();
    let list = names.join("\", \"");
    setup.write("orgs.d/vijftig.toml", &format!("domains = [\"{list}\"]\n"));
    let seen = |hours: i64| {
        let checked = Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        serde_json::json!({
            "checked": checked, "spf": null, "findings": [],
            "dmarc": ["v=DMARC1; p=reject"], "dmarc_owner": null,
        })
    };
    let seen = serde_json::json!({"domains": {"d0.example": seen(1), "d1.example": seen(100)}});
    fs::create_dir(setup.path("keys/keeper.seen")).unwrap();
    setup.write("keys/keeper.seen/vijftig.json", &seen.to_string());
    let document = setup.run(["dmarc", "status", "vijftig", "--json"]).json();
    let known = domain(&document, "d0.example");
    assert_eq!(known["published"], "v=DMARC1; p=reject", "{known}");
    assert_eq!(known["step"], "reject");
    let problem = known["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("the DNS gives no answer for now: ")
            && problem.contains("; this is what the keeper knew at "),
        "{problem}"
    );
    // What is older says nothing, and so does what was never seen.
    for name in &names[1..] {
        let unknown = domain(&document, name);
        assert_eq!(unknown["published"], Value::Null, "{unknown}");
        assert_eq!(unknown["holds"][0]["code"], "unknown_record");
    }
}
