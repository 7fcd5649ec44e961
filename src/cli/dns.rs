//! `zegel dns`: what goes into DNS, for the administrators of the organisations and for the
//! operator's own zone; and what is there.

mod check;
mod records;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValue};
use jiff::Timestamp;

#[cfg(test)]
pub(super) use self::check::printed as check_printed;
use self::{check::CheckArguments, records::RecordsArguments};
use super::{
    context::{Context, gone},
    failure::Failure,
    status::Status,
};
use crate::{
    config::{Loaded, SendersBelow},
    handover::{self, Format, Handover, HandoverError, needs_public_key},
    keys::Way,
    letter,
    names::DomainName,
    organisation::Organisation,
    words::Language,
};

#[derive(Debug, Subcommand)]
pub(super) enum DnsCommand {
    /// Look at the records of keys, SPF, DMARC and MX as they are in DNS
    Check(CheckArguments),
    /// Write what the DNS administrator of an organisation has to do
    Records(RecordsArguments),
    /// Write the keys of all organisations for a zone of your own, for $INCLUDE
    Zone(ZoneArguments),
}

#[derive(Args, Debug)]
pub(super) struct ZoneArguments {
    /// The zone, as in `dns records --cname ZONE` [default: zone in [handover]]
    #[arg(value_name = "ZONE")]
    zone: Option<DomainName>,

    /// The zone _domainkey.DOMAIN instead, of a domain with delegation = "ns"
    #[arg(long, value_name = "DOMAIN", conflicts_with = "zone")]
    domain: Option<DomainName>,

    /// Replace this file, in one step, and only if something changes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(command: &DnsCommand, context: &mut Context) -> Result<Status, Failure> {
    match command {
        DnsCommand::Check(arguments) => check::run(arguments, context),
        DnsCommand::Records(arguments) => records::run(arguments, context),
        DnsCommand::Zone(arguments) => zone(arguments, context),
    }
}

/// All or nothing: a zone that lacks the keys of one organisation would break its mail.
fn zone(arguments: &ZoneArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_whole()?;
    if let Some(domain) = &arguments.domain {
        let text = zone_of_domain(&loaded, domain)?;
        return put(arguments, &text, context);
    }
    let zone = arguments.zone.as_ref();
    let zone = zone.or(loaded.settings.handover.zone.as_ref());
    let zone = zone.ok_or_else(|| {
        let text = "name the zone, or set zone in [handover] of zegel.toml";
        Failure::Usage(text.to_owned())
    })?;
    let keystore = loaded.settings.open_keystore()?;
    // Mail may still need the keys of those that have no file any more.
    let ids = loaded.organisations.iter().map(|one| &one.id);
    let gone: Vec<Organisation> = keystore.without_file(ids)?.iter().map(gone).collect();
    let files = loaded.organisations.iter().map(|one| &**one);
    let organisations: Vec<&Organisation> = files.chain(&gone).collect();
    let keys = organisations
        .iter()
        .map(|organisation| keystore.read_public_keys(&organisation.id, needs_public_key))
        .collect::<Result<Vec<_>, _>>()?;
    let now = Timestamp::now();
    let claims = loaded.claims();
    let below = claims.below();
    let handovers: Vec<Handover<'_>> = organisations
        .iter()
        .zip(&keys)
        .map(|(organisation, keys)| Handover::new(organisation, below, keys, &loaded.settings, now))
        .collect();
    let text = handover::operator_zone(zone, &handovers)?;
    put(arguments, &text, context)
}

/// The zone that one domain has for its keys.
fn zone_of_domain(loaded: &Loaded, domain: &DomainName) -> Result<String, Failure> {
    let mut organisations = loaded.organisations.iter();
    let owner = organisations.find(|one| one.delegations.way(domain) == Some(Way::Ns));
    let owner = owner.ok_or_else(|| {
        Failure::Usage(format!(
            "{domain} is not delegated with NS: set delegation = {{ \"{domain}\" = \"ns\" }} in the \
             file of its organisation in orgs.d, or name the zone instead"
        ))
    })?;
    let keystore = loaded.settings.open_keystore()?;
    let keys = keystore.read_public_keys(&owner.id, needs_public_key)?;
    // Of the zone of its keys nothing depends on who sends below.
    let below = SendersBelow::default();
    let handover = Handover::new(owner, &below, &keys, &loaded.settings, Timestamp::now());
    Ok(handover::domain_zone(domain, &handover)?)
}

/// Prints it, or puts it into the file.
fn put(arguments: &ZoneArguments, text: &str, context: &mut Context) -> Result<Status, Failure> {
    match &arguments.out {
        None => context.output.octets(text.as_bytes()),
        Some(path) => {
            let replaced = replace(path, text.as_bytes()).map_err(|error| {
                Failure::Other(format!("{}: {error}; nothing was changed", path.display()))
            })?;
            let said = match replaced {
                Replaced::Yes => "written; raise the serial of the zone and reload it",
                Replaced::Same => "nothing has changed",
            };
            context
                .output
                .line(format_args!("{}: {said}", path.display()));
        }
    }
    Ok(Status::Good)
}

enum Replaced {
    Yes,
    Same,
}

/// Whoever reads the file gets the old or the new content, also after a power cut.
fn replace(path: &Path, content: &[u8]) -> io::Result<Replaced> {
    // The file itself, not a link to it.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::read(&path).is_ok_and(|old| old == content) {
        return Ok(Replaced::Same);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}", std::process::id()));
    let temporary = folder.join(temporary_name);
    let written = write_through(&temporary, &path, content);
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()?;
    Ok(Replaced::Yes)
}

fn write_through(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

impl From<HandoverError> for Failure {
    fn from(error: HandoverError) -> Self {
        match error {
            HandoverError::UnknownDomain(_)
            | HandoverError::NameTooLong(_)
            | HandoverError::NoTarget(..) => Self::Usage(error.to_string()),
            HandoverError::NoPublicKey(_) => Self::Other(error.to_string()),
        }
    }
}

macro_rules! value_enum {
    ($($name:ty),+) => {$(
        impl ValueEnum for $name {
            fn value_variants<'a>() -> &'a [Self] {
                &Self::ALL
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(PossibleValue::new(self.as_str()))
            }
        }
    )+};
}

value_enum!(Format, Language, Way, letter::Format);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_in_one_step_and_only_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dkim.zone");
        assert!(matches!(replace(&path, b"one\n").unwrap(), Replaced::Yes));
        assert!(matches!(replace(&path, b"one\n").unwrap(), Replaced::Same));
        assert!(matches!(replace(&path, b"two\n").unwrap(), Replaced::Yes));
        assert_eq!(fs::read(&path).unwrap(), b"two\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/nowhere/at/all"), b"x").is_err());
    }
}
