//! `zegel key roll`

use clap::Args;
use jiff::Timestamp;

use super::{
    addition::{Addition, Additions, GivenUp, make_wanted, print_wanted},
    choice::{domains_of_key, find, list, waiting_keys},
};
use crate::{
    cli::{
        context::{self, Context},
        day::Day,
        failure::Failure,
        output::Output,
        status::Status,
    },
    config::situation,
    dkim::Algorithm,
    keys::{CommandError, Situation, abort},
    keystore::Keystore,
    names::{DomainName, Selector},
    organisation::Organisation,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct RollArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// Only this one, rsa-sha256 or ed25519-sha256 [default: each of the organisation's]
    #[arg(long, conflicts_with = "abort")]
    algorithm: Option<Algorithm>,

    /// Give up a successor that has never signed
    #[arg(long, requires = "selector")]
    abort: bool,

    /// The successor to give up
    #[arg(requires = "abort")]
    selector: Option<Selector>,

    /// Give it up for this domain only; may be given several times
    #[arg(long = "domain", value_name = "DOMAIN", requires = "abort")]
    domains: Vec<DomainName>,

    /// By when its records are to be there, such as 2026-12-13 [default: two weeks from now, or
    /// when the key in use has served its time, if that is earlier]
    #[arg(long, value_name = "DATE", conflicts_with = "abort")]
    by: Option<Day>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RollArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.organisation)?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    if let Some(selector) = &arguments.selector {
        return give_up(
            &keystore,
            organisation,
            selector,
            arguments,
            &mut context.output,
        );
    }
    let by = arguments.by.map(Day::ends);
    if let Some(by) = by.filter(|by| *by <= Timestamp::now()) {
        return Err(Failure::Usage(format!(
            "--by {by:.0}: that is over; name a day that is still to come"
        )));
    }
    let keyring = keystore.read_keyring(&organisation.id)?;
    let algorithms = algorithms(arguments, organisation)?;
    let timing = loaded.settings.timing();
    let wanted = Situation {
        algorithms: &algorithms,
        ..situation(organisation, &keyring, &[], &timing)
    }
    .roll();
    let added = make_wanted(&keystore, organisation, &wanted)?;
    if added.is_empty() {
        return Err(nothing_to_make(&keystore, organisation, &algorithms)?);
    }
    if let Some(by) = by {
        let selectors = added.iter().map(|one| &one.selector);
        let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
        writer.set_deadline(&organisation.id, selectors, by)?;
    }
    if arguments.json {
        context.output.json(&Additions { keys: &added });
        return Ok(Status::Good);
    }
    print_wanted(organisation, &added, &mut context.output);
    print_what_follows(organisation, &added, &mut context.output);
    Ok(Status::Good)
}

fn algorithms(
    arguments: &RollArguments,
    organisation: &Organisation,
) -> Result<Vec<Algorithm>, Failure> {
    let id = &organisation.id;
    match arguments.algorithm {
        None => Ok(organisation.algorithms.clone()),
        Some(algorithm) if organisation.algorithms.contains(&algorithm) => Ok(vec![algorithm]),
        Some(algorithm) => Err(Failure::Usage(format!(
            "{algorithm} is not among the algorithms of {id}; add it to algorithms in \
             orgs.d/{id}.toml"
        ))),
    }
}

/// Why there is no key to be made.
fn nothing_to_make(
    keystore: &Keystore,
    organisation: &Organisation,
    algorithms: &[Algorithm],
) -> Result<Failure, Failure> {
    let id = &organisation.id;
    if organisation.domains.is_empty() {
        return Ok(Failure::Usage(format!(
            "{id} has only parked domains, which need no key"
        )));
    }
    let keyring = keystore.read_keyring(id)?;
    let mut domains = organisation.domains.iter();
    if domains.all(|domain| keyring.departure(domain).is_some()) {
        return Ok(Failure::Other(format!(
            "no key was made: {id} leaves, so that no rotation begins; see `zegel org show {id}`. \
             If it stays: zegel org retire {id} --undo"
        )));
    }
    let domains: Vec<&DomainName> = organisation.domains.iter().collect();
    let waiting = waiting_keys(&keyring, organisation, &domains);
    let waiting = waiting
        .iter()
        .filter(|entry| algorithms.contains(&entry.algorithm));
    let waiting = list(waiting.map(|entry| &entry.selector));
    Ok(Failure::Other(format!(
        "no key was made: a rotation is under way already, and {waiting} waits to sign; see \
         `zegel key list {id}`. To give it up and have another: zegel key roll --abort {id} \
         SELECTOR"
    )))
}

fn print_what_follows(organisation: &Organisation, added: &[Addition], output: &mut Output) {
    output.line(
        "Nothing changes for mail until then. The keeper lets it sign when every name server \
         has shown its record for long enough; the key before it then drains, and its record \
         stays until `zegel key list` says that it can be removed.",
    );
    output.line("Without a keeper, when the record is there:");
    for addition in added {
        output.line(format_args!(
            "  zegel key activate {} {}",
            organisation.id, addition.selector
        ));
    }
}

fn give_up(
    keystore: &Keystore,
    organisation: &Organisation,
    selector: &Selector,
    arguments: &RollArguments,
    output: &mut Output,
) -> Result<Status, Failure> {
    let id = &organisation.id;
    let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
    let keyring = keystore.read_keyring(id)?;
    let entry = find(organisation, &keyring, selector)?;
    let domains = domains_of_key(entry, &arguments.domains)?;
    let now = Timestamp::now();
    let changes =
        abort(&keyring, selector, &domains, now).map_err(|error| not_aborted(id, &error))?;
    writer.apply(id, &changes, now)?;
    drop(writer);
    if arguments.json {
        output.json(&GivenUp::new(id, selector, &changes));
        return Ok(Status::Good);
    }
    let given_up = list(changes.iter().map(|change| &change.domain));
    output.line(format_args!(
        "{selector} is given up for {given_up}: it will never sign there. Its record may be \
         taken out of the DNS; the selector is not used again."
    ));
    output.line("If a rotation is due, the keeper makes another key.");
    Ok(Status::Good)
}

fn not_aborted(id: impl std::fmt::Display, error: &CommandError) -> Failure {
    Failure::Other(match error {
        CommandError::Signing { selector, domain } => format!(
            "{selector} signs for {domain}, so it is no successor any more; nothing was changed. \
             `zegel key roll {id}` makes one; name other domains with --domain"
        ),
        CommandError::NothingToDo(selector) => {
            format!("{selector} waits to sign for none of these domains; see `zegel key list {id}`")
        }
        other => other.to_string(),
    })
}
