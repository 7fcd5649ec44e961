//! A message, part by part (RFC 2045, RFC 2046), and whether it may be believed (RFC 8601).
//!
//! A part is known by its octets, whatever it calls itself. The structure is walked here and not
//! by the parser of messages, which builds all of it: 25 MiB can hold a million parts.

use std::io::{BufReader, Read};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    read::DecoderReader,
};
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use memchr::{memchr, memmem};

use super::{
    authentication::Verdict,
    found::{Found, Layers, Open, Place, Sink, printable},
    refusal::Reason,
};

/// Parts of one message, with those of the messages in it.
const PARTS: u32 = 1_000;
/// Multiparts within multiparts.
const LEVELS: u32 = 50;
/// Octets and lines of one header section.
const HEADER: usize = 256 << 10;
const HEADER_LINES: usize = 1_000;

/// Padding is left out by some, and wrong with others.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Whether these are the first octets of a message: a header field.
pub(super) fn begins(start: &[u8]) -> bool {
    let Some(colon) = memchr(b':', start) else {
        return false;
    };
    let name = &start[..colon];
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name
            .iter()
            .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
        && name.len() <= 76
}

/// Opens every part of a message.
pub(super) fn open(
    octets: &[u8],
    opening: &dyn Open,
    place: &Place,
    layers: Layers,
    sink: &mut Sink<'_>,
) {
    let mut place = place.clone();
    let within_message = place.authenticated.is_some();
    if let (Some(id), false) = (opening.authserv_id(), within_message) {
        let (passes, author) = believed(octets, id);
        place.authenticated = Some(passes);
        place.author = author;
    }
    let mut noted = false;
    let walk = Walk {
        opening,
        layers: layers.message(),
    };
    let top = Level {
        first: layers.is_first_message(),
        deep: 0,
    };
    let walked = walk.part(octets, &place, top, &mut |place, found| {
        let passed_over = matches!(&found, Found::Refused(refusal)
            if matches!(refusal.reason, Reason::Empty | Reason::NotAReport));
        if !passed_over {
            noted = true;
            sink(place, found);
        }
    });
    match walked {
        Err(reason) => opening.refuse(&place, reason, sink),
        Ok(()) if !noted => opening.refuse(&place, Reason::NotAReport, sink),
        Ok(()) => {}
    }
}

/// Whether the receiving MTA says that DMARC passed, and the author's domain if so.
fn believed(octets: &[u8], id: &str) -> (bool, Option<String>) {
    let Ok((header, _)) = header_of(octets) else {
        return (false, None);
    };
    let Some(message) = MessageParser::default().parse_headers(header) else {
        return (false, None);
    };
    let mut verdicts = message
        .headers_raw()
        .filter(|(name, _)| name.eq_ignore_ascii_case("authentication-results"))
        .filter_map(|(_, value)| Verdict::read(value));
    let Some(verdict) = verdicts.find(|verdict| verdict.authserv_id == id) else {
        return (false, None);
    };
    let author = verdict.header_from.or_else(|| author(&message));
    (
        verdict.dmarc_passes,
        author.filter(|_| verdict.dmarc_passes),
    )
}

fn author(message: &Message<'_>) -> Option<String> {
    let address = match message.from()? {
        Address::List(list) => list.first()?.address.as_deref()?,
        Address::Group(_) => return None,
    };
    let (_, domain) = address.rsplit_once('@')?;
    Some(domain.to_ascii_lowercase())
}

struct Walk<'a> {
    opening: &'a dyn Open,
    layers: Layers,
}

/// Where a part is in its message.
#[derive(Clone, Copy)]
struct Level {
    /// It is the outermost message itself.
    first: bool,
    /// Multiparts around it.
    deep: u32,
}

impl Walk<'_> {
    fn part(
        &self,
        octets: &[u8],
        place: &Place,
        level: Level,
        sink: &mut Sink<'_>,
    ) -> Result<(), Reason> {
        if self.opening.part(level.first) > PARTS || level.deep > LEVELS {
            return Err(Reason::LimitParts);
        }
        let (header, body) = header_of(octets)?;
        let Some(part) = MessageParser::default().parse_headers(header) else {
            self.leaf("", body, place, sink);
            return Ok(());
        };
        let attribute = |name| {
            part.content_type()
                .and_then(|of_type| of_type.attribute(name))
        };
        let is = |main: &str, sub: &str| {
            part.content_type().is_some_and(|of_type| {
                of_type.ctype().eq_ignore_ascii_case(main)
                    && of_type
                        .subtype()
                        .is_some_and(|one| one.eq_ignore_ascii_case(sub))
            })
        };
        let failure = attribute("report-type")
            .is_some_and(|of_type| of_type.eq_ignore_ascii_case("feedback-report"));
        if is("message", "feedback-report") || (is("multipart", "report") && failure) {
            return Err(Reason::FailureReport);
        }
        let multipart = part
            .content_type()
            .is_some_and(|of_type| of_type.ctype().eq_ignore_ascii_case("multipart"));
        if let (true, Some(boundary)) = (multipart, attribute("boundary")) {
            for piece in Pieces::new(body, boundary) {
                let below = Level {
                    first: false,
                    deep: level.deep + 1,
                };
                self.part(piece, place, below, sink)?;
            }
            return Ok(());
        }
        let within = Place {
            entry: part
                .attachment_name()
                .map(printable)
                .or_else(|| place.entry.clone()),
            ..place.clone()
        };
        let encoding = part.content_transfer_encoding().unwrap_or_default();
        self.leaf(encoding, body, &within, sink);
        Ok(())
    }

    fn leaf(&self, encoding: &str, body: &[u8], place: &Place, sink: &mut Sink<'_>) {
        let encoding = encoding.trim();
        let layers = self.layers;
        if encoding.eq_ignore_ascii_case("base64") {
            let decoded = BufReader::new(DecoderReader::new(Alphabet { rest: body }, &BASE64));
            self.opening.open(Box::new(decoded), place, layers, sink);
        } else if encoding.eq_ignore_ascii_case("quoted-printable") {
            let decoded = BufReader::new(QuotedPrintable { rest: body });
            self.opening.open(Box::new(decoded), place, layers, sink);
        } else {
            self.opening.open(Box::new(body), place, layers, sink);
        }
    }
}

/// The header section with its empty line, and what follows it.
fn header_of(octets: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let mut end = 0;
    let mut lines = 0;
    loop {
        let line = match memchr(b'\n', &octets[end..]) {
            Some(at) => &octets[end..=end + at],
            None => &octets[end..],
        };
        end += line.len();
        lines += 1;
        if matches!(line, b"\n" | b"\r\n" | b"") {
            return Ok(octets.split_at(end));
        }
        if end > HEADER || lines > HEADER_LINES {
            return Err(Reason::LimitHeader);
        }
    }
}

/// The parts of a multipart: what is between its boundaries (RFC 2046 §5.1.1).
struct Pieces<'a> {
    rest: &'a [u8],
    boundary: Vec<u8>,
    ended: bool,
}

impl<'a> Pieces<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        let mut pieces = Self {
            rest: body,
            boundary: [b"--", boundary.as_bytes()].concat(),
            ended: boundary.is_empty(),
        };
        // The preamble.
        pieces.cut();
        pieces
    }

    /// What is before the next boundary, which is taken away with it.
    fn cut(&mut self) -> &'a [u8] {
        let mut from = 0;
        while let Some(found) = memmem::find(&self.rest[from..], &self.boundary) {
            let at = from + found;
            let after = at + self.boundary.len();
            from = after;
            if at > 0 && self.rest[at - 1] != b'\n' {
                continue;
            }
            let line_end =
                memchr(b'\n', &self.rest[after..]).map_or(self.rest.len(), |end| after + end + 1);
            let tail = self.rest[after..line_end].trim_ascii();
            if !tail.is_empty() && tail != b"--" {
                continue;
            }
            let piece = &self.rest[..at];
            self.rest = &self.rest[line_end..];
            self.ended = tail == b"--";
            let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
            return piece.strip_suffix(b"\r").unwrap_or(piece);
        }
        self.ended = true;
        std::mem::take(&mut self.rest)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        (!self.ended).then(|| self.cut())
    }
}

/// The letters of base64, without blanks, empty lines and padding (RFC 2045 §6.8).
struct Alphabet<'a> {
    rest: &'a [u8],
}

impl Read for Alphabet<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        while let (Some((octet, rest)), true) = (self.rest.split_first(), written < buffer.len()) {
            self.rest = rest;
            match octet {
                b'=' => self.rest = &[],
                b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                    buffer[written] = *octet;
                    written += 1;
                }
                _ => {}
            }
        }
        Ok(written)
    }
}

/// RFC 2045 §6.7; what is not an escape stays as it is.
struct QuotedPrintable<'a> {
    rest: &'a [u8],
}

impl QuotedPrintable<'_> {
    /// The octet that an equals sign begins, which is taken away; none at a soft line break.
    fn escaped(&mut self) -> Option<u8> {
        let digit = |octet: &u8| char::from(*octet).to_digit(16);
        let rest = self.rest;
        if let Some(after) = rest
            .strip_prefix(b"\r\n")
            .or_else(|| rest.strip_prefix(b"\n"))
        {
            self.rest = after;
            return None;
        }
        if let [Some(high), Some(low)] = [0, 1].map(|place| rest.get(place).and_then(digit)) {
            self.rest = &rest[2..];
            return u8::try_from(high * 16 + low).ok();
        }
        Some(b'=')
    }
}

impl Read for QuotedPrintable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        while written < buffer.len() && !self.rest.is_empty() {
            let plain = memchr(b'=', self.rest).unwrap_or(self.rest.len());
            let plain = plain.min(buffer.len() - written);
            buffer[written..written + plain].copy_from_slice(&self.rest[..plain]);
            written += plain;
            self.rest = &self.rest[plain..];
            if written < buffer.len() && self.rest.first() == Some(&b'=') {
                self.rest = &self.rest[1..];
                if let Some(octet) = self.escaped() {
                    buffer[written] = octet;
                    written += 1;
                }
            }
        }
        Ok(written)
    }
}
