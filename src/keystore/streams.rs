//! What the operator says of who sends in the name of a domain: lines of the audit log. No key
//! changes by it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Keystore, audit::AuditLog, problem::KeystoreError};
use crate::names::{DomainName, OrganisationId};

/// What was said of one stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamWord<'a> {
    /// Whose domain it is, if it is anybody's here.
    pub organisation: Option<&'a OrganisationId>,
    /// In whose name it is.
    pub domain: &'a DomainName,
    /// Which stream.
    pub stream: &'a str,
    /// What it is; none: what was said is taken back.
    pub class: Option<&'a str>,
}

/// As a line about a key, so that it is read like one.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    uid: u32,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<&'a OrganisationId>,
    domains: [&'a DomainName; 1],
    evidence: String,
}

impl Keystore {
    /// Appends what was said of these streams to the audit log, down to the disk.
    ///
    /// # Errors
    /// When the keystore can't be locked, or the log can't be written.
    pub fn note_streams(
        &self,
        words: &[StreamWord<'_>],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let writer = self.writer()?;
        let log = AuditLog::open(&writer.keystore, &writer.root)?;
        let lines = words.iter().map(|word| Line {
            time: now,
            uid: rustix::process::getuid().as_raw(),
            pid: std::process::id(),
            by: log.by(),
            event: match word.class {
                Some(_) => "stream_named",
                None => "stream_name_dropped",
            },
            organisation: word.organisation,
            domains: [word.domain],
            evidence: match word.class {
                Some(class) => format!("{} {class}", word.stream),
                None => word.stream.to_owned(),
            },
        });
        let lines: Vec<Line<'_>> = lines.collect();
        log.add(&lines)
    }
}
