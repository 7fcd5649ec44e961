//! `zegel dmarc status`

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    num::NonZero,
    panic::resume_unwind,
    str::FromStr,
    thread::{self, ScopedJoinHandle, available_parallelism},
    time::Duration,
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::told::{self, Document, ToldDomain, tell};
use crate::{
    cli::{
        context::{Context, organisation},
        day::Day,
        failure::Failure,
        look::in_one_round_within,
        report::{sending_advice, state_advice},
        status::Status,
    },
    config::{Loaded, SendersBelow},
    dns::{DnsError, Observer},
    evidence::{Store, rollup::DAY},
    keystore::{Coverage, Keystore, Sightings},
    ladder::{ADVICE_DAYS, Subject, advise, facts::MOST_NAMES, record::Published},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
    sending::{Climb, Covered, Ours, climb, signatures},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    #[command(flatten)]
    basis: Basis,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is answered for.
#[derive(Args, Debug)]
pub(super) struct Basis {
    /// The day that counts as today, such as 2026-11-29
    #[arg(long, value_name = "DATE")]
    as_of: Option<Day>,

    /// Answer as if this record were published; the DNS is not asked for it. May be repeated
    #[arg(long, value_name = "DOMAIN=RECORD")]
    published: Vec<Assumed>,
}

impl Basis {
    /// In days since 1970.
    pub(super) fn today(&self) -> i32 {
        let now = self.as_of.map_or_else(Timestamp::now, Day::ends);
        i32::try_from(now.as_second().div_euclid(DAY)).unwrap_or(i32::MAX)
    }
}

/// A record that is not there yet.
#[derive(Clone, Debug)]
struct Assumed {
    domain: DomainName,
    record: String,
}

impl FromStr for Assumed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (domain, record) = text
            .split_once('=')
            .ok_or("write DOMAIN=RECORD, such as example.nl='v=DMARC1; p=none'")?;
        Ok(Self {
            domain: domain
                .parse()
                .map_err(|error| format!("{domain}: {error}"))?,
            record: record.to_owned(),
        })
    }
}

/// How long all questions together may take at least, and how much longer for each name: 5,000
/// domains take some seconds where resolvers answer.
const LEAST_TIME: Duration = Duration::from_secs(20);
const TIME_OF_NAME: Duration = Duration::from_millis(5);
/// A thread is worth so many domains.
const DOMAINS_EACH: usize = 100;
/// What the keeper saw is good for so long.
const KEEPER_SAW: SignedDuration = SignedDuration::from_hours(24 * ADVICE_DAYS as i64);

/// The domain that a record belongs to, and the record; none if there is none.
type Found = Result<Option<(String, Vec<String>)>, DnsError>;

/// A domain of an organisation.
pub(super) struct Asked<'a> {
    organisation: &'a Organisation,
    domain: &'a DomainName,
    parked: bool,
    /// Whose record speaks for it.
    owner: DomainName,
    /// None if nobody can tell.
    published: Option<Published>,
    /// Whether there are records, and receivers use none of them.
    is_broken: bool,
    problem: Option<String>,
    /// Of a domain that never sends: one below it that does, without a record of its own.
    waits_for: Option<DomainName>,
}

pub(super) fn run(arguments: &StatusArguments, context: &mut Context) -> Result<Status, Failure> {
    // Whose a domain is, the others tell as well.
    let loaded = context.load()?;
    let wanted = match &arguments.organisation {
        Some(id) => vec![organisation(&loaded, id)?],
        None => loaded.organisations.iter().map(AsRef::as_ref).collect(),
    };
    let today = arguments.basis.today();
    let asked = ask(&loaded, &wanted, &arguments.basis)?;
    let proved = prove(&loaded, &asked, today)?;
    let told = asked.iter().map(|one| tell(&one.stand(&loaded, &proved)));
    let told: Vec<ToldDomain> = told.collect();
    let is_due = told.iter().any(ToldDomain::is_due);
    let document = Document::new(today, told);
    if arguments.json {
        context.output.json(&document);
    } else {
        let whole = arguments.organisation.is_some() || document.is_small();
        told::print(&document, whole, &mut context.output);
    }
    Ok(Status::of_check(!is_due))
}

/// Which record each domain has.
pub(super) fn ask<'a>(
    loaded: &Loaded,
    organisations: &[&'a Organisation],
    basis: &Basis,
) -> Result<Vec<Asked<'a>>, Failure> {
    let assumed = &basis.published;
    let all = organisations.iter().flat_map(|organisation| {
        let sending = organisation.domains.iter().map(|domain| (domain, false));
        let parked = organisation.parked.iter().map(|domain| (domain, true));
        sending
            .chain(parked)
            .map(move |(domain, parked)| (*organisation, domain, parked))
    });
    let all: Vec<_> = all.collect();
    for one in assumed {
        if !all.iter().any(|(_, domain, _)| **domain == one.domain) {
            return Err(Failure::Usage(format!(
                "--published: {} is no domain of these organisations",
                one.domain
            )));
        }
    }
    let mut found: BTreeMap<DomainName, Found> = assumed
        .iter()
        .map(|one| {
            let records = match one.record.trim() {
                "" => None,
                record => Some((one.domain.to_string(), vec![record.to_owned()])),
            };
            (one.domain.clone(), Ok(records))
        })
        .collect();
    let names: BTreeSet<&DomainName> = all.iter().map(|(_, domain, _)| *domain).collect();
    // Those of other organisations, for which a domain above them has to wait.
    let below = SendersBelow::of(&loaded.organisations, &loaded.mistakes);
    let parked = all.iter().filter(|(_, _, parked)| *parked);
    let others: BTreeSet<&DomainName> = parked
        .flat_map(|(_, domain, _)| below.names(domain))
        .filter(|name| !names.contains(name))
        .collect();
    let names: BTreeSet<&DomainName> = names.union(&others).copied().collect();
    let names = names.into_iter().filter(|name| !found.contains_key(*name));
    found.extend(look_up(loaded, names.cloned().collect())?);
    let asked = all.into_iter().map(|(organisation, domain, parked)| {
        Asked::new(organisation, (domain, parked), found.get(domain))
    });
    let mut asked: Vec<Asked<'_>> = asked.collect();
    remember(loaded, &mut asked)?;
    let others = others.into_iter();
    let others = others.filter(|name| has_own(name, found.get(*name)));
    let others: Vec<DomainName> = others.cloned().collect();
    keep_apart(&below, &mut asked, &others);
    Ok(asked)
}

/// What the DNS says of these, also where nobody has answered in time.
fn look_up(
    loaded: &Loaded,
    names: Vec<DomainName>,
) -> Result<BTreeMap<DomainName, Found>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let observer = Observer::of_resolvers(&loaded.settings.keeper)?;
    let time = time_for(names.len());
    let silence = DnsError::Temporary(format!("none within {} s", time.as_secs()));
    let silent = names
        .iter()
        .map(|name| (name.clone(), Err(silence.clone())));
    let mut found: BTreeMap<DomainName, Found> = silent.collect();
    found.extend(in_one_round_within(
        &observer,
        names,
        time,
        |round, name| async move {
            let records = round.dmarc(name.as_str()).await;
            (name, records)
        },
    )?);
    Ok(found)
}

fn time_for(names: usize) -> Duration {
    let names = u32::try_from(names).unwrap_or(u32::MAX);
    LEAST_TIME + TIME_OF_NAME.saturating_mul(names)
}

/// Where the DNS does not answer, the record is the one that the keeper saw, as long as that is
/// young; and that is said.
fn remember(loaded: &Loaded, asked: &mut [Asked<'_>]) -> Result<(), Failure> {
    if asked.iter().all(|one| one.published.is_some()) {
        return Ok(());
    }
    let keystore = loaded.settings.open_keystore()?;
    let now = Timestamp::now();
    let mut seen: BTreeMap<&OrganisationId, Sightings> = BTreeMap::new();
    for one in asked.iter_mut().filter(|one| one.published.is_none()) {
        let organisation = one.organisation;
        let id = &organisation.id;
        // Without them nobody can tell, and that is said.
        let sightings = seen
            .entry(id)
            .or_insert_with(|| keystore.sightings(id).unwrap_or_default());
        one.remember(sightings, now);
    }
    Ok(())
}

/// Whether a domain has a record of its own that receivers use.
fn has_own(domain: &DomainName, found: Option<&Found>) -> bool {
    let Some(Ok(Some((owner, texts)))) = found else {
        return false;
    };
    owner == domain.as_str() && Published::new(texts).text.is_some()
}

/// A domain that sends needs a record of its own below one that never does: `p=reject` up there
/// would be for its mail too. `others` are domains of other organisations that have one.
fn keep_apart(below: &SendersBelow, asked: &mut [Asked<'_>], others: &[DomainName]) {
    for one in asked.iter_mut() {
        if !one.parked && one.owner != *one.domain && below.is_above(one.owner.as_str()) {
            one.owner = one.domain.clone();
            one.published = Some(Published::default());
        }
    }
    let apart: HashSet<&DomainName> = (asked.iter())
        .filter(|one| !one.parked && one.owner == *one.domain)
        .filter(|one| one.published.as_ref().is_some_and(|one| one.text.is_some()))
        .map(|one| one.domain)
        .chain(others)
        .collect();
    for one in asked.iter_mut().filter(|one| one.parked) {
        let mut names = below.names(one.domain).iter();
        one.waits_for = names.find(|name| !apart.contains(name)).cloned();
    }
}

/// What reports prove.
pub(super) struct Proved {
    /// Of each policy domain.
    climbs: BTreeMap<DomainName, Climb>,
    /// How much of the mail of a domain reports tell of.
    coverage: BTreeMap<DomainName, Coverage>,
    nothing: Climb,
}

impl Proved {
    fn nothing(today: i32) -> Self {
        Self {
            climbs: BTreeMap::new(),
            coverage: BTreeMap::new(),
            nothing: Climb::none(today),
        }
    }

    /// How much of the mail of each organisation reports tell of.
    fn cover(
        &mut self,
        ours: &Ours<'_>,
        keystore: &Keystore,
        asked: &[Asked<'_>],
        today: i32,
    ) -> Result<(), Failure> {
        let mut all: BTreeMap<&OrganisationId, Vec<&Asked<'_>>> = BTreeMap::new();
        for one in asked {
            all.entry(&one.organisation.id).or_default().push(one);
        }
        for (id, domains) in all {
            let policies = domains.iter().map(|one| one.evidence());
            let policies: BTreeSet<&DomainName> = policies.collect();
            let climbs = policies.iter().filter_map(|name| self.climbs.get(*name));
            let passed = climbs.map(|climb| &climb.passed);
            let mut passed = passed.filter(|passed| !passed.is_empty()).peekable();
            if passed.peek().is_none() {
                continue;
            }
            let keyring = keystore.read_keyring(id)?;
            let covered = Covered::new(ours.signatures(), (id, &keyring), passed, today);
            for one in domains {
                let found = covered.of(one.domain);
                self.coverage
                    .extend(found.map(|found| (one.domain.clone(), found)));
            }
        }
        Ok(())
    }
}

/// What reports prove of each of these. Several threads read the store for very many.
fn climb_all(
    loaded: &Loaded,
    ours: &Ours<'_>,
    about: &[&DomainName],
    today: i32,
) -> Result<BTreeMap<DomainName, Climb>, Failure> {
    let state = &loaded.settings.reports.state;
    let climb_some = |domains: &[&DomainName]| -> Result<Vec<(DomainName, Climb)>, Failure> {
        let store = Store::read(state).map_err(|error| state_advice(&error))?;
        let Some(store) = store else {
            return Ok(Vec::new());
        };
        let climbed = domains.iter().map(|domain| {
            let found = climb(&store, ours, domain, today).map_err(sending_advice)?;
            Ok(((*domain).clone(), found))
        });
        climbed.collect()
    };
    let threads = available_parallelism().map_or(1, NonZero::get);
    let each = about.len().div_ceil(threads).max(DOMAINS_EACH);
    let parts: Vec<Result<_, Failure>> = thread::scope(|scope| {
        let parts = about.chunks(each);
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| climb_some(part))).collect();
        let ends = parts.into_iter().map(ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let mut climbs = BTreeMap::new();
    for part in parts {
        climbs.extend(part?);
    }
    Ok(climbs)
}

/// What reports prove of the domains, beside what was signed.
pub(super) fn prove(loaded: &Loaded, asked: &[Asked<'_>], today: i32) -> Result<Proved, Failure> {
    let mut proved = Proved::nothing(today);
    let settings = &loaded.settings;
    let store = Store::read(&settings.reports.state).map_err(|error| state_advice(&error))?;
    let Some(store) = store else {
        return Ok(proved);
    };
    let keystore = settings.open_keystore()?;
    let ours = Ours::of(loaded, Some(&keystore));
    let about: BTreeSet<&DomainName> = asked.iter().map(Asked::evidence).collect();
    let signing = about.iter().flat_map(|domain| ours.related(domain));
    let asked_for = asked.iter().map(|one| one.organisation);
    let wanted = signing.chain(asked_for).map(|one| one.id.as_str());
    let wanted: HashSet<&str> = wanted.collect();
    let signatures = signatures(&keystore, today, |id| wanted.contains(id))?;
    let ours = ours.with_signatures(signatures);
    drop(store);
    proved.climbs = climb_all(loaded, &ours, &about.into_iter().collect::<Vec<_>>(), today)?;
    find_nonexistent(loaded, &mut proved.climbs)?;
    proved.cover(&ours, &keystore, asked, today)?;
    Ok(proved)
}

/// Which names below send legitimate mail and are not in the DNS.
fn find_nonexistent(
    loaded: &Loaded,
    climbs: &mut BTreeMap<DomainName, Climb>,
) -> Result<(), Failure> {
    let names: BTreeMap<DomainName, BTreeSet<String>> = climbs
        .iter()
        .map(|(owner, climb)| (owner.clone(), climb.facts.names_below(owner.as_str())))
        .filter(|(_, names)| names.len() <= MOST_NAMES)
        .collect();
    let all: BTreeSet<String> = names.values().flatten().cloned().collect();
    let mut there: BTreeMap<String, Option<bool>> = BTreeMap::new();
    if !all.is_empty() {
        let all: Vec<String> = all.into_iter().collect();
        let observer = Observer::of_resolvers(&loaded.settings.keeper)?;
        let time = time_for(all.len());
        let answers = in_one_round_within(&observer, all, time, |round, name| async move {
            let found = round.has_address(&name).await.ok();
            (name, found)
        })?;
        there.extend(answers);
    }
    for (owner, names) in names {
        let missing: Option<BTreeSet<String>> = names
            .into_iter()
            .filter_map(|name| match there.get(&name).copied().flatten() {
                Some(true) => None,
                Some(false) => Some(Some(name)),
                None => Some(None),
            })
            .collect();
        if let Some(climb) = climbs.get_mut(&owner) {
            climb.facts.nonexistent = missing;
        }
    }
    Ok(())
}

impl<'a> Asked<'a> {
    fn new(
        organisation: &'a Organisation,
        (domain, parked): (&'a DomainName, bool),
        found: Option<&Found>,
    ) -> Self {
        let (owner, published, problem) = match found {
            Some(Ok(Some((owner, texts)))) => (
                owner.parse().unwrap_or_else(|_| domain.clone()),
                Some(Published::new(texts)),
                (texts.len() > 1).then(|| format!("{} records: receivers use none", texts.len())),
            ),
            Some(Ok(None)) | None => (domain.clone(), Some(Published::default()), None),
            Some(Err(error)) => (domain.clone(), None, Some(error.to_string())),
        };
        let is_there = matches!(found, Some(Ok(Some(_))));
        let is_used = published.as_ref().is_some_and(|one| one.text.is_some());
        Self {
            organisation,
            domain,
            parked,
            owner,
            published,
            is_broken: is_there && !is_used,
            problem,
            waits_for: None,
        }
    }

    /// The DNS did not answer: what the keeper saw counts, if it is young.
    fn remember(&mut self, sightings: &Sightings, now: Timestamp) {
        let seen = sightings.domains.get(self.domain);
        let seen = seen.filter(|seen| now.duration_since(seen.checked) <= KEEPER_SAW);
        let Some((seen, texts)) = seen.and_then(|seen| Some((seen, seen.dmarc.as_ref()?))) else {
            return;
        };
        let owner = seen.dmarc_owner.as_ref().and_then(|one| one.parse().ok());
        let published = Published::new(texts);
        self.owner = owner.unwrap_or_else(|| self.domain.clone());
        self.is_broken = !texts.is_empty() && published.text.is_none();
        self.published = Some(published);
        let why = self.problem.take().unwrap_or_default();
        let checked = seen.checked.strftime("%Y-%m-%d %H:%M");
        self.problem = Some(format!(
            "{why}; this is what the keeper knew at {checked} UTC"
        ));
    }

    /// Whose reports tell of it. Of mail from a domain above, one that never sends has nothing.
    pub(super) fn evidence(&self) -> &DomainName {
        if self.parked {
            self.domain
        } else {
            &self.owner
        }
    }

    /// How it stands, and what is advised.
    pub(super) fn stand<'b>(&'b self, loaded: &Loaded, proved: &'b Proved) -> told::Subject<'b> {
        let climb = proved.climbs.get(self.evidence());
        let climb = climb.unwrap_or(&proved.nothing);
        let subject = Subject {
            parked: self.parked,
            published: self.published.as_ref(),
            reports: loaded.settings.report_address(),
        };
        let standing = advise(&climb.facts, subject, &loaded.settings.dmarc);
        let owners = loaded.organisations.iter();
        let mut owned = owners.flat_map(|one| one.domains.iter().chain(&one.parked));
        let elsewhere = self.owner != *self.domain;
        let subject = told::Subject {
            organisation: &self.organisation.id,
            domain: self.domain,
            parked: self.parked,
            owner: &self.owner,
            is_elsewhere: elsewhere && !owned.any(|domain| *domain == self.owner),
            published: self
                .published
                .as_ref()
                .and_then(|published| published.text.as_deref()),
            is_broken: self.is_broken,
            problem: self.problem.as_deref(),
            waits_for: self.waits_for.as_ref(),
            climb,
            coverage: proved.coverage.get(self.domain).copied(),
            standing,
        };
        subject.settled()
    }
}
