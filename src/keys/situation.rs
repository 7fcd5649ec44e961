//! The keys of one organisation, with what it wants of them: which are looked at, and which
//! sign.

use super::{
    delegation::{Delegated, Lead},
    keyring::{KeyEntry, Keyring},
    publication::{Publication, State, Why, Withdrawal},
    reported::Reported,
    timing::{Gap, Moment, Timing},
};
use crate::{dkim::key::Algorithm, names::DomainName, words::Level};

/// One organisation at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Its keys.
    pub keyring: &'a Keyring,
    /// The domains that it sends from: without the parked ones.
    pub domains: &'a [DomainName],
    /// Domains that are to come from another organisation, which signs for them until the
    /// configuration says otherwise: keys are made for them and looked at as for its own.
    pub incoming: &'a [DomainName],
    /// Domains that the configuration has elsewhere: parked, or another organisation's, also those
    /// that are to come from there. A domain that is in no list is missing, which by itself changes
    /// nothing.
    pub away: &'a [DomainName],
    /// What it signs with.
    pub algorithms: &'a [Algorithm],
    /// The waits.
    pub timing: &'a Timing,
    /// Whose records are in a zone of the operator.
    pub delegated: Delegated<'a>,
    /// What receivers report of keys.
    pub reported: Reported<'a>,
}

/// One key in the DNS of one domain.
pub(super) struct Record<'a> {
    /// Of the key, in the keyring.
    pub(super) position: usize,
    pub(super) key: &'a KeyEntry,
    pub(super) domain: &'a DomainName,
    pub(super) publication: &'a Publication,
}

impl<'a> Situation<'a> {
    /// With what was seen of the names that are handed over to the operator.
    #[must_use]
    pub fn seen(mut self, leads: &'a [Lead]) -> Self {
        self.delegated.leads = leads;
        self
    }

    /// With what receivers report of keys.
    #[must_use]
    pub fn reported(mut self, reported: Reported<'a>) -> Self {
        self.reported = reported;
        self
    }

    /// The keys and domains that are to be looked at in DNS.
    pub fn watched(&self) -> impl Iterator<Item = (&'a KeyEntry, &'a DomainName)> {
        self.records()
            .filter(|record| self.unwatched(record).is_none())
            .map(|record| (record.key, record.domain))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let keys = self.keyring.keys().iter().enumerate();
        keys.flat_map(|(position, key)| {
            key.publications
                .iter()
                .map(move |(domain, publication)| Record {
                    position,
                    key,
                    domain,
                    publication,
                })
        })
    }

    /// Why there is no need to look at a record; none when there is.
    pub(super) fn unwatched(&self, record: &Record<'_>) -> Option<Why> {
        let Record {
            position,
            key,
            domain,
            publication,
        } = *record;
        match publication.state {
            // Wherever its domain is: as long as it may sign, its record is looked at.
            State::Active | State::Draining | State::Revoked => None,
            State::Withdrawn if publication.withdrawal == Some(Withdrawal::Emptied) => None,
            State::Withdrawn => Some(Why::Done),
            _ if !self.is_configured(key, domain) => Some(Why::NotConfigured),
            State::Generated | State::Published => self
                .active(domain, key.algorithm)
                .filter(|(active, _)| *active > position)
                .map(|_| Why::Superseded),
        }
    }

    /// The domains that are to have a key: its own, and those that come.
    pub(super) fn keyed(&self) -> impl Iterator<Item = &'a DomainName> + use<'a> {
        self.domains.iter().chain(self.incoming)
    }

    fn has(&self, domain: &DomainName) -> bool {
        self.domains.contains(domain) || self.comes(domain)
    }

    /// Whether the domain is to come here, and is not here yet.
    pub fn comes(&self, domain: &DomainName) -> bool {
        self.incoming.contains(domain) && !self.domains.contains(domain)
    }

    /// Whether another organisation has a domain that is to come here: if nobody has it, nobody
    /// signs for it.
    pub(super) fn comes_from_another(&self, domain: &DomainName) -> bool {
        self.comes(domain) && self.away.contains(domain)
    }

    /// How bad it is that the record of an active key is not right. No mail is signed with the key
    /// of a domain that is still elsewhere.
    pub(super) fn without_record(&self, domain: &DomainName) -> Level {
        if self.comes(domain) {
            Level::Act
        } else {
            Level::Unverifiable
        }
    }

    /// Whether the organisation sends from the domain, or is to: it is in its file, and has not
    /// left at the operator's word.
    pub fn sends_from(&self, domain: &DomainName) -> bool {
        self.has(domain) && !self.keyring.has_left(domain)
    }

    /// Whether a notice runs for a domain, so that nothing begins there which goes on for long.
    pub(super) fn is_leaving(&self, domain: &DomainName) -> bool {
        self.keyring.departure(domain).is_some()
    }

    pub(super) fn is_configured(&self, key: &KeyEntry, domain: &DomainName) -> bool {
        self.sends_from(domain) && self.algorithms.contains(&key.algorithm)
    }

    /// Whether the configuration, or the operator, says that this key is to sign for the domain no
    /// more: not if nothing is said of the domain, for a file may have been lost.
    pub fn leaves(&self, key: &KeyEntry, domain: &DomainName) -> bool {
        let algorithm_is_off = || self.has(domain) && !self.algorithms.contains(&key.algorithm);
        let is_away = self.away.contains(domain) && !self.comes(domain);
        is_away || self.keyring.has_left(domain) || algorithm_is_off()
    }

    /// Whether nobody says who has the domain now.
    pub fn misses(&self, domain: &DomainName) -> bool {
        let is_known = self.has(domain) || self.away.contains(domain);
        !is_known && !self.keyring.has_left(domain)
    }

    /// Whether something is still to be done, or left as it is, in the DNS of one of these domains.
    pub fn has_task(&self, is_about: impl Fn(&DomainName) -> bool) -> bool {
        let mut records = self.records().filter(|record| is_about(record.domain));
        records.any(|record| self.next_step(record.key, record.domain).task.is_some())
    }

    /// Whether a key that has left is back, and may sign again once its record is seen.
    pub(super) fn may_return(&self, key: &KeyEntry, domain: &DomainName) -> bool {
        key.publications
            .get(domain)
            .is_some_and(Publication::may_return)
            && self.keyring.departures_problem().is_none()
            && self.is_configured(key, domain)
    }

    /// The active key, and where it is in the keyring.
    pub(super) fn active(
        &self,
        domain: &DomainName,
        algorithm: Algorithm,
    ) -> Option<(usize, &'a Publication)> {
        self.keys_of(domain, algorithm)
            .find(|(_, publication)| publication.state == State::Active)
    }

    pub(super) fn keys_of(
        &self,
        domain: &DomainName,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (usize, &'a Publication)> {
        let keys = self.keyring.keys().iter().enumerate();
        keys.filter(move |(_, key)| key.algorithm == algorithm)
            .filter_map(move |(position, key)| Some((position, key.publications.get(domain)?)))
    }

    /// Whether the time since the last check of anything that is looked at counts.
    pub(super) fn gap(&self, moment: Moment) -> Gap {
        let checked = self
            .watched()
            .filter_map(|(key, domain)| key.publications.get(domain)?.checked)
            .max();
        moment.gap(checked, self.timing)
    }
}
