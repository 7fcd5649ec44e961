//! One round of looking at the DNS: the only part that asks.

use std::net::{IpAddr, SocketAddr};

use mail_auth::hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::task::JoinSet;

use super::{
    discovery::{Discovery, PORT, Zone},
    exchange::{Asker, Limits, Party, Question, Silence},
    observation::{Link, Observation, Outcome, ResolverAnswer, ServerAnswer, ZoneSeen},
    resolver::{DnsError, Resolver, absolute, texts, word, written},
};
use crate::config::Resolvers;

/// How many aliases are followed (as resolvers do; RFC 1034 §3.6.2 leaves it open).
const MOST_ALIASES: usize = 8;
/// How many of the configured resolvers are asked for a record.
const MOST_RESOLVERS: usize = 4;
/// What people make instead of a TXT: addresses, mail servers, the SPF type of old.
const OTHER_TYPES: [RecordType; 5] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::MX,
    RecordType::PTR,
    RecordType::Unknown(99),
];

/// Looks at the DNS, within its limits for as long as it lives.
#[derive(Clone, Debug)]
pub struct Observer {
    resolver: Resolver,
}

impl Observer {
    /// Starts every search at these resolvers.
    ///
    /// # Errors
    ///
    /// When `/etc/resolv.conf` is asked for and cannot be used, or no resolver is named.
    pub fn new(resolvers: &Resolvers, limits: Limits) -> Result<Self, DnsError> {
        Resolver::with_limits(resolvers, limits).map(|resolver| Self { resolver })
    }

    /// Begins a round: what it finds out about zones and servers is kept until it is dropped.
    pub fn round(&self) -> Round {
        Round {
            resolver: self.resolver.clone(),
            discovery: Discovery::new(self.resolver.clone()),
        }
    }
}

/// A round of checks. Several names may be observed at the same time.
#[derive(Debug)]
pub struct Round {
    resolver: Resolver,
    discovery: Discovery,
}

impl Round {
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// What every authoritative server and every resolver says of the TXT records of a name.
    /// What fails is part of the observation.
    pub async fn observe(&self, name: &str) -> Observation {
        let mut observation = Observation {
            name: name.trim_end_matches('.').to_ascii_lowercase(),
            links: Vec::new(),
            endless: false,
            resolvers: Vec::new(),
            other_types: Vec::new(),
            doubled: None,
        };
        let Some(name) = absolute(name) else {
            observation.links.push(Link {
                name: observation.name.clone(),
                zone: Err(DnsError::NoSuchName),
                answers: Vec::new(),
            });
            return observation;
        };
        self.follow(name.clone(), &mut observation).await;
        observation.resolvers = self.ask_resolvers(&name).await;
        self.look_for_mistakes(&name, &mut observation).await;
        observation
    }

    /// Asks the servers of the name, and of every name that an answer points to.
    async fn follow(&self, name: Name, observation: &mut Observation) {
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            let link = self.link(&name).await;
            for answer in &link.answers {
                let Outcome::Alias { target, .. } = &answer.outcome else {
                    continue;
                };
                let Some(next) = absolute(target) else {
                    continue;
                };
                if !waiting.contains(&next) && *target != link.name {
                    waiting.push(next);
                }
            }
            observation.links.push(link);
            waiting.retain(|next| observation.link(&written(next)).is_none());
            if observation.links.len() > MOST_ALIASES && !waiting.is_empty() {
                observation.endless = true;
                return;
            }
        }
        observation.endless = has_circle(&observation.links);
    }

    async fn link(&self, name: &Name) -> Link {
        let zone = self.discovery.zone_of(name).await;
        let answers = match &zone {
            Ok(zone) => self.ask_servers(name, zone).await,
            Err(_) => Vec::new(),
        };
        let zone = zone.map(|zone| ZoneSeen {
            apex: written(&zone.apex),
            negative_ttl: zone.negative_ttl,
        });
        Link {
            name: written(name),
            zone,
            answers,
        }
    }

    async fn ask_servers(&self, name: &Name, zone: &Zone) -> Vec<ServerAnswer> {
        let mut answers = Vec::new();
        let mut questions = JoinSet::new();
        for server in &zone.servers {
            let mut note = |address: Option<IpAddr>, outcome: Outcome| {
                answers.push(ServerAnswer {
                    server: server.host.clone(),
                    address,
                    outcome,
                });
            };
            match &server.addresses {
                Err(error) => note(None, Outcome::Failure(error.to_string())),
                Ok(addresses) if addresses.is_empty() => note(None, Outcome::NoAddress),
                Ok(addresses) => {
                    for address in addresses {
                        let asker = self.resolver.asker.clone();
                        let (host, address) = (server.host.clone(), *address);
                        let name = name.clone();
                        questions.spawn(async move {
                            let outcome = ask_authority(&asker, address, name).await;
                            let address = Some(address);
                            ServerAnswer {
                                server: host,
                                address,
                                outcome,
                            }
                        });
                    }
                }
            }
        }
        answers.extend(questions.join_all().await);
        answers
            .sort_by(|one, other| (&one.server, one.address).cmp(&(&other.server, other.address)));
        answers
    }

    async fn ask_resolvers(&self, name: &Name) -> Vec<ResolverAnswer> {
        let question = Question::new(name, RecordType::TXT, Party::Resolver);
        let mut answers = Vec::new();
        for address in self.resolver.addresses.iter().take(MOST_RESOLVERS) {
            let outcome = match self.resolver.asker.ask(*address, &question).await {
                Ok(answer) => outcome_of_resolver(&answer),
                Err(silence) => Outcome::Silent(silence),
            };
            let address = *address;
            answers.push(ResolverAnswer { address, outcome });
        }
        answers
    }

    /// Where nobody has a TXT: is it there as another type, or at another name?
    async fn look_for_mistakes(&self, name: &Name, observation: &mut Observation) {
        let mut definite = observation
            .links
            .iter()
            .flat_map(|link| &link.answers)
            .filter(|answer| answer.outcome.is_definite());
        let is_empty =
            |answer: &ServerAnswer| matches!(answer.outcome, Outcome::NoSuchName | Outcome::NoText);
        if definite.clone().next().is_none() || !definite.all(is_empty) {
            return;
        }
        let without_text = observation.links[0].answers.iter();
        let exists = without_text
            .filter(|answer| answer.outcome == Outcome::NoText)
            .find_map(|answer| answer.address);
        if let Some(address) = exists {
            observation.other_types = self.other_types(address, name).await;
        }
        if let Ok(zone) = self.discovery.zone_of(name).await {
            observation.doubled = self.doubled(name, &zone).await;
        }
    }

    async fn other_types(&self, address: IpAddr, name: &Name) -> Vec<String> {
        let mut found = Vec::new();
        for record_type in OTHER_TYPES {
            let question = Question::new(name, record_type, Party::Authority);
            let address = SocketAddr::new(address, PORT);
            let answer = self.resolver.asker.ask(address, &question).await;
            let Ok(answer) = answer else { continue };
            let mut answers = answer.answers.iter();
            if answers.any(|record| record.name == *name && record.record_type() == record_type) {
                found.push(match record_type {
                    RecordType::Unknown(99) => "SPF".to_owned(),
                    known => known.to_string(),
                });
            }
        }
        found
    }

    async fn doubled(&self, name: &Name, zone: &Zone) -> Option<String> {
        if zone.apex.is_root() {
            return None;
        }
        let doubled = name.clone().append_domain(&zone.apex).ok()?;
        for address in zone.addresses() {
            match ask_authority(&self.resolver.asker, address.ip(), doubled.clone()).await {
                Outcome::Texts { .. } | Outcome::Alias { .. } => return Some(written(&doubled)),
                outcome if outcome.is_definite() => return None,
                _ => {}
            }
        }
        None
    }
}

/// Whether an alias leads back to where it came from, by any way.
fn has_circle(links: &[Link]) -> bool {
    let targets = |name: &str| -> Vec<String> {
        let link = links.iter().filter(|link| link.name == name);
        link.flat_map(|link| &link.answers)
            .filter_map(|answer| match &answer.outcome {
                Outcome::Alias { target, .. } => Some(target.clone()),
                _ => None,
            })
            .collect()
    };
    links.iter().any(|link| {
        let mut reached = targets(&link.name);
        let mut next = 0;
        while next < reached.len() {
            for target in targets(&reached[next]) {
                if !reached.contains(&target) {
                    reached.push(target);
                }
            }
            next += 1;
        }
        reached.contains(&link.name)
    })
}

async fn ask_authority(asker: &Asker, address: IpAddr, name: Name) -> Outcome {
    let question = Question::new(&name, RecordType::TXT, Party::Authority);
    match asker.ask(SocketAddr::new(address, PORT), &question).await {
        Ok(answer) => outcome_of_authority(&answer, &question.name),
        Err(Silence::Garbled) => Outcome::Failure("no DNS message".to_owned()),
        Err(silence) => Outcome::Silent(silence),
    }
}

fn outcome_of_authority(answer: &Message, name: &Name) -> Outcome {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Outcome::Failure(word(code)),
    }
    if !answer.metadata.authoritative {
        return Outcome::NotAuthoritative;
    }
    // First: a server that also has the target's zone adds its records, which are asked for
    // where they belong.
    if let Some(alias) = alias(answer, name) {
        return alias;
    }
    found(answer, |owner| owner == name)
}

fn outcome_of_resolver(answer: &Message) -> Outcome {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => found(answer, |_| true),
        code => Outcome::Failure(word(code)),
    }
}

fn found(answer: &Message, wanted: impl Fn(&Name) -> bool) -> Outcome {
    let texts = texts(answer, wanted);
    if !texts.is_empty() {
        let ttl = answer
            .answers
            .iter()
            .map(|record| record.ttl)
            .max()
            .unwrap_or_default();
        return Outcome::Texts {
            texts,
            ttl: seconds(ttl),
        };
    }
    match answer.metadata.response_code {
        ResponseCode::NXDomain => Outcome::NoSuchName,
        _ => Outcome::NoText,
    }
}

/// The CNAME of the name, with the TTL of the DNAME if it was made from one: servers always
/// add that CNAME (RFC 6672 §3.1).
fn alias(answer: &Message, name: &Name) -> Option<Outcome> {
    let (mut target, mut ttl) = (None, 0);
    for record in &answer.answers {
        match &record.data {
            RData::CNAME(alias) if record.name == *name => target = Some(alias.0.clone()),
            // hickory has no type of its own for DNAME.
            data if data.record_type() == RecordType::DNAME && record.name.zone_of(name) => {}
            _ => continue,
        }
        ttl = ttl.max(record.ttl);
    }
    target.map(|target| Outcome::Alias {
        target: written(&target),
        ttl: seconds(ttl),
    })
}

fn seconds(ttl: u32) -> std::time::Duration {
    std::time::Duration::from_secs(ttl.into())
}
