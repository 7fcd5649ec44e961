//! Which key, and which of its domains.

use crate::{
    cli::{context::nearest, failure::Failure},
    keys::{KeyEntry, Keyring, State},
    names::{DomainName, Selector},
    organisation::Organisation,
};

/// The key with this selector.
pub(super) fn find<'a>(
    organisation: &Organisation,
    keyring: &'a Keyring,
    selector: &Selector,
) -> Result<&'a KeyEntry, Failure> {
    keyring.key(selector).ok_or_else(|| {
        let id = &organisation.id;
        let known = keyring.keys().iter().map(|entry| entry.selector.as_str());
        let advice = nearest(selector.as_str(), known);
        Failure::Usage(format!(
            "{id} has no key with the selector {selector}; {}",
            advice.unwrap_or_else(|| format!("see `zegel key list {id}`"))
        ))
    })
}

/// Those that are named, or all that the key was made for: also those that the organisation
/// has no more.
pub(super) fn domains_of_key(
    entry: &KeyEntry,
    named: &[DomainName],
) -> Result<Vec<DomainName>, Failure> {
    let known = || entry.publications.keys();
    if named.is_empty() {
        return Ok(known().cloned().collect());
    }
    for domain in named {
        if !entry.publications.contains_key(domain) {
            let advice = nearest(domain.as_str(), known().map(DomainName::as_str));
            return Err(Failure::Usage(format!(
                "{} was not made for {domain}; {}",
                entry.selector,
                advice.unwrap_or_else(|| "see `zegel key list`".to_owned())
            )));
        }
    }
    Ok(named.to_vec())
}

/// The domains of the organisation for which no key signs, though one should.
pub(super) fn unsigned_domains<'a>(
    organisation: &'a Organisation,
    keyring: &Keyring,
) -> Vec<&'a DomainName> {
    let signs = |domain: &DomainName| {
        keyring.keys().iter().any(|entry| {
            entry.state(domain) == Some(State::Active)
                && organisation.algorithms.contains(&entry.algorithm)
        })
    };
    let domains = organisation.domains.iter();
    domains
        .filter(|domain| !signs(domain) && !keyring.has_left(domain))
        .collect()
}

/// The keys that wait to sign for any of these domains.
pub(super) fn waiting_keys<'a>(
    keyring: &'a Keyring,
    organisation: &Organisation,
    domains: &[&DomainName],
) -> Vec<&'a KeyEntry> {
    let is_waiting = |entry: &&KeyEntry| {
        domains.iter().any(|domain| {
            let waiting = keyring.waiting_key(domain, entry.algorithm);
            waiting.is_some_and(|waiting| waiting.selector == entry.selector)
        })
    };
    let keys = keyring.keys().iter();
    keys.filter(|entry| organisation.algorithms.contains(&entry.algorithm))
        .filter(is_waiting)
        .collect()
}

/// For a sentence.
pub(super) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}
