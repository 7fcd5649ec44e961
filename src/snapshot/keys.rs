//! The private keys of a snapshot: which of them sign for a domain, and what becomes of one
//! that can't be read.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::Domain;
use crate::{
    dkim::{Algorithm, Fingerprint, SigningKey},
    keystore::{KeyEntry, Keyring, Keystore, State},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// The keys of a domain that are in use.
#[derive(Clone, Debug)]
pub enum DomainKeys {
    /// At least one, in the order of the organisation's algorithms.
    Active(Arc<[Arc<ActiveKey>]>),
    /// None yet.
    Awaiting,
    /// There is one and it can't be used: mail must not leave unsigned because of that.
    Unusable,
}

/// A key that signs.
#[derive(Clone, Debug)]
pub struct ActiveKey {
    /// For `s=`.
    pub selector: Selector,
    /// The private key.
    pub signing_key: Arc<SigningKey>,
}

/// What went wrong with keys, one line each, with the way out.
#[derive(Default)]
pub(super) struct KeyProblems {
    pub(super) lines: Vec<String>,
}

impl KeyProblems {
    fn add(&mut self, problem: impl fmt::Display) {
        self.lines.push(problem.to_string());
    }

    fn name_stand_ins(
        &mut self,
        organisation: &Organisation,
        keystore: &Keystore,
        stand_ins: &[HeldKey],
    ) {
        for HeldKey { entry, .. } in stand_ins {
            self.add(format_args!(
                "{}: the key {} of {} goes on signing in place of its successor",
                keystore.path().display(),
                entry.selector,
                organisation.id
            ));
        }
    }
}

/// The keys of one organisation that are in use for one of its domains.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: Vec<HeldKey>,
    /// The keyring can't be read and has never been: nobody knows which keys are in use.
    unknown: bool,
}

#[derive(Clone)]
struct HeldKey {
    entry: KeyEntry,
    /// Nothing when its file is refused and no earlier snapshot had it.
    key: Option<Arc<ActiveKey>>,
}

impl KeySet {
    /// Reads the keys of an organisation; what can't be read any more comes from `before`.
    pub(super) fn load(
        organisation: &Organisation,
        keystore: &Keystore,
        before: Option<&Self>,
        problems: &mut KeyProblems,
    ) -> Self {
        let keyring = match keystore.read_keyring(&organisation.id) {
            Ok(keyring) => keyring,
            Err(error) => {
                problems.add(error);
                let unknown = Self {
                    keys: Vec::new(),
                    unknown: true,
                };
                return before.cloned().unwrap_or(unknown);
            }
        };
        if let Some(before) = before.filter(|before| !before.keys.is_empty())
            && keyring.keys().is_empty()
        {
            // Keys are never taken out of a keyring, so the file was.
            problems.add(format_args!(
                "{}: the keyring of {} is gone; its keys stay in use as they were: restore the \
                 folder from a backup before the next restart",
                keystore.path().display(),
                organisation.id
            ));
            return before.clone();
        }
        let in_use = |entry: &&KeyEntry| is_in_use(entry, organisation);
        let hold = |entry: &KeyEntry| HeldKey {
            entry: entry.clone(),
            key: load_key(organisation, keystore, entry, before, problems),
        };
        let mut keys: Vec<HeldKey> = keyring.keys().iter().filter(in_use).map(hold).collect();
        if let Some(before) = before {
            let stand_ins = before.stand_ins(&keyring, &keys);
            problems.name_stand_ins(organisation, keystore, &stand_ins);
            keys.extend(stand_ins);
        }
        Self {
            keys,
            unknown: false,
        }
    }

    /// The keys that were held and are draining by now, if one of `successors` can't be used:
    /// their records are still there, so mail need not wait for the mending.
    fn stand_ins(&self, keyring: &Keyring, successors: &[HeldKey]) -> Vec<HeldKey> {
        if successors.iter().all(|held| held.key.is_some()) {
            return Vec::new();
        }
        let is_draining = |entry: &&KeyEntry| {
            let mut publications = entry.publications.values();
            publications.any(|publication| publication.state == State::Draining)
        };
        let hold = |entry: &KeyEntry| {
            let key = self.before(entry)?.clone();
            let entry = entry.clone();
            let is_successor = |held: &HeldKey| held.entry.fingerprint == entry.fingerprint;
            (!successors.iter().any(is_successor)).then_some(HeldKey {
                entry,
                key: Some(key),
            })
        };
        let draining = keyring.keys().iter().filter(is_draining);
        draining.filter_map(hold).collect()
    }

    /// What to sign with for a domain.
    pub(super) fn of_domain(&self, domain: &DomainName, algorithms: &[Algorithm]) -> DomainKeys {
        if self.unknown {
            return DomainKeys::Unusable;
        }
        let find = |algorithm: Algorithm, state: State| {
            self.keys.iter().filter(move |held| {
                held.entry.algorithm == algorithm && held.entry.state(domain) == Some(state)
            })
        };
        let held = |algorithm: &Algorithm| {
            let active = find(*algorithm, State::Active).next()?;
            let mut stand_ins = find(*algorithm, State::Draining);
            let stand_in = stand_ins.find(|held| held.key.is_some());
            match active.key {
                Some(_) => Some(active),
                None => stand_in.or(Some(active)),
            }
        };
        let held: Vec<&HeldKey> = algorithms.iter().filter_map(held).collect();
        let active: Arc<[_]> = held.iter().filter_map(|held| held.key.clone()).collect();
        // Many verifiers know RSA only: without a signature of it the mail is as good as
        // unsigned.
        let lacks_rsa = held
            .iter()
            .any(|held| held.key.is_none() && held.entry.algorithm == Algorithm::RsaSha256);
        match (held.is_empty(), active.is_empty() || lacks_rsa) {
            (true, _) => DomainKeys::Awaiting,
            (false, true) => DomainKeys::Unusable,
            (false, false) => DomainKeys::Active(active),
        }
    }

    fn before(&self, entry: &KeyEntry) -> Option<&Arc<ActiveKey>> {
        self.keys
            .iter()
            .find(|held| held.entry.fingerprint == entry.fingerprint)
            .and_then(|held| held.key.as_ref())
    }
}

fn is_in_use(entry: &KeyEntry, organisation: &Organisation) -> bool {
    organisation.algorithms.contains(&entry.algorithm)
        && organisation
            .domains
            .iter()
            .any(|domain| entry.state(domain) == Some(State::Active))
}

fn load_key(
    organisation: &Organisation,
    keystore: &Keystore,
    entry: &KeyEntry,
    before: Option<&KeySet>,
    problems: &mut KeyProblems,
) -> Option<Arc<ActiveKey>> {
    match keystore.load_key(&organisation.id, entry) {
        Ok(key) => Some(Arc::new(ActiveKey {
            selector: entry.selector.clone(),
            signing_key: Arc::new(key),
        })),
        Err(problem) => {
            let before = before.and_then(|before| before.before(entry));
            match before {
                Some(_) => problems.add(format_args!("{problem}; the key as it was stays in use")),
                None => problems.add(problem),
            }
            before.cloned()
        }
    }
}

/// Refuses a key that two organisations have: either could write in the name of the other
/// (a separate key pair for each organisation, whatever else may be).
pub(super) fn refuse_shared(
    keys: &mut HashMap<OrganisationId, KeySet>,
    keystore: &Keystore,
    problems: &mut KeyProblems,
) {
    let mut holders: HashMap<Fingerprint, BTreeSet<OrganisationId>> = HashMap::new();
    for (organisation, set) in &*keys {
        for held in &set.keys {
            let holders = holders.entry(held.entry.fingerprint).or_default();
            holders.insert(organisation.clone());
        }
    }
    holders.retain(|_, holders| holders.len() > 1);
    for holders in holders.values() {
        let names: Vec<&str> = holders.iter().map(OrganisationId::as_str).collect();
        problems.add(format_args!(
            "{}: the organisations {} have the same key, which signs for none of them; \
             make a key for each with `zegel key generate ORG`",
            keystore.path().display(),
            names.join(" and ")
        ));
    }
    for held in keys.values_mut().flat_map(|set| &mut set.keys) {
        if holders.contains_key(&held.entry.fingerprint) {
            held.key = None;
        }
    }
}

/// How the keys in use differ, one line for each domain, sorted.
pub(super) fn changes(
    old: &HashMap<DomainName, Arc<Domain>>,
    new: &HashMap<DomainName, Arc<Domain>>,
) -> Vec<String> {
    let names: HashSet<&DomainName> = old.keys().chain(new.keys()).collect();
    let describe = |domain: Option<&Arc<Domain>>| match domain.and_then(|d| d.keys.as_ref()) {
        None => "none".to_owned(),
        Some(keys) => keys.to_string(),
    };
    let mut lines: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let (before, after) = (describe(old.get(name)), describe(new.get(name)));
            (before != after).then(|| format!("keys of {name}: {before} -> {after}"))
        })
        .collect();
    lines.sort();
    lines
}

/// The selectors, or why there are none.
impl fmt::Display for DomainKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(keys) => {
                let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
                formatter.write_str(&selectors.join(" and "))
            }
            Self::Awaiting => formatter.write_str("awaiting a key"),
            Self::Unusable => formatter.write_str("unusable"),
        }
    }
}
