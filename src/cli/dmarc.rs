//! `zegel dmarc`: from `p=none` to `p=reject`, and how far every domain has come.

mod confirm;
mod figures;
mod letter;
mod overview;
mod status;
mod told;

use clap::Subcommand;

use self::{
    confirm::ConfirmArguments, letter::LetterArguments, overview::OverviewArguments,
    status::StatusArguments,
};
use super::{context::Context, failure::Failure, status::Status};

#[derive(Debug, Subcommand)]
pub(super) enum DmarcCommand {
    /// How far each domain has come, what holds it, and which record it should have now
    Status(StatusArguments),
    /// Say that all who send in the name of a domain are known
    Confirm(ConfirmArguments),
    /// A page for the customer: who sent in its name, what was stopped, and what it has to do
    Letter(LetterArguments),
    /// What the DNS has of each domain, as the yearly measurement counts it
    Overview(OverviewArguments),
}

pub(super) fn run(command: &DmarcCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        DmarcCommand::Status(arguments) => status::run(arguments, context),
        DmarcCommand::Confirm(arguments) => confirm::run(arguments, context),
        DmarcCommand::Letter(arguments) => letter::run(arguments, context),
        DmarcCommand::Overview(arguments) => overview::run(arguments, context),
    }
}
