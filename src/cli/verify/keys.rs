//! Where the keys to verify with come from: the DNS, or the command line.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use super::VerifyArguments;
use crate::{
    cli::{context::Context, failure::Failure, message},
    config::Resolvers,
    dkim::{
        ParsedSignature, PublicKey,
        key::KeyError,
        record::{Flags, Record},
    },
    dns::{DnsError, Resolver},
};

const DNS_PORT: u16 = 53;

pub(super) enum KeySource {
    /// Those that the command line gives, for whatever selector.
    Given(Vec<Record>),
    /// The records of the selectors.
    Dns(Box<Dns>),
}

pub(super) struct Dns {
    resolver: Resolver,
    runtime: Runtime,
}

/// Why there is no key for a signature.
pub(super) enum NoKey {
    /// The command line gives none of this algorithm.
    NotGiven,
    /// Nobody knows for now.
    Temporary(String),
    /// There is no usable record.
    Permanent(String),
}

impl KeySource {
    pub(super) fn new(arguments: &VerifyArguments, context: &Context) -> Result<Self, Failure> {
        if !arguments.key.is_empty() || !arguments.record.is_empty() {
            let files = arguments.key.iter().map(|file| from_file(file));
            let texts = arguments.record.iter().map(|text| {
                Record::parse(text).map_err(|error| Failure::Usage(format!("--record: {error}")))
            });
            return Ok(Self::Given(files.chain(texts).collect::<Result<_, _>>()?));
        }
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Other(format!("{error}; name one with --resolver ADDRESS:PORT"))
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let resolvers = resolvers(arguments, context)?;
        let resolver = {
            // It looks for the runtime when it is made.
            let _entered = runtime.enter();
            Resolver::new(&resolvers).map_err(|error| failed(&error))?
        };
        Ok(Self::Dns(Box::new(Dns { resolver, runtime })))
    }

    /// The keys that may have made a signature: at least one.
    pub(super) fn find(&self, signature: &ParsedSignature) -> Result<Vec<Record>, NoKey> {
        match self {
            Self::Given(records) => {
                let matching: Vec<Record> = records
                    .iter()
                    .filter(|record| record.public_key.algorithm() == signature.algorithm)
                    .cloned()
                    .collect();
                if matching.is_empty() {
                    Err(NoKey::NotGiven)
                } else {
                    Ok(matching)
                }
            }
            Self::Dns(dns) => {
                let name = signature.selector.record_name(&signature.domain);
                let answer = dns.runtime.block_on(dns.resolver.txt(&name));
                from_answer(&name, answer).map(|record| vec![record])
            }
        }
    }
}

/// Those that are asked for, or those of the configuration or the system.
fn resolvers(arguments: &VerifyArguments, context: &Context) -> Result<Resolvers, Failure> {
    if !arguments.resolver.is_empty() {
        return Ok(Resolvers::Addresses(arguments.resolver.clone()));
    }
    let loaded = context.load_if_there()?;
    Ok(loaded.map_or(Resolvers::System, |loaded| loaded.settings.keeper.resolvers))
}

/// What several records at one name mean is undefined (RFC 6376 §3.6.2.2), so they count
/// for nothing.
fn from_answer(name: &str, answer: Result<Vec<String>, DnsError>) -> Result<Record, NoKey> {
    match answer {
        Err(error @ (DnsError::NoRecord | DnsError::NoSuchName)) => Err(NoKey::Permanent(format!(
            "no key record at {name}: {error}"
        ))),
        Err(error) => Err(NoKey::Temporary(format!("{name}: {error}"))),
        Ok(texts) => match texts.as_slice() {
            [text] => Record::parse(text)
                .map_err(|error| NoKey::Permanent(format!("the record at {name}: {error}"))),
            several => Err(NoKey::Permanent(format!(
                "there are {} TXT records at {name}, where only one may be",
                several.len()
            ))),
        },
    }
}

fn from_file(file: &Path) -> Result<Record, Failure> {
    let pem = Zeroizing::new(message::read(Some(file))?);
    PublicKey::from_pem(&pem)
        .map(|public_key| Record {
            public_key,
            flags: Flags::default(),
        })
        .map_err(|error| {
            let instead = match error {
                KeyError::Sealed => "; or give the text of its record, with --record",
                _ => "",
            };
            Failure::Usage(format!("{}: {error}{instead}", file.display()))
        })
}

/// `ADDRESS` or `ADDRESS:PORT`.
pub(super) fn resolver_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| {
            text.parse()
                .map(|address: IpAddr| SocketAddr::new(address, DNS_PORT))
        })
        .map_err(|_| "write 192.0.2.1:53 or [2001:db8::1]:53".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_may_come_without_its_port() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1:53")),
            ("::1", Some("[::1]:53")),
            ("127.0.0.1:5353", Some("127.0.0.1:5353")),
            ("[::1]:5353", Some("[::1]:5353")),
            ("localhost", None),
        ] {
            let address = resolver_address(text).ok();
            assert_eq!(
                address.map(|address| address.to_string()).as_deref(),
                expected
            );
        }
    }

    #[test]
    fn one_record_and_no_more() {
        let text = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert!(from_answer("x", Ok(vec![text.into()])).is_ok());
        let why = |answer| match from_answer("s._domainkey.x", answer) {
            Err(NoKey::Permanent(why)) => why,
            _ => panic!("not a permanent failure"),
        };
        assert!(why(Ok(vec![text.into(), text.into()])).contains("2 TXT records"));
        assert!(why(Ok(vec!["v=DKIM1; p=".into()])).contains("revoked"));
        assert!(why(Err(DnsError::NoSuchName)).contains("does not exist"));
        let unknown = from_answer("x", Err(DnsError::Temporary("late".into())));
        assert!(matches!(unknown, Err(NoKey::Temporary(_))));
    }

    #[test]
    fn asks_a_resolver_that_does_not_answer() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        // Nobody listens on port 1: refused at once.
        let address = "127.0.0.1:1".parse().unwrap();
        let answer = runtime.block_on(async {
            let resolver = Resolver::new(&Resolvers::Addresses(vec![address])).unwrap();
            resolver.txt("s._domainkey.example.com").await
        });
        assert!(matches!(answer, Err(DnsError::Temporary(_))), "{answer:?}");
    }
}
