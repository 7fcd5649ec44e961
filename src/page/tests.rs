use std::{collections::BTreeMap, fs};

use super::*;
use crate::{
    config,
    keys::{Publication, Situation, State, Why, Withdrawal},
    keystore::Senders,
    names::DomainName,
    page::standing::Standing,
};

mod agreement;

const HOSTILE: &str = r#"</title><script>alert("1")</script>&amp; 'a'"#;

fn page(folder: &std::path::Path) -> Page {
    let path = folder.display();
    fs::create_dir(folder.join("orgs.d")).unwrap();
    fs::write(
        folder.join("zegel.toml"),
        format!("[keystore]\npath = \"{path}/keys\"\n"),
    )
    .unwrap();
    let name = serde_json::to_string(HOSTILE).unwrap();
    fs::write(
        folder.join("orgs.d/a.toml"),
        format!("name = {name}\ndomains = [\"a.example\"]\n"),
    )
    .unwrap();
    let loaded = config::load(&folder.join("zegel.toml")).unwrap();
    let keystore = Keystore::create(&folder.join("keys")).unwrap();
    let metrics = Metrics::new();
    let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
    Page::new(SnapshotHolder::new(built.snapshot), metrics)
}

#[test]
fn all_text_is_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let escaped = "&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp; 'a'";
    for (path, query) in [("/", ""), ("/", "q=%22%3E%3Cscript%3E"), ("/org/a", "")] {
        let answer = page.answer(path, query);
        assert!(answer.found, "{path}");
        let body = answer.body;
        assert!(!body.contains("<script") && !body.contains("<b>"), "{body}");
        assert_eq!(body.contains(escaped), query.is_empty(), "{path}: {body}");
    }
    assert!(!page.answer("/org/b", "").found);
    assert!(!page.answer("/org/a/records.exe", "").found);
}

/// A report is the text of a stranger.
#[test]
fn a_stream_of_a_stranger_is_text_on_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let keystore = Keystore::open(&folder.path().join("keys")).unwrap();
    let id = "a".parse().unwrap();
    let stream = serde_json::json!({
        "id": HOSTILE, "class": HOSTILE, "name": HOSTILE, "messages": 3, "aligned": 2,
        "rejected": 1, "weeks": [3], "has_page": true,
    });
    let most = |what: serde_json::Value| serde_json::json!({"most": [[what, 3]], "others": 7});
    let mut more = serde_json::json!({
        "named": true, "changed": HOSTILE, "owner": HOSTILE, "rule": 5, "dkim_aligned": 2,
        "spf_aligned": 1, "spf_only": 0, "quarantined": 1, "first_seen": "2026-10-01",
        "last_seen": "2026-10-02", "by_week": [[2, 1]], "networks": most(HOSTILE.into()),
        "signatures": most(serde_json::json!([HOSTILE, "", HOSTILE])),
        "checks": most(serde_json::json!([HOSTILE, HOSTILE])), "names": most(HOSTILE.into()),
        "reporters": most(HOSTILE.into()),
    });
    for (key, value) in stream.as_object().unwrap() {
        more[key] = value.clone();
    }
    let senders = serde_json::json!({"domains": {"a.example": {
        "found": "2026-10-02T00:00:00Z", "from": "2026-08-07", "to": "2026-10-02", "reports": 1,
        "streams": [stream], "others": 0, "other_messages": 0,
    }}});
    let pages = serde_json::json!({"domains": {"a.example": [more]}});
    let (senders, pages) = (senders.to_string(), pages.to_string());
    let senders = serde_json::from_str(&senders).unwrap();
    keystore.keep_senders(&id, &senders).unwrap();
    let kept = serde_json::from_str(&pages).unwrap();
    keystore.keep_stream_pages(&id, &kept).unwrap();
    let address = request::stream_address("a", "a.example", HOSTILE);
    let of_organisation = page.answer("/org/a", "").body;
    let link = address.replace('&', "&amp;");
    assert!(
        of_organisation.contains(&link),
        "{address}\n{of_organisation}"
    );
    let (path, query) = address.split_once('?').unwrap();
    let answer = page.answer(path, query);
    assert!(answer.found);
    let body = answer.body;
    assert!(!body.contains("<script"), "{body}");
    let escaped = "&lt;/title&gt;&lt;script&gt;";
    assert!(body.matches(escaped).count() > 10, "{body}");
    assert!(
        body.contains("(left out)") && body.contains("And 7 more."),
        "{body}"
    );
    assert!(body.contains(" --forget"), "{body}");
    for query in [
        "",
        "domain=a.example",
        "domain=b.example&stream=x",
        "domain=a.example&stream=x",
    ] {
        assert!(!page.answer("/org/a/stream", query).found, "{query}");
    }
    assert!(!page.answer("/org/b/stream", query).found);
    // With the rest it is gone.
    keystore.keep_senders(&id, &Senders::default()).unwrap();
    assert!(!page.answer(path, query).found);
}

fn publication(state: State, why: Why) -> Publication {
    Publication {
        state,
        why: Some(why),
        ..Publication::generated(Timestamp::UNIX_EPOCH)
    }
}

fn standing(publications: &[Publication]) -> Standing {
    standing_at(publications, Timestamp::UNIX_EPOCH)
}

fn standing_at(publications: &[Publication], now: Timestamp) -> Standing {
    let domains: [DomainName; 1] = ["a.example".parse().unwrap()];
    Standing::of(
        &Situation {
            keyring: &Keyring::of("a.example", publications),
            domains: &domains,
            incoming: &[],
            away: &[],
            algorithms: &[crate::dkim::Algorithm::RsaSha256],
            timing: &config::Settings::default().timing(),
            delegated: crate::keys::Delegated::default(),
            reported: crate::keys::Reported::default(),
        },
        crate::organisation::Policy::default(),
        now,
    )
}

#[test]
fn what_the_dns_showed_is_a_finding_if_it_is_not_as_it_should_be() {
    let active = publication(State::Active, Why::Signing);
    for (publications, finding) in [
        (vec![], None),
        (vec![active], None),
        (
            vec![active, publication(State::Published, Why::Settling)],
            None,
        ),
        (
            vec![active, publication(State::Generated, Why::NotSeen)],
            Some(Why::NotSeen),
        ),
        (
            vec![publication(State::Draining, Why::GoneEarly), active],
            Some(Why::GoneEarly),
        ),
    ] {
        assert_eq!(standing(&publications).finding, finding, "{publications:?}");
    }
}

#[test]
fn the_worst_comes_first_and_the_others_are_counted() {
    let found = standing(&[
        publication(State::Withdrawn, Why::Done),
        publication(State::Draining, Why::GoneEarly),
        publication(State::Draining, Why::GoneEarly),
        publication(State::Active, Why::SeenWrong),
        publication(State::Generated, Why::SeenPartly),
    ]);
    let selector = found.judgement.worst().unwrap().selector.as_ref().unwrap();
    assert_eq!(selector.as_str(), "s1");
    assert_eq!(found.judgement.others(), 2);
    assert_eq!(found.finding, Some(Why::SeenWrong));
    assert_eq!(found.states, [1, 0, 1, 2, 0, 1]);
}

#[test]
fn what_mail_suffers_from_besides_the_worst_is_known() {
    let mut judgement = standing(&[
        publication(State::Active, Why::SeenWrong),
        publication(State::Generated, Why::SeenPartly),
    ])
    .judgement;
    assert_eq!(judgement.level, Level::Unverifiable);
    assert_eq!(judgement.also_urgent(), []);
    for matter in &mut judgement.matters[1..] {
        matter.level = Level::Unsigned;
    }
    assert_eq!(judgement.also_urgent(), [Level::Unsigned]);
}

/// So that the list does not go on saying what was so when the keyring was read.
#[test]
fn a_key_becomes_overdue_though_its_keyring_stays_as_it_is() {
    let active = [publication(State::Active, Why::Signing)];
    let first = standing(&active);
    assert_eq!(first.judgement.level, Level::Well);
    let overdue = first.overdue.unwrap();
    let later = standing_at(&active, overdue);
    assert_eq!(later.judgement.level, Level::Act);
    assert_eq!(later.overdue, None);
}
