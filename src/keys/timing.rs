//! How much of the time between two checks counts.

use std::time::Duration;

use jiff::Timestamp;

/// Caches keep no answer longer than this, whatever its TTL says (RFC 8767 §4), so a zone
/// with an absurd TTL does not stop the life of a key.
pub const LONGEST_TTL: Duration = Duration::from_hours(7 * 24);

/// The TTL that a record is taken to have when nobody has ever seen it.
pub const UNKNOWN_TTL: Duration = Duration::from_hours(24);

/// The waits in the life of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// How far apart the checks are meant to be.
    pub check_every: Duration,
    /// Least time that a record must have been seen everywhere before its key signs.
    pub settle: Duration,
    /// Longest queue life of a message, and a margin.
    pub drain: Duration,
    /// Longest time from `t=` to `x=`; zero without `x=`.
    pub longest_expiry: Duration,
    /// How long a key is meant to be in use.
    pub rotate_every: Duration,
    /// How long before the end of that its successor is made.
    pub lead_time: Duration,
}

impl Timing {
    /// The longest time between two checks that counts: three times `check_every`, and a
    /// minute for a check that takes long. A longer one may be a clock that jumped.
    pub fn patience(&self) -> Duration {
        self.check_every
            .saturating_mul(3)
            .saturating_add(Duration::from_mins(1))
    }

    /// How long a record must stay after its key signed for the last time.
    pub fn drain_time(&self, ttl: Option<Duration>) -> Duration {
        let ttl = ttl.map_or(UNKNOWN_TTL, |ttl| ttl.min(LONGEST_TTL));
        self.drain
            .saturating_add(self.longest_expiry)
            .saturating_add(ttl)
    }

    /// How long a record must have been seen everywhere before its key signs.
    pub fn settle_time(&self, negative_ttl: Option<Duration>) -> Duration {
        let negative_ttl = negative_ttl.unwrap_or_default().min(LONGEST_TTL);
        self.settle.max(negative_ttl)
    }

    /// How old an active key is when its successor is made.
    pub fn successor_age(&self) -> Duration {
        self.rotate_every.saturating_sub(self.lead_time)
    }
}

/// Whether the wall clock went along with a clock that cannot be set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Clock {
    /// It did, or nothing is known of that (the first check of a process).
    #[default]
    Steady,
    /// It did not, since the check before: no time counts.
    Jumped,
}

/// When a check is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// As the wall clock has it.
    pub now: Timestamp,
    /// Whether that can be believed.
    pub clock: Clock,
}

impl Moment {
    /// With a clock of which nothing bad is known.
    pub fn steady(now: Timestamp) -> Self {
        Self {
            now,
            clock: Clock::Steady,
        }
    }

    /// What the time since a check is worth.
    pub(super) fn gap(&self, checked: Option<Timestamp>, timing: &Timing) -> Gap {
        let Some(checked) = checked else {
            return Gap::First;
        };
        match (self.clock, elapsed(checked, self.now)) {
            (Clock::Steady, Some(elapsed)) if elapsed <= timing.patience() => Gap::Counts,
            _ => Gap::Void,
        }
    }
}

/// What the time between two checks is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gap {
    /// There was no check before.
    First,
    /// It can be believed.
    Counts,
    /// It cannot: too long, negative, or the clock is known to have jumped.
    Void,
}

/// Nothing when `then` is still to come.
pub(super) fn elapsed(then: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(now.duration_since(then)).ok()
}

/// The last moment that there is, at most.
pub(super) fn later(then: Timestamp, duration: Duration) -> Timestamp {
    then.checked_add(duration).unwrap_or(Timestamp::MAX)
}
