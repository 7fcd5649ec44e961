//! Domains that several files have: found, and left with the organisation that had them.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{mistakes::Contested, problem::Problem};
use crate::{
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// A domain that is in a file, and was in an earlier one.
pub(super) struct Conflict<'a> {
    pub(super) domain: &'a DomainName,
    /// The places of the files.
    pub(super) first: usize,
    pub(super) other: usize,
}

/// In the order of the files. What is twice in one file is a mistake of that file.
pub(super) fn conflicts<'a>(files: &[Option<&'a Arc<Organisation>>]) -> Vec<Conflict<'a>> {
    let mut first_with: HashMap<&DomainName, usize> = HashMap::new();
    let mut conflicts = Vec::new();
    for (other, organisation) in files.iter().enumerate() {
        let Some(organisation) = organisation else {
            continue;
        };
        for domain in organisation.domains.iter().chain(&organisation.parked) {
            match first_with.entry(domain) {
                Entry::Vacant(free) => {
                    free.insert(other);
                }
                Entry::Occupied(first) if *first.get() == other => {}
                Entry::Occupied(first) => conflicts.push(Conflict {
                    domain,
                    first: *first.get(),
                    other,
                }),
            }
        }
    }
    conflicts
}

/// Each of these domains with the places that have it. `had` is who had it before.
pub(super) fn contested<'a>(
    conflicts: impl Iterator<Item = (Conflict<'a>, Problem)>,
    files: &[Option<&Arc<Organisation>>],
    before: &[Arc<Organisation>],
) -> Vec<Contested> {
    let mut all: BTreeMap<&DomainName, (Vec<usize>, Vec<Problem>)> = BTreeMap::new();
    for (conflict, problem) in conflicts {
        let (places, problems) = all.entry(conflict.domain).or_default();
        if places.is_empty() {
            places.push(conflict.first);
        }
        places.push(conflict.other);
        problems.push(problem);
    }
    let mut had_by: HashMap<&DomainName, &Organisation> = HashMap::new();
    for one in before {
        let domains = one.domains.iter().chain(&one.parked);
        let contested = domains.filter(|domain| all.contains_key(domain));
        had_by.extend(contested.map(|domain| (domain, &**one)));
    }
    let contested = |(domain, (places, problems)): (&DomainName, (Vec<usize>, _))| {
        let claimants: Vec<_> = places.iter().filter_map(|place| files[*place]).collect();
        let had = had_by.get(domain);
        let holder = had.filter(|had| claimants.iter().any(|one| one.id == had.id));
        let senders = claimants.iter().filter(|one| one.domains.contains(domain));
        let parked = claimants.iter().filter(|one| one.parked.contains(domain));
        Contested {
            domain: domain.clone(),
            parked: parked.map(|one| one.id.clone()).collect(),
            senders: senders.map(|one| one.id.clone()).collect(),
            holder: holder.map(|one| one.id.clone()),
            problems,
        }
    };
    all.into_iter().map(contested).collect()
}

/// Takes each domain from all but its holder. An organisation that comes to what it was before is
/// the same one.
pub(super) fn leave_with_holders(
    organisations: &mut [Arc<Organisation>],
    contested: &[Contested],
    before: &[Arc<Organisation>],
) {
    if contested.is_empty() {
        return;
    }
    let holders: HashMap<&DomainName, Option<&OrganisationId>> = contested
        .iter()
        .map(|one| (&one.domain, one.holder.as_ref()))
        .collect();
    let before: HashMap<&OrganisationId, &Arc<Organisation>> =
        before.iter().map(|one| (&one.id, one)).collect();
    for organisation in organisations {
        let is_taken = |domain: &DomainName| {
            let holder = holders.get(domain);
            holder.is_some_and(|holder| *holder != Some(&organisation.id))
        };
        let mut domains = organisation.domains.iter().chain(&organisation.parked);
        if !domains.any(is_taken) {
            continue;
        }
        let mut left = Organisation::clone(organisation);
        left.domains.retain(|domain| !is_taken(domain));
        left.parked.retain(|domain| !is_taken(domain));
        let same = before.get(&left.id).filter(|one| ****one == left);
        *organisation = same.map_or_else(|| Arc::new(left), |same| Arc::clone(same));
    }
}
