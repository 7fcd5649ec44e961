//! What is known of one key in the DNS of one domain.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    reported::kept_until,
    timing::{Timing, later},
};

/// Where a key is in its life, for one domain.
///
/// ```text
///  generated <──> published ──> active <─> draining ──> withdrawn
///      │              │           │           │         │    ▲
///      └──────────────┴───────────┴───────────┴─────────┘    │
///           at the operator's word, at any time: revoked ────┘
/// ```
///
/// A published key goes back when its record is no longer seen everywhere. One that is
/// assumed to be published becomes active from either state. A key that drains since its domain
/// or its algorithm left the organisation becomes active again if that comes back while the
/// record is there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made; nothing is known to be in DNS.
    Generated,
    /// Every authoritative server showed its record.
    Published,
    /// It signs. At most one key per domain and algorithm.
    Active,
    /// It signs no more; its record must stay until the last mail is verified.
    Draining,
    /// Its record was seen to be empty or gone after it had drained, or the operator says so.
    Withdrawn,
    /// The operator gave it up at once.
    Revoked,
}

impl State {
    /// The word in the keyring and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Published => "published",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the key signs no more, unless something happens to it.
    pub fn is_given_up(self) -> bool {
        matches!(self, Self::Draining | Self::Withdrawn | Self::Revoked)
    }

    /// Whether the drawing has an arrow from here to there. A key is revoked from any
    /// state, since it may turn out to be stolen when it is no longer used.
    pub fn leads_to(self, next: Self) -> bool {
        match (self, next) {
            (Self::Revoked, Self::Revoked) => false,
            (_, Self::Revoked)
            | (Self::Generated, Self::Published)
            | (Self::Published, Self::Generated | Self::Active)
            | (Self::Active, Self::Draining)
            | (Self::Draining, Self::Active)
            | (Self::Draining | Self::Revoked, Self::Withdrawn) => true,
            _ => false,
        }
    }
}

impl State {
    /// Whether the drawing leads from here to there in any number of steps, or none: a key that
    /// signed is never again new, and one that was given up for good never signs again.
    pub fn may_become(self, later: Self) -> bool {
        match self {
            Self::Generated | Self::Published => true,
            Self::Active | Self::Draining => !matches!(later, Self::Generated | Self::Published),
            Self::Withdrawn | Self::Revoked => matches!(later, Self::Withdrawn | Self::Revoked),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Why a key may sign for a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Evidence {
    /// The operator says that the record is in DNS (`--assume-published`).
    Assumed,
}

/// How far the record of a key that signs no more has been given up: first an empty `p=`
/// (RFC 6376 §3.6.1), then no record.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// No mail needs the record any more: the DNS administrator may give it up.
    Asked,
    /// Every authoritative server showed the record with an empty `p=`.
    Emptied,
    /// Every authoritative server said that there is no record.
    Gone,
}

/// Why the operator revoked a key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// Others have, or may have, its private half.
    Compromised,
    /// It was to be a successor and never signed.
    Aborted,
}

/// The state of a key for one domain, since when, and the evidence so far.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Where it is.
    pub state: State,
    /// When it came there.
    pub since: Timestamp,
    /// It became active on [`Evidence::Assumed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
    /// When it was last looked at, whatever came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Timestamp>,
    /// Since when every authoritative server shows it, without interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// When they last did; from here to `checked` nothing certain is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_last: Option<Timestamp>,
    /// The longest TTL that its record was seen with. Whole seconds, as everything in DNS.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub ttl: Option<Duration>,
    /// For how long others may still believe that there is no record: the longest TTL of a
    /// negative answer since it was first seen, or the last one before.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub negative_ttl: Option<Duration>,
    /// Why it was left where it is when it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// Until when its record must stay, for mail that was signed before it drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_until: Option<Timestamp>,
    /// The beginning of the last day of which receivers report that it passes, which is why it
    /// drains longer than that; none if nothing of the kind holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Timestamp>,
    /// When the domain or the algorithm left the organisation, which is why it drains; none of a
    /// key that another one replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Timestamp>,
    /// How far the record is given up; none before that is asked for, and when it is the
    /// operator who said that it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Withdrawal>,
    /// Why it was revoked, also when it is withdrawn since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

impl Publication {
    /// Of a key that was just made, or a domain that was just added.
    pub fn generated(now: Timestamp) -> Self {
        Self {
            state: State::Generated,
            since: now,
            assumed: false,
            checked: None,
            seen_since: None,
            seen_last: None,
            ttl: None,
            negative_ttl: None,
            why: None,
            drain_until: None,
            reported: None,
            left: None,
            withdrawal: None,
            revocation: None,
        }
    }

    /// Whether it drains only since its domain or algorithm left, so that it signs again if that
    /// comes back and the record is seen.
    pub fn may_return(&self) -> bool {
        self.state == State::Draining && self.left.is_some() && self.withdrawal.is_none()
    }

    /// Until when its record stays, if it drains: longer where receivers report that it passes.
    pub fn kept_until(&self) -> Option<Timestamp> {
        let normal = self.drain_until?;
        let day = self.reported;
        Some(day.map_or(normal, |day| kept_until(normal, day)))
    }

    /// Whether its record holds the key: not once that is revoked or no longer needed.
    pub fn holds_key(&self) -> bool {
        !matches!(self.state, State::Withdrawn | State::Revoked) && self.withdrawal.is_none()
    }

    /// When a key that signs has been in use for as long as it is meant to be.
    pub fn overdue_at(&self, timing: &Timing) -> Option<Timestamp> {
        (self.state == State::Active).then(|| later(self.since, timing.rotate_every))
    }

    /// Whether it signs, or did: that of a key revoked before its use may be said too.
    pub(super) fn has_signed(&self) -> bool {
        match self.state {
            State::Generated | State::Published => false,
            State::Active | State::Draining => true,
            State::Withdrawn | State::Revoked => self.revocation != Some(Revocation::Aborted),
        }
    }

    /// Whether its record was seen everywhere since then, or it came into its state since then.
    pub fn is_shown_since(&self, time: Timestamp) -> bool {
        self.since >= time || self.seen_last.is_some_and(|seen| seen >= time)
    }

    /// Comes into another state.
    pub(super) fn enter(&mut self, state: State, why: Why, now: Timestamp) {
        self.state = state;
        self.since = now;
        self.why = Some(why);
        self.reported = None;
    }

    /// Signs from now on.
    pub(super) fn activate(&mut self, now: Timestamp) {
        self.enter(State::Active, Why::Signing, now);
    }

    /// Signs no more; its record stays for as long as mail may need it.
    pub(super) fn drain(&mut self, timing: &Timing, now: Timestamp) {
        self.enter(State::Draining, Why::Draining, now);
        self.drain_until = Some(later(now, timing.drain_time(self.ttl)));
    }

    /// Signs no more, since the domain or the algorithm has left the organisation.
    pub(super) fn leave(&mut self, timing: &Timing, now: Timestamp) {
        self.drain(timing, now);
        self.left = Some(now);
    }

    /// Signs again: its record was seen everywhere after it came back.
    pub(super) fn come_back(&mut self, now: Timestamp) {
        self.activate(now);
        self.assumed = false;
        self.drain_until = None;
        self.left = None;
    }
}

/// The reason for which a publication was left in its state when it was last looked at:
/// the word in the keyring and in lists.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No server shows a record.
    NotSeen,
    /// Some servers show the record and others do not.
    SeenPartly,
    /// A server shows another key, a second record, or one that cannot be read.
    SeenWrong,
    /// The record is there with an empty `p=`, which revokes the key.
    SeenRevoked,
    /// A server that counts could not be asked: nothing is concluded.
    Unreachable,
    /// Seen everywhere, and not for long enough yet.
    Settling,
    /// The last check was too long ago, or lies in the future, so that no time counts.
    Clock,
    /// It signs, and nothing is known against its record.
    Signing,
    /// A later key took its place before it was ever used.
    Superseded,
    /// The configuration does not have the domain, or not the algorithm.
    NotConfigured,
    /// Its record must stay for mail that is still on its way.
    Draining,
    /// Its record went while mail that needs it may still be on its way.
    GoneEarly,
    /// Its record may be given up, and is not yet.
    AwaitingWithdrawal,
    /// Its record has an empty `p=` and may be taken away.
    AwaitingRemoval,
    /// Nothing is left to be done.
    Done,
}

impl Why {
    /// The word in the keyring and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSeen => "not_seen",
            Self::SeenPartly => "seen_partly",
            Self::SeenWrong => "seen_wrong",
            Self::SeenRevoked => "seen_revoked",
            Self::Unreachable => "unreachable",
            Self::Settling => "settling",
            Self::Clock => "clock",
            Self::Signing => "signing",
            Self::Superseded => "superseded",
            Self::NotConfigured => "not_configured",
            Self::Draining => "draining",
            Self::GoneEarly => "gone_early",
            Self::AwaitingWithdrawal => "awaiting_withdrawal",
            Self::AwaitingRemoval => "awaiting_removal",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A step that the life of a key does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key that is {from} cannot become {to}")]
pub struct ForbiddenStep {
    /// Where it is.
    pub from: State,
    /// Where it was to go.
    pub to: State,
}

/// Durations in the keyring: a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_u64(duration.as_secs()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<u32>::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 6] = [
        State::Generated,
        State::Published,
        State::Active,
        State::Draining,
        State::Withdrawn,
        State::Revoked,
    ];

    #[test]
    fn steps_are_those_of_the_drawing() {
        let arrows = |from: State| -> Vec<State> {
            ALL.into_iter().filter(|to| from.leads_to(*to)).collect()
        };
        assert_eq!(arrows(State::Generated), [State::Published, State::Revoked]);
        assert_eq!(
            arrows(State::Published),
            [State::Generated, State::Active, State::Revoked]
        );
        assert_eq!(arrows(State::Active), [State::Draining, State::Revoked]);
        assert_eq!(
            arrows(State::Draining),
            [State::Active, State::Withdrawn, State::Revoked]
        );
        assert_eq!(arrows(State::Withdrawn), [State::Revoked]);
        assert_eq!(arrows(State::Revoked), [State::Withdrawn]);
    }
}
