//! The signers whose mail the keeper counts: `[keeper] signers`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use super::{
    problem::Fault,
    section::{Section, socket_path, text},
    source::{Node, Value},
};
use crate::names::DomainName;

/// Whom the keeper asks how much mail was not signed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Signers {
    /// The one of this host, at `[http] listen`.
    #[default]
    ThisHost,
    /// These; nobody if there are none.
    Listed(Vec<SignerAddress>),
}

/// Where a signer serves its pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignerAddress {
    /// `http://HOST:PORT`.
    Http {
        /// A name, or an address without brackets.
        host: String,
        /// 80 if none is written.
        port: u16,
    },
    /// `unix:/PATH`.
    Unix(PathBuf),
}

/// In the form of `zegel.toml`.
impl fmt::Display for Signers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThisHost => formatter.write_str("http.listen"),
            Self::Listed(signers) if signers.is_empty() => formatter.write_str("off"),
            Self::Listed(signers) => {
                let signers: Vec<String> = signers.iter().map(SignerAddress::to_string).collect();
                formatter.write_str(&signers.join(" "))
            }
        }
    }
}

/// In the form of `zegel.toml`.
impl fmt::Display for SignerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port } if host.contains(':') => {
                write!(formatter, "http://[{host}]:{port}")
            }
            Self::Http { host, port } => write!(formatter, "http://{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Reads `signers`: a list, or `"off"`.
pub(super) fn read_signers(section: &mut Section<'_>) -> Signers {
    let Some(node) = section.take("signers") else {
        return Signers::ThisHost;
    };
    if matches!(&node.value, Value::Text(text) | Value::Environment(text) if text == "off") {
        return Signers::Listed(Vec::new());
    }
    let list = section.list_in(node, signer_address);
    list.map_or(Signers::ThisHost, |list| {
        Signers::Listed(list.into_values())
    })
}

fn signer_address(node: &Node) -> Result<SignerAddress, Fault> {
    let text = text(node)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(SignerAddress::Unix);
    }
    http_address(text).ok_or_else(|| {
        Fault::new(
            "this is no address of a signer's pages",
            "write http://127.0.0.1:9465, http://relay2.example:9465 or \
             unix:/run/zegel/http.sock",
        )
    })
}

fn http_address(text: &str) -> Option<SignerAddress> {
    let authority = text.strip_prefix("http://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let _: Ipv6Addr = host.parse().ok()?;
        (host, port)
    } else {
        let colon = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at(colon);
        let is_name = host == "localhost" || host.parse::<DomainName>().is_ok();
        let is_address = host.parse::<Ipv4Addr>().is_ok();
        (is_name || is_address).then_some((host, port))?
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => 80,
        None => return None,
    };
    let host = host.to_owned();
    Some(SignerAddress::Http { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for (text, expected) in [
            ("http://127.0.0.1:9465", Some("http://127.0.0.1:9465")),
            ("http://[::1]:9465/", Some("http://[::1]:9465")),
            ("http://localhost:9465", Some("http://localhost:9465")),
            ("http://relay2.example", Some("http://relay2.example:80")),
            ("https://relay2.example", None),
            ("http://relay2.example:0", None),
            ("http://relay2.example:9465/status.json", None),
            ("http://[127.0.0.1]:1", None),
            ("http://a b", None),
            ("127.0.0.1:9465", None),
            ("", None),
        ] {
            let read = http_address(text).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
