//! `zegel verify`: every signature of one message.

mod keys;

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use clap::Args;
use serde::Serialize;

use self::keys::{KeySource, NoKey};
use super::{
    context::{self, Context},
    failure::Failure,
    message::Mail,
    output::{Output, Table, complain, warn},
    status::Status,
};
use crate::{
    dkim::{
        AuthorRefusal, Canonicalisation, Claims, FIELD_NAME, Message, ParsedSignature, PublicKey,
        VerificationError, author_domain, record::Record,
    },
    names::{DomainName, Selector},
    words::words,
};

#[derive(Args, Debug)]
pub(super) struct VerifyArguments {
    /// The message; standard input if it is - or left out
    file: Option<PathBuf>,

    /// A key file (PEM, private or public) instead of the DNS; may be given several times
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,

    /// The text of a key record instead of the DNS; may be given several times
    #[arg(long, value_name = "TEXT")]
    record: Vec<String>,

    /// Ask this resolver instead of those of the configuration or the system
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = keys::resolver_address)]
    #[arg(conflicts_with_all = ["key", "record"])]
    resolver: Vec<SocketAddr>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// The domain of the one mailbox in the one From field.
    from_domain: Option<DomainName>,
    /// An aligned signature passes, and no aligned one fails.
    good: bool,
    signatures: Vec<Checked>,
}

pub(super) fn run(arguments: &VerifyArguments, context: &mut Context) -> Result<Status, Failure> {
    let mail = Mail::read(arguments.file.as_deref())?;
    let message = mail.parse()?;
    let source = KeySource::new(arguments, context)?;
    let author = author_domain(message.header.values("from"));
    let from_domain = author.as_ref().ok();
    let signatures = check(&message, &source, from_domain, context::now());
    let good = is_good(&signatures);
    let report = Report {
        from_domain: from_domain.cloned(),
        good,
        signatures,
    };
    if arguments.json {
        context.output.json(&report);
    } else {
        print(&report, &author, &mut context.output);
    }
    Ok(Status::of_check(good))
}

/// A signature that nobody gave a key for counts for nothing; any other that is aligned
/// must pass.
fn is_good(signatures: &[Checked]) -> bool {
    let mut aligned = signatures
        .iter()
        .filter(|signature| signature.aligned && signature.result != Outcome::Skipped)
        .peekable();
    aligned.peek().is_some() && aligned.all(|signature| signature.result == Outcome::Pass)
}

fn print(report: &Report, author: &Result<DomainName, AuthorRefusal>, output: &mut Output) {
    let mut table = Table::new([
        "RESULT",
        "DOMAIN",
        "SELECTOR",
        "ALGORITHM",
        "BITS",
        "ALIGNED",
        "REASON",
    ]);
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for signature in &report.signatures {
        table.row([
            match signature.result {
                Outcome::Fail => "FAIL".to_owned(),
                other => other.to_string(),
            },
            text(signature.domain.as_ref().map(ToString::to_string)),
            text(signature.selector.as_ref().map(ToString::to_string)),
            text(signature.algorithm.clone()),
            text(signature.bits.map(|bits| bits.to_string())),
            if signature.aligned { "yes" } else { "no" }.to_owned(),
            signature.reason.clone().unwrap_or_default(),
        ]);
        if signature.testing {
            warn("a key record says t=y (testing): receivers may act as if nothing were signed");
        }
    }
    if report.signatures.is_empty() {
        complain("the message has no DKIM-Signature field");
        return;
    }
    output.line(table);
    if report.good {
        return;
    }
    match author {
        Err(refusal) => complain(format_args!(
            "no signature can be aligned: {}",
            from_problem(*refusal)
        )),
        Ok(domain) if report.signatures.iter().any(|signature| signature.aligned) => {
            complain(format_args!(
                "not every signature of the From domain {domain} passes"
            ));
        }
        Ok(domain) => complain(format_args!(
            "there is no signature with d={domain}, exactly the From domain"
        )),
    }
}

fn from_problem(refusal: AuthorRefusal) -> &'static str {
    match refusal {
        AuthorRefusal::Missing => "there is no From field",
        AuthorRefusal::Repeated => "there are several From fields",
        AuthorRefusal::SeveralMailboxes => "the From field does not name exactly one mailbox",
        AuthorRefusal::Unparsable => "the From field is not what RFC 5322 allows",
    }
}

/// What became of one DKIM-Signature field.
#[derive(Debug, Default, Serialize)]
struct Checked {
    result: Outcome,
    reason: Option<String>,
    domain: Option<DomainName>,
    selector: Option<Selector>,
    algorithm: Option<String>,
    /// Of the key.
    bits: Option<usize>,
    /// Whether `d=` is exactly the From domain.
    aligned: bool,
    /// Whether the record says `t=y`.
    testing: bool,
}

words! {
    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    enum Outcome {
        Pass = "pass",
        #[default]
        Fail = "fail",
        /// The DNS gave no answer.
        Unknown = "unknown",
        /// The command line gives no key for it.
        Skipped = "skipped",
    }
}

/// Checks all, from top to bottom. `now` is in seconds since 1970.
fn check(
    message: &Message<'_>,
    source: &KeySource,
    author: Option<&DomainName>,
    now: u64,
) -> Vec<Checked> {
    let mut hashes = BodyHashes::default();
    message
        .header
        .fields()
        .filter(|field| field.is(FIELD_NAME))
        .map(|field| {
            let claims = Claims::read(field.value);
            let mut checked = Checked {
                aligned: author.is_some() && author == claims.domain.as_ref(),
                domain: claims.domain,
                selector: claims.selector,
                algorithm: claims.algorithm,
                ..Checked::default()
            };
            match ParsedSignature::parse(field.name, field.value) {
                Err(error) => checked.reason = Some(error.to_string()),
                Ok(signature) => {
                    let body_hash = hashes.of(message.body, &signature);
                    match source.find(&signature) {
                        Ok(records) => {
                            let verify = |key: &PublicKey| {
                                signature.verify(&message.header, &body_hash, key, now)
                            };
                            checked.try_records(records, verify);
                        }
                        Err(why) => checked.without_key(why),
                    }
                }
            }
            checked
        })
        .collect()
}

impl Checked {
    fn without_key(&mut self, why: NoKey) {
        (self.result, self.reason) = match why {
            NoKey::NotGiven => {
                let reason = "no key of its algorithm was given".to_owned();
                (Outcome::Skipped, Some(reason))
            }
            NoKey::Temporary(reason) => (Outcome::Unknown, Some(reason)),
            NoKey::Permanent(reason) => (Outcome::Fail, Some(reason)),
        };
    }

    /// Up to the first that verifies.
    fn try_records(
        &mut self,
        records: Vec<Record>,
        verify: impl Fn(&PublicKey) -> Result<(), VerificationError>,
    ) {
        for record in records {
            self.bits = Some(record.public_key.bits());
            self.testing = record.flags.testing;
            let verified = verify(&record.public_key);
            self.reason = verified.as_ref().err().map(VerificationError::to_string);
            if verified.is_ok() {
                self.result = Outcome::Pass;
                return;
            }
        }
    }
}

/// The hash of the body for each canonicalisation, made when it is first needed.
#[derive(Default)]
struct BodyHashes(HashMap<Canonicalisation, [u8; 32]>);

impl BodyHashes {
    fn of(&mut self, body: &[u8], signature: &ParsedSignature) -> [u8; 32] {
        *self
            .0
            .entry(signature.body_canonicalisation())
            .or_insert_with(|| {
                let mut hasher = signature.body_hasher();
                hasher.update(body);
                hasher.finish()
            })
    }
}
