//! `zegel key activate`

use clap::Args;
use jiff::Timestamp;

use super::{choice::find, evidence, say_taken_up};
use crate::{
    cli::{
        context::{self, Context, domains_of},
        failure::Failure,
        output::Output,
        status::Status,
    },
    keys::{Evidence, KeyEntry, Keyring, State},
    keystore::{Keystore, Target},
    names::{DomainName, Selector},
    organisation::Organisation,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ActivateArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The selector of the key
    selector: Selector,

    /// Only for this domain; may be given several times [default: all that it was made for]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Without looking at the DNS: you say that the record is there, on every name server
    #[arg(long)]
    assume_published: bool,
}

pub(super) fn run(arguments: &ActivateArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    let keyring = keystore.read_keyring(&organisation.id)?;
    let entry = find(organisation, &keyring, &arguments.selector)?;
    let domains = domains(arguments, organisation, entry)?;
    let target = Target {
        organisation: &organisation.id,
        selector: &arguments.selector,
        domains: &domains,
    };
    if !arguments.assume_published {
        let place = (&loaded.settings, organisation);
        return evidence::activate(&keystore, place, &target, &mut context.output);
    }
    let mut writer = keystore.writer()?;
    // Under the lock: what it was like right before.
    let before = keystore.read_keyring(&organisation.id)?;
    writer.activate(&target, Evidence::Assumed, Timestamp::now())?;
    drop(writer);
    for domain in &domains {
        print(&before, (&arguments.selector, domain), &mut context.output);
    }
    say_taken_up(&mut context.output);
    Ok(Status::Good)
}

/// Those that are named, or those that the key was made for and the organisation still has.
fn domains(
    arguments: &ActivateArguments,
    organisation: &Organisation,
    entry: &KeyEntry,
) -> Result<Vec<DomainName>, Failure> {
    if !arguments.domains.is_empty() {
        return domains_of(organisation, &arguments.domains);
    }
    let domains = entry.publications.keys();
    let domains: Vec<DomainName> = domains
        .filter(|domain| organisation.domains.contains(domain))
        .cloned()
        .collect();
    if domains.is_empty() {
        return Err(Failure::Usage(format!(
            "{} was made for none of the domains that {} has now; name some with --domain",
            entry.selector, organisation.id
        )));
    }
    Ok(domains)
}

/// What has happened to a key that signs now.
pub(super) fn print(
    before: &Keyring,
    (selector, domain): (&Selector, &DomainName),
    output: &mut Output,
) {
    let Some(entry) = before.key(selector) else {
        return;
    };
    if entry.state(domain) == Some(State::Active) {
        output.line(format_args!("{domain}: {selector} signed already"));
        return;
    }
    match before.active_key(domain, entry.algorithm) {
        None => output.line(format_args!("{domain}: {selector} signs from now on")),
        Some(older) => output.line(format_args!(
            "{domain}: {selector} signs from now on; {} drains: leave its record in the DNS",
            older.selector
        )),
    }
}
