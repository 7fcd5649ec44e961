//! `zegel keystore`: the folder with the keys as a whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::{context::Context, failure::Failure, output::complain, status::Status};
use crate::{
    config::Settings,
    keys::Change,
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeystoreCommand {
    /// Make a keystore of the empty folder of keystore.path
    Init(InitArguments),
    /// Take a backup that was put back for the keystore that is meant
    Restore(RestoreArguments),
}

#[derive(Args, Debug)]
pub(super) struct InitArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct RestoreArguments {
    /// Copy this backup into the empty folder of keystore.path first
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Initialised<'a> {
    path: &'a Path,
    /// Whether it is one since now.
    made: bool,
}

#[derive(Serialize)]
struct ShownRestoration<'a> {
    path: &'a Path,
    generation: u64,
    /// Keys that were given up since the backup was made, and are revoked in it now.
    given_up: Vec<GivenUp<'a>>,
}

#[derive(Serialize)]
struct GivenUp<'a> {
    organisation: &'a OrganisationId,
    domain: &'a DomainName,
    selector: &'a Selector,
}

pub(super) fn run(command: &KeystoreCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        KeystoreCommand::Init(arguments) => init(arguments, context),
        KeystoreCommand::Restore(arguments) => restore(arguments, context),
    }
}

fn init(arguments: &InitArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let made = keystore.initialise()?;
    if arguments.json {
        let path = keystore.path();
        context.output.json(&Initialised { path, made });
        return Ok(Status::Good);
    }
    let path = keystore.path().display();
    if made {
        context
            .output
            .line(format_args!("{path} is a keystore now."));
    } else {
        context.output.line(format_args!(
            "{path} is a keystore already; nothing was changed."
        ));
    }
    Ok(Status::Good)
}

fn restore(arguments: &RestoreArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = context.open_keystore(&loaded.settings)?;
    if let Some(backup) = &arguments.from {
        keystore.copy_from(backup)?;
    }
    let restored = keystore.restore(Timestamp::now())?;
    for error in &restored.failed {
        complain(error);
    }
    let status = Status::of_check(restored.failed.is_empty());
    let output = &mut context.output;
    if arguments.json {
        let given_up = restored.given_up.iter();
        output.json(&ShownRestoration {
            path: keystore.path(),
            generation: restored.generation,
            given_up: given_up.map(GivenUp::from).collect(),
        });
        return Ok(status);
    }
    for (organisation, change) in &restored.given_up {
        output.line(format_args!(
            "{organisation}: {} was given up for {} since the backup was made, and is revoked here",
            change.selector, change.domain
        ));
    }
    output.line(format_args!(
        "{} is in use again, with generation {}.",
        keystore.path().display(),
        restored.generation
    ));
    output.line(
        "The keeper takes no step in an organisation until the DNS has shown its active keys \
         again. `zegel check` says which domains lack a key.",
    );
    Ok(status)
}

impl<'a> From<&'a (OrganisationId, Change)> for GivenUp<'a> {
    fn from((organisation, change): &'a (OrganisationId, Change)) -> Self {
        Self {
            organisation,
            domain: &change.domain,
            selector: &change.selector,
        }
    }
}

/// The keystore, for a command that makes the first key: an empty folder becomes one.
pub(super) fn open_or_initialise(
    context: &mut Context,
    settings: &Settings,
) -> Result<Keystore, KeystoreError> {
    let keystore = context.open_keystore(settings)?;
    say_initialised(&keystore, keystore.initialise()?);
    Ok(keystore)
}

/// Says that an empty folder has become a keystore, which may be more than was meant.
pub(super) fn say_initialised(keystore: &Keystore, is_new: bool) {
    if is_new {
        complain(format_args!(
            "{}: the folder was empty and is a keystore now",
            keystore.path().display()
        ));
    }
}
