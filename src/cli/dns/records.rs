//! `zegel dns records`: the pack of one organisation, or of all that have something to do.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        output::complain,
        packs::{self, Coverage, PackFile, hand_over, pack},
        status::Status,
    },
    config::{Loaded, SendersBelow},
    handover::{Format, Scope},
    keystore::{BATCH, HandOver, Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    words::Language,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct RecordsArguments {
    /// The organisation: the name of its file in orgs.d, without .toml
    #[arg(
        value_name = "ORG",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    organisation: Option<String>,

    /// A file for each organisation that has something to do
    #[arg(long, requires = "out")]
    all: bool,

    /// The folder for these files
    #[arg(long, value_name = "FOLDER", requires = "all")]
    out: Option<PathBuf>,

    /// Only this domain of it
    #[arg(long, value_name = "DOMAIN", conflicts_with = "all")]
    domain: Option<DomainName>,

    /// What it is for: a ticket or mail, a zone file, a program, a browser
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,

    /// The language of the reader [default: that of its file]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,

    /// Point to keys in this zone of yours with CNAME, instead of handing them over
    #[arg(long, value_name = "ZONE")]
    cname: Option<DomainName>,

    /// Note that the records are handed over now: `zegel org list --waiting` shows when that was
    #[arg(long)]
    mark: bool,

    /// Print JSON: the pack, as --format json has it, or with --all what was written
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RecordsArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of_or_all(arguments.organisation.as_deref())?;
    let scope = Scope {
        domain: arguments.domain.clone(),
        delegation: arguments.cname.clone(),
    };
    if let Some(folder) = &arguments.out {
        return all(arguments, &loaded, &scope, folder, context);
    }
    let id = arguments.organisation.as_deref().unwrap_or_default();
    let keystore = keystore(arguments, &loaded, context)?;
    let organisation = &*context::organisation_or_gone(&loaded, &keystore, id)?;
    let below = SendersBelow::of_one(organisation, &loaded.organisations, &loaded.mistakes);
    let pack = pack(&loaded, &keystore, (organisation, &below), &scope)?;
    let language = arguments.lang.unwrap_or(organisation.language);
    if arguments.json {
        let text = pack.render(Format::Json, language);
        context.output.json_text(text);
    } else {
        let text = pack.render(arguments.format, language);
        context.output.octets(text.as_bytes());
    }
    if arguments.mark {
        let note = hand_over(&pack.organisation, &packs::open_tasks(&pack));
        mark(&keystore, &[note])?;
    }
    Ok(Status::Good)
}

/// The keystore, which is only written in if something is marked.
fn keystore(
    arguments: &RecordsArguments,
    loaded: &Loaded,
    context: &mut Context,
) -> Result<Keystore, KeystoreError> {
    if arguments.mark {
        context.open_keystore(&loaded.settings)
    } else {
        loaded.settings.open_keystore()
    }
}

fn all(
    arguments: &RecordsArguments,
    loaded: &Loaded,
    scope: &Scope,
    folder: &Path,
    context: &mut Context,
) -> Result<Status, Failure> {
    let keystore = keystore(arguments, loaded, context)?;
    // Of these nothing is known, so that their packs stay.
    let broken = loaded.mistakes.broken.iter();
    let mut unknown: HashSet<OrganisationId> =
        broken.filter_map(|one| one.organisation.clone()).collect();
    let mut is_good = true;
    let mut files = Vec::new();
    let claims = loaded.claims();
    for organisation in &context::with_gone(loaded, &keystore)? {
        match pack(loaded, &keystore, (organisation, claims.below()), scope) {
            Ok(pack) if packs::has_work(&pack) => {
                let language = arguments.lang.unwrap_or(organisation.language);
                files.push(PackFile::new(&pack, arguments.format, language));
            }
            Ok(_) => {}
            Err(failure) => {
                complain(format_args!("{}: no pack: {failure}", organisation.id));
                unknown.insert(organisation.id.clone());
                is_good = false;
            }
        }
    }
    let written = packs::write(folder, &files, &Coverage::AllBut(unknown))?;
    is_good &= written.say_left();
    if arguments.mark {
        let packs = written.packs.iter();
        let notes = packs.map(|one| hand_over(&one.organisation, &one.tasks));
        mark(&keystore, &notes.collect::<Vec<_>>())?;
    }
    let output = &mut context.output;
    if arguments.json {
        output.json(&written);
    } else {
        let lines = written.lines();
        if lines.is_empty() {
            output.line("nobody has anything to do: there are no packs");
        }
        for line in lines {
            output.line(line);
        }
    }
    Ok(Status::of_check(is_good))
}

/// Notes that this is handed over now.
fn mark(keystore: &Keystore, notes: &[HandOver]) -> Result<(), Failure> {
    let now = Timestamp::now();
    for notes in notes.chunks(BATCH) {
        // The lock is let go of in between, for whoever else writes.
        keystore
            .writer_of([], [])?
            .note_handed_over(notes, now, now)?;
    }
    Ok(())
}
