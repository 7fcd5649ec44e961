//! A keystore that was put back from a backup: what it calls active may have been replaced or
//! given up since, so nothing is concluded from it until the DNS has shown it again.

use jiff::Timestamp;

use super::{
    change::{Change, Event},
    keyring::{KeyEntry, Keyring},
    plan::{Alarm, AlarmKind, Plan},
    publication::{Publication, Revocation, State},
};
use crate::{dkim::key::Algorithm, names::DomainName};

/// The active keys that were not seen in the DNS since an older keystore was put back, one alarm
/// for each domain.
pub fn unseen_since(
    keyring: &Keyring,
    domains: &[DomainName],
    algorithms: &[Algorithm],
    restored: Timestamp,
) -> Vec<Alarm> {
    let keys = keyring.keys().iter();
    let keys = keys.filter(|key| algorithms.contains(&key.algorithm));
    keys.flat_map(|key| {
        let publications = key.publications.iter().filter(|(domain, publication)| {
            publication.state == State::Active
                && domains.contains(domain)
                && !publication.is_shown_since(restored)
        });
        publications.map(|(domain, _)| Alarm {
            kind: AlarmKind::RestoredUnseen,
            domain: domain.clone(),
            algorithm: key.algorithm,
            selector: Some(key.selector.clone()),
        })
    })
    .collect()
}

impl Plan {
    /// Takes no step as long as there are such keys: only what was seen is written down, and what
    /// has left. That ends the use of a key, for which no evidence is needed.
    pub fn hold_back(&mut self, unseen: Vec<Alarm>) {
        if unseen.is_empty() {
            return;
        }
        let stays = |event: &Event| matches!(event, Event::Checked | Event::Left);
        self.changes.retain(|change| stays(&change.event));
        self.wanted.clear();
        self.alarms.extend(unseen);
    }
}

/// Gives up here what was given up before an older keyring was put back. `was_compromised` says
/// for which publications that is so, and whether others may have the key.
pub fn give_up_again(
    keyring: &Keyring,
    was_compromised: impl Fn(&KeyEntry, &DomainName) -> Option<bool>,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in keyring.keys() {
        for (domain, before) in &key.publications {
            if before.state.is_given_up() {
                continue;
            }
            let Some(is_compromised) = was_compromised(key, domain) else {
                continue;
            };
            let after = Publication {
                state: State::Revoked,
                since: now,
                why: None,
                revocation: is_compromised.then_some(Revocation::Compromised),
                ..*before
            };
            changes.push(Change::new(key, domain, after, Event::Revoked));
        }
    }
    changes
}
