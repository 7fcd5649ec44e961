//! `zegel report`: what receivers say of our mail (RFC 9990).

mod found;
mod ingest;
mod refused;
mod walk;

use clap::Subcommand;

use self::ingest::IngestArguments;
use super::{context::Context, failure::Failure, status::Status};

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Read DMARC aggregate reports, and keep what they prove
    Ingest(IngestArguments),
}

pub(super) fn run(command: &ReportCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        ReportCommand::Ingest(arguments) => ingest::run(arguments, context),
    }
}
