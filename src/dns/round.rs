//! One round of looking at the DNS: the only part that asks.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use mail_auth::hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use super::{
    budget::Budget,
    discovery::{Discovery, PORT, Zone},
    exchange::{Asker, Limits, Pace, Party, Question, Silence, first},
    observation::{Link, Observation, Outcome, ResolverAnswer, ServerAnswer, ZoneSeen},
    reach::Reach,
    resolver::{DnsError, Resolver, absolute, texts, word, written},
};
use crate::config::{KeeperSettings, Resolvers};

/// How many aliases are followed (as resolvers do; RFC 1034 §3.6.2 leaves it open).
const MOST_ALIASES: usize = 8;
/// How many of the configured resolvers are asked for a record.
const MOST_RESOLVERS: usize = 4;
/// How many questions a second the operator's own resolvers are asked.
const OF_RESOLVERS: u32 = 10_000;
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

    /// As the keeper's settings say.
    ///
    /// # Errors
    ///
    /// As [`Observer::new`].
    pub fn with_settings(settings: &KeeperSettings) -> Result<Self, DnsError> {
        Self::with_limits(settings, Limits::default())
    }

    /// One for questions that resolvers answer, of all domains at once: they are the operator's
    /// own, and keep the servers of others from being asked too often.
    ///
    /// # Errors
    ///
    /// As [`Observer::new`].
    pub fn of_resolvers(settings: &KeeperSettings) -> Result<Self, DnsError> {
        let limits = Limits {
            questions_per_second: OF_RESOLVERS,
            ..Limits::default()
        };
        Self::with_limits(settings, limits)
    }

    fn with_limits(settings: &KeeperSettings, limits: Limits) -> Result<Self, DnsError> {
        let reach = Reach {
            local: settings.local_servers,
            private: settings.private_servers,
        };
        let limits = Limits { reach, ..limits };
        Self::new(&settings.resolvers, limits)
    }

    /// Begins a round: what it finds out about zones and servers is kept until it is dropped.
    pub fn round(&self) -> Round {
        Round {
            resolver: self.resolver.clone(),
            discovery: Discovery::default(),
        }
    }
}

/// A round of checks. Several names may be observed at the same time.
#[derive(Debug)]
pub struct Round {
    resolver: Resolver,
    discovery: Discovery,
}

/// What one look at an organisation may ask, of everything together.
#[derive(Clone, Debug)]
pub struct Look {
    resolver: Resolver,
}

impl Round {
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Begins a look at so many records of an organisation, which is looked at every so often.
    pub fn look(&self, pace: Pace, records: usize, check_every: Duration) -> Look {
        let budget = Budget::of_organisation(records, check_every);
        Look {
            resolver: Resolver {
                asker: self.resolver.asker.of_look(pace, budget),
                addresses: self.resolver.addresses.clone(),
            },
        }
    }

    /// What every authoritative server and every resolver says of the TXT records of a name.
    /// What fails is part of the observation.
    pub async fn observe(&self, name: &str) -> Observation {
        let look = self.look(Pace::Quick, 1, Duration::ZERO);
        self.observe_within(&look, name).await
    }

    /// The same, within what the look may ask.
    pub async fn observe_within(&self, look: &Look, name: &str) -> Observation {
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
        let of_record = |above| Budget::of_record(&observation.name, above);
        let resolver = look.resolver.part(of_record);
        self.follow(&resolver, name.clone(), &mut observation).await;
        observation.resolvers = ask_resolvers(&resolver, &name).await;
        self.look_for_mistakes(&resolver, &name, &mut observation)
            .await;
        observation
    }

    /// Asks the servers of the name, and of every name that an answer points to.
    async fn follow(&self, resolver: &Resolver, name: Name, observation: &mut Observation) {
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            let link = self.link(resolver, &name).await;
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

    async fn link(&self, resolver: &Resolver, name: &Name) -> Link {
        let resolver = resolver.part(Budget::of_zone);
        let zone = self.discovery.zone_of(&resolver, name).await;
        // Of a zone that took too long to be found its apex is not known.
        if let Some(budget) = &resolver.asker.budget {
            budget.is_for(format!("the zone of {}", written(name)));
        }
        let answers = match &zone {
            Ok(zone) => ask_servers(&resolver, name, zone).await,
            Err(_) => Vec::new(),
        };
        let zone = zone.map(|zone| ZoneSeen {
            apex: written(&zone.apex),
            negative_ttl: zone.negative_ttl,
            delegation: zone.delegation.clone(),
        });
        Link {
            name: written(name),
            zone,
            answers,
        }
    }

    /// Where nobody has a TXT: is it there as another type, or at another name?
    async fn look_for_mistakes(
        &self,
        resolver: &Resolver,
        name: &Name,
        observation: &mut Observation,
    ) {
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
            observation.other_types = other_types(resolver, address, name).await;
        }
        if let Ok(zone) = self.discovery.zone_of(resolver, name).await {
            observation.doubled = doubled(resolver, name, &zone).await;
        }
    }
}

async fn ask_servers(resolver: &Resolver, name: &Name, zone: &Zone) -> Vec<ServerAnswer> {
    let mut answers = Vec::new();
    let mut questions = Vec::new();
    for server in &zone.servers {
        let mut note = |outcome: Outcome| {
            answers.push(ServerAnswer {
                server: server.host.clone(),
                address: None,
                outcome,
            });
        };
        match &server.addresses {
            Err(error) => note(Outcome::Failure(error.to_string())),
            Ok(addresses) if addresses.is_empty() => note(Outcome::NoAddress),
            Ok(addresses) => questions.extend(addresses.iter().map(async |address| ServerAnswer {
                server: server.host.clone(),
                address: Some(*address),
                outcome: ask_authority(&resolver.asker, *address, name).await,
            })),
        }
    }
    answers.extend(join_all(questions).await);
    answers.sort_by(|one, other| (&one.server, one.address).cmp(&(&other.server, other.address)));
    answers
}

async fn ask_resolvers(resolver: &Resolver, name: &Name) -> Vec<ResolverAnswer> {
    let question = Question::new(name, RecordType::TXT, Party::Resolver);
    let addresses = resolver.addresses.iter().take(MOST_RESOLVERS);
    let answers = addresses.map(async |address| {
        let outcome = match resolver.asker.ask(*address, &question).await {
            Ok(answer) => outcome_of_resolver(&answer),
            Err(silence) => Outcome::Silent(silence),
        };
        ResolverAnswer {
            address: *address,
            outcome,
        }
    });
    join_all(answers).await
}

async fn other_types(resolver: &Resolver, address: IpAddr, name: &Name) -> Vec<String> {
    let address = SocketAddr::new(address, PORT);
    let types = OTHER_TYPES.into_iter().map(async |record_type| {
        let question = Question::new(name, record_type, Party::Authority);
        let answer = resolver.asker.ask(address, &question).await.ok()?;
        let mut answers = answer.answers.iter();
        let is_there = |one: &Record| one.name == *name && one.record_type() == record_type;
        answers.any(is_there).then(|| match record_type {
            RecordType::Unknown(99) => "SPF".to_owned(),
            known => known.to_string(),
        })
    });
    join_all(types).await.into_iter().flatten().collect()
}

async fn doubled(resolver: &Resolver, name: &Name, zone: &Zone) -> Option<String> {
    if zone.apex.is_root() {
        return None;
    }
    let doubled = name.clone().append_domain(&zone.apex).ok()?;
    let question = Question::new(&doubled, RecordType::TXT, Party::Authority);
    let take = |answer: Message| match outcome_of_authority(&answer, &doubled) {
        Outcome::Texts { .. } | Outcome::Alias { .. } => Some(true),
        outcome => outcome.is_definite().then_some(false),
    };
    let found = first(&resolver.asker, zone.addresses(), &question, take).await;
    matches!(found, Ok(Some(true))).then(|| written(&doubled))
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

async fn ask_authority(asker: &Asker, address: IpAddr, name: &Name) -> Outcome {
    let question = Question::new(name, RecordType::TXT, Party::Authority);
    match asker.ask(SocketAddr::new(address, PORT), &question).await {
        Ok(answer) => outcome_of_authority(&answer, &question.name),
        Err(Silence::Garbled) => Outcome::Failure("no DNS message".to_owned()),
        Err(silence) => Outcome::Silent(silence),
    }
}

fn outcome_of_authority(answer: &Message, name: &Name) -> Outcome {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::Refused => return Outcome::Refused,
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

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}
