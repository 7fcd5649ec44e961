//! Which keys are to be made, and which domains are to get one that there is.

use super::{
    change::Change,
    keyring::KeyEntry,
    new_key::NewKey,
    publication::{Publication, Revocation, State},
    situation::Situation,
    timing::{Gap, Moment, elapsed},
};
use crate::{
    dkim::key::{Algorithm, KeyError, NEW_RSA_BITS},
    names::DomainName,
};

/// A key that is to be made. The selector is one that the organisation never had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedKey {
    /// Of what kind.
    pub algorithm: Algorithm,
    /// For which domains; never empty.
    pub domains: Vec<DomainName>,
}

impl WantedKey {
    /// Makes it, of the usual size. An RSA key takes a good part of a second.
    ///
    /// # Errors
    /// As [`NewKey::generate`].
    pub fn generate(&self) -> Result<NewKey, KeyError> {
        NewKey::generate(self.algorithm, NEW_RSA_BITS[0])
    }
}

/// What is lacking.
#[derive(Default)]
pub(super) struct Successors {
    /// Domains that get the record of a key that the organisation has.
    pub(super) added: Vec<Change>,
    /// Keys to be made.
    pub(super) wanted: Vec<WantedKey>,
}

impl<'a> Situation<'a> {
    /// The keys to be made for a rotation that starts now, whatever the age of those that
    /// sign. Nothing when every domain has a successor that waits.
    pub fn roll(&self) -> Vec<WantedKey> {
        let algorithms = self.algorithms.iter();
        let wanted = algorithms.map(|algorithm| self.successor(*algorithm));
        wanted.filter(|wanted| !wanted.domains.is_empty()).collect()
    }

    /// The keys and publications that are lacking.
    pub(super) fn successors(&self, moment: Moment) -> Successors {
        let mut successors = Successors::default();
        // A clock that jumps ten years makes nobody a new key; nor does what may have left get one.
        if self.gap(moment) == Gap::Void || self.keyring.departures_problem().is_some() {
            return successors;
        }
        for algorithm in self.algorithms {
            let lacking = |domain: &&DomainName| self.lacks_key(domain, *algorithm, moment);
            let lacking: Vec<&DomainName> = self.keyed().filter(lacking).collect();
            let newest = self.newest(*algorithm);
            let fits =
                |domain: &&DomainName| newest.is_some_and(|key| self.serves(key, domain, moment));
            let (added_to, rest): (Vec<_>, Vec<_>) = lacking.into_iter().partition(fits);
            if !rest.is_empty() {
                let mut wanted = self.successor(*algorithm);
                wanted.domains.retain(|domain| !added_to.contains(&domain));
                successors.wanted.push(wanted);
            }
            if let Some(key) = newest {
                let added = added_to.into_iter();
                successors
                    .added
                    .extend(added.map(|domain| Change::added(key, domain, moment.now)));
            }
        }
        successors
    }

    fn lacks_key(&self, domain: &DomainName, algorithm: Algorithm, moment: Moment) -> bool {
        let active = self.active(domain, algorithm);
        let is_due = |active| !self.is_leaving(domain) && self.is_due(active, moment);
        self.sends_from(domain)
            && self.keyring.waiting_key(domain, algorithm).is_none()
            && !self.has_returning(domain, algorithm)
            && active.is_none_or(|(_, active)| is_due(active))
    }

    /// Whether a key that has left may come back, so that no other is needed: one that signed
    /// until it left has its record there.
    pub(super) fn has_returning(&self, domain: &DomainName, algorithm: Algorithm) -> bool {
        self.active(domain, algorithm).is_none()
            && self
                .keyring
                .keys()
                .iter()
                .any(|key| key.algorithm == algorithm && self.may_return(key, domain))
    }

    /// Whether the newest key can be that of one more domain: as a successor, or as the
    /// first one of a domain that is new.
    fn serves(&self, key: &KeyEntry, domain: &DomainName, moment: Moment) -> bool {
        let is_first = || self.active(domain, key.algorithm).is_none();
        !key.publications.contains_key(domain)
            && (is_fresh(key) || (is_first() && !self.is_replaced_soon(key, moment)))
    }

    /// A key for all domains for which none is waiting: those that are not due yet go
    /// along, so that an organisation has one key at a time. A domain that leaves needs no other
    /// than the one it has.
    fn successor(&self, algorithm: Algorithm) -> WantedKey {
        let domains = self.keyed();
        let stays = |domain: &DomainName| {
            !self.is_leaving(domain)
                || (self.sends_from(domain) && self.active(domain, algorithm).is_none())
        };
        let without = domains.filter(|domain| {
            stays(domain) && self.keyring.waiting_key(domain, algorithm).is_none()
        });
        WantedKey {
            algorithm,
            domains: without.cloned().collect(),
        }
    }

    /// The last key that is in use or may come into use.
    fn newest(&self, algorithm: Algorithm) -> Option<&'a KeyEntry> {
        let is_live = |key: &&KeyEntry| {
            let states = || key.publications.values();
            key.algorithm == algorithm
                && states().any(|publication| {
                    matches!(
                        publication.state,
                        State::Generated | State::Published | State::Active
                    )
                })
                && states()
                    .all(|publication| publication.revocation != Some(Revocation::Compromised))
        };
        self.keyring.keys().iter().rev().find(is_live)
    }

    fn is_replaced_soon(&self, key: &KeyEntry, moment: Moment) -> bool {
        let mut publications = key.publications.iter();
        publications.any(|(domain, publication)| {
            publication.state == State::Active
                && self.is_configured(key, domain)
                && self.is_due(publication, moment)
        })
    }

    fn is_due(&self, active: &Publication, moment: Moment) -> bool {
        elapsed(active.since, moment.now).is_some_and(|age| age >= self.timing.successor_age())
    }
}

/// It has never signed.
fn is_fresh(key: &KeyEntry) -> bool {
    key.publications.values().all(|publication| {
        matches!(publication.state, State::Generated | State::Published)
            || publication.revocation == Some(Revocation::Aborted)
    })
}
