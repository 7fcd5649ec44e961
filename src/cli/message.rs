//! A message from a file or from standard input.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read},
    path::Path,
};

use super::failure::Failure;
use crate::dkim::Message;

/// A message as it came, and as it travels.
pub(super) struct Mail {
    /// For messages.
    name: String,
    original: Vec<u8>,
    /// With CRLF, where the original had none.
    converted: Option<Vec<u8>>,
}

impl Mail {
    /// Reads a message; `-` and nothing stand for standard input.
    ///
    /// Files on Unix have LF where mail has CRLF: where there is no CRLF at all every LF
    /// stands for one.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let name = display(file);
        let original = read(file)?;
        if original.is_empty() {
            return Err(Failure::Usage(format!("{name}: the message is empty")));
        }
        let has_crlf = memchr::memmem::find(&original, b"\r\n").is_some();
        let has_lf = memchr::memchr(b'\n', &original).is_some();
        let converted = (has_lf && !has_crlf).then(|| with_crlf(&original));
        Ok(Self {
            name,
            original,
            converted,
        })
    }

    /// The message in its parts.
    pub(super) fn parse(&self) -> Result<Message<'_>, Failure> {
        let octets = self.converted.as_ref().unwrap_or(&self.original);
        if is_mailbox_line(octets) {
            return Err(Failure::Usage(format!(
                "{}: it begins with a line of a mailbox file (From SENDER DATE), which is no \
                 part of the message: remove that line",
                self.name
            )));
        }
        Message::parse(octets).map_err(|error| {
            Failure::Usage(format!(
                "{}: {error}: the header section must end with an empty line",
                self.name
            ))
        })
    }

    /// The message exactly as it came.
    pub(super) fn original(&self) -> &[u8] {
        &self.original
    }

    /// Text with CRLF in the line ends of the message.
    pub(super) fn in_its_line_ends<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.converted {
            Some(_) => Cow::Owned(text.replace("\r\n", "\n")),
            None => Cow::Borrowed(text),
        }
    }
}

/// All of a file, or of standard input.
pub(super) fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let octets = match file {
        Some(file) if file != Path::new("-") => fs::read(file),
        _ => {
            let mut octets = Vec::new();
            io::stdin().lock().read_to_end(&mut octets).map(|_| octets)
        }
    };
    octets.map_err(|error| Failure::Usage(format!("{}: {error}", display(file))))
}

fn display(file: Option<&Path>) -> String {
    match file {
        Some(file) if file != Path::new("-") => file.display().to_string(),
        _ => "standard input".to_owned(),
    }
}

/// `From SENDER DATE`, as mbox files have it; `From :` is a field, if an odd one.
fn is_mailbox_line(octets: &[u8]) -> bool {
    octets
        .strip_prefix(b"From ")
        .is_some_and(|rest| !rest.trim_ascii_start().starts_with(b":"))
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                converted.extend_from_slice(line);
                converted.extend_from_slice(b"\r\n");
            }
            None => converted.extend_from_slice(line),
        }
    }
    converted
}
