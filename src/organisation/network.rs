//! Networks of clients: read in one way wherever they are written, and kept in the form in
//! which the addresses of clients are compared with them.

use std::{net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};

/// The length of `::ffff:0:0/96`, which holds IPv4 addresses (RFC 4291 §2.5.5.2).
const MAPPED_LENGTH: u8 = 96;

/// What was written for a network: an address, or one with a length behind a slash.
///
/// An IPv4-mapped one (`::ffff:10.0.0.0/104`) is the IPv4 one, as clients are. Brackets as
/// Postfix has them (`[::1]/128`) are left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrittenNetwork(IpNet);

/// Why a text is no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor a network.
    #[error("it is no network")]
    NotANetwork,
    /// All of IPv4 in its mapped form, and a part of IPv6 around it.
    #[error("it holds all of IPv4 in its mapped form, and IPv6 around it")]
    AroundIpv4,
}

impl WrittenNetwork {
    /// As it was written, with bits beyond its length.
    pub fn as_written(self) -> IpNet {
        self.0
    }

    /// Without bits beyond its length.
    pub fn network(self) -> IpNet {
        self.0.trunc()
    }
}

impl FromStr for WrittenNetwork {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let text = without_brackets(text).ok_or(NetworkError::NotANetwork)?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let network: IpNet = text.parse().map_err(|_| NetworkError::NotANetwork)?;
        canonical(network).map(Self)
    }
}

/// `[::1]/128` and `[::1/128]` as `::1/128`.
fn without_brackets(text: &str) -> Option<String> {
    let Some(inside) = text.strip_prefix('[') else {
        return Some(text.to_owned());
    };
    let (inside, behind) = inside.split_once(']')?;
    Some(format!("{inside}{behind}"))
}

/// Clients never have the mapped form, so a network in that form would match nobody.
fn canonical(network: IpNet) -> Result<IpNet, NetworkError> {
    let IpNet::V6(written) = network else {
        return Ok(network);
    };
    let length = written.prefix_len();
    if let (IpAddr::V4(address), true) = (network.addr().to_canonical(), length >= MAPPED_LENGTH) {
        let network = Ipv4Net::new(address, length - MAPPED_LENGTH);
        return Ok(network
            .expect("a length up to 128 less 96 is one of IPv4")
            .into());
    }
    // ::/0 is written for all of IPv6.
    let first_mapped = std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    if (1..MAPPED_LENGTH).contains(&length) && written.contains(&first_mapped) {
        return Err(NetworkError::AroundIpv4);
    }
    Ok(network)
}

/// The first of the networks that the address of a client lies in.
///
/// An IPv4 client of a dual-stack socket (`::ffff:192.0.2.1`) counts as IPv4.
pub fn network_of(networks: &[IpNet], client: Option<IpAddr>) -> Option<IpNet> {
    let address = client?.to_canonical();
    networks
        .iter()
        .find(|network| network.contains(&address))
        .copied()
}

/// What of a network is in none of the others.
pub fn remainder(network: IpNet, others: &[IpNet]) -> Vec<IpNet> {
    if others.iter().any(|other| other.contains(&network)) {
        return Vec::new();
    }
    if !others.iter().any(|other| network.contains(other)) {
        return vec![network];
    }
    // One of the others is longer, so this one can be halved.
    network
        .subnets(network.prefix_len() + 1)
        .map(|halves| halves.flat_map(|half| remainder(half, others)).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<String, NetworkError> {
        let network = text.parse::<WrittenNetwork>()?;
        Ok(network.network().to_string())
    }

    #[test]
    fn networks_have_the_form_of_clients() {
        for (text, expected, client) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.8.7"),
            ("::ffff:a00:0/104", "10.0.0.0/8", "::ffff:10.9.8.7"),
            ("0:0:0:0:0:FFFF:10.0.0.0/104", "10.0.0.0/8", "10.9.8.7"),
            ("[::ffff:10.0.0.0]/104", "10.0.0.0/8", "10.9.8.7"),
            ("[::ffff:10.0.0.0/104]", "10.0.0.0/8", "10.9.8.7"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8", "10.9.8.7"),
            ("::ffff:192.0.2.1", "192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.1/128", "192.0.2.1/32", "192.0.2.1"),
            ("[::ffff:192.0.2.1]", "192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.0/127", "192.0.2.0/31", "192.0.2.1"),
            ("::ffff:0:0/96", "0.0.0.0/0", "192.0.2.1"),
            ("::ffff:128.0.0.0/97", "128.0.0.0/1", "192.0.2.1"),
            ("::/0", "::/0", "2001:db8::1"),
            ("::/96", "::/96", "::2"),
            ("::10.0.0.0/104", "::a00:0/104", "::10.1.2.3"),
            ("[2001:db8::]/32", "2001:db8::/32", "2001:db8::1"),
            ("[::1]", "::1/128", "::1"),
            ("10.0.0.0/8", "10.0.0.0/8", "::ffff:10.9.8.7"),
        ] {
            assert_eq!(network(text).as_deref(), Ok(expected), "{text}");
            let networks = [expected.parse().unwrap()];
            let client = client.parse().unwrap();
            assert!(network_of(&networks, Some(client)).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in ["::/1", "::/64", "::/80", "::ffff:0:0/95", "::fffe:0:0/95"] {
            assert_eq!(network(text), Err(NetworkError::AroundIpv4), "{text}");
        }
        for text in [
            "",
            "[",
            "[]",
            "[::1",
            "::1]",
            "a[::1]",
            "10.0.0.0/33",
            "::/129",
            "10.0.0",
            "[[::1]]",
            "::ffff:10.0.0.0/-1",
            "host.example",
        ] {
            assert_eq!(network(text), Err(NetworkError::NotANetwork), "{text}");
        }
    }

    #[test]
    fn what_remains_of_a_network() {
        for (of, others, expected) in [
            ("10.0.0.0/8", "", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.0.0.0/8", ""),
            ("10.20.0.0/16", "10.0.0.0/8", ""),
            ("10.0.0.0/8", "192.0.2.0/24 ::/0", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.0.0.0/9 10.128.0.0/9", ""),
            ("10.0.0.0/8", "10.0.0.0/10", "10.64.0.0/10 10.128.0.0/9"),
            ("192.0.2.0/31", "192.0.2.1/32", "192.0.2.0/32"),
            ("::/0", "0.0.0.0/0", "::/0"),
            ("2001:db8::/32", "2001:db8:8000::/33", "2001:db8::/33"),
        ] {
            let others: Vec<IpNet> = others
                .split(' ')
                .filter_map(|one| one.parse().ok())
                .collect();
            let left = remainder(of.parse().unwrap(), &others);
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            assert_eq!(left.join(" "), expected, "{of} without {others:?}");
        }
    }
}
