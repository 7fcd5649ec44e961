//! What a domain says of its mail beside its keys: SPF, DMARC, MX. As resolvers show it.

use std::net::{IpAddr, SocketAddr};

use mail_auth::{
    MessageAuthenticator, SpfResult,
    hickory_resolver::{
        config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
        proto::rr::{RData, RecordType},
    },
    spf::verify::SpfParameters,
};

use super::{
    exchange::Party,
    resolver::{DnsError, Resolver, absolute, written},
    round::Round,
};

use crate::{
    dmarc::{DmarcRecord, choose, is_meant, report_domains, walk},
    names::DomainName,
};

/// So many other domains that reports go to are asked whether they want them: the record is in
/// others' hands.
const MOST_TARGETS: usize = 8;

/// What was found. An error says that nobody knows; what is not there is an empty list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailPolicy {
    /// Whose.
    pub domain: String,
    /// The TXT records of the domain that begin with `v=spf1`.
    pub spf: Result<Vec<String>, DnsError>,
    /// Whether SPF allows each address that the relay sends from.
    pub relays: Vec<(IpAddr, SpfVerdict)>,
    /// The TXT records that begin with `v=DMARC1` at the name that speaks for the domain,
    /// with the domain that it belongs to.
    pub dmarc: Result<Option<(String, Vec<String>)>, DnsError>,
    /// The other domains that reports are to go to, and whether each wants them.
    pub report_targets: Vec<(String, Result<bool, DnsError>)>,
    /// The mail servers, as `preference name`; the null MX is `0 .`.
    pub mx: Result<Vec<String>, DnsError>,
    /// Whether anything exists at or below `_domainkey`.
    pub has_keys: Result<bool, DnsError>,
}

/// What receivers make of SPF for one address (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpfVerdict {
    /// `pass`
    Pass,
    /// `fail`, `softfail` or `neutral`: the address is not allowed.
    NotAllowed,
    /// `none`: there is no policy.
    None,
    /// `permerror`: the policy cannot be evaluated, as with more than ten lookups.
    Broken,
    /// `temperror`: nobody knows.
    Unknown,
}

impl MailPolicy {
    /// As if the record of a domain above that never sends were none: it would have mail refused.
    #[must_use]
    pub fn without_record_of(&self, never_sends: impl Fn(&str) -> bool) -> Self {
        match &self.dmarc {
            Ok(Some((owner, _))) if *owner != self.domain && never_sends(owner) => Self {
                dmarc: Ok(None),
                report_targets: Vec::new(),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }
}

impl Round {
    /// The policies of a domain, and what they say of the addresses of the relay.
    pub async fn mail_policy(&self, domain: &str, relays: &[IpAddr]) -> MailPolicy {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let spf = self.spf(&domain).await;
        let mut verdicts = Vec::new();
        for relay in relays {
            let verdict = spf_verdict(self.resolver(), *relay, &domain).await;
            verdicts.push((*relay, verdict));
        }
        let dmarc = self.dmarc(&domain).await;
        let report_targets = match &dmarc {
            Ok(Some((owner, texts))) => self.report_targets(owner, texts).await,
            _ => Vec::new(),
        };
        MailPolicy {
            spf,
            relays: verdicts,
            dmarc,
            report_targets,
            mx: self.mx(&domain).await,
            has_keys: self.exists(&format!("_domainkey.{domain}")).await,
            domain,
        }
    }

    /// The TXT records of a domain that begin with `v=spf1`.
    pub(super) async fn spf(&self, domain: &str) -> Result<Vec<String>, DnsError> {
        let mut texts = self.texts(domain).await?;
        texts.retain(|text| is_spf(text));
        Ok(texts)
    }

    pub(super) async fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        match self.resolver().txt(name).await {
            Err(DnsError::NoRecord | DnsError::NoSuchName) => Ok(Vec::new()),
            other => other,
        }
    }

    /// The TXT records that begin with `v=DMARC1` at the name that speaks for a domain, with the
    /// domain that it belongs to: itself, or one above it (RFC 9989 §4.10).
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub async fn dmarc(&self, domain: &str) -> Result<Option<(String, Vec<String>)>, DnsError> {
        let mut found = Vec::new();
        let mut written = Vec::new();
        for name in walk(domain) {
            let mut texts = self.texts(&format!("_dmarc.{name}")).await?;
            texts.retain(|text| is_meant(text));
            // Receivers stop here; and so must the advice, whatever is wrong with it.
            if name == domain && !texts.is_empty() {
                return Ok(Some((name.to_owned(), texts)));
            }
            if let [text] = texts.as_slice()
                && let Ok(record) = DmarcRecord::parse(text)
            {
                let suffix = record.public_suffix;
                found.push((name.to_owned(), record));
                written.push(texts);
                if suffix.is_some() {
                    break;
                }
            }
        }
        Ok(choose(domain, &found).map(|place| (found[place].0.clone(), written[place].clone())))
    }

    /// Whether a domain has a DMARC record of its own that receivers use. Whatever domains above it
    /// publish, that one speaks for it (RFC 9989 §4.10).
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub async fn has_own_dmarc(&self, domain: &DomainName) -> Result<bool, DnsError> {
        let mut texts = self.texts(&format!("_dmarc.{domain}")).await?;
        texts.retain(|text| is_meant(text));
        Ok(matches!(&texts[..], [text] if DmarcRecord::parse(text).is_ok()))
    }

    async fn report_targets(
        &self,
        owner: &str,
        texts: &[String],
    ) -> Vec<(String, Result<bool, DnsError>)> {
        let records = texts
            .iter()
            .filter_map(|text| DmarcRecord::parse(text).ok());
        let reports: Vec<String> = records.flat_map(|record| record.reports).collect();
        let mut targets = Vec::new();
        for target in report_domains(&reports).into_iter().take(MOST_TARGETS) {
            // Within one organisational domain nobody has to agree. Who is above or below is
            // taken for the same organisation.
            let is_own = |one: &str, other: &str| {
                one == other
                    || one
                        .strip_suffix(other)
                        .is_some_and(|rest| rest.ends_with('.'))
            };
            if is_own(&target, owner) || is_own(owner, &target) {
                continue;
            }
            let name = format!("{owner}._report._dmarc.{target}");
            let answer = self.texts(&name).await;
            let wanted = answer.map(|texts| texts.iter().any(|text| is_meant(text)));
            targets.push((target, wanted));
        }
        targets
    }

    pub(super) async fn mx(&self, domain: &str) -> Result<Vec<String>, DnsError> {
        let name = absolute(domain).ok_or(DnsError::NoSuchName)?;
        let answer = self
            .resolver()
            .ask(&name, RecordType::MX, Party::Resolver)
            .await?;
        let servers = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some(format!("{} {}", mx.preference, written(&mx.exchange))),
                _ => None,
            });
        Ok(servers.collect())
    }

    /// Whether a name has an address or takes mail: `np=` is about those that do not
    /// (RFC 9989 §3.2.12).
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub async fn has_address(&self, name: &str) -> Result<bool, DnsError> {
        let name = absolute(name).ok_or(DnsError::NoSuchName)?;
        for kind in [RecordType::A, RecordType::AAAA, RecordType::MX] {
            let answer = self.resolver().ask(&name, kind, Party::Resolver).await?;
            let mut records = answer.answers.iter();
            if records.any(|record| record.record_type() == kind) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// NXDOMAIN says that nothing is below either (RFC 8020).
    async fn exists(&self, name: &str) -> Result<bool, DnsError> {
        match self.resolver().txt(name).await {
            Ok(_) | Err(DnsError::NoRecord) => Ok(true),
            Err(DnsError::NoSuchName) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// RFC 7208 §4.5: the version ends at a blank or at the end.
fn is_spf(text: &str) -> bool {
    text.split(' ')
        .next()
        .unwrap_or_default()
        .eq_ignore_ascii_case("v=spf1")
}

/// Evaluated by mail-auth, which asks the same resolvers by itself.
async fn spf_verdict(resolver: &Resolver, relay: IpAddr, domain: &str) -> SpfVerdict {
    let Ok(authenticator) = authenticator(&resolver.addresses) else {
        return SpfVerdict::Unknown;
    };
    if resolver.asker.turn().await.is_err() {
        return SpfVerdict::Unknown;
    }
    let sender = format!("postmaster@{domain}");
    let parameters = SpfParameters::verify_mail_from(relay, domain, domain, &sender);
    match authenticator.verify_spf(parameters).await.result() {
        SpfResult::Pass => SpfVerdict::Pass,
        SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => SpfVerdict::NotAllowed,
        SpfResult::None => SpfVerdict::None,
        SpfResult::PermError => SpfVerdict::Broken,
        SpfResult::TempError => SpfVerdict::Unknown,
    }
}

fn authenticator(addresses: &[SocketAddr]) -> Result<MessageAuthenticator, DnsError> {
    let server = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    let servers = addresses.iter().map(server).collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    MessageAuthenticator::new(config, ResolverOpts::default())
        .map_err(|error| DnsError::NoResolver(error.to_string()))
}
