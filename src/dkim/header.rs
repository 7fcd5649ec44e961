//! The header section of a message, as it came, and the fields of it that a signature
//! covers (RFC 6376 §5.4).

use super::canonicalisation::bare_name;
use crate::names::FieldName;

/// One header field, as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// The name, in the letters it came in.
    pub name: &'a [u8],
    /// Everything behind the colon, folds as CRLF, without the CRLF that ends the field.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the field has this name; case and blanks before the colon do not matter.
    pub fn is(&self, name: &str) -> bool {
        is_same(self.bare_name(), name.as_bytes())
    }

    /// Whether the name is another one, and looks like this one: it has something in it that
    /// is not seen, such as a form feed. RFC 5322 §2.2 forbids that, and readers differ in
    /// what they take it for.
    pub fn looks_like(&self, name: &str) -> bool {
        let seen = self.name.iter().filter(|octet| octet.is_ascii_graphic());
        let seen = seen.map(u8::to_ascii_lowercase);
        seen.eq(name.bytes().map(|octet| octet.to_ascii_lowercase())) && !self.is(name)
    }

    /// The name without the blanks before the colon.
    pub(super) fn bare_name(&self) -> &'a [u8] {
        bare_name(self.name)
    }
}

/// Whether two names are the same but for their case. Their length and first letter tell
/// most names apart.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let first = |name: &[u8]| name.first().map(u8::to_ascii_lowercase);
    one.len() == other.len() && first(one) == first(other) && one.eq_ignore_ascii_case(other)
}

/// The header section: all fields in one buffer, in their order.
#[derive(Clone, Debug, Default)]
pub struct HeaderSection {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    name: usize,
    value: usize,
    end: usize,
    return_dropped: bool,
}

/// What most header sections fit in, so that they grow without being moved.
const USUAL_OCTETS: usize = 4096;
const USUAL_FIELDS: usize = 32;

impl HeaderSection {
    /// Appends a field. Folds come as LF (milter); they are kept as CRLF. A CR before such
    /// a LF was one more in the message: it is left out, and counts as
    /// [`Hazard::BareCrLf`](super::Hazard::BareCrLf).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let mut place = self.push_name(name);
        let mut rest = value;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            place.return_dropped |= text.len() < line.len();
            self.bytes.extend_from_slice(text);
            self.bytes.extend_from_slice(b"\r\n");
            rest = &behind[1..];
        }
        self.push_value(place, rest);
    }

    /// Appends a field as it is: here a LF without CR is no fold but an octet as others.
    pub(super) fn push_verbatim(&mut self, name: &[u8], value: &[u8]) {
        let place = self.push_name(name);
        self.push_value(place, value);
    }

    fn push_name(&mut self, name: &[u8]) -> Place {
        if self.places.is_empty() {
            self.bytes.reserve(USUAL_OCTETS);
            self.places.reserve(USUAL_FIELDS);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let value = self.bytes.len();
        Place {
            name: start,
            value,
            end: value,
            return_dropped: false,
        }
    }

    fn push_value(&mut self, place: Place, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        self.places.push(Place { end, ..place });
    }

    /// The fields from top to bottom.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.places.iter().map(|place| Field {
            name: &self.bytes[place.name..place.value],
            value: &self.bytes[place.value..place.end],
        })
    }

    /// Of each field, whether a CR was left out of it.
    pub(super) fn returns_dropped(&self) -> impl Iterator<Item = bool> {
        self.places.iter().map(|place| place.return_dropped)
    }

    /// The values of all fields with this name, from top to bottom.
    pub fn values(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields()
            .filter(move |field| field.is(name))
            .map(|field| field.value)
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The octets of memory that it takes, without what it has in reserve.
    pub fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(self.places.as_slice())
    }

    /// The octets that all names and values take.
    pub fn octets(&self) -> usize {
        self.bytes.len()
    }
}

/// Which fields are signed, and which are listed once more than they are there, so that
/// nobody can add another one (RFC 6376 §8.15).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderRules {
    /// Listed once more than they occur, present or not.
    pub oversign: Vec<FieldName>,
    /// Listed once more than they occur, if they occur.
    pub oversign_if_present: Vec<FieldName>,
    /// Listed as often as they occur.
    pub sign: Vec<FieldName>,
}

/// Never signed: others add, change or remove them on the way (RFC 6376 §5.4).
pub const NEVER_SIGNED: [&str; 4] = [
    "received",
    "return-path",
    "authentication-results",
    "dkim-signature",
];

/// The fields of MIME are here because one that is added to plain mail shows its text as
/// another, or not at all. MTAs and lists that add one have changed the body as well
/// (`docs/signing.md`).
const OVERSIGN: [&str; 9] = [
    "from",
    "to",
    "cc",
    "subject",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];

/// Date and Message-ID are here because an MTA may add them behind us where they are
/// missing: to list an absent one would break the signature. Sender and List-* are here
/// because lists add them (RFC 6376 §B.2.3).
const OVERSIGN_IF_PRESENT: [&str; 14] = [
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "sender",
    "resent-date",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-message-id",
];

impl Default for HeaderRules {
    fn default() -> Self {
        let names = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().expect("the built-in names are field names"))
                .collect()
        };
        Self {
            oversign: names(&OVERSIGN),
            oversign_if_present: names(&OVERSIGN_IF_PRESENT),
            sign: Vec::new(),
        }
    }
}

impl HeaderRules {
    /// The names for `h=`, each as often as it is to be listed there.
    pub fn select(&self, header: &HeaderSection) -> Vec<&str> {
        let mut names = Vec::with_capacity(2 * self.len());
        for (rule, extra_if_absent, extra_if_present) in self.rules() {
            let present = header
                .fields()
                .filter(|field| field.is(rule.as_str()))
                .count();
            let extra = if present == 0 {
                extra_if_absent
            } else {
                extra_if_present
            };
            names.extend(std::iter::repeat_n(rule.as_str(), present + extra));
        }
        names
    }

    /// Whether a field of this name is signed.
    pub fn cover(&self, name: &[u8]) -> bool {
        self.rules()
            .any(|(rule, ..)| is_same(rule.as_str().as_bytes(), name))
    }

    /// As many names as [`HeaderRules::select`] gives at most.
    pub fn most_names(&self, header: &HeaderSection) -> usize {
        header.len() + self.len()
    }

    fn len(&self) -> usize {
        self.oversign.len() + self.oversign_if_present.len() + self.sign.len()
    }

    fn rules(&self) -> impl Iterator<Item = (&FieldName, usize, usize)> {
        let oversign = self.oversign.iter().map(|name| (name, 1, 1));
        let if_present = self.oversign_if_present.iter().map(|name| (name, 0, 1));
        let sign = self.sign.iter().map(|name| (name, 0, 0));
        oversign.chain(if_present).chain(sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::Canonicalisation;

    fn header(fields: &[(&str, &str)]) -> HeaderSection {
        let mut header = HeaderSection::default();
        for (name, value) in fields {
            header.push(name.as_bytes(), value.as_bytes());
        }
        header
    }

    #[test]
    fn folds_are_kept_as_crlf() {
        let header = header(&[("A", " x\n\ty\r\n z"), ("B", "")]);
        let values: Vec<_> = header.fields().map(|field| field.value).collect();
        assert_eq!(values, [&b" x\r\n\ty\r\n z"[..], b""]);
        assert_eq!(header.octets(), 2 + b" x\r\n\ty\r\n z".len());
    }

    #[test]
    fn the_built_in_lists_are_these() {
        let header = header(&[
            ("Received", " x"),
            ("FROM", " a@b.nl"),
            ("To", " c"),
            ("To", " d"),
            ("Message-ID", " <1@b.nl>"),
            ("X-Other", " y"),
        ]);
        assert_eq!(
            HeaderRules::default().select(&header).join(":"),
            "from:from:to:to:to:cc:subject:reply-to:mime-version:content-type:\
             content-transfer-encoding:content-disposition:message-id:message-id"
        );
        for never in NEVER_SIGNED {
            assert!(!OVERSIGN.contains(&never) && !OVERSIGN_IF_PRESENT.contains(&never));
        }
    }

    #[test]
    fn the_lowest_field_comes_first() {
        let header = header(&[("A", "1"), ("B", "2"), ("a", "3"), ("A ", "4")]);
        let mut output = Vec::new();
        header.canonical_fields(
            ["a", "b", "A", "a", "a", "c"],
            Canonicalisation::Simple,
            &mut output,
        );
        assert_eq!(output, b"A :4\r\nB:2\r\na:3\r\nA:1\r\n");
    }
}
