//! The audit log: one JSON line for every change of a key, appended under the lock, for
//! whoever must know later who did what, and on whose word.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Keystore,
    files::Folder,
    problem::{FileError, KeystoreError},
};
use crate::{
    keys::{Evidence, Publication, Revision, State},
    names::{DomainName, OrganisationId, Selector},
    sealing::SealingKeyId,
};

pub(super) const NAME: &str = "audit.log";

/// Of the lines as they are written today. Those of 0.1 have none: there, a key that another one
/// replaced has no line that says that it drains, and an organisation was removed with its file.
const VERSION: u32 = 2;

/// The event of a key whose domain is gone.
pub(super) const LEFT: &str = "left";
/// The events of what was said of a stream: no key changes by it.
pub(super) const STREAM_NAMED: &str = "stream_named";
pub(super) const STREAM_NAME_DROPPED: &str = "stream_name_dropped";
pub(super) const STREAMS_CONFIRMED: &str = "streams_confirmed";
/// The event of a key that was given out in the clear.
const EXPORTED: &str = "exported";
/// The events of a key that signs from then on.
const IN_USE: [&str; 2] = ["activated", "returned"];

/// What every line begins with: when, and who.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Head<'a> {
    time: Timestamp,
    /// The real one: who called the program.
    uid: u32,
    pid: u32,
    /// The keeper, or which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn new(by: Option<&'a str>, time: Timestamp) -> Self {
        Self {
            time,
            uid: rustix::process::getuid().as_raw(),
            pid: std::process::id(),
            by,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    version: u32,
    event: &'static str,
    organisation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<&'a str>,
    domains: &'a [DomainName],
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication: Option<Publication>,
}

/// What is told of the keystore as a whole.
#[derive(Serialize)]
struct Note<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    event: &'static str,
    /// Of how many keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    /// With which sealing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealing_key: Option<SealingKeyId>,
}

/// A line as it is read, of whatever version.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) time: Timestamp,
    pub(super) organisation: OrganisationId,
    pub(super) selector: Selector,
    pub(super) domains: Vec<DomainName>,
    #[serde(rename = "event")]
    kind: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    publication: Option<Became>,
}

/// As much of a publication as is asked for.
#[derive(Deserialize)]
struct Became {
    state: State,
}

impl Event {
    /// Whether the key signs no more from then on.
    pub(super) fn is_given_up(&self) -> bool {
        let state = self.publication.as_ref().map(|became| became.state);
        state.is_some_and(State::is_given_up) || self.kind == LEFT
    }

    /// Whether the key signs from then on, in a line of today.
    pub(super) fn is_in_use(&self) -> bool {
        self.version >= VERSION && IN_USE.contains(&self.kind.as_str())
    }
}

/// Reads the audit log line by line, as far as it can be read. It is long.
pub(super) fn each(folder: &Folder, mut tell: impl FnMut(Event)) {
    let Ok(Some((file, _))) = folder.open_log(NAME) else {
        return;
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|octets| octets > 0)
    {
        if let Ok(event) = serde_json::from_slice(&line) {
            tell(event);
        }
        line.clear();
    }
}

/// As much of a line as says what it is about.
#[derive(Deserialize)]
struct Kind {
    event: String,
}

/// Whether the audit log is there, and not for the sake of streams alone: these say nothing of
/// whether there were keys.
pub(super) fn is_about_keys(folder: &Folder) -> bool {
    if !folder.has(NAME) {
        return false;
    }
    let Ok(Some((file, _))) = folder.open_log(NAME) else {
        return true;
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut is_empty = true;
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|octets| octets > 0)
    {
        let kind = serde_json::from_slice::<Kind>(&line);
        let of_streams = [STREAM_NAMED, STREAM_NAME_DROPPED, STREAMS_CONFIRMED];
        if !kind.is_ok_and(|kind| of_streams.contains(&kind.event.as_str())) {
            return true;
        }
        is_empty = false;
        line.clear();
    }
    is_empty
}

/// Written before a change, so that nothing is changed that is not told.
pub(super) struct AuditLog<'a> {
    folder: &'a Folder,
    file: File,
    by: Option<&'a str>,
}

/// What was told of a change that is yet to be made. It is taken back if this is dropped.
#[must_use]
pub(super) struct Told {
    file: File,
    /// The length of the log before.
    length: u64,
    is_kept: bool,
}

impl Told {
    /// The change is made.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.is_kept {
            // There is a reason for that already, which is the one to tell.
            let _ = self.file.set_len(self.length);
        }
    }
}

impl<'a> AuditLog<'a> {
    pub(super) fn open(keystore: &'a Keystore, folder: &'a Folder) -> Result<Self, FileError> {
        let file = folder.log_file(NAME)?;
        let by = keystore.by.as_deref();
        Ok(Self { folder, file, by })
    }

    /// Appends what is told of the keystore as a whole, down to the disk.
    pub(super) fn note(self, event: &'static str, now: Timestamp) -> Result<(), KeystoreError> {
        let head = self.head(now);
        self.add(&[Note {
            head,
            event,
            keys: None,
            sealing_key: None,
        }])
    }

    /// The same of so many keys, and the sealing key that they lie sealed with from now on.
    pub(super) fn note_of_keys(
        self,
        event: &'static str,
        (keys, sealing_key): (usize, Option<SealingKeyId>),
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let head = self.head(now);
        self.add(&[Note {
            head,
            event,
            keys: Some(keys),
            sealing_key,
        }])
    }

    /// Appends that a private key was given out, down to the disk.
    pub(super) fn note_export(
        self,
        (organisation, selector): (&OrganisationId, &Selector),
        domains: &[DomainName],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let head = self.head(now);
        self.add(&[Line {
            head,
            version: VERSION,
            event: EXPORTED,
            organisation: organisation.as_str(),
            selector: Some(selector.as_str()),
            domains,
            evidence: None,
            publication: None,
        }])
    }

    /// Appends these lines, down to the disk.
    pub(super) fn add(mut self, lines: &[impl Serialize]) -> Result<(), KeystoreError> {
        let place = self.folder.place(NAME);
        let failed = |error| KeystoreError::Audit { place, error };
        let write = |file: &mut File| {
            let mut text = Vec::new();
            if is_cut_off(file)? {
                text.push(b'\n');
            }
            for line in lines {
                serde_json::to_writer(&mut text, line)?;
                text.push(b'\n');
            }
            file.write_all(&text)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(failed)
    }

    /// What a line of this writer begins with.
    pub(super) fn head(&self, now: Timestamp) -> Head<'a> {
        Head::new(self.by, now)
    }

    /// Appends all that is told of these revisions, down to the disk.
    pub(super) fn append(
        self,
        revisions: &[Revision<'_>],
        now: Timestamp,
    ) -> Result<Told, KeystoreError> {
        let place = self.folder.place(NAME);
        let failed = |error| KeystoreError::Audit {
            place: place.clone(),
            error,
        };
        let length = self.file.metadata().map_err(failed)?.len();
        let mut told = Told {
            file: self.file,
            length,
            is_kept: false,
        };
        write(&mut told.file, self.by, revisions, now).map_err(failed)?;
        Ok(told)
    }
}

fn write(
    file: &mut File,
    by: Option<&str>,
    revisions: &[Revision<'_>],
    now: Timestamp,
) -> io::Result<()> {
    let mut text = Vec::with_capacity(256);
    if is_cut_off(file)? {
        text.push(b'\n');
    }
    let entries = revisions
        .iter()
        .flat_map(|one| one.audit.iter().map(|entry| (one.organisation, entry)));
    for (organisation, entry) in entries {
        let line = Line {
            head: Head::new(by, now),
            version: VERSION,
            event: entry.event,
            organisation: organisation.as_str(),
            selector: entry.selector.as_ref().map(Selector::as_str),
            domains: &entry.domains,
            evidence: entry.evidence,
            publication: entry.publication,
        };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()
}

/// Whether a line is there without its end, as a full disk leaves it.
pub(super) fn is_cut_off(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
