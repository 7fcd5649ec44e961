//! Keys whose records are in a zone of the operator: the organisation has handed the names over,
//! once, and is then asked for nothing when a key changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::dkim::{Delegations, Way};
use crate::names::{DomainName, Selector};

/// No domain is handed over.
static NONE: Delegations = Delegations {
    ways: BTreeMap::new(),
    zone: None,
    name_servers: Vec::new(),
};

/// Where the name of a key was seen to lead, in a domain that is to be handed over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lead {
    /// Of the key.
    pub selector: Selector,
    /// Of the domain.
    pub domain: DomainName,
    /// Whether it leads to the operator; otherwise the organisation's own DNS answers for it.
    pub is_ours: bool,
}

/// What is handed over, and what was seen of that.
#[derive(Clone, Copy, Debug)]
pub struct Delegated<'a> {
    /// By the configuration.
    pub wanted: &'a Delegations,
    /// By the keeper.
    pub leads: &'a [Lead],
}

impl Default for Delegated<'_> {
    fn default() -> Self {
        Self {
            wanted: &NONE,
            leads: &[],
        }
    }
}

impl Delegated<'_> {
    /// Whether the name of a key leads to the operator; none if nobody has seen it, nor another
    /// of the domain: names are handed over in advance.
    pub(super) fn is_ours(&self, selector: &Selector, domain: &DomainName) -> Option<bool> {
        let of_domain = || self.leads.iter().filter(|lead| lead.domain == *domain);
        let own = of_domain().find(|lead| lead.selector == *selector);
        own.or_else(|| of_domain().next_back())
            .map(|lead| lead.is_ours)
    }
}
