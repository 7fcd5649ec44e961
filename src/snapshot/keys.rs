//! The private keys of an organisation that are in use, and which of them sign for a domain.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::held::{self, ActiveKey, HeldKey};
use crate::{
    dkim::{Algorithm, Fingerprint},
    keys::State,
    names::DomainName,
    observe::metrics::OrganisationMetrics,
    organisation::Organisation,
};

/// A domain of an organisation.
#[derive(Debug)]
pub struct Domain {
    /// The organisation that has it.
    pub organisation: Arc<Organisation>,
    /// The counters of that organisation.
    pub metrics: OrganisationMetrics,
    /// What to sign with; nothing for a parked domain.
    pub keys: Option<DomainKeys>,
}

/// The keys of a domain that are in use. Their files are read when they are first needed.
pub struct DomainKeys {
    domain: DomainName,
    set: Arc<KeySet>,
    signing: OnceLock<Signing>,
}

/// What to sign with for a domain.
#[derive(Clone, Debug)]
pub enum Signing {
    /// At least one, in the order of the organisation's algorithms.
    Active(Arc<[Arc<ActiveKey>]>),
    /// Nothing, since the operator has suspended the organisation.
    Suspended,
    /// None yet.
    Awaiting,
    /// There is one, but it can't be used. Mail must not leave unsigned because of that.
    Unusable,
}

impl DomainKeys {
    pub(super) fn new(domain: &DomainName, set: &Arc<KeySet>) -> Self {
        Self {
            domain: domain.clone(),
            set: Arc::clone(set),
            signing: OnceLock::new(),
        }
    }

    /// What to sign with, if that is known already. If not, a key has to be read first
    /// ([`DomainKeys::load`]). Looks at no disk and waits for nobody.
    pub fn ready(&self) -> Option<&Signing> {
        let choose = || self.set.choose(&self.domain);
        let known = self.signing.get();
        known.or_else(|| self.set.is_read().then(|| self.signing.get_or_init(choose)))
    }

    /// What to sign with. Reads the keys that nobody has read yet and blocks meanwhile, so it is
    /// not for a task on an async runtime. A key is read once, however many messages wait for
    /// it; what is wrong with it is logged then. What could not be read for want of something,
    /// such as descriptors, is read again the next time.
    pub fn load(&self) -> Signing {
        let chosen = self.set.choose(&self.domain);
        match self.ready() {
            Some(signing) => signing.clone(),
            None => chosen,
        }
    }

    /// Why mail of the domain is put off, where that is known: a key can't be used, or is missing.
    /// Looks at no disk. For the operator: it may name files.
    pub fn why_unusable(&self) -> Option<String> {
        match self.ready()? {
            Signing::Unusable => Some(self.set.why_unusable(&self.domain)),
            _ => None,
        }
    }

    /// Whether the domain has no key in use. No key is read for this.
    pub fn is_awaiting(&self) -> bool {
        self.set.is_awaiting(&self.domain)
    }
}

/// The selectors, or why there are none. For keys that nobody has read yet it takes the word of
/// the keyring.
impl fmt::Display for DomainKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selectors = match self.ready() {
            Some(Signing::Unusable) => return formatter.write_str("unusable"),
            Some(Signing::Suspended) => return formatter.write_str("suspended"),
            Some(Signing::Active(keys)) => keys.iter().map(|key| key.selector.as_str()).collect(),
            Some(Signing::Awaiting) | None => self.set.selectors(&self.domain),
        };
        match selectors.as_slice() {
            [] if self.is_awaiting() => formatter.write_str("awaiting a key"),
            [] => formatter.write_str("unusable"),
            selectors => formatter.write_str(&selectors.join(" and ")),
        }
    }
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DomainKeys")
            .field("domain", &self.domain)
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}

/// The keys of one organisation that are in use for one of its domains.
#[derive(Clone)]
pub(super) struct KeySet {
    pub(super) organisation: Arc<Organisation>,
    pub(super) keys: Box<[SetKey]>,
    /// The organisation as it was when its keyring was last read; none if it never was. For
    /// what it was given since, a key may be in use that nobody knows of.
    pub(super) known: Option<Arc<Organisation>>,
    /// The operator has suspended the organisation.
    pub(super) is_suspended: bool,
    /// The domains for which the keyring can't be believed: where no key is in use for them, one
    /// is missing.
    pub(super) doubted: Box<[DomainName]>,
}

#[derive(Clone)]
pub(super) struct SetKey {
    pub(super) held: Arc<HeldKey>,
    /// The domains for which it signs, or did until another key took its place.
    pub(super) states: Box<[(DomainName, State)]>,
    /// It stays as it was, since what the keyring has of it now can't be used.
    pub(super) stays: bool,
    /// Another organisation has it too, so it signs for neither.
    pub(super) shared: bool,
}

impl SetKey {
    /// Whether it is the same key for the same domains.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
            && self.states == other.states
            && self.stays == other.stays
    }

    /// Whether the key that the keyring has is known to be unusable.
    pub(super) fn is_refused(&self) -> bool {
        self.stays || self.held.is_refused()
    }
}

impl KeySet {
    /// The same keys, for the organisation as it is now.
    pub(super) fn of(self: &Arc<Self>, organisation: &Arc<Organisation>) -> Arc<Self> {
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
            is_suspended: self.is_suspended,
            doubted: self.doubted.clone(),
        })
    }

    /// Whether it has just these keys, and was read for the same domains and algorithms.
    pub(super) fn is_of(
        &self,
        organisation: &Organisation,
        keys: &[SetKey],
        is_suspended: bool,
        doubted: &[DomainName],
    ) -> bool {
        let mut pairs = self.keys.iter().zip(keys);
        self.knows(organisation)
            && self.is_suspended == is_suspended
            && *self.doubted == *doubted
            && self.keys.len() == keys.len()
            && pairs.all(|(one, other)| one.is_same(other))
    }

    /// Whether the keyring was last read for just these domains and algorithms.
    pub(super) fn knows(&self, organisation: &Organisation) -> bool {
        self.known.as_ref().is_some_and(|known| {
            known.domains == organisation.domains && known.algorithms == organisation.algorithms
        })
    }

    /// Whether a key may be in use that nobody knows of, since the keyring was not read for
    /// this domain and algorithm, or lacks a key.
    fn is_unknown(&self, domain: &DomainName, algorithm: Algorithm) -> bool {
        let mut active = self.keys_of(domain, algorithm, State::Active);
        let is_missing = self.doubted.contains(domain) && active.next().is_none();
        is_missing
            || self.known.as_ref().is_none_or(|known| {
                !known.domains.contains(domain) || !known.algorithms.contains(&algorithm)
            })
    }

    /// Whether it has this key already and no key stands in for another. Then the key is as good
    /// as it was, read or not.
    pub(super) fn has_in_use(&self, key: &SetKey) -> bool {
        let nothing_stands_in = self.keys.iter().all(|one| is_active(&one.states));
        nothing_stands_in && self.keys.iter().any(|one| one.is_same(key))
    }

    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Option<&Arc<HeldKey>> {
        self.held()
            .find(|held| held.identity().fingerprint == *fingerprint)
    }

    /// The keys that are in use, read or not.
    pub(super) fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        self.keys.iter().map(|key| &key.held)
    }

    /// How many keys are known to be unusable as the keyring has them, with those that go on
    /// signing as they were. A key that nobody has read does not count.
    pub(super) fn refused(&self) -> usize {
        let is_refused = |key: &&SetKey| key.shared || key.stays || key.held.is_file_refused();
        self.keys.iter().filter(is_refused).count()
    }

    /// Whether all have been read, so that [`KeySet::choose`] looks at no disk.
    pub(super) fn is_read(&self) -> bool {
        self.is_suspended || self.keys.iter().all(|key| key.held.is_read())
    }

    /// The selectors in use for a domain, as the keyring has them: no key is read for this.
    pub(super) fn selectors(&self, domain: &DomainName) -> Vec<&str> {
        self.organisation
            .algorithms
            .iter()
            .filter_map(|algorithm| self.keys_of(domain, *algorithm, State::Active).next())
            .map(|key| key.held.identity().selector.as_str())
            .collect()
    }

    /// Whether it is known that no key is in use for a domain.
    pub(super) fn is_awaiting(&self, domain: &DomainName) -> bool {
        let mut algorithms = self.organisation.algorithms.iter();
        self.selectors(domain).is_empty()
            && !algorithms.any(|algorithm| self.is_unknown(domain, *algorithm))
    }

    /// What to sign with for a domain. Reads the keys that nobody has read yet, and blocks
    /// meanwhile.
    pub(super) fn choose(&self, domain: &DomainName) -> Signing {
        if self.is_suspended {
            return Signing::Suspended;
        }
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
        let chosen: Vec<(Algorithm, Option<Arc<ActiveKey>>)> = self
            .organisation
            .algorithms
            .iter()
            .filter_map(choose)
            .collect();
        if chosen.is_empty() {
            return Signing::Awaiting;
        }
        // Many verifiers know RSA only. For them mail without an RSA signature is unsigned.
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

    fn why_unusable(&self, domain: &DomainName) -> String {
        let algorithms = self.organisation.algorithms.iter();
        let mut active =
            algorithms.flat_map(|algorithm| self.keys_of(domain, *algorithm, State::Active));
        let why = active.find_map(|key| {
            if key.shared {
                let selector = &key.held.identity().selector;
                return Some(format!("another organisation has the key {selector} too"));
            }
            key.held.refusal().map(str::to_owned)
        });
        why.unwrap_or_else(|| "a key is missing, or nobody can tell which one is in use".to_owned())
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
pub(super) fn is_active(states: &[(DomainName, State)]) -> bool {
    states.iter().any(|(_, state)| *state == State::Active)
}
