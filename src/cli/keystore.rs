//! `zegel keystore`: the folder with the keys as a whole.

use clap::Subcommand;

use super::{context::Context, failure::Failure, output::complain, status::Status};
use crate::{
    config::Settings,
    keystore::{Keystore, KeystoreError},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeystoreCommand {
    /// Make a keystore of the empty folder of [keystore] path
    Init,
}

pub(super) fn run(command: &KeystoreCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        KeystoreCommand::Init => init(context),
    }
}

fn init(context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?;
    let path = keystore.path().display();
    if keystore.initialise()? {
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

/// The keystore, for a command that makes the first key: an empty folder becomes one.
pub(super) fn open_or_initialise(settings: &Settings) -> Result<Keystore, KeystoreError> {
    let keystore = settings.open_keystore()?;
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
