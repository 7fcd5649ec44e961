//! What breaks a signature on its way: counted, so that an operator sees it before a
//! receiver does.

use super::{Field, HeaderSection};
use crate::words::words;

/// The longest line that mail servers pass on unbroken (RFC 5322 §2.1.1), without its CRLF.
const LINE_OCTETS: usize = 998;

words! {
    /// One kind of hazard; its word is for metric labels, the log and `explain`.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Hazard {
        /// A line over 998 bytes: Postfix breaks it behind us.
        LongLine = "long_line",
        /// A CR without LF or an LF without CR: verifiers disagree on it.
        BareCrLf = "bare_cr_lf",
        /// A NUL, FF or VT in a signed field or a NUL in the body: verifiers disagree on it.
        ControlCharacter = "control_character",
        /// A blank before the colon of a field: some verifiers drop it, some do not.
        BlankBeforeColon = "blank_before_colon",
        /// An 8-bit body that does not say so: the next server may recode it.
        UndeclaredEightBit = "undeclared_eight_bit",
        /// More than 4,096 octets of names in `h=`: OpenDKIM reads no further.
        LongNameList = "long_name_list",
    }
}

/// The hazards of a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hazards(u8);

impl Hazards {
    /// Adds one.
    pub fn add(&mut self, hazard: Hazard) {
        self.0 |= 1 << hazard as u8;
    }

    /// Whether this one was met.
    pub fn contains(self, hazard: Hazard) -> bool {
        self.0 & (1 << hazard as u8) != 0
    }

    /// Whether none was met.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that were met.
    pub fn iter(self) -> impl Iterator<Item = Hazard> {
        Hazard::ALL
            .into_iter()
            .filter(move |&hazard| self.contains(hazard))
    }

    /// The hazards in a header section: in those fields that `is_signed` is true for, and a
    /// blank before the colon of any field.
    pub fn of_header(header: &HeaderSection, is_signed: impl Fn(&[u8]) -> bool) -> Self {
        let mut hazards = Self::default();
        for (field, return_dropped) in header.fields().zip(header.returns_dropped()) {
            let name = field.bare_name();
            // In any field: dkimpy gives up on the whole message.
            if name.len() < field.name.len() {
                hazards.add(Hazard::BlankBeforeColon);
            }
            if is_signed(name) {
                hazards = hazards | Self::of_field(field);
                if return_dropped {
                    hazards.add(Hazard::BareCrLf);
                }
            }
        }
        hazards
    }

    fn of_field(field: Field<'_>) -> Self {
        let mut hazards = Self::default();
        let mut octets_before = field.name.len() + 1;
        let mut rest = field.value;
        loop {
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let text = match end {
                Some(_) => line.strip_suffix(b"\r").unwrap_or(line),
                None => line,
            };
            if memchr::memchr(b'\r', text).is_some() {
                hazards.add(Hazard::BareCrLf);
            }
            if octets_before + text.len() > LINE_OCTETS {
                hazards.add(Hazard::LongLine);
            }
            let Some(end) = end else { break };
            rest = &rest[end + 1..];
            octets_before = 0;
            // Without a blank behind it, it is no fold.
            let folded = matches!(rest.first(), Some(b' ' | b'\t') | None);
            if text.len() == line.len() || !folded {
                hazards.add(Hazard::BareCrLf);
            }
        }
        if memchr::memchr3(0, 0x0b, 0x0c, field.value).is_some() {
            hazards.add(Hazard::ControlCharacter);
        }
        hazards
    }
}

impl std::ops::BitOr for Hazards {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether a Content-Transfer-Encoding lets octets above 127 pass (RFC 2045 §6.2).
pub fn allows_eight_bit(header: &HeaderSection) -> bool {
    header
        .values("content-transfer-encoding")
        .next()
        .is_some_and(|value| {
            let value = value.trim_ascii();
            value.eq_ignore_ascii_case(b"8bit") || value.eq_ignore_ascii_case(b"binary")
        })
}

/// Looks for hazards in a body as it comes, without keeping any of it.
#[derive(Clone, Debug, Default)]
pub struct BodyInspector {
    hazards: Hazards,
    eight_bit: bool,
    line_octets: usize,
    last_was_return: bool,
}

impl BodyInspector {
    /// Takes the next chunk, cut anywhere.
    pub fn update(&mut self, chunk: &[u8]) {
        if !self.eight_bit {
            self.eight_bit = !chunk.is_ascii();
        }
        if !self.hazards.contains(Hazard::ControlCharacter) && memchr::memchr(0, chunk).is_some() {
            self.hazards.add(Hazard::ControlCharacter);
        }
        self.line_ends(chunk);
        self.line_lengths(chunk);
    }

    /// What was found; `declared_eight_bit` is [`allows_eight_bit`] of the header section.
    pub fn finish(mut self, declared_eight_bit: bool) -> Hazards {
        if self.last_was_return {
            self.hazards.add(Hazard::BareCrLf);
        }
        if self.line_octets > LINE_OCTETS {
            self.hazards.add(Hazard::LongLine);
        }
        if self.eight_bit && !declared_eight_bit {
            self.hazards.add(Hazard::UndeclaredEightBit);
        }
        self.hazards
    }

    fn line_ends(&mut self, chunk: &[u8]) {
        let (Some(&first), Some(&last)) = (chunk.first(), chunk.last()) else {
            return;
        };
        // Without a branch in the loop, so that the compiler vectorises it.
        let inside = chunk
            .iter()
            .zip(&chunk[1..])
            .fold(0_u8, |bare, (&octet, &next)| {
                bare | (u8::from(octet == b'\r') ^ u8::from(next == b'\n'))
            });
        let at_border = self.last_was_return != (first == b'\n');
        if inside != 0 || at_border {
            self.hazards.add(Hazard::BareCrLf);
        }
        self.last_was_return = last == b'\r';
    }

    /// Jumps from line end to line end, looking only where a line could become too long.
    fn line_lengths(&mut self, chunk: &[u8]) {
        // The longest line with its CR; the LF is the octet behind it.
        const WINDOW: usize = LINE_OCTETS + 2;
        let mut rest = chunk;
        let mut line_octets = self.line_octets;
        while line_octets + rest.len() > WINDOW {
            let room = WINDOW.saturating_sub(line_octets).min(rest.len());
            if let Some(place) = memchr::memrchr(b'\n', &rest[..room]) {
                rest = &rest[place + 1..];
            } else {
                self.hazards.add(Hazard::LongLine);
                let Some(place) = memchr::memchr(b'\n', rest) else {
                    // Only whether the line is too long counts, and that is known.
                    self.line_octets = 0;
                    return;
                };
                rest = &rest[place + 1..];
            }
            line_octets = 0;
        }
        self.line_octets = match memchr::memrchr(b'\n', rest) {
            Some(place) => rest.len() - place - 1,
            None => line_octets + rest.len(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[&[u8]]) -> Vec<&'static str> {
        let mut inspector = BodyInspector::default();
        for chunk in chunks {
            inspector.update(chunk);
        }
        let hazards = inspector.finish(false);
        hazards.iter().map(Hazard::as_str).collect()
    }

    #[test]
    fn bodies() {
        let line = |octets: usize| [vec![b'x'; octets], b"\r\n".to_vec()].concat();
        for (text, expected) in [
            (b"a\r\nb\r\n".to_vec(), &[][..]),
            (b"a\nb\r\n".to_vec(), &["bare_cr_lf"][..]),
            (b"\nb\r\n".to_vec(), &["bare_cr_lf"][..]),
            (b"a\rb\r\n".to_vec(), &["bare_cr_lf"][..]),
            (b"a\r\r\n".to_vec(), &["bare_cr_lf"][..]),
            (b"a\r".to_vec(), &["bare_cr_lf"][..]),
            (b"a\0\r\n".to_vec(), &["control_character"][..]),
            ("é\r\n".as_bytes().to_vec(), &["undeclared_eight_bit"][..]),
            (line(998), &[][..]),
            (line(999), &["long_line"][..]),
            (line(998).repeat(5), &[][..]),
            ([line(70), line(999), line(3)].concat(), &["long_line"][..]),
            (vec![b'x'; 998], &[][..]),
            (vec![b'x'; 999], &["long_line"][..]),
            (vec![b'x'; 5000], &["long_line"][..]),
        ] {
            assert_eq!(body(&[&text]), expected, "whole, {} octets", text.len());
            let octets: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(body(&octets), expected, "cut, {} octets", text.len());
            for cut in [1, text.len() / 2, text.len() - 1] {
                assert_eq!(
                    body(&[&text[..cut], &text[cut..]]),
                    expected,
                    "cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn header_fields() {
        let hazards = |name: &str, value: &[u8]| {
            let mut header = HeaderSection::default();
            header.push(name.as_bytes(), value);
            let hazards = Hazards::of_header(&header, |name| name != b"X");
            hazards.iter().map(Hazard::as_str).collect::<Vec<_>>()
        };
        assert_eq!(hazards("A", b" a\n b"), [""; 0]);
        assert_eq!(hazards("A ", b" a"), ["blank_before_colon"]);
        assert_eq!(hazards("A", b" a\rb"), ["bare_cr_lf"]);
        assert_eq!(hazards("A", b" a\nb"), ["bare_cr_lf"]);
        assert_eq!(hazards("A", b" a\x0bb"), ["control_character"]);
        assert_eq!(hazards("X", b" a\x0bb"), [""; 0]);
        assert_eq!(hazards("A", &[b'x'; 996]), [""; 0]);
        assert_eq!(hazards("A", &[b'x'; 997]), ["long_line"]);
        assert_eq!(hazards("A", b" a\r"), ["bare_cr_lf"]);
        assert_eq!(hazards("A", b" a\r\r\n b"), ["bare_cr_lf"]);
        assert_eq!(hazards("A", b" a\n b\r\n c"), ["bare_cr_lf"]);
        assert_eq!(hazards("X", b" a\r\n b"), [""; 0]);
    }

    #[test]
    fn each_line_of_a_field_is_measured() {
        let folded = |lengths: [usize; 3]| {
            let lines = lengths.map(|octets| format!(" {}", "x".repeat(octets - 1)));
            let mut header = HeaderSection::default();
            header.push(b"Subject", lines.join("\n").as_bytes());
            Hazards::of_header(&header, |_| true).contains(Hazard::LongLine)
        };
        // The first line has `Subject:` before it.
        for (lengths, expected) in [
            ([990, 998, 998], false),
            ([991, 998, 998], true),
            ([990, 999, 998], true),
            ([990, 998, 999], true),
        ] {
            assert_eq!(folded(lengths), expected, "{lengths:?}");
        }
    }

    #[test]
    fn declared_eight_bit() {
        let mut header = HeaderSection::default();
        assert!(!allows_eight_bit(&header));
        header.push(b"Content-Transfer-Encoding", b" 8BIT ");
        assert!(allows_eight_bit(&header));
    }
}
