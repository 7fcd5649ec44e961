//! `zegel org suspend` and `resume`: what the operator says of an organisation as a
//! whole. It is kept in the keystore, so that every copy of that has it.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{context::Context, failure::Failure, status::Status},
    config::Loaded,
    keystore::Keystore,
    names::OrganisationId,
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

/// What became of a suspension.
#[derive(Serialize)]
struct Standing<'a> {
    organisation: &'a OrganisationId,
    /// Since when; none if it is not.
    suspended: Option<Timestamp>,
    /// Whether that is so since now.
    changed: bool,
}

pub(super) fn suspend(
    arguments: &StandingArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.id)?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    let id = &id;
    let mut writer = keystore.writer_of([id], [])?;
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
    let loaded = context.load_of(&arguments.id)?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    let id = &id;
    let mut writer = keystore.writer_of([id], [])?;
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

/// The keystore, and the id, if the configuration, the keystore or its mark knows the
/// organisation.
pub(super) fn known(
    loaded: &Loaded,
    id: &str,
    context: &mut Context,
) -> Result<(Keystore, OrganisationId), Failure> {
    let keystore = context.open_keystore(&loaded.settings)?;
    let mut in_files = loaded.organisations.iter().map(|one| &one.id);
    let found = if let Some(found) = in_files.find(|one| one.as_str() == id) {
        Some(found.clone())
    } else {
        let mut in_keystore = keystore.organisations()?.into_iter();
        in_keystore.find(|one| one.as_str() == id)
    };
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
