//! `zegel org add`: one organisation, or the rows of a sheet. The whole configuration is checked
//! with the new files before anybody can read them; a command that is repeated goes on where it
//! was.

mod csv_file;
mod entry;
mod first_keys;
mod report;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use self::entry::Entry;
use crate::{
    cli::{
        context::{Context, warn_of as warn_of_mistakes},
        failure::Failure,
        keystore::say_initialised,
        output::{complain, warn},
        placing::{Existing, make_folder, put_all},
        status::Status,
    },
    config::{About, Candidate, Loaded, Reader},
    keys::{Keyring, Way},
    keystore::Keystore,
    names::{DomainName, OrganisationId},
    organisation::Organisation,
    words::Language,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct AddArguments {
    /// Its id: what its file in orgs.d is to be called, without .toml
    #[arg(
        value_name = "ID",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    id: Option<OrganisationId>,

    /// Its name for people
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    name: Option<String>,

    /// A From domain that it sends from, with its U-labels or as it is in the DNS
    #[arg(
        long = "domain",
        value_name = "DOMAIN",
        num_args = 1..,
        required_unless_present_any = ["from", "parked"],
        conflicts_with = "from"
    )]
    domains: Vec<DomainName>,

    /// A domain that never sends mail
    #[arg(long, value_name = "DOMAIN", num_args = 1.., conflicts_with = "from")]
    parked: Vec<DomainName>,

    /// The mail address of whoever looks after its DNS
    #[arg(
        long,
        value_name = "MAIL",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    contact: Option<String>,

    /// Only clients that log in as this may send from its domains [default: any outbound mail]
    #[arg(long = "sender-login", value_name = "LOGIN", num_args = 1.., conflicts_with = "from")]
    sender_logins: Vec<String>,

    /// Their keys are in a zone of ours, to which they point with this record, once
    #[arg(long, value_enum, value_name = "WAY")]
    delegation: Option<Way>,

    /// Add the organisations in this sheet: CSV with the columns id, name, domains, parked,
    /// contact, sender_login and delegation
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Add the good rows of the sheet, though others have mistakes
    #[arg(long, requires = "from")]
    keep_going: bool,

    /// Write a hand-over pack for each organisation into this folder
    #[arg(long, value_name = "FOLDER", requires = "from")]
    out: Option<PathBuf>,

    /// The language of the texts for it, which its file names then [default: nl]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something that is wrong with an entry.
struct Mistake {
    /// In which line of the sheet.
    line: Option<u64>,
    text: String,
}

/// An entry that is in the configuration now.
struct Added {
    organisation: Arc<Organisation>,
    file: PathBuf,
    /// Whether its file was written now.
    is_new: bool,
}

/// The organisations that are there.
type Known<'a> = HashMap<&'a OrganisationId, &'a Arc<Organisation>>;

/// The configuration and the keystore as the entries found them.
struct Place {
    loaded: Loaded,
    keystore: Keystore,
}

pub(super) fn run(arguments: &AddArguments, context: &mut Context) -> Result<Status, Failure> {
    let Some(sheet) = &arguments.from else {
        return add_one(arguments, context);
    };
    let (mut entries, mut mistakes) = csv_file::read(sheet)?;
    for entry in &mut entries {
        entry.delegation = entry.delegation.or(arguments.delegation);
        entry.language = arguments.lang;
    }
    let (place, added) = add(&entries, arguments.keep_going, &mut mistakes, context)?;
    mistakes.sort_by_key(|mistake| mistake.line);
    // The document has them.
    for mistake in mistakes.iter().filter(|_| !arguments.json) {
        let line = mistake
            .line
            .map_or(String::new(), |line| format!(":{line}"));
        complain(format_args!("{}{line}: {}", sheet.display(), mistake.text));
    }
    if !mistakes.is_empty() && !arguments.keep_going {
        complain("nothing was written; --keep-going adds the rows without a mistake");
    }
    let is_good = report::of_sheet(arguments, &place, &added, &mistakes, context)?;
    Ok(Status::of_check(is_good && mistakes.is_empty()))
}

fn add_one(arguments: &AddArguments, context: &mut Context) -> Result<Status, Failure> {
    // The command line has them all.
    let (Some(id), Some(name)) = (&arguments.id, &arguments.name) else {
        return Err(Failure::Usage("name an id, or a sheet with --from".into()));
    };
    let entry = Entry {
        line: None,
        id: id.clone(),
        name: name.clone(),
        domains: arguments.domains.clone(),
        parked: arguments.parked.clone(),
        contact: arguments.contact.clone(),
        logins: arguments.sender_logins.clone(),
        delegation: arguments.delegation,
        language: arguments.lang,
    };
    let mut mistakes = Vec::new();
    let (place, added) = add(&[entry], false, &mut mistakes, context)?;
    if !mistakes.is_empty() {
        let texts = mistakes.into_iter().map(|mistake| mistake.text);
        let texts: Vec<String> = texts.collect();
        return Err(Failure::Other(format!(
            "{}\nnothing was written",
            texts.join("\n")
        )));
    }
    report::of_one(arguments, &place, &added, context)
}

/// Checks all of the entries, and writes their files if there are no mistakes, or if `keeps_going`
/// those that are good. What is wrong is added to `mistakes`.
fn add(
    entries: &[Entry],
    keeps_going: bool,
    mistakes: &mut Vec<Mistake>,
    context: &mut Context,
) -> Result<(Place, Vec<Added>), Failure> {
    let folder = context.config_file().with_file_name("orgs.d");
    if !folder.exists() {
        // Not beside a configuration that is not there.
        context.load()?;
        make_folder(&folder)?;
    }
    let mut reader = Reader::new(context.config_file());
    let about = about(entries);
    // Looks through all files before the lock is taken, however many there are.
    let settings = reader.load_about(|_| about.clone())?.settings;
    let keystore = context.open_keystore(&settings)?;
    // Nobody adds the same domain between the check and the writing.
    let lock = keystore.lock_organisations()?;
    // Looks only through the files that came meanwhile.
    let loaded = reader.load_about(|_| about.clone())?;
    warn_of_mistakes(&loaded);
    let ids = loaded.organisations.iter().map(|one| (&one.id, one));
    let known: Known<'_> = ids.collect();
    let mut added = Vec::new();
    let mut new = Vec::new();
    for entry in entries {
        match check_place(entry, &folder, &keystore, &known) {
            Ok(Some(there)) => added.push(there),
            Ok(None) => new.push(entry),
            Err(text) => mistakes.push(entry.mistake(&text)),
        }
    }
    let files = examine(&new, &reader, &loaded, (&folder, &mut added), mistakes);
    let place = Place { loaded, keystore };
    if !mistakes.is_empty() && !keeps_going {
        return Ok((place, Vec::new()));
    }
    say_initialised(&place.keystore, place.keystore.initialise()?);
    put_all(&folder, &files, Existing::Refused)?;
    drop(lock);
    warn_of(&added, &mut reader, &about);
    in_order(&mut added, entries);
    Ok((place, added))
}

/// What the entries have to do with: files that have one of their domains, and those of their ids.
fn about(entries: &[Entry]) -> About {
    let domains = entries
        .iter()
        .flat_map(|one| one.domains.iter().chain(&one.parked));
    About {
        organisations: entries.iter().map(|one| one.id.clone()).collect(),
        domains: domains.cloned().collect(),
    }
}

/// Checks these as part of the whole configuration, and gives the files of those that are good.
fn examine(
    new: &[&Entry],
    reader: &Reader,
    loaded: &Loaded,
    (folder, added): (&Path, &mut Vec<Added>),
    mistakes: &mut Vec<Mistake>,
) -> Vec<(String, Vec<u8>)> {
    let candidates: Vec<Candidate> = new.iter().map(|entry| entry.candidate()).collect();
    let examined = reader.examine(loaded, &candidates);
    let mut files = Vec::new();
    for ((entry, candidate), examined) in new.iter().zip(candidates).zip(examined) {
        match examined {
            Ok(organisation) if lacks_target(&organisation) => {
                let text = "zegel.toml does not say to where its keys are delegated: set zone, \
                            or for ns name_servers, in [handover]";
                mistakes.push(entry.mistake(text));
            }
            Ok(organisation) => {
                let name = format!("{}.toml", entry.id);
                added.push(Added {
                    organisation,
                    file: folder.join(&name),
                    is_new: true,
                });
                files.push((name, candidate.text.into_bytes()));
            }
            Err(problems) => {
                mistakes.extend(problems.iter().map(|problem| entry.problem(problem)));
            }
        }
    }
    files
}

/// Whether its keys are to be handed over, and nobody knows to where: there would be no pack.
fn lacks_target(organisation: &Organisation) -> bool {
    let delegations = &organisation.delegations;
    let mut ways = delegations.ways.values();
    ways.any(|way| !delegations.has_target(*way))
}

/// What deserves attention in the new files, such as a login that no listener takes.
fn warn_of(added: &[Added], reader: &mut Reader, about: &About) {
    let new: HashSet<&Path> = added.iter().map(|one| one.file.as_path()).collect();
    let Ok(loaded) = reader.load_about(|_| about.clone()) else {
        // Somebody has changed zegel.toml meanwhile.
        return;
    };
    let warnings = loaded.warnings.iter();
    for warning in warnings.filter(|one| new.contains(one.file.as_path())) {
        warn(warning);
    }
}

/// The organisation if it is there already, just so; none if nothing is there.
fn check_place(
    entry: &Entry,
    folder: &Path,
    keystore: &Keystore,
    known: &Known<'_>,
) -> Result<Option<Added>, String> {
    let id = &entry.id;
    // The keystore has names of its own.
    let keyring = keystore
        .read_keyring(id)
        .map_err(|error| error.to_string())?;
    let mut domains = entry.domains.iter();
    if domains.any(|domain| keyring.departure(domain).is_some()) {
        return Err(format!(
            "{id} has left, or leaves, by `zegel org retire`: `zegel org retire {id} --undo` first"
        ));
    }
    let file = folder.join(format!("{id}.toml"));
    if fs::symlink_metadata(&file).is_err() {
        return match former_domains(entry, &keyring) {
            None => Ok(None),
            Some(domains) => Err(format!(
                "the keystore has keys of a former organisation of this id, for {domains}; choose \
                 another id, or put its file back"
            )),
        };
    }
    let shown = file.display();
    if !fs::read_to_string(&file).is_ok_and(|text| entry.is_written_as(&text)) {
        return Err(format!(
            "{shown} is there already and says something else; change it with an editor, or \
             choose another id"
        ));
    }
    match known.get(id) {
        Some(organisation)
            if organisation.domains == entry.domains && organisation.parked == entry.parked =>
        {
            Ok(Some(Added {
                organisation: Arc::clone(organisation),
                file,
                is_new: false,
            }))
        }
        _ => Err(format!(
            "{shown} is there already and has mistakes, see `zegel check`; correct them first"
        )),
    }
}

/// For what this id has keys that are none of the entry: its pack and its audit would tell one
/// customer of another.
fn former_domains(entry: &Entry, keyring: &Keyring) -> Option<String> {
    const SHOWN: usize = 3;
    let keys = keyring.keys().iter();
    let domains = keys.flat_map(|key| key.publications.keys());
    let is_of_entry =
        |domain: &&DomainName| entry.domains.contains(*domain) || entry.parked.contains(*domain);
    let foreign: BTreeSet<&DomainName> = domains.filter(|one| !is_of_entry(one)).collect();
    let shown: Vec<&str> = foreign.iter().map(|one| one.as_str()).take(SHOWN).collect();
    let more = foreign.len().saturating_sub(SHOWN);
    match (shown.as_slice(), more) {
        ([], _) => None,
        (shown, 0) => Some(shown.join(", ")),
        (shown, more) => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

/// In the order of the entries.
fn in_order(added: &mut [Added], entries: &[Entry]) {
    let places: HashMap<&OrganisationId, usize> = (entries.iter().enumerate())
        .map(|(at, entry)| (&entry.id, at))
        .collect();
    added.sort_by_key(|one| places.get(&one.organisation.id).copied());
}
