//! What is due for one organisation, as the DNS and the time have it: changes, keys to be made,
//! and alarms.

use jiff::Timestamp;

use super::{
    change::{Change, Event},
    check::{Check, Sight},
    keyring::Keyring,
    publication::{Publication, Revocation, State, Why},
    situation::{Record, Situation},
    successor::WantedKey,
    timing::{Gap, Moment, elapsed},
};
use crate::{
    dkim::key::Algorithm,
    names::{DomainName, Selector},
};

/// What is due for one organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// To be written together, with [`crate::keystore::Writer::apply`].
    pub changes: Vec<Change>,
    /// Keys to be made, after that.
    pub wanted: Vec<WantedKey>,
    /// What someone should be told.
    pub alarms: Vec<Alarm>,
    /// Whether a notice is over, which is to be noted after the changes.
    pub ends_departures: bool,
}

impl Plan {
    /// Gives a new key to the domains that were to get one which the organisation has, where
    /// another organisation's key has that selector there: `is_taken` says so.
    ///
    /// # Errors
    /// What `is_taken` has.
    pub fn avoid_taken<E>(
        &mut self,
        keyring: &Keyring,
        mut is_taken: impl FnMut(&Selector, &DomainName) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut kept = Vec::with_capacity(self.changes.len());
        for change in self.changes.drain(..) {
            let key = keyring.key(&change.selector);
            match key.filter(|_| change.event == Event::Added) {
                Some(key) if is_taken(&change.selector, &change.domain)? => {
                    let wanted = self.wanted.iter_mut();
                    let mut wanted = wanted.filter(|one| one.algorithm == key.algorithm);
                    match wanted.next() {
                        Some(wanted) => wanted.domains.push(change.domain),
                        None => self.wanted.push(WantedKey {
                            algorithm: key.algorithm,
                            domains: vec![change.domain],
                        }),
                    }
                }
                _ => kept.push(change),
            }
        }
        self.changes = kept;
        Ok(())
    }
}

/// Something that someone should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// Where.
    pub domain: DomainName,
    /// Of which kind of key.
    pub algorithm: Algorithm,
    /// Of which key; none when it is the lack of one.
    pub selector: Option<Selector>,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AlarmKind {
    /// A key that signs has no record, or one with an empty `p=`.
    ActiveGone,
    /// A key that signs has its record at some servers only.
    ActivePartly,
    /// A key that signs has a wrong record at a server at least.
    ActiveWrong,
    /// A record went before all mail that needs it was delivered.
    GoneEarly,
    /// A key is longer in use than it should be, and its successor is not ready.
    RotationOverdue,
    /// Others may have the key, and its record is still there: they can sign.
    CompromisedSeen,
    /// A domain that had a key has none, as the last one was revoked.
    NoActiveKey,
    /// An older keystore was put back, and a key that signs by it was not seen since.
    RestoredUnseen,
}

impl AlarmKind {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActiveGone => "active_gone",
            Self::ActivePartly => "active_partly",
            Self::ActiveWrong => "active_wrong",
            Self::GoneEarly => "gone_early",
            Self::RotationOverdue => "rotation_overdue",
            Self::CompromisedSeen => "compromised_seen",
            Self::NoActiveKey => "no_active_key",
            Self::RestoredUnseen => "restored_unseen",
        }
    }
}

/// A change, and where its key is in the keyring.
struct Step {
    position: usize,
    sight: Sight,
    change: Change,
}

impl<'a> Situation<'a> {
    /// What is due, as `sight` shows each pair of [`Situation::watched`].
    pub fn plan(&self, moment: Moment, sight: impl Fn(&Selector, &DomainName) -> Sight) -> Plan {
        // A clock that jumps ends nobody's grace.
        let is_certain = self.gap(moment) != Gap::Void;
        let ended = self.keyring.departures().ended_by(moment.now);
        let Some(departures) = ended.filter(|_| is_certain) else {
            return self.plan_as_it_is(moment, sight);
        };
        let mut keyring = self.keyring.clone();
        keyring.set_departures(departures);
        let after = Situation {
            keyring: &keyring,
            ..*self
        };
        Plan {
            ends_departures: true,
            ..after.plan_as_it_is(moment, sight)
        }
    }

    fn plan_as_it_is(
        &self,
        moment: Moment,
        sight: impl Fn(&Selector, &DomainName) -> Sight,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut steps = Vec::new();
        for record in self.records() {
            if let Some(why) = self.unwatched(&record) {
                plan.changes.extend(unwatched_change(&record, why));
                continue;
            }
            let sight = sight(&record.key.selector, record.domain);
            let reported = self.reported.of(record.domain, &record.key.selector);
            let (mut after, mut event) =
                self.check(sight, moment).step(record.publication, reported);
            if self.is_to_leave(&record) {
                after.leave(self.timing, moment.now);
                event = Event::Left;
            }
            steps.push(Step {
                position: record.position,
                sight,
                change: Change::new(record.key, record.domain, after, event),
            });
        }
        self.activate(&mut steps, moment);
        self.take_back(&mut steps, moment);
        plan.alarms = self.alarms(&steps, moment);
        plan.changes
            .extend(steps.into_iter().map(|step| step.change));
        let successors = self.successors(moment);
        plan.changes.extend(successors.added);
        plan.wanted = successors.wanted;
        plan
    }

    /// What domains lack that are to have a key: the plan of a look at which nothing was seen and
    /// no time had passed.
    pub fn lacking(&self, moment: Moment) -> Plan {
        let successors = self.successors(moment);
        Plan {
            changes: successors.added,
            wanted: successors.wanted,
            ..Plan::default()
        }
    }

    fn check(&self, sight: Sight, moment: Moment) -> Check<'a> {
        Check {
            sight,
            moment,
            timing: self.timing,
        }
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

    /// Lets keys sign again that had left, where they are back and no key signs.
    fn take_back(&self, steps: &mut [Step], moment: Moment) {
        // The last one first, as above.
        for index in (0..steps.len()).rev() {
            let Step {
                position,
                sight,
                change,
            } = &steps[index];
            let key = &self.keyring.keys()[*position];
            let is_active = |step: &Step| {
                step.change.after.state == State::Active
                    && step.change.domain == change.domain
                    && self.keyring.keys()[step.position].algorithm == key.algorithm
            };
            if !self.may_return(key, &change.domain)
                || !matches!(sight, Sight::Everywhere { .. })
                || steps.iter().any(is_active)
            {
                continue;
            }
            let change = &mut steps[index].change;
            // The same look may have said that it has drained.
            change.after.withdrawal = None;
            change.after.come_back(moment.now);
            change.event = Event::Returned;
        }
    }

    /// The keys that sign no more since their domain or algorithm has left. Nothing has to be
    /// looked at for this.
    pub fn leave(&self, now: Timestamp) -> Vec<Change> {
        let leaving = self.records().filter(|record| self.is_to_leave(record));
        leaving
            .map(|record| Change::left(record.key, record.domain, self.timing, now))
            .collect()
    }

    fn is_to_leave(&self, record: &Record<'_>) -> bool {
        record.publication.state == State::Active && self.leaves(record.key, record.domain)
    }

    fn is_ready(&self, step: &Step, moment: Moment) -> bool {
        let check = self.check(step.sight, moment);
        let before = step.change.before.as_ref();
        before.is_some_and(|before| check.is_ready(before, &step.change.after))
    }

    /// What someone should be told after these steps.
    fn alarms(&self, steps: &[Step], moment: Moment) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = Vec::new();
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
            if after.state == State::Active && !self.comes(&step.change.domain) {
                let age = elapsed(after.since, moment.now).unwrap_or_default();
                // By the dates alone: what keeps the time from counting must not hide it.
                let is_to_rotate = !self.is_leaving(&step.change.domain);
                if is_to_rotate && age >= self.timing.rotate_every {
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
        let is_bereft = |domain: &DomainName, algorithm: Algorithm| {
            let signs = |step: &Step| {
                step.change.after.state == State::Active
                    && step.change.domain == *domain
                    && self.keyring.keys()[step.position].algorithm == algorithm
            };
            self.keys_of(domain, algorithm)
                .any(|(_, publication)| publication.revocation == Some(Revocation::Compromised))
                && !steps.iter().any(signs)
        };
        let mut alarms = Vec::new();
        for algorithm in self.algorithms {
            let bereft = self.domains.iter();
            let bereft = bereft.filter(|domain| self.sends_from(domain));
            alarms.extend(
                bereft
                    .filter(|domain| is_bereft(domain, *algorithm))
                    .map(|domain| Alarm {
                        kind: AlarmKind::NoActiveKey,
                        domain: domain.clone(),
                        algorithm: *algorithm,
                        selector: None,
                    }),
            );
        }
        alarms
    }
}

/// Only the reason is written down: it was not looked at.
fn unwatched_change(record: &Record<'_>, why: Why) -> Option<Change> {
    let after = Publication {
        why: Some(why),
        ..*record.publication
    };
    (after != *record.publication)
        .then(|| Change::new(record.key, record.domain, after, Event::Checked))
}
