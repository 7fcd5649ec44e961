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
mod told;
mod words;

pub use self::{
    history::Histories,
    html::html,
    period::Period,
    report::report,
    told::{
        Done, Ending, KeyReport, LongUse, OldestKey, OrganisationReport, Report, Rotation, Signed,
        Summary, Suspension, Unknown, Who, WithoutKey,
    },
    words::moment,
};

#[cfg(test)]
mod tests;
