//! `opendkim.conf` (opendkim.conf(5), version 2.11), and the tables that it names.

mod configuration;
mod data_set;
mod header_lists;
mod hosts;
mod options;
mod single_key;

use std::{io, path::Path};

use self::configuration::Configuration;
use super::{
    files::Files,
    finding::{Code, Finding},
    setup::Setup,
    signing_table::{self, Tables},
    table::DataSet,
};
use crate::dkim::{Canonicalisation, CanonicalisationPair};

/// Reads it all.
///
/// # Errors
/// When the configuration itself, or a file that it includes, cannot be read.
pub fn read(file: &Path, files: &dyn Files) -> io::Result<Setup> {
    let mut setup = Setup::default();
    let configuration = Configuration::read(file, files, &mut setup.findings)?;
    options::report(&configuration, &mut setup.findings);
    read_canonicalisation(&configuration, &mut setup);
    read_expiry(&configuration, &mut setup);
    header_lists::read(&configuration, files, &mut setup);
    hosts::read(&configuration, files, &mut setup);
    if configuration.get("KeyTable").is_some() || configuration.get("SigningTable").is_some() {
        read_tables(&configuration, files, &mut setup);
    } else {
        single_key::read(&configuration, files, &mut setup);
    }
    let signs = configuration
        .get("Mode")
        .is_none_or(|mode| mode.value.contains('s'));
    if !signs {
        for signing in &mut setup.signings {
            signing.in_use = false;
        }
    }
    Ok(setup)
}

fn read_canonicalisation(configuration: &Configuration, setup: &mut Setup) {
    let Some(option) = configuration.get("Canonicalization") else {
        let done = "Zegel signs relaxed/relaxed, which more mail survives; to have it as before, \
                    set canonicalization under [signing] in zegel.toml";
        let found = "Canonicalization is not set, so OpenDKIM signs simple/simple";
        setup
            .findings
            .push(Finding::new(Code::DroppedOption, found, done));
        return;
    };
    let word = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "simple" => Some(Canonicalisation::Simple),
        "relaxed" => Some(Canonicalisation::Relaxed),
        _ => None,
    };
    // Without a slash it is that of the header.
    let (header, body) = option
        .value
        .split_once('/')
        .unwrap_or((&option.value, "simple"));
    match (word(header), word(body)) {
        (Some(header), Some(body)) => {
            setup.hints.canonicalisation = Some(CanonicalisationPair { header, body });
        }
        _ => setup.findings.push(Finding::at(
            Code::BadEntry,
            &option.place,
            format!("Canonicalization {:?} is not known", option.value),
            "Zegel signs relaxed/relaxed",
        )),
    }
}

fn read_expiry(configuration: &Configuration, setup: &mut Setup) {
    let Some(option) = configuration.get("SignatureTTL") else {
        return;
    };
    match option.value.parse::<u64>() {
        Ok(0) => {}
        Ok(seconds @ 3_600..=31_622_400) => setup.hints.expire = Some(seconds),
        _ => setup.findings.push(Finding::at(
            Code::UnsupportedOption,
            &option.place,
            format!(
                "SignatureTTL {:?} is not from an hour to 366 days",
                option.value
            ),
            "signatures do not expire; if they are to, set expire under [signing] in zegel.toml",
        )),
    }
}

fn read_tables(configuration: &Configuration, files: &dyn Files, setup: &mut Setup) {
    let mut set = |name| {
        let Some(setting) = configuration.get(name) else {
            let found = format!("there is no {name}");
            let done = "nothing can be taken over without it";
            let finding = Finding::new(Code::SignsNothing, found, done);
            setup.findings.push(finding);
            return None;
        };
        entries(setting, configuration, files, &mut setup.findings)
    };
    if let (Some(signing), Some(keys)) = (set("SigningTable"), set("KeyTable")) {
        let tables = Tables {
            signing: &signing,
            keys: &keys,
            multiple: configuration.is_on("MultipleSignatures"),
            resolve: &|path| configuration.path(path),
        };
        signing_table::read(&tables, setup);
    }
}

/// The entries of a data set that an option names, if it can be read here.
fn entries(
    option: &configuration::Setting,
    configuration: &Configuration,
    files: &dyn Files,
    findings: &mut Vec<Finding>,
) -> Option<DataSet> {
    match DataSet::read(option, configuration, files) {
        Ok(set) => Some(set),
        Err(finding) => {
            findings.push(*finding);
            None
        }
    }
}
