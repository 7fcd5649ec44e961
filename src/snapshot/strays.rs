//! Domains that no file has, as far as this signer has read them, though a key is in use for them
//! by a keyring, or by the mark where the keyring is lost as well: their file is lost, or was read
//! by the keeper alone. Nobody knows how their mail is to be signed, so it is put off.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Snapshot,
    reading::{FoundKeys, Source},
    roster::{AllLost, Lost, Member, claimed},
};
use crate::{
    config::Loaded,
    keystore::KeyringStamp,
    names::{DomainName, OrganisationId},
};

/// Organisations without a file and without a key in use, by the keyring that says so: nothing is
/// to be read as long as it is the same.
pub(super) type Idle = HashMap<OrganisationId, KeyringStamp>;

/// Which domains the files have.
pub(super) enum Claims<'a> {
    /// Those that they had before.
    AsBefore(&'a Snapshot),
    Other(HashSet<&'a DomainName>),
    /// The second ones alone matter; of all others nothing is to be found out.
    About(HashSet<&'a DomainName>, &'a BTreeSet<DomainName>),
}

impl<'a> Claims<'a> {
    pub(super) fn new(
        loaded: &'a Loaded,
        previous: Option<&'a Snapshot>,
        about: Option<&'a BTreeSet<DomainName>>,
    ) -> Self {
        let files = &loaded.organisations;
        if let Some(domains) = about {
            return Self::About(claimed(files), domains);
        }
        let same = previous.filter(|previous| {
            let before = &previous.loaded.organisations;
            let mut pairs = files.iter().zip(before);
            files.len() == before.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
        });
        match same {
            Some(previous) => Self::AsBefore(previous),
            None => Self::Other(claimed(files)),
        }
    }

    fn has(&self, domain: &DomainName) -> bool {
        match self {
            Self::AsBefore(previous) => {
                previous.domains.contains_key(domain) && !previous.lost.contains_key(domain)
            }
            Self::Other(claimed) => claimed.contains(domain),
            Self::About(claimed, about) => claimed.contains(domain) || !about.contains(domain),
        }
    }
}

/// Puts off the mail of domains for which a key was in use that is gone with its keyring.
pub(super) fn add_marked(
    members: &mut Vec<Member>,
    lost: &mut AllLost,
    source: &Source<'_>,
    claims: &Claims<'_>,
) {
    let is_known = |domain: &DomainName| claims.has(domain) || lost.contains_key(domain);
    // Only other files can make it matter again what happened long ago.
    let asks_audit = matches!(claims, Claims::Other(_));
    let marked = source.witness.lost(source.view, asks_audit, is_known);
    if marked.is_empty() {
        return;
    }
    let mut by_id: BTreeMap<OrganisationId, Vec<DomainName>> = BTreeMap::new();
    for (id, domain) in marked {
        if !lost.contains_key(&domain) {
            lost.insert(domain.clone(), put_off_for(&id));
            by_id.entry(id).or_default().push(domain);
        }
    }
    for member in members.iter_mut() {
        if let Some(domains) = by_id.remove(&member.organisation.id) {
            *member = member.with_put_off(&domains);
        }
    }
    let others = by_id.into_iter();
    members.extend(others.map(|(id, domains)| Member::without_file(&id, domains)));
}

fn put_off_for(id: &OrganisationId) -> Lost {
    Lost {
        organisation: id.clone(),
        signs: false,
    }
}

/// Adds the organisations of the keystore that are no members yet, with no domain so far. Gives
/// those that can be passed over.
pub(super) fn add_others(
    members: &mut Vec<Member>,
    source: &Source<'_>,
    (claims, idle): (&Claims<'_>, Option<&Idle>),
    problems: &mut Vec<String>,
) -> Idle {
    let mut still_idle = Idle::new();
    let known = members.iter().map(|member| &member.organisation.id);
    let others = match claims {
        Claims::About(_, domains) => {
            let known: HashSet<&OrganisationId> = known.collect();
            let mut holders = source.witness.holders(domains);
            holders.retain(|id| !known.contains(id));
            Ok(holders.into_iter().collect())
        }
        _ => source.keystore.without_file(known),
    };
    match others {
        Ok(others) => {
            for id in others {
                let stamp = idle.and_then(|idle| idle.get(&id));
                match stamp.filter(|stamp| source.view.is_unchanged(&id, stamp)) {
                    Some(stamp) => {
                        still_idle.insert(id, *stamp);
                    }
                    None => members.push(Member::without_file(&id, Vec::new())),
                }
            }
        }
        Err(error) => problems.push(error.to_string()),
    }
    still_idle
}

/// Puts off the mail of the domains that no file has, though a key is in use for them, and lets go
/// of the members that have neither a file nor such a domain.
pub(super) fn put_off(
    members: &mut Vec<Member>,
    found: &mut Vec<FoundKeys>,
    lost: &mut AllLost,
    idle: &mut Idle,
    claims: &Claims<'_>,
) {
    let mut is_kept = Vec::with_capacity(members.len());
    for (member, found) in members.iter_mut().zip(found.iter_mut()) {
        let strays = found.strays.iter();
        let domains: Vec<DomainName> = strays
            .filter(|domain| !claims.has(domain) && !lost.contains_key(*domain))
            .cloned()
            .collect();
        let id = &member.organisation.id;
        if !domains.is_empty() {
            let strays = domains.iter();
            lost.extend(strays.map(|domain| (domain.clone(), put_off_for(id))));
            *member = member.with_put_off(&domains);
            *found = found.of(member);
        }
        let is_idle = member.known.is_none() && member.organisation.domains.is_empty();
        if is_idle && let Some(stamp) = found.idle_stamp() {
            idle.insert(member.organisation.id.clone(), stamp);
        }
        is_kept.push(!is_idle);
    }
    let mut places = is_kept.iter();
    members.retain(|_| places.next() == Some(&true));
    let mut places = is_kept.iter();
    found.retain(|_| places.next() == Some(&true));
}
