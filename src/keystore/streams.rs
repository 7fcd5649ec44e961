//! What the operator says of who sends in the name of a domain: lines of the audit log. No key
//! changes by it.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Keystore,
    audit::{AuditLog, Head, STREAM_NAME_DROPPED, STREAM_NAMED, STREAMS_CONFIRMED},
    problem::KeystoreError,
};
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
    #[serde(flatten)]
    head: Head<'a>,
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
        let writer = self.writer_of([], [])?;
        let log = AuditLog::open(&writer.keystore, &writer.root)?;
        let lines = words.iter().map(|word| Line {
            head: log.head(now),
            event: match word.class {
                Some(_) => STREAM_NAMED,
                None => STREAM_NAME_DROPPED,
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

    /// Appends that all who send in the name of a domain, so many streams, are known.
    ///
    /// # Errors
    /// As [`Keystore::note_streams`].
    pub fn note_confirmed(
        &self,
        (organisation, domain): (Option<&OrganisationId>, &DomainName),
        streams: usize,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let writer = self.writer_of([], [])?;
        let log = AuditLog::open(&writer.keystore, &writer.root)?;
        let head = log.head(now);
        log.add(&[Line {
            head,
            event: STREAMS_CONFIRMED,
            organisation,
            domains: [domain],
            evidence: format!("{streams} streams"),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::audit::is_about_keys, *};

    #[test]
    fn what_is_said_of_streams_is_told_and_is_no_word_about_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let keystore = Keystore::create(&path).unwrap().by("report name");
        let domain = "voorbeeld.nl".parse().unwrap();
        let word = |class| StreamWord {
            organisation: None,
            domain: &domain,
            stream: "via:factuur.nl",
            class,
        };
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let is_about_keys = || is_about_keys(&keystore.root().unwrap());
        assert!(!is_about_keys());
        keystore
            .note_streams(&[word(Some("known")), word(None)], now)
            .unwrap();
        assert!(!is_about_keys());
        let mut told = Vec::new();
        keystore
            .each_recorded(|_, line| {
                let line = line.unwrap();
                told.push((line.event, line.evidence.unwrap(), line.by.unwrap()));
            })
            .unwrap();
        let expected = [
            ("stream_named", "via:factuur.nl known"),
            ("stream_name_dropped", "via:factuur.nl"),
        ];
        let expected = expected.map(|(event, evidence)| {
            (
                event.to_owned(),
                evidence.to_owned(),
                "report name".to_owned(),
            )
        });
        assert_eq!(told, expected);
        let log = path.join("audit.log");
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, text + "{\"event\":\"generated\"}\n").unwrap();
        assert!(is_about_keys());
    }
}
