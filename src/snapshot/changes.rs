//! How the keys of two snapshots differ, for the log.

use std::collections::BTreeSet;

use super::{Snapshot, previous::Places};
use crate::names::DomainName;

/// One line for each domain, sorted. What both share is not looked at.
pub(super) fn changes(old: &Snapshot, new: &Snapshot) -> Vec<String> {
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
