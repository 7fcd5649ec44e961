//! The resolvers that are configured: where every search begins.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mail_auth::hickory_resolver::{
    proto::{
        op::{Message, ResponseCode},
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};

use super::{
    budget::{Budget, Excess},
    exchange::{Asker, Limits, Party, Question, Silence},
};
use crate::config::Resolvers;

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
    /// The resolvers were reached, and say that they cannot find out (SERVFAIL, REFUSED, …).
    #[error("the resolvers get no answer: {0}")]
    Failure(String),
    /// There is no resolver that could be asked.
    #[error("no resolver can be used: {0}")]
    NoResolver(String),
    /// It would take more than is allowed.
    #[error("{0}")]
    OverBudget(Excess),
}

impl From<Excess> for DnsError {
    fn from(excess: Excess) -> Self {
        Self::OverBudget(excess)
    }
}

impl From<Silence> for DnsError {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::OverBudget(excess) => Self::OverBudget(excess),
            other => Self::Temporary(other.to_string()),
        }
    }
}

/// One TXT record: its strings, of at most 255 octets each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text(pub Vec<Vec<u8>>);

impl Text {
    /// The strings with nothing between them (RFC 6376 §3.6.2.2); what is not UTF-8 as U+FFFD.
    pub fn joined(&self) -> String {
        String::from_utf8_lossy(&self.0.concat()).into_owned()
    }
}

/// Asks recursive resolvers. Must be used within a tokio runtime.
#[derive(Clone, Debug)]
pub struct Resolver {
    pub(super) asker: Asker,
    pub(super) addresses: Arc<[SocketAddr]>,
}

impl Resolver {
    /// Those that the configuration names, for a few questions.
    ///
    /// # Errors
    ///
    /// When none is named, or `/etc/resolv.conf` is asked for and cannot be used.
    pub fn new(resolvers: &Resolvers) -> Result<Self, DnsError> {
        Self::with_limits(resolvers, Limits::default())
    }

    pub(super) fn with_limits(resolvers: &Resolvers, limits: Limits) -> Result<Self, DnsError> {
        let addresses = match resolvers {
            Resolvers::System => system()?,
            Resolvers::Addresses(addresses) => addresses.clone(),
        };
        if addresses.is_empty() {
            return Err(DnsError::NoResolver("none is named".to_owned()));
        }
        let known = addresses.iter().map(SocketAddr::ip).collect();
        Ok(Self {
            asker: Asker::new(limits, known),
            addresses: addresses.into(),
        })
    }

    /// The same, with a budget besides what it has.
    pub(super) fn part(&self, budget: impl FnOnce(Option<Arc<Budget>>) -> Budget) -> Self {
        Self {
            asker: self.asker.part(budget),
            addresses: Arc::clone(&self.addresses),
        }
    }

    /// The TXT records of a name, each with its strings joined (RFC 6376 §3.6.2.2). What is
    /// not UTF-8 comes as U+FFFD. Never empty.
    ///
    /// # Errors
    ///
    /// When there is none, or nobody knows.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        // What is no name, or too long for one, cannot exist.
        let name = absolute(name).ok_or(DnsError::NoSuchName)?;
        let answer = self.ask(&name, RecordType::TXT, Party::Resolver).await?;
        let texts = texts(&answer, |_| true);
        if texts.is_empty() {
            return Err(absence(&answer));
        }
        Ok(texts.iter().map(Text::joined).collect())
    }

    /// The names of an address, which its owner chooses (RFC 1035 §3.5). Never empty.
    ///
    /// # Errors
    ///
    /// When there is none, or nobody knows.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        let name = Name::from(address);
        let answer = self.ask(&name, RecordType::PTR, Party::Resolver).await?;
        let names: Vec<String> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::PTR(name) => Some(written(name)),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return Err(absence(&answer));
        }
        Ok(names)
    }

    /// The answer of the first resolver that gives one: there is such a record, or there is
    /// none, with the proof of that.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        to: Party,
    ) -> Result<Message, DnsError> {
        let question = Question::new(name, record_type, to);
        let mut reasons = Vec::new();
        let mut kind: fn(String) -> DnsError = DnsError::Temporary;
        for address in self.addresses.iter() {
            match self.asker.ask(*address, &question).await {
                Ok(answer) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                    code => {
                        kind = DnsError::Failure;
                        reasons.push(format!("{address} says {}", word(code)));
                    }
                },
                Err(Silence::OverBudget(excess)) => return Err(DnsError::OverBudget(excess)),
                Err(silence) => reasons.push(format!("{address}: {silence}")),
            }
        }
        let reasons = reasons.join(", ");
        Err(kind(format!("{record_type} of {name}: {reasons}")))
    }
}

fn system() -> Result<Vec<SocketAddr>, DnsError> {
    let (config, _) = read_system_conf()
        .map_err(|error| DnsError::NoResolver(format!("/etc/resolv.conf: {error}")))?;
    let mut addresses = Vec::new();
    for server in config.name_servers() {
        let port = server.connections.first().map_or(53, |first| first.port);
        let address = SocketAddr::new(server.ip, port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// A whole name in lower case, with nothing to be added to it.
pub(super) fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?.to_lowercase();
    name.set_fqdn(true);
    Some(name)
}

/// As people write it: without the dot at the end.
pub(super) fn written(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(relative) => relative.to_owned(),
    }
}

/// The TXT records in the answer whose owner is wanted.
pub(super) fn texts(answer: &Message, wanted: impl Fn(&Name) -> bool) -> Vec<Text> {
    let records = answer.answers.iter().filter(|record| wanted(&record.name));
    records
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(Text(
                text.txt_data.iter().map(|part| part.to_vec()).collect(),
            )),
            _ => None,
        })
        .collect()
}

/// Which of the two kinds of nothing it is.
pub(super) fn absence(answer: &Message) -> DnsError {
    match answer.metadata.response_code {
        ResponseCode::NXDomain => DnsError::NoSuchName,
        _ => DnsError::NoRecord,
    }
}

/// As administrators know the response codes.
pub(super) fn word(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        other => other.to_string().to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_lower_case() {
        let name = absolute("Sel._DomainKey.Example.NL").expect("a name");
        assert!(name.is_fqdn());
        assert_eq!(written(&name), "sel._domainkey.example.nl");
        assert_eq!(written(&Name::root()), ".");
        assert_eq!(absolute(&"a".repeat(64)), None);
    }
}
