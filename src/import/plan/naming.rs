//! What organisations are called: after their first domain.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::groups::Member;
use crate::{
    import::finding::{Code, Finding},
    names::{DomainName, OrganisationId},
};

/// Names of files of the keystore itself.
const RESERVED: [&str; 2] = ["generation", "lock"];
const LONGEST: usize = 40;

/// The organisations that are there already, with their domains.
#[derive(Debug, Default)]
pub struct Taken {
    organisations: BTreeMap<OrganisationId, Vec<DomainName>>,
    owners: HashMap<DomainName, OrganisationId>,
}

impl Taken {
    /// Adds one, with all its domains, parked or not.
    pub fn insert(&mut self, id: &OrganisationId, domains: &[DomainName]) {
        let known = self.organisations.entry(id.clone()).or_default();
        known.extend(domains.iter().cloned());
        let owned = domains.iter().map(|domain| (domain.clone(), id.clone()));
        self.owners.extend(owned);
    }
}

/// Gives out ids.
pub(super) struct Names<'a> {
    taken: &'a Taken,
    given: HashSet<OrganisationId>,
    /// The next number for a stem that was given before.
    numbers: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(taken: &'a Taken) -> Self {
        Self {
            taken,
            given: HashSet::new(),
            numbers: HashMap::new(),
        }
    }

    /// An id for a group, and whether it is that of an organisation which is there and has
    /// just these domains. Domains of others are taken out of the group; if none is left
    /// there is no id.
    pub(super) fn choose(
        &mut self,
        group: &mut Vec<Member>,
        findings: &mut Vec<Finding>,
    ) -> Option<(OrganisationId, bool)> {
        let owner = group
            .first()
            .and_then(|first| self.taken.owners.get(&first.domain));
        if let Some(owner) = owner {
            let domains = &self.taken.organisations[owner];
            let is_theirs = |member: &Member| domains.contains(&member.domain);
            if group.len() == domains.len() && group.iter().all(is_theirs) {
                self.given.insert(owner.clone());
                return Some((owner.clone(), true));
            }
        }
        group.retain(|member| match self.taken.owners.get(&member.domain) {
            None => true,
            Some(owner) => {
                let found = format!("{} is a domain of {owner} already", member.domain);
                let done = "that organisation was left as it is, and the key was not taken over: \
                            bring it in with `zegel key import`, or remove the domain there and \
                            import again";
                findings.push(Finding::new(Code::DomainTaken, found, done));
                false
            }
        });
        let first = group.first()?;
        Some((self.fresh(&first.domain), false))
    }

    fn fresh(&mut self, domain: &DomainName) -> OrganisationId {
        let stem = domain.as_str().replace('.', "-");
        loop {
            let number = self.numbers.entry(stem.clone()).or_insert(0);
            *number += 1;
            let suffix = match *number {
                1 => String::new(),
                number => format!("-{number}"),
            };
            let kept = stem.len().min(LONGEST - suffix.len());
            let name = format!("{}{suffix}", stem[..kept].trim_end_matches('-'));
            let free = |id: &OrganisationId| {
                !RESERVED.contains(&id.as_str())
                    && !self.taken.organisations.contains_key(id)
                    && !self.given.contains(id)
            };
            if let Some(id) = name.parse().ok().filter(free) {
                self.given.insert(OrganisationId::clone(&id));
                return id;
            }
        }
    }
}
