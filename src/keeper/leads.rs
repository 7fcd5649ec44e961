//! Where the names of keys lead, in domains that are to be handed over to the operator.

use crate::{
    dns::Observation,
    keys::{Lead, Way},
    names::{DomainName, Selector},
    organisation::Organisation,
};

/// Where the name of a key leads, in a domain that is to be handed over to the operator.
#[derive(Clone, Debug)]
pub(super) struct LeadSeen {
    pub(super) selector: Selector,
    pub(super) domain: DomainName,
    /// Whether to the operator; none if nobody could tell.
    pub(super) is_ours: Option<bool>,
}

/// Where the name of a key is to lead.
pub(super) enum Handed {
    /// By an alias, to this name.
    Alias(String),
    /// Into a zone of its own, on one of these servers.
    Zone(String, Vec<String>),
}

impl Handed {
    /// None if the domain is not to be handed over, or nobody knows to where.
    pub(super) fn of(
        organisation: &Organisation,
        selector: &Selector,
        domain: &DomainName,
    ) -> Option<Self> {
        let delegations = &organisation.delegations;
        match delegations.way(domain)? {
            way @ (Way::Cname | Way::Dname) => delegations
                .target(way, selector, &organisation.id)
                .map(Self::Alias),
            Way::Ns => {
                let servers = delegations.name_servers.iter().map(ToString::to_string);
                Some(Self::Zone(
                    format!("_domainkey.{domain}"),
                    servers.collect(),
                ))
            }
        }
    }

    pub(super) fn is_ours(&self, observation: &Observation) -> Option<bool> {
        match self {
            Self::Alias(target) => observation.leads_to(target),
            Self::Zone(apex, servers) => {
                let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
                observation.is_served_in(apex, &servers)
            }
        }
    }
}

/// What is known of it.
pub(super) fn known(seen: &[LeadSeen]) -> Vec<Lead> {
    let lead = |seen: &LeadSeen| {
        Some(Lead {
            selector: seen.selector.clone(),
            domain: seen.domain.clone(),
            is_ours: seen.is_ours?,
        })
    };
    seen.iter().filter_map(lead).collect()
}
