//! Which zone a name is in, and where that zone is served.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mail_auth::hickory_resolver::proto::{
    op::Message,
    rr::{Name, RData, RecordType},
};
use tokio::sync::OnceCell;

use super::{
    exchange::{Party, Question},
    resolver::{DnsError, Resolver, written},
};

/// Where authoritative servers listen.
pub(super) const PORT: u16 = 53;
/// More than any sound zone has; what is beyond is not asked, and nothing is concluded.
const MOST_SERVERS: usize = 32;
const MOST_ADDRESSES: usize = 16;

/// A zone, and where it is served.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) apex: Name,
    pub(super) negative_ttl: Duration,
    pub(super) servers: Vec<Server>,
}

impl Zone {
    /// All addresses of all servers that are known.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        addresses(&self.servers)
    }
}

fn addresses(servers: &[Server]) -> impl Iterator<Item = SocketAddr> {
    let all = servers
        .iter()
        .flat_map(|server| server.addresses.iter().flatten());
    all.map(|address| SocketAddr::new(*address, PORT))
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) addresses: Addresses,
}

/// The addresses of a name server; empty when it surely has none. Resolvers that fail are
/// an error: an address may be hidden behind it.
pub(super) type Addresses = Result<Vec<IpAddr>, DnsError>;

/// Finds zones, and remembers each for its own life: one round of checks.
#[derive(Debug)]
pub(super) struct Discovery {
    resolver: Resolver,
    apexes: Memory<Name, Result<Option<Name>, DnsError>>,
    zones: Memory<Name, Result<Arc<Zone>, DnsError>>,
    hosts: Memory<Name, Addresses>,
}

impl Discovery {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            apexes: Memory::default(),
            zones: Memory::default(),
            hosts: Memory::default(),
        }
    }

    /// The zone that holds the records of this name.
    ///
    /// Resolvers fail for an alias that leads nowhere as for a zone that is broken. Above the
    /// first the zone is found; above the second only a parent, which the zone is delegated
    /// from.
    pub(super) async fn zone_of(&self, name: &Name) -> Result<Arc<Zone>, DnsError> {
        let mut candidate = name.clone();
        let mut failure = None;
        loop {
            let cell = self.apexes.cell(&candidate);
            let apex = cell.get_or_init(|| self.apex_by_soa(&candidate)).await;
            match apex.clone() {
                Ok(Some(apex)) => {
                    let zone = self.zones.cell(&apex);
                    let zone = zone.get_or_init(|| self.zone_at(&apex)).await.clone()?;
                    return match failure {
                        Some(failure) if !self.holds(&zone, name).await => Err(failure),
                        _ => Ok(zone),
                    };
                }
                Ok(None) => {}
                Err(error @ DnsError::Failure(_)) => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
            if candidate.is_root() {
                let text = format!("no zone holds {}", written(name));
                return Err(failure.unwrap_or(DnsError::Temporary(text)));
            }
            candidate = candidate.base_name();
        }
    }

    /// Whether one of its servers answers for the name by itself.
    async fn holds(&self, zone: &Zone, name: &Name) -> bool {
        let question = Question::new(name, RecordType::TXT, Party::Authority);
        for address in zone.addresses() {
            let answer = self.resolver.asker.ask(address, &question).await;
            if answer.is_ok_and(|answer| answer.metadata.authoritative) {
                return true;
            }
        }
        false
    }

    /// The apex above or at this name, when the answer to a question for its SOA shows it.
    async fn apex_by_soa(&self, name: &Name) -> Result<Option<Name>, DnsError> {
        let answer = self.ask(name, RecordType::SOA).await?;
        let is_soa = |data: &RData| matches!(data, RData::SOA(_));
        let mut own = answer.answers.iter();
        if own.any(|record| is_soa(&record.data) && record.name == *name) {
            return Ok(Some(name.to_lowercase()));
        }
        // Behind an alias, what follows speaks of another name.
        if !answer.answers.is_empty() {
            return Ok(None);
        }
        Ok(answer
            .authorities
            .iter()
            .find(|record| is_soa(&record.data) && record.name.zone_of(name))
            .map(|record| record.name.to_lowercase()))
    }

    async fn zone_at(&self, apex: &Name) -> Result<Arc<Zone>, DnsError> {
        let answer = self.ask(apex, RecordType::NS).await?;
        let mut hosts: Vec<Name> = answer
            .answers
            .iter()
            .filter(|record| record.name == *apex)
            .filter_map(|record| match &record.data {
                RData::NS(host) => Some(host.0.to_lowercase()),
                _ => None,
            })
            .collect();
        hosts.sort();
        hosts.dedup();
        if hosts.is_empty() || hosts.len() > MOST_SERVERS {
            let count = hosts.len();
            let text = format!("the zone {} has {count} name servers", written(apex));
            return Err(DnsError::Temporary(text));
        }
        let mut servers = Vec::new();
        for host in &hosts {
            let cell = self.hosts.cell(host);
            let addresses = cell.get_or_init(|| self.addresses_of(host)).await.clone();
            let host = written(host);
            servers.push(Server { host, addresses });
        }
        let negative_ttl = self.negative_ttl(apex, &servers).await?;
        Ok(Arc::new(Zone {
            apex: apex.clone(),
            negative_ttl,
            servers,
        }))
    }

    async fn addresses_of(&self, host: &Name) -> Addresses {
        let (four, six) = tokio::join!(
            self.ask(host, RecordType::A),
            self.ask(host, RecordType::AAAA)
        );
        let mut addresses = Vec::new();
        for answer in [four?, six?] {
            addresses.extend(
                answer
                    .answers
                    .iter()
                    .filter_map(|record| record.data.ip_addr()),
            );
        }
        if addresses.len() > MOST_ADDRESSES {
            let count = addresses.len();
            let text = format!("{} has {count} addresses", written(host));
            return Err(DnsError::Temporary(text));
        }
        Ok(addresses)
    }

    /// From an authoritative server, since a resolver counts the TTL down; the resolver's
    /// word only where none answers.
    async fn negative_ttl(&self, apex: &Name, servers: &[Server]) -> Result<Duration, DnsError> {
        let question = Question::new(apex, RecordType::SOA, Party::Authority);
        for address in addresses(servers) {
            let answer = self.resolver.asker.ask(address, &question).await;
            let kept = answer.ok().and_then(|answer| negative_ttl(&answer, apex));
            if let Some(kept) = kept {
                return Ok(kept);
            }
        }
        let answer = self.ask(apex, RecordType::SOA).await?;
        let none = || DnsError::Temporary(format!("the zone {} shows no SOA", written(apex)));
        negative_ttl(&answer, apex).ok_or_else(none)
    }

    /// What verifiers may find untrustworthy is still where the servers are.
    async fn ask(&self, name: &Name, record_type: RecordType) -> Result<Message, DnsError> {
        let party = Party::ResolverUnvalidated;
        self.resolver.ask(name, record_type, party).await
    }
}

/// RFC 2308 §5: the lesser of the SOA's own TTL and its last field.
fn negative_ttl(answer: &Message, apex: &Name) -> Option<Duration> {
    answer
        .answers
        .iter()
        .filter(|record| record.name == *apex)
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(Duration::from_secs(record.ttl.min(soa.minimum).into())),
            _ => None,
        })
}

/// What was found out once; those who ask for the same at the same time wait for the first.
#[derive(Debug)]
struct Memory<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    fn cell(&self, key: &K) -> Arc<OnceCell<V>> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cells.entry(key.clone()).or_default())
    }
}
