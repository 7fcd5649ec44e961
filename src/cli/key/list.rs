//! `zegel key list`

use std::borrow::Cow;

use clap::Args;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        judging::Judge,
        live::ask_signer,
        output::{Table, date, warn},
        status::Status,
    },
    config::{Loaded, situation},
    dkim::{Algorithm, Fingerprint, PublicKey},
    judgement::Judgement,
    keys::{Actor, Departure, KeyEntry, NextStep, Publication, Situation, State, What},
    keystore::{KeyProblem, KeyRefusal, Keystore, SelectorSeen, Senders},
    names::{DomainName, OrganisationId, Selector},
    observe::status::SignerFigures,
    organisation::Organisation,
    words::Level,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ListArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// Only what leaves or has left: keys of organisations and domains that no file has any more,
    /// or that were retired, until their records are gone
    #[arg(long)]
    retired: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List<'a> {
    keys: &'a [ListedKey],
}

#[derive(Serialize)]
struct ListedKey {
    organisation: OrganisationId,
    selector: Selector,
    algorithm: Algorithm,
    /// Unknown when the key file cannot be used.
    bits: Option<usize>,
    created: Timestamp,
    age_seconds: u64,
    fingerprint: Fingerprint,
    domains: Vec<ListedDomain>,
}

#[derive(Serialize)]
struct ListedDomain {
    domain: DomainName,
    /// How it stands, as everywhere.
    level: Level,
    /// Until when it is signed, if it leaves by the operator's word.
    leaving: Option<Departure>,
    #[serde(flatten)]
    publication: Publication,
    /// What receivers reported of its mail in 56 days; none if nobody did.
    reports: Option<ListedReports>,
    next: ListedStep,
}

#[derive(Serialize)]
struct ListedReports {
    messages: u64,
    passed: u64,
    last_seen: Option<Date>,
    /// The part that passed, for people.
    #[serde(skip)]
    share: String,
}

impl From<SelectorSeen> for ListedReports {
    fn from(seen: SelectorSeen) -> Self {
        Self {
            share: seen.share(),
            messages: seen.messages,
            passed: seen.passed,
            last_seen: seen.last_seen,
        }
    }
}

#[derive(Serialize)]
struct ListedStep {
    #[serde(flatten)]
    step: NextStep,
    /// Whose turn it is.
    actor: Actor,
    /// For people.
    text: String,
}

pub(super) fn run(arguments: &ListArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of_or_all(arguments.organisation.as_deref())?;
    if arguments.retired {
        return retired(arguments, &loaded, context);
    }
    let wanted: Vec<&Organisation> = match &arguments.organisation {
        Some(id) => vec![context::organisation(&loaded, id)?],
        None => loaded.organisations.iter().map(AsRef::as_ref).collect(),
    };
    let keystore = loaded.settings.open_keystore()?;
    list(context, (&loaded, &keystore), &wanted, arguments.json)?;
    Ok(Status::Good)
}

/// What leaves or has left, with or without a file.
fn retired(
    arguments: &ListArguments,
    loaded: &Loaded,
    context: &mut Context,
) -> Result<Status, Failure> {
    let keystore = loaded.settings.open_keystore()?;
    let wanted: Vec<Cow<'_, Organisation>> = if let Some(id) = &arguments.organisation {
        vec![context::organisation_or_gone(loaded, &keystore, id)?]
    } else {
        let files = loaded.organisations.iter();
        let without = keystore.without_file(files.map(|one| &one.id))?;
        // What a file with mistakes says is not known.
        let is_gone = |id: &&OrganisationId| loaded.mistakes.of(id.as_str()).is_none();
        let gone = without.iter().filter(is_gone).map(context::gone);
        let files = loaded.organisations.iter().map(AsRef::as_ref);
        let files = files.map(Cow::Borrowed);
        files.chain(gone.map(Cow::Owned)).collect()
    };
    let wanted: Vec<&Organisation> = wanted.iter().map(AsRef::as_ref).collect();
    let figures = ask_signer(&loaded.settings);
    let mut keys = gather(
        (loaded, &keystore),
        figures.as_ref(),
        &wanted,
        Which::Leaving,
    )?;
    keys.sort_by(|one, other| one.organisation.cmp(&other.organisation));
    let none = "nothing leaves, and no key is left of what has left";
    print(&keys, none, arguments.json, context);
    Ok(Status::Good)
}

/// Prints the keys of these organisations.
pub(in crate::cli) fn list(
    context: &mut Context,
    (loaded, keystore): (&Loaded, &Keystore),
    wanted: &[&Organisation],
    json: bool,
) -> Result<(), Failure> {
    let figures = ask_signer(&loaded.settings);
    let keys = gather((loaded, keystore), figures.as_ref(), wanted, Which::All)?;
    let none = "there are no keys; make some with `zegel key generate ORG`";
    print(&keys, none, json, context);
    Ok(())
}

/// Which keys, in which domains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Which {
    All,
    /// In domains that leave or have left, until there is nothing to be done any more.
    Leaving,
}

fn print(keys: &[ListedKey], none: &str, json: bool, context: &mut Context) {
    if json {
        context.output.json(&List { keys });
    } else if keys.is_empty() {
        context.output.line(none);
    } else {
        context.output.line(table(keys));
        if let Some(table) = reported(keys) {
            context.output.line("");
            context
                .output
                .line("What receivers reported in 56 days of mail with these keys:");
            context.output.line(table);
        }
    }
}

/// `figures` is what the signer says, if it could be asked.
fn gather(
    (loaded, keystore): (&Loaded, &Keystore),
    figures: Option<&SignerFigures>,
    wanted: &[&Organisation],
    which: Which,
) -> Result<Vec<ListedKey>, Failure> {
    if let Err(error) = keystore.sealing_keys() {
        warn(format_args!(
            "{error}; sealed keys are listed as their keyrings have them"
        ));
    }
    let judge = Judge::new(loaded, figures)?;
    let timing = loaded.settings.timing();
    let claims = loaded.claims();
    let now = Timestamp::now();
    let mut keys = Vec::new();
    for organisation in wanted {
        match keystore.read_keyring(&organisation.id) {
            Err(error) => warn(error),
            Ok(keyring) => {
                if let Some(problem) = keyring.departures_problem() {
                    let id = &organisation.id;
                    warn(format_args!(
                        "{id}: whether it leaves is not known: {problem}"
                    ));
                }
                let away = claims.away(organisation, &keyring);
                let sightings = judge.sightings(organisation);
                let situation = situation(organisation, &keyring, &away, &timing);
                let situation = situation.seen(&sightings.leads);
                let of = Of {
                    organisation,
                    senders: judge.senders(organisation),
                    situation: &situation,
                    judgement: &judge.judge_with(organisation, &keyring),
                    asked_signer: figures.is_some(),
                    which,
                };
                let entries = keyring.keys().iter().filter(|entry| of.lists(entry));
                keys.extend(entries.map(|entry| listed(keystore, &of, entry, now)));
            }
        }
    }
    Ok(keys)
}

/// Whose key it is, and how that organisation stands.
struct Of<'a> {
    organisation: &'a Organisation,
    /// What reports say of its keys; read once for all of them.
    senders: Senders,
    situation: &'a Situation<'a>,
    judgement: &'a Judgement,
    /// Whether the signer has said what it does.
    asked_signer: bool,
    which: Which,
}

impl Of<'_> {
    /// Whether a key is listed at all.
    fn lists(&self, entry: &KeyEntry) -> bool {
        let mut domains = entry.publications.keys();
        self.which == Which::All || domains.any(|domain| self.has(entry, domain))
    }

    /// Whether a key is listed in a domain.
    fn has(&self, entry: &KeyEntry, domain: &DomainName) -> bool {
        if self.which == Which::All {
            return true;
        }
        let situation = self.situation;
        let leaves = situation.keyring.departure(domain).is_some()
            || !(self.organisation.keyed().any(|one| one == domain)
                || self.organisation.parked.contains(domain));
        leaves && situation.next_step(entry, domain).what != What::Nothing
    }

    /// How a key stands; one that signs and can't be read is as bad as what the signer does then.
    fn level(&self, entry: &KeyEntry, domain: &DomainName, is_refused: bool) -> Level {
        let level = self.judgement.of_key(&entry.selector, domain);
        if !is_refused || entry.state(domain) != Some(State::Active) {
            level
        } else if self.asked_signer {
            level.min(self.judgement.of_domain(domain)).min(Level::Act)
        } else {
            level.min(Level::Tempfailed)
        }
    }
}

fn listed(keystore: &Keystore, of: &Of<'_>, entry: &KeyEntry, now: Timestamp) -> ListedKey {
    let Of {
        organisation,
        situation,
        senders,
        ..
    } = of;
    let key = keystore.load_key(&organisation.id, entry);
    // Without the sealing key nobody knows; the signer has it.
    let is_unopened = |problem: &KeyProblem| matches!(problem.refusal, KeyRefusal::Sealing(_));
    let problem = key.as_ref().err().filter(|problem| !is_unopened(problem));
    problem.into_iter().for_each(warn);
    let is_refused = problem.is_some();
    let public = match &key {
        Ok(key) => Some(key.public_key()),
        Err(_) => entry.public_key.as_ref().filter(|_| !is_refused),
    };
    let publications = entry.publications.iter();
    let age = now.duration_since(entry.created).as_secs();
    ListedKey {
        organisation: organisation.id.clone(),
        selector: entry.selector.clone(),
        algorithm: entry.algorithm,
        bits: public.map(PublicKey::bits),
        created: entry.created,
        age_seconds: u64::try_from(age).unwrap_or(0),
        fingerprint: entry.fingerprint,
        domains: publications
            .filter(|(domain, _)| of.has(entry, domain))
            .map(|(domain, publication)| {
                let step = situation.next_step(entry, domain);
                ListedDomain {
                    leaving: situation.keyring.departure(domain),
                    domain: domain.clone(),
                    level: of.level(entry, domain, is_refused),
                    publication: *publication,
                    reports: senders.of_key(domain, &entry.selector).map(Into::into),
                    next: ListedStep {
                        text: step.text(),
                        actor: step.actor(),
                        step,
                    },
                }
            })
            .collect(),
    }
}

fn table(keys: &[ListedKey]) -> Table<11> {
    let mut table = Table::new([
        "ORGANISATION",
        "SELECTOR",
        "ALGORITHM",
        "BITS",
        "AGE",
        "DOMAIN",
        "STATE",
        "SINCE",
        "LEVEL",
        "NEXT AT",
        "NEXT STEP",
    ]);
    for key in keys {
        let row = |cells: [String; 6]| {
            let [domain, state, since, level, when, next] = cells;
            let bits = key.bits.map(|bits| bits.to_string());
            [
                key.organisation.to_string(),
                key.selector.to_string(),
                key.algorithm.to_string(),
                bits.unwrap_or_else(|| "?".to_owned()),
                age(key.age_seconds),
                domain,
                state,
                since,
                level,
                when,
                next,
            ]
        };
        if key.domains.is_empty() {
            table.row(row(["-"; 6].map(str::to_owned)));
        }
        for listed in &key.domains {
            let Publication { state, since, .. } = listed.publication;
            let when = listed.next.step.when;
            table.row(row([
                listed.domain.to_string(),
                state.to_string(),
                date(since),
                listed.level.to_string(),
                when.map_or_else(|| "-".to_owned(), date),
                listed.next.text.clone(),
            ]));
        }
    }
    table
}

/// The keys of each domain below one another, so that a new one stands beside the old one; none if
/// nobody reported any.
fn reported(keys: &[ListedKey]) -> Option<Table<7>> {
    let mut rows: Vec<_> = keys
        .iter()
        .flat_map(|key| key.domains.iter().map(move |listed| (key, listed)))
        .filter_map(|(key, listed)| Some((key, listed, listed.reports.as_ref()?)))
        .collect();
    rows.sort_by_key(|(key, listed, _)| (&key.organisation, &listed.domain));
    rows.first()?;
    let mut table = Table::new([
        "DOMAIN",
        "SELECTOR",
        "ALGORITHM",
        "STATE",
        "MESSAGES",
        "PASSED",
        "LAST PASSED",
    ]);
    for (key, listed, reported) in rows {
        table.row([
            listed.domain.to_string(),
            key.selector.to_string(),
            key.algorithm.to_string(),
            listed.publication.state.to_string(),
            reported.messages.to_string(),
            format!("{} ({})", reported.passed, reported.share),
            reported
                .last_seen
                .map_or_else(|| "-".to_owned(), |date| date.to_string()),
        ]);
    }
    Some(table)
}

/// In the largest unit that tells something.
fn age(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        DAY.. => format!("{}d", seconds / DAY),
    }
}

/// As [`list`] prints them, with what this signer says.
#[cfg(test)]
pub(in crate::cli) fn printed(
    loaded: &Loaded,
    keystore: &Keystore,
    figures: &SignerFigures,
) -> String {
    let wanted: Vec<&Organisation> = loaded.organisations.iter().map(AsRef::as_ref).collect();
    let keys = gather((loaded, keystore), Some(figures), &wanted, Which::All);
    table(&keys.unwrap()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let ages = [0, 59, 60, 7199, 86_399, 86_400 * 400].map(age);
        assert_eq!(ages, ["0s", "59s", "1m", "1h", "23h", "400d"]);
    }
}
