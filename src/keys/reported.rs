//! What receivers report of a key that signs no more: whether mail that needs its record is still
//! on its way. It moves the end of a drain, and never by more than [`LONGEST`]: anybody can send a
//! report, and a forged one must not keep a key for ever.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::timing::later;
use crate::names::{DomainName, Selector};

const DAY: Duration = Duration::from_hours(24);
/// So many whole days without a report of a pass end the wait.
const QUIET: u32 = 7;
/// The longest wait, from the normal end of the drain.
const LONGEST: Duration = Duration::from_hours(60 * 24);

/// By domain and selector: the beginning of the last day (UTC) of which receivers report that a
/// signature passed.
pub type LastPassed = HashMap<(DomainName, Selector), Timestamp>;

/// What is known of reports.
#[derive(Clone, Copy, Debug, Default)]
pub enum Reported<'a> {
    /// Nobody has asked, or there are none.
    #[default]
    Nothing,
    /// They are being read: no drain ends before that is over.
    Awaited,
    /// As receivers have it.
    Known(&'a LastPassed),
}

impl Reported<'_> {
    /// The same of one key in the DNS of one domain.
    pub(super) fn of(self, domain: &DomainName, selector: &Selector) -> ReportedKey {
        match self {
            Self::Nothing => ReportedKey::Known(None),
            Self::Awaited => ReportedKey::Awaited,
            Self::Known(days) => {
                ReportedKey::Known(days.get(&(domain.clone(), selector.clone())).copied())
            }
        }
    }
}

/// What is known of reports about one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ReportedKey {
    /// Nothing yet.
    Awaited,
    /// The last day on which it passed, if any.
    Known(Option<Timestamp>),
}

/// Until when a key is kept that was to drain until `normal`, and was last reported as passing on
/// the day that begins with `day`.
pub(super) fn kept_until(normal: Timestamp, day: Timestamp) -> Timestamp {
    let quiet = later(day, DAY.saturating_mul(QUIET + 1));
    quiet.min(later(normal, LONGEST)).max(normal)
}
