//! Which addresses are asked. A zone is in strangers' hands and can name any address: without
//! rules, the keeper would send packets to services of its own host and network at their word.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Which addresses are asked, of those that zones name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reach {
    /// Loopback and link-local ones too.
    pub local: bool,
    /// Those of private networks too.
    pub private: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            local: false,
            private: true,
        }
    }
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Of this host, or of this link.
    Local,
    /// Of a private network.
    Private,
    /// No address of a server: unspecified, multicast, reserved, for documentation.
    Unusable,
}

impl Reach {
    /// Why the address is not asked; none if it is.
    pub(super) fn passes_over(self, address: IpAddr) -> Option<Kind> {
        kind(address).filter(|kind| match kind {
            Kind::Local => !self.local,
            Kind::Private => !self.private,
            Kind::Unusable => true,
        })
    }
}

/// In words, with the setting that decides.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Local => {
                "not asked: a loopback or link-local address ([keeper] local_servers = false)"
            }
            Self::Private => {
                "not asked: an address of a private network ([keeper] private_servers = false)"
            }
            Self::Unusable => "not asked: not an address that a server can have",
        })
    }
}

/// None for an address of the public internet.
fn kind(address: IpAddr) -> Option<Kind> {
    match address {
        IpAddr::V4(address) => kind_of_four(address),
        IpAddr::V6(address) => kind_of_six(address),
    }
}

/// RFC 6890 and its registry.
fn kind_of_four(address: Ipv4Addr) -> Option<Kind> {
    let [a, b, c, _] = address.octets();
    if address.is_loopback() || address.is_link_local() {
        return Some(Kind::Local);
    }
    // 0.0.0.0 is this host to many systems. 192.88.99.0/24 was a relay of 6to4 (RFC 7526).
    if a == 0
        || a >= 224
        || address.is_documentation()
        || [a, b, c] == [192, 88, 99]
        || [a, b, c] == [192, 0, 0]
    {
        return Some(Kind::Unusable);
    }
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (18..20).contains(&b);
    (address.is_private() || is_shared || is_benchmark).then_some(Kind::Private)
}

fn kind_of_six(address: Ipv6Addr) -> Option<Kind> {
    let segments = address.segments();
    if address.is_loopback() || (segments[0] & 0xffc0) == 0xfe80 {
        return Some(Kind::Local);
    }
    if address.is_unspecified() || address.is_multicast() {
        return Some(Kind::Unusable);
    }
    if let Some(inner) = translated(segments) {
        return kind_of_four(inner);
    }
    // ISATAP (RFC 5214 §6.1), within a prefix that may be of any kind itself.
    if let [_, _, _, _, 0 | 0x200, 0x5efe, high, low] = segments
        && let Some(kind) = kind_of_four(four(high, low))
    {
        return Some(kind);
    }
    match segments {
        // Unique local (RFC 4193), site-local of old (RFC 3879), translation within a network
        // (RFC 8215).
        [first, ..] if (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfec0 => {
            Some(Kind::Private)
        }
        [0x64, 0xff9b, 1, ..] => Some(Kind::Private),
        // Teredo hides an address that nobody can check (RFC 4380), and what is not given out
        // for use: documentation (RFC 3849, RFC 9637), discard-only (RFC 6666).
        [0x2001, 0 | 0xdb8, ..] | [0x100, 0, 0, 0, ..] => Some(Kind::Unusable),
        [0x3fff, second, ..] if second < 0x1000 => Some(Kind::Unusable),
        // The rest of what the internet uses (RFC 4291 §2.4).
        [first, ..] if (first & 0xe000) == 0x2000 => None,
        _ => Some(Kind::Unusable),
    }
}

/// The IPv4 address that packets to this one end up at: mapped and compatible (RFC 4291
/// §2.5.5), translated (RFC 6052 §2.1, RFC 2765 §2.1), 6to4 (RFC 3056 §2).
fn translated(segments: [u16; 8]) -> Option<Ipv4Addr> {
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

fn four(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(addresses: &[&str]) -> Vec<(String, Option<Kind>)> {
        let both = |text: &&str| ((*text).to_owned(), kind(text.parse().unwrap()));
        addresses.iter().map(both).collect()
    }

    #[track_caller]
    fn assert_all(expected: Option<Kind>, addresses: &[&str]) {
        for (address, kind) in kinds(addresses) {
            assert_eq!(kind, expected, "{address}");
        }
    }

    #[test]
    fn an_address_of_this_host_is_known_in_every_dress() {
        assert_all(
            Some(Kind::Local),
            &[
                "127.0.0.1",
                "127.255.255.254",
                "169.254.169.254",
                "::1",
                "fe80::1",
                "febf::1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "::127.0.0.1",
                "::ffff:0:127.0.0.1",
                "64:ff9b::127.0.0.1",
                "64:ff9b::a9fe:a9fe",
                "2002:7f00:1::1",
                "2002:a9fe:a9fe::",
                "2a01:db8:0:0:0:5efe:7f00:1",
            ],
        );
    }

    #[test]
    fn an_address_of_a_private_network_is_known_in_every_dress() {
        assert_all(
            Some(Kind::Private),
            &[
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "100.127.255.255",
                "198.18.0.1",
                "198.19.255.255",
                "fc00::1",
                "fdff::1",
                "fec0::1",
                "64:ff9b:1::1",
                "::ffff:10.0.0.1",
                "64:ff9b::192.168.0.1",
                "2002:c0a8:101::1",
                "fc00::5efe:909:909",
                "2a01:db8:0:0:0:5efe:a00:1",
            ],
        );
    }

    #[test]
    fn what_no_server_can_have_is_never_asked() {
        let unusable = [
            "0.0.0.0",
            "0.1.2.3",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.0.0.1",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:0.0.0.0",
            "64:ff9b::0.0.0.0",
            "2002:e000:1::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
            "4000::1",
            "5f00::1",
        ];
        assert_all(Some(Kind::Unusable), &unusable);
        let everything = Reach {
            local: true,
            private: true,
        };
        for address in unusable {
            let address = address.parse().unwrap();
            assert_eq!(everything.passes_over(address), Some(Kind::Unusable));
        }
    }

    #[test]
    fn the_internet_is_asked() {
        assert_all(
            None,
            &[
                "1.1.1.1",
                "9.9.9.9",
                "100.63.255.255",
                "100.128.0.1",
                "172.15.0.1",
                "172.32.0.1",
                "169.253.0.1",
                "193.0.0.1",
                "2001:678:2c:0:194:0:28:53",
                "2620:fe::fe",
                "2a00::1",
                "::ffff:9.9.9.9",
                "64:ff9b::9.9.9.9",
                "2002:909:909::1",
            ],
        );
    }

    #[test]
    fn the_settings_decide() {
        let asked = |local, private, address: &str| {
            let reach = Reach { local, private };
            reach.passes_over(address.parse().unwrap()).is_none()
        };
        assert!(!asked(false, true, "127.0.0.1"));
        assert!(asked(true, false, "127.0.0.1"));
        assert!(asked(false, true, "10.0.0.1"));
        assert!(!asked(true, false, "10.0.0.1"));
        assert!(asked(false, false, "9.9.9.9"));
        assert_eq!(
            Reach::default(),
            Reach {
                local: false,
                private: true
            }
        );
    }
}
