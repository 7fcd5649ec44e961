//! `zegel key import`

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    addition::Addition,
    generate::{target_domains, warn_of_other_algorithm},
    say_taken_up,
};
use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        keystore::open_or_initialise,
        message,
        output::warn,
        status::Status,
    },
    keys::NewKey,
    keystore::Target,
    names::{DomainName, Selector},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ImportArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The private key: PEM, PKCS#8 or PKCS#1, not encrypted; - for standard input
    file: PathBuf,

    /// The selector that its record has
    #[arg(long)]
    selector: Selector,

    /// Only for this domain; may be given several times [default: all of the organisation's]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Let it sign at once: you say that its record is in the DNS of each domain
    #[arg(long)]
    assume_published: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ImportArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.organisation)?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let domains = target_domains(organisation, &arguments.domains)?;
    let octets = Zeroizing::new(message::read(Some(&arguments.file))?);
    let key = NewKey::from_any_form(&octets)
        .map_err(|error| Failure::Other(format!("{}: {error}", arguments.file.display())))?;
    let keystore = open_or_initialise(context, &loaded.settings)?;
    let target = Target {
        organisation: &organisation.id,
        selector: &arguments.selector,
        domains: &domains,
    };
    let now = Timestamp::now();
    let entry = {
        let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
        let entry = writer.add(&target, &key, now)?;
        if arguments.assume_published {
            writer.activate(&target, &loaded.settings.timing(), now)?;
        }
        entry
    };
    warn_of_other_algorithm(organisation, entry.algorithm);
    warn_of_readers(&arguments.file);
    let addition = Addition::new(&keystore, &organisation.id, &entry)?;
    if arguments.json {
        context.output.json(&addition);
        return Ok(Status::Good);
    }
    addition.print(&mut context.output);
    if arguments.assume_published {
        context
            .output
            .line("It signs from now on, because you say that its record is published.");
        say_taken_up(&mut context.output);
    } else {
        addition.print_next_step(organisation, &mut context.output);
    }
    Ok(Status::Good)
}

/// Whoever could read the file has the key.
fn warn_of_readers(file: &Path) {
    let mode = fs::metadata(file).map_or(0, |metadata| {
        if metadata.is_file() {
            metadata.permissions().mode()
        } else {
            0
        }
    });
    if mode & 0o044 != 0 {
        warn(format_args!(
            "{}: others can read this private key (mode {:04o}); remove the file if it is not \
             needed here, and if others may have read it, make a new key",
            file.display(),
            mode & 0o7777
        ));
    }
}
