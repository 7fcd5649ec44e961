//! Names of keys that an organisation hands over to the operator: by which records, and to where.

use std::collections::BTreeMap;

use crate::{
    names::{DomainName, OrganisationId, Selector},
    words::words,
};

words! {
    /// By which record the names of keys are handed over.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Way {
        /// A CNAME for each name.
        Cname = "cname",
        /// One DNAME at `_domainkey.DOMAIN` (RFC 6672).
        Dname = "dname",
        /// `_domainkey.DOMAIN` is a zone of its own, on the operator's name servers.
        Ns = "ns",
    }
}

/// What an organisation hands over, and to where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Delegations {
    /// The domains whose names are handed over, or are to be.
    pub ways: BTreeMap<DomainName, Way>,
    /// The operator's zone for CNAME and DNAME, if one is known.
    pub zone: Option<DomainName>,
    /// The operator's name servers for NS; empty if none are known.
    pub name_servers: Vec<DomainName>,
}

impl Delegations {
    /// How the names of this domain are handed over; none if they are not.
    pub fn way(&self, domain: &DomainName) -> Option<Way> {
        self.ways.get(domain).copied()
    }

    /// Whether there is a place to hand them over to.
    pub fn has_target(&self, way: Way) -> bool {
        match way {
            Way::Cname | Way::Dname => self.zone.is_some(),
            Way::Ns => !self.name_servers.is_empty(),
        }
    }

    /// The name in the operator's zone that holds the key, without trailing dot; it may be too
    /// long for one. None for NS, where the name stays as it is, or if no zone is known.
    pub fn target(
        &self,
        way: Way,
        selector: &Selector,
        organisation: &OrganisationId,
    ) -> Option<String> {
        let zone = self.zone.as_ref().filter(|_| way != Way::Ns)?;
        Some(format!("{selector}.{organisation}.{zone}"))
    }
}
