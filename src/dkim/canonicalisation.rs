//! The two canonicalisations and what they do to header fields (RFC 6376 §3.4).

use std::{fmt, str::FromStr};

/// How much change on the way a signature forgives (RFC 6376 §3.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Canonicalisation {
    /// Next to none.
    Simple,
    /// White space that mail servers are known to change.
    Relaxed,
}

impl Canonicalisation {
    /// The word in `c=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }

    /// Appends the canonical form of a header field, without the CRLF that ends it.
    ///
    /// `value` is everything behind the colon, folds as CRLF.
    pub fn header_field(self, name: &[u8], value: &[u8], output: &mut Vec<u8>) {
        match self {
            Self::Simple => {
                output.extend_from_slice(name);
                output.push(b':');
                output.extend_from_slice(value);
            }
            Self::Relaxed => relaxed_field(name, value, output),
        }
    }
}

/// RFC 6376 §3.4.2.
fn relaxed_field(name: &[u8], value: &[u8], output: &mut Vec<u8>) {
    output.extend(bare_name(name).iter().map(u8::to_ascii_lowercase));
    output.push(b':');
    let start = output.len();
    let mut blank = false;
    let mut rest = value;
    while let Some((&octet, behind)) = rest.split_first() {
        match octet {
            b' ' | b'\t' => {
                blank = true;
                rest = behind;
            }
            b'\r' if is_fold(rest) => {
                blank = true;
                rest = &behind[1..];
            }
            _ => {
                if blank && output.len() > start {
                    output.push(b' ');
                }
                blank = false;
                let (unchanged, behind) = rest.split_at(unchanged(rest));
                output.extend_from_slice(unchanged);
                rest = behind;
            }
        }
    }
}

/// How many octets from the start are their own canonical form, single SP between words
/// among them. The first one is known to be.
fn unchanged(bytes: &[u8]) -> usize {
    let mut place = 1;
    while let Some(&octet) = bytes.get(place) {
        match octet {
            b' ' if bytes.get(place + 1).is_some_and(|&next| next > b' ') => place += 2,
            b' ' | b'\t' | b'\r' => break,
            _ => place += 1,
        }
    }
    place
}

/// A name without the WSP before the colon: SP and HTAB, nothing else (RFC 6376 §2.8).
pub(super) fn bare_name(name: &[u8]) -> &[u8] {
    let end = name
        .iter()
        .rposition(|octet| !matches!(octet, b' ' | b'\t'));
    &name[..end.map_or(0, |last| last + 1)]
}

/// Whether these bytes begin with a fold: CRLF with a blank, or nothing at all, behind it.
fn is_fold(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\r\n") && matches!(bytes.get(2), Some(b' ' | b'\t') | None)
}

impl fmt::Display for Canonicalisation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The pair in `c=`: header, then body.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CanonicalisationPair {
    /// For the header section.
    pub header: Canonicalisation,
    /// For the body.
    pub body: Canonicalisation,
}

/// Relaxed: the pair that forgives most.
impl Default for CanonicalisationPair {
    fn default() -> Self {
        Self {
            header: Canonicalisation::Relaxed,
            body: Canonicalisation::Relaxed,
        }
    }
}

impl fmt::Display for CanonicalisationPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.header, self.body)
    }
}

/// The text is not `simple` or `relaxed`, or not two of them with a slash between.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("canonicalisation is written header/body, each of them simple or relaxed")]
pub struct UnknownCanonicalisation;

impl FromStr for Canonicalisation {
    type Err = UnknownCanonicalisation;

    fn from_str(text: &str) -> Result<Self, UnknownCanonicalisation> {
        match text {
            "simple" => Ok(Self::Simple),
            "relaxed" => Ok(Self::Relaxed),
            _ => Err(UnknownCanonicalisation),
        }
    }
}

impl FromStr for CanonicalisationPair {
    type Err = UnknownCanonicalisation;

    /// Takes `header/body`, or `header` alone, which leaves the body simple (RFC 6376 §3.5).
    fn from_str(text: &str) -> Result<Self, UnknownCanonicalisation> {
        let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
        Ok(Self {
            header: header.parse()?,
            body: body.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxed_fields() {
        for (name, value, expected) in [
            // RFC 6376 §3.4.5
            (&b"A"[..], &b" X"[..], &b"a:X"[..]),
            (b"B ", b" Y\t\r\n\tZ  ", b"b:Y Z"),
            (b"B\x0c\t ", b" Y", b"b\x0c:Y"),
            (b"Subject", b"", b"subject:"),
            (b"Subject", b" \t ", b"subject:"),
            (b"Subject", b"\r\n \r\n x", b"subject:x"),
            (b"SUBJECT", b"a\t\tb", b"subject:a b"),
            (b"S", b" a\rb\nc\x0cd\r\ne", b"s:a\rb\nc\x0cd\r\ne"),
            // An empty line is no fold. It ends the header section, so no message has it.
            (b"S", b" one\r\nB\r\n\r\n", b"s:one\r\nB\r\n"),
        ] {
            let mut output = Vec::new();
            Canonicalisation::Relaxed.header_field(name, value, &mut output);
            assert_eq!(output, expected, "{value:?}");
        }
    }

    #[test]
    fn simple_fields_are_as_they_came() {
        let mut output = Vec::new();
        Canonicalisation::Simple.header_field(b"B ", b" Y\t\r\n\tZ  ", &mut output);
        assert_eq!(output, b"B : Y\t\r\n\tZ  ");
    }

    #[test]
    fn pairs() {
        for text in [
            "simple/simple",
            "relaxed/simple",
            "simple/relaxed",
            "relaxed/relaxed",
        ] {
            let pair: CanonicalisationPair = text.parse().unwrap();
            assert_eq!(pair.to_string(), text);
        }
        let pair: CanonicalisationPair = "relaxed".parse().unwrap();
        assert_eq!(pair.to_string(), "relaxed/simple");
        assert!("relaxed/".parse::<CanonicalisationPair>().is_err());
    }
}
