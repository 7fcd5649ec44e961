//! The octets of an XML document as UTF-8, without its comments and processing instructions.
//!
//! The XML reader holds one event at a time, and a comment is an event: one of 200 MiB would be
//! held whole. So comments never reach it. Neither does a document type declaration: the first
//! octets of one end the reading.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr_iter, memmem};

use super::refusal::{Reason, Stopped};

/// How much is decoded at a time, in octets.
const CHUNK: usize = 16 << 10;
/// The longest event that the XML reader gets to hold, in octets.
const EVENT: usize = 1 << 20;
/// An XML declaration is not longer than this.
const DECLARATION: usize = 256;

/// What the reader of the text and the reader of the XML tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Octets handed out since the last event.
    event: Cell<usize>,
    /// Something was not valid in its encoding.
    replaced: Cell<bool>,
}

impl Shared {
    /// An event has ended.
    pub(super) fn next_event(&self) {
        self.event.set(0);
    }

    /// Whether octets were replaced.
    pub(super) fn replaced(&self) -> bool {
        self.replaced.get()
    }
}

/// Reads UTF-8 for the XML reader.
pub(super) struct Text<'a, R> {
    inner: R,
    decoder: Decoder,
    shared: &'a Shared,
    decoded: Vec<u8>,
    out: Vec<u8>,
    at: usize,
    ended: bool,
    /// What is wrong behind `out`: what is before it comes first, however it arrives.
    failed: Option<io::Error>,
    state: State,
}

/// Where the text stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Plain,
    /// After `<`.
    Less,
    /// After `<!` and this much of `--` or `[CDATA[`.
    Bang(usize, bool),
    /// Within a comment, after this many hyphens.
    Comment(usize),
    /// Within a processing instruction; whether the last octet was a question mark.
    Instruction(bool),
    /// Within CDATA, after this many closing brackets.
    Cdata(usize),
}

impl<'a, R: BufRead> Text<'a, R> {
    /// Finds the encoding in the first octets: the mark, or the declaration, or UTF-8.
    pub(super) fn new(mut inner: R, shared: &'a Shared) -> io::Result<Self> {
        let encoding = encoding_of(inner.fill_buf()?);
        Ok(Self {
            inner,
            // Takes the mark away, and goes by it if it says otherwise.
            decoder: encoding.new_decoder(),
            shared,
            decoded: vec![0; CHUNK],
            out: Vec::with_capacity(CHUNK),
            at: 0,
            ended: false,
            failed: None,
            state: State::Plain,
        })
    }

    /// Decodes and filters one chunk into `out`.
    fn decode(&mut self) -> io::Result<()> {
        let input = match self.inner.fill_buf() {
            Ok(input) => input,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        let last = input.is_empty();
        let (result, read, written, replaced) =
            self.decoder.decode_to_utf8(input, &mut self.decoded, last);
        if replaced {
            self.shared.replaced.set(true);
        }
        self.inner.consume(read);
        self.ended = last && result == CoderResult::InputEmpty;
        let decoded = std::mem::take(&mut self.decoded);
        let filtered = self.filter(&decoded[..written]);
        self.decoded = decoded;
        filtered
    }

    fn filter(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while let Some(&octet) = rest.first() {
            let taken = match self.state {
                State::Plain => {
                    let end = tags_and_text(rest);
                    self.out.extend_from_slice(&rest[..end]);
                    if end < rest.len() {
                        self.state = State::Less;
                    }
                    (end + 1).min(rest.len())
                }
                State::Less => self.after_less(octet),
                State::Bang(matched, comment) => self.after_bang(octet, matched, comment)?,
                State::Comment(hyphens) => self.within_comment(rest, hyphens),
                State::Instruction(question) => {
                    self.state = match octet {
                        b'>' if question => State::Plain,
                        _ => State::Instruction(octet == b'?'),
                    };
                    1
                }
                State::Cdata(brackets) => self.within_cdata(octet, brackets),
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    fn after_less(&mut self, octet: u8) -> usize {
        self.state = match octet {
            b'!' => State::Bang(0, true),
            b'?' => State::Instruction(false),
            b'<' => {
                self.out.push(b'<');
                State::Less
            }
            _ => {
                self.out.extend_from_slice(&[b'<', octet]);
                State::Plain
            }
        };
        1
    }

    /// Everything but a comment and CDATA is a declaration of a document type.
    fn after_bang(&mut self, octet: u8, matched: usize, comment: bool) -> io::Result<usize> {
        const CDATA: &[u8] = b"[CDATA[";
        let comment = if matched == 0 { octet == b'-' } else { comment };
        let wanted: &[u8] = if comment { b"--" } else { CDATA };
        if wanted.get(matched) != Some(&octet) {
            return Err(Stopped::error(Reason::Dtd));
        }
        let matched = matched + 1;
        self.state = if matched < wanted.len() {
            State::Bang(matched, comment)
        } else if comment {
            State::Comment(0)
        } else {
            self.out.extend_from_slice(b"<![CDATA[");
            State::Cdata(0)
        };
        Ok(1)
    }

    fn within_comment(&mut self, rest: &[u8], hyphens: usize) -> usize {
        if hyphens == 0 {
            let Some(at) = memchr(b'-', rest) else {
                return rest.len();
            };
            self.state = State::Comment(1);
            return at + 1;
        }
        self.state = match rest.first() {
            Some(b'-') => State::Comment(2),
            Some(b'>') if hyphens == 2 => State::Plain,
            _ => State::Comment(0),
        };
        1
    }

    fn within_cdata(&mut self, octet: u8, brackets: usize) -> usize {
        self.out.push(octet);
        self.state = match octet {
            b']' => State::Cdata((brackets + 1).min(2)),
            b'>' if brackets == 2 => State::Plain,
            _ => State::Cdata(0),
        };
        1
    }
}

impl<R: BufRead> BufRead for Text<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.shared.event.get() > EVENT {
            return Err(Stopped::error(Reason::LimitValue));
        }
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
            while self.out.is_empty() {
                if let Some(error) = self.failed.take() {
                    return Err(error);
                }
                if self.ended {
                    break;
                }
                self.failed = self.decode().err();
            }
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.out.len());
        self.shared.event.set(self.shared.event.get() + amount);
    }
}

impl<R: BufRead> Read for Text<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

/// How far there is nothing but tags and text: the place of the `<` that begins something else, or
/// that is the last octet.
fn tags_and_text(rest: &[u8]) -> usize {
    memchr_iter(b'<', rest)
        .find(|at| matches!(rest.get(at + 1), Some(b'!' | b'?' | b'<') | None))
        .unwrap_or(rest.len())
}

/// The encoding that the first octets speak of.
fn encoding_of(start: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return encoding;
    }
    match start {
        [b'<', 0, ..] => return UTF_16LE,
        [0, b'<', ..] => return UTF_16BE,
        _ => {}
    }
    declared(&start[..start.len().min(DECLARATION)])
        .and_then(Encoding::for_label)
        // A document whose declaration can be read in octets is not UTF-16.
        .filter(|encoding| *encoding != UTF_16LE && *encoding != UTF_16BE)
        .unwrap_or(UTF_8)
}

/// The value of `encoding` in an XML declaration.
fn declared(start: &[u8]) -> Option<&[u8]> {
    let start = start.trim_ascii_start();
    let declaration = start.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memmem::find(declaration, b"?>")?];
    let value = &declaration[memmem::find(declaration, b"encoding")? + b"encoding".len()..];
    let value = value
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let end = memchr(*quote, value)?;
    Some(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: &[u8], chunk: usize) -> io::Result<(String, bool)> {
        let shared = Shared::default();
        let inner = io::BufReader::with_capacity(chunk.max(DECLARATION), octets);
        let mut text = Text::new(inner, &shared)?;
        let mut out = Vec::new();
        text.read_to_end(&mut out)?;
        Ok((String::from_utf8(out).unwrap(), shared.replaced()))
    }

    #[test]
    fn comments_and_instructions_do_not_reach_the_reader() {
        let document = b"<?xml version='1.0'?><a><!-- x -- > <b> ---><![CDATA[<!-- y -->]]]>c</a>";
        let (out, _) = text(document, 1).unwrap();
        assert_eq!(out, "<a><![CDATA[<!-- y -->]]]>c</a>");
    }

    #[test]
    fn a_document_type_ends_the_reading_wherever_it_is() {
        for document in [
            "<!DOCTYPE a>",
            "<a><!ENTITY x 'y'></a>",
            "<!-doctype>",
            "\n<!doctype html>",
        ] {
            let error = text(document.as_bytes(), 1).unwrap_err();
            assert_eq!(
                super::super::refusal::reason_of(&error, Reason::Xml),
                Reason::Dtd,
                "{document}"
            );
        }
    }

    #[test]
    fn the_encoding_is_that_of_the_mark_or_the_declaration() {
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        for (octets, expected, replaced) in [
            (&b"\xef\xbb\xbf<a>\xc3\xa9</a>"[..], "<a>é</a>", false),
            (&utf16, "<a>é</a>", false),
            (
                b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>",
                "<a>é</a>",
                false,
            ),
            (
                b"<?xml version='1.0' encoding=\"UTF-16\"?><a>\xc3\xa9</a>",
                "<a>é</a>",
                false,
            ),
            (b"<a>\xe9</a>", "<a>\u{fffd}</a>", true),
        ] {
            assert_eq!(
                text(octets, 1).unwrap(),
                (expected.to_owned(), replaced),
                "{}",
                octets.escape_ascii()
            );
        }
    }
}
