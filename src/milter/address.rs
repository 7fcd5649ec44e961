//! The address in a CONNECT frame, brought into the form that indymilter reads.
//!
//! Sendmail writes `IPv6:` in front of one, as SMTP does (RFC 5321 §4.1.3), and others may add
//! a zone (RFC 4007 §11). indymilter ends the session at either, without a word.

use std::net::IpAddr;

/// The payload of CONNECT: host name, family, port, address.
const FAMILY_AND_PORT: usize = 3;
const PREFIX: &[u8] = b"IPv6:";

/// The payload as it should be; the client becomes unknown where its address can't be read.
pub(super) fn normalised(payload: &[u8]) -> Vec<u8> {
    let host_end = memchr::memchr(0, payload).map_or(payload.len(), |end| end + 1);
    let (host, rest) = payload.split_at(host_end);
    if !matches!(rest.first(), Some(b'4' | b'6')) {
        return payload.to_vec();
    }
    let address = rest.get(FAMILY_AND_PORT..).and_then(address);
    let (Some(address), Some(port)) = (address, rest.get(1..FAMILY_AND_PORT)) else {
        return [host, b"U"].concat();
    };
    let family: &[u8] = if address.is_ipv4() { b"4" } else { b"6" };
    let text = address.to_string();
    [host, family, port, text.as_bytes(), b"\0"].concat()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let end = memchr::memchr(0, octets)?;
    let text = &octets[..end];
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
        for (payload, expected) in [
            (
                &b"host\x004\x00\x19192.0.2.1\0"[..],
                &b"host\x004\x00\x19192.0.2.1\0"[..],
            ),
            (b"host\x006\x00\x19::1\0", b"host\x006\x00\x19::1\0"),
            (
                b"host\x006\x00\x19IPv6:0:0:0:0:0:0:0:1\0",
                b"host\x006\x00\x19::1\0",
            ),
            (
                b"host\x006\x00\x19ipv6:2001:DB8::1\0",
                b"host\x006\x00\x192001:db8::1\0",
            ),
            (
                b"host\x006\x00\x19fe80::1%eth0\0",
                b"host\x006\x00\x19fe80::1\0",
            ),
            (b"host\x004\x00\x19::1\0", b"host\x006\x00\x19::1\0"),
            (b"host\x006\x00\x19\0", b"host\x00U"),
            (b"host\x006\x00\x19nonsense\0", b"host\x00U"),
            (b"host\x006\x00\x19::1", b"host\x00U"),
            (b"host\x006\x00", b"host\x00U"),
            (b"host\x006", b"host\x00U"),
            (b"host\0U", b"host\0U"),
            (b"host\0L\0\0/run/x\0", b"host\0L\0\0/run/x\0"),
            (b"host\0", b"host\0"),
            (b"host", b"host"),
        ] {
            assert_eq!(normalised(payload), expected, "{}", payload.escape_ascii());
        }
    }
}
