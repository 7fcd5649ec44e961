//! The operator's notice that an organisation, or a domain of it, leaves: until when its mail is
//! signed, and whether that is over. Kept beside the keyring, not in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::DomainName;

/// A notice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Departure {
    /// When it was given.
    pub since: Timestamp,
    /// Until when mail is signed as before.
    pub until: Timestamp,
    /// When that was over; none as long as the grace runs. From then on nothing signs, whatever
    /// the files say, until the notice is taken back.
    #[serde(default)]
    pub ended: Option<Timestamp>,
}

/// All notices of an organisation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Departures {
    #[serde(default)]
    organisation: Option<Departure>,
    #[serde(default)]
    domains: BTreeMap<DomainName, Departure>,
}

impl Departures {
    /// The notice that was given for this domain by name, or for the whole organisation.
    pub fn given(&self, domain: Option<&DomainName>) -> Option<Departure> {
        match domain {
            None => self.organisation,
            Some(domain) => self.domains.get(domain).copied(),
        }
    }

    /// The domains for which a notice was given by name.
    pub fn domains(&self) -> impl Iterator<Item = (&DomainName, Departure)> {
        self.domains
            .iter()
            .map(|(domain, departure)| (domain, *departure))
    }

    /// What holds for a domain: of two notices the one that ends first.
    pub fn of(&self, domain: &DomainName) -> Option<Departure> {
        let both = [self.organisation, self.domains.get(domain).copied()];
        let both = both.into_iter().flatten();
        both.min_by_key(|one| (one.ended.is_none(), one.until))
    }

    /// Gives a notice, or takes it back.
    pub(super) fn set(&mut self, domain: Option<&DomainName>, departure: Option<Departure>) {
        match (domain, departure) {
            (None, departure) => self.organisation = departure,
            (Some(domain), None) => {
                self.domains.remove(domain);
            }
            (Some(domain), Some(departure)) => {
                self.domains.insert(domain.clone(), departure);
            }
        }
    }

    /// With those ended whose time is over by now; none if there is none.
    pub(super) fn ended_by(&self, now: Timestamp) -> Option<Self> {
        let mut after = self.clone();
        let all = after.domains.values_mut().chain(&mut after.organisation);
        let mut has_ended = false;
        for one in all.filter(|one| one.ended.is_none() && one.until <= now) {
            one.ended = Some(now);
            has_ended = true;
        }
        has_ended.then_some(after)
    }
}
