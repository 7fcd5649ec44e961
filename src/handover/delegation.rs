//! The CNAME variant: the customer points the names of keys into a zone of the operator,
//! who then changes keys without asking.
//!
//! A CNAME is made for one name, and no selector is used twice. So the names of the keys to
//! come are handed over in advance, for [`HORIZON_DAYS`]: as many for each period of the
//! selector template as there can be keys in it. A CNAME to a name that is not there yet
//! harms nothing. Two fixed selectors in turn would need no second hand-over at all, but then
//! a cache, or an old message, could meet the key of another half year.

use std::collections::HashSet;

use jiff::{ToSpan, civil::Date};

use super::{
    Handover, HandoverError,
    record::{Data, ResourceRecord},
    schedule::date,
};
use crate::{
    keys::{NextStep, Situation, Way, What},
    names::{DomainName, OrganisationId, Selector},
    words::Level,
};

/// How the keys of a domain are handed over to the operator, by the organisation's file.
#[derive(Clone, Debug)]
pub struct DelegationPack {
    /// By which records.
    pub way: Way,
    /// The operator's zone, for CNAME and DNAME.
    pub zone: Option<DomainName>,
    /// Whether someone has to add records for it.
    pub is_asked: bool,
    /// Without delay.
    pub urgent: bool,
    /// By when, if it is not as soon as possible.
    pub date: Option<Date>,
    /// What is to be there, for DNAME and NS; for CNAME it is with the keys.
    pub records: Vec<ResourceRecord>,
}

impl DelegationPack {
    /// Of a domain that is handed over in this way, whose keys have these steps before them.
    pub(super) fn new(
        handover: &Handover<'_>,
        domain: &DomainName,
        (way, steps): (Way, &[NextStep]),
    ) -> Result<Self, HandoverError> {
        let delegations = &handover.organisation.delegations;
        let asked = || steps.iter().filter(|step| step.what == What::Delegate);
        let is_asked = steps.is_empty() || asked().next().is_some();
        if is_asked && !delegations.has_target(way) {
            let setting = match way {
                Way::Cname | Way::Dname => "zone",
                Way::Ns => "name_servers",
            };
            return Err(HandoverError::NoTarget(domain.clone(), way, setting));
        }
        let name = format!("_domainkey.{domain}");
        let record = |data| ResourceRecord::new(name.clone(), data);
        let records = match (way, &delegations.zone) {
            (Way::Cname, _) | (Way::Dname, None) => Vec::new(),
            (Way::Dname, Some(zone)) => {
                let target = format!("{}.{zone}", handover.organisation.id);
                vec![record(Data::Subtree(target))]
            }
            (Way::Ns, _) => {
                let servers = delegations.name_servers.iter();
                servers
                    .map(|server| record(Data::Server(server.to_string())))
                    .collect()
            }
        };
        let due = asked().filter_map(|step| step.due).min();
        Ok(Self {
            way,
            zone: delegations.zone.clone().filter(|_| way != Way::Ns),
            is_asked,
            urgent: asked().any(|step| step.level.is_urgent() || step.level == Level::NotLive),
            date: due.filter(|due| *due > handover.now).map(date),
            records,
        })
    }

    /// Whether CNAME records are asked for.
    pub(super) fn asks_for_aliases(&self) -> bool {
        self.is_asked && self.way == Way::Cname
    }
}

/// The steps of the keys of a domain that are still spoken of.
pub(super) fn steps(situation: &Situation<'_>, domain: &DomainName) -> Vec<NextStep> {
    let keys = situation.keyring.keys().iter();
    let its = keys.filter(|entry| entry.publications.contains_key(domain));
    let steps = its.map(|entry| situation.next_step(entry, domain));
    steps.filter(|step| step.task.is_some()).collect()
}

/// For how long names are handed over in advance, in days: two years.
pub(super) const HORIZON_DAYS: i32 = 731;

/// At least two, so that there is one for an emergency; at most so many, whatever is
/// configured.
const NAMES_IN_A_PERIOD: std::ops::RangeInclusive<usize> = 2..=12;

const DOMAIN_OCTETS: usize = 253;

/// The name in the operator's zone that holds the key.
///
/// All domains of an organisation share it. It has the shape that a single DNAME from
/// `_domainkey.DOMAIN` to `ORG.ZONE` gives too.
pub(super) fn target(
    selector: &Selector,
    organisation: &OrganisationId,
    zone: &DomainName,
) -> Result<String, HandoverError> {
    let name = format!("{selector}.{organisation}.{zone}");
    if name.len() > DOMAIN_OCTETS {
        return Err(HandoverError::NameTooLong(name));
    }
    Ok(name)
}

/// The CNAME records for the keys to come.
pub(super) fn coming(
    handover: &Handover<'_>,
    domain: &DomainName,
    zone: &DomainName,
) -> Result<Vec<ResourceRecord>, HandoverError> {
    let alias = |selector: Selector| {
        let name = selector.record_name(domain);
        if name.len() > DOMAIN_OCTETS {
            return Err(HandoverError::NameTooLong(name));
        }
        let target = target(&selector, &handover.organisation.id, zone)?;
        Ok(ResourceRecord::new(name, Data::Alias(target)))
    };
    coming_selectors(handover).into_iter().map(alias).collect()
}

/// The selectors that keys will have that are made within the horizon.
fn coming_selectors(handover: &Handover<'_>) -> Vec<Selector> {
    let template = &handover.organisation.selector;
    let mut taken: HashSet<Selector> = handover
        .keyring
        .keys()
        .iter()
        .map(|key| key.selector.clone())
        .collect();
    let mut coming = Vec::new();
    for (first_day, days) in periods(handover) {
        let free = template.candidates(first_day);
        let free: Vec<Selector> = free
            .filter(|selector| !taken.contains(selector))
            .take(names_in(handover, days))
            .collect();
        taken.extend(free.iter().cloned());
        coming.extend(free);
    }
    coming
}

/// The spans of days within the horizon on which the template gives the same selector: the
/// first day and how many there are.
fn periods(handover: &Handover<'_>) -> Vec<(Date, u32)> {
    let template = &handover.organisation.selector;
    let today = date(handover.now);
    let mut periods: Vec<(Date, u32)> = Vec::new();
    let mut current = None;
    for day in today.series(1.day()).take_while(|day| {
        day.since(today)
            .is_ok_and(|span| span.get_days() < HORIZON_DAYS)
    }) {
        let selector = template.render(day);
        match periods.last_mut() {
            Some((_, days)) if current.as_ref() == Some(&selector) => *days += 1,
            _ => periods.push((day, 1)),
        }
        current = Some(selector);
    }
    periods
}

/// How many keys can be made in so many days.
fn names_in(handover: &Handover<'_>, days: u32) -> usize {
    const DAY: u64 = 24 * 60 * 60;
    let keeper = &handover.settings.keeper;
    let cycle = keeper.rotate_every.saturating_sub(keeper.lead_time);
    let rotations = (u64::from(days) * DAY).div_ceil(cycle.as_secs().max(1));
    let rotations = usize::try_from(rotations).unwrap_or(usize::MAX);
    let (least, most) = (*NAMES_IN_A_PERIOD.start(), *NAMES_IN_A_PERIOD.end());
    rotations.clamp(least, most) * handover.organisation.algorithms.len()
}
