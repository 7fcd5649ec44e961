//! Everything that a message is decided and signed with, immutable and swapped whole:
//! configuration, organisations and keys. A message keeps the snapshot it started with.

mod care;
mod changes;
mod domain;
mod held;
mod keys;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

pub use self::{
    care::KeyCare,
    domain::{Domain, DomainKeys, Signing},
    held::ActiveKey,
};
use self::{
    held::HeldKey,
    keys::{KeyProblems, KeySet, Reading, Source},
};
use crate::{
    config::{Loaded, Settings, SigningSettings},
    files,
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    observe::metrics::Metrics,
    organisation::Organisation,
};

/// See the module.
pub struct Snapshot {
    loaded: Loaded,
    domains: HashMap<DomainName, Arc<Domain>>,
    keys: HashMap<OrganisationId, Arc<KeySet>>,
    generation: u64,
}

/// A snapshot and what went wrong while it was made.
pub struct Built {
    /// Usable all the same: the problems concern single keys or organisations.
    pub snapshot: Snapshot,
    /// One line each, with the way out.
    pub problems: Vec<String>,
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
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How the keys in use differ from those of an earlier snapshot, one line each.
    pub fn key_changes(&self, previous: &Self) -> Vec<String> {
        changes::changes(&previous.domains, &self.domains)
    }

    /// Whether there is an organisation with this id.
    pub fn has_organisation(&self, id: &OrganisationId) -> bool {
        self.keys.contains_key(id)
    }

    /// A round of care for all keys.
    pub fn key_care(&self) -> KeyCare {
        KeyCare::new(self)
    }

    fn held(&self) -> impl Iterator<Item = &Arc<HeldKey>> {
        let organisations = self.loaded.organisations.iter();
        let sets = organisations.filter_map(|organisation| self.keys.get(&organisation.id));
        sets.flat_map(|set| set.held())
    }
}

fn make(
    loaded: Loaded,
    (keystore, reading): (&Keystore, Reading),
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> Result<Built, KeystoreError> {
    // Read first: what is written meanwhile makes for one more reload, not for a lost one.
    let generation = keystore.generation()?;
    let source = Source {
        keystore,
        view: &keystore.view()?,
        reading,
    };
    let mut problems = KeyProblems::default();
    let mut sets = Vec::with_capacity(loaded.organisations.len());
    if let Some(previous) = previous {
        // One after the other: mail needs the other processors.
        for organisation in &loaded.organisations {
            let before = previous.keys.get(&organisation.id);
            sets.push(KeySet::load(organisation, &source, before, &mut problems));
        }
    } else {
        let load = |organisation: &Arc<Organisation>| {
            let mut problems = KeyProblems::default();
            let set = KeySet::load(organisation, &source, None, &mut problems);
            (set, problems)
        };
        for (set, found) in files::each(&loaded.organisations, load) {
            sets.push(set);
            problems.lines.extend(found.lines);
        }
    }
    let ids = loaded.organisations.iter().map(|one| one.id.clone());
    let keys = ids.zip(sets.iter().cloned()).collect();
    keys::refuse_shared(&mut sets, keystore, &mut problems);
    let snapshot = Snapshot {
        domains: index(&loaded, &sets, metrics, previous),
        loaded,
        keys,
        generation,
    };
    Ok(Built {
        snapshot,
        problems: problems.lines,
    })
}

/// All domains by their names; those of which nothing has changed are the ones of `previous`.
fn index(
    loaded: &Loaded,
    sets: &[Arc<KeySet>],
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> HashMap<DomainName, Arc<Domain>> {
    let organisations = || loaded.organisations.iter().zip(sets);
    let number = organisations().map(|(one, _)| one.domains.len() + one.parked.len());
    let mut domains = HashMap::with_capacity(number.sum());
    for (organisation, set) in organisations() {
        let mut counters = None;
        let mut insert = |name: &DomainName, set: Option<&Arc<KeySet>>| {
            let is_same = |domain: &&Arc<Domain>| {
                let keys = domain.keys.as_ref();
                Arc::ptr_eq(&domain.organisation, organisation)
                    && set.is_none_or(|set| keys.is_some_and(|keys| keys.is_of(set)))
            };
            let before = previous.and_then(|previous| previous.domains.get(name));
            let domain = before.filter(is_same).map_or_else(
                || {
                    let counters =
                        counters.get_or_insert_with(|| metrics.organisation(&organisation.id));
                    Arc::new(Domain {
                        organisation: Arc::clone(organisation),
                        metrics: counters.clone(),
                        keys: set.map(|set| DomainKeys::new(name, set)),
                    })
                },
                Arc::clone,
            );
            domains.insert(name.clone(), domain);
        };
        for name in &organisation.domains {
            insert(name, Some(set));
        }
        for name in &organisation.parked {
            insert(name, None);
        }
    }
    domains
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
