//! `zegel org`: what the configuration and the keyrings say of organisations.

mod add;
mod handed_over;
mod moving;
mod retire;
mod standing;
mod unsigned;
mod wait;
mod waiting;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use self::{
    add::AddArguments, handed_over::HandedOverArguments, moving::MoveArguments,
    retire::RetireArguments, standing::StandingArguments, unsigned::UnsignedArguments,
    wait::WaitArguments, waiting::WaitingArguments,
};
use super::{
    context::{self, Context},
    failure::Failure,
    output::{Output, Table, date, warn},
    status::Status,
};
use crate::{
    config::Loaded,
    dkim::Algorithm,
    keys::{Departure, Keyring, State},
    keystore::Keystore,
    names::{DomainName, OrganisationId, Selector},
    organisation::{Organisation, Policy, Senders},
};

#[derive(Debug, Subcommand)]
pub(super) enum OrganisationCommand {
    /// Add an organisation, or those of a sheet: write its file, make its key, print its pack
    Add(AddArguments),
    /// List all organisations, or what is waited for from them
    List(ListArguments),
    /// Show one organisation: its domains, keys, senders and policy
    Show(ShowArguments),
    /// Note that its records were given to whoever looks after its DNS
    HandedOver(HandedOverArguments),
    /// Wait until each of its domains has a key that signs
    Wait(WaitArguments),
    /// Move domains to another organisation, signed throughout
    Move(MoveArguments),
    /// Sign none of its mail from now on; keys and records stay
    Suspend(StandingArguments),
    /// End its suspension
    Resume(StandingArguments),
    /// Say that it, or a domain, leaves: it is signed for a grace, then its keys drain
    Retire(RetireArguments),
    /// Mail that was not signed, by organisation, reason and day
    Unsigned(UnsignedArguments),
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    #[command(flatten)]
    waiting: WaitingArguments,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ShowArguments {
    /// Its id: the name of its file in orgs.d, without .toml
    #[arg(value_name = "ID")]
    id: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List<'a> {
    organisations: &'a [Shown<'a>],
}

/// An organisation as it is printed.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a OrganisationId,
    name: &'a str,
    contact: Option<&'a str>,
    language: &'static str,
    domains: Vec<ShownDomain<'a>>,
    parked: &'a [DomainName],
    /// Domains that come from another organisation.
    incoming: &'a [DomainName],
    algorithms: &'a [Algorithm],
    selector: String,
    senders: Option<&'a Senders>,
    policy: Policy,
    /// Since when none of its mail is signed; none if it is.
    suspended: Option<Timestamp>,
    /// Until when it is signed, if it leaves.
    leaving: Option<Departure>,
}

#[derive(Serialize)]
struct ShownDomain<'a> {
    domain: &'a DomainName,
    /// Until when it is signed, if it leaves, by itself or with the organisation.
    leaving: Option<Departure>,
    /// Those in use.
    keys: Vec<ShownKey>,
}

#[derive(Serialize)]
struct ShownKey {
    selector: Selector,
    algorithm: Algorithm,
    since: Timestamp,
}

pub(super) fn run(command: &OrganisationCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        OrganisationCommand::Add(arguments) => add::run(arguments, context),
        OrganisationCommand::List(arguments) => list(arguments, context),
        OrganisationCommand::Show(arguments) => show_one(arguments, context),
        OrganisationCommand::HandedOver(arguments) => handed_over::run(arguments, context),
        OrganisationCommand::Wait(arguments) => wait::run(arguments, context),
        OrganisationCommand::Move(arguments) => moving::run(arguments, context),
        OrganisationCommand::Suspend(arguments) => standing::suspend(arguments, context),
        OrganisationCommand::Resume(arguments) => standing::resume(arguments, context),
        OrganisationCommand::Retire(arguments) => retire::run(arguments, context),
        OrganisationCommand::Unsigned(arguments) => unsigned::run(arguments, context),
    }
}

/// The keystore: without it the configuration can be shown all the same.
fn keystore(loaded: &Loaded) -> Option<Keystore> {
    loaded
        .settings
        .open_keystore()
        .inspect_err(|error| warn(error))
        .ok()
}

fn list(arguments: &ListArguments, context: &mut Context) -> Result<Status, Failure> {
    if arguments.waiting.waiting.is_some() {
        return waiting::run(&arguments.waiting, arguments.json, context);
    }
    let loaded = context.load()?;
    let keystore = keystore(&loaded);
    let organisations = loaded.organisations.iter();
    let all: Vec<Shown<'_>> = organisations
        .map(|organisation| show(organisation, keystore.as_ref()))
        .collect();
    if arguments.json {
        let organisations = &all;
        context.output.json(&List { organisations });
    } else {
        print_list(&all, &mut context.output);
    }
    Ok(Status::Good)
}

fn show_one(arguments: &ShowArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.id)?;
    let keystore = keystore(&loaded);
    let organisation = context::organisation(&loaded, &arguments.id)?;
    let shown = show(organisation, keystore.as_ref());
    if arguments.json {
        context.output.json(&shown);
    } else {
        print_one(&shown, &mut context.output)?;
    }
    Ok(Status::Good)
}

fn show<'a>(organisation: &'a Organisation, keystore: Option<&Keystore>) -> Shown<'a> {
    let keyring = keystore
        .and_then(|keystore| {
            keystore
                .read_keyring(&organisation.id)
                .inspect_err(|error| warn(error))
                .ok()
        })
        .unwrap_or_default();
    if let Some(problem) = keyring.departures_problem() {
        warn(format_args!(
            "{}: whether it leaves is not known: {problem}",
            organisation.id
        ));
    }
    Shown {
        id: &organisation.id,
        name: &organisation.name,
        contact: organisation.contact.as_deref(),
        language: organisation.language.as_str(),
        domains: organisation
            .domains
            .iter()
            .map(|domain| ShownDomain {
                domain,
                leaving: keyring.departure(domain),
                keys: keys_in_use(&keyring, domain),
            })
            .collect(),
        parked: &organisation.parked,
        incoming: &organisation.incoming,
        algorithms: &organisation.algorithms,
        selector: organisation.selector.to_string(),
        senders: organisation.senders.as_ref(),
        policy: organisation.policy,
        suspended: keyring.suspended(),
        leaving: keyring.departures().given(None),
    }
}

fn keys_in_use(keyring: &Keyring, domain: &DomainName) -> Vec<ShownKey> {
    keyring
        .keys()
        .iter()
        .filter_map(|entry| {
            let publication = entry.publications.get(domain)?;
            (publication.state == State::Active).then(|| ShownKey {
                selector: entry.selector.clone(),
                algorithm: entry.algorithm,
                since: publication.since,
            })
        })
        .collect()
}

fn print_list(all: &[Shown<'_>], output: &mut Output) {
    if all.is_empty() {
        output.line("there are no organisations: each has a file in orgs.d");
        return;
    }
    let headings = [
        "ORGANISATION",
        "NAME",
        "DOMAINS",
        "WITH KEY",
        "PARKED",
        "ALGORITHMS",
    ];
    let mut table = Table::new(headings);
    for shown in all {
        let with_key = shown
            .domains
            .iter()
            .filter(|domain| !domain.keys.is_empty());
        table.row([
            shown.id.to_string(),
            shown.name.to_owned(),
            shown.domains.len().to_string(),
            with_key.count().to_string(),
            shown.parked.len().to_string(),
            join(shown.algorithms),
        ]);
    }
    output.line(table);
}

fn print_one(shown: &Shown<'_>, output: &mut Output) -> Result<(), Failure> {
    let mut facts = Table::new(["organisation", shown.id.as_str()]);
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("name", shown.name.to_owned());
    fact("contact", shown.contact.unwrap_or("-").to_owned());
    fact("language", shown.language.to_owned());
    fact("algorithms", join(shown.algorithms));
    if let Some(since) = shown.suspended {
        fact("suspended", format!("since {}", date(since)));
    }
    if let Some(departure) = shown.leaving {
        fact("leaving", leaving(departure));
    }
    fact("selector", shown.selector.clone());
    fact("parked", or_dash(join(shown.parked)));
    if !shown.incoming.is_empty() {
        fact("incoming", join(shown.incoming));
    }
    match shown.senders {
        None => fact("senders", "any outbound mail".to_owned()),
        Some(senders) => {
            fact("senders.auth", or_dash(senders.auth.join(", ")));
            fact("senders.networks", or_dash(join(&senders.networks)));
            fact("senders.listeners", or_dash(senders.listeners.join(", ")));
        }
    }
    let policy = serde_json::to_value(shown.policy)
        .map_err(|error| Failure::Other(format!("the policy cannot be shown: {error}")))?;
    for (name, action) in policy.as_object().into_iter().flatten() {
        let action = action.as_str().unwrap_or_default();
        fact(&format!("policy.{name}"), action.to_owned());
    }
    output.line(facts);
    output.line("");
    let mut table = Table::new(["DOMAIN", "KEY IN USE", "ALGORITHM", "SINCE"]);
    for domain in &shown.domains {
        let own = domain.leaving.filter(|_| shown.leaving.is_none());
        let name = match own {
            Some(departure) => format!("{} ({})", domain.domain, leaving(departure)),
            None => domain.domain.to_string(),
        };
        if domain.keys.is_empty() {
            table.row([name, "none".to_owned(), "-".to_owned(), "-".to_owned()]);
            continue;
        }
        for key in &domain.keys {
            table.row([
                name.clone(),
                key.selector.to_string(),
                key.algorithm.to_string(),
                date(key.since),
            ]);
        }
    }
    output.line(table);
    Ok(())
}

fn leaving(departure: Departure) -> String {
    match departure.ended {
        None => format!("signs until {}", date(departure.until)),
        Some(ended) => format!("has left, since {}", date(ended)),
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}
