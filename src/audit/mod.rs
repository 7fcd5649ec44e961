//! The proof for an auditor: every key that signed in a period, how long and how strong it was,
//! where its record was seen, and who did what; pure.
//!
//! ```text
//! audit log, line by line ──> Histories ──┐
//! keyrings ───────────────────────────────┴─> Report ──> text, JSON, CSV, HTML
//! ```
//!
//! Of a period that is over, only what cannot change any more counts: the lines up to its end, and
//! what makes a key this key. So the report is the same whenever it is made. What the keyrings say
//! of today is used only if the period includes today.

mod history;
mod html;
mod period;
mod report;
mod summary;
mod words;

use serde::Serialize;

pub use self::{
    history::Histories,
    html::html,
    period::Period,
    report::{
        Done, Ending, KeyReport, OrganisationReport, Report, Rotation, Signed, Suspension, Unknown,
        report,
    },
    summary::{LongUse, OldestKey, Summary, WithoutKey},
    words::moment,
};
use crate::keystore::Recorded;

/// Who did it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Who {
    /// The user who ran the program.
    pub uid: u32,
    /// `keeper`, or the words of the command; none if the line of the log does not tell.
    pub by: Option<String>,
}

impl Who {
    fn of(line: &Recorded) -> Self {
        Self {
            uid: line.uid,
            by: line.by.clone(),
        }
    }
}

/// As people read it.
impl std::fmt::Display for Who {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.by.as_deref() {
            Some("keeper") => write!(formatter, "the keeper (user {})", self.uid),
            Some(command) => write!(formatter, "zegel {command} (user {})", self.uid),
            None => write!(formatter, "user {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests;
