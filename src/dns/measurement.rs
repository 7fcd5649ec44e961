//! What a measurement of a domain asks of resolvers: whether records are there, and whether they
//! are signed. Each question once, as others who measure ask it.

use mail_auth::hickory_resolver::proto::rr::RecordType;

use super::{
    exchange::Party,
    resolver::{DnsError, absolute},
    round::Round,
    spf::{End, end},
};
use crate::dkim::{key::PublicKey, record::Record};

/// So many times `redirect=` is followed (RFC 7208 §4.6.4).
const MOST_REDIRECTS: usize = 10;

/// What was found. An error says that nobody knows.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Whether there is one SPF record.
    pub spf: Result<bool, DnsError>,
    /// Whether it ends in `-all` or `~all`, there or where `redirect=` leads.
    pub spf_strict: Result<bool, DnsError>,
    /// As [`Round::dmarc`].
    pub dmarc: Result<Option<(String, Vec<String>)>, DnsError>,
    /// Whether the resolver says that the zone is signed, and that the signatures hold.
    pub dnssec: Result<bool, DnsError>,
    /// The names of the mail servers; none with a null MX, or without any.
    pub servers: Result<Vec<String>, DnsError>,
    /// Whether there is a record of MTA-STS (RFC 8461 §3.1); false without mail servers, where
    /// nobody asks.
    pub mta_sts: Result<bool, DnsError>,
}

impl Round {
    /// Asks about everything of a domain but its keys and its mail servers.
    pub async fn measure(&self, domain: &str) -> Measurement {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let spf = self.spf(&domain).await;
        let spf_strict = match &spf {
            Ok(records) => self.spf_is_strict(records.clone()).await,
            Err(error) => Err(error.clone()),
        };
        let servers = self.servers(&domain).await;
        let mta_sts = match &servers {
            Ok(servers) if servers.is_empty() => Ok(false),
            _ => self.has_mta_sts(&domain).await,
        };
        Measurement {
            spf: spf.map(|records| records.len() == 1),
            spf_strict,
            dmarc: self.dmarc(&domain).await,
            dnssec: self.is_secure(&domain).await,
            servers,
            mta_sts,
        }
    }

    /// Whether the only TXT of a name is the record of this key.
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub async fn shows_key(&self, name: &str, key: &PublicKey) -> Result<bool, DnsError> {
        let texts = self.texts(name).await?;
        Ok(match texts.as_slice() {
            [text] => Record::parse(text).is_ok_and(|record| record.public_key == *key),
            _ => false,
        })
    }

    /// Whether a mail server has a TLSA record for port 25 (RFC 7672 §2.2).
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub async fn has_tlsa(&self, server: &str) -> Result<bool, DnsError> {
        // Where the name is too long for one, there is none.
        let Some(name) = absolute(&format!("_25._tcp.{server}")) else {
            return Ok(false);
        };
        let resolver = self.resolver();
        let answer = resolver
            .ask(&name, RecordType::TLSA, Party::Resolver)
            .await?;
        let mut records = answer.answers.iter();
        Ok(records.any(|record| record.record_type() == RecordType::TLSA))
    }

    async fn spf_is_strict(&self, mut records: Vec<String>) -> Result<bool, DnsError> {
        for _ in 0..=MOST_REDIRECTS {
            let [record] = records.as_slice() else {
                return Ok(false);
            };
            match end(record) {
                End::Denies => return Ok(true),
                End::Open => return Ok(false),
                // What a macro stands for depends on the message.
                End::Elsewhere(domain) if domain.contains('%') => return Ok(false),
                End::Elsewhere(domain) => records = self.spf(&domain).await?,
            }
        }
        Ok(false)
    }

    async fn servers(&self, domain: &str) -> Result<Vec<String>, DnsError> {
        let all = self.mx(domain).await?;
        let mut names: Vec<String> = all
            .iter()
            .filter_map(|server| server.split_once(' '))
            .map(|(_, name)| name.to_owned())
            .filter(|name| name != ".")
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn has_mta_sts(&self, domain: &str) -> Result<bool, DnsError> {
        let texts = self.texts(&format!("_mta-sts.{domain}")).await?;
        let is_record = |text: &String| {
            let version = text.split(';').next().unwrap_or_default();
            version.trim_end() == "v=STSv1"
        };
        Ok(texts.iter().filter(|text| is_record(text)).count() == 1)
    }

    /// By the AD bit, which a resolver that validates sets in its answer, be it that there is no
    /// such record (RFC 4035 §3.2.3).
    async fn is_secure(&self, domain: &str) -> Result<bool, DnsError> {
        let name = absolute(domain).ok_or(DnsError::NoSuchName)?;
        let party = Party::ResolverValidating;
        let answer = self.resolver().ask(&name, RecordType::SOA, party).await?;
        Ok(answer.metadata.authentic_data)
    }
}
