//! `zegel key revoke`

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    addition::{Addition, make_wanted, print_wanted},
    choice::{find, list, unsigned_domains, waiting_keys},
    say_taken_up,
};
use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        output::{Output, warn},
        status::Status,
    },
    config::{Loaded, situation},
    keys::{Change, KeyEntry, Keyring, Situation, State, revoke},
    keystore::Keystore,
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct RevokeArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The selector of the key
    selector: Selector,

    /// You say that others have, or may have, the private key
    #[arg(long)]
    compromised: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was done, and what is to be done.
#[derive(Serialize)]
struct Revoked<'a> {
    organisation: &'a OrganisationId,
    selector: &'a Selector,
    domains: Vec<&'a DomainName>,
    /// What is to take the place of its records.
    records: Vec<EmptyRecord>,
    /// Made now.
    successors: &'a [Addition],
    /// Domains without a key that signs.
    unsigned: &'a [&'a DomainName],
}

#[derive(Serialize)]
struct EmptyRecord {
    name: String,
    value: String,
}

pub(super) fn run(arguments: &RevokeArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let named = &arguments.organisation;
    let organisation = &*context::organisation_or_gone(&loaded, &keystore, named)?;
    let selector = &arguments.selector;
    let id = &organisation.id;
    let keyring = keystore.read_keyring(id)?;
    find(organisation, &keyring, selector)?;
    if !arguments.compromised {
        return Err(refusal(organisation, selector));
    }
    let now = Timestamp::now();
    let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
    // Under the lock: what it was like right before.
    let keyring = keystore.read_keyring(id)?;
    let entry = find(organisation, &keyring, selector)?;
    let changes = revoke(&keyring, selector, now).map_err(|_| {
        Failure::Other(format!(
            "{selector} was revoked before, for every domain; see `zegel key list {id}`"
        ))
    })?;
    writer.apply(id, &changes, now)?;
    drop(writer);
    let output = &mut context.output;
    if !arguments.json {
        print_revoked(&changes, entry, output);
    }
    let added = replace(&keystore, &loaded, organisation, entry)?;
    let after = keystore.read_keyring(id)?;
    let unsigned = unsigned_domains(organisation, &after);
    if !unsigned.is_empty() {
        warn(format_args!(
            "mail from {} is not signed until a successor is active",
            list(&unsigned)
        ));
    }
    if arguments.json {
        output.json(&Revoked {
            organisation: id,
            selector,
            domains: changes.iter().map(|change| &change.domain).collect(),
            records: empty_records(entry).collect(),
            successors: &added,
            unsigned: &unsigned,
        });
        return Ok(Status::Good);
    }
    if !added.is_empty() {
        print_wanted(organisation, &added, output);
    }
    print_unsigned(&loaded, organisation, (&after, &unsigned), output);
    Ok(Status::Good)
}

fn refusal(organisation: &Organisation, selector: &Selector) -> Failure {
    let id = &organisation.id;
    Failure::Usage(format!(
        "{selector} was not revoked. Revoking is for a private key that others have or may \
         have: it stops signing at once, for all its domains; its record is to be emptied \
         (p=), after which mail on its way does not verify any more; and mail is unsigned until \
         a successor is active. If that is what you want: zegel key revoke {id} {selector} \
         --compromised. To replace a key that nobody has: zegel key roll {id}"
    ))
}

/// What must be done at once by whoever runs the DNS.
fn empty_records(entry: &KeyEntry) -> impl Iterator<Item = EmptyRecord> {
    let key_type = entry.algorithm.key_type();
    entry.publications.keys().map(move |domain| EmptyRecord {
        name: entry.selector.record_name(domain),
        value: format!("v=DKIM1; k={key_type}; p="),
    })
}

fn print_revoked(changes: &[Change], entry: &KeyEntry, output: &mut Output) {
    output.line(format_args!(
        "{} is revoked for {}: it never signs again.",
        entry.selector,
        list(changes.iter().map(|change| &change.domain))
    ));
    say_taken_up(output);
    output.line(
        "Until its record is emptied, others can sign with it. Have this put in the place of \
         its value, now, and the record removed some days later:",
    );
    for EmptyRecord { name, value } in empty_records(entry) {
        output.line(format_args!("  {name}. TXT \"{value}\""));
    }
}

/// Makes a successor of a key that was in use, or was to be, where none is waiting.
fn replace(
    keystore: &Keystore,
    loaded: &Loaded,
    organisation: &Organisation,
    before: &KeyEntry,
) -> Result<Vec<Addition>, Failure> {
    let lived = before.publications.values().any(|publication| {
        matches!(
            publication.state,
            State::Generated | State::Published | State::Active
        )
    });
    if !lived || !organisation.algorithms.contains(&before.algorithm) {
        return Ok(Vec::new());
    }
    let keyring = keystore.read_keyring(&organisation.id)?;
    let timing = loaded.settings.timing();
    let wanted = Situation {
        algorithms: &[before.algorithm],
        ..situation(organisation, &keyring, &[], &timing)
    }
    .roll();
    make_wanted(keystore, organisation, &wanted)
}

fn print_unsigned(
    loaded: &Loaded,
    organisation: &Organisation,
    (keyring, unsigned): (&Keyring, &[&DomainName]),
    output: &mut Output,
) {
    let id = &organisation.id;
    if unsigned.is_empty() && organisation.domains.is_empty() {
        return;
    }
    if unsigned.is_empty() {
        output.line("Each domain still has a key that signs.");
        return;
    }
    output.line(format_args!(
        "To be quick: have the record published now. It signs when every name server has shown \
         it for as long as the zone lets others remember that there is none, and at least {} \
         ([keeper] settle). The keeper sees to that; to look at once:",
        humantime::format_duration(loaded.settings.keeper.settle)
    ));
    for entry in waiting_keys(keyring, organisation, unsigned) {
        let selector = &entry.selector;
        output.line(format_args!("  zegel key activate {id} {selector}"));
    }
    output.line(
        "With --assume-published it signs without that wait; where the record is \
         not seen yet, receivers find the signature broken.",
    );
}
