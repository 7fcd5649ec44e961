//! Why a report is not taken, and what bounds the reading.

use std::io;

use crate::words::words;

words! {
    /// Why something is refused: the closed list of `refusals[].reason`.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Reason {
        /// Neither a report nor something that a report may be packed in.
        NotAReport = "not_a_report",
        /// There is nothing in it.
        Empty = "empty",
        /// A failure report (RFC 9991): it carries a message, and nothing of it is kept.
        FailureReport = "failure_report",
        /// The file could not be opened or read.
        Unreadable = "unreadable",
        /// A damaged gzip.
        Gzip = "gzip",
        /// A damaged zip, one with a password, or one packed in a way that nobody uses.
        Zip = "zip",
        /// The XML is not well-formed, and what is wrong may have cost a record.
        Xml = "xml",
        /// The XML ends before the report does.
        EndsEarly = "ends_early",
        /// There is a document type declaration in it.
        Dtd = "dtd",
        /// No metadata, reporter, report id, policy domain or dates.
        Incomplete = "incomplete",
        /// It ends before it begins, begins before 1970, or ends more than 48 hours from now.
        Dates = "dates",
        /// No row that could be used.
        NoRows = "no_rows",
        /// `limits.message`: a message, or something else that is held whole, is too large.
        LimitMessage = "limit_message",
        /// `limits.expanded`: the file expands to too much.
        LimitExpanded = "limit_expanded",
        /// `limits.records`: the report has too many rows.
        LimitRecords = "limit_records",
        /// `limits.entries`: the archive has too many entries.
        LimitEntries = "limit_entries",
        /// `limits.nesting`: packed too deep.
        LimitNesting = "limit_nesting",
        /// The message has more than 1,000 parts.
        LimitParts = "limit_parts",
        /// A header section of more than 1,000 fields or 256 KiB.
        LimitHeader = "limit_header",
        /// More than 1,000 reports and refusals in one file, or 100,000 messages in an mbox.
        LimitReports = "limit_reports",
        /// One value or tag of the XML has more than 1 MiB.
        LimitValue = "limit_value",
        /// Elements within elements, more than 1,000 deep.
        LimitLevels = "limit_levels",
        /// The different names in one report have more than 16 MiB.
        LimitNames = "limit_names",
    }
}

/// A refusal: the reason for programs, and what there is to say about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The reason, of a closed list.
    pub reason: Reason,
    /// In words, without anything that a stranger wrote.
    pub text: String,
}

impl Refusal {
    /// With these words.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }
}

/// Carries a [`Reason`] through readers, whose errors are those of [`io`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Stopped(pub(super) Reason);

impl Stopped {
    pub(super) fn error(reason: Reason) -> io::Error {
        io::Error::other(Self(reason))
    }
}

/// The reason that a reader gave, or `otherwise` if it only failed.
pub(super) fn reason_of(error: &io::Error, otherwise: Reason) -> Reason {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Stopped>())
        .map_or(otherwise, |stopped| stopped.0)
}

/// How much is read of one file (`[reports.limits]`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Octets of a message, and of anything else that has to be held whole.
    pub message: u64,
    /// Octets that everything in one file may expand to; in an mbox, some for each octet beside that.
    pub expanded: u64,
    /// Rows of a report.
    pub records: u64,
    /// Entries of an archive.
    pub entries: u64,
    /// How deep reports may be packed: gzip, zip, and messages within messages.
    pub nesting: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 25 << 20,
            expanded: 256 << 20,
            records: 500_000,
            entries: 100,
            nesting: 3,
        }
    }
}

impl Limits {
    /// What a refusal for this reason says of the limit.
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        let octets = |octets: u64| format!("{octets} octets");
        let text = match reason {
            Reason::LimitMessage => format!(
                "it has to be held whole, and has more than {} (reports.limits.message)",
                octets(self.message)
            ),
            Reason::LimitExpanded => format!(
                "it expands to more than {} (reports.limits.expanded)",
                octets(self.expanded)
            ),
            Reason::LimitRecords => {
                format!(
                    "it has more than {} rows (reports.limits.records)",
                    self.records
                )
            }
            Reason::LimitEntries => format!(
                "the archive has more than {} entries (reports.limits.entries)",
                self.entries
            ),
            Reason::LimitNesting => format!(
                "it is packed more than {} deep (reports.limits.nesting)",
                self.nesting
            ),
            _ => says(reason).to_owned(),
        };
        Refusal::new(reason, text)
    }
}

/// What a reason says when there is nothing to add.
fn says(reason: Reason) -> &'static str {
    match reason {
        Reason::NotAReport => "it is neither a report nor something that holds one",
        Reason::Empty => "there is nothing in it",
        Reason::FailureReport => "it is a failure report (RFC 9991), of which nothing is kept",
        Reason::Unreadable => "it cannot be read",
        Reason::Gzip => "the gzip is damaged",
        Reason::Zip => "the zip is damaged, or packed in a way that is not read here",
        Reason::Xml => "the XML is not well-formed",
        Reason::EndsEarly => "the XML ends before the report does",
        Reason::Dtd => "it has a document type declaration, which no report has",
        Reason::Incomplete => {
            "it lacks the reporter, the report id, the policy domain or the dates"
        }
        Reason::Dates => {
            "it ends before it begins, begins before 1970, or ends more than 48 hours from now"
        }
        Reason::NoRows => "it has no row that could be used",
        Reason::LimitParts => "the message has more than 1,000 parts",
        Reason::LimitHeader => "a header section has more than 1,000 fields or 256 KiB",
        Reason::LimitReports => {
            "it has more than 1,000 reports and refusals, or 100,000 messages; the rest is left out"
        }
        Reason::LimitValue => "one value or tag has more than 1 MiB",
        Reason::LimitLevels => "its elements are more than 1,000 deep",
        Reason::LimitNames => "the different names in it have more than 16 MiB",
        Reason::LimitMessage
        | Reason::LimitExpanded
        | Reason::LimitRecords
        | Reason::LimitEntries
        | Reason::LimitNesting => "a limit is reached",
    }
}
