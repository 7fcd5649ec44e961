//! The `[reports]` table: DMARC reports, how much of one is read and how long it is kept.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    handover::mailbox,
    problem::Fault,
    section::{Section, duration, number, quoted, text},
    source::Node,
};

const DAY: Duration = Duration::from_hours(24);
const KEEP: RangeInclusive<Duration> = Duration::from_hours(60 * 24)..=DECADE;
const KEEP_ADDRESSES: RangeInclusive<Duration> = DAY..=DECADE;
const DECADE: Duration = Duration::from_hours(3_660 * 24);
const GIB: usize = 1 << 30;

/// The `[reports]` table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportSettings {
    /// The folder with the store, and with what was refused.
    pub state: PathBuf,
    /// The Maildir that `zegel report ingest --maildir` empties.
    pub maildir: Option<PathBuf>,
    /// The address that reports come in at, where it is not that of `[handover] rua`.
    pub address: Option<String>,
    /// The name that the MTA which receives reports writes in Authentication-Results, in lower
    /// case; none: it does not check them.
    pub authserv_id: Option<String>,
    /// How long facts are kept, in whole days.
    pub keep: Duration,
    /// How long addresses, and who reported what, are kept, in whole days.
    pub keep_addresses: Duration,
    /// How long what was refused is kept, in whole days.
    pub keep_refused: Duration,
    /// How much of one file is read.
    pub limits: ReportLimits,
}

/// The `[reports.limits]` table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportLimits {
    /// Octets of a message, and of anything else that has to be held whole.
    pub message: usize,
    /// Octets that everything in one file may expand to; in an mbox, some for each octet beside that.
    pub expanded: usize,
    /// Rows of a report.
    pub records: usize,
    /// Entries of an archive.
    pub entries: usize,
    /// How deep reports may be packed.
    pub nesting: usize,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            state: PathBuf::from("/var/lib/zegel/reports"),
            maildir: None,
            address: None,
            authserv_id: None,
            keep: 400 * DAY,
            keep_addresses: 90 * DAY,
            keep_refused: 30 * DAY,
            limits: ReportLimits {
                message: 25 << 20,
                expanded: 256 << 20,
                records: 500_000,
                entries: 100,
                nesting: 3,
            },
        }
    }
}

pub(super) fn read(mut section: Section<'_>, folder: &Path) -> ReportSettings {
    let defaults = ReportSettings::default();
    let limits = read_limits(section.section("limits"), defaults.limits);
    let settings = ReportSettings {
        state: section.read_or("state", defaults.state, |node| {
            text(node).map(|text| folder.join(text))
        }),
        maildir: section.read("maildir", |node| text(node).map(|text| folder.join(text))),
        address: section.read("address", mailbox),
        authserv_id: section.read("authserv_id", authserv_id),
        keep: section.read_or("keep", defaults.keep, |node| duration(node, &KEEP)),
        keep_addresses: section.read_or("keep_addresses", defaults.keep_addresses, |node| {
            duration(node, &KEEP_ADDRESSES)
        }),
        keep_refused: section.read_or("keep_refused", defaults.keep_refused, |node| {
            duration(node, &KEEP_ADDRESSES)
        }),
        limits,
    };
    section.finish();
    settings
}

fn read_limits(mut section: Section<'_>, defaults: ReportLimits) -> ReportLimits {
    let mut take = |key, default, bounds| section.read_or(key, default, number(bounds));
    let limits = ReportLimits {
        message: take("message", defaults.message, 1 << 10..=GIB),
        expanded: take("expanded", defaults.expanded, 1 << 10..=4 * GIB),
        records: take("records", defaults.records, 1..=10_000_000),
        entries: take("entries", defaults.entries, 1..=10_000),
        nesting: take("nesting", defaults.nesting, 1..=10),
    };
    section.finish();
    limits
}

/// A name as in Authentication-Results (RFC 8601 §2.5): one word.
fn authserv_id(node: &Node) -> Result<String, Fault> {
    let text = text(node)?.trim();
    let one_word = |character: char| character.is_ascii_graphic() && !";()\"=".contains(character);
    if text.is_empty() || !text.chars().all(one_word) {
        return Err(Fault::new(
            format!("{} is no authserv-id", quoted(text)),
            "write the name that your MTA puts first in Authentication-Results, such as \
             mx.relay.example",
        ));
    }
    Ok(text.to_ascii_lowercase())
}
