//! Reads the keyrings and keys of the organisations, and decides what signs in place of a key
//! that can't be read.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{
    held::{self, HeldKey},
    keys::{KeySet, SetKey, is_active},
    roster::Member,
};
use crate::{
    dkim::Fingerprint,
    keys::{KeyEntry, Keyring, Publication, State, unseen_since},
    keystore::{Doubt, KeyringStamp, Keystore, View, Witness},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// Where keys come from.
pub(super) struct Source<'a> {
    pub(super) keystore: &'a Keystore,
    pub(super) view: &'a View,
    pub(super) witness: &'a Witness,
    /// The keystore is older than it was, or another one.
    pub(super) has_stepped_back: bool,
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

/// The keys of one organisation as the snapshot found them.
pub(super) struct FoundKeys {
    pub(super) set: Arc<KeySet>,
    /// Of the keyring as it was read; none when it must be read again. It is no part of the
    /// set: a keyring that is written again with the same keys makes no other set.
    stamp: Option<KeyringStamp>,
    /// The keyring can't be read, believed, or is gone, so nobody knows what has changed in it.
    pub(super) is_unread: bool,
    /// The keys stay as they were until the DNS has shown those of a keystore that was put back.
    awaits_sight: bool,
    /// Domains that it does not have, though a key is in use for them by its keyring.
    pub(super) strays: Box<[DomainName]>,
}

impl FoundKeys {
    /// Reads the keyring of an organisation, and its keys if `source` says so. What can't be
    /// read any more is taken from `before`; what has not changed is not read.
    pub(super) fn load(
        member: &Member,
        source: &Source<'_>,
        before: Option<&Self>,
        problems: &mut Vec<String>,
    ) -> Self {
        let organisation = &member.organisation;
        if let Some(before) = before.filter(|before| before.is_current(organisation, source)) {
            return Self {
                set: before.set.of(organisation),
                strays: before.strays.clone(),
                ..*before
            };
        }
        let before = before.map(|before| &before.set);
        let (keyring, stamp) = match source.view.read_keyring(&organisation.id) {
            Ok(read) => read,
            Err(error) => {
                problems.push(error.to_string());
                return Self::unread(organisation, before);
            }
        };
        if before.is_some_and(|before| !before.keys.is_empty()) && keyring.keys().is_empty() {
            problems.push(keyring_is_gone(organisation, source));
            return Self::unread(organisation, before).suspended_by(&keyring);
        }
        let doubts = source.witness.doubts(organisation, &keyring);
        let read = (&keyring, doubts.as_slice());
        if let Some(kept) = Self::kept(organisation, source, read, before, problems) {
            return kept;
        }
        let keys = in_use(organisation, source, read, before, problems);
        let is_suspended = keyring.suspended().is_some();
        let mut doubted: Vec<DomainName> = doubts.iter().map(|one| one.domain.clone()).collect();
        doubted.dedup();
        let set = match before {
            Some(before) if before.is_of(organisation, &keys, is_suspended, &doubted) => {
                before.of(organisation)
            }
            _ => Arc::new(KeySet {
                organisation: Arc::clone(organisation),
                keys,
                known: member.known.clone(),
                is_suspended,
                doubted: doubted.into(),
            }),
        };
        Self {
            set,
            stamp: stamp.filter(|_| doubts.is_empty()),
            is_unread: !doubts.is_empty(),
            awaits_sight: false,
            strays: strays(organisation, &keyring, source.witness),
        }
    }

    /// The keys as they were before, if the keyring can't be believed: it is older than it was,
    /// lacks a key that signs, or the DNS is still to show its keys. Says why.
    fn kept(
        organisation: &Arc<Organisation>,
        source: &Source<'_>,
        (keyring, doubts): (&Keyring, &[Doubt]),
        before: Option<&Arc<KeySet>>,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        let signs = before.filter(|before| !before.keys.is_empty());
        // What was revoked since must not go on signing, whatever else is in doubt.
        let signs = signs.filter(|before| !before.has_given_up(source.witness));
        let (domains, algorithms) = (&organisation.domains, &organisation.algorithms);
        let restored = source.witness.restored();
        let awaits_sight = !source.has_stepped_back
            && restored
                .is_some_and(|time| !unseen_since(keyring, domains, algorithms, time).is_empty());
        let has_lost = signs.is_some_and(|before| {
            let mut doubts = doubts.iter();
            doubts.any(|doubt| !before.selectors(&doubt.domain).is_empty())
        });
        let stays = signs.filter(|_| source.has_stepped_back || awaits_sight || has_lost);
        // One line for the whole keystore says so already.
        let is_told = stays.is_some() && (source.has_stepped_back || awaits_sight);
        if !is_told {
            problems.extend(doubts.iter().map(|doubt| match stays {
                Some(_) => format!("{}; the keys as they were stay in use", doubt.reason),
                None => doubt.reason.clone(),
            }));
        }
        let before = stays?;
        let mut kept = Self::unread(organisation, Some(before));
        kept.awaits_sight = awaits_sight;
        kept.strays = strays(organisation, keyring, source.witness);
        if !source.has_stepped_back {
            kept.doubt_new(keyring, source.witness);
        }
        Some(kept.suspended_by(keyring))
    }

    /// A domain that had no key before has one in use now, which does not sign as long as the keys
    /// stay as they were: its mail is put off.
    fn doubt_new(&mut self, keyring: &Keyring, witness: &Witness) {
        let organisation = &self.set.organisation;
        let domains = organisation.domains.iter();
        let new = domains.filter(|domain| {
            let is_awaiting = self.set.is_awaiting(domain);
            is_awaiting && is_in_use(organisation, keyring, witness, domain)
        });
        let new: Vec<DomainName> = new.cloned().collect();
        if !new.is_empty() {
            let mut set = KeySet::clone(&self.set);
            set.doubted = set.doubted.iter().cloned().chain(new).collect();
            self.set = Arc::new(set);
        }
    }

    /// A suspension holds, whatever else of the keyring is not believed.
    fn suspended_by(mut self, keyring: &Keyring) -> Self {
        if keyring.suspended().is_some() && !self.set.is_suspended {
            let set = KeySet::clone(&self.set);
            self.set = Arc::new(KeySet {
                is_suspended: true,
                ..set
            });
        }
        self
    }

    /// Of a keyring that can't be read: the keys stay as they were before.
    pub(super) fn unread(organisation: &Arc<Organisation>, before: Option<&Arc<KeySet>>) -> Self {
        let set = match before {
            Some(before) => before.of(organisation),
            None => Arc::new(KeySet {
                organisation: Arc::clone(organisation),
                keys: Box::default(),
                known: None,
                is_suspended: false,
                doubted: Box::default(),
            }),
        };
        Self {
            set,
            stamp: None,
            is_unread: true,
            awaits_sight: false,
            strays: Box::default(),
        }
    }

    /// The same keys, for a member that has more domains.
    pub(super) fn of(&self, member: &Member) -> Self {
        let mut set = KeySet::clone(&self.set);
        set.organisation = Arc::clone(&member.organisation);
        set.known.clone_from(&member.known);
        Self {
            set: Arc::new(set),
            strays: Box::default(),
            ..*self
        }
    }

    /// Of an organisation that has no domain: the keyring that has no key in use, if there is
    /// nothing else to be known of it.
    pub(super) fn idle_stamp(&self) -> Option<KeyringStamp> {
        self.stamp.filter(|_| self.strays.is_empty())
    }

    /// Whether nothing has to be read again. A key that was refused has to: its file may have
    /// been put right.
    fn is_current(&self, organisation: &Organisation, source: &Source<'_>) -> bool {
        let unchanged = |stamp| source.view.is_unchanged(&organisation.id, &stamp);
        self.set.knows(organisation)
            && !self.set.keys.iter().any(SetKey::is_refused)
            && self.stamp.is_some_and(unchanged)
    }
}

/// Keys are never taken out of a keyring, so the file was.
fn keyring_is_gone(organisation: &Organisation, source: &Source<'_>) -> String {
    format!(
        "{}: the keyring of {} is gone; its keys stay in use as they were: restore the folder \
         from a backup before the next restart",
        source.keystore.path().display(),
        organisation.id
    )
}

impl KeySet {
    /// Whether a key that signs by this set was given up since.
    fn has_given_up(&self, witness: &Witness) -> bool {
        let organisation = &self.organisation.id;
        self.keys.iter().any(|key| {
            let identity = key.held.identity();
            let mut states = key.states.iter();
            states.any(|(domain, state)| {
                *state == State::Active && witness.has_given_up(organisation, identity, domain)
            })
        })
    }

    /// A key that signs by this set, and by the keyring has only left, signs on: the keeper has
    /// read files that this signer has not taken up yet, and by those that it has the domain is
    /// still here. The record stays for weeks.
    fn sign_on(&self, keyring: &Keyring, entry: &KeyEntry, states: &mut [(DomainName, State)]) {
        let before = self.keys.iter();
        let before = before.filter(|key| key.held.identity().fingerprint == entry.fingerprint);
        let signed: Vec<&DomainName> = before
            .flat_map(|key| &key.states)
            .filter(|(_, state)| *state == State::Active)
            .map(|(domain, _)| domain)
            .collect();
        for (domain, state) in states {
            let publication = entry.publications.get(domain);
            if publication.is_some_and(Publication::may_return)
                && signed.contains(&&*domain)
                && keyring.active_key(domain, entry.algorithm).is_none()
            {
                *state = State::Active;
            }
        }
    }

    /// The keys of this set that have begun to drain, if one of their `successors` can't be used
    /// or could not be read just now. Their records are still in the DNS, so mail need not wait
    /// until someone fixes the successor. Once a withdrawal is asked for, that is not certain.
    fn stand_ins(
        &self,
        keyring: &Keyring,
        successors: &[SetKey],
        organisation: &Organisation,
    ) -> Vec<SetKey> {
        let is_good =
            |key: &SetKey| key.held.is_usable() || !key.held.is_read() && self.has_in_use(key);
        if successors.iter().all(is_good) {
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
            // What can't be read just now may be readable when it is needed.
            (!held.is_refused()).then(|| SetKey {
                held: Arc::clone(held),
                states: states(entry, organisation),
                stays: false,
                shared: false,
            })
        };
        keyring
            .keys()
            .iter()
            .filter(is_draining)
            .filter_map(hold)
            .collect()
    }
}

/// The domains that an organisation does not have, though a key is in use for them. What a zegel
/// of 0.1 wrote says nothing: there, an organisation or domain without a file was removed. An older
/// keyring that was put back says nothing of a key that was given up since.
fn strays(organisation: &Organisation, keyring: &Keyring, witness: &Witness) -> Box<[DomainName]> {
    if keyring.is_of_0_1() {
        return Box::default();
    }
    let domains = keyring.in_use().into_iter();
    domains
        // One that comes is not its own yet: who has it says what becomes of its mail.
        .filter(|domain| !organisation.keyed().any(|one| one == *domain))
        .filter(|domain| is_in_use(organisation, keyring, witness, domain))
        .cloned()
        .collect()
}

/// Whether a key is in use for a domain that was not given up since.
fn is_in_use(
    organisation: &Organisation,
    keyring: &Keyring,
    witness: &Witness,
    domain: &DomainName,
) -> bool {
    let keys = keyring.keys().iter();
    let mut active = keys.filter(|key| key.state(domain) == Some(State::Active));
    active.any(|key| !witness.gave_up(&organisation.id, key, domain))
}

/// The keys of a keyring that sign, and those that stand in for one that can't.
fn in_use(
    organisation: &Arc<Organisation>,
    source: &Source<'_>,
    (keyring, doubts): (&Keyring, &[Doubt]),
    before: Option<&Arc<KeySet>>,
    problems: &mut Vec<String>,
) -> Box<[SetKey]> {
    let mut keys = Vec::new();
    for entry in keyring.keys() {
        let mut states = states(entry, organisation).into_vec();
        // Files that this signer has taken up since are its own reason.
        let is_as_before = |before: &&Arc<KeySet>| Arc::ptr_eq(&before.organisation, organisation);
        if let Some(before) = before.filter(is_as_before) {
            before.sign_on(keyring, entry, &mut states);
        }
        states.retain(|(domain, _)| {
            let is_given_up = |doubt: &Doubt| {
                doubt.given_up == Some(entry.fingerprint) && doubt.domain == *domain
            };
            // What has left at the operator's word signs nothing, whatever was activated since.
            !keyring.has_left(domain) && !doubts.iter().any(is_given_up)
        });
        let states = states.into_boxed_slice();
        if is_active(&states) && organisation.algorithms.contains(&entry.algorithm) {
            let before = before.map(Arc::as_ref);
            keys.push(hold(organisation, source, entry, states, before, problems));
        }
    }
    if let Some(before) = before {
        let stand_ins = before.stand_ins(keyring, &keys, organisation);
        for stand_in in &stand_ins {
            problems.push(format!(
                "{}: the key {} of {} goes on signing in place of its successor",
                source.keystore.path().display(),
                stand_in.held.identity().selector,
                organisation.id
            ));
        }
        keys.extend(stand_ins);
    }
    keys.into()
}

/// For each domain of the organisation the state of this key, where that bears on signing.
fn states(entry: &KeyEntry, organisation: &Organisation) -> Box<[(DomainName, State)]> {
    organisation
        .domains
        .iter()
        .filter_map(|domain| {
            let state = usable_state(entry.publications.get(domain)?)?;
            Some((domain.clone(), state))
        })
        .collect()
}

/// The state, if the key may sign in it, be it in place of another key.
fn usable_state(publication: &Publication) -> Option<State> {
    match publication.state {
        State::Active => Some(State::Active),
        State::Draining if publication.withdrawal.is_none() => Some(State::Draining),
        _ => None,
    }
}

/// A key that is in use. If it was held before and can be used, it is the same one. It is read
/// now, unless it was in use before just as it is now.
fn hold(
    organisation: &Organisation,
    source: &Source<'_>,
    entry: &KeyEntry,
    states: Box<[(DomainName, State)]>,
    before: Option<&KeySet>,
    problems: &mut Vec<String>,
) -> SetKey {
    let held = before
        .and_then(|before| before.find(&entry.fingerprint))
        .filter(|held| !held.is_refused());
    let identity = entry.identity();
    let mut key = SetKey {
        held: match held {
            Some(held) if *held.identity() == identity => Arc::clone(held),
            _ => Arc::new(HeldKey::new(source.keystore, &organisation.id, identity)),
        },
        states,
        stays: false,
        shared: false,
    };
    let is_known = before.is_some_and(|before| before.has_in_use(&key));
    if is_known || source.reading == Reading::WhenNeeded {
        return key;
    }
    let mut problem = None;
    let usable = key.held.load(|found| problem = Some(found)).is_some();
    let stays = held.filter(|held| !usable && held.load(|_| ()).is_some());
    if let Some(problem) = problem {
        match stays {
            Some(_) => problems.push(format!("{problem}; the key as it was stays in use")),
            None => problems.push(problem.to_string()),
        }
    }
    if let Some(held) = stays {
        key.stays = !Arc::ptr_eq(held, &key.held);
        key.held = Arc::clone(held);
    }
    key
}

/// One line for all organisations whose keys stay as they were after a keystore was put back.
pub(super) fn waiting(found: &[FoundKeys]) -> Option<String> {
    let mut waiting = found.iter().filter(|found| found.awaits_sight);
    let first = &waiting.next()?.set.organisation.id;
    let others = waiting.count();
    Some(format!(
        "an older keystore was put back: the keys of {first}{} stay in use as they were, until \
         the DNS has shown each active key again (docs/restore.md)",
        if others > 0 {
            format!(" and {others} other organisations")
        } else {
            String::new()
        }
    ))
}

/// The sets in use, with each key marked that several organisations have: with it either could
/// write in the name of the other, so it signs for none. No key has to be read to find them:
/// a key file that is not the key which its keyring names is refused anyway.
pub(super) fn mark_shared(
    found: &[FoundKeys],
    keystore: &Keystore,
    problems: &mut Vec<String>,
) -> Vec<Arc<KeySet>> {
    let sets = found.iter().map(|found| &found.set);
    let shared = shared(sets.clone());
    if shared.is_empty() {
        return sets.cloned().collect();
    }
    for holders in shared.values() {
        let names: Vec<&str> = holders.iter().map(OrganisationId::as_str).collect();
        problems.push(format!(
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
    sets.map(mark).collect()
}

/// The keys that several organisations have, with those organisations.
fn shared<'a>(
    sets: impl ExactSizeIterator<Item = &'a Arc<KeySet>>,
) -> HashMap<Fingerprint, BTreeSet<OrganisationId>> {
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
