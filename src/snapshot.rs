//! Everything that a message is decided and signed with, immutable and swapped whole:
//! configuration, organisations and keys. A message keeps the snapshot it started with.

mod keys;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

pub use self::keys::{ActiveKey, DomainKeys};
use self::keys::{KeyProblems, KeySet};
use crate::{
    config::{Loaded, Settings, SigningSettings},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    observe::metrics::{Metrics, OrganisationMetrics},
    organisation::Organisation,
};

/// See the module.
pub struct Snapshot {
    loaded: Loaded,
    domains: HashMap<DomainName, Arc<Domain>>,
    keys: HashMap<OrganisationId, KeySet>,
    generation: u64,
}

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

/// A snapshot and what went wrong while it was made.
pub struct Built {
    /// Usable all the same: the problems concern single keys or organisations.
    pub snapshot: Snapshot,
    /// One line each, with the way out.
    pub problems: Vec<String>,
}

impl Snapshot {
    /// Reads the keys of all organisations and puts all together.
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
        // Read first: what is written meanwhile makes for one more reload, not for a lost one.
        let generation = keystore.generation()?;
        let mut problems = KeyProblems::default();
        let mut keys = HashMap::with_capacity(loaded.organisations.len());
        for organisation in &loaded.organisations {
            let before = previous.and_then(|previous| previous.keys.get(&organisation.id));
            let set = KeySet::load(organisation, keystore, before, &mut problems);
            keys.insert(organisation.id.clone(), set);
        }
        keys::refuse_shared(&mut keys, keystore, &mut problems);
        let snapshot = Self {
            domains: index(&loaded, &keys, metrics),
            loaded,
            keys,
            generation,
        };
        Ok(Built {
            snapshot,
            problems: problems.lines,
        })
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
    pub fn organisations(&self) -> &[Organisation] {
        &self.loaded.organisations
    }

    /// What is known of a domain, if an organisation has it: exactly this one, no parent.
    pub fn domain(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// How many domains that send have no key in use: their mail leaves unsigned.
    pub fn domains_without_key(&self) -> usize {
        let awaiting = |domain: &&Arc<Domain>| matches!(domain.keys, Some(DomainKeys::Awaiting));
        self.domains.values().filter(awaiting).count()
    }

    /// The generation of the keystore that the keys are of.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How the keys in use differ from those of an earlier snapshot, one line each.
    pub fn key_changes(&self, previous: &Self) -> Vec<String> {
        keys::changes(&previous.domains, &self.domains)
    }
}

fn index(
    loaded: &Loaded,
    keys: &HashMap<OrganisationId, KeySet>,
    metrics: &Metrics,
) -> HashMap<DomainName, Arc<Domain>> {
    let mut domains = HashMap::new();
    for organisation in &loaded.organisations {
        let set = &keys[&organisation.id];
        let metrics = metrics.organisation(&organisation.id);
        let organisation = Arc::new(organisation.clone());
        let mut insert = |name: &DomainName, keys| {
            let domain = Domain {
                organisation: Arc::clone(&organisation),
                metrics: metrics.clone(),
                keys,
            };
            domains.insert(name.clone(), Arc::new(domain));
        };
        for name in &organisation.domains {
            insert(name, Some(set.of_domain(name, &organisation.algorithms)));
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

    /// Puts another one in its place. Messages in progress keep theirs.
    pub fn replace(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests;
