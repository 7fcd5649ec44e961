//! How the keys of two snapshots differ, for the log.

use std::{collections::HashMap, sync::Arc};

use super::domain::Domain;
use crate::names::DomainName;

type Domains = HashMap<DomainName, Arc<Domain>>;

/// One line for each domain, sorted. What both share is not looked at.
pub(super) fn changes(old: &Domains, new: &Domains) -> Vec<String> {
    let describe = |domain: Option<&Arc<Domain>>| match domain.and_then(|d| d.keys.as_ref()) {
        None => "none".to_owned(),
        Some(keys) => keys.to_string(),
    };
    let line = |name: &DomainName, before: Option<&Arc<Domain>>, after: Option<&Arc<Domain>>| {
        let (before, after) = (describe(before), describe(after));
        (before != after).then(|| format!("keys of {name}: {before} -> {after}"))
    };
    let mut lines = Vec::new();
    for (name, after) in new {
        let before = old.get(name);
        if before.is_none_or(|before| !Arc::ptr_eq(before, after)) {
            lines.extend(line(name, before, Some(after)));
        }
    }
    for (name, before) in old {
        if !new.contains_key(name) {
            lines.extend(line(name, Some(before), None));
        }
    }
    lines.sort();
    lines
}
