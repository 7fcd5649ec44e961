//! `zegel dmarc confirm`: all who send in the name of a domain are known.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{
        context::Context,
        failure::Failure,
        output::{Output, printable, warn},
        report::{keystore_for, sending_advice, state_advice, store_there},
        status::Status,
    },
    evidence::{
        Store,
        rollup::DAY,
        streams::{Class, Stream},
    },
    names::DomainName,
    sending::{Ours, date, everything, sort},
};

/// Who is forgotten most often, as they send once in a while, or from elsewhere.
const CHECKLIST: [&str; 8] = [
    "chain partners that send for you",
    "suppliers: ticket systems, surveys, recruitment, webshops",
    "office mail: scanners, printers, monitoring, old servers",
    "appointments and reminders",
    "newsletters",
    "invoices and pay slips",
    "taxes and yearly letters",
    "elections and campaigns",
];

#[derive(Args, Debug)]
pub(in crate::cli) struct ConfirmArguments {
    /// The policy domain
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,

    /// The list is whole: keep that, for a year
    #[arg(long)]
    yes: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    domain: &'a DomainName,
    /// The day on which this was said; none if it is not said now.
    confirmed: Option<String>,
    streams: Vec<Sender<'a>>,
    checklist: [&'static str; 8],
}

#[derive(Serialize)]
struct Sender<'a> {
    id: &'a str,
    class: Class,
    label: Option<&'a str>,
    last_seen: String,
    messages: u64,
}

pub(super) fn run(arguments: &ConfirmArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let settings = &loaded.settings.reports;
    let domain = &arguments.domain;
    let store = store_there(settings)?;
    let keystore = keystore_for(&loaded, domain)?;
    let ours = Ours::of(&loaded, keystore.as_ref());
    let sorted = sort(&store, &ours, domain, everything()).map_err(sending_advice)?;
    drop(store);
    if sorted.policy_domain != *domain {
        return Err(Failure::Usage(format!(
            "{domain} has no policy of its own: its mail fell under that of {0}; say zegel dmarc \
             confirm {0}",
            sorted.policy_domain
        )));
    }
    if sorted.streams.is_empty() {
        return Err(Failure::Usage(format!(
            "no report tells who sends in the name of {domain}: see whether it is written right, and \
             whether reports come in"
        )));
    }
    let senders: Vec<Sender<'_>> = sorted.streams.iter().filter_map(sender).collect();
    let now = Timestamp::now();
    let today = i32::try_from(now.as_second().div_euclid(DAY)).unwrap_or(i32::MAX);
    let mut status = Status::Finding;
    if arguments.yes {
        let written = Store::open(&settings.state)
            .and_then(|mut store| store.confirm(domain.as_str(), today));
        written.map_err(|error| state_advice(&error))?;
        let owner = ours.owner(domain).map(|one| &one.id);
        let noted = context
            .open_keystore(&loaded.settings)
            .and_then(|keystore| keystore.note_confirmed((owner, domain), senders.len(), now));
        status = match noted {
            Ok(()) => Status::Good,
            Err(error) => {
                warn(format_args!(
                    "it is kept with the reports, but not in the audit log of the keystore: {error}"
                ));
                Status::Finding
            }
        };
    }
    let document = Document {
        domain,
        confirmed: arguments.yes.then(|| date(today).to_string()),
        streams: senders,
        checklist: CHECKLIST,
    };
    if arguments.json {
        context.output.json(&document);
    } else {
        print(&document, &mut context.output);
    }
    Ok(status)
}

/// Mail that may be legitimate: not that which others send on, and not abuse.
fn sender(stream: &Stream) -> Option<Sender<'_>> {
    let is_sender = !matches!(stream.class, Class::Forwarding | Class::Abuse | Class::List);
    is_sender.then(|| Sender {
        id: &stream.id,
        class: stream.class,
        label: stream.label.as_deref(),
        last_seen: date(stream.last_seen).to_string(),
        messages: stream.messages,
    })
}

fn print(document: &Document<'_>, output: &mut Output) {
    let domain = document.domain;
    if document.confirmed.is_some() {
        output.line(format_args!(
            "{domain}: all who send are known, {} streams: kept for a year",
            document.streams.len()
        ));
        return;
    }
    output.line(format_args!("who sends in the name of {domain}, ever:"));
    for stream in &document.streams {
        let known = match (stream.class, stream.label) {
            (Class::Unknown, _) => "nobody has said who that is",
            (_, Some(label)) => label,
            (class, None) => class.as_str(),
        };
        let text = format!(
            "  {}: {known}, {} messages, last on {}",
            stream.id, stream.messages, stream.last_seen
        );
        output.line(printable(&text));
    }
    output.line("is anyone missing, or one who sends once a year?");
    for line in document.checklist {
        output.line(format_args!("  [ ] {line}"));
    }
    output.line(format_args!(
        "if the list is whole: zegel dmarc confirm {domain} --yes"
    ));
}
