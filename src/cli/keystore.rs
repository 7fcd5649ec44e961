//! `zegel keystore`: the folder with the keys as a whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    context::Context,
    failure::Failure,
    output::{complain, warn},
    status::Status,
};
use crate::{
    config::Settings,
    keys::Change,
    keystore::{self, Keystore, KeystoreError, Lie, Resealed},
    names::{DomainName, OrganisationId, Selector},
    sealing::{SealingKey, SealingKeyId},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeystoreCommand {
    /// Make a keystore of the empty folder of keystore.path
    Init(InitArguments),
    /// Take a backup that was put back for the keystore that is meant
    Restore(RestoreArguments),
    /// Make a key that seals private keys, and write it into a new file
    SealingKey(SealingKeyArguments),
    /// Seal each private key with the first of keystore.sealing_keys
    Seal(SealArguments),
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

#[derive(Args, Debug)]
pub(super) struct SealingKeyArguments {
    /// The new file; it gets mode 0600
    file: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct SealArguments {
    /// The reverse: have each private key lie in the clear
    #[arg(long)]
    plain: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct MadeSealingKey<'a> {
    file: &'a Path,
    sealing_key: SealingKeyId,
}

#[derive(Serialize)]
struct ShownResealing {
    /// With which the keys are sealed now; none: they lie in the clear.
    sealing_key: Option<SealingKeyId>,
    /// How many keys lie otherwise now.
    changed: usize,
    /// How many did so already.
    unchanged: usize,
    /// Keys, and organisations, that stay as they were.
    failed: Vec<String>,
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
        KeystoreCommand::SealingKey(arguments) => make_sealing_key(arguments, context),
        KeystoreCommand::Seal(arguments) => seal(arguments, context),
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

fn make_sealing_key(
    arguments: &SealingKeyArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let file = &arguments.file;
    let made = keystore::make_sealing_key(file);
    let sealing_key = made.map_err(|error| Failure::Other(error.to_string()))?;
    if arguments.json {
        context.output.json(&MadeSealingKey { file, sealing_key });
        return Ok(Status::Good);
    }
    context.output.line(format_args!(
        "{}: the sealing key {sealing_key}. Keep a copy of this file where no backup of the \
         keystore is: without it, what it seals is lost.",
        file.display()
    ));
    Ok(Status::Good)
}

fn seal(arguments: &SealArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let lie = if arguments.plain {
        Lie::Plain
    } else {
        Lie::Sealed
    };
    let resealed = keystore.reseal(lie, Timestamp::now())?;
    let keys = keystore.sealing_keys().map_err(KeystoreError::Sealing)?;
    let first = keys.first().map(SealingKey::id);
    let sealing_key = first.filter(|_| lie == Lie::Sealed);
    let failed = resealed.failed.iter().map(ToString::to_string);
    let failed = failed.chain(resealed.unread.iter().map(ToString::to_string));
    let failed: Vec<String> = failed.collect();
    let status = Status::of_check(failed.is_empty());
    let Resealed {
        changed, unchanged, ..
    } = resealed;
    if lie == Lie::Plain && first.is_some() {
        warn(
            "new keys are sealed for as long as [keystore] sealing_keys names a sealing key: take \
             it out, and reload signer and keeper",
        );
    }
    if arguments.json {
        context.output.json(&ShownResealing {
            sealing_key,
            changed,
            unchanged,
            failed,
        });
        return Ok(status);
    }
    for problem in &failed {
        complain(problem);
    }
    let output = &mut context.output;
    match sealing_key {
        Some(id) => output.line(format_args!(
            "private keys: {changed} sealed with {id}, {unchanged} were already"
        )),
        None => output.line(format_args!(
            "private keys: {changed} put in the clear, {unchanged} were already"
        )),
    }
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
