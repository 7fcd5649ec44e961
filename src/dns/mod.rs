//! The DNS, as far as a resolver shows it. The one place that knows hickory.

use std::{net::SocketAddr, time::Duration};

use mail_auth::hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData},
    system_conf::read_system_conf,
};

use crate::config::Resolvers;

/// How long one question to one server may take.
const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DnsError {
    /// The name exists, and has no record of this type.
    #[error("the name has no such record")]
    NoRecord,
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName,
    /// Nobody knows: no server could be reached, or none would answer.
    #[error("the DNS gives no answer for now: {0}")]
    Temporary(String),
    /// There is no resolver that could be asked.
    #[error("no resolver can be used: {0}")]
    NoResolver(String),
}

/// Asks recursive resolvers. Must be used within a tokio runtime.
#[derive(Clone)]
pub struct Resolver(TokioResolver);

impl Resolver {
    /// Those that the configuration names.
    ///
    /// # Errors
    ///
    /// As [`Resolver::system`].
    pub fn new(resolvers: &Resolvers) -> Result<Self, DnsError> {
        match resolvers {
            Resolvers::System => Self::system(),
            Resolvers::Addresses(addresses) => Self::addresses(addresses),
        }
    }

    /// Those of `/etc/resolv.conf`.
    ///
    /// # Errors
    ///
    /// When that file cannot be used.
    pub fn system() -> Result<Self, DnsError> {
        let (config, _) = read_system_conf()
            .map_err(|error| DnsError::NoResolver(format!("/etc/resolv.conf: {error}")))?;
        Self::build(config)
    }

    /// These, by UDP and TCP.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn addresses(addresses: &[SocketAddr]) -> Result<Self, DnsError> {
        let server = |address: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let servers = addresses.iter().map(server).collect();
        Self::build(ResolverConfig::from_parts(None, Vec::new(), servers))
    }

    fn build(config: ResolverConfig) -> Result<Self, DnsError> {
        if config.name_servers().is_empty() {
            return Err(DnsError::NoResolver("none is named".to_owned()));
        }
        let mut options = ResolverOpts::default();
        options.timeout = TIMEOUT;
        options.attempts = ATTEMPTS;
        options.edns0 = true;
        options.try_tcp_on_error = true;
        options.use_hosts_file = ResolveHosts::Never;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map(Self)
            .map_err(|error| DnsError::NoResolver(error.to_string()))
    }

    /// The TXT records of a name, each with its strings joined (RFC 6376 §3.6.2.2). What is
    /// not UTF-8 comes as U+FFFD. Never empty.
    ///
    /// # Errors
    ///
    /// When there is none, or nobody knows.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        // What is no name, or too long for one, cannot exist.
        let mut name = Name::from_ascii(name).map_err(|_| DnsError::NoSuchName)?;
        // No search list: the name is whole.
        name.set_fqdn(true);
        let lookup = self.0.txt_lookup(name).await.map_err(|error| why(&error))?;
        let texts: Vec<String> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(text) => Some(text.txt_data.concat()),
                _ => None,
            })
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .collect();
        if texts.is_empty() {
            return Err(DnsError::NoRecord);
        }
        Ok(texts)
    }
}

fn why(error: &NetError) -> DnsError {
    if error.is_nx_domain() {
        DnsError::NoSuchName
    } else if error.is_no_records_found() {
        DnsError::NoRecord
    } else {
        DnsError::Temporary(error.to_string())
    }
}
