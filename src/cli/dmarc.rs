//! `zegel dmarc`: from `p=none` to `p=reject`, and how far every domain has come.

mod status;
mod told;

use clap::Subcommand;

use self::status::StatusArguments;
use super::{context::Context, failure::Failure, status::Status};

#[derive(Debug, Subcommand)]
pub(super) enum DmarcCommand {
    /// How far each domain has come, what holds it, and which record it should have now
    Status(StatusArguments),
}

pub(super) fn run(command: &DmarcCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        DmarcCommand::Status(arguments) => status::run(arguments, context),
    }
}
