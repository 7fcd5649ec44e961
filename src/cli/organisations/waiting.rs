//! `zegel org list --waiting`: what somebody at an organisation has to do, for whoever reminds
//! them.

use std::{borrow::Cow, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, with_gone},
        failure::Failure,
        judging::Judge,
        live::ask_signer,
        output::{Output, Table, warn},
        sheet,
        status::Status,
    },
    config::Loaded,
    files,
    judgement::{Fact, Judgement},
    keys::Actor,
    keystore::{HandedOver, Keystore},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::{Language, Level},
};

const DAY: Duration = Duration::from_hours(24);

#[derive(Args, Debug)]
pub(in crate::cli) struct WaitingArguments {
    /// What somebody at an organisation has to do, for as long as this at least: 30d, 2w, 12h
    /// [default: all]
    #[arg(
        long,
        value_name = "AGE",
        num_args = 0..=1,
        default_missing_value = "0s",
        value_parser = humantime::parse_duration
    )]
    pub(super) waiting: Option<Duration>,

    /// Print CSV, for a spreadsheet or a mail-merge
    #[arg(long, requires = "waiting", conflicts_with = "json")]
    csv: bool,

    /// The language of the sentences
    #[arg(
        long,
        value_enum,
        default_value_t = Language::Dutch,
        value_name = "LANGUAGE",
        requires = "waiting"
    )]
    lang: Language,
}

#[derive(Serialize)]
struct List<'a> {
    waiting: &'a [Waiting<'a>],
}

/// Something that is asked of an organisation.
#[derive(Serialize)]
struct Waiting<'a> {
    organisation: &'a OrganisationId,
    name: &'a str,
    contact: Option<&'a str>,
    domain: Option<DomainName>,
    selector: Option<Selector>,
    level: Level,
    /// The word for what is asked.
    asked: &'static str,
    sentence: String,
    since: Option<Timestamp>,
    /// For how many whole days.
    days: Option<u64>,
    due: Option<Timestamp>,
    /// When the record was last handed over; of a policy, when any key of the domain was.
    handed_over: Option<Timestamp>,
}

pub(super) fn run(
    arguments: &WaitingArguments,
    json: bool,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?;
    let age = arguments.waiting.unwrap_or_default();
    let organisations = with_gone(&loaded, &keystore)?;
    let all = all(&organisations, &loaded, &keystore, age, arguments.lang)?;
    let output = &mut context.output;
    if json {
        output.json(&List { waiting: &all });
    } else if arguments.csv {
        output.octets(&csv(&all));
    } else {
        print(&all, output);
    }
    Ok(Status::Good)
}

/// The worst first, and of what is as bad what waits for longest.
fn all<'a>(
    organisations: &'a [Cow<'_, Organisation>],
    loaded: &Loaded,
    keystore: &Keystore,
    age: Duration,
    language: Language,
) -> Result<Vec<Waiting<'a>>, Failure> {
    let figures = ask_signer(&loaded.settings);
    let judge = Judge::new(loaded, figures.as_ref())?;
    let now = Timestamp::now();
    let organisations: Vec<&Organisation> = organisations.iter().map(AsRef::as_ref).collect();
    let judged = files::each(&organisations, |one| {
        let judgement = judge.judge(one);
        of_one(one, &judgement, keystore, (now, language))
    });
    let mut all: Vec<Waiting<'_>> = judged.into_iter().flatten().collect();
    let is_old = |one: &Waiting<'_>| {
        one.since.is_none_or(|since| {
            Duration::try_from(now.duration_since(since)).unwrap_or_default() >= age
        })
    };
    all.retain(is_old);
    all.sort_by_key(|one| (one.level, one.since));
    Ok(all)
}

fn of_one<'a>(
    organisation: &'a Organisation,
    judgement: &Judgement,
    keystore: &Keystore,
    (now, language): (Timestamp, Language),
) -> Vec<Waiting<'a>> {
    let id = &organisation.id;
    let matters = judgement.matters.iter();
    for matter in matters.clone() {
        if let Fact::Keyring(why) = &matter.fact {
            warn(format_args!("{id}: what waits there is not known: {why}"));
        }
    }
    let asked = matters.filter(|matter| matter.actor == Actor::Administrator);
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let handed_over = keystore.handed_over(id).unwrap_or_else(|error| {
        warn(error);
        HandedOver::default()
    });
    let waiting = asked.into_iter().map(|matter| {
        // A policy stands in the same pack as the keys of its domain.
        let last = matter.domain.as_ref().and_then(|domain| {
            let of_key = |selector| handed_over.last(domain, selector);
            let selector = matter.selector.as_ref();
            selector.map_or_else(|| handed_over.last_of(domain), of_key)
        });
        let days = |since: Timestamp| {
            let time = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            time.as_secs() / DAY.as_secs()
        };
        Waiting {
            organisation: id,
            name: &organisation.name,
            contact: organisation.contact.as_deref(),
            domain: matter.domain.clone(),
            selector: matter.selector.clone(),
            level: matter.level,
            asked: matter.fact.as_str(),
            sentence: matter.sentence(id, language),
            since: matter.since,
            days: matter.since.map(days),
            due: matter.due,
            handed_over: last.map(|told| told.time),
        }
    });
    waiting.collect()
}

/// As a spreadsheet reads a day.
fn day(time: Option<Timestamp>) -> String {
    time.map_or(String::new(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn csv(all: &[Waiting<'_>]) -> Vec<u8> {
    let columns = [
        "organisation",
        "name",
        "contact",
        "domain",
        "selector",
        "level",
        "asked",
        "sentence",
        "since",
        "days",
        "due",
        "handed_over",
    ];
    let rows = all.iter().map(|one| {
        [
            one.organisation.to_string(),
            one.name.to_owned(),
            text(one.contact),
            text(one.domain.as_ref()),
            text(one.selector.as_ref()),
            one.level.to_string(),
            one.asked.to_owned(),
            one.sentence.clone(),
            day(one.since),
            text(one.days),
            day(one.due),
            day(one.handed_over),
        ]
    });
    sheet::write(columns, rows)
}

fn print(all: &[Waiting<'_>], output: &mut Output) {
    if all.is_empty() {
        output.line("nobody at an organisation has anything to do");
        return;
    }
    let headings = [
        "LEVEL",
        "ORGANISATION",
        "CONTACT",
        "DOMAIN",
        "KEY",
        "ASKED",
        "DAYS",
        "DUE",
        "HANDED OVER",
    ];
    let mut table = Table::new(headings);
    let dashed = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    for one in all {
        table.row([
            one.level.to_string(),
            one.organisation.to_string(),
            dashed(text(one.contact)),
            dashed(text(one.domain.as_ref())),
            dashed(text(one.selector.as_ref())),
            one.asked.to_owned(),
            dashed(text(one.days)),
            dashed(day(one.due)),
            dashed(day(one.handed_over)),
        ]);
    }
    output.line(table);
}
