//! Who was asked for a record, and what each said. Values only: they can be written down in
//! a test, and judged without a network.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    delegation::Delegation,
    exchange::Silence,
    resolver::{DnsError, Text},
};

/// What the DNS showed of the TXT records of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observation {
    /// The name, in lower case and without a dot at the end.
    pub name: String,
    /// The name itself, and then every name that an alias led to, each once.
    pub links: Vec<Link>,
    /// Aliases led in a circle, or further than is followed.
    pub endless: bool,
    /// What the configured resolvers say.
    pub resolvers: Vec<ResolverAnswer>,
    /// Where there is no TXT: the types of the records that are there instead.
    pub other_types: Vec<String>,
    /// The name with the zone once more behind it, where a record is at that name and none
    /// at the right one: somebody's panel adds the zone by itself.
    pub doubled: Option<String>,
}

/// One name and what its servers say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Written as [`Observation::name`].
    pub name: String,
    /// The zone that it is in, or why that could not be found.
    pub zone: Result<ZoneSeen, DnsError>,
    /// One for each address of each server; none without a zone.
    pub answers: Vec<ServerAnswer>,
}

/// A zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneSeen {
    /// Its name; `.` for the root.
    pub apex: String,
    /// How long resolvers may keep that a name is not there (RFC 2308 §5).
    pub negative_ttl: Duration,
    /// Whether its parent names the same servers.
    pub delegation: Delegation,
}

/// What one authoritative server said at one address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerAnswer {
    /// The name of the server, as in the NS record.
    pub server: String,
    /// Nothing when none could be found.
    pub address: Option<IpAddr>,
    /// What it said.
    pub outcome: Outcome,
}

/// What one resolver said. Never an alias: resolvers follow them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolverAnswer {
    /// Its address.
    pub address: SocketAddr,
    /// What it said.
    pub outcome: Outcome,
}

/// An answer, or why there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// TXT records, at least one.
    Texts {
        /// In the order of the answer.
        texts: Vec<Text>,
        /// How long they may be kept.
        ttl: Duration,
    },
    /// A CNAME, or a DNAME above the name (RFC 6672).
    Alias {
        /// Where it leads, written as [`Observation::name`].
        target: String,
        /// How long it may be kept.
        ttl: Duration,
    },
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists, and has no TXT.
    NoText,
    /// The server would not or could not: `SERVFAIL`, …
    Failure(String),
    /// A server that is named in the NS records would not: `REFUSED`, as for a zone that it does
    /// not serve.
    Refused,
    /// The server is named in the NS records, and does not serve the zone.
    NotAuthoritative,
    /// The server's name has no address: nobody can ask it.
    NoAddress,
    /// No answer.
    Silent(Silence),
}

impl Outcome {
    /// Whether the server said what it has, be it nothing.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Texts { .. } | Self::Alias { .. } | Self::NoSuchName | Self::NoText => true,
            Self::Failure(_)
            | Self::Refused
            | Self::NotAuthoritative
            | Self::NoAddress
            | Self::Silent(_) => false,
        }
    }
}

impl Observation {
    /// The link of this name, if it was followed.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}
