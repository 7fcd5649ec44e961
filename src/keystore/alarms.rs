//! The alarms of the keeper, when they began and when they were over: a line each, for whoever has
//! to tell later. Only the keeper writes them.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{Keystore, KeystoreError, Recorded, audit, recorded};
use crate::names::{DomainName, OrganisationId, Selector};

/// No organisation has a dot in its name.
const NAME: &str = "keeper.alarms";
/// The event of an alarm that began.
const BEGUN: &str = "alarm";
/// The event of one that is over.
const OVER: &str = "alarm_over";

/// An alarm that begins or is over.
#[derive(Clone, Copy, Debug)]
pub struct AlarmNews<'a> {
    /// Whose.
    pub organisation: &'a OrganisationId,
    /// In which domain.
    pub domain: &'a DomainName,
    /// About which key; none: the lack of one.
    pub selector: Option<&'a Selector>,
    /// The word for it.
    pub kind: &'a str,
    /// Whether it begins.
    pub begins: bool,
}

/// As a line of the audit log, so that it is read like one.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    uid: u32,
    pid: u32,
    by: &'static str,
    event: &'static str,
    organisation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<&'a str>,
    domains: [&'a DomainName; 1],
    evidence: &'a str,
}

impl Keystore {
    /// Writes down what is new of alarms, down to the disk.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn note_alarms(&self, news: &[AlarmNews<'_>], now: Timestamp) -> Result<(), KeystoreError> {
        let root = self.root()?;
        if !root.has(NAME) {
            // In one step: whoever is killed meanwhile leaves no file that only root can read.
            root.prepare(NAME, b"")?.rename()?;
        }
        let mut file = root.log_file(NAME)?;
        let mut write = || -> io::Result<()> {
            let mut text = Vec::new();
            if audit::is_cut_off(&mut file)? {
                text.push(b'\n');
            }
            for one in news {
                let line = Line {
                    time: now,
                    uid: rustix::process::getuid().as_raw(),
                    pid: std::process::id(),
                    by: "keeper",
                    event: if one.begins { BEGUN } else { OVER },
                    organisation: one.organisation.as_str(),
                    selector: one.selector.map(Selector::as_str),
                    domains: [one.domain],
                    evidence: one.kind,
                };
                serde_json::to_writer(&mut text, &line)?;
                text.push(b'\n');
            }
            file.write_all(&text)?;
            file.sync_data()
        };
        write().map_err(|error| {
            let place = root.place(NAME);
            KeystoreError::Audit { place, error }
        })
    }

    /// Reads what was written down of alarms, from the beginning. A line that can't be read is
    /// left out.
    ///
    /// # Errors
    /// When the file can't be read, or others could have written it.
    pub fn each_alarm(&self, mut tell: impl FnMut(Recorded)) -> Result<(), KeystoreError> {
        recorded::each_in(&self.root()?, NAME, |_, line| {
            if let Some(line) = line {
                tell(line);
            }
        })
    }
}

impl Recorded {
    /// Whether an alarm begins or is over; none of what is no alarm.
    pub fn alarm_begins(&self) -> Option<bool> {
        match self.event.as_str() {
            BEGUN => Some(true),
            OVER => Some(false),
            _ => None,
        }
    }
}
