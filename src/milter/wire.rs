//! The milter protocol on the wire: frames, what is in them, and our replies.
//!
//! A frame is a length (32 bits, most significant octet first), the kind of a command, and
//! `length - 1` octets of data. Strings end with NUL. There is no specification but
//! libmilter's source (`include/libmilter/mfdef.h` of Sendmail) and what MTAs do.
//!
//! Pure: octets in, octets out.

use std::net::IpAddr;

use indymilter::message::{
    command::CommandKind,
    reply::{Reply, ReplyKind},
};
use memchr::memchr;

use crate::organisation::Client;

/// The largest frame taken, with its kind: 1 MiB. MTAs stay below 64 KiB but for a header
/// field that they do not cut.
const LARGEST_FRAME: usize = 1024 * 1024;
/// A host name and an address are shorter than that by far.
const LARGEST_CONNECT: usize = 4096;
const LENGTH_OCTETS: usize = 4;
const HEAD_OCTETS: usize = LENGTH_OCTETS + 1;
const PORT_OCTETS: usize = 2;

/// How much is read at once while only small frames have come.
const SMALL_READ: usize = 8 * 1024;
/// How much is read at once otherwise: a body comes in chunks of up to 65,535 octets.
const LARGE_READ: usize = 64 * 1024 + HEAD_OCTETS;

/// What comes can't be the milter protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// What a connection brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event<'a> {
    /// A piece of the body, cut anywhere.
    Body(&'a [u8]),
    /// A command and its data; that of BODY and of the end of the message has passed before.
    Command(CommandKind, &'a [u8]),
}

/// Cuts what comes into frames. Memory is bounded by the largest frame that is no body.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// What lies before has been handed out.
    start: usize,
    /// The frame whose data passes in pieces, and how much of that is still to come.
    passing: Option<(CommandKind, usize)>,
    read_octets: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            passing: None,
            read_octets: SMALL_READ,
        }
    }

    /// Whether nothing of a next frame has come yet.
    pub(super) fn between_frames(&self) -> bool {
        self.start == self.buffer.len() && self.passing.is_none()
    }

    /// The octets of a frame that has come in part and is to be collected, after
    /// [`next`](Self::next) gave nothing.
    pub(super) fn held(&self) -> usize {
        match self.passing {
            Some(_) => 0,
            None => self.buffer.len() - self.start,
        }
    }

    /// Where to read to, at the end. Call it when [`next`](Self::next) gave nothing.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > LARGE_READ {
            // A huge header field has passed.
            self.buffer = Vec::new();
        }
        let missing = self.missing().max(self.read_octets);
        self.buffer.reserve(missing);
        &mut self.buffer
    }

    /// Says that a read has filled all the room there was: more is to be expected.
    pub(super) fn filled(&mut self) {
        self.read_octets = LARGE_READ;
    }

    /// What is still to come of a frame that is to be collected.
    fn missing(&self) -> usize {
        match (self.passing, self.buffer.first_chunk()) {
            (None, Some(length)) => {
                (length_of(*length) + LENGTH_OCTETS).saturating_sub(self.buffer.len())
            }
            _ => 0,
        }
    }

    /// The next event, if enough of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Event<'_>>, Malformed> {
        if let Some((command, left)) = self.passing {
            let there = self.buffer.len() - self.start;
            if left == 0 {
                self.passing = None;
                return Ok(Some(Event::Command(command, b"")));
            }
            let piece = left.min(there);
            if piece == 0 {
                return Ok(None);
            }
            self.passing = Some((command, left - piece));
            return Ok(Some(Event::Body(self.take(piece))));
        }
        let there = &self.buffer[self.start..];
        let Some((length, rest)) = there.split_first_chunk::<LENGTH_OCTETS>() else {
            return Ok(None);
        };
        let length = length_of(*length);
        if length == 0 || length > LARGEST_FRAME {
            return Err(Malformed);
        }
        let Some((&kind, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let command = CommandKind::try_from(kind).map_err(|_| Malformed)?;
        if command == CommandKind::ConnInfo && length > LARGEST_CONNECT {
            return Err(Malformed);
        }
        let data = length - 1;
        // A body passes in pieces instead of being collected.
        if matches!(command, CommandKind::BodyChunk | CommandKind::BodyEnd) {
            self.start += HEAD_OCTETS;
            self.passing = Some((command, data));
            return self.next();
        }
        if rest.len() < data {
            return Ok(None);
        }
        self.start += HEAD_OCTETS;
        Ok(Some(Event::Command(command, self.take(data))))
    }

    fn take(&mut self, octets: usize) -> &[u8] {
        let from = self.start;
        self.start += octets;
        &self.buffer[from..self.start]
    }
}

fn length_of(octets: [u8; LENGTH_OCTETS]) -> usize {
    // On a machine where it does not fit it is too large all the same.
    usize::try_from(u32::from_be_bytes(octets)).unwrap_or(usize::MAX - LENGTH_OCTETS)
}

/// The string at the front, without its NUL, and what is behind it.
pub(super) fn string(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr(0, data).ok_or(Malformed)?;
    Ok((&data[..end], &data[end + 1..]))
}

/// The value of a macro in the data of a macro frame behind its stage; the first one if it
/// is there twice, none where the data is malformed before it.
pub(super) fn macro_value<'a>(mut data: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    while !data.is_empty() {
        let (found, rest) = string(data).ok()?;
        let (value, rest) = string(rest).ok()?;
        if found == name {
            return Some(value);
        }
        data = rest;
    }
    None
}

/// The SMTP client in a CONNECT command (host name, family, port, address).
///
/// Sendmail writes `IPv6:` in front of an address, as SMTP does (RFC 5321 §4.1.3), and
/// others may add a zone (RFC 4007 §11).
pub(super) fn client(data: &[u8]) -> Result<Client, Malformed> {
    // The name is what the client says it is, or its PTR record: it proves nothing.
    let (_name, rest) = string(data)?;
    match rest.split_first() {
        Some((b'4' | b'6', rest)) => Ok(rest
            .get(PORT_OCTETS..)
            .and_then(address)
            .map_or(Client::Unknown, Client::At)),
        Some((b'U' | b'L', _)) => Ok(Client::WithoutAddress),
        _ => Err(Malformed),
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    const PREFIX: &[u8] = b"IPv6:";
    let (text, _) = string(data).ok()?;
    let text = match text.split_at_checked(PREFIX.len()) {
        Some((front, behind)) if front.eq_ignore_ascii_case(PREFIX) => behind,
        _ => text,
    };
    let zone = memchr(b'%', text).unwrap_or(text.len());
    std::str::from_utf8(&text[..zone]).ok()?.parse().ok()
}

/// Replies, each a frame appended to what is to be sent.
pub(super) mod reply {
    use super::{HEAD_OCTETS, Reply, ReplyKind};

    /// Go on.
    pub(in crate::milter) fn go_on(output: &mut Vec<u8>) {
        frame(output, ReplyKind::Continue, &[]);
    }

    /// The message is taken.
    pub(in crate::milter) fn accept(output: &mut Vec<u8>) {
        frame(output, ReplyKind::Accept, &[]);
    }

    /// The message is refused with this SMTP reply: a code, an enhanced status code and a
    /// text, in printable ASCII.
    pub(in crate::milter) fn refuse(output: &mut Vec<u8>, smtp_reply: &str) {
        let parts = [smtp_reply.as_bytes(), b"\0"];
        frame(output, ReplyKind::ReplyCode, &parts);
    }

    /// A header field on top of all others. The value has LF folds and no NUL.
    pub(in crate::milter) fn insert_on_top(output: &mut Vec<u8>, name: &str, value: &str) {
        let parts = [&[0; 4], name.as_bytes(), b"\0", value.as_bytes(), b"\0"];
        frame(output, ReplyKind::InsertHeader, &parts);
    }

    /// What is agreed upon.
    pub(in crate::milter) fn negotiate(output: &mut Vec<u8>, agreement: Reply) {
        let message = agreement.into_message();
        frame(output, message.kind, &[&message.buffer]);
    }

    fn frame(output: &mut Vec<u8>, kind: impl Into<u8>, parts: &[&[u8]]) {
        let data: usize = parts.iter().map(|part| part.len()).sum();
        // Ours are a few kilobytes at most.
        let length = u32::try_from(data + 1).unwrap_or(u32::MAX);
        output.reserve(HEAD_OCTETS + data);
        output.extend_from_slice(&length.to_be_bytes());
        output.push(kind.into());
        for part in parts {
            output.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], data].concat()
    }

    /// All events, with the pieces of a body put together.
    fn events(input: &[u8], piece: usize) -> Result<Vec<(CommandKind, Vec<u8>)>, Malformed> {
        let mut frames = Frames::new();
        let mut events = Vec::new();
        let mut body = Vec::new();
        for piece in input.chunks(piece) {
            frames.room().extend_from_slice(piece);
            while let Some(event) = frames.next()? {
                match event {
                    Event::Body(piece) => body.extend_from_slice(piece),
                    Event::Command(command, data) => {
                        events.push((command, [&std::mem::take(&mut body), data].concat()));
                    }
                }
            }
        }
        assert!(frames.between_frames());
        Ok(events)
    }

    #[test]
    fn frames_are_the_same_however_they_come() {
        let large = vec![b'x'; 70_000];
        let all: [(u8, CommandKind, &[u8]); 17] = [
            (b'O', CommandKind::OptNeg, &[0xff; 12]),
            (b'D', CommandKind::DefMacros, b"Cj\0relay\0"),
            (b'C', CommandKind::ConnInfo, b"host\x004\x00\x00127.0.0.1\0"),
            (b'H', CommandKind::Helo, b"host\0"),
            (b'M', CommandKind::Mail, b"<a@b>\0"),
            (b'R', CommandKind::Rcpt, b"<a@b>\0"),
            (b'T', CommandKind::Data, b""),
            (b'L', CommandKind::Header, &large),
            (b'N', CommandKind::Eoh, b""),
            (b'B', CommandKind::BodyChunk, &large),
            (b'B', CommandKind::BodyChunk, b""),
            (b'E', CommandKind::BodyEnd, b"more"),
            (b'E', CommandKind::BodyEnd, b""),
            (b'A', CommandKind::Abort, b""),
            (b'U', CommandKind::Unknown, b"NOOP\0"),
            (b'Q', CommandKind::Quit, b""),
            (b'K', CommandKind::QuitNc, b""),
        ];
        let input: Vec<u8> = all
            .iter()
            .flat_map(|(kind, _, data)| frame(*kind, data))
            .collect();
        let expected: Vec<_> = all
            .iter()
            .map(|(_, command, data)| (*command, data.to_vec()))
            .collect();
        for piece in [1, 2, 3, 7, 4096, 65_536, input.len()] {
            assert_eq!(events(&input, piece), Ok(expected.clone()), "{piece}");
        }
    }

    #[test]
    fn impossible_frames() {
        for kind in [0, b' ', b'Z', b'a', 0xff] {
            assert_eq!(events(&frame(kind, b"x"), 9), Err(Malformed));
        }
        for length in [0_u32, 1024 * 1024 + 1, u32::MAX] {
            assert_eq!(events(&length.to_be_bytes(), 9), Err(Malformed));
        }
        assert_eq!(events(&frame(b'C', &[b'x'; 5000]), 9), Err(Malformed));
    }

    #[test]
    fn memory_is_given_back_behind_a_huge_field() {
        let mut frames = Frames::new();
        frames
            .room()
            .extend_from_slice(&frame(b'L', &vec![b'x'; 900_000]));
        assert!(matches!(frames.next(), Ok(Some(Event::Command(..)))));
        assert!(frames.room().capacity() <= LARGE_READ);
    }

    #[test]
    fn macros() {
        let data = b"i\0ABC\0{auth_authen}\0crm\0i\0DEF\0";
        assert_eq!(macro_value(data, b"i"), Some(&b"ABC"[..]));
        assert_eq!(macro_value(data, b"{auth_authen}"), Some(&b"crm"[..]));
        assert_eq!(macro_value(data, b"{auth_type}"), None);
        assert_eq!(macro_value(b"", b"i"), None);
        assert_eq!(macro_value(b"i\0ABC", b"i"), None);
        assert_eq!(macro_value(b"i", b"i"), None);
        assert_eq!(macro_value(b"x\0\0i\0\0", b"i"), Some(&b""[..]));
    }

    #[test]
    fn replies() {
        let mut output = Vec::new();
        reply::go_on(&mut output);
        reply::insert_on_top(&mut output, "X", " y");
        reply::refuse(&mut output, "451 4.7.1 no");
        reply::accept(&mut output);
        let expected = [
            frame(b'c', b""),
            frame(b'i', b"\0\0\0\0X\0 y\0"),
            frame(b'y', b"451 4.7.1 no\0"),
            frame(b'a', b""),
        ];
        assert_eq!(output, expected.concat());
    }

    #[test]
    fn addresses() {
        for (data, expected) in [
            (&b"host\x004\x00\x19192.0.2.1\0"[..], Some("192.0.2.1")),
            (b"host\x006\x00\x19::1\0", Some("::1")),
            (b"host\x006\x00\x19IPv6:0:0:0:0:0:0:0:1\0", Some("::1")),
            (b"host\x006\x00\x19ipv6:2001:DB8::1\0", Some("2001:db8::1")),
            (b"host\x006\x00\x19fe80::1%eth0\0", Some("fe80::1")),
            (b"host\x004\x00\x19::1\0", Some("::1")),
            (b"host\x006\x00\x19\0", None),
            (b"host\x006\x00\x19nonsense\0", None),
            (b"host\x006\x00\x19::1", None),
            (b"host\x006\x00", None),
            (b"host\x006", None),
        ] {
            let expected = expected.map_or(Client::Unknown, |text: &str| {
                Client::At(text.parse().unwrap())
            });
            assert_eq!(client(data), Ok(expected), "{}", data.escape_ascii());
        }
        for data in [&b"host\0U"[..], b"host\0U\0\0\0", b"host\0L\0\0/run/x\0"] {
            let expected = Ok(Client::WithoutAddress);
            assert_eq!(client(data), expected, "{}", data.escape_ascii());
        }
        for data in [&b""[..], b"host", b"host\0", b"host\0X\0\0x\0"] {
            assert_eq!(client(data), Err(Malformed), "{}", data.escape_ascii());
        }
    }
}
