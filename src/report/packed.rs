//! What a file is, by its first octets, and what is packed in it.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Cursor, Read, Seek},
};

use flate2::bufread::GzDecoder;
use memchr::memmem;
use zip::{ZipArchive, result::ZipError};

use super::{
    found::{Found, Layers, Open, Place, Sink, printable},
    mailbox, message,
    refusal::{Limits, Reason, Stopped, reason_of},
    xml::{self, Terms},
};

/// As much is looked at to tell what something is, in octets.
const START: usize = 512;
/// The directory of an archive is read whole before the limit is looked at. So it is not read if
/// it, and those of archives in it, have more entries than this or than the limit.
const MOST_ENTRIES: u64 = 10_000;
/// Reports and refusals of one file, or of one message of an mbox.
const FINDINGS: u64 = 1_000;
const AFTER_FINDINGS: u64 = FINDINGS + 1;
/// For each octet of an mbox, so many may be expanded beside [`Limits::expanded`]: an archive of
/// years is one file. Reports expand to some twelve, and what is packed to do harm to a thousand.
const OF_MAILBOX: u64 = 32;

/// Reads the reports in files.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// How much is read.
    pub limits: Limits,
    /// The moment that counts as now, in seconds since 1970.
    pub now: i64,
    /// The name that the receiving MTA writes in Authentication-Results (RFC 8601 §2.5), in
    /// lower case; none if nobody checks the messages.
    pub authserv_id: Option<String>,
}

impl Reading {
    /// Reads one file: what is in it goes into `sink`, in order.
    pub fn read(&self, source: &mut dyn Read, sink: &mut Sink<'_>) {
        let budget = Cell::new(self.limits.expanded);
        let opening = Opening {
            reading: self,
            budget: &budget,
            parts: Cell::new(0),
        };
        let mut found = 0_u64;
        let mut message = None;
        let mut noting = |place: &Place, one: Found| {
            if place.message != message {
                message = place.message;
                found = 0;
            }
            found += 1;
            match found {
                ..=FINDINGS => sink(place, one),
                // The rest is read, and nobody is told of it a million times.
                AFTER_FINDINGS => self.refuse(place, Reason::LimitReports, sink),
                _ => {}
            }
        };
        let source = Box::new(BufReader::with_capacity(64 << 10, source));
        opening.open(source, &Place::default(), Layers::default(), &mut noting);
        if found == 0 {
            self.refuse(&Place::default(), Reason::NotAReport, sink);
        }
    }

    fn refuse(&self, place: &Place, reason: Reason, sink: &mut Sink<'_>) {
        sink(place, Found::Refused(self.limits.refusal(reason)));
    }
}

/// What something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Empty,
    Xml,
    Gzip,
    Zip,
    Mailbox,
    Message,
    /// A text for people: no report, and no reason to refuse a message with a report in it.
    Other,
}

impl Kind {
    fn of(start: &[u8]) -> Self {
        let bare = start
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(start)
            .trim_ascii_start();
        match start {
            [0x1f, 0x8b, ..] => return Self::Gzip,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Self::Zip,
            // UTF-16, with its mark or without.
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'<', 0, ..] | [0, b'<', ..] => {
                return Self::Xml;
            }
            _ => {}
        }
        if bare.is_empty() {
            return if start.is_empty() {
                Self::Empty
            } else {
                Self::Other
            };
        }
        let begins = |text: &str| {
            bare.get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
        };
        if begins("<!doctype html") || begins("<html") {
            Self::Other
        } else if bare.starts_with(b"<") {
            Self::Xml
        } else if start.starts_with(b"From ") {
            Self::Mailbox
        } else if message::begins(start) {
            Self::Message
        } else {
            Self::Other
        }
    }
}

/// Opens one file, layer by layer.
struct Opening<'a> {
    reading: &'a Reading,
    /// Octets that the file may still expand to.
    budget: &'a Cell<u64>,
    /// Parts of the outermost message.
    parts: Cell<u32>,
}

impl Open for Opening<'_> {
    fn open(
        &self,
        mut source: Box<dyn BufRead + '_>,
        place: &Place,
        layers: Layers,
        sink: &mut Sink<'_>,
    ) {
        if layers.deep > self.reading.limits.nesting {
            return self.refuse(place, Reason::LimitNesting, sink);
        }
        let start = match start_of(&mut *source) {
            Ok(start) => start,
            Err(error) => return self.refuse(place, reason_of(&error, Reason::Unreadable), sink),
        };
        let kind = Kind::of(&start);
        let mut source = Cursor::new(start).chain(source);
        match kind {
            Kind::Empty => self.refuse(place, Reason::Empty, sink),
            Kind::Other => {}
            Kind::Xml => self.xml(source, place, layers, sink),
            Kind::Gzip => {
                let gzip = BufReader::with_capacity(
                    32 << 10,
                    Metered {
                        inner: Members::new(source),
                        budget: self.budget,
                    },
                );
                self.open(Box::new(gzip), place, layers.packed(), sink);
            }
            Kind::Zip => match self.whole(&mut source) {
                Ok(octets) if entries(&octets) > MOST_ENTRIES.max(self.reading.limits.entries) => {
                    self.refuse(place, Reason::LimitEntries, sink);
                }
                Ok(octets) => self.zip(Cursor::new(&octets), place, layers, sink),
                Err(reason) => self.refuse(place, reason, sink),
            },
            Kind::Mailbox => mailbox::messages(&mut source, self, place, layers, sink),
            Kind::Message => match self.whole(&mut source) {
                Ok(octets) => message::open(&octets, self, place, layers, sink),
                Err(reason) => self.refuse(place, reason, sink),
            },
        }
    }

    fn whole(&self, source: &mut dyn Read) -> Result<Vec<u8>, Reason> {
        let limit = self.reading.limits.message;
        let mut octets = Vec::new();
        source
            .take(limit + 1)
            .read_to_end(&mut octets)
            .map_err(|error| reason_of(&error, Reason::Unreadable))?;
        if octets.len() as u64 > limit {
            return Err(Reason::LimitMessage);
        }
        Ok(octets)
    }

    fn refuse(&self, place: &Place, reason: Reason, sink: &mut Sink<'_>) {
        self.reading.refuse(place, reason, sink);
    }

    fn part(&self, first: bool) -> u32 {
        let number = if first { 1 } else { self.parts.get() + 1 };
        self.parts.set(number);
        number
    }

    fn comes(&self, octets: u64) {
        let more = octets.saturating_mul(OF_MAILBOX);
        let budget = self.budget.get().saturating_add(more);
        self.budget.set(budget.min(self.reading.limits.expanded));
    }

    fn message_limit(&self) -> u64 {
        self.reading.limits.message
    }

    fn authserv_id(&self) -> Option<&str> {
        self.reading.authserv_id.as_deref()
    }
}

impl Opening<'_> {
    fn xml(&self, source: impl BufRead, place: &Place, layers: Layers, sink: &mut Sink<'_>) {
        let terms = Terms {
            limits: &self.reading.limits,
            now: self.reading.now,
        };
        // What comes out of an archive was counted there.
        let free = Cell::new(u64::MAX);
        let source = BufReader::with_capacity(
            32 << 10,
            Metered {
                inner: source,
                budget: if layers.deep == 0 { self.budget } else { &free },
            },
        );
        let read = xml::read(source, &terms, &mut |report| {
            let found = match report {
                Ok(report) => Found::Report(Box::new(report)),
                Err(refusal) => Found::Refused(refusal),
            };
            sink(place, found);
        });
        if let Err(refusal) = read {
            sink(place, Found::Refused(refusal));
        }
    }

    fn zip(&self, octets: impl Read + Seek, place: &Place, layers: Layers, sink: &mut Sink<'_>) {
        let mut archive = match ZipArchive::new(octets) {
            Ok(archive) => archive,
            Err(error) => return self.refuse(place, zip_reason(&error), sink),
        };
        let limit = self.reading.limits.entries;
        if archive.len() as u64 > limit {
            return self.refuse(place, Reason::LimitEntries, sink);
        }
        for index in 0..archive.len() {
            let entry = match archive.by_index(index) {
                Ok(entry) => entry,
                Err(error) => {
                    self.refuse(place, zip_reason(&error), sink);
                    continue;
                }
            };
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_dir() || name.starts_with("__MACOSX/") {
                continue;
            }
            let within = Place {
                entry: Some(printable(&name)),
                ..place.clone()
            };
            let metered = Metered {
                inner: Zipped(entry),
                budget: self.budget,
            };
            let mut noted = false;
            self.open(
                Box::new(BufReader::with_capacity(32 << 10, metered)),
                &within,
                layers.packed(),
                &mut |place, found| {
                    noted = true;
                    sink(place, found);
                },
            );
            if !noted {
                self.refuse(&within, Reason::NotAReport, sink);
            }
        }
    }
}

/// How many entries the directory of an archive can have, whatever the end of the archive says of
/// it: each has a signature of its own (APPNOTE 4.3.12), and so have those of an archive in it.
fn entries(octets: &[u8]) -> u64 {
    memmem::find_iter(octets, b"PK\x01\x02").count() as u64
}

/// The first octets, as many as are looked at.
fn start_of(source: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(START);
    source.take(START as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Takes what is read from the budget, and stops when it is spent.
struct Metered<'a, R> {
    inner: R,
    budget: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.budget.get().checked_sub(read as u64) else {
            self.budget.set(0);
            return Err(Stopped::error(Reason::LimitExpanded));
        };
        self.budget.set(left);
        Ok(read)
    }
}

/// The members of a gzip, one after the other (RFC 1952 §2.2); what comes behind the last one
/// is left alone.
struct Members<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(source: R) -> Self {
        Self {
            member: Some(GzDecoder::new(source)),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let read = member
                .read(buffer)
                .map_err(|error| Stopped::error(reason_of(&error, Reason::Gzip)))?;
            if read > 0 {
                return Ok(read);
            }
            let mut rest = match self.member.take() {
                Some(ended) => ended.into_inner(),
                None => return Ok(0),
            };
            if rest.fill_buf()?.starts_with(&[0x1f]) {
                self.member = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// An entry of an archive: its errors are those of the archive.
struct Zipped<R>(R);

impl<R: Read> Read for Zipped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|error| Stopped::error(reason_of(&error, Reason::Zip)))
    }
}

fn zip_reason(error: &ZipError) -> Reason {
    match error {
        ZipError::Io(error) => reason_of(error, Reason::Zip),
        _ => Reason::Zip,
    }
}
