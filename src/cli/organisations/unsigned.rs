//! `zegel org unsigned`: the mail that was not signed, as the keeper has collected it. Reads the
//! keystore and asks nobody.

use std::collections::BTreeMap;

use clap::Args;
use jiff::{Span, Timestamp, ToSpan, civil::Date};
use serde::Serialize;

use super::date;
use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        output::{Output, Table},
        sheet,
        status::Status,
    },
    config::Loaded,
    keystore::Keystore,
    observe::tally::{Counts, DAYS, Day, Gap, GapKind, day_of, latest},
};

/// The keeper says once an hour that it still collects; this is two of them.
const STALE: i64 = 2 * 3600;

#[derive(Args, Debug)]
pub(in crate::cli) struct UnsignedArguments {
    /// Its id [default: all organisations]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// From this day on, in UTC: today, yesterday, such as 7d for seven days ago, or 2026-11-29;
    /// there are 35 days
    #[arg(long, value_name = "DAY", default_value = "yesterday")]
    since: String,

    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print CSV
    #[arg(long)]
    csv: bool,
}

/// Everything that is said.
#[derive(Serialize)]
struct Told {
    since: Date,
    /// None if nothing was ever collected.
    collected_until: Option<Timestamp>,
    days: Vec<ToldDay>,
    /// Days of which nothing was collected.
    days_without_counts: Vec<Date>,
    /// Signers that do not answer, and since when nothing is collected from them.
    not_collected: BTreeMap<String, Timestamp>,
    /// What is not known for certain.
    gaps: Vec<Gap>,
}

#[derive(Serialize)]
struct ToldDay {
    day: Date,
    /// Those with mail that was not signed, the most first.
    organisations: Vec<ToldOrganisation>,
}

#[derive(Serialize)]
struct ToldOrganisation {
    /// Empty: mail of none.
    organisation: String,
    /// Messages that were signed on the same day.
    signed: u64,
    reasons: Vec<Reason>,
}

/// Messages with one reason.
#[derive(Serialize)]
struct Reason {
    #[serde(rename = "reason")]
    word: String,
    unsigned: u64,
    put_off: u64,
    rejected: u64,
}

pub(super) fn run(arguments: &UnsignedArguments, context: &mut Context) -> Result<Status, Failure> {
    let now = Timestamp::now();
    let since = first_day(&arguments.since, day_of(now)).ok_or_else(|| {
        Failure::Usage(format!(
            "--since {}: write today, yesterday, 7d or a day such as 2026-11-29",
            arguments.since
        ))
    })?;
    let loaded = context.load()?;
    let keystore = loaded.settings.open_keystore()?;
    let days = read(&keystore, since, latest(now))?;
    if let Some(id) = &arguments.organisation {
        must_be_known(&loaded, &days, id)?;
    }
    let told = tell(days, since, arguments.organisation.as_deref(), day_of(now));
    if arguments.json {
        context.output.json(&told);
    } else if arguments.csv {
        context.output.octets(&csv(&told));
    } else {
        print(&told, now, &mut context.output);
    }
    Ok(Status::Good)
}

/// The first of the days that are asked for.
fn first_day(text: &str, today: Date) -> Option<Date> {
    let back = match text {
        "today" => 0,
        "yesterday" => 1,
        _ => match text.strip_suffix('d') {
            Some(number) => number.parse::<u16>().ok()?.into(),
            None => return text.parse().ok().filter(|day| *day <= today),
        },
    };
    Some(today.saturating_sub(Span::new().days(back)))
}

/// The days since then, but for those of a clock that was wrong. One that can't be read is an error: it would look like one without mail.
fn read(keystore: &Keystore, since: Date, latest: Date) -> Result<Vec<Day>, Failure> {
    let mut days = Vec::new();
    let mut known = keystore.counted_days()?;
    known.retain(|day| *day <= latest);
    // The last one tells until when anything is collected.
    let last = known.last().copied();
    for day in known {
        if day < since && Some(day) != last {
            continue;
        }
        // It may be removed by now.
        let Some(content) = keystore.read_counts(day)? else {
            continue;
        };
        days.push(Day::parse(&content).map_err(|error| {
            let place = keystore.counts_place(day);
            Failure::Other(format!("{place}: {error}"))
        })?);
    }
    Ok(days)
}

/// One that has left has mail all the same.
fn must_be_known(loaded: &Loaded, days: &[Day], id: &str) -> Result<(), Failure> {
    if days.iter().any(|day| day.organisations.contains_key(id)) {
        return Ok(());
    }
    context::organisation(loaded, id).map(|_| ())
}

fn tell(days: Vec<Day>, since: Date, only: Option<&str>, today: Date) -> Told {
    let last = days.last();
    let mut told = Told {
        since,
        collected_until: last.map(|day| day.until),
        not_collected: last.map(|day| day.silent.clone()).unwrap_or_default(),
        days: Vec::new(),
        days_without_counts: Vec::new(),
        gaps: Vec::new(),
    };
    // Before that nothing is kept.
    let kept = today.saturating_sub((DAYS - 1).days());
    let mut next = since.max(kept);
    for mut day in days.into_iter().filter(|day| day.day >= since) {
        told.days_without_counts.extend(until(next, day.day));
        next = day.day.saturating_add(1.day());
        told.gaps.append(&mut day.gaps);
        let organisations = day.organisations.into_iter();
        let asked = organisations.filter(|(id, _)| only.is_none_or(|only| only == id));
        let mut organisations: Vec<ToldOrganisation> = asked
            .map(|(id, counts)| tell_organisation(id, &counts))
            .filter(|one| !one.reasons.is_empty())
            .collect();
        organisations
            .sort_by_key(|one| (one.organisation.is_empty(), std::cmp::Reverse(one.sum())));
        told.days.push(ToldDay {
            day: day.day,
            organisations,
        });
    }
    // Today is not over.
    told.days_without_counts.extend(until(next, today));
    told
}

/// The days from one to before another.
fn until(first: Date, end: Date) -> impl Iterator<Item = Date> {
    first.series(1.day()).take_while(move |day| *day < end)
}

fn tell_organisation(organisation: String, counts: &Counts) -> ToldOrganisation {
    let reasons = counts.reasons().into_iter();
    let reasons = reasons.map(|(reason, [unsigned, put_off, rejected])| Reason {
        word: reason.to_owned(),
        unsigned,
        put_off,
        rejected,
    });
    ToldOrganisation {
        organisation,
        signed: counts.signed,
        reasons: reasons.collect(),
    }
}

impl ToldOrganisation {
    fn sum(&self) -> u64 {
        let reasons = self.reasons.iter();
        reasons
            .map(|one| one.unsigned + one.put_off + one.rejected)
            .sum()
    }
}

/// A row for each day, organisation and reason.
fn rows(told: &Told) -> impl Iterator<Item = (Date, &ToldOrganisation, &Reason)> {
    told.days.iter().flat_map(|day| {
        let organisations = day.organisations.iter();
        organisations
            .flat_map(move |one| one.reasons.iter().map(move |reason| (day.day, one, reason)))
    })
}

fn csv(told: &Told) -> Vec<u8> {
    let headings = [
        "day",
        "organisation",
        "reason",
        "unsigned",
        "put_off",
        "rejected",
        "signed",
    ];
    let rows = rows(told).map(|(day, one, reason)| {
        [
            day.to_string(),
            one.organisation.clone(),
            reason.word.clone(),
            reason.unsigned.to_string(),
            reason.put_off.to_string(),
            reason.rejected.to_string(),
            one.signed.to_string(),
        ]
    });
    sheet::write(headings, rows)
}

fn print(told: &Told, now: Timestamp, output: &mut Output) {
    let mut table = Table::new([
        "DAY",
        "ORGANISATION",
        "REASON",
        "UNSIGNED",
        "PUT OFF",
        "REJECTED",
        "SIGNED",
    ]);
    let mut is_empty = true;
    for (day, one, reason) in rows(told) {
        is_empty = false;
        let id = if one.organisation.is_empty() {
            "(none)"
        } else {
            &one.organisation
        };
        table.row([
            day.to_string(),
            id.to_owned(),
            reason.word.clone(),
            reason.unsigned.to_string(),
            reason.put_off.to_string(),
            reason.rejected.to_string(),
            one.signed.to_string(),
        ]);
    }
    if !is_empty {
        output.line(table);
    } else if told.days.is_empty() {
        output.line("Nothing was counted.");
    } else {
        output.line("All mail that was counted was signed.");
    }
    output.line("");
    print_limits(told, now, output);
}

/// What the numbers do not say.
fn print_limits(told: &Told, now: Timestamp, output: &mut Output) {
    match told.collected_until {
        None => output.line(
            "The keeper has not collected anything yet: it asks the signers of [keeper] signers \
             every minute.",
        ),
        Some(until) => {
            let is_stale = now.as_second() - until.as_second() > STALE;
            let advice = if is_stale {
                "; nothing was collected since then: see `systemctl status zegel-keeper`"
            } else {
                ""
            };
            let line = format_args!("Days are in UTC. Collected until {}{advice}.", date(until));
            output.line(line);
        }
    }
    for (signer, since) in &told.not_collected {
        output.line(format_args!(
            "Not collected from {signer} since {}: it does not answer the keeper.",
            date(*since)
        ));
    }
    if let [first, .., last] | [first @ last] = &told.days_without_counts[..] {
        let count = told.days_without_counts.len();
        output.line(format_args!(
            "Nothing was collected on {count} of these days ({first} to {last})."
        ));
    }
    for gap in &told.gaps {
        let what = match gap.kind {
            GapKind::Lost => "what it counted then is not known",
            GapKind::Late => "what it counted then stands under the last of these days",
        };
        let (from, until) = (date(gap.from), date(gap.until));
        let signer = &gap.signer;
        output.line(format_args!("{signer}, {from} to {until}: {what}."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_people_do() {
        let today = "2026-11-29".parse().unwrap();
        for (text, expected) in [
            ("today", Some("2026-11-29")),
            ("yesterday", Some("2026-11-28")),
            ("7d", Some("2026-11-22")),
            ("0d", Some("2026-11-29")),
            ("2026-11-01", Some("2026-11-01")),
            ("2026-11-30", None),
            ("-1d", None),
            ("week", None),
            ("", None),
        ] {
            let day = first_day(text, today).map(|day| day.to_string());
            assert_eq!(day.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_day_that_nobody_counted_is_no_day_without_mail() {
        let days = ["2026-11-25", "2026-11-27"].map(|day| {
            let noon = format!("{day}T12:00:00Z").parse().unwrap();
            Day::new(noon)
        });
        let (since, today) = ("2026-11-24".parse().unwrap(), "2026-11-29".parse().unwrap());
        let told = tell(days.into(), since, None, today);
        let missing: Vec<String> = told
            .days_without_counts
            .iter()
            .map(Date::to_string)
            .collect();
        assert_eq!(missing, ["2026-11-24", "2026-11-26", "2026-11-28"]);
        assert_eq!(told.days.len(), 2);
    }
}
