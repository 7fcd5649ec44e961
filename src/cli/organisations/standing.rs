//! `zegel org suspend`, `resume` and `retire`: what the operator says of an organisation as a
//! whole. It is kept in the keystore, so that every copy of that has it.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, nearest, refuse_broken},
        failure::Failure,
        output::{Output, warn},
        status::Status,
    },
    config::Loaded,
    keystore::{Keystore, Retired},
    names::{DomainName, OrganisationId, Selector},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct StandingArguments {
    /// Its id: the name of its file in orgs.d, without .toml
    #[arg(value_name = "ORG")]
    id: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RetireArguments {
    /// Its id: the name that its file in orgs.d had, without .toml
    #[arg(value_name = "ORG")]
    id: String,

    /// Only this domain, which its file does not have any more
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What became of a suspension.
#[derive(Serialize)]
struct Standing<'a> {
    organisation: &'a OrganisationId,
    /// Since when; none if it is not.
    suspended: Option<Timestamp>,
    /// Whether that is so since now.
    changed: bool,
}

/// What a retirement came to.
#[derive(Serialize)]
struct Retirement<'a> {
    organisation: &'a OrganisationId,
    /// Keys that sign no more.
    ended: Vec<RetiredKey<'a>>,
    /// Keys that the keyring does not have, and that are given up all the same.
    missing: Vec<RetiredKey<'a>>,
}

#[derive(Serialize)]
struct RetiredKey<'a> {
    domain: &'a DomainName,
    selector: &'a Selector,
}

pub(super) fn suspend(
    arguments: &StandingArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    let id = &id;
    let mut writer = keystore.writer()?;
    let before = keystore.read_keyring(id)?.suspended();
    let now = Timestamp::now();
    if before.is_none() {
        writer.suspend(id, now)?;
    }
    if arguments.json {
        context.output.json(&Standing {
            organisation: id,
            suspended: before.or(Some(now)),
            changed: before.is_none(),
        });
        return Ok(Status::Good);
    }
    if let Some(since) = before {
        let line = format_args!("{id} is suspended already, since {since:.0}");
        context.output.line(line);
        return Ok(Status::Good);
    }
    context.output.line(format_args!(
        "{id} is suspended: a running signer signs none of its mail within seconds, and treats \
         it by [policy] suspended. Keys and records stay. `zegel org resume {id}` ends it."
    ));
    Ok(Status::Good)
}

pub(super) fn resume(
    arguments: &StandingArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    let id = &id;
    let mut writer = keystore.writer()?;
    let changed = keystore.read_keyring(id)?.suspended().is_some();
    if changed {
        writer.resume(id, Timestamp::now())?;
    }
    if arguments.json {
        context.output.json(&Standing {
            organisation: id,
            suspended: None,
            changed,
        });
        return Ok(Status::Good);
    }
    if !changed {
        context
            .output
            .line(format_args!("{id} is not suspended: nothing has changed"));
        return Ok(Status::Good);
    }
    context.output.line(format_args!(
        "{id} is suspended no more: a running signer signs its mail again within seconds"
    ));
    Ok(Status::Good)
}

pub(super) fn retire(
    arguments: &RetireArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load()?;
    refuse_broken(&loaded, &arguments.id)?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    let id = &id;
    refuse_if_there(&loaded, id, arguments.domain.as_ref())?;
    let domain = arguments.domain.as_ref();
    if let Some(domain) = domain {
        refuse_if_unknown(&keystore, id, domain)?;
    }
    let timing = loaded.settings.timing();
    let retired = keystore
        .writer()?
        .retire(id, domain, &timing, Timestamp::now())?;
    if retired.changes.is_empty() && retired.missing.is_empty() {
        let what = domain.map_or_else(|| id.to_string(), |domain| format!("{domain} of {id}"));
        warn(format_args!(
            "{what} has no key in use, so there is nothing to retire; see `zegel key list`"
        ));
    }
    if arguments.json {
        context.output.json(&Retirement::new(id, &retired));
    } else {
        print_retired(id, &retired, &mut context.output);
    }
    Ok(Status::Good)
}

impl<'a> Retirement<'a> {
    fn new(organisation: &'a OrganisationId, Retired { changes, missing }: &'a Retired) -> Self {
        let ended = changes.iter().map(|one| (&one.domain, &one.selector));
        let missing = missing.iter().map(|one| (&one.domain, &one.selector));
        let key = |(domain, selector)| RetiredKey { domain, selector };
        Self {
            organisation,
            ended: ended.map(key).collect(),
            missing: missing.map(key).collect(),
        }
    }
}

fn print_retired(id: &OrganisationId, retired: &Retired, output: &mut Output) {
    let Retired { changes, missing } = retired;
    for one in missing {
        output.line(format_args!(
            "{}: {} is not in the keyring, and is given up now: a keyring that has it does not \
             sign with it",
            one.domain, one.selector
        ));
    }
    for change in changes {
        output.line(format_args!(
            "{}: {} signs no more; leave its record in the DNS until the keeper asks for it",
            change.domain, change.selector
        ));
    }
    if changes.is_empty() {
        return;
    }
    output.line(format_args!(
        "To undo this, put the file of {id} back as it was: each key signs again when the keeper \
         sees its record at every name server. That ends when its record is asked back."
    ));
}

/// What a file says is not undone by a command.
fn refuse_if_there(
    loaded: &Loaded,
    id: &OrganisationId,
    domain: Option<&DomainName>,
) -> Result<(), Failure> {
    let Some(organisation) = loaded.organisations.iter().find(|one| one.id == *id) else {
        return Ok(());
    };
    let way = match domain {
        None => format!("take orgs.d/{id}.toml away"),
        Some(domain)
            if organisation.domains.contains(domain) || is_contested(loaded, id, domain) =>
        {
            format!("take {domain} out of domains in orgs.d/{id}.toml")
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::Usage(format!(
        "the configuration still has it: {way} first, then say this again; \
         to stop mail at once, use `zegel org suspend {id}`"
    )))
}

/// Several files have it, this one too.
fn is_contested(loaded: &Loaded, id: &OrganisationId, domain: &DomainName) -> bool {
    let mut contested = loaded.mistakes.contested.iter();
    contested.any(|one| one.domain == *domain && one.senders.contains(id))
}

/// A domain that no key was made for is a mistake, more likely than not.
fn refuse_if_unknown(
    keystore: &Keystore,
    id: &OrganisationId,
    domain: &DomainName,
) -> Result<(), Failure> {
    let keyring = keystore.read_keyring(id)?;
    let mut domains = keystore.witness()?.domains(id);
    let keys = keyring.keys().iter();
    domains.extend(keys.flat_map(|key| key.publications.keys()).cloned());
    if domains.contains(domain) {
        return Ok(());
    }
    let known = domains.iter().map(DomainName::as_str);
    let advice = nearest(domain.as_str(), known);
    Err(Failure::Usage(format!(
        "no key of {id} was made for {domain}; {}",
        advice.unwrap_or_else(|| format!("see `zegel key list {id}`"))
    )))
}

/// The keystore, and the id, if the configuration, the keystore or its mark knows the
/// organisation.
fn known(
    loaded: &Loaded,
    id: &str,
    context: &mut Context,
) -> Result<(Keystore, OrganisationId), Failure> {
    let keystore = context.open_keystore(&loaded.settings)?;
    let mut in_keystore = keystore.organisations()?.into_iter();
    let in_files = loaded.organisations.iter().map(|one| &one.id);
    let found = in_files
        .into_iter()
        .find(|one| one.as_str() == id)
        .cloned()
        .or_else(|| in_keystore.find(|one| one.as_str() == id));
    let found = match (found, id.parse()) {
        (None, Ok(id)) => (!keystore.witness()?.domains(&id).is_empty()).then_some(id),
        (found, _) => found,
    };
    match found {
        Some(id) => Ok((keystore, id)),
        None => Err(Failure::Usage(format!(
            "there is no organisation {id}, in orgs.d or in the keystore; see `zegel org list`"
        ))),
    }
}
