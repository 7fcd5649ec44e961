//! What is asked for, whatever the words.

use jiff::{Timestamp, ToSpan, civil::date, tz::TimeZone};
use zegel::{
    handover::{DomainTasks, HandoverError, KeyPack, Pack, Scope, operator_zone},
    keys::{Keyring, Task},
    names::DomainName,
    organisation::SelectorTemplate,
};

use crate::fixture::Fixture;

const OPERATOR: &str = "dkim.relay.example";

fn keys<'a>(pack: &'a Pack, domain: &str) -> &'a [KeyPack] {
    let mut domains = pack.domains.iter();
    match &domains
        .find(|one| one.domain.as_str() == domain)
        .unwrap()
        .tasks
    {
        DomainTasks::Sending { keys, .. } => keys,
        DomainTasks::Parked { .. } => panic!("{domain} is parked"),
    }
}

#[test]
fn each_state_has_its_task_and_its_day() {
    let pack = Fixture::new().pack(None);
    let tasks: Vec<_> = keys(&pack, "voorbeeld.nl")
        .iter()
        .map(|key| (key.selector.as_str(), key.task, key.urgent, key.date))
        .collect();
    let day = |month, day| Some(date(2026, month, day));
    let expected = [
        ("gv-2026a-2", Task::Empty, true, day(11, 28)),
        // 26 weeks after gv-2026a came into use.
        ("gv-2026b", Task::Add, false, day(12, 4)),
        ("gv-2025a", Task::Empty, false, day(11, 22)),
        ("gv-2024b", Task::Remove, false, None),
        ("gv-2026b-2", Task::Keep, false, None),
        // 7 days and an hour of caching, then the next whole day.
        ("gv-2025b", Task::Keep, false, day(11, 25)),
        ("gv-2026a", Task::Keep, false, day(11, 21)),
    ];
    assert_eq!(tasks, expected);
    let first = &keys(&pack, "nieuws.voorbeeld.nl")[0];
    assert_eq!(
        (first.task, first.urgent, first.date),
        (Task::Add, true, None)
    );
}

#[test]
fn an_expiry_of_signatures_keeps_a_record_longer() {
    let mut fixture = Fixture::new();
    fixture.settings.signing.expire = Some(std::time::Duration::from_hours(336));
    let pack = fixture.pack(None);
    let draining = keys(&pack, "voorbeeld.nl").iter();
    let mut draining = draining.filter(|key| key.selector.as_str() == "gv-2025b");
    assert_eq!(draining.next().unwrap().date, Some(date(2026, 12, 9)));
}

/// As [`zegel::keys::Timing::drain_time`] has it: the TTL that was seen, and a day for one that
/// nobody has seen.
#[test]
fn a_record_is_kept_for_as_long_as_caches_hold_it() {
    for (ttl, expected) in [
        (serde_json::json!(3600), date(2026, 11, 25)),
        (serde_json::json!(3 * 86400), date(2026, 11, 28)),
        (serde_json::Value::Null, date(2026, 11, 26)),
    ] {
        let more = serde_json::json!({ "state": "draining", "ttl": ttl });
        let pack = with_publication("gv-2025b", &more).pack(None);
        let mut keys = keys(&pack, "voorbeeld.nl").iter();
        let key = keys
            .find(|key| key.selector.as_str() == "gv-2025b")
            .unwrap();
        assert_eq!((key.task, key.date), (Task::Keep, Some(expected)));
    }
}

#[test]
fn a_parked_domain_passes_the_test_of_internet_nl() {
    let pack = Fixture::new().pack(None);
    let DomainTasks::Parked {
        records,
        wildcards,
        remove,
        asked,
        ..
    } = &pack.domains.last().unwrap().tasks
    else {
        panic!("the parked domain comes last");
    };
    // Nobody has seen it otherwise.
    assert_eq!(asked.len(), 0);
    let values: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record.name.as_str(),
                record.data.record_type(),
                record.data.value(),
            )
        })
        .collect();
    // `^v=spf1 +(exp=..)?-all$` and `^v=DMARC1; *p=reject`.
    let expected = [
        ("oud-voorbeeld.nl", "MX", "0 .".to_owned()),
        ("oud-voorbeeld.nl", "TXT", "v=spf1 -all".to_owned()),
        (
            "_dmarc.oud-voorbeeld.nl",
            "TXT",
            "v=DMARC1; p=reject;".to_owned(),
        ),
    ];
    assert_eq!(values, expected);
    assert!(
        wildcards
            .iter()
            .all(|record| record.name == "*.oud-voorbeeld.nl")
    );
    assert_eq!(remove, &["gv-2025a._domainkey.oud-voorbeeld.nl"]);
}

#[test]
fn every_key_of_the_next_two_years_finds_its_cname() {
    for template in ["gv-{year}{half}", "{org}-{year}", "fixed"] {
        for (rotate, lead) in [(26 * 7, 30), (52 * 7, 30), (90, 14)] {
            let mut fixture = Fixture::new();
            let id = &fixture.organisation.id;
            fixture.organisation.selector = SelectorTemplate::new(template, id).unwrap();
            let hour = std::time::Duration::from_hours(1);
            fixture.settings.keeper.rotate_every = rotate * 24 * hour;
            fixture.settings.keeper.lead_time = lead * 24 * hour;
            fixture.keyring = Keyring::default();
            let pack = fixture.pack(Some(OPERATOR));
            let DomainTasks::Sending { coming, .. } = &pack.domains[0].tasks else {
                panic!("the first domain sends");
            };
            let mut names: Vec<&str> = coming.iter().map(|record| record.name.as_str()).collect();
            // The keeper, for whom the customer is never late.
            let cycle = i64::from(rotate - lead).days();
            let start = fixture.handover().now.to_zoned(TimeZone::UTC).date();
            let end = start.checked_add(2.years()).unwrap();
            for day in start.series(cycle).take_while(|day| *day < end) {
                for _ in &fixture.organisation.algorithms {
                    let mut free = fixture
                        .organisation
                        .selector
                        .candidates(day)
                        .map(|selector| selector.record_name(&fixture.organisation.domains[0]));
                    let place = free.find_map(|name| names.iter().position(|one| *one == name));
                    names.remove(place.unwrap_or_else(|| panic!("{template} {rotate} {day}")));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut fixture = Fixture::new();
    let domain = |text: &str| Some(text.parse::<DomainName>().unwrap());
    let refused = |fixture: &Fixture, scope: &Scope| fixture.handover().pack(scope).unwrap_err();
    let scope = Scope {
        domain: domain("vreemd.nl"),
        ..Scope::default()
    };
    let error = refused(&fixture, &scope);
    assert_eq!(
        error,
        HandoverError::UnknownDomain(domain("vreemd.nl").unwrap())
    );
    let long = ["a".repeat(60).as_str(); 4].join(".");
    let scope = Scope {
        delegation: domain(&long),
        ..Scope::default()
    };
    assert!(matches!(
        refused(&fixture, &scope),
        HandoverError::NameTooLong(_)
    ));
    // A key of another selector is no key.
    let other = fixture.public_keys["gv-2025b"].clone();
    fixture
        .public_keys
        .insert("gv-2026a".parse().unwrap(), other);
    let error = refused(&fixture, &Scope::default());
    assert_eq!(
        error,
        HandoverError::NoPublicKey("gv-2026a".parse().unwrap())
    );
    let zone = OPERATOR.parse().unwrap();
    assert!(operator_zone(&zone, &[fixture.handover()]).is_err());
}

#[test]
fn the_zone_of_the_operator_does_not_depend_on_the_time() {
    let fixture = Fixture::new();
    let zone = OPERATOR.parse().unwrap();
    let mut later = fixture.handover();
    later.now = Timestamp::MAX;
    let now = operator_zone(&zone, &[fixture.handover()]).unwrap();
    assert_eq!(operator_zone(&zone, &[later]).unwrap(), now);
    // And neither end of time is too much for a pack.
    later.pack(&Scope::default()).unwrap();
    later.now = Timestamp::MIN;
    later.pack(&Scope::default()).unwrap();
    later
        .pack(&Scope {
            delegation: Some(zone),
            ..Scope::default()
        })
        .unwrap();
}

/// The keyring of the fixture with other evidence for one key in one domain.
fn with_publication(selector: &str, more: &serde_json::Value) -> Fixture {
    let mut fixture = Fixture::new();
    let json = fixture.keyring.to_json().unwrap();
    let mut keyring: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut keys = keyring["keys"].as_array_mut().unwrap().iter_mut();
    let key = keys.find(|key| key["selector"] == selector).unwrap();
    let publication = &mut key["publications"]["voorbeeld.nl"];
    for (name, value) in more.as_object().unwrap() {
        publication[name] = value.clone();
    }
    fixture.keyring = Keyring::parse(keyring.to_string().as_bytes()).unwrap();
    fixture
}

/// What the keeper found out goes before what can be reckoned.
#[test]
fn a_record_is_asked_back_when_the_keeper_says_so() {
    let later = "2026-12-24T12:00:00Z";
    let operator: DomainName = OPERATOR.parse().unwrap();
    let empty =
        "gv-2025b.gemeente-voorbeeld.dkim.relay.example. 3600 IN TXT \"v=DKIM1; k=rsa; p=\"";
    let name = "gv-2025b.gemeente-voorbeeld.";
    let day = |month, day| Some(date(2026, month, day));
    for (state, withdrawal, task) in [
        ("draining", None, Some((Task::Keep, day(12, 25)))),
        ("draining", Some("asked"), Some((Task::Empty, day(11, 22)))),
        ("withdrawn", Some("emptied"), Some((Task::Remove, None))),
        ("withdrawn", Some("gone"), None),
        // `zegel key withdraw`
        ("withdrawn", None, None),
    ] {
        let more = serde_json::json!({
            "state": state, "withdrawal": withdrawal, "drain_until": later,
        });
        let fixture = with_publication("gv-2025b", &more);
        let pack = fixture.pack(None);
        let mut keys = keys(&pack, "voorbeeld.nl").iter();
        let key = keys.find(|key| key.selector.as_str() == "gv-2025b");
        assert_eq!(key.map(|key| (key.task, key.date)), task, "{state}");
        let zone = operator_zone(&operator, &[fixture.handover()]).unwrap();
        // Nobody has seen that of a key withdrawn by word, so the zone goes on saying it.
        let is_over = matches!(withdrawal, Some("emptied" | "gone"));
        let expected = withdrawal == Some("asked") || (state, withdrawal) == ("withdrawn", None);
        assert_eq!(zone.contains(empty), expected, "{zone}");
        assert_eq!(zone.contains(name), !is_over, "{zone}");
    }
}
