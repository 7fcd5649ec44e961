//! `zegel verify`: every signature of one message.

mod keys;
mod signatures;

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use serde::Serialize;

use self::{
    keys::KeySource,
    signatures::{Checked, Outcome},
};
use super::{
    context::{self, Context},
    failure::Failure,
    message::Mail,
    output::{Output, Table, complain, warn},
    status::Status,
};
use crate::{
    dkim::{AuthorRefusal, author_domain},
    names::DomainName,
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
    let signatures = signatures::check(&message, &source, (from_domain, context::now()));
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
    Ok(if good { Status::Good } else { Status::Finding })
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
            signature.result.as_str().to_owned(),
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
