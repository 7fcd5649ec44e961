//! What is due for the keys of one organisation, as the DNS and the time have it.

use std::time::Duration;

use super::{
    change::{Change, Event},
    check::Check,
    keyring::{KeyEntry, Keyring},
    plan::Plan,
    publication::{Publication, State, Why, Withdrawal},
    timing::{Gap, Moment, Timing},
};
use crate::{
    dkim::key::Algorithm,
    names::{DomainName, Selector},
};

/// What the DNS of one domain showed of one key at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Every authoritative server, over every address family that it has, answered exactly
    /// one TXT record that parses and holds our key.
    Everywhere {
        /// The longest of the record.
        ttl: Duration,
        /// The longest of a negative answer of the zone (RFC 2308 §5).
        negative_ttl: Duration,
    },
    /// Every authoritative server said that there is no record.
    Absent {
        /// The longest of these answers (RFC 2308 §5).
        negative_ttl: Duration,
    },
    /// Every authoritative server answered one record with an empty `p=`.
    RevokedEverywhere,
    /// Some servers show our key, and the others show nothing or an empty `p=`.
    Partly,
    /// At least one server showed another key, two records, or one that does not parse.
    Wrong,
    /// At least one server that counts could not be asked.
    Unknown,
}

impl Sight {
    pub(super) fn why(self) -> Why {
        match self {
            Self::Everywhere { .. } => Why::Signing,
            Self::Absent { .. } => Why::NotSeen,
            Self::RevokedEverywhere => Why::SeenRevoked,
            Self::Partly => Why::SeenPartly,
            Self::Wrong => Why::SeenWrong,
            Self::Unknown => Why::Unreachable,
        }
    }
}

/// One organisation at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Its keys.
    pub keyring: &'a Keyring,
    /// The domains that it sends from: without the parked ones.
    pub domains: &'a [DomainName],
    /// What it signs with.
    pub algorithms: &'a [Algorithm],
    /// The waits.
    pub timing: &'a Timing,
}

/// A change, and where its key is in the keyring.
pub(super) struct Step {
    pub(super) position: usize,
    pub(super) sight: Sight,
    pub(super) change: Change,
}

impl<'a> Situation<'a> {
    /// The keys and domains that are to be looked at in DNS.
    pub fn watched(&self) -> impl Iterator<Item = (&'a KeyEntry, &'a DomainName)> {
        self.publications()
            .filter(|(position, key, domain, publication)| {
                self.unwatched(*position, (key, domain), publication)
                    .is_none()
            })
            .map(|(_, key, domain, _)| (key, domain))
    }

    /// What is due, as `sight` shows each pair of [`Situation::watched`].
    pub fn plan(&self, moment: Moment, sight: impl Fn(&Selector, &DomainName) -> Sight) -> Plan {
        let mut plan = Plan::default();
        let mut steps = Vec::new();
        for (position, key, domain, publication) in self.publications() {
            let place = (key, domain);
            if let Some(why) = self.unwatched(position, place, publication) {
                plan.changes
                    .extend(unwatched_change(place, publication, why));
                continue;
            }
            let sight = sight(&key.selector, domain);
            let check = self.check(sight, moment);
            let (after, event) = check.step(publication);
            let change = Change::new(key, domain, after, event);
            steps.push(Step {
                position,
                sight,
                change,
            });
        }
        self.activate(&mut steps, moment);
        plan.alarms = self.alarms(&steps, moment);
        plan.changes
            .extend(steps.into_iter().map(|step| step.change));
        self.want_keys(&mut plan, moment);
        plan
    }

    fn check(&self, sight: Sight, moment: Moment) -> Check<'a> {
        Check {
            sight,
            moment,
            timing: self.timing,
        }
    }

    fn publications(
        &self,
    ) -> impl Iterator<Item = (usize, &'a KeyEntry, &'a DomainName, &'a Publication)> + use<'a>
    {
        let keys = self.keyring.keys().iter().enumerate();
        keys.flat_map(|(position, key)| {
            let publications = key.publications.iter();
            publications.map(move |(domain, publication)| (position, key, domain, publication))
        })
    }

    /// Why there is no need to look at a publication; none when there is.
    fn unwatched(
        &self,
        position: usize,
        (key, domain): (&KeyEntry, &DomainName),
        publication: &Publication,
    ) -> Option<Why> {
        match publication.state {
            State::Draining | State::Revoked => None,
            State::Withdrawn if publication.withdrawal == Some(Withdrawal::Emptied) => None,
            State::Withdrawn => Some(Why::Done),
            _ if !self.is_configured(key, domain) => Some(Why::NotConfigured),
            State::Active => None,
            State::Generated | State::Published => self
                .active(domain, key.algorithm)
                .filter(|(active, _)| *active > position)
                .map(|_| Why::Superseded),
        }
    }

    pub(super) fn is_configured(&self, key: &KeyEntry, domain: &DomainName) -> bool {
        self.domains.contains(domain) && self.algorithms.contains(&key.algorithm)
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

    /// Lets keys that are ready take the place of those that sign.
    fn activate(&self, steps: &mut [Step], moment: Moment) {
        // The last one first: of two that are ready it is the one that stays.
        let ready: Vec<usize> = (0..steps.len())
            .rev()
            .filter(|index| self.is_ready(&steps[*index], moment))
            .collect();
        for index in ready {
            let (domain, position) = (steps[index].change.domain.clone(), steps[index].position);
            let selector = steps[index].change.selector.clone();
            let algorithm = self.keyring.keys()[position].algorithm;
            let is_active = |step: &&mut Step| {
                step.change.after.state == State::Active
                    && step.change.domain == domain
                    && self.keyring.keys()[step.position].algorithm == algorithm
            };
            let mut instead_of = None;
            if let Some(active) = steps.iter_mut().find(is_active) {
                if matches!(active.change.event, Event::Activated { .. }) {
                    continue;
                }
                instead_of = Some(active.change.selector.clone());
                active.change.after.drain(self.timing, moment.now);
                active.change.event = Event::Draining {
                    successor: selector,
                };
            }
            let change = &mut steps[index].change;
            change.after.activate(moment.now);
            change.event = Event::Activated { instead_of };
        }
    }

    fn is_ready(&self, step: &Step, moment: Moment) -> bool {
        let check = self.check(step.sight, moment);
        let before = step.change.before.as_ref();
        before.is_some_and(|before| check.is_ready(before, &step.change.after))
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

/// Only the reason is written down: it was not looked at.
fn unwatched_change(
    (key, domain): (&KeyEntry, &DomainName),
    publication: &Publication,
    why: Why,
) -> Option<Change> {
    let after = Publication {
        why: Some(why),
        ..*publication
    };
    (after != *publication).then(|| Change::new(key, domain, after, Event::Checked))
}
