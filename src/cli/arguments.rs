//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    audit::AuditArguments,
    check::CheckArguments,
    database::DatabaseCommand,
    demo::DemoArguments,
    dmarc::DmarcCommand,
    dns::DnsCommand,
    doctor::DoctorArguments,
    explain::ExplainArguments,
    import::ImportCommand,
    keeper::LookArguments,
    key::KeyCommand,
    keystore::KeystoreCommand,
    live::{StatusArguments, TopArguments},
    organisations::OrganisationCommand,
    report::ReportCommand,
    sign::SignArguments,
    verify::VerifyArguments,
};

#[cfg(feature = "aws-lc-rs")]
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (aws-lc-rs)");
#[cfg(not(feature = "aws-lc-rs"))]
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (ring)");

/// Signs outgoing mail with DKIM, for many organisations at once.
#[derive(Debug, Parser)]
#[command(
    name = "zegel",
    version = VERSION,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 good, 1 a check found something or it could not be done, \
                  2 usage, 75 try again, 78 configuration."
)]
pub(super) struct Arguments {
    /// The configuration [default: /etc/zegel/zegel.toml]; orgs.d is beside it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ZEGEL_CONFIG",
        hide_env_values = true
    )]
    pub(super) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the milter: sign mail until told to stop
    Run,
    /// Take the keys through their lives: look at the DNS, make successors, activate
    Keeper(KeeperArguments),
    /// Show it at work, without an MTA
    Demo(DemoArguments),
    /// Check configuration and keystore, and try every key
    Check(CheckArguments),
    /// Sign a message as the milter would
    Sign(SignArguments),
    /// Say why a message is signed or not, step by step
    Explain(ExplainArguments),
    /// Verify the signatures of a message
    Verify(VerifyArguments),
    /// Organisations
    #[command(subcommand)]
    Org(OrganisationCommand),
    /// Keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// The database that several relays share
    #[command(subcommand)]
    Database(DatabaseCommand),

    /// The keystore as a whole
    #[command(subcommand)]
    Keystore(KeystoreCommand),
    /// DNS records
    #[command(subcommand)]
    Dns(DnsCommand),
    /// Prove which keys signed in a period, how long they were and who did what
    Audit(AuditArguments),
    /// What receivers report about mail in the names of our domains (DMARC)
    #[command(subcommand)]
    Report(ReportCommand),
    /// The way of DMARC from `none` to `reject`
    #[command(subcommand)]
    Dmarc(DmarcCommand),
    /// How the running signer and keeper are, at one look
    Status(StatusArguments),
    /// Who sends now: organisations with their rates, over and over
    Top(TopArguments),
    /// Look for what is dangerous in the settings of Postfix or Sendmail
    Doctor(DoctorArguments),
    /// Take over the set-up of another signer
    #[command(subcommand)]
    Import(ImportCommand),
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct KeeperArguments {
    /// One round, for a timer; exit status 1 if something needs attention
    #[arg(long)]
    pub(super) once: bool,

    #[command(subcommand)]
    pub(super) command: Option<KeeperCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeeperCommand {
    /// Look at the DNS of an organisation now, and show its keys; the keeper may run
    Look(LookArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
