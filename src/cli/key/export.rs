//! `zegel key export`

use std::io::{self, IsTerminal};

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        status::Status,
    },
    keystore::KeystoreError,
    names::Selector,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ExportArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The selector of the key
    selector: Selector,

    /// Print it even if standard output is a terminal, which may keep it
    #[arg(long)]
    to_terminal: bool,
}

pub(super) fn run(arguments: &ExportArguments, context: &mut Context) -> Result<Status, Failure> {
    if io::stdout().is_terminal() && !arguments.to_terminal {
        return Err(Failure::Usage(
            "a private key is not printed to a terminal: send it to a file (umask 077 first), or \
             add --to-terminal"
                .to_owned(),
        ));
    }
    let loaded = context.load_of(&arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let organisation = context::organisation_or_gone(&loaded, &keystore, &arguments.organisation)?;
    let keyring = keystore.read_keyring(&organisation.id)?;
    let entry = keyring
        .key(&arguments.selector)
        .ok_or_else(|| KeystoreError::UnknownKey {
            organisation: organisation.id.clone(),
            selector: arguments.selector.clone(),
        })?;
    let pem = keystore.export_key(&organisation.id, entry, Timestamp::now())?;
    context.output.octets(&pem);
    Ok(Status::Good)
}
