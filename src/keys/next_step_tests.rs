//! How steps are called, and by when they are due.

use std::time::Duration;

use jiff::Timestamp;

use super::{Delegated, KeyEntry, Keyring, NewKey, Publication, Situation, State, Timing, What};
use crate::{dkim::key::Algorithm, names::DomainName};

#[test]
fn a_step_is_called_the_same_everywhere() {
    for what in What::each() {
        assert_eq!(serde_json::to_value(&what).unwrap()["what"], what.as_str());
    }
}

#[test]
fn a_successor_made_by_hand_is_due_in_two_weeks_and_any_other_at_the_end() {
    let day = |day: i64| Timestamp::from_second(day * 24 * 60 * 60).unwrap();
    let days = |days: u64| Duration::from_hours(days * 24);
    let timing = Timing {
        check_every: Duration::from_hours(1),
        settle: Duration::ZERO,
        drain: days(7),
        longest_expiry: Duration::ZERO,
        rotate_every: days(182),
        lead_time: days(30),
    };
    let domain: DomainName = "een.nl".parse().unwrap();
    let key = NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap();
    let entry = |selector: &str, state: State, created: i64| KeyEntry {
        selector: selector.parse().unwrap(),
        algorithm: Algorithm::Ed25519Sha256,
        created: day(created),
        fingerprint: key.public_key().fingerprint(),
        public_key: None,
        publications: [(
            domain.clone(),
            Publication {
                state,
                ..Publication::generated(day(created))
            },
        )]
        .into(),
    };
    for (made, due) in [(10, 24), (151, 165), (152, 182), (160, 182)] {
        let mut keyring = Keyring::default();
        keyring.add(entry("s1", State::Active, 0));
        keyring.add(entry("s2", State::Generated, made));
        let situation = Situation {
            keyring: &keyring,
            domains: std::slice::from_ref(&domain),
            incoming: &[],
            away: &[],
            algorithms: &[Algorithm::Ed25519Sha256],
            timing: &timing,
            delegated: Delegated::default(),
            reported: crate::keys::Reported::default(),
        };
        let step = situation.next_step(&keyring.keys()[1], &domain);
        assert_eq!(step.due, Some(day(due)), "made on day {made}");
    }
}
