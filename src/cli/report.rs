//! `zegel report`: what receivers say of our mail (RFC 9990).

mod forget;
mod found;
mod ingest;
mod maildir;
mod name;
mod pointers;
mod refused;
mod streams;
mod walk;

use clap::Subcommand;

use self::{
    forget::ForgetArguments, ingest::IngestArguments, name::NameArguments,
    streams::StreamsArguments,
};
use super::{context::Context, failure::Failure, status::Status};
use crate::{
    config::{Loaded, ReportSettings},
    evidence::{Store, StoreError},
    keystore::Keystore,
    names::DomainName,
    sending::{SendingError, concerns},
};

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Read DMARC aggregate reports, and keep what they prove
    Ingest(IngestArguments),
    /// Who sends in the name of a domain, as the reports show it
    Streams(StreamsArguments),
    /// Say what a stream is
    Name(NameArguments),
    /// Forget what is kept about a domain, or of before a day
    Forget(ForgetArguments),
}

pub(super) fn run(command: &ReportCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        ReportCommand::Ingest(arguments) => ingest::run(arguments, context),
        ReportCommand::Streams(arguments) => streams::run(arguments, context),
        ReportCommand::Name(arguments) => name::run(arguments, context),
        ReportCommand::Forget(arguments) => forget::run(arguments, context),
    }
}

/// The store for reading, which must be there.
pub(super) fn store_there(settings: &ReportSettings) -> Result<Store, Failure> {
    let store = Store::read(&settings.state).map_err(|error| state_advice(&error))?;
    store.ok_or_else(|| {
        Failure::Other(format!(
            "{}: no report has been read yet: zegel report ingest reads them, and [reports] state \
             in zegel.toml says where they are kept",
            settings.state.display()
        ))
    })
}

/// The keystore, if someone here has keys for the domain, or for one above or below it.
pub(super) fn keystore_for(
    loaded: &Loaded,
    domain: &DomainName,
) -> Result<Option<Keystore>, Failure> {
    let is_ours = concerns(loaded, domain);
    let opened = is_ours.then(|| loaded.settings.open_keystore());
    Ok(opened.transpose()?)
}

/// Why nobody can tell who sends.
pub(super) fn sending_advice(error: SendingError) -> Failure {
    match error {
        SendingError::Store(error) => state_advice(&error),
        SendingError::Keystore(error) => error.into(),
    }
}

/// What is wrong with the store, and where to look.
pub(super) fn state_advice(error: &StoreError) -> Failure {
    Failure::Other(format!(
        "{error}; see [reports] state in zegel.toml, and what this user may do there"
    ))
}
