//! Everything that a message is decided and signed with, immutable and swapped whole:
//! configuration, organisations and keys. A message keeps the snapshot it started with.

mod held;
mod keys;
mod reading;

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;

use self::{
    held::HeldKey,
    keys::KeySet,
    reading::{FoundKeys, Reading, Source},
};
pub use self::{
    held::{ActiveKey, KeyCare},
    keys::{Domain, DomainKeys, Signing},
};
use crate::{
    config::{Loaded, Settings, SigningSettings},
    files,
    keystore::{GenerationStamp, Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    observe::metrics::Metrics,
    organisation::Organisation,
};

/// See the module.
pub struct Snapshot {
    loaded: Loaded,
    domains: HashMap<DomainName, Arc<Domain>>,
    /// In the order of the organisations, as their keyrings have them.
    found: Vec<FoundKeys>,
    /// Their sets, but for keys that several organisations have: those sign for none.
    in_use: Vec<Arc<KeySet>>,
    generation: GenerationStamp,
}

/// A snapshot and what went wrong while it was made.
pub struct Built {
    /// Usable all the same: the problems concern single keys or organisations.
    pub snapshot: Snapshot,
    /// One line each, with the way out.
    pub problems: Vec<String>,
    /// Whether the snapshot before had an organisation that this one does not have.
    pub has_lost: bool,
}

impl Snapshot {
    /// Puts all together, and reads the keys of all organisations that `previous` does not
    /// have as they are now.
    ///
    /// What can't be read any more is taken from `previous`, if that had it, and named among
    /// the problems; nothing that is wrong with one organisation touches another.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub fn build(
        loaded: Loaded,
        keystore: &Keystore,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Built, KeystoreError> {
        make(loaded, (keystore, Reading::AtOnce), metrics, previous)
    }

    /// The first snapshot of a signer: reads the keyrings alone. A key is read when it is
    /// needed, or by [`KeyCare`] before that.
    ///
    /// # Errors
    ///
    /// When the keystore as a whole can't be read.
    pub fn first(
        loaded: Loaded,
        keystore: &Keystore,
        metrics: &Metrics,
    ) -> Result<Built, KeystoreError> {
        make(loaded, (keystore, Reading::WhenNeeded), metrics, None)
    }

    /// What `zegel.toml` says.
    pub fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    /// What is signed, and how.
    pub fn signing(&self) -> &SigningSettings {
        &self.loaded.settings.signing
    }

    /// The configuration that this was made from.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// The organisations, in the order of their ids.
    pub fn organisations(&self) -> &[Arc<Organisation>] {
        &self.loaded.organisations
    }

    /// What is known of a domain, if an organisation has it: exactly this one, no parent.
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// How many domains that send have no key in use: their mail leaves unsigned.
    pub fn domains_without_key(&self) -> usize {
        let keys = self.domains.values();
        let keys = keys.filter_map(|domain| domain.keys.as_ref());
        keys.filter(|keys| keys.is_awaiting()).count()
    }

    /// The generation of the keystore that the keys are of.
    pub fn generation(&self) -> GenerationStamp {
        self.generation
    }

    /// Whether a keyring could not be read or is gone, so that a key that was revoked may still
    /// be in use: to be made anew, although the generation is the same.
    pub fn has_unread_keyrings(&self) -> bool {
        self.found.iter().any(FoundKeys::is_unread)
    }

    /// How the keys in use differ from those of an earlier snapshot, one line each.
    pub fn key_changes(&self, previous: &Self) -> Vec<String> {
        changes(previous, self)
    }

    /// A round of care for all keys.
    pub fn key_care(&self) -> KeyCare {
        KeyCare::new(self.held().cloned().collect())
    }

    /// How many keys and keyrings can't be used as they should be: refused, of two
    /// organisations, unreadable or gone. Of the keys those that anybody has read count: all
    /// of them after a round of [`KeyCare`].
    pub fn key_problems(&self) -> usize {
        let unread = self.found.iter().filter(|found| found.is_unread()).count();
        let refused: usize = self.in_use.iter().map(|set| set.refused()).sum();
        unread + refused
    }

    fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        self.found.iter().flat_map(|found| found.set.held())
    }
}

fn make(
    loaded: Loaded,
    (keystore, reading): (&Keystore, Reading),
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> Result<Built, KeystoreError> {
    // Read first: what is written meanwhile makes for one more reload, not for a lost one.
    let generation = keystore.generation_stamp()?;
    let source = Source {
        keystore,
        view: &keystore.view()?,
        reading,
    };
    let mut problems = Vec::new();
    let organisations = &loaded.organisations;
    let places = Places::new(organisations, previous);
    let mut found = Vec::with_capacity(organisations.len());
    if let Some(previous) = previous {
        // One after the other: mail needs the other processors.
        for (place, organisation) in organisations.iter().enumerate() {
            let before = places.of(place).map(|before| &previous.found[before]);
            found.push(FoundKeys::load(
                organisation,
                &source,
                before,
                &mut problems,
            ));
        }
    } else {
        let load = |organisation: &Arc<Organisation>| {
            let mut problems = Vec::new();
            let keys = FoundKeys::load(organisation, &source, None, &mut problems);
            (keys, problems)
        };
        for (keys, more) in files::each(organisations, load) {
            found.push(keys);
            problems.extend(more);
        }
    }
    let in_use = reading::without_shared(&found, keystore, &mut problems);
    let snapshot = Snapshot {
        domains: index((organisations, &in_use), metrics, &places, previous),
        loaded,
        found,
        in_use,
        generation,
    };
    Ok(Built {
        snapshot,
        problems,
        has_lost: places.has_lost(previous),
    })
}

/// All domains by their names; those of which nothing has changed are the ones of `previous`.
fn index(
    (organisations, in_use): (&[Arc<Organisation>], &[Arc<KeySet>]),
    metrics: &Metrics,
    places: &Places,
    previous: Option<&Snapshot>,
) -> HashMap<DomainName, Arc<Domain>> {
    let mut domains = if let Some(previous) = previous {
        previous.domains.clone()
    } else {
        let numbers = organisations.iter();
        let numbers = numbers.map(|one| one.domains.len() + one.parked.len());
        HashMap::with_capacity(numbers.sum())
    };
    let (old, new) = places.differences(previous, (organisations, in_use));
    // First of all what has gone: a domain may have moved from one organisation to another.
    let old = previous.into_iter().flat_map(|previous| {
        let organisations = previous.organisations();
        old.iter().map(|place| &organisations[*place])
    });
    for name in old.flat_map(|one| one.domains.iter().chain(&one.parked)) {
        domains.remove(name);
    }
    for place in new {
        let (organisation, set) = (&organisations[place], &in_use[place]);
        let counters = metrics.organisation(&organisation.id);
        let mut insert = |name: &DomainName, keys| {
            let domain = Domain {
                organisation: Arc::clone(organisation),
                metrics: counters.clone(),
                keys,
            };
            domains.insert(name.clone(), Arc::new(domain));
        };
        for name in &organisation.domains {
            insert(name, Some(DomainKeys::new(name, set)));
        }
        for name in &organisation.parked {
            insert(name, None);
        }
    }
    domains
}

/// Finds organisations by their ids: fast when they are asked for in their order, as those
/// of the next snapshot are.
struct Finder<'a> {
    organisations: &'a [Arc<Organisation>],
    next: usize,
    by_id: OnceCell<HashMap<&'a OrganisationId, usize>>,
}

impl Finder<'_> {
    fn find(&mut self, id: &OrganisationId) -> Option<usize> {
        let is_next = |one: &Arc<Organisation>| one.id == *id;
        if !self.organisations.get(self.next).is_some_and(is_next) {
            let by_id = self.by_id.get_or_init(|| {
                let ids = self.organisations.iter().map(|one| &one.id);
                ids.zip(0..).collect()
            });
            self.next = *by_id.get(id)?;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// The places that the organisations had in the snapshot before.
struct Places(Vec<Option<usize>>);

impl Places {
    fn new(organisations: &[Arc<Organisation>], previous: Option<&Snapshot>) -> Self {
        let mut finder = Finder {
            organisations: previous.map_or(&[], Snapshot::organisations),
            next: 0,
            by_id: OnceCell::new(),
        };
        let places = organisations.iter().map(|one| finder.find(&one.id));
        Self(places.collect())
    }

    fn of(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }

    /// What differs between the two: the places in the snapshot before, of what has gone or
    /// was otherwise, and then those in the next one.
    fn differences(
        &self,
        previous: Option<&Snapshot>,
        (organisations, in_use): (&[Arc<Organisation>], &[Arc<KeySet>]),
    ) -> (Vec<usize>, Vec<usize>) {
        let mut old = vec![true; previous.map_or(0, |previous| previous.in_use.len())];
        let mut new = Vec::new();
        for (place, (organisation, set)) in organisations.iter().zip(in_use).enumerate() {
            let before = self.of(place).zip(previous).filter(|(before, previous)| {
                Arc::ptr_eq(&previous.organisations()[*before], organisation)
                    && Arc::ptr_eq(&previous.in_use[*before], set)
            });
            match before {
                Some((before, _)) => old[before] = false,
                None => new.push(place),
            }
        }
        let old = old.into_iter().enumerate();
        let old = old.filter_map(|(place, differs)| differs.then_some(place));
        (old.collect(), new)
    }

    /// Whether an organisation has gone.
    fn has_lost(&self, previous: Option<&Snapshot>) -> bool {
        let found = self.0.iter().flatten().count();
        previous.is_some_and(|previous| found < previous.organisations().len())
    }
}

/// One line for each domain, sorted. What both share is not looked at.
fn changes(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let organisations = new.organisations();
    let places = Places::new(organisations, Some(old));
    let (before, after) = places.differences(Some(old), (organisations, &new.in_use));
    let before = before.into_iter().map(|place| &old.organisations()[place]);
    let after = after.into_iter().map(|place| &organisations[place]);
    let names: BTreeSet<&DomainName> = before
        .chain(after)
        .flat_map(|one| one.domains.iter().chain(&one.parked))
        .collect();
    let describe = |snapshot: &Snapshot, name: &DomainName| {
        let domain = snapshot.domain(name);
        match domain.and_then(|domain| domain.keys.as_ref()) {
            None => "none".to_owned(),
            Some(keys) => keys.to_string(),
        }
    };
    let lines = names.into_iter().filter_map(|name| {
        let (before, after) = (describe(old, name), describe(new, name));
        (before != after).then(|| format!("keys of {name}: {before} -> {after}"))
    });
    lines.collect()
}

/// Where the current snapshot is: read by every message, replaced by a reload.
#[derive(Clone)]
pub struct SnapshotHolder(Arc<ArcSwap<Snapshot>>);

impl SnapshotHolder {
    /// Holds a first snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// The snapshot of this moment.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts another one in its place, and gives the one that was there. Messages in progress
    /// keep theirs. To be held until nobody else does: what is dropped with the last holder
    /// takes its time, which no message should.
    #[must_use = "a message would have to drop it"]
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.0.swap(Arc::new(snapshot))
    }
}

#[cfg(test)]
mod tests;
