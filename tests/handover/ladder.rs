//! The DMARC record in the pack is the one that the ladder advises, where reports tell.

use std::sync::Arc;

use zegel::{
    config::{Mistakes, SendersBelow},
    handover::{DomainTasks, Format, Pack, PolicyKind, PolicyPack},
    keys::Task,
    organisation::Organisation,
    words::Language,
};

use crate::fixture::Fixture;

const LEAF: &str = "leeg.voorbeeld.nl";
const THERE: &str = "v=DMARC1; p=none; rua=mailto:dmarc@relay.example";
const NEXT: &str = "v=DMARC1; p=quarantine; t=y; pct=0; rua=mailto:dmarc@relay.example";

/// What the keeper found of a domain on 20 November 2026, or another day.
fn found(fixture: &mut Fixture, domain: &str, to: &str, climbing: &serde_json::Value) {
    let found = serde_json::json!({ "domains": { domain: {
        "found": "2026-11-20T00:00:00Z", "from": "2026-09-26", "to": to, "reports": 90,
        "streams": [], "others": 0, "other_messages": 0, "climbing": climbing,
    }}});
    fixture.senders = serde_json::from_value(found).unwrap();
}

fn climbing(action: &str, advised: &str, record: &str) -> serde_json::Value {
    serde_json::json!({
        "step": "none", "published": THERE, "since": "2026-09-01", "action": action,
        "acting_since": "2026-01-02T00:00:00Z", "text": "why", "to": advised, "lost": 40, "name": format!("_dmarc.{LEAF}"),
        "record": record, "holds": [],
    })
}

fn dmarc(pack: &Pack, domain: &str) -> PolicyPack {
    let mut domains = pack.domains.iter();
    let found = domains.find(|one| one.domain.as_str() == domain).unwrap();
    let DomainTasks::Sending { policies, .. } = &found.tasks else {
        panic!("{domain} is parked");
    };
    let mut policies = policies.iter();
    let found = policies.find(|one| one.kind == PolicyKind::Dmarc);
    found.unwrap().clone()
}

fn value(policy: &PolicyPack) -> Option<String> {
    Some(policy.record.as_ref()?.data.value())
}

#[test]
fn the_next_rung_is_in_the_pack_with_why_and_what_it_means() {
    let mut fixture = Fixture::new();
    let up = climbing("publish", "quarantine_test", NEXT);
    found(&mut fixture, LEAF, "2026-11-20", &up);
    let pack = fixture.pack(None);
    let policy = dmarc(&pack, LEAF);
    assert_eq!(policy.task, Task::Mend);
    assert_eq!(value(&policy).as_deref(), Some(NEXT));
    for (language, parts) in [
        (
            Language::English,
            [
                "replace the DMARC record by the next step, quarantine_test",
                "nothing that speaks against this step",
                "With t=y and pct=0 this is a test",
                "quarantine_test (2/5)",
                NEXT,
            ],
        ),
        (
            Language::Dutch,
            [
                "DMARC-record vervangen door dat van de volgende stap, quarantine_test",
                "niets dat tegen deze stap pleit",
                "Met t=y en pct=0 is dit een proef",
                "quarantine_test (2/5)",
                NEXT,
            ],
        ),
    ] {
        let text = pack.render(Format::Text, language);
        let words: Vec<&str> = text.split_whitespace().collect();
        let flat = words.join(" ").replace('`', "");
        for part in parts {
            assert!(flat.contains(part), "{part}\n{text}");
        }
    }
    // A line is added to a zone only beside nothing.
    let zone = pack.render(Format::Zone, Language::English);
    let line = format!("; _dmarc.{LEAF}. 3600 IN TXT \"{NEXT}\"");
    assert!(zone.contains(&line), "{zone}");
    let json: serde_json::Value =
        serde_json::from_str(&pack.render(Format::Json, Language::English)).unwrap();
    let policy = &json["domains"][3]["policies"][1];
    assert_eq!(policy["record"]["value"], NEXT);
    let ladder = serde_json::json!({
        "step": "none", "action": "publish", "advised": "quarantine_test", "text": "why",
    });
    assert_eq!(policy["ladder"], ladder);
}

#[test]
fn a_step_back_is_urgent_and_says_how_much_was_lost() {
    let mut fixture = Fixture::new();
    let back = climbing("step_back", "none", NEXT);
    found(&mut fixture, LEAF, "2026-11-20", &back);
    let pack = fixture.pack(None);
    assert_eq!(dmarc(&pack, LEAF).task, Task::Mend);
    for (language, parts) in [
        (
            Language::English,
            ["at once by a milder one", "40 legitimate messages failed"],
        ),
        (
            Language::Dutch,
            [
                "meteen vervangen door een milder",
                "40 echte berichten niet",
            ],
        ),
    ] {
        let text = pack.render(Format::Markdown, language);
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}

#[test]
fn what_waits_for_someone_else_asks_nothing_of_the_dns() {
    for action in ["ask", "fix", "wait", "done"] {
        let mut fixture = Fixture::new();
        let more = format!("v=DMARC1; p=none; np=reject; {}", &THERE[18..]);
        found(
            &mut fixture,
            LEAF,
            "2026-11-20",
            &climbing(action, "none", &more),
        );
        let policy = dmarc(&fixture.pack(None), LEAF);
        assert_eq!(policy.task, Task::Keep, "{action}");
        assert_eq!(value(&policy), Some(more), "{action}");
    }
}

#[test]
fn without_evidence_of_these_days_or_of_this_record_it_stays_as_it_was() {
    let before = dmarc(&Fixture::new().pack(None), LEAF);
    assert_eq!((before.task, value(&before)), (Task::Keep, None));
    let up = climbing("publish", "quarantine_test", NEXT);
    let mut other = climbing("publish", "quarantine_test", NEXT);
    other["published"] = "v=DMARC1; p=quarantine".into();
    let mut unknown = climbing("publish", "quarantine_test", NEXT);
    unknown["record"] = serde_json::Value::Null;
    let mut later = climbing("publish", "quarantine_test", NEXT);
    later["action"] = "leap".into();
    for (to, climbing) in [
        ("2026-11-18", &up),
        ("2026-11-20", &other),
        ("2026-11-20", &unknown),
        ("2026-11-20", &later),
        ("2026-11-20", &serde_json::Value::Null),
    ] {
        let mut fixture = Fixture::new();
        found(&mut fixture, LEAF, to, climbing);
        let policy = dmarc(&fixture.pack(None), LEAF);
        assert_eq!(
            (policy.task, policy.ladder),
            (Task::Keep, None),
            "{climbing}"
        );
        assert_eq!(policy.record, None);
    }
}

/// The keeper looks every hour: meanwhile the record may have been published.
#[test]
fn a_record_that_is_there_already_is_not_asked_for_again() {
    let mut fixture = Fixture::new();
    let up = climbing("publish", "quarantine_test", NEXT);
    found(&mut fixture, LEAF, "2026-11-20", &up);
    let seen = fixture.sightings.domains.get_mut(LEAF);
    seen.unwrap().dmarc = Some(vec![NEXT.to_owned()]);
    let policy = dmarc(&fixture.pack(None), LEAF);
    assert_eq!(policy.task, Task::Keep);
    assert_eq!(value(&policy).as_deref(), Some(NEXT));
}

/// The parked domain above would have the mail of the one below refused.
#[test]
fn a_parked_domain_waits_for_the_record_of_the_one_below() {
    let mut fixture = Fixture::new();
    let parked = "oud-voorbeeld.nl".parse().unwrap();
    let below = "post.oud-voorbeeld.nl".parse().unwrap();
    // Whoever it belongs to.
    for another in [false, true] {
        let mut all = vec![Arc::new(fixture.organisation.clone())];
        if another {
            all.push(Arc::new(Organisation {
                domains: vec!["post.oud-voorbeeld.nl".parse().unwrap()],
                ..Organisation::without_file(&"een-ander".parse().unwrap())
            }));
        } else {
            assert!(
                SendersBelow::of(&all, &Mistakes::default())
                    .names(&parked)
                    .is_empty()
            );
        }
        fixture.below = SendersBelow::of(&all, &Mistakes::default());
        let pack = fixture.domain_pack(&parked, None);
        let text = pack.render(Format::Text, Language::English);
        assert_eq!(text.contains("v=DMARC1"), !another, "{text}");
        assert_eq!(text.contains("post.oud-voorbeeld.nl"), another, "{text}");
    }
    let domains = &mut fixture.organisation.domains;
    domains.push("post.oud-voorbeeld.nl".parse().unwrap());
    fixture.below = SendersBelow::of(
        &[Arc::new(fixture.organisation.clone())],
        &Mistakes::default(),
    );
    let records = |fixture: &Fixture| {
        let pack = fixture.domain_pack(&parked, None);
        let DomainTasks::Parked { records, asked, .. } = &pack.domains[0].tasks else {
            panic!("it is parked");
        };
        let text = pack.render(Format::Text, Language::English);
        (records.len(), asked.clone(), text)
    };
    let (number, asked, text) = records(&fixture);
    assert_eq!((number, asked), (2, vec![]));
    assert!(!text.contains("v=DMARC1"), "{text}");
    assert!(text.contains("post.oud-voorbeeld.nl"), "{text}");
    // What is above speaks for it so far: it needs its own.
    let mut sighting = fixture.sightings.domains[LEAF].clone();
    sighting.dmarc = Some(vec!["v=DMARC1; p=reject".to_owned()]);
    sighting.dmarc_owner = Some("oud-voorbeeld.nl".to_owned());
    fixture.sightings.domains.insert(below, sighting.clone());
    let policy = dmarc(&fixture.pack(None), "post.oud-voorbeeld.nl");
    assert_eq!(policy.task, Task::Add);
    assert_eq!(policy.name, "_dmarc.post.oud-voorbeeld.nl");
    assert_eq!(value(&policy).as_deref(), Some(THERE));
    assert_eq!(records(&fixture).0, 2);
    // The keeper has seen that it has one.
    sighting
        .apart
        .insert("post.oud-voorbeeld.nl".parse().unwrap());
    fixture.sightings.domains.insert(parked.clone(), sighting);
    assert_eq!(records(&fixture).0, 3);
}

/// With an address for reports, the record of a parked domain has it too.
#[test]
fn a_parked_domain_gets_the_record_that_the_ladder_advises() {
    let mut fixture = Fixture::new();
    let record = "v=DMARC1; p=reject; rua=mailto:dmarc@relay.example";
    let mut advised = climbing("publish", "reject", record);
    advised["published"] = "v=DMARC1; p=none".into();
    advised["name"] = "_dmarc.oud-voorbeeld.nl".into();
    found(&mut fixture, "oud-voorbeeld.nl", "2026-11-20", &advised);
    let mut sighting = fixture.sightings.domains[LEAF].clone();
    sighting.dmarc = Some(vec!["v=DMARC1; p=none".to_owned()]);
    let parked = "oud-voorbeeld.nl".parse().unwrap();
    fixture.sightings.domains.insert(parked, sighting);
    let pack = fixture.pack(None);
    let DomainTasks::Parked { records, asked, .. } = &pack.domains.last().unwrap().tasks else {
        panic!("the parked domain comes last");
    };
    assert_eq!(records[2].data.value(), record);
    assert_eq!(asked, &[(PolicyKind::Dmarc, Task::Mend)]);
}
