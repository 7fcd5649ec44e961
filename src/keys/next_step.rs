//! What comes next for a key, in words for people.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    keyring::KeyEntry,
    publication::{State, Why, Withdrawal},
    situation::Situation,
    timing::later,
};
use crate::names::{DomainName, Selector};

/// The next step in the life of a key, for one domain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NextStep {
    /// What happens, or what someone must do.
    #[serde(flatten)]
    pub what: What,
    /// When, if it is a matter of time and nothing comes in between.
    pub when: Option<Timestamp>,
}

/// What happens next, or what someone must do; in JSON a word of its own, which never changes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "what", content = "successor", rename_all = "snake_case")]
pub enum What {
    /// The keeper has not looked yet.
    Look,
    /// The DNS administrator publishes the record.
    PublishRecord,
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
    /// Its record stays until then; after that it is given up.
    KeepRecord,
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
            Self::MendRecord => "mend_record",
            Self::Unrevoke => "unrevoke",
            Self::AwaitServers => "await_servers",
            Self::MendClock => "mend_clock",
            Self::Activate => "activate",
            Self::RestoreRecord => "restore_record",
            Self::MakeSuccessor => "make_successor",
            Self::AwaitSuccessor(_) => "await_successor",
            Self::KeepRecord => "keep_record",
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
            Self::MendRecord => "mend its record, at every name server (see `zegel dns check`)",
            Self::Unrevoke => "give its record the key back: p= is empty, which revokes it",
            Self::AwaitServers => "every name server must answer; nothing changes until then",
            Self::MendClock => "no time counts: mend the clock, or run the keeper more often",
            Self::Activate => "it starts to sign",
            Self::RestoreRecord => "put its record back: mail is signed with this key",
            Self::MakeSuccessor => "its successor is made",
            Self::AwaitSuccessor(selector) => {
                return write!(
                    formatter,
                    "{selector} takes its place when that is seen everywhere"
                );
            }
            Self::KeepRecord => "keep its record: mail on its way needs it",
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
            return at(What::Configure, None);
        };
        match publication.state {
            _ if publication.why == Some(Why::NotConfigured) => at(What::Configure, None),
            State::Generated => at(before_use(publication.why), None),
            State::Published => match publication.why {
                Some(Why::Settling) => {
                    let wait = self.timing.settle_time(publication.negative_ttl);
                    let when = publication.seen_since.map(|since| later(since, wait));
                    at(What::Activate, when)
                }
                why => at(before_use(why), None),
            },
            State::Active => self.next_of_active(key, domain),
            State::Draining if publication.withdrawal.is_some() => at(What::EmptyRecord, None),
            State::Draining => {
                let what = match publication.why {
                    Some(Why::GoneEarly) => What::RestoreDrainingRecord,
                    Some(Why::Clock) => What::MendClock,
                    _ => What::KeepRecord,
                };
                at(what, publication.drain_until)
            }
            State::Revoked => at(What::EmptyRecord, None),
            State::Withdrawn if publication.withdrawal == Some(Withdrawal::Emptied) => {
                at(What::RemoveRecord, None)
            }
            State::Withdrawn => at(What::Nothing, None),
        }
    }

    fn next_of_active(&self, key: &KeyEntry, domain: &DomainName) -> NextStep {
        let Some(publication) = key.publications.get(domain) else {
            return at(What::Configure, None);
        };
        match publication.why {
            Some(Why::NotSeen | Why::SeenRevoked) => return at(What::RestoreRecord, None),
            Some(Why::SeenPartly | Why::SeenWrong) => return at(What::MendRecord, None),
            _ => {}
        }
        if let Some(waiting) = self.keyring.waiting_key(domain, key.algorithm) {
            return at(What::AwaitSuccessor(waiting.selector.clone()), None);
        }
        let due = later(publication.since, self.timing.successor_age());
        at(What::MakeSuccessor, Some(due))
    }
}

fn before_use(why: Option<Why>) -> What {
    match why {
        Some(Why::NotSeen) => What::PublishRecord,
        Some(Why::SeenPartly | Why::SeenWrong) => What::MendRecord,
        Some(Why::SeenRevoked) => What::Unrevoke,
        Some(Why::Unreachable) => What::AwaitServers,
        Some(Why::Superseded) => What::Forget,
        _ => What::Look,
    }
}

fn at(what: What, when: Option<Timestamp>) -> NextStep {
    NextStep { what, when }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_called_the_same_everywhere() {
        for what in [
            What::Look,
            What::PublishRecord,
            What::MendRecord,
            What::Unrevoke,
            What::AwaitServers,
            What::MendClock,
            What::Activate,
            What::RestoreRecord,
            What::MakeSuccessor,
            What::AwaitSuccessor("s2".parse().unwrap()),
            What::KeepRecord,
            What::RestoreDrainingRecord,
            What::EmptyRecord,
            What::RemoveRecord,
            What::Configure,
            What::Forget,
            What::Nothing,
        ] {
            assert_eq!(serde_json::to_value(&what).unwrap()["what"], what.as_str());
        }
    }
}
