//! A whole message at hand, split into its header section and its body.

use super::HeaderSection;

/// A message in memory, as the commands and the tests have it.
pub struct Message<'a> {
    /// The header section.
    pub header: HeaderSection,
    /// What is behind the empty line.
    pub body: &'a [u8],
}

/// A line of the header section is neither a field nor the continuation of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} of the message is not a header field")]
pub struct MalformedHeader {
    /// Counted from 1.
    pub line: usize,
}

impl<'a> Message<'a> {
    /// Splits a message whose lines end with CRLF (RFC 5322 §2.1). Without an empty line all
    /// of it is header.
    ///
    /// # Errors
    ///
    /// When a line of the header section is no continuation and has no name with a colon, or
    /// is the continuation of nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedHeader> {
        let mut header = HeaderSection::default();
        let mut rest = bytes;
        let mut line = 1;
        while !rest.is_empty() {
            if let Some(body) = rest.strip_prefix(b"\r\n") {
                return Ok(Self { header, body });
            }
            // Only a first line can begin with a blank here. It would be the continuation of
            // whatever is put on top of it, such as a signature.
            if matches!(rest[0], b' ' | b'\t') {
                return Err(MalformedHeader { line });
            }
            let (field, behind) = rest.split_at(field_end(rest));
            let field = field.strip_suffix(b"\r\n").unwrap_or(field);
            // A name ends before its first line does.
            let colon = memchr::memchr2(b':', b'\r', field).filter(|&place| field[place] == b':');
            let colon = colon.filter(|&colon| colon > 0);
            let colon = colon.ok_or(MalformedHeader { line })?;
            header.push_verbatim(&field[..colon], &field[colon + 1..]);
            line += 1 + memchr::memchr_iter(b'\n', field).count();
            rest = behind;
        }
        Ok(Self { header, body: b"" })
    }
}

/// Where the field that these bytes begin with ends, its last CRLF included.
fn field_end(bytes: &[u8]) -> usize {
    let mut end = 0;
    loop {
        match memchr::memmem::find(&bytes[end..], b"\r\n") {
            None => return bytes.len(),
            Some(place) => end += place + 2,
        }
        if !matches!(bytes.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_empty_line() {
        let message = Message::parse(b"A: 1\r\n 2\r\nB:\r\n\r\nx\r\n\r\ny").unwrap();
        let fields: Vec<_> = message.header.fields().collect();
        assert_eq!(fields.len(), 2);
        assert_eq!(
            (fields[0].name, fields[0].value),
            (&b"A"[..], &b" 1\r\n 2"[..])
        );
        assert_eq!((fields[1].name, fields[1].value), (&b"B"[..], &b""[..]));
        assert_eq!(message.body, b"x\r\n\r\ny");
        assert_eq!(Message::parse(b"A: 1").unwrap().body, b"");
        assert_eq!(Message::parse(b"\r\nx").unwrap().header.len(), 0);
    }

    #[test]
    fn a_lone_line_feed_ends_nothing() {
        let message = Message::parse(b"A: 1\n2\n 3\r\n\n\r\n\r\n").map(|_| ());
        assert_eq!(message, Err(MalformedHeader { line: 4 }));
        let message = Message::parse(b"A: 1\n2\n 3\r\n\r\n\n").unwrap();
        let values: Vec<_> = message.header.values("A").collect();
        assert_eq!(values, [b" 1\n2\n 3"]);
        assert_eq!(message.body, b"\n");
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let parse = |bytes: &'static [u8]| Message::parse(bytes).err().map(|error| error.line);
        assert_eq!(parse(b"A: 1\r\n 2\r\nno colon\r\n"), Some(3));
        assert_eq!(parse(b": x\r\n"), Some(1));
        assert_eq!(parse(b"A: 1\r\nno\r\n colon: x\r\n"), Some(2));
        assert_eq!(parse(b" x: y\r\n"), Some(1));
        assert_eq!(parse(b"\tFrom: a@b.nl\r\n\r\n"), Some(1));
    }
}
