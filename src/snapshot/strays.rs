//! Domains that no file has, as far as this signer has read them, though a keyring has a key in use
//! for them: their file is lost, or was read by the keeper alone. Nobody knows how their mail is to
//! be signed, so it is put off.

use std::collections::{HashMap, HashSet};

use super::{
    reading::{FoundKeys, Source},
    roster::{AllLost, Lost, Member},
};
use crate::{
    keystore::KeyringStamp,
    names::{DomainName, OrganisationId},
};

/// Organisations without a file and without a key in use, by the keyring that says so: nothing is
/// to be read as long as it is the same.
pub(super) type Idle = HashMap<OrganisationId, KeyringStamp>;

/// Adds the organisations of the keystore that are no members yet, with no domain so far. Gives
/// those that can be passed over.
pub(super) fn add_others(
    members: &mut Vec<Member>,
    source: &Source<'_>,
    idle: Option<&Idle>,
    problems: &mut Vec<String>,
) -> Idle {
    let mut still_idle = Idle::new();
    let known = members.iter().map(|member| &member.organisation.id);
    match source.keystore.without_file(known) {
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
) {
    let claimed: HashSet<DomainName> = if found.iter().any(|found| !found.strays.is_empty()) {
        let all = members.iter().map(|member| &member.organisation);
        let names = all.flat_map(|one| one.domains.iter().chain(&one.parked));
        names.cloned().collect()
    } else {
        HashSet::new()
    };
    let mut is_kept = Vec::with_capacity(members.len());
    for (member, found) in members.iter_mut().zip(found.iter_mut()) {
        let strays = found.strays.iter();
        let domains: Vec<DomainName> = strays
            .filter(|domain| !claimed.contains(*domain) && !lost.contains_key(*domain))
            .cloned()
            .collect();
        let id = &member.organisation.id;
        if !domains.is_empty() {
            lost.extend(domains.iter().map(|domain| {
                let lost = Lost {
                    organisation: id.clone(),
                    signs: false,
                };
                (domain.clone(), lost)
            }));
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
