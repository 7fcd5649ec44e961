//! What commands print. A reader that goes away (`| head`) is no error: the rest is dropped,
//! and the command goes on to its end, since it may be changing something.
//!
//! A program gets one document and nothing on standard error: what would be said there is in the
//! document, as `warnings`. So the document is written when the command is at its end.

use std::{
    fmt::{self, Write as _},
    io::{self, BufWriter, StdoutLock, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

pub(super) use crate::words::printable;

/// What waits for the document of a program; none if people read what is said.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Standard output, or what is to be written to a file.
pub(super) struct Output {
    stream: Stream,
    /// A document that is written at the end, with the warnings until then.
    document: Option<String>,
    /// The first error; nothing is written after it.
    error: Option<io::Error>,
}

/// What is added to the document of a program.
#[derive(Serialize)]
struct Warnings {
    warnings: Vec<String>,
}

enum Stream {
    Standard(BufWriter<StdoutLock<'static>>),
    Memory(Vec<u8>),
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(stream) => stream.write(octets),
            Self::Memory(memory) => memory.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(stream) => stream.flush(),
            Self::Memory(_) => Ok(()),
        }
    }
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            stream: Stream::Standard(BufWriter::new(io::stdout().lock())),
            document: None,
            error: None,
        }
    }

    /// One that keeps what is printed.
    pub(super) fn to_memory() -> Self {
        Self {
            stream: Stream::Memory(Vec::new()),
            document: None,
            error: None,
        }
    }

    /// What was printed, of one that keeps it.
    pub(super) fn into_octets(self) -> Vec<u8> {
        let document = self.document.map(|text| text + "\n");
        match self.stream {
            Stream::Standard(_) => Vec::new(),
            Stream::Memory(memory) => document.map_or(memory, String::into_bytes),
        }
    }

    /// A line.
    pub(super) fn line(&mut self, text: impl fmt::Display) {
        self.attempt(|stream| writeln!(stream, "{text}"));
    }

    /// Octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.attempt(|stream| stream.write_all(octets));
    }

    /// The JSON document of this command, an object: it gets the member `warnings`.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.json_text(text),
            Err(error) => self.attempt(|_| Err(error.into())),
        }
    }

    /// As [`Self::json`], of a text that is pretty already.
    pub(super) fn json_text(&mut self, text: String) {
        self.document = Some(text);
    }

    /// Forgets the document, for one that says why the command came to nothing.
    pub(super) fn forget_json(&mut self) {
        self.document = None;
    }

    /// A JSON document as it is.
    pub(super) fn plain_json(&mut self, value: &impl Serialize) {
        self.attempt(|stream| {
            serde_json::to_writer_pretty(&mut *stream, value)?;
            stream.write_all(b"\n")
        });
    }

    /// Writes what there is by now, and tells whether anybody reads it.
    pub(super) fn flush(&mut self) -> bool {
        self.attempt(Write::flush);
        self.error.is_none()
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// When something could not be written, though there was a reader.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(document) = self.document.take() {
            let warnings = held().take().unwrap_or_default();
            let text = with_warnings(&document, warnings);
            self.attempt(|stream| stream.write_all(text?.as_bytes()));
        }
        self.attempt(Write::flush);
        match self.error.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Stream) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.stream).err();
        }
    }
}

/// A document, with what was said meanwhile.
fn with_warnings(document: &str, warnings: Vec<String>) -> io::Result<String> {
    let added = serde_json::to_string_pretty(&Warnings { warnings })?;
    let members = document.trim_end().strip_suffix("\n}");
    Ok(match members.zip(added.strip_prefix('{')) {
        Some((members, added)) => format!("{members},{added}\n"),
        None => format!("{}\n", document.trim_end()),
    })
}

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a program reads: what is to be said waits for its document.
pub(super) fn hold() {
    *held() = Some(Vec::new());
}

/// Keeps this for a document; false if nobody waits for one.
fn keep(text: &str) -> bool {
    let mut held = held();
    held.as_mut()
        .map(|held| held.push(text.trim_end().to_owned()))
        .is_some()
}

/// Says what is wrong: to a program in its document, and to people as [`say`] does.
pub(super) fn complain(text: impl fmt::Display) {
    let text = text.to_string();
    if !keep(&text) {
        say(text);
    }
}

/// Says it on standard error, one line each with our name in front.
pub(super) fn say(text: impl fmt::Display) {
    let mut stream = io::stderr().lock();
    for line in text.to_string().lines() {
        // Nobody is left to hear of an error here.
        let _ = writeln!(stream, "zegel: {}", printable(line));
    }
}

/// As [`complain`], of what deserves attention and no more.
pub(super) fn warn(text: impl fmt::Display) {
    let text = text.to_string();
    if keep(&text) {
        return;
    }
    for line in text.lines() {
        say(format_args!("warning: {line}"));
    }
}

/// The day and the minute, in UTC.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// Columns under headings.
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(headings: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            self.rows
                .iter()
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
        });
        for (place, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                // Not by format, which counts letters: some take two columns, some none.
                write!(line, "{cell}{:1$}", "", width - cell.width() + 2)?;
            }
            let end = if place > 0 { "\n" } else { "" };
            write!(formatter, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_the_last_member_of_a_document() {
        let none = with_warnings("{\n  \"good\": true\n}\n", Vec::new()).unwrap();
        assert_eq!(none, "{\n  \"good\": true,\n  \"warnings\": []\n}\n");
        let one = with_warnings("{\n  \"a\": {}\n}", vec!["\"b\"".into()]).unwrap();
        let one: serde_json::Value = serde_json::from_str(&one).unwrap();
        assert_eq!(one, serde_json::json!({"a": {}, "warnings": ["\"b\""]}));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["A", "LONG", "C"]);
        table.row(["één twee".into(), "x".into(), String::new()]);
        table.row(["印章".into(), "e\u{301}".into(), "wide".into()]);
        table.row(["y\u{1b}[31m".into(), "z".into(), "last".into()]);
        let lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "A            LONG  C");
        assert_eq!(lines[1], "één twee     x");
        assert_eq!(lines[2], "印章         e\u{301}     wide");
        assert_eq!(lines[3], "y\\u{1b}[31m  z     last");
    }
}
