//! Who serves a zone by the word of its parent (RFC 1034 §4.2.1).

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use mail_auth::hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData},
};

use super::resolver::written;

/// Whether a zone and its parent name the same servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delegation {
    /// They do, or the zone has no parent that says anything else.
    Agrees,
    /// They do not: all of both are asked.
    Differs {
        /// Named by the parent alone.
        only_parent: Vec<String>,
        /// Named by the zone alone.
        only_zone: Vec<String>,
    },
    /// No server of the parent says anything: those that the zone names are asked.
    Unknown(String),
}

/// What a server of the parent says of a zone.
pub(super) enum Word {
    /// It delegates it.
    Referral(Delegated),
    /// It does not know of a delegation: it serves the zone itself, or knows no such zone.
    NoDelegation,
}

/// Who serves a zone, by its parent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Delegated {
    zone: Name,
    /// The servers.
    pub(super) hosts: BTreeSet<Name>,
    /// Their addresses, where the parent has them.
    glue: HashMap<String, Vec<IpAddr>>,
}

impl Delegated {
    pub(super) fn zone(&self) -> &Name {
        &self.zone
    }

    /// The addresses that the parent has of a server.
    pub(super) fn glue_of(&self, host: &str) -> impl Iterator<Item = IpAddr> {
        self.glue.get(host).into_iter().flatten().copied()
    }

    pub(super) fn compared_with(&self, own: &BTreeSet<Name>) -> Delegation {
        let names = |names: std::collections::btree_set::Difference<'_, Name>| -> Vec<String> {
            names.map(written).collect()
        };
        let only_parent = names(self.hosts.difference(own));
        let only_zone = names(own.difference(&self.hosts));
        if only_parent.is_empty() && only_zone.is_empty() {
            return Delegation::Agrees;
        }
        Delegation::Differs {
            only_parent,
            only_zone,
        }
    }
}

/// What an answer of a server of the parent says of the zone; none if it would not or could not
/// answer.
pub(super) fn word_of_parent(answer: &Message, zone: &Name) -> Option<Word> {
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain if answer.metadata.authoritative => return Some(Word::NoDelegation),
        _ => return None,
    }
    // It serves the zone itself, and answers from there.
    if answer.metadata.authoritative {
        return Some(Word::NoDelegation);
    }
    let hosts: BTreeSet<Name> = answer
        .authorities
        .iter()
        .filter(|record| record.name == *zone)
        .filter_map(|record| match &record.data {
            RData::NS(host) => Some(host.0.to_lowercase()),
            _ => None,
        })
        .collect();
    if hosts.is_empty() {
        return None;
    }
    let mut glue: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for record in &answer.additionals {
        let host = record.name.to_lowercase();
        if let (true, Some(address)) = (hosts.contains(&host), record.data.ip_addr()) {
            let known = glue.entry(written(&host)).or_default();
            if !known.contains(&address) {
                known.push(address);
            }
        }
    }
    Some(Word::Referral(Delegated {
        zone: zone.clone(),
        hosts,
        glue,
    }))
}
