//! `zegel import`: organisations, keys and settings out of the configuration of another
//! signer. It reads that, and never changes it.

mod keys;
mod report;
mod write;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use self::{keys::Keys, write::Destination};
use super::{context::Context, failure::Failure, status::Status};
use crate::import::{self, Files, Setup};

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// From opendkim.conf and the tables that it names
    Opendkim(OpendkimArguments),
    /// From dkim_signing.conf of rspamd and the maps that it names
    Rspamd(RspamdArguments),
}

#[derive(Args, Debug)]
pub(super) struct OpendkimArguments {
    /// The configuration of OpenDKIM
    // By this id it takes the place of the common option. No default: ZEGEL_CONFIG would win.
    #[arg(id = "config", long = "config", value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Args, Debug)]
pub(super) struct RspamdArguments {
    /// dkim_signing.conf, as it is in local.d
    // By this id it takes the place of the common option. No default: ZEGEL_CONFIG would win.
    #[arg(id = "config", long = "config", value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Args, Debug)]
struct CommonArguments {
    /// Where orgs.d and, if there is none, zegel.toml are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The keystore, made if it is not there [default: that of zegel.toml in DIR]
    #[arg(long, value_name = "DIR")]
    keystore: Option<PathBuf>,

    /// Write nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,

    /// Let the keys sign at once that the other signer signs with: you say that their records
    /// are in the DNS
    #[arg(long)]
    assume_published: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &ImportCommand, context: &mut Context) -> Result<Status, Failure> {
    let (file, common) = match command {
        ImportCommand::Opendkim(arguments) => (&arguments.file, &arguments.common),
        ImportCommand::Rspamd(arguments) => (&arguments.file, &arguments.common),
    };
    // Paths in it may be relative to its folder, wherever this command is started.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let setup = match command {
        ImportCommand::Opendkim(_) => import::opendkim::read(&file, &Disk),
        ImportCommand::Rspamd(_) => import::rspamd::read(&file, &Disk),
    };
    let setup = setup.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    take_over(setup, common, context)
}

fn take_over(
    mut setup: Setup,
    arguments: &CommonArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let mut destination = Destination::new(&arguments.out, arguments.keystore.as_deref())?;
    let keys = Keys::read(setup.signings.iter().map(|signing| &signing.key));
    let lock = (!arguments.dry_run).then(|| destination.lock());
    let _lock = lock.transpose()?;
    setup.findings.extend(Keys::findings(&setup.signings));
    let plan = import::plan(setup, &keys.facts(), &destination.taken);
    let planned = &plan.organisations;
    let mut report = destination.report(planned, plan.findings, arguments.assume_published);
    if arguments.dry_run {
        report.dry_run = true;
    } else {
        destination.write(planned, &plan.hints, &keys, &mut report)?;
    }
    let status = report.status();
    if arguments.json {
        context.output.json(&report);
    } else {
        report.print(&mut context.output);
    }
    Ok(status)
}

/// The files of this host.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        /// A table of a million domains.
        const LONGEST: u64 = 256 * 1024 * 1024;
        let metadata = fs::metadata(path)?;
        // Before it is opened: opening a pipe would wait for ever.
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if metadata.len() > LONGEST {
            return Err(io::Error::other("it is longer than 256 MiB"));
        }
        let octets = fs::read(path)?;
        Ok(String::from_utf8(octets)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}
