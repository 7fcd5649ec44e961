//! What comes next for a key: what happens, who has to do what, how urgent it is. The list, the
//! page, the pack and the metrics all say it from here.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    keyring::KeyEntry,
    publication::{Publication, Revocation, State, Why, Withdrawal},
    situation::Situation,
    timing::later,
};
use crate::{
    names::{DomainName, Selector},
    words::{Level, words},
};

/// How long someone has to publish the record of a successor that was made by hand.
const BY_HAND: Duration = Duration::from_hours(14 * 24);

/// The next step in the life of a key, for one domain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NextStep {
    /// What happens, or what someone must do.
    #[serde(flatten)]
    pub what: What,
    /// When, if it is a matter of time and nothing comes in between.
    pub when: Option<Timestamp>,
    /// How things stand, as far as the keyring tells: what is not live may have mail.
    #[serde(skip)]
    pub level: Level,
    /// What it means for the DNS administrator; none when the record is no longer spoken of.
    #[serde(skip)]
    pub task: Option<Task>,
    /// Of the task. Add: by when. Keep: until when at least, or when the successor is expected
    /// (active). Empty: from when the record may be removed. None: at once, or not known.
    #[serde(skip)]
    pub due: Option<Timestamp>,
    /// The beginning of the last day of which receivers report that it passes, where it is kept
    /// for that.
    #[serde(skip)]
    pub reported: Option<Timestamp>,
    /// Whether the record is in a zone of the operator, so that the task is the operator's.
    #[serde(skip)]
    pub is_delegated: bool,
}

words! {
    /// What a DNS administrator does with a record.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub enum Task {
        /// Put it back at every server: mail needs it.
        Restore = "restore",
        /// Put it right at every server: something else is there.
        Mend = "mend",
        /// Make it, beside those that are there.
        Add = "add",
        /// Give it an empty `p=` (RFC 6376 §3.6.1: the key is revoked).
        Empty = "empty",
        /// Leave it.
        Keep = "keep",
        /// Take it away.
        Remove = "remove",
    }
}

words! {
    /// Whose turn it is.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Actor {
        /// Whoever looks after the DNS of the organisation.
        Administrator = "dns_administrator",
        /// Whoever runs Zegel.
        Operator = "operator",
        /// The keeper, by itself.
        Keeper = "keeper",
        /// Nobody: there is nothing to do.
        Nobody = "nobody",
    }
}

impl NextStep {
    /// For people: what happens, or what someone must do.
    pub fn text(&self) -> String {
        if let (What::AwaitReports, Some(day), Some(until)) = (&self.what, self.reported, self.when)
        {
            return format!(
                "keep its record: still reported as passing on {} by receivers; withdrawal waits \
                 until {}",
                day.strftime("%Y-%m-%d"),
                until.strftime("%Y-%m-%d"),
            );
        }
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

    /// Who has to do it.
    pub fn actor(&self) -> Actor {
        match (self.task, &self.what) {
            (Some(Task::Restore | Task::Mend | Task::Add | Task::Empty | Task::Remove), _) => {
                if self.is_delegated {
                    Actor::Operator
                } else {
                    Actor::Administrator
                }
            }
            (_, What::MendClock | What::SettleDomain | What::TakeOver | What::TakeIn) => {
                Actor::Operator
            }
            (_, What::Configure | What::Forget | What::Nothing) => Actor::Nobody,
            _ => Actor::Keeper,
        }
    }
}

/// What happens next, or what someone must do; in JSON a word of its own, which never changes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "what", content = "successor", rename_all = "snake_case")]
pub enum What {
    /// The keeper has not looked yet.
    Look,
    /// The DNS administrator publishes the record.
    PublishRecord,
    /// The DNS administrator adds the record that hands the name over to the operator.
    Delegate,
    /// The DNS administrator mends the record, at all servers.
    MendRecord,
    /// The DNS administrator takes the empty record away, or a new key is made.
    Unrevoke,
    /// Name servers must answer before anything is concluded.
    AwaitServers,
    /// The keeper must look more often, or the clock be set right.
    MendClock,
    /// It starts to sign.
    Activate,
    /// The DNS administrator puts back the record of a key that signs.
    RestoreRecord,
    /// Its successor is made.
    MakeSuccessor,
    /// This key takes its place when it is ready.
    AwaitSuccessor(Selector),
    /// The configuration gives its domain to others, parks it, or has its algorithm no more: it
    /// stops signing when the keeper has seen that.
    Leave,
    /// The operator has given notice: it signs until then, and then drains.
    SignUntil,
    /// It signs, and no file has its domain any more: the operator puts that back, or retires it.
    SettleDomain,
    /// It can sign for a domain that comes from another organisation: the operator moves it.
    TakeOver,
    /// It can sign for a domain that was to come, and that nobody has: the operator adds it here, or
    /// gives the move up.
    TakeIn,
    /// It is back, and signs again when the keeper sees its record everywhere.
    Return,
    /// Its record stays until then; after that it is given up.
    KeepRecord,
    /// The same, since receivers still report that it passes.
    AwaitReports,
    /// The DNS administrator puts a record that mail still needs back, until then.
    RestoreDrainingRecord,
    /// The DNS administrator publishes the record with an empty `p=`.
    EmptyRecord,
    /// The DNS administrator takes the record away.
    RemoveRecord,
    /// The configuration does not have the domain or the algorithm.
    Configure,
    /// A later key is in use; a record of this one may be taken away.
    Forget,
    /// Nothing.
    Nothing,
}

impl What {
    /// The word for it, as in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::PublishRecord => "publish_record",
            Self::Delegate => "delegate",
            Self::MendRecord => "mend_record",
            Self::Unrevoke => "unrevoke",
            Self::AwaitServers => "await_servers",
            Self::MendClock => "mend_clock",
            Self::Activate => "activate",
            Self::RestoreRecord => "restore_record",
            Self::MakeSuccessor => "make_successor",
            Self::AwaitSuccessor(_) => "await_successor",
            Self::Leave => "leave",
            Self::SignUntil => "sign_until",
            Self::SettleDomain => "settle_domain",
            Self::TakeOver => "take_over",
            Self::TakeIn => "take_in",
            Self::Return => "return",
            Self::KeepRecord => "keep_record",
            Self::AwaitReports => "await_reports",
            Self::RestoreDrainingRecord => "restore_draining_record",
            Self::EmptyRecord => "empty_record",
            Self::RemoveRecord => "remove_record",
            Self::Configure => "configure",
            Self::Forget => "forget",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Look => "the keeper looks for its record in DNS",
            Self::PublishRecord => "publish its record (see `zegel dns records`)",
            Self::Delegate => "add the record that delegates it, once (see `zegel dns records`)",
            Self::MendRecord => "correct its record, at every name server (see `zegel dns check`)",
            Self::Unrevoke => "give its record the key back: p= is empty, which revokes it",
            Self::AwaitServers => "every name server must answer; nothing changes until then",
            Self::MendClock => "no time counts: set the clock right, or run the keeper more often",
            Self::Activate => "it starts to sign",
            Self::RestoreRecord => "put its record back: mail is signed with this key",
            Self::MakeSuccessor => "its successor is made",
            Self::AwaitSuccessor(selector) => {
                return write!(
                    formatter,
                    "{selector} takes its place when that is seen everywhere"
                );
            }
            Self::Leave => {
                "it stops signing: the configuration has its domain elsewhere, or its algorithm \
                 no more"
            }
            Self::SignUntil => "it stops signing: the operator has said that its domain leaves",
            Self::SettleDomain => {
                "put its domain back into orgs.d, or say that it is gone: `zegel org retire`"
            }
            Self::TakeOver => {
                "its domain can come now: `zegel org move` again, or move its line in orgs.d"
            }
            Self::TakeIn => {
                "no file has its domain: add that to domains of its file, or give the move up with \
                 `zegel org move --cancel`"
            }
            Self::Return => "it signs again when the keeper sees its record at every name server",
            Self::KeepRecord => "keep its record: mail on its way needs it",
            Self::AwaitReports => "keep its record: receivers still report that its key passes",
            Self::RestoreDrainingRecord => "put its record back: mail on its way needs it",
            Self::EmptyRecord => "publish its record with an empty p=, then take it away",
            Self::RemoveRecord => "take its record away",
            Self::Configure => "none: the configuration does not have this domain or algorithm",
            Self::Forget => "none: a later key is in use; its record may be taken away",
            Self::Nothing => "none",
        };
        formatter.write_str(text)
    }
}

impl Situation<'_> {
    /// What comes next for this key of the keyring, in the DNS of `domain`.
    pub fn next_step(&self, key: &KeyEntry, domain: &DomainName) -> NextStep {
        let Some(publication) = key.publications.get(domain) else {
            return step(What::Configure, Level::Well, None);
        };
        let step = self.step_of(key, domain, publication);
        let place = (domain, publication);
        self.handed_over(step, &key.selector, place)
    }

    /// The step, where the configuration hands the domain over: the operator's turn instead of
    /// that of the organisation, or the one record that the organisation has to add.
    fn handed_over(
        &self,
        step: NextStep,
        selector: &Selector,
        (domain, publication): (&DomainName, &Publication),
    ) -> NextStep {
        if self.delegated.wanted.way(domain).is_none() {
            return step;
        }
        let is_ours = self.delegated.is_ours(selector, domain);
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
            is_delegated: is_ours == Some(true),
            ..step
        }
    }

    /// The same, whoever has the record.
    fn step_of(&self, key: &KeyEntry, domain: &DomainName, publication: &Publication) -> NextStep {
        let drained = || later(publication.since, self.timing.drain_time(publication.ttl));
        match publication.state {
            State::Generated | State::Published => self.next_before_use(key, domain, publication),
            State::Active => self.next_of_active(key, domain, publication),
            State::Draining if self.returns(key, domain, publication) => {
                step(What::Return, Level::Unsigned, Task::Keep)
            }
            // The keeper looked at it until no mail needed the record any more.
            State::Draining if publication.withdrawal.is_some() => {
                step(What::EmptyRecord, Level::Act, Task::Empty)
            }
            State::Draining => {
                let until = Some(publication.kept_until().unwrap_or_else(drained));
                let next = match publication.why {
                    Some(Why::GoneEarly) => step(
                        What::RestoreDrainingRecord,
                        Level::Unverifiable,
                        Task::Restore,
                    ),
                    Some(Why::Clock) => step(What::MendClock, Level::Act, Task::Keep),
                    _ if publication.reported.is_some() => {
                        step(What::AwaitReports, Level::Well, Task::Keep)
                    }
                    _ => step(What::KeepRecord, Level::Well, Task::Keep),
                };
                NextStep {
                    when: until,
                    due: until,
                    reported: publication.reported,
                    ..next
                }
            }
            // It never signed, and nobody else has it.
            State::Revoked if publication.revocation == Some(Revocation::Aborted) => {
                step(What::EmptyRecord, Level::Act, Task::Empty)
            }
            State::Revoked => NextStep {
                due: Some(drained()),
                ..step(What::EmptyRecord, Level::Compromised, Task::Empty)
            },
            State::Withdrawn if publication.withdrawal == Some(Withdrawal::Emptied) => {
                step(What::RemoveRecord, Level::Act, Task::Remove)
            }
            State::Withdrawn => step(What::Nothing, Level::Well, None),
        }
    }

    fn next_before_use(
        &self,
        key: &KeyEntry,
        domain: &DomainName,
        publication: &Publication,
    ) -> NextStep {
        if self.keyring.has_left(domain) {
            return step(What::Configure, Level::Well, None);
        }
        let waits = self.before_use(domain, Level::Waits);
        let what = match (publication.why, publication.state) {
            (Some(Why::NotConfigured), _) => return step(What::Configure, Level::Well, None),
            (Some(Why::Superseded), _) => return step(What::Forget, Level::Well, None),
            (Some(Why::SeenPartly | Why::SeenWrong), _) => What::MendRecord,
            (Some(Why::SeenRevoked), _) => What::Unrevoke,
            (Some(Why::NotSeen), _) => What::PublishRecord,
            (Some(Why::Settling), State::Published) => {
                let wait = self.timing.settle_time(publication.negative_ttl);
                return NextStep {
                    when: publication.seen_since.map(|since| later(since, wait)),
                    ..step(What::Activate, waits, Task::Keep)
                };
            }
            (Some(Why::Unreachable), State::Published) => {
                return step(What::AwaitServers, waits, Task::Keep);
            }
            (_, State::Published) => return step(What::Look, waits, Task::Keep),
            // It may be there: it is asked for until it has been seen.
            (Some(Why::Unreachable), _) => What::AwaitServers,
            _ => What::PublishRecord,
        };
        let task = match what {
            What::MendRecord if publication.why == Some(Why::SeenWrong) => Task::Mend,
            What::Unrevoke => Task::Mend,
            _ => Task::Add,
        };
        let level = self.before_use(domain, Level::Act);
        let active = self.active(domain, key.algorithm);
        let named = self.keyring.deadline(&key.selector);
        NextStep {
            due: named.or_else(|| Some(self.due_of_successor(key, active?.1))),
            ..step(what, level, task)
        }
    }

    /// By when a successor is to sign: at the end of the life of the key before it. One that was
    /// made before its time, by hand, has a reason that does not wait for months.
    fn due_of_successor(&self, key: &KeyEntry, active: &Publication) -> Timestamp {
        let end = later(active.since, self.timing.rotate_every);
        let its_time = later(active.since, self.timing.successor_age());
        if active.since < key.created && key.created < its_time {
            end.min(later(key.created, BY_HAND))
        } else {
            end
        }
    }

    fn next_of_active(
        &self,
        key: &KeyEntry,
        domain: &DomainName,
        publication: &Publication,
    ) -> NextStep {
        // Mail that it signed needs the record.
        if self.leaves(key, domain) {
            return step(What::Leave, Level::Waits, Task::Keep);
        }
        let is_wrong = self.without_record(domain);
        match publication.why {
            Some(Why::NotSeen | Why::SeenRevoked) => {
                return step(What::RestoreRecord, is_wrong, Task::Restore);
            }
            Some(Why::SeenPartly | Why::SeenWrong) => {
                return step(What::MendRecord, is_wrong, Task::Mend);
            }
            _ => {}
        }
        if self.comes(domain) {
            let what = if self.comes_from_another(domain) {
                What::TakeOver
            } else {
                What::TakeIn
            };
            return step(what, Level::Act, Task::Keep);
        }
        if let Some(departure) = self.keyring.departure(domain) {
            return NextStep {
                when: Some(departure.until),
                due: Some(departure.until),
                ..step(What::SignUntil, Level::Well, Task::Keep)
            };
        }
        if self.misses(domain) {
            return step(What::SettleDomain, Level::Act, Task::Keep);
        }
        let due = Some(later(publication.since, self.timing.successor_age()));
        let (what, when) = match self.keyring.waiting_key(domain, key.algorithm) {
            Some(waiting) => (What::AwaitSuccessor(waiting.selector.clone()), None),
            None => (What::MakeSuccessor, due),
        };
        NextStep {
            when,
            due,
            ..step(what, Level::Well, Task::Keep)
        }
    }

    /// Whether all that it waits for is that its record is seen.
    fn returns(&self, key: &KeyEntry, domain: &DomainName, publication: &Publication) -> bool {
        self.may_return(key, domain)
            && publication.why != Some(Why::GoneEarly)
            && self.active(domain, key.algorithm).is_none()
    }

    /// How things stand where a key is not in use yet: this, if another one signs.
    fn before_use(&self, domain: &DomainName, signed: Level) -> Level {
        if self.comes(domain) || self.has_key(domain, |state| state == State::Active) {
            signed
        } else {
            self.without_key(domain)
        }
    }

    /// How things stand with a domain for which no key signs. What had one has mail.
    pub fn without_key(&self, domain: &DomainName) -> Level {
        if self.comes(domain) {
            return Level::Waits;
        }
        let mut keys = self.keyring.keys().iter();
        let has_signed = keys.any(|key| {
            let publication = key.publications.get(domain);
            publication.is_some_and(Publication::has_signed)
        });
        if has_signed {
            Level::Unsigned
        } else {
            Level::NotLive
        }
    }

    /// Whether a key signs for the domain or is to.
    pub fn has_candidate(&self, domain: &DomainName) -> bool {
        self.has_key(domain, |state| {
            matches!(state, State::Generated | State::Published | State::Active)
        })
    }

    fn has_key(&self, domain: &DomainName, is: impl Fn(State) -> bool) -> bool {
        let mut keys = self.keyring.keys().iter();
        keys.any(|key| key.state(domain).is_some_and(&is))
    }
}

fn step(what: What, level: Level, task: impl Into<Option<Task>>) -> NextStep {
    NextStep {
        what,
        when: None,
        level,
        task: task.into(),
        due: None,
        reported: None,
        is_delegated: false,
    }
}

#[cfg(test)]
impl What {
    /// One of each.
    pub(crate) fn each() -> [Self; 25] {
        [
            What::Look,
            What::PublishRecord,
            What::Delegate,
            What::MendRecord,
            What::Unrevoke,
            What::AwaitServers,
            What::MendClock,
            What::Activate,
            What::RestoreRecord,
            What::MakeSuccessor,
            What::AwaitSuccessor("s2".parse().unwrap()),
            What::Leave,
            What::SignUntil,
            What::SettleDomain,
            What::TakeOver,
            What::TakeIn,
            What::Return,
            What::KeepRecord,
            What::AwaitReports,
            What::RestoreDrainingRecord,
            What::EmptyRecord,
            What::RemoveRecord,
            What::Configure,
            What::Forget,
            What::Nothing,
        ]
    }
}
