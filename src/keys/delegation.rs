//! Keys whose records are in a zone of the operator: the organisation has handed the names over,
//! once, and is then asked for nothing when a key changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    next_step::{NextStep, Task, What},
    publication::{Publication, State},
};
use crate::{
    names::{DomainName, OrganisationId, Selector},
    words::{Level, words},
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
    fn is_ours(&self, selector: &Selector, domain: &DomainName) -> Option<bool> {
        let of_domain = || self.leads.iter().filter(|lead| lead.domain == *domain);
        let own = of_domain().find(|lead| lead.selector == *selector);
        own.or_else(|| of_domain().next_back())
            .map(|lead| lead.is_ours)
    }

    /// The step, where the configuration hands the domain over: the operator's turn instead of
    /// that of the organisation, or the one record that the organisation has to add.
    pub(super) fn step(
        &self,
        step: NextStep,
        selector: &Selector,
        (domain, publication): (&DomainName, &Publication),
    ) -> NextStep {
        if self.wanted.way(domain).is_none() {
            return step;
        }
        let is_ours = self.is_ours(selector, domain);
        let is_asked = matches!(step.task, Some(Task::Add | Task::Mend | Task::Restore));
        let asks = match (is_ours, publication.state) {
            (Some(true), _) => false,
            (_, State::Generated | State::Published) => is_asked,
            (Some(false), State::Active) => is_asked || step.what == What::MakeSuccessor,
            _ => false,
        };
        if asks {
            return NextStep {
                what: What::Delegate,
                when: None,
                level: match step.what {
                    What::MakeSuccessor => Level::Act,
                    _ => step.level,
                },
                task: Some(Task::Add),
                ..step
            };
        }
        NextStep {
            // What its own DNS holds is for its own administrator, until mail needs it no more.
            is_delegated: is_ours != Some(false),
            ..step
        }
    }
}

impl NextStep {
    /// For people: what happens, or what someone must do.
    pub fn text(&self) -> String {
        let text = match self.what {
            _ if !self.is_delegated => None,
            What::PublishRecord => Some("put its record into our own zone (see `zegel dns zone`)"),
            What::MendRecord => Some(
                "correct its record in our own zone, at every name server (see `zegel dns check`)",
            ),
            What::Unrevoke => Some("give its record in our own zone the key back: p= is empty"),
            What::RestoreRecord => Some(
                "put its record back into our own zone (see `zegel dns zone`): mail is signed \
                 with this key",
            ),
            What::RestoreDrainingRecord => {
                Some("put its record back into our own zone: mail on its way needs it")
            }
            What::EmptyRecord => {
                Some("give its record in our own zone an empty p= (see `zegel dns zone`)")
            }
            What::RemoveRecord => {
                Some("take its record out of our own zone (see `zegel dns zone`)")
            }
            _ => None,
        };
        text.map_or_else(|| self.what.to_string(), ToOwned::to_owned)
    }
}
