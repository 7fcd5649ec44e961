//! Which zone a name is in, and where that zone is served: by the servers that it names itself,
//! and by those that its parent delegates to (RFC 1034 §4.2.2: they should be the same).

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use mail_auth::hickory_resolver::proto::{
    op::Message,
    rr::{Name, RData, RecordType},
};
use tokio::{sync::Mutex as AsyncMutex, time::timeout};

use super::{
    delegation::{Delegated, Delegation, Word, word_of_parent},
    exchange::{Party, Question, first},
    resolver::{DnsError, Resolver, written},
};

/// Where authoritative servers listen.
pub(super) const PORT: u16 = 53;
/// More than any sound zone has; what is beyond is not asked, and nothing is concluded.
const MOST_SERVERS: usize = 32;
const MOST_ADDRESSES: usize = 16;
/// How long someone else may take to find out the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// A zone, and where it is served.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) apex: Name,
    pub(super) negative_ttl: Duration,
    pub(super) delegation: Delegation,
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

/// Finds zones, and remembers each for its own life. Everyone asks with what they may spend
/// themselves.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    apexes: Memory<Name, Option<Name>>,
    served: Memory<Name, Arc<Vec<(Name, Server)>>>,
    zones: Memory<Name, Arc<Zone>>,
    hosts: Memory<Name, Vec<IpAddr>>,
}

impl Discovery {
    /// The zone that holds the records of this name.
    ///
    /// Resolvers fail for an alias that leads nowhere as for a zone that is broken. Above the
    /// first the zone is found; above the second only a parent, which the zone is delegated
    /// from.
    pub(super) async fn zone_of(
        &self,
        resolver: &Resolver,
        name: &Name,
    ) -> Result<Arc<Zone>, DnsError> {
        let (apex, failure) = self.apex_of(resolver, name).await?;
        if let Some(budget) = &resolver.asker.budget {
            budget.is_for(format!("the zone {}", written(&apex)));
        }
        let finding = || self.zone_at(resolver, &apex);
        let zone = self.zones.get(resolver, &apex, finding).await?;
        match failure {
            Some(failure) if !holds(resolver, &zone, name).await => Err(failure),
            _ => Ok(zone),
        }
    }

    /// The apex above or at a name, and why something between the two could not be asked for.
    async fn apex_of(
        &self,
        resolver: &Resolver,
        name: &Name,
    ) -> Result<(Name, Option<DnsError>), DnsError> {
        let mut candidate = name.clone();
        let mut failure = None;
        loop {
            let finding = || apex_by_soa(resolver, &candidate);
            match self.apexes.get(resolver, &candidate, finding).await {
                Ok(Some(apex)) => return Ok((apex, failure)),
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

    async fn zone_at(&self, resolver: &Resolver, apex: &Name) -> Result<Arc<Zone>, DnsError> {
        let own = self.servers_of(resolver, apex).await?;
        let (negative_ttl, parent) = tokio::join!(
            negative_ttl_of(resolver, apex, &own),
            self.parent_of(resolver, apex)
        );
        let names: BTreeSet<Name> = own.iter().map(|(host, _)| host.clone()).collect();
        let mut servers: Vec<Server> = own.iter().map(|(_, server)| server.clone()).collect();
        let mut delegation = Delegation::Agrees;
        match parent {
            Ok(Some(parent)) => {
                servers = self.both(resolver, servers, &names, &parent).await?;
                delegation = parent.compared_with(&names);
            }
            Ok(None) => {}
            Err(error @ DnsError::OverBudget(_)) => return Err(error),
            Err(error) => delegation = Delegation::Unknown(error.to_string()),
        }
        Ok(Arc::new(Zone {
            apex: apex.clone(),
            negative_ttl: negative_ttl?,
            delegation,
            servers,
        }))
    }

    /// The servers that the zone names itself, and those that its parent names.
    async fn both(
        &self,
        resolver: &Resolver,
        mut servers: Vec<Server>,
        own: &BTreeSet<Name>,
        parent: &Delegated,
    ) -> Result<Vec<Server>, DnsError> {
        let more: Vec<Name> = parent.hosts.difference(own).cloned().collect();
        if own.len() + more.len() > MOST_SERVERS {
            return Err(too_many(parent.zone(), own.len() + more.len()));
        }
        let more = self.with_addresses(resolver, more).await?;
        servers.extend(more.into_iter().map(|(_, server)| server));
        // Resolvers go by the glue, whatever the zone says.
        for server in &mut servers {
            let glue = parent.glue_of(&server.host);
            if let Ok(addresses) = &mut server.addresses {
                let new = glue.filter(|address| !addresses.contains(address));
                let new: Vec<IpAddr> = new.collect();
                addresses.extend(new);
            } else {
                let glue: Vec<IpAddr> = glue.collect();
                if !glue.is_empty() {
                    server.addresses = Ok(glue);
                }
            }
        }
        Ok(servers)
    }

    /// What the parent's servers say of who serves the zone; none for the root, and where that
    /// cannot be seen: the parent's servers serve the zone too, or do not know it (a zone that
    /// only the own network has).
    async fn parent_of(
        &self,
        resolver: &Resolver,
        apex: &Name,
    ) -> Result<Option<Delegated>, DnsError> {
        if apex.is_root() {
            return Ok(None);
        }
        let (parent, _) = self.apex_of(resolver, &apex.base_name()).await?;
        let servers = self.servers_of(resolver, &parent).await?;
        let servers: Vec<Server> = servers.iter().map(|(_, server)| server.clone()).collect();
        let question = Question::new(apex, RecordType::NS, Party::Authority);
        let asker = &resolver.asker;
        let take = |answer: Message| word_of_parent(&answer, apex);
        let said = first(asker, addresses(&servers), &question, take).await?;
        let silent = || {
            let text = format!("no server of {} tells who serves it", written(&parent));
            DnsError::Temporary(text)
        };
        match said.ok_or_else(silent)? {
            Word::NoDelegation => Ok(None),
            Word::Referral(delegated) => Ok(Some(delegated)),
        }
    }

    /// The servers that the zone names itself, as resolvers see it.
    async fn servers_of(
        &self,
        resolver: &Resolver,
        apex: &Name,
    ) -> Result<Arc<Vec<(Name, Server)>>, DnsError> {
        let finding = async || {
            let answer = ask(resolver, apex, RecordType::NS).await?;
            let records = answer.answers.iter();
            let hosts: BTreeSet<Name> = records
                .filter(|record| record.name == *apex)
                .filter_map(|record| match &record.data {
                    RData::NS(host) => Some(host.0.to_lowercase()),
                    _ => None,
                })
                .collect();
            if hosts.is_empty() || hosts.len() > MOST_SERVERS {
                return Err(too_many(apex, hosts.len()));
            }
            let hosts = hosts.into_iter().collect();
            self.with_addresses(resolver, hosts).await.map(Arc::new)
        };
        self.served.get(resolver, apex, finding).await
    }

    async fn with_addresses(
        &self,
        resolver: &Resolver,
        hosts: Vec<Name>,
    ) -> Result<Vec<(Name, Server)>, DnsError> {
        let servers = hosts.into_iter().map(async |host| {
            let finding = || addresses_of(resolver, &host);
            let addresses = self.hosts.get(resolver, &host, finding).await;
            if let Err(error @ DnsError::OverBudget(_)) = addresses {
                return Err(error);
            }
            let server = Server {
                host: written(&host),
                addresses,
            };
            Ok((host, server))
        });
        join_all(servers).await.into_iter().collect()
    }
}

fn too_many(apex: &Name, count: usize) -> DnsError {
    let text = format!("the zone {} has {count} name servers", written(apex));
    DnsError::Temporary(text)
}

/// Whether one of its servers answers for the name by itself.
async fn holds(resolver: &Resolver, zone: &Zone, name: &Name) -> bool {
    let question = Question::new(name, RecordType::TXT, Party::Authority);
    let take = |answer: Message| answer.metadata.authoritative.then_some(());
    let taken = first(&resolver.asker, zone.addresses(), &question, take).await;
    matches!(taken, Ok(Some(())))
}

/// The apex above or at this name, when the answer to a question for its SOA shows it.
async fn apex_by_soa(resolver: &Resolver, name: &Name) -> Result<Option<Name>, DnsError> {
    let answer = ask(resolver, name, RecordType::SOA).await?;
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

async fn addresses_of(resolver: &Resolver, host: &Name) -> Addresses {
    let (four, six) = tokio::join!(
        ask(resolver, host, RecordType::A),
        ask(resolver, host, RecordType::AAAA)
    );
    let mut addresses = Vec::new();
    for answer in [four?, six?] {
        let records = answer.answers.iter();
        addresses.extend(records.filter_map(|record| record.data.ip_addr()));
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
async fn negative_ttl_of(
    resolver: &Resolver,
    apex: &Name,
    servers: &[(Name, Server)],
) -> Result<Duration, DnsError> {
    let question = Question::new(apex, RecordType::SOA, Party::Authority);
    let servers: Vec<Server> = servers.iter().map(|(_, server)| server.clone()).collect();
    let take = |answer: Message| negative_ttl(&answer, apex);
    let kept = first(&resolver.asker, addresses(&servers), &question, take).await?;
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let answer = ask(resolver, apex, RecordType::SOA).await?;
    let none = || DnsError::Temporary(format!("the zone {} shows no SOA", written(apex)));
    negative_ttl(&answer, apex).ok_or_else(none)
}

/// What verifiers may find untrustworthy is still where the servers are.
async fn ask(
    resolver: &Resolver,
    name: &Name,
    record_type: RecordType,
) -> Result<Message, DnsError> {
    let party = Party::ResolverUnvalidated;
    resolver.ask(name, record_type, party).await
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

/// What was found out once. Those who want the same at the same time wait for the first for a
/// moment, and then find out by themselves: what is slow for one is slow for nobody else.
#[derive(Debug)]
struct Memory<K, V>(Mutex<HashMap<K, Cell<V>>>);

type Cell<V> = Arc<AsyncMutex<Option<Result<V, DnsError>>>>;

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Memory<K, V> {
    async fn get<F>(
        &self,
        resolver: &Resolver,
        key: &K,
        find: impl FnOnce() -> F,
    ) -> Result<V, DnsError>
    where
        F: Future<Output = Result<V, DnsError>>,
    {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key.clone()).or_default())
        };
        let locked = resolver.asker.in_time(timeout(PATIENCE, cell.lock()));
        let Ok(mut known) = locked.await? else {
            return find().await;
        };
        if let Some(known) = &*known {
            return known.clone();
        }
        let found = find().await;
        // The next one may have more to spend.
        if !matches!(found, Err(DnsError::OverBudget(_))) {
            *known = Some(found.clone());
        }
        found
    }
}
