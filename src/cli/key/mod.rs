//! `zegel key`: making keys, bringing them in, letting them sign, giving them up.

mod activate;
mod addition;
mod choice;
mod export;
mod generate;
mod import;
mod list;
mod revoke;
mod roll;
mod withdraw;

use clap::Subcommand;

#[cfg(test)]
pub(super) use self::list::printed as list_printed;
use self::{
    activate::ActivateArguments, export::ExportArguments, generate::GenerateArguments,
    import::ImportArguments, list::ListArguments, revoke::RevokeArguments, roll::RollArguments,
    withdraw::WithdrawArguments,
};
pub(super) use self::{
    addition::{Addition, make_wanted},
    list::list,
};
use super::{context::Context, failure::Failure, output::Output, status::Status};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key of each algorithm of an organisation, and print the records to publish
    Generate(GenerateArguments),
    /// Bring in a key that was made elsewhere
    Import(ImportArguments),
    /// Print a private key in the clear, to take it elsewhere
    Export(ExportArguments),
    /// List keys, with their state in each domain
    List(ListArguments),
    /// Let a key sign, if every name server shows its record
    Activate(ActivateArguments),
    /// Start a rotation now: make the successors of the keys that sign
    Roll(RollArguments),
    /// Give up a key that others have, at once and for all its domains
    Revoke(RevokeArguments),
    /// Say that the record of a former key is gone, or can be removed
    Withdraw(WithdrawArguments),
}

pub(super) fn run(command: &KeyCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        KeyCommand::Generate(arguments) => generate::run(arguments, context),
        KeyCommand::Import(arguments) => import::run(arguments, context),
        KeyCommand::Export(arguments) => export::run(arguments, context),
        KeyCommand::List(arguments) => list::run(arguments, context),
        KeyCommand::Activate(arguments) => activate::run(arguments, context),
        KeyCommand::Roll(arguments) => roll::run(arguments, context),
        KeyCommand::Revoke(arguments) => revoke::run(arguments, context),
        KeyCommand::Withdraw(arguments) => withdraw::run(arguments, context),
    }
}

/// What follows on a change of the keys that are in use.
fn say_taken_up(output: &mut Output) {
    output.line("A running signer takes this up within seconds; nothing has to be restarted.");
}
