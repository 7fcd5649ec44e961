//! The ladder of DMARC: from `p=none` to `p=reject` on the evidence of reports. Pure: from streams
//! and the record that is published to the record that should be, and what holds it back.
//!
//! ```text
//!  none ──> quarantine_test ──> quarantine ──> reject_test ──> reject
//!    ^             ^                 │              │             │
//!    └─────────────┼─────────────────┴──────────────┘  (step back)│
//!                  └──────────────────────────────────────────────┘
//! ```
//!
//! [`record`] reads and writes records, [`facts`] sums up what reports prove, [`holds`] says what
//! stands against the next rung, [`advise`] joins them, and [`mod@words`] says it. `docs/dmarc.md` has the same table,
//! with the source of each number.

mod advice;
pub mod facts;
pub mod holds;
pub mod record;
pub mod words;

#[cfg(test)]
mod tests;

pub use advice::{Action, Advice, Finding, Standing, Subject, advise};

use std::fmt;

use crate::words::words;

words! {
    /// How far a domain has come.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Rung {
        /// `p=none`: receivers report, and do nothing.
        None = "none",
        /// `p=quarantine; t=y; pct=0`: nobody sets mail aside; lists and gateways act as if.
        QuarantineTest = "quarantine_test",
        /// `p=quarantine`
        Quarantine = "quarantine",
        /// `p=reject; t=y; pct=0`: enforced as `quarantine`.
        RejectTest = "reject_test",
        /// `p=reject`
        Reject = "reject",
    }
}

impl Rung {
    /// The one above.
    pub fn next(self) -> Option<Self> {
        let above = Self::ALL.into_iter().filter(|rung| *rung > self);
        above.min()
    }
}

/// What was found in reports is good for so many days: a keeper that has ended, or that can't read
/// them, must not have a policy made stricter.
pub const ADVICE_DAYS: i32 = 2;

/// The numbers of the table. The source of each is in `docs/dmarc.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// Days of reports before `none` is left.
    pub none_days: u16,
    /// Days of reports under `quarantine_test` before it is left upward.
    pub quarantine_test_days: u16,
    /// Under `quarantine`.
    pub quarantine_days: u16,
    /// Under `reject_test`.
    pub reject_test_days: u16,
    /// How many reporters there must be within 14 days.
    pub reporters: u16,
    /// From so many messages on, an unknown stream holds.
    pub unknown_messages: u64,
    /// And from this part of the legitimate mail on.
    pub unknown_share: Share,
    /// Less of a legitimate stream aligned holds.
    pub aligned_share: Share,
    /// More of a legitimate stream that passes by SPF alone holds.
    pub spf_only_share: Share,
    /// From so many messages on, a list that nobody has named holds.
    pub list_messages: u64,
    /// From so many failed messages of a legitimate stream within four days on, a step back.
    pub failed_messages: u64,
    /// If they are more than this part of it.
    pub failed_share: Share,
    /// More than so many times the signatures of a selector have to pass for an alarm: receivers
    /// count recipients, and lists send on.
    pub replay_factor: u16,
    /// And so many messages more.
    pub replay_messages: u64,
    /// Whether somebody has to say each year that all who send are known, before `reject`.
    pub confirm: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            none_days: 56,
            quarantine_test_days: 14,
            quarantine_days: 30,
            reject_test_days: 14,
            reporters: 3,
            unknown_messages: 20,
            unknown_share: Share(1),
            aligned_share: Share(990),
            spf_only_share: Share(20),
            list_messages: 10,
            failed_messages: 10,
            failed_share: Share(20),
            replay_factor: 3,
            replay_messages: 1_000,
            confirm: false,
        }
    }
}

impl Thresholds {
    /// Days of reports before this rung is left upward.
    pub fn days(&self, rung: Rung) -> u16 {
        match rung {
            Rung::None => self.none_days,
            Rung::QuarantineTest => self.quarantine_test_days,
            Rung::Quarantine => self.quarantine_days,
            Rung::RejectTest => self.reject_test_days,
            Rung::Reject => 0,
        }
    }
}

/// A part of a whole, in thousandths.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Share(pub u16);

/// As `0.1%`.
impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(formatter, "{whole}%"),
            (whole, tenth) => write!(formatter, "{whole}.{tenth}%"),
        }
    }
}

impl Share {
    /// Whether `part` is less than this share of `whole`.
    pub fn is_above(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000 < u128::from(whole) * u128::from(self.0)
    }

    /// Whether `part` is more than this share of `whole`.
    pub fn is_below(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000 > u128::from(whole) * u128::from(self.0)
    }
}
