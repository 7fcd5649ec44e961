//! Which keys are to be made, and what someone should be told.

use super::{
    change::Change,
    keyring::KeyEntry,
    plan::{Alarm, AlarmKind, Plan, WantedKey},
    publication::{Publication, Revocation, State, Why},
    situation::{Sight, Situation, Step},
    timing::{Gap, Moment, elapsed},
};
use crate::{dkim::key::Algorithm, names::DomainName};

impl<'a> Situation<'a> {
    /// The keys to be made for a rotation that starts now, whatever the age of those that
    /// sign. Nothing when every domain has a successor that waits.
    pub fn roll(&self) -> Vec<WantedKey> {
        let algorithms = self.algorithms.iter();
        let wanted = algorithms.map(|algorithm| self.successor(*algorithm));
        wanted.filter(|wanted| !wanted.domains.is_empty()).collect()
    }

    /// Adds the keys and publications that are lacking to the plan.
    pub(super) fn want_keys(&self, plan: &mut Plan, moment: Moment) {
        let gap = self.gap(moment);
        // A clock that jumps ten years makes nobody a new key.
        if gap == Gap::Void {
            return;
        }
        for algorithm in self.algorithms {
            let lacking = |domain: &&DomainName| self.lacks_key((domain, *algorithm), moment);
            let lacking: Vec<&DomainName> = self.domains.iter().filter(lacking).collect();
            let newest = self.newest(*algorithm);
            let fits =
                |domain: &&DomainName| newest.is_some_and(|key| self.serves(key, domain, moment));
            let (added_to, rest): (Vec<_>, Vec<_>) = lacking.into_iter().partition(fits);
            if !rest.is_empty() {
                let mut wanted = self.successor(*algorithm);
                wanted.domains.retain(|domain| !added_to.contains(&domain));
                plan.wanted.push(wanted);
            }
            if let Some(key) = newest {
                let added = added_to.into_iter();
                plan.changes
                    .extend(added.map(|domain| Change::added(key, domain, moment.now)));
            }
        }
    }

    fn lacks_key(&self, (domain, algorithm): (&DomainName, Algorithm), moment: Moment) -> bool {
        let active = self.active(domain, algorithm);
        self.keyring.waiting_key(domain, algorithm).is_none()
            && active.is_none_or(|(_, active)| self.is_due(active, moment))
    }

    /// Whether the newest key can be that of one more domain: as a successor, or as the
    /// first one of a domain that is new.
    fn serves(&self, key: &KeyEntry, domain: &DomainName, moment: Moment) -> bool {
        let is_first = || self.active(domain, key.algorithm).is_none();
        !key.publications.contains_key(domain)
            && (is_fresh(key) || (is_first() && !self.is_replaced_soon(key, moment)))
    }

    /// A key for all domains for which none is waiting: those that are not due yet go
    /// along, so that an organisation has one key at a time.
    fn successor(&self, algorithm: Algorithm) -> WantedKey {
        let domains = self.domains.iter();
        let without =
            domains.filter(|domain| self.keyring.waiting_key(domain, algorithm).is_none());
        WantedKey {
            algorithm,
            domains: without.cloned().collect(),
        }
    }

    /// The last key that is in use or may come into use.
    fn newest(&self, algorithm: Algorithm) -> Option<&'a KeyEntry> {
        let is_live = |key: &&KeyEntry| {
            let states = || key.publications.values();
            key.algorithm == algorithm
                && states().any(|publication| {
                    matches!(
                        publication.state,
                        State::Generated | State::Published | State::Active
                    )
                })
                && states()
                    .all(|publication| publication.revocation != Some(Revocation::Compromised))
        };
        self.keyring.keys().iter().rev().find(is_live)
    }

    fn is_replaced_soon(&self, key: &KeyEntry, moment: Moment) -> bool {
        let mut publications = key.publications.iter();
        publications.any(|(domain, publication)| {
            publication.state == State::Active
                && self.is_configured(key, domain)
                && self.is_due(publication, moment)
        })
    }

    fn is_due(&self, active: &Publication, moment: Moment) -> bool {
        elapsed(active.since, moment.now).is_some_and(|age| age >= self.timing.successor_age())
    }

    /// What someone should be told after these steps.
    pub(super) fn alarms(&self, steps: &[Step], moment: Moment) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = Vec::new();
        let counts = self.gap(moment) == Gap::Counts;
        for step in steps {
            let key = &self.keyring.keys()[step.position];
            let mut raise = |kind| {
                alarms.push(Alarm {
                    kind,
                    domain: step.change.domain.clone(),
                    algorithm: key.algorithm,
                    selector: Some(key.selector.clone()),
                });
            };
            let after = &step.change.after;
            if after.state == State::Active {
                let age = elapsed(after.since, moment.now).unwrap_or_default();
                if counts && age >= self.timing.rotate_every {
                    raise(AlarmKind::RotationOverdue);
                }
                match step.sight {
                    Sight::Absent { .. } | Sight::RevokedEverywhere => raise(AlarmKind::ActiveGone),
                    Sight::Partly => raise(AlarmKind::ActivePartly),
                    Sight::Wrong => raise(AlarmKind::ActiveWrong),
                    Sight::Everywhere { .. } | Sight::Unknown => {}
                }
            }
            if after.why == Some(Why::GoneEarly) {
                raise(AlarmKind::GoneEarly);
            }
            let is_seen = matches!(step.sight, Sight::Everywhere { .. } | Sight::Partly);
            if is_seen && after.revocation == Some(Revocation::Compromised) {
                raise(AlarmKind::CompromisedSeen);
            }
        }
        alarms.extend(self.bereft(steps));
        alarms
    }

    /// An alarm for each domain of which the last key was revoked.
    fn bereft(&self, steps: &[Step]) -> Vec<Alarm> {
        let is_bereft = |place: (&DomainName, Algorithm)| {
            let compromised =
                |publication: &Publication| publication.revocation == Some(Revocation::Compromised);
            let mut keys = self.keys_of(place.0, place.1);
            keys.any(|(_, publication)| compromised(publication))
                && !is_active_after(steps, self, place)
        };
        let mut alarms = Vec::new();
        for algorithm in self.algorithms {
            let bereft = self.domains.iter();
            let bereft = bereft.filter(|domain| is_bereft((domain, *algorithm)));
            alarms.extend(bereft.map(|domain| Alarm {
                kind: AlarmKind::NoActiveKey,
                domain: domain.clone(),
                algorithm: *algorithm,
                selector: None,
            }));
        }
        alarms
    }
}

/// It has never signed.
fn is_fresh(key: &KeyEntry) -> bool {
    key.publications.values().all(|publication| {
        matches!(publication.state, State::Generated | State::Published)
            || publication.revocation == Some(Revocation::Aborted)
    })
}

fn is_active_after(
    steps: &[Step],
    situation: &Situation<'_>,
    (domain, algorithm): (&DomainName, Algorithm),
) -> bool {
    steps.iter().any(|step| {
        step.change.after.state == State::Active
            && step.change.domain == *domain
            && situation.keyring.keys()[step.position].algorithm == algorithm
    })
}
