//! What of an organisation waits for something that a look at the DNS may bring on.

use jiff::Timestamp;

use super::{
    publication::State,
    situation::{Record, Situation},
    timing::later,
};
use crate::{dkim::key::Algorithm, names::DomainName};

/// An organisation in which something waits: a key to be made, a record to be seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pending {
    /// How many records a look asks for, those that wait and the others.
    pub records: usize,
    /// Since when the newest of it waits; none where a key is to be made, of which nothing is
    /// written down.
    pub since: Option<Timestamp>,
    /// When the first of it may sign, if its record stays where it was seen.
    pub ready: Option<Timestamp>,
}

impl Situation<'_> {
    /// Whether a new key, a key that may come back or a domain without a key waits; none if
    /// nothing does.
    pub fn pending(&self) -> Option<Pending> {
        let waiting: Vec<Record<'_>> = self.records().filter(|one| self.waits(one)).collect();
        let lacks_key = self.lacks_any_key();
        if waiting.is_empty() && !lacks_key {
            return None;
        }
        let since = waiting.iter().map(|record| {
            let publication = record.publication;
            publication.left.unwrap_or(publication.since)
        });
        let ready = waiting.iter().filter_map(|record| {
            let publication = record.publication;
            let seen = publication.seen_since?;
            let settle_time = self.timing.settle_time(publication.negative_ttl);
            (publication.state == State::Published).then(|| later(seen, settle_time))
        });
        Some(Pending {
            records: self.watched().count(),
            since: since.max().filter(|_| !lacks_key),
            ready: ready.min(),
        })
    }

    fn waits(&self, record: &Record<'_>) -> bool {
        let (key, domain) = (record.key, record.domain);
        match record.publication.state {
            State::Generated | State::Published => self.unwatched(record).is_none(),
            _ => self.may_return(key, domain) && self.active(domain, key.algorithm).is_none(),
        }
    }

    /// Whether a domain has neither a key that signs nor one that may.
    fn lacks_any_key(&self) -> bool {
        let has_key = |domain: &DomainName, algorithm: Algorithm| {
            self.active(domain, algorithm).is_some()
                || self.keyring.waiting_key(domain, algorithm).is_some()
                || self.has_returning(domain, algorithm)
        };
        let mut domains = self.keyed().filter(|domain| self.sends_from(domain));
        domains.any(|domain| {
            let mut algorithms = self.algorithms.iter();
            algorithms.any(|algorithm| !has_key(domain, *algorithm))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keys::{Delegated, Keyring, Publication, Timing};

    const TIMING: Timing = Timing {
        check_every: Duration::from_hours(1),
        settle: Duration::from_mins(10),
        drain: Duration::from_hours(5),
        longest_expiry: Duration::ZERO,
        rotate_every: Duration::from_hours(1000),
        lead_time: Duration::from_hours(20),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Of an organisation with `domains`, and a key for each of these publications.
    fn pending(domains: &[&str], publications: &[(&str, Publication)]) -> Option<Pending> {
        let mut keyring = Keyring::default();
        for (number, (domain, publication)) in publications.iter().enumerate() {
            let json = serde_json::json!({
                "selector": format!("s{number}"), "algorithm": "rsa-sha256",
                "created": Timestamp::UNIX_EPOCH, "fingerprint": format!("{number:064x}"),
                "publications": {*domain: publication},
            });
            keyring.add(serde_json::from_value(json).unwrap());
        }
        let domains: Vec<DomainName> = domains.iter().map(|one| one.parse().unwrap()).collect();
        let situation = Situation {
            keyring: &keyring,
            domains: &domains,
            incoming: &[],
            away: &[],
            algorithms: &[Algorithm::RsaSha256],
            timing: &TIMING,
            delegated: Delegated::default(),
            reported: crate::keys::Reported::default(),
        };
        situation.pending()
    }

    fn in_state(state: State, since: i64) -> Publication {
        Publication {
            state,
            ..Publication::generated(at(since))
        }
    }

    #[test]
    fn only_what_may_come_into_use_is_waited_for() {
        let domain = "een.example";
        let is_pending = |domains: &[&str], states: &[State]| {
            let states = states.iter().map(|state| (domain, in_state(*state, 0)));
            let states: Vec<_> = states.collect();
            pending(domains, &states).is_some()
        };
        // A key is to be made.
        assert!(is_pending(&[domain], &[]));
        assert!(is_pending(&[domain], &[State::Revoked]));
        assert!(is_pending(&[domain, "twee.example"], &[State::Active]));
        // A record is to be seen.
        assert!(is_pending(&[domain], &[State::Generated]));
        assert!(is_pending(&[domain], &[State::Active, State::Published]));
        // All is well, or what was made is not wanted.
        assert!(!is_pending(&[domain], &[State::Active]));
        assert!(!is_pending(&[domain], &[State::Draining, State::Active]));
        assert!(!is_pending(&[domain], &[State::Generated, State::Active]));
        assert!(!is_pending(&[], &[State::Generated]));
        assert!(!is_pending(&[], &[]));
    }

    #[test]
    fn a_key_that_may_come_back_is_waited_for() {
        let left = Publication {
            left: Some(at(7)),
            ..in_state(State::Draining, 5)
        };
        let found = pending(&["een.example"], &[("een.example", left)]).unwrap();
        assert_eq!((found.records, found.since), (1, Some(at(7))));
        assert_eq!(pending(&[], &[("een.example", left)]), None);
        let active = in_state(State::Active, 6);
        let replaced = [("een.example", left), ("een.example", active)];
        assert_eq!(pending(&["een.example"], &replaced), None);
    }

    #[test]
    fn it_is_known_since_when_and_until_when() {
        let seen = Publication {
            seen_since: Some(at(100)),
            negative_ttl: Some(Duration::from_mins(15)),
            ..in_state(State::Published, 100)
        };
        let both = [
            ("een.example", seen),
            ("twee.example", in_state(State::Generated, 50)),
        ];
        let expected = Pending {
            records: 2,
            since: Some(at(100)),
            ready: Some(at(1000)),
        };
        assert_eq!(
            pending(&["een.example", "twee.example"], &both),
            Some(expected)
        );
        let more = pending(&["een.example", "twee.example", "drie.example"], &both).unwrap();
        assert_eq!(more.since, None);
    }
}
