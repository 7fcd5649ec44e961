//! What a customer has to know who leaves: until when we sign, and which records are to change
//! after that.

use std::time::Duration;

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    Handover,
    record::TTL,
    schedule::{date, day_after},
};
use crate::{
    dns::RelayPart,
    keys::{Publication, State},
    names::DomainName,
};

/// A domain that leaves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Farewell {
    /// The last day on which we sign, or signed.
    pub signs_until: Date,
    /// Whether that is over.
    pub ended: bool,
    /// Until when at least the records of its keys stay; none if that is over.
    pub keep_until: Option<Date>,
    /// What is to go from its SPF record; none if the operator has configured nothing.
    pub spf_remove: Option<String>,
    /// What is to go from `rua=` of its DMARC record; likewise.
    pub dmarc_remove: Option<String>,
}

impl Handover<'_> {
    /// Of a domain that leaves at the operator's word, or that has left: none if it stays.
    pub(super) fn farewell(&self, domain: &DomainName) -> Option<Farewell> {
        // What only a file says may have gone to another organisation, which still sends from it.
        let departure = self.keyring.departure(domain)?;
        let publications = || {
            let keys = self.keyring.keys().iter();
            keys.filter_map(|key| key.publications.get(domain))
        };
        let (end, ended) = (
            departure.ended.unwrap_or(departure.until),
            departure.ended.is_some(),
        );
        Some(Farewell {
            signs_until: date(end),
            ended,
            keep_until: self.keep_until(publications(), end, ended).map(day_after),
            spf_remove: RelayPart::of(self.settings).written(),
            dmarc_remove: self
                .settings
                .report_address()
                .map(|rua| format!("mailto:{rua}")),
        })
    }

    /// When no mail needs a record any more that may be needed now.
    fn keep_until<'a>(
        &self,
        publications: impl Iterator<Item = &'a Publication>,
        end: Timestamp,
        ended: bool,
    ) -> Option<Timestamp> {
        let timing = self.settings.timing();
        let usual = Some(Duration::from_secs(TTL.into()));
        let needed = publications.filter_map(|one| match one.state {
            State::Active if !ended => end.checked_add(timing.drain_time(one.ttl.or(usual))).ok(),
            State::Draining if one.withdrawal.is_none() => one.kept_until(),
            _ => None,
        });
        needed.max()
    }
}
