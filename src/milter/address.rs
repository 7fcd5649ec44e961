//! The SMTP client in a CONNECT command: host name, family, port, address.
//!
//! Sendmail writes `IPv6:` in front of an address, as SMTP does (RFC 5321 §4.1.3), and
//! others may add a zone (RFC 4007 §11).

use std::net::IpAddr;

use super::wire::{Malformed, string};

const PORT_OCTETS: usize = 2;
const PREFIX: &[u8] = b"IPv6:";

/// The address of the client; none where it is a local one, or can't be read.
pub(super) fn client(data: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    // The name is what the client says it is, or its PTR record: it proves nothing.
    let (_name, rest) = string(data)?;
    match rest.split_first() {
        Some((b'4' | b'6', rest)) => Ok(rest.get(PORT_OCTETS..).and_then(address)),
        Some((b'U' | b'L', _)) => Ok(None),
        _ => Err(Malformed),
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    let (text, _) = string(data).ok()?;
    let text = match text.split_at_checked(PREFIX.len()) {
        Some((front, behind)) if front.eq_ignore_ascii_case(PREFIX) => behind,
        _ => text,
    };
    let zone = memchr::memchr(b'%', text).unwrap_or(text.len());
    std::str::from_utf8(&text[..zone]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (b"host\0U", None),
            (b"host\0L\0\0/run/x\0", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(client(data), Ok(expected), "{}", data.escape_ascii());
        }
        for data in [&b""[..], b"host", b"host\0", b"host\0X\0\0x\0"] {
            assert_eq!(client(data), Err(Malformed), "{}", data.escape_ascii());
        }
    }
}
