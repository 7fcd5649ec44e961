//! `zegel report streams`: who sends in the name of a domain, as reports show it.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use crate::{
    cli::{
        context::Context,
        day::Day,
        failure::Failure,
        output::{Output, Table, printable},
        report::{keystore_for, pointers::names, sending_advice, state_advice, store_there},
        sheet,
        status::Status,
    },
    config::KeeperSettings,
    evidence::{
        rollup::DAY,
        streams::{Changed, Class, Counted, Stream, Window},
    },
    names::DomainName,
    report::Outcome,
    sending::{Ours, date, sort},
};

/// Entries of a list, unless one stream is asked for.
const LONGEST: usize = 10;
#[derive(Args, Debug)]
pub(in crate::cli) struct StreamsArguments {
    /// The domain whose policy the mail fell under, or a name below it
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,

    /// One stream by its id, with everything that is known of it
    #[arg(value_name = "STREAM")]
    stream: Option<String>,

    /// Ask the resolvers what the ten largest addresses of the stream are called
    #[arg(long, requires = "stream")]
    names: bool,

    /// How many days, up to today
    #[arg(long, value_name = "NUMBER", default_value_t = 56,
          value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,

    /// The day that counts as today, such as 2026-11-29
    #[arg(long, value_name = "DATE")]
    as_of: Option<Day>,

    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// How it is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// A row for each stream
    Csv,
}

impl StreamsArguments {
    fn window(&self) -> Window {
        let now = self.as_of.map_or_else(Timestamp::now, Day::ends);
        let to = now.as_second().div_euclid(DAY);
        let to = i32::try_from(to).unwrap_or(i32::MAX);
        Window {
            from: to - i32::from(self.days) + 1,
            to,
        }
    }
}

/// The document of `--json`.
#[derive(Serialize)]
struct Document<'a> {
    version: u8,
    domain: &'a DomainName,
    policy_domain: &'a DomainName,
    from: Date,
    to: Date,
    reports: u64,
    reporters: usize,
    ignored_reports: u64,
    messages: u64,
    streams: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    class: Class,
    changed: Option<Changed>,
    name: Option<String>,
    owner: Option<String>,
    rule: u8,
    messages: u64,
    aligned: u64,
    dkim_aligned: u64,
    spf_aligned: u64,
    spf_only: u64,
    quarantined: u64,
    rejected: u64,
    first_seen: Date,
    last_seen: Date,
    days: usize,
    reporters: usize,
    sources: usize,
    header_from: Vec<String>,
    networks: Vec<String>,
    dkim: Vec<ShownSignature>,
    spf: Vec<ShownCheck>,
    weeks: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<BTreeMap<IpAddr, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<BTreeMap<IpAddr, Vec<String>>>,
}

#[derive(Serialize)]
struct ShownSignature {
    domain: String,
    selector: String,
    result: Outcome,
    messages: u64,
}

#[derive(Serialize)]
struct ShownCheck {
    domain: String,
    result: Outcome,
    messages: u64,
}

pub(super) fn run(arguments: &StreamsArguments, context: &mut Context) -> Result<Status, Failure> {
    if arguments.names && arguments.format == Format::Csv {
        return Err(Failure::Usage("--names: CSV has no addresses".to_owned()));
    }
    let loaded = context.load()?;
    let window = arguments.window();
    let store = store_there(&loaded.settings.reports)?;
    let keystore = keystore_for(&loaded, &arguments.domain)?;
    let ours = Ours::of(&loaded, keystore.as_ref());
    let sorted = sort(&store, &ours, &arguments.domain, window).map_err(sending_advice)?;
    let (policy_domain, mut streams) = (&sorted.policy_domain, sorted.streams);
    let domain = arguments.domain.as_str();
    let (reports, ignored_reports) = store
        .reports(policy_domain.as_str(), window, |flags| ours.counts(flags))
        .map_err(|error| state_advice(&error))?;
    let messages = streams.iter().map(|stream| stream.messages).sum();
    let reporters: HashSet<&String> = streams
        .iter()
        .flat_map(|stream| &stream.reporters)
        .collect();
    let reporters = reporters.len();
    if let Some(id) = &arguments.stream {
        streams.retain(|stream| stream.id == *id);
        if streams.is_empty() {
            return Err(Failure::Usage(format!(
                "{domain} has no stream {id} in these {} days; zegel report streams {domain} \
                 lists them",
                arguments.days
            )));
        }
    }
    let shown = shown(&streams, arguments, &loaded.settings.keeper)?;
    let document = Document {
        version: 1,
        domain: &arguments.domain,
        policy_domain,
        from: date(window.from),
        to: date(window.to),
        reports,
        reporters,
        ignored_reports,
        messages,
        streams: shown,
    };
    if arguments.json {
        context.output.json(&document);
    } else if arguments.format == Format::Csv {
        context.output.octets(&csv(&document.streams));
    } else {
        text(&document, arguments.stream.is_some(), &mut context.output);
    }
    Ok(Status::Good)
}

/// What is told of these streams; of one alone, all of it.
fn shown(
    streams: &[Stream],
    arguments: &StreamsArguments,
    keeper: &KeeperSettings,
) -> Result<Vec<Shown>, Failure> {
    let longest = arguments.stream.as_ref().map_or(LONGEST, |_| usize::MAX);
    let mut shown: Vec<Shown> = streams
        .iter()
        .map(|stream| Shown::new(stream, longest))
        .collect();
    if arguments.names {
        for (stream, shown) in streams.iter().zip(&mut shown) {
            let names = names(&stream.sources, keeper)?;
            shown.names = Some(names);
        }
    }
    Ok(shown)
}

impl Shown {
    fn new(stream: &Stream, longest: usize) -> Self {
        let mut networks = stream.networks();
        networks.truncate(longest);
        let addresses = (longest > LONGEST).then(|| stream.sources.clone());
        Self {
            id: stream.id.clone(),
            class: stream.class,
            changed: stream.changed,
            name: stream.label.clone(),
            owner: stream.owner.clone(),
            rule: stream.rule,
            messages: stream.messages,
            aligned: stream.aligned,
            dkim_aligned: stream.dkim_aligned,
            spf_aligned: stream.spf_aligned,
            spf_only: stream.spf_only,
            quarantined: stream.quarantined,
            rejected: stream.rejected,
            first_seen: date(stream.first_seen),
            last_seen: date(stream.last_seen),
            days: stream.days.len(),
            reporters: stream.reporters.len(),
            sources: stream.sources.len(),
            header_from: largest(&stream.header_from, longest, |from, _| from.clone()),
            networks,
            dkim: largest(&stream.dkim, longest, |signed, messages| ShownSignature {
                domain: signed.domain.clone(),
                selector: signed.selector.clone(),
                result: signed.outcome,
                messages,
            }),
            spf: largest(&stream.spf, longest, |checked, messages| ShownCheck {
                domain: checked.domain.clone(),
                result: checked.outcome,
                messages,
            }),
            weeks: stream.weeks.clone(),
            addresses,
            names: None,
        }
    }
}

/// So many, the largest first.
fn largest<Of: Ord, Told>(
    counted: &Counted<Of>,
    longest: usize,
    told: impl Fn(&Of, u64) -> Told,
) -> Vec<Told> {
    let mut all: Vec<(&Of, u64)> = counted
        .iter()
        .map(|(one, messages)| (one, *messages))
        .collect();
    all.sort_by_key(|(_, messages)| std::cmp::Reverse(*messages));
    all.truncate(longest);
    all.into_iter()
        .map(|(one, messages)| told(one, messages))
        .collect()
}

/// What it is about.
fn heading(document: &Document<'_>, output: &mut Output) {
    output.line(format_args!(
        "{} from {} to {}: messages: {}, reports: {}, reporters: {}",
        document.domain,
        document.from,
        document.to,
        document.messages,
        document.reports,
        document.reporters
    ));
    if document.policy_domain != document.domain {
        output.line(format_args!(
            "this is the mail from {} and names below it; it fell under the policy of {}",
            document.domain, document.policy_domain
        ));
    }
    if document.ignored_reports > 0 {
        output.line(format_args!(
            "reports that do not count, as nobody knows that they are real: {}",
            document.ignored_reports
        ));
    }
}

fn text(document: &Document<'_>, whole: bool, output: &mut Output) {
    heading(document, output);
    if document.streams.is_empty() {
        return;
    }
    output.line("");
    let mut table = Table::new([
        "CLASS",
        "STREAM",
        "NAME",
        "MESSAGES",
        "ALIGNED",
        "DKIM",
        "SPF",
        "REJECTED",
        "FIRST SEEN",
        "LAST SEEN",
        "WEEKS",
    ]);
    for stream in &document.streams {
        let name = [&stream.name, &stream.owner].into_iter().flatten();
        let name: Vec<&str> = name.map(String::as_str).collect();
        table.row([
            stream.class.to_string(),
            stream.id.clone(),
            name.join(", "),
            stream.messages.to_string(),
            share(stream.aligned, stream.messages),
            share(stream.dkim_aligned, stream.messages),
            share(stream.spf_aligned, stream.messages),
            stream.rejected.to_string(),
            stream.first_seen.to_string(),
            stream.last_seen.to_string(),
            sparkline(&stream.weeks),
        ]);
    }
    output.line(table);
    doubts(&document.streams, output);
    if let ([stream], true) = (&*document.streams, whole) {
        one(stream, output);
    }
}

/// Where the operator's word does not hold any more.
fn doubts(streams: &[Shown], output: &mut Output) {
    for stream in streams {
        if let Some(changed) = stream.changed {
            let said = match changed {
                Changed::Aligned => "was named abuse, and is aligned now",
                Changed::Network => "was named known, and comes from other networks now",
            };
            let line = format!(
                "{} {said}: look at it, and say what it is with zegel report name",
                stream.id
            );
            output.line(printable(&line));
        }
    }
}

/// What is known of one stream.
fn one(stream: &Shown, output: &mut Output) {
    output.line("");
    let mut table = Table::new(["WHAT", "WHICH", "RESULT", "MESSAGES"]);
    for from in &stream.header_from {
        table.row(["From".into(), from.clone(), String::new(), String::new()]);
    }
    for signed in &stream.dkim {
        let which = format!("{} {}", signed.domain, signed.selector);
        let result = signed.result.to_string();
        table.row(["DKIM".into(), which, result, signed.messages.to_string()]);
    }
    for checked in &stream.spf {
        let result = checked.result.to_string();
        let messages = checked.messages.to_string();
        table.row(["SPF".into(), checked.domain.clone(), result, messages]);
    }
    for (address, messages) in stream.addresses.iter().flatten() {
        let names = stream.names.iter().flatten();
        let names = names.filter(|(named, _)| *named == address);
        let names: Vec<String> = names.flat_map(|(_, names)| names).cloned().collect();
        let which = format!("{address} {}", names.join(", "));
        table.row([
            "address".into(),
            which.trim_end().to_owned(),
            String::new(),
            messages.to_string(),
        ]);
    }
    output.line(table);
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let per_mille = u128::from(part) * 1_000 / u128::from(whole);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// The weeks as a row of bars, the highest eight eighths.
fn sparkline(weeks: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = weeks.iter().copied().max().unwrap_or(0).max(1);
    let bar = |week: &u64| {
        let place = u128::from(*week) * 7 / u128::from(highest);
        BARS[usize::try_from(place).unwrap_or(7).min(7)]
    };
    weeks.iter().map(bar).collect()
}

fn csv(streams: &[Shown]) -> Vec<u8> {
    let headings = [
        "id",
        "class",
        "name",
        "owner",
        "messages",
        "aligned",
        "dkim_aligned",
        "spf_aligned",
        "spf_only",
        "quarantined",
        "rejected",
        "first_seen",
        "last_seen",
        "days",
        "reporters",
        "sources",
        "changed",
    ];
    let rows = streams.iter().map(|stream| {
        [
            stream.id.clone(),
            stream.class.to_string(),
            stream.name.clone().unwrap_or_default(),
            stream.owner.clone().unwrap_or_default(),
            stream.messages.to_string(),
            stream.aligned.to_string(),
            stream.dkim_aligned.to_string(),
            stream.spf_aligned.to_string(),
            stream.spf_only.to_string(),
            stream.quarantined.to_string(),
            stream.rejected.to_string(),
            stream.first_seen.to_string(),
            stream.last_seen.to_string(),
            stream.days.to_string(),
            stream.reporters.to_string(),
            stream.sources.to_string(),
            stream
                .changed
                .map_or_else(String::new, |changed| changed.to_string()),
        ]
    });
    sheet::write(headings, rows)
}
