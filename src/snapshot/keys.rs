//! The private keys of an organisation that are in use, and which of them sign for a domain.

mod reading;
mod shared;

use std::sync::Arc;

pub(super) use self::{
    reading::{FoundKeys, Reading, Source},
    shared::without_shared,
};
use super::held::{self, HeldKey};
use crate::{
    dkim::{Algorithm, Fingerprint},
    keys::State,
    names::DomainName,
    organisation::Organisation,
    snapshot::{ActiveKey, Signing},
};

/// The keys of one organisation that are in use for one of its domains.
#[derive(Clone)]
pub(super) struct KeySet {
    organisation: Arc<Organisation>,
    keys: Box<[SetKey]>,
    /// The organisation as it was when its keyring was read; none if that could never be read.
    /// What it has got since may have a key in use that nobody knows of.
    known: Option<Arc<Organisation>>,
}

#[derive(Clone)]
struct SetKey {
    held: Arc<HeldKey>,
    /// For which domains it signs, or did until another took its place.
    states: Box<[(DomainName, State)]>,
    /// It is as it was: what the keyring has of it by now can't be used.
    stays: bool,
    /// Another organisation has it too, so that it signs for neither.
    shared: bool,
}

impl SetKey {
    /// Whether it is the same key for the same domains.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
            && self.states == other.states
            && self.stays == other.stays
    }

    /// Whether it is known that what the keyring has can't be used.
    fn is_refused(&self) -> bool {
        self.stays || self.held.is_refused()
    }
}

impl KeySet {
    /// The same keys for what may be another state of the organisation.
    fn of(self: &Arc<Self>, organisation: &Arc<Organisation>) -> Arc<Self> {
        if Arc::ptr_eq(&self.organisation, organisation) {
            return Arc::clone(self);
        }
        let known = if self.knows(organisation) {
            Some(organisation)
        } else {
            self.known.as_ref()
        };
        Arc::new(Self {
            organisation: Arc::clone(organisation),
            keys: self.keys.clone(),
            known: known.cloned(),
        })
    }

    /// Whether these are its keys, for the same domains of the same organisation.
    fn is_of(&self, organisation: &Organisation, keys: &[SetKey]) -> bool {
        let mut pairs = self.keys.iter().zip(keys);
        self.knows(organisation)
            && self.keys.len() == keys.len()
            && pairs.all(|(one, other)| one.is_same(other))
    }

    /// Whether the keyring was read with just these domains and algorithms in mind.
    fn knows(&self, organisation: &Organisation) -> bool {
        self.known.as_ref().is_some_and(|known| {
            known.domains == organisation.domains && known.algorithms == organisation.algorithms
        })
    }

    /// Whether a key may be in use that nobody knows of.
    fn is_unknown(&self, domain: &DomainName, algorithm: Algorithm) -> bool {
        self.known.as_ref().is_none_or(|known| {
            !known.domains.contains(domain) || !known.algorithms.contains(&algorithm)
        })
    }

    /// Whether a key has its place here already and nothing stands in for any: then it is as
    /// good as it was, read or not.
    fn has_in_use(&self, key: &SetKey) -> bool {
        let nothing_stands_in = self.keys.iter().all(|one| is_active(&one.states));
        nothing_stands_in && self.keys.iter().any(|one| one.is_same(key))
    }

    fn find(&self, fingerprint: &Fingerprint) -> Option<&Arc<HeldKey>> {
        let mut held = self.keys.iter().map(|key| &key.held);
        held.find(|held| held.identity().fingerprint == *fingerprint)
    }

    /// The keys that are in use, read or not.
    pub(super) fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        self.keys.iter().map(|key| &key.held)
    }

    /// How many are known not to be usable as the keyring has them, as far as they have been
    /// read; also those that sign on as they were.
    pub(super) fn refused(&self) -> usize {
        let is_refused = |key: &&SetKey| key.shared || key.stays || key.held.is_file_refused();
        self.keys.iter().filter(is_refused).count()
    }

    /// Whether [`KeySet::choose`] looks at no disk.
    pub(super) fn is_read(&self) -> bool {
        self.keys.iter().all(|key| key.held.is_read())
    }

    /// The selectors that are in use for a domain, as far as that is known without reading
    /// a key.
    pub(super) fn selectors(&self, domain: &DomainName) -> Vec<&str> {
        let algorithms = self.organisation.algorithms.iter();
        let active = algorithms.filter_map(|algorithm| {
            let key = self.keys_of(domain, *algorithm, State::Active).next()?;
            Some(key.held.identity().selector.as_str())
        });
        active.collect()
    }

    /// Whether no key is in use for a domain, and that is known.
    pub(super) fn is_awaiting(&self, domain: &DomainName) -> bool {
        let mut algorithms = self.organisation.algorithms.iter();
        self.selectors(domain).is_empty()
            && !algorithms.any(|algorithm| self.is_unknown(domain, *algorithm))
    }

    /// What to sign with for a domain. Reads the keys that nobody has read yet, and waits
    /// for that.
    pub(super) fn choose(&self, domain: &DomainName) -> Signing {
        let usable = |key: &SetKey| {
            let held = (!key.shared).then_some(&key.held)?;
            held.load(|problem| held::log(&problem)).cloned()
        };
        let choose = |algorithm: &Algorithm| {
            if self.is_unknown(domain, *algorithm) {
                return Some((*algorithm, None));
            }
            let active = self.keys_of(domain, *algorithm, State::Active).next()?;
            let mut stand_ins = self.keys_of(domain, *algorithm, State::Draining);
            let key = usable(active).or_else(|| stand_ins.find_map(usable));
            Some((*algorithm, key))
        };
        let algorithms = self.organisation.algorithms.iter();
        let chosen: Vec<(Algorithm, Option<Arc<ActiveKey>>)> =
            algorithms.filter_map(choose).collect();
        if chosen.is_empty() {
            return Signing::Awaiting;
        }
        // Many verifiers know RSA only: without a signature of it the mail is as good as
        // unsigned.
        let lacks = |(algorithm, key): &(Algorithm, Option<_>)| {
            key.is_none() && *algorithm == Algorithm::RsaSha256
        };
        let lacks_rsa = chosen.iter().any(lacks);
        let keys: Arc<[_]> = chosen.into_iter().filter_map(|(_, key)| key).collect();
        if keys.is_empty() || lacks_rsa {
            return Signing::Unusable;
        }
        Signing::Active(keys)
    }

    fn keys_of(
        &self,
        domain: &DomainName,
        algorithm: Algorithm,
        state: State,
    ) -> impl Iterator<Item = &SetKey> {
        self.keys.iter().filter(move |key| {
            let mut states = key.states.iter();
            key.held.identity().algorithm == algorithm
                && states.any(|(name, there)| name == domain && *there == state)
        })
    }
}

/// Whether a key signs, and does not merely stand in for another.
fn is_active(states: &[(DomainName, State)]) -> bool {
    states.iter().any(|(_, state)| *state == State::Active)
}
