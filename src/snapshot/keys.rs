//! The private keys of an organisation: which of them are in use, and what becomes of one
//! that can't be read.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    fmt,
    sync::Arc,
};

use super::held::{self, HeldKey};
use crate::{
    dkim::{Algorithm, Fingerprint},
    keystore::{KeyEntry, Keyring, KeyringStamp, Keystore, Publication, State, View},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
    snapshot::{ActiveKey, Signing},
};

/// What went wrong with keys, one line each, with the way out.
#[derive(Default)]
pub(super) struct KeyProblems {
    pub(super) lines: Vec<String>,
    /// Whether a keyring could not be read: nobody knows what has changed in it.
    pub(super) unread_keyrings: bool,
}

impl KeyProblems {
    fn add(&mut self, problem: impl fmt::Display) {
        self.lines.push(problem.to_string());
    }
}

/// Where keys come from.
pub(super) struct Source<'a> {
    pub(super) keystore: &'a Keystore,
    pub(super) view: &'a View,
    pub(super) reading: Reading,
}

/// When private keys are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// While the snapshot is made.
    AtOnce,
    /// When there is mail for them.
    WhenNeeded,
}

/// The keys of one organisation that are in use for one of its domains.
#[derive(Clone)]
pub(super) struct KeySet {
    organisation: Arc<Organisation>,
    keys: Box<[SetKey]>,
    /// The keyring can't be read and has never been: nobody knows which keys are in use.
    unknown: bool,
    /// Of the keyring as it was read; none when it must be read again.
    stamp: Option<KeyringStamp>,
}

#[derive(Clone)]
struct SetKey {
    held: Arc<HeldKey>,
    /// For which domains it signs, or did until another took its place.
    states: Box<[(DomainName, State)]>,
    /// Another organisation has it too, so that it signs for neither.
    shared: bool,
}

impl KeySet {
    /// Reads the keyring of an organisation, and its keys if that is due; what can't be read
    /// any more comes from `before`. What has not changed is not read.
    pub(super) fn load(
        organisation: &Arc<Organisation>,
        source: &Source<'_>,
        before: Option<&Arc<Self>>,
        problems: &mut KeyProblems,
    ) -> Arc<Self> {
        if let Some(before) = before.filter(|before| before.is_current(organisation, source)) {
            return before.of(organisation, before.stamp);
        }
        let (keyring, stamp) = match source.view.read_keyring(&organisation.id) {
            Ok(read) => read,
            Err(error) => {
                problems.add(error);
                problems.unread_keyrings = true;
                return match before {
                    Some(before) => before.of(organisation, None),
                    None => Arc::new(Self {
                        organisation: Arc::clone(organisation),
                        keys: Box::default(),
                        unknown: true,
                        stamp: None,
                    }),
                };
            }
        };
        let place = source.keystore.path().display();
        if let Some(before) = before.filter(|before| !before.keys.is_empty())
            && keyring.keys().is_empty()
        {
            // Keys are never taken out of a keyring, so the file was.
            problems.add(format_args!(
                "{place}: the keyring of {} is gone; its keys stay in use as they were: restore \
                 the folder from a backup before the next restart",
                organisation.id
            ));
            return before.of(organisation, None);
        }
        let in_use = keyring.keys().iter().filter_map(|entry| {
            let states = states(entry, organisation);
            let is_active = states.iter().any(|(_, state)| *state == State::Active);
            let wanted = organisation.algorithms.contains(&entry.algorithm);
            (is_active && wanted).then_some((entry, states))
        });
        let hold = |(entry, states): (&KeyEntry, _)| SetKey {
            held: hold(organisation, source, (entry, before), problems),
            states,
            shared: false,
        };
        let mut keys: Vec<SetKey> = in_use.map(hold).collect();
        if let Some(before) = before {
            let stand_ins = before.stand_ins(&keyring, &keys, organisation);
            for stand_in in &stand_ins {
                problems.add(format_args!(
                    "{place}: the key {} of {} goes on signing in place of its successor",
                    stand_in.held.identity().selector,
                    organisation.id
                ));
            }
            keys.extend(stand_ins);
        }
        Arc::new(Self {
            organisation: Arc::clone(organisation),
            keys: keys.into(),
            unknown: false,
            stamp,
        })
    }

    /// Whether nothing has to be read again. A key that was refused may have been mended.
    fn is_current(&self, organisation: &Organisation, source: &Source<'_>) -> bool {
        let known = self.organisation.domains == organisation.domains
            && self.organisation.algorithms == organisation.algorithms;
        let unchanged = |stamp| source.view.is_unchanged(&organisation.id, &stamp);
        known
            && !self.unknown
            && !self.keys.iter().any(|key| key.held.is_refused())
            && self.stamp.is_some_and(unchanged)
    }

    /// The same keys for what may be another state of the organisation.
    fn of(
        self: &Arc<Self>,
        organisation: &Arc<Organisation>,
        stamp: Option<KeyringStamp>,
    ) -> Arc<Self> {
        if Arc::ptr_eq(&self.organisation, organisation) && self.stamp == stamp {
            return Arc::clone(self);
        }
        Arc::new(Self {
            organisation: Arc::clone(organisation),
            stamp,
            ..Self::clone(self)
        })
    }

    /// The keys that were held and are draining by now, if one of `successors` can't be used,
    /// or could not be read just now: their records are still there, so mail need not wait for
    /// the mending. Once their withdrawal is asked for, they may be gone.
    fn stand_ins(
        &self,
        keyring: &Keyring,
        successors: &[SetKey],
        organisation: &Organisation,
    ) -> Vec<SetKey> {
        if successors.iter().all(|key| key.held.is_usable()) {
            return Vec::new();
        }
        let is_draining = |entry: &&KeyEntry| {
            let mut publications = entry.publications.values();
            publications.any(|publication| usable_state(publication) == Some(State::Draining))
        };
        let hold = |entry: &KeyEntry| {
            let held = self.find(&entry.fingerprint)?;
            let is_successor = |key: &SetKey| key.held.identity().fingerprint == entry.fingerprint;
            if successors.iter().any(is_successor) {
                return None;
            }
            held.load(|problem| held::log(&problem));
            // What can't be read just now may be when it is needed.
            (!held.is_refused()).then(|| SetKey {
                held: Arc::clone(held),
                states: states(entry, organisation),
                shared: false,
            })
        };
        let draining = keyring.keys().iter().filter(is_draining);
        draining.filter_map(hold).collect()
    }

    fn find(&self, fingerprint: &Fingerprint) -> Option<&Arc<HeldKey>> {
        let mut held = self.keys.iter().map(|key| &key.held);
        held.find(|held| held.identity().fingerprint == *fingerprint)
    }

    /// The keys that are in use, read or not.
    pub(super) fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        self.keys.iter().map(|key| &key.held)
    }

    /// How many are known not to be usable, as far as they have been read; 1 if the keyring
    /// is not known.
    pub(super) fn refused(&self) -> usize {
        let is_refused = |key: &&SetKey| key.shared || key.held.is_refused();
        usize::from(self.unknown) + self.keys.iter().filter(is_refused).count()
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

    /// Whether no key is in use for a domain.
    pub(super) fn is_awaiting(&self, domain: &DomainName) -> bool {
        !self.unknown && self.selectors(domain).is_empty()
    }

    /// What to sign with for a domain. Reads the keys that nobody has read yet, and waits
    /// for that.
    pub(super) fn choose(&self, domain: &DomainName) -> Signing {
        if self.unknown {
            return Signing::Unusable;
        }
        let usable = |key: &SetKey| {
            let held = (!key.shared).then_some(&key.held)?;
            held.load(|problem| held::log(&problem)).cloned()
        };
        let choose = |algorithm: &Algorithm| {
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

/// The states that decide about signing, of the domains of the organisation.
fn states(entry: &KeyEntry, organisation: &Organisation) -> Box<[(DomainName, State)]> {
    let domains = organisation.domains.iter();
    let states = domains.filter_map(|domain| {
        let state = usable_state(entry.publications.get(domain)?)?;
        Some((domain.clone(), state))
    });
    states.collect()
}

/// The state, if mail may be signed in it: with the key, or with it in place of another.
fn usable_state(publication: &Publication) -> Option<State> {
    match publication.state {
        State::Active => Some(State::Active),
        State::Draining if publication.withdrawal.is_none() => Some(State::Draining),
        _ => None,
    }
}

/// A key that is in use: the one that was held before, if it can be used.
fn hold(
    organisation: &Organisation,
    source: &Source<'_>,
    (entry, before): (&KeyEntry, Option<&Arc<KeySet>>),
    problems: &mut KeyProblems,
) -> Arc<HeldKey> {
    let before = before.and_then(|before| before.find(&entry.fingerprint));
    let before = before.filter(|held| !held.is_refused());
    let identity = entry.identity();
    let held = match before {
        Some(held) if *held.identity() == identity => Arc::clone(held),
        _ => Arc::new(HeldKey::new(source.keystore, &organisation.id, identity)),
    };
    if source.reading == Reading::WhenNeeded {
        return held;
    }
    let mut problem = None;
    let usable = held.load(|found| problem = Some(found)).is_some();
    let stays = before.filter(|before| !usable && before.load(|_| ()).is_some());
    if let Some(problem) = problem {
        match stays {
            Some(_) => problems.add(format_args!("{problem}; the key as it was stays in use")),
            None => problems.add(problem),
        }
    }
    stays.map_or(held, Arc::clone)
}

/// Refuses a key that two organisations have: either could write in the name of the other
/// (a separate key pair for each organisation, whatever else may be). What the keyrings say
/// suffices for that, so that nothing is ever signed with such a key: one that is read is
/// the one that its keyring names, or it is refused.
pub(super) fn without_shared(
    sets: &[Arc<KeySet>],
    keystore: &Keystore,
    problems: &mut KeyProblems,
) -> Vec<Arc<KeySet>> {
    let shared = shared(sets);
    if shared.is_empty() {
        return sets.to_vec();
    }
    for holders in shared.values() {
        let names: Vec<&str> = holders.iter().map(OrganisationId::as_str).collect();
        problems.add(format_args!(
            "{}: the organisations {} have the same key, which signs for none of them; \
             make a key for each with `zegel key generate ORG`",
            keystore.path().display(),
            names.join(" and ")
        ));
    }
    let keys: HashSet<Fingerprint> = shared.into_keys().collect();
    let is_shared = |key: &SetKey| keys.contains(&key.held.identity().fingerprint);
    let mark = |set: &Arc<KeySet>| {
        if !set.keys.iter().any(is_shared) {
            return Arc::clone(set);
        }
        let mut marked = KeySet::clone(set);
        for key in &mut marked.keys {
            key.shared = is_shared(key);
        }
        Arc::new(marked)
    };
    sets.iter().map(mark).collect()
}

/// The keys that several organisations have, and which do.
fn shared(sets: &[Arc<KeySet>]) -> HashMap<Fingerprint, BTreeSet<OrganisationId>> {
    let mut first = HashMap::with_capacity(sets.len());
    let mut shared: HashMap<Fingerprint, BTreeSet<OrganisationId>> = HashMap::new();
    for set in sets {
        let id = &set.organisation.id;
        for held in set.held() {
            let fingerprint = held.identity().fingerprint;
            match first.entry(fingerprint) {
                Entry::Vacant(place) => {
                    place.insert(id);
                }
                Entry::Occupied(other) if *other.get() != id => {
                    let holders = shared.entry(fingerprint).or_default();
                    holders.extend([(*other.get()).clone(), id.clone()]);
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    shared
}
