//! Keys that several organisations have.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{FoundKeys, KeySet, SetKey};
use crate::{dkim::Fingerprint, keystore::Keystore, names::OrganisationId};

/// Refuses a key that two organisations have: either could write in the name of the other
/// (a separate key pair for each organisation, whatever else may be). What the keyrings say
/// suffices for that, so that nothing is ever signed with such a key: one that is read is
/// the one that its keyring names, or it is refused.
pub(in crate::snapshot) fn without_shared(
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

/// The keys that several organisations have, and which do.
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
