//! `zegel audit`: the keys that signed in a period, for an auditor.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    context::{self, Context},
    failure::Failure,
    output::{Output, Table, printable, warn},
    sheet,
    status::Status,
};
use crate::{
    audit::{self, Histories, KeyReport, OrganisationReport, Period, Report, Signed, moment},
    config::Loaded,
    keys::Keyring,
    keystore::Keystore,
    names::{DomainName, OrganisationId},
};

#[derive(Args, Debug)]
pub(super) struct AuditArguments {
    /// Its id [default: all organisations]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// The first day, in UTC, such as 2026-01-01 [default: a year before the last]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,

    /// The last day, in UTC, which counts too [default: today, until now]
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,

    /// Print JSON
    #[arg(long, group = "form")]
    json: bool,

    /// Print CSV: a row for each time that a key signed
    #[arg(long, group = "form")]
    csv: bool,

    /// Print one page of HTML, to be read in a browser or printed
    #[arg(long, group = "form")]
    html: bool,

    /// Write it to this file, in place of what is there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is printed of a report that is in a file.
#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
}

pub(super) fn run(arguments: &AuditArguments, context: &mut Context) -> Result<Status, Failure> {
    let period = Period::new(arguments.from, arguments.to, Timestamp::now());
    let period = period.map_err(Failure::Usage)?;
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?;
    let only = arguments.organisation.as_deref();
    let only = only.map(|id| known(&loaded, &keystore, id)).transpose()?;
    let report = make(period, only.as_ref(), &loaded, &keystore)?;
    // A proof that lacks keys is one, but whoever made it has to know.
    let status = Status::of_check(report.summary.unreadable_keyrings.is_empty());
    let Some(file) = &arguments.out else {
        print(arguments, &report, &mut context.output);
        return Ok(status);
    };
    let mut text = Output::to_memory();
    print(arguments, &report, &mut text);
    put(file, &text.into_octets())
        .map_err(|error| Failure::Other(format!("{}: {error}", file.display())))?;
    if arguments.json {
        context.output.json(&Written { file });
    }
    Ok(status)
}

/// In one step: whoever reads the file gets the old or the new one.
fn put(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = File::create_new(&beside).and_then(|mut part| {
        part.write_all(content)?;
        part.sync_all()?;
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // There is a reason for that already, which is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// One that is configured, or was: its keys are there all the same.
fn known(loaded: &Loaded, keystore: &Keystore, id: &str) -> Result<OrganisationId, Failure> {
    let had = keystore.organisations()?;
    if let Some(id) = had.into_iter().find(|known| known.as_str() == id) {
        return Ok(id);
    }
    let organisation = context::organisation(loaded, id)?;
    Ok(organisation.id.clone())
}

fn make(
    period: Period,
    only: Option<&OrganisationId>,
    loaded: &Loaded,
    keystore: &Keystore,
) -> Result<Report, Failure> {
    let mut keyrings: BTreeMap<OrganisationId, Keyring> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for id in keystore.organisations()? {
        if only.is_some_and(|only| *only != id) {
            continue;
        }
        match keystore.read_keyring(&id) {
            Ok(keyring) => drop(keyrings.insert(id, keyring)),
            // The others have their proof all the same.
            Err(error) => {
                warn(error);
                unreadable.push(id);
            }
        }
    }
    let mut histories = Histories::new(period.begin(), period.end());
    keystore.each_recorded(|number, line| {
        let is_others = line.as_ref().is_some_and(|line| {
            let of = line.organisation.as_ref();
            only.is_some() && of.is_some() && of != only
        });
        if !is_others {
            histories.take(number, line, |id, selector| {
                Some(keyrings.get(id)?.key(selector)?.algorithm)
            });
        }
    })?;
    keystore.each_alarm(|line| {
        if only.is_none() || line.organisation.as_ref() == only {
            histories.take_alarm(&line);
        }
    })?;
    let configured = loaded.organisations.iter();
    let configured = configured.map(|one| (&one.id, &one.domains[..]));
    Ok(audit::report(
        period,
        only,
        histories,
        &keyrings,
        &unreadable,
        configured,
        loaded.settings.keeper.rotate_every,
    ))
}

fn print(arguments: &AuditArguments, report: &Report, output: &mut Output) {
    if arguments.json {
        output.json(report);
    } else if arguments.csv {
        output.octets(&csv(report));
    } else if arguments.html {
        output.octets(audit::html(report).as_bytes());
    } else {
        text(report, output);
    }
}

fn text(report: &Report, output: &mut Output) {
    output.line(report.title());
    output.line("");
    for (question, answer) in report.answers() {
        output.line(format_args!("{question}: {answer}"));
    }
    for one in &report.organisations {
        output.line("");
        output.line(format_args!("== {} ==", one.organisation));
        organisation(one, output);
    }
    output.line("");
    for done in &report.keystore {
        let time = moment(Some(done.time));
        let line = format_args!("The keystore: {time} {} by {}", done.words(), done.by);
        output.line(line);
    }
    for source in &report.sources {
        output.line(format_args!("- {source}"));
    }
}

fn organisation(one: &OrganisationReport, output: &mut Output) {
    for key in &one.keys {
        output.line(format_args!(
            "{}._domainkey.{}: {}, fingerprint {}",
            key.selector,
            key.domain,
            key.kind(),
            or_dash(key.fingerprint)
        ));
        for signed in &key.signed {
            output.line(printable(&format!("  signed {}", signed.words())));
        }
        output.line(format_args!(
            "  {} days in use, {} days old; made {}",
            or_dash(key.used_days),
            or_dash(key.age_days),
            moment(key.made)
        ));
        output.line(format_args!("  record seen everywhere: {}", key.record()));
        for remark in key.remarks() {
            output.line(format_args!("  {remark}"));
        }
    }
    for key in &one.unknown {
        output.line(format_args!(
            "{}._domainkey.{}: made {}; the log does not tell whether it signed",
            key.selector,
            key.domain,
            moment(Some(key.made))
        ));
    }
    for rotation in &one.rotations {
        output.line(format_args!(
            "rotation {} in {}: {} after {}, which had signed for {} days",
            moment(Some(rotation.time)),
            rotation.domain,
            rotation.to,
            rotation.from,
            or_dash(rotation.after_days)
        ));
    }
    for suspension in &one.suspensions {
        output.line(printable(&format!("suspended {}", suspension.words())));
    }
    events(one, output);
}

fn events(one: &OrganisationReport, output: &mut Output) {
    if !one.events.is_empty() {
        let mut table = Table::new(["WHEN", "WHAT", "SELECTOR", "DOMAINS", "BY"]);
        for done in &one.events {
            let domains: Vec<&str> = done.domains.iter().map(DomainName::as_str).collect();
            table.row([
                moment(Some(done.time)),
                done.words(),
                or_dash(done.selector.as_ref()),
                domains.join(", "),
                done.by.to_string(),
            ]);
        }
        output.line(table);
    }
    if one.left_out > 0 {
        let line = format_args!("not listed, as there are too many: {}", one.left_out);
        output.line(line);
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn csv(report: &Report) -> Vec<u8> {
    let headings = [
        "organisation",
        "domain",
        "selector",
        "algorithm",
        "bits",
        "fingerprint",
        "made",
        "signed_from",
        "signed_until",
        "put_in_use_by",
        "assumed",
        "ended",
        "ended_by",
        "used_days",
        "age_days",
        "too_long",
        "record_first_seen",
        "record_last_seen",
        "revoked",
        "withdrawn",
    ];
    let rows = report.organisations.iter().flat_map(|one| {
        one.keys.iter().flat_map(move |key| {
            let times = key.signed.iter();
            times.map(move |signed| row(one.organisation.as_str(), key, signed))
        })
    });
    sheet::write(headings, rows)
}

fn row(organisation: &str, key: &KeyReport, signed: &Signed) -> [String; 20] {
    fn or_empty(value: Option<impl ToString>) -> String {
        value.map_or(String::new(), |value| value.to_string())
    }
    [
        organisation.to_owned(),
        key.domain.to_string(),
        key.selector.to_string(),
        or_empty(key.algorithm),
        or_empty(key.bits),
        or_empty(key.fingerprint),
        or_empty(key.made),
        or_empty(signed.from),
        or_empty(signed.until),
        or_empty(signed.by.as_ref()),
        signed.assumed.to_string(),
        or_empty(signed.ending.as_ref().map(|ending| &ending.event)),
        or_empty(signed.ending.as_ref().map(|ending| &ending.by)),
        or_empty(key.used_days),
        or_empty(key.age_days),
        key.too_long.to_string(),
        or_empty(key.record_first_seen),
        or_empty(key.record_last_seen),
        or_empty(key.revoked.as_ref().map(|done| done.time)),
        or_empty(key.withdrawn.as_ref().map(|done| done.time)),
    ]
}
