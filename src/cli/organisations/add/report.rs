//! What was added, and its records.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{AddArguments, Added, Mistake, Place, first_keys};
use crate::{
    cli::{
        context::Context,
        failure::Failure,
        key::Addition,
        output::{Table, complain},
        packs::{self, Coverage, PackFile},
        status::Status,
    },
    handover::{Format, Handover, Pack, Scope, needs_public_key},
    keys::{KeyEntry, State},
    names::OrganisationId,
    words::Language,
};

#[derive(Serialize)]
struct Report<'a> {
    organisations: Vec<ReportedOrganisation<'a>>,
    mistakes: Vec<ReportedMistake<'a>>,
}

#[derive(Serialize)]
struct ReportedMistake<'a> {
    line: Option<u64>,
    text: &'a str,
}

#[derive(Serialize)]
struct ReportedOrganisation<'a> {
    id: &'a OrganisationId,
    file: &'a Path,
    /// Whether the file was written now, or was there already.
    made: bool,
    keys: Vec<Addition>,
    /// As `zegel dns records --format json` has them.
    records: Value,
    #[serde(skip)]
    pack: Pack,
    #[serde(skip)]
    language: Language,
}

/// An organisation that was added by itself.
pub(super) fn of_one(
    arguments: &AddArguments,
    place: &Place,
    added: &[Added],
    context: &mut Context,
) -> Result<Status, Failure> {
    let (organisations, is_good) = report(place, added)?;
    for one in &organisations {
        if arguments.json {
            context.output.json(one);
            continue;
        }
        let done = if one.made { "written" } else { "there already" };
        let selectors: Vec<&str> = one.keys.iter().map(|key| key.selector.as_str()).collect();
        complain(format_args!(
            "{}: {done}; {}",
            one.file.display(),
            if selectors.is_empty() {
                "no key is needed".to_owned()
            } else {
                format!("the key is {}", selectors.join(", "))
            }
        ));
        let language = arguments.lang.unwrap_or(one.language);
        let text = one.pack.render(Format::Text, language);
        context.output.octets(text.as_bytes());
    }
    Ok(Status::of_check(is_good))
}

/// The organisations of a sheet. Gives whether each has its key and its pack.
pub(super) fn of_sheet(
    arguments: &AddArguments,
    place: &Place,
    added: &[Added],
    mistakes: &[Mistake],
    context: &mut Context,
) -> Result<bool, Failure> {
    let (organisations, mut is_good) = report(place, added)?;
    if let Some(folder) = &arguments.out {
        let render = |one: &ReportedOrganisation<'_>| {
            let language = arguments.lang.unwrap_or(one.language);
            PackFile::new(&one.pack, Format::Text, language)
        };
        let files: Vec<PackFile> = organisations.iter().map(render).collect();
        let written = packs::write(folder, &files, &Coverage::These)?;
        is_good &= written.say_left();
    }
    let output = &mut context.output;
    if arguments.json {
        let reported = |mistake: &'_ Mistake| (mistake.line, mistake.text.clone());
        let texts: Vec<(Option<u64>, String)> = mistakes.iter().map(reported).collect();
        let mistakes = texts
            .iter()
            .map(|(line, text)| ReportedMistake { line: *line, text });
        output.json(&Report {
            organisations,
            mistakes: mistakes.collect(),
        });
        return Ok(is_good);
    }
    let mut table = Table::new(["ORGANISATION", "FILE", "KEY", "DOMAINS"]);
    for (one, added) in organisations.iter().zip(added) {
        let keys: Vec<&str> = one.keys.iter().map(|key| key.selector.as_str()).collect();
        let file = if one.made { "written" } else { "there already" };
        table.row([
            one.id.to_string(),
            file.to_owned(),
            if keys.is_empty() {
                "-".to_owned()
            } else {
                keys.join(", ")
            },
            added.organisation.domains.len().to_string(),
        ]);
    }
    if !organisations.is_empty() {
        output.line(table);
        output.line("");
        let (count, is) = match organisations.len() {
            1 => ("1 organisation".to_owned(), "is"),
            count => (format!("{count} organisations"), "are"),
        };
        let next = match &arguments.out {
            Some(folder) => format!("The packs are in {}.", folder.display()),
            None => "Write the packs with `zegel dns records --all --out FOLDER`.".to_owned(),
        };
        output.line(format_args!("{count} {is} in orgs.d now. {next}"));
    }
    Ok(is_good)
}

/// Makes the keys that are lacking, and gives what there is then; and whether each has its key.
fn report<'a>(
    place: &Place,
    added: &'a [Added],
) -> Result<(Vec<ReportedOrganisation<'a>>, bool), Failure> {
    let Place { loaded, keystore } = place;
    let organisations = added.iter().map(|one| one.organisation.clone());
    let organisations: Vec<_> = organisations.collect();
    let timing = loaded.settings.timing();
    let made = first_keys::make(keystore, &organisations, &timing)?;
    let claims = loaded.claims();
    let mut reported = Vec::with_capacity(added.len());
    for one in added {
        let organisation = &one.organisation;
        let id = &organisation.id;
        let keys = keystore.read_public_keys(id, needs_public_key)?;
        let (settings, now) = (&loaded.settings, Timestamp::now());
        let pack = Handover::new(organisation, claims.below(), &keys, settings, now);
        let pack = pack.pack(&Scope::default())?;
        let records = serde_json::from_str(&pack.render(Format::Json, Language::English))
            .map_err(|error| Failure::Other(format!("{id}: its records: {error}")))?;
        let mut additions = Vec::new();
        for entry in keys.keyring.keys().iter().filter(|entry| is_to_sign(entry)) {
            let is_new = made.keys.contains(&(id.clone(), entry.selector.clone()));
            additions.push(Addition::new(keystore, id, entry)?.made_now(is_new));
        }
        reported.push(ReportedOrganisation {
            id,
            file: &one.file,
            made: one.is_new,
            keys: additions,
            records,
            pack,
            language: organisation.language,
        });
    }
    Ok((reported, !made.is_incomplete))
}

fn is_to_sign(entry: &KeyEntry) -> bool {
    let mut publications = entry.publications.values();
    publications.any(|one| {
        matches!(
            one.state,
            State::Generated | State::Published | State::Active
        )
    })
}
