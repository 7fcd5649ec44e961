//! `zegel dmarc overview`

mod html;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::figures::{Cell, Earlier, Figure, MEASURES, NAMES, Part, ToldDomain, Totals};
use crate::{
    cli::{
        context::{Context, organisation},
        failure::Failure,
        look::in_one_round,
        message,
        output::{Output, Table, complain, printable},
        sheet,
        status::Status,
    },
    config::Loaded,
    dkim::PublicKey,
    dmarc::DmarcRecord,
    dns::{DnsError, Measurement, Observer, Round},
    keys::State,
    keystore::Keystore,
    names::DomainName,
    organisation::Organisation,
    words::Language,
};

/// So many mail servers of a domain are asked about: the record may be in others' hands.
const MOST_SERVERS: usize = 16;
/// So large an earlier document is read, in octets: thousands of domains take a few million.
const LARGEST: usize = 256 << 20;

#[derive(Args, Debug)]
pub(in crate::cli) struct OverviewArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// What `--json` printed earlier: the totals show what has changed since
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    since: Option<PathBuf>,

    /// Print CSV, a row for each domain
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Print one page that a browser shows and prints
    #[arg(long, conflicts_with_all = ["csv", "json"])]
    html: bool,

    /// The language of the page
    #[arg(long, value_enum, default_value_t = Language::Dutch, value_name = "LANGUAGE",
          requires = "html")]
    lang: Language,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Document {
    version: u8,
    date: Date,
    organisation: Option<String>,
    since: Option<Date>,
    domains: Vec<ToldDomain>,
    totals: Totals,
}

/// A domain to be asked about.
struct Subject {
    organisation: String,
    domain: DomainName,
    parked: bool,
    /// The records of the keys that sign for it, by name; none if nobody can tell.
    keys: Option<Vec<(String, PublicKey)>>,
}

/// What was answered.
struct Found {
    subject: Subject,
    measured: Measurement,
    keys: Vec<Result<bool, DnsError>>,
}

/// Whether each mail server has a TLSA record.
type Servers = BTreeMap<String, Result<bool, DnsError>>;

pub(super) fn run(arguments: &OverviewArguments, context: &mut Context) -> Result<Status, Failure> {
    let id = arguments.organisation.as_deref();
    let earlier = arguments.since.as_deref().map(|file| read(file, id));
    let earlier = earlier.transpose()?;
    let loaded = context.load_of_or_all(id)?;
    let wanted = match id {
        Some(id) => vec![organisation(&loaded, id)?],
        None => loaded.organisations.iter().map(AsRef::as_ref).collect(),
    };
    let keystore = loaded.settings.open_keystore()?;
    let subjects = wanted.iter().flat_map(|one| subjects(one, &keystore));
    let domains = measure(&loaded, subjects.collect())?;
    let is_whole = domains.iter().all(ToldDomain::is_known);
    let mut totals = Totals::of(&domains);
    if let Some(earlier) = &earlier {
        totals.compare(&earlier.totals);
    }
    let document = Document {
        version: 1,
        date: Timestamp::now().to_zoned(TimeZone::UTC).date(),
        organisation: arguments.organisation.clone(),
        since: earlier.map(|earlier| earlier.date),
        domains,
        totals,
    };
    if arguments.json {
        context.output.json(&document);
    } else if arguments.csv {
        context.output.octets(&csv(&document.domains));
    } else if arguments.html {
        let page = html::page(&document, arguments.lang);
        context.output.octets(page.as_bytes());
    } else {
        print(&document, &mut context.output);
    }
    Ok(Status::of_check(is_whole))
}

/// An earlier document about the same.
fn read(file: &Path, organisation: Option<&str>) -> Result<Earlier, Failure> {
    let refuse = |why: &str| Failure::Usage(format!("--since {}: {why}", file.display()));
    let octets = message::read(Some(file))?;
    if octets.len() > LARGEST {
        return Err(refuse("it is too large"));
    }
    let earlier: Earlier = serde_json::from_slice(&octets)
        .map_err(|error| refuse(&format!("this is no `dmarc overview --json`: {error}")))?;
    if earlier.version != 1 {
        return Err(refuse("it is of another version"));
    }
    if earlier.organisation.as_deref() != organisation {
        let whose = earlier.organisation.as_deref();
        return Err(refuse(&format!(
            "it is about {}: figures about others cannot be compared",
            whose.unwrap_or("all organisations")
        )));
    }
    Ok(earlier)
}

/// The domains of an organisation, with the keys that sign for them.
fn subjects(organisation: &Organisation, keystore: &Keystore) -> Vec<Subject> {
    let keyring = keystore
        .read_keyring(&organisation.id)
        .map_err(complain)
        .ok();
    let keys = |domain: &DomainName| {
        let entries = keyring.as_ref()?.keys().iter().filter(|entry| {
            let publication = entry.publications.get(domain);
            publication.is_some_and(|publication| publication.state == State::Active)
        });
        let records = entries.map(|entry| {
            let key = keystore.public_key(&organisation.id, entry);
            let key = key.map_err(complain).ok()?;
            Some((entry.selector.record_name(domain), key))
        });
        records.collect::<Option<Vec<_>>>()
    };
    let subject = |domain: &DomainName, parked: bool| Subject {
        organisation: organisation.id.to_string(),
        domain: domain.clone(),
        parked,
        keys: if parked {
            Some(Vec::new())
        } else {
            keys(domain)
        },
    };
    let sending = organisation.domains.iter();
    let parked = organisation.parked.iter();
    let sending = sending.map(|domain| subject(domain, false));
    let parked = parked.map(|domain| subject(domain, true));
    sending.chain(parked).collect()
}

/// In the order of the subjects.
fn measure(loaded: &Loaded, subjects: Vec<Subject>) -> Result<Vec<ToldDomain>, Failure> {
    let observer = Observer::of_resolvers(&loaded.settings.keeper)?;
    let numbered = subjects.into_iter().enumerate().collect();
    let mut found = in_one_round(&observer, numbered, |round, (place, subject)| async move {
        (place, subject.ask(&round).await)
    })?;
    found.sort_unstable_by_key(|(place, _): &(usize, Found)| *place);
    // Many domains have the same servers.
    let names: BTreeSet<&String> = found
        .iter()
        .filter_map(|(_, found)| found.measured.servers.as_ref().ok())
        .flat_map(|servers| servers.iter().take(MOST_SERVERS))
        .collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let servers = in_one_round(&observer, names, |round, name| async move {
        let there = round.has_tlsa(&name).await;
        (name, there)
    })?;
    let servers: Servers = servers.into_iter().collect();
    let told = found.into_iter().map(|(_, found)| found.tell(&servers));
    Ok(told.collect())
}

impl Subject {
    async fn ask(self, round: &Round) -> Found {
        let mut keys = Vec::new();
        for (name, key) in self.keys.iter().flatten() {
            keys.push(round.shows_key(name, key).await);
        }
        Found {
            measured: round.measure(self.domain.as_str()).await,
            keys,
            subject: self,
        }
    }
}

impl Found {
    fn tell(self, servers: &Servers) -> ToldDomain {
        let domain = self.subject.domain.as_str();
        let measured = &self.measured;
        let (tlsa, mta_sts) = self.transport(servers);
        let (dmarc, enforced) = match &measured.dmarc {
            Ok(record) => dmarc(domain, record.as_ref()),
            Err(_) => (Cell::Unknown, Cell::Unknown),
        };
        ToldDomain {
            organisation: self.subject.organisation.clone(),
            parked: self.subject.parked,
            spf: Cell::of(&measured.spf),
            dkim: self.dkim(),
            dmarc,
            strict: Cell::all(&[Cell::of(&measured.spf_strict), enforced]),
            dnssec: Cell::of(&measured.dnssec),
            tlsa,
            mta_sts,
            problem: self.problem(servers),
            domain: domain.to_owned(),
        }
    }

    fn dkim(&self) -> Cell {
        if self.subject.parked {
            return Cell::NotNeeded;
        }
        if self.subject.keys.is_none() {
            return Cell::Unknown;
        }
        let cells: Vec<Cell> = self.keys.iter().map(Cell::of).collect();
        Cell::any(&cells)
    }

    /// TLSA and MTA-STS.
    fn transport(&self, servers: &Servers) -> (Cell, Cell) {
        let Ok(names) = &self.measured.servers else {
            return (Cell::Unknown, Cell::Unknown);
        };
        if names.is_empty() {
            return (Cell::NotNeeded, Cell::NotNeeded);
        }
        let asked = names.iter().take(MOST_SERVERS);
        let cells: Vec<Cell> = asked
            .map(|name| servers.get(name).map_or(Cell::Unknown, Cell::of))
            .collect();
        (Cell::all(&cells), Cell::of(&self.measured.mta_sts))
    }

    /// The first error.
    fn problem(&self, servers: &Servers) -> Option<String> {
        let measured = &self.measured;
        let names = measured.servers.iter().flatten();
        let tlsa = names.filter_map(|name| servers.get(name)?.as_ref().err());
        let of_domain = [
            measured.spf.as_ref().err(),
            measured.spf_strict.as_ref().err(),
            measured.dmarc.as_ref().err(),
            measured.dnssec.as_ref().err(),
            measured.servers.as_ref().err(),
            measured.mta_sts.as_ref().err(),
        ];
        let keys = self.keys.iter().filter_map(|answer| answer.as_ref().err());
        let mut errors = of_domain.into_iter().flatten().chain(keys).chain(tlsa);
        let unread = "its keys cannot be read";
        let no_keys = || self.subject.keys.is_none().then(|| unread.to_owned());
        errors.next().map(ToString::to_string).or_else(no_keys)
    }
}

/// Whether receivers use a record for a domain, and whether it asks them to act.
fn dmarc(domain: &str, found: Option<&(String, Vec<String>)>) -> (Cell, Cell) {
    let record = found.and_then(|(owner, texts)| match texts.as_slice() {
        [text] => Some((owner, DmarcRecord::parse(text).ok()?)),
        _ => None,
    });
    match record {
        Some((owner, record)) if record.is_enforced(owner != domain) => (Cell::Yes, Cell::Yes),
        Some(_) => (Cell::Yes, Cell::No),
        None => (Cell::No, Cell::No),
    }
}

fn csv(domains: &[ToldDomain]) -> Vec<u8> {
    let headings = behind(["domain", "organisation", "use"], NAMES);
    let rows = domains
        .iter()
        .map(|told| row(told, [&told.domain, &told.organisation]));
    sheet::write(headings, rows)
}

fn row(told: &ToldDomain, first: [&str; 2]) -> [String; MEASURES + 3] {
    let [one, other] = first.map(str::to_owned);
    let used = if told.parked { "parked" } else { "sending" };
    let cells = told.cells().map(|cell| cell.to_string());
    behind([one, other, used.to_owned()], cells)
}

/// A row: what is measured, behind what it is measured of.
fn behind<T: Default>(first: [T; 3], measured: [T; MEASURES]) -> [T; MEASURES + 3] {
    let mut all = first.into_iter().chain(measured);
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

fn print(document: &Document, output: &mut Output) {
    let names = NAMES.map(str::to_uppercase);
    let names = names.each_ref().map(String::as_str);
    let mut table = Table::new(behind(["ORGANISATION", "DOMAIN", "USE"], names));
    for told in &document.domains {
        table.row(row(told, [&told.organisation, &told.domain]));
    }
    output.line(table);
    output.line("");
    let totals = &document.totals;
    let parts = [&totals.all, &totals.sending, &totals.parked];
    let mut table = Table::new(["", "ALL", "SENDING", "PARKED"]);
    let [all, sending, parked] = parts.map(|part| part.domains.to_string());
    table.row(["domains".to_owned(), all, sending, parked]);
    for (place, name) in NAMES.into_iter().enumerate() {
        let said = |part: &Part| {
            part.figures()
                .get(place)
                .map_or_else(String::new, |one| said(one))
        };
        let [all, sending, parked] = parts.map(said);
        table.row([name.to_owned(), all, sending, parked]);
    }
    output.line(table);
    if let Some(since) = document.since {
        output.line(format_args!("changes are those since {since}"));
    }
    for told in &document.domains {
        if let Some(problem) = &told.problem {
            let line = format!("{}: {problem}", told.domain);
            output.line(printable(&line));
        }
    }
}

/// Such as `3 of 4 (75.0 %), +1 (+25.0), 1 unknown`.
fn said(figure: &Figure) -> String {
    let percent = figure.percent.map(|percent| format!(" ({percent:.1} %)"));
    let change = figure.count_change.map(|change| format!(", {change:+}"));
    let shift = figure
        .percent_change
        .map(|change| format!(" ({change:+.1})"));
    let unknown = (figure.unknown > 0).then(|| format!(", {} unknown", figure.unknown));
    let more = [percent, change, shift, unknown].map(Option::unwrap_or_default);
    format!("{} of {}{}", figure.count, figure.of, more.concat())
}
