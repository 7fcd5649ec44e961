//! `zegel org move`: the new organisation gets its key ready while the old one signs, and when
//! that may sign, the lines of both files change together. A command that is repeated goes on
//! where it was.

mod file;
mod files;

use std::{
    slice,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::files::{Change, Files};
use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        key::make_wanted,
        output::{complain, warn},
        status::Status,
    },
    config::{Loaded, Reader, SendersBelow, situation},
    dkim::Algorithm,
    handover::{Format, Handover, Pack, Scope, needs_public_key},
    keys::{self, KeyEntry, Keyring, Moment, State, What},
    keystore::{Keystore, KeystoreError, Target},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::Language,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(in crate::cli) struct MoveArguments {
    /// The domains to move, sent from or parked
    #[arg(value_name = "DOMAIN", required_unless_present = "from")]
    domains: Vec<DomainName>,

    /// Move every domain that this organisation has; its file goes when it has none any more
    #[arg(long, value_name = "ORG", conflicts_with = "domains")]
    from: Option<String>,

    /// The organisation that gets them
    #[arg(long, value_name = "ORG")]
    to: String,

    /// Wait so long until they can be moved: 1h, 3d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,

    /// Give up a move that is being prepared
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,

    /// The language of the reader of the pack [default: that of the file of whom it moves to]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    organisation: OrganisationId,
    domains: Vec<Moving>,
    /// Whether all of them are where they are to be.
    moved: bool,
    /// As `zegel dns records --format json` has them; none when all is moved.
    records: Option<Value>,
    #[serde(skip)]
    pack: Option<Pack>,
    #[serde(skip)]
    language: Language,
    /// Files that had no domain any more.
    #[serde(skip)]
    removed: Vec<OrganisationId>,
}

#[derive(Serialize)]
struct Moving {
    domain: DomainName,
    /// Who has it, or had it.
    from: Option<OrganisationId>,
    state: Step,
    /// The keys of the new organisation that sign for it, or are to.
    keys: Vec<MovingKey>,
    #[serde(skip)]
    is_parked: bool,
}

#[derive(Serialize)]
struct MovingKey {
    selector: Selector,
    state: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// The new organisation has it.
    Moved,
    /// Its key is ready; other domains that move with it are not.
    Ready,
    /// Its key is not ready.
    Preparing,
    /// The move was given up.
    Cancelled,
}

pub(super) fn run(arguments: &MoveArguments, context: &mut Context) -> Result<Status, Failure> {
    let began = Instant::now();
    let mut is_first = true;
    let outcome = loop {
        let outcome = step(arguments, context, is_first)?;
        let left = arguments
            .wait
            .map(|wait| wait.saturating_sub(began.elapsed()));
        match left.filter(|left| !left.is_zero() && !outcome.moved) {
            None => break outcome,
            Some(left) => {
                if is_first && !arguments.json {
                    report(&outcome, arguments, context);
                }
                is_first = false;
                thread::sleep(PAUSE.min(left));
            }
        }
    };
    if arguments.json {
        context.output.json(&outcome);
    } else if is_first || outcome.moved {
        report(&outcome, arguments, context);
    }
    Ok(Status::of_check(outcome.moved || arguments.wait.is_none()))
}

/// Does what can be done now.
fn step(
    arguments: &MoveArguments,
    context: &mut Context,
    is_first: bool,
) -> Result<Outcome, Failure> {
    let mut reader = Reader::new(context.config_file());
    let keystore = context.open_keystore(&reader.load()?.settings)?;
    // Nobody else moves or adds them meanwhile.
    let lock = keystore.lock_organisations()?;
    let loaded = reader.load()?;
    if is_first {
        for problem in loaded.mistakes.problems() {
            warn(problem);
        }
    }
    let to = found(&loaded, &arguments.to)?;
    let mut moving = moving(arguments, &loaded, to)?;
    let keyring = keystore.read_keyring(&to.id)?;
    let mut files = Files::new(context.config_file());
    if arguments.cancel {
        return cancel(to, moving, files, (&reader, &keystore));
    }
    context::refuse_unread_notices(&keystore, &to.id)?;
    refuse(&moving, &loaded, (to, &keyring))?;
    look(&mut moving, &loaded, (to, &keyring));
    if moving.iter().any(|one| one.state == Step::Preparing) {
        for one in moving.iter().filter(|one| one.state != Step::Moved) {
            if !one.is_parked {
                files.change(to, Change::Incoming(&one.domain))?;
            }
        }
        files.write(&reader)?;
        // With what was written now.
        let loaded = reader.load()?;
        drop(lock);
        return prepare(moving, found(&loaded, &arguments.to)?, &loaded, &keystore);
    }
    for one in &mut moving {
        if one.state == Step::Ready {
            let from = found(
                &loaded,
                one.from.as_ref().map_or("", OrganisationId::as_str),
            )?;
            warn_of_senders(&one.domain, from, to);
            files.change(to, Change::Comes(&one.domain, one.is_parked))?;
            files.change(from, Change::Goes(&one.domain))?;
            one.state = Step::Moved;
        }
    }
    let removed = files.write(&reader)?;
    Ok(outcome(to, moving, removed))
}

/// What would be signed by nobody in the end, or under a name that does not lead there.
fn refuse(
    moving: &[Moving],
    loaded: &Loaded,
    (to, keyring): (&Organisation, &Keyring),
) -> Result<(), Failure> {
    let id = &to.id;
    if keyring.suspended().is_some() {
        return Err(Failure::Other(format!(
            "{id} is suspended, so that none of its mail is signed: `zegel org resume {id}` first"
        )));
    }
    for Moving { domain, from, .. } in moving {
        if keyring.departure(domain).is_some() {
            return Err(Failure::Other(format!(
                "{id} leaves, or {domain} leaves it: `zegel org retire {id} --undo` first"
            )));
        }
        let from = from.as_ref().map(OrganisationId::as_str);
        let both = loaded.organisations.iter();
        let mut both = both.filter(|one| one.id == *id || Some(one.id.as_str()) == from);
        if let Some(one) = both.find(|one| one.delegations.way(domain).is_some()) {
            return Err(Failure::Other(format!(
                "orgs.d/{}.toml: delegation: the keys of {domain} are, or are to be, in a zone of \
                 yours, where those of two organisations can't be at once; see docs/moving.md",
                one.id
            )));
        }
    }
    Ok(())
}

/// What waited to sign is given up, so that its record is asked back.
fn cancel(
    to: &Organisation,
    mut moving: Vec<Moving>,
    mut files: Files,
    (reader, keystore): (&Reader, &Keystore),
) -> Result<Outcome, Failure> {
    for one in moving.iter_mut().filter(|one| one.state != Step::Moved) {
        files.change(to, Change::NoMoreIncoming(&one.domain))?;
        one.state = Step::Cancelled;
    }
    files.write(reader)?;
    let now = Timestamp::now();
    let keyring = keystore.read_keyring(&to.id)?;
    let mut writer = keystore.writer_of([&to.id], moving.iter().map(|one| &one.domain))?;
    for one in moving.iter().filter(|one| one.state == Step::Cancelled) {
        let domains = slice::from_ref(&one.domain);
        let waits = |key: &&KeyEntry| {
            let state = key.state(&one.domain);
            matches!(state, Some(State::Generated | State::Published))
        };
        for key in keyring.keys().iter().filter(waits) {
            let changes = keys::abort(&keyring, &key.selector, domains, now);
            let changes = changes.map_err(KeystoreError::Command)?;
            for problem in writer.apply(&to.id, &changes, now)? {
                warn(problem);
            }
        }
    }
    Ok(outcome(to, moving, Vec::new()))
}

fn found<'a>(loaded: &'a Loaded, id: &str) -> Result<&'a Organisation, Failure> {
    context::refuse_broken(loaded, id)?;
    context::organisation(loaded, id)
}

fn outcome(to: &Organisation, domains: Vec<Moving>, removed: Vec<OrganisationId>) -> Outcome {
    Outcome {
        organisation: to.id.clone(),
        moved: domains.iter().all(|one| one.state == Step::Moved),
        domains,
        records: None,
        pack: None,
        language: to.language,
        removed,
    }
}

/// Where a file has a domain that is in another one too: a move broke off between the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Domains,
    Parked,
}

fn claim(loaded: &Loaded, one: &Organisation, domain: &DomainName) -> Option<Place> {
    let contested = &loaded.mistakes.contested;
    let contested = contested.iter().find(|one| one.domain == *domain)?;
    if contested.parked.contains(&one.id) {
        return Some(Place::Parked);
    }
    contested.has(&one.id).then_some(Place::Domains)
}

/// The domains that are asked for, and who has them now.
fn moving(
    arguments: &MoveArguments,
    loaded: &Loaded,
    to: &Organisation,
) -> Result<Vec<Moving>, Failure> {
    let contested = &loaded.mistakes.contested;
    let mut domains = arguments.domains.clone();
    if let Some(from) = &arguments.from {
        if *from == arguments.to {
            return Err(Failure::Usage(format!(
                "--from and --to are both {from}; name two organisations"
            )));
        }
        let from = found(loaded, from)?;
        domains = from.domains.iter().chain(&from.parked).cloned().collect();
        let contested = contested.iter().filter(|one| one.has(&from.id));
        domains.extend(contested.map(|one| one.domain.clone()));
    }
    domains.sort_unstable();
    domains.dedup();
    let moving = domains.into_iter().map(|domain| {
        let has =
            |one: &Organisation| one.domains.contains(&domain) || one.parked.contains(&domain);
        let is_there = has(to);
        let has_it = |one: &&Arc<Organisation>| has(one) || claim(loaded, one, &domain).is_some();
        let mut others = loaded.organisations.iter().filter(|one| one.id != to.id);
        let from = others.find(has_it);
        if from.is_some() && others.any(|one| has_it(&one)) {
            return Err(Failure::Other(format!(
                "several organisations have {domain} in their files; correct that first, see \
                 `zegel check`"
            )));
        }
        // What was to come from somebody who has it no more can still be given up.
        let is_given_up = arguments.cancel && to.incoming.contains(&domain);
        if from.is_none() && !is_there && !is_given_up {
            return Err(Failure::Usage(format!(
                "no organisation has {domain}; add it to domains in orgs.d/{}.toml",
                to.id
            )));
        }
        Ok(Moving {
            state: if is_there && from.is_none() {
                Step::Moved
            } else {
                Step::Preparing
            },
            is_parked: from.is_some_and(|from| {
                from.parked.contains(&domain) || claim(loaded, from, &domain) == Some(Place::Parked)
            }),
            from: from.map(|from| from.id.clone()),
            keys: Vec::new(),
            domain,
        })
    });
    moving.collect()
}

/// Whether the keys of the new organisation may sign for them.
fn look(moving: &mut [Moving], loaded: &Loaded, (to, keyring): (&Organisation, &Keyring)) {
    let timing = loaded.settings.timing();
    let situation = situation(to, keyring, &[], &timing);
    for one in moving {
        let domain = &one.domain;
        let keys = keyring.keys().iter().filter_map(|key| {
            let state = key.state(domain)?;
            let is_to_sign = matches!(state, State::Generated | State::Published | State::Active);
            is_to_sign.then(|| MovingKey {
                selector: key.selector.clone(),
                state: state.as_str(),
            })
        });
        one.keys = keys.collect();
        // Its record is there, by the last look.
        let may_sign = |algorithm: &Algorithm| {
            let key = keyring.active_key(domain, *algorithm);
            let step = key.map(|key| situation.next_step(key, domain).what);
            !matches!(step, None | Some(What::RestoreRecord | What::MendRecord))
        };
        let is_ready = one.is_parked || to.algorithms.iter().all(may_sign);
        if one.state == Step::Preparing && is_ready {
            one.state = Step::Ready;
        }
    }
}

/// Makes what is lacking, and the pack that asks for it.
fn prepare(
    mut moving: Vec<Moving>,
    to: &Organisation,
    loaded: &Loaded,
    keystore: &Keystore,
) -> Result<Outcome, Failure> {
    let keyring = keystore.read_keyring(&to.id)?;
    let timing = loaded.settings.timing();
    let now = Timestamp::now();
    let away = loaded.claims().away(to, &keyring);
    let mut plan = situation(to, &keyring, &away, &timing).lacking(Moment::steady(now));
    let mut writer = keystore.writer_of([&to.id], &to.domains)?;
    plan.avoid_taken(&keyring, |selector, domain| {
        let target = Target {
            organisation: &to.id,
            selector,
            domains: slice::from_ref(domain),
        };
        writer.taken(&target).map(|taken| taken.is_some())
    })?;
    for problem in writer.apply(&to.id, &plan.changes, now)? {
        warn(problem);
    }
    drop(writer);
    make_wanted(keystore, to, &plan.wanted)?;
    let keys = keystore.read_public_keys(&to.id, needs_public_key)?;
    look(&mut moving, loaded, (to, &keys.keyring));
    let below = SendersBelow::of_one(to, &loaded.organisations, &loaded.mistakes);
    let pack = Handover::new(to, &below, &keys, &loaded.settings, now).pack(&Scope::default())?;
    let records = serde_json::from_str(&pack.render(Format::Json, Language::English))
        .map_err(|error| Failure::Other(format!("{}: its records: {error}", to.id)))?;
    Ok(Outcome {
        records: Some(records),
        pack: Some(pack),
        ..outcome(to, moving, Vec::new())
    })
}

fn warn_of_senders(domain: &DomainName, from: &Organisation, to: &Organisation) {
    if from.senders != to.senders {
        warn(format_args!(
            "{domain}: from now on [senders] of {} says who may send from it, and that is not what \
             {} had",
            to.id, from.id
        ));
    }
}

fn report(outcome: &Outcome, arguments: &MoveArguments, context: &mut Context) {
    let to = &outcome.organisation;
    for one in &outcome.domains {
        let (domain, keys) = (&one.domain, &one.keys);
        let keys: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
        let (keys, from) = (
            keys.join(", "),
            one.from.as_ref().map_or("", OrganisationId::as_str),
        );
        match one.state {
            Step::Moved if from.is_empty() => complain(format_args!("{domain}: {to} has it")),
            Step::Moved if one.is_parked => {
                complain(format_args!("{domain}: moved from {from} to {to}, parked"));
            }
            Step::Moved => complain(format_args!(
                "{domain}: moved from {from} to {to}; a running signer signs with {keys} within \
                 seconds, and the keeper asks for the records of {from} back when no mail needs \
                 them any more"
            )),
            Step::Ready => complain(format_args!("{domain}: ready, {keys} may sign")),
            Step::Preparing => complain(format_args!(
                "{domain}: {from} signs, until the record of {keys} has been seen at every name \
                 server"
            )),
            Step::Cancelled if from.is_empty() => complain(format_args!(
                "{domain}: comes to {to} no more, and no file has it; the keeper asks for records \
                 of {to} back, and a key that is in use for it waits for `zegel org retire {to} \
                 --domain {domain}`"
            )),
            Step::Cancelled => complain(format_args!(
                "{domain}: stays where it is; the keeper asks for records of {to} back"
            )),
        }
    }
    for id in &outcome.removed {
        complain(format_args!(
            "orgs.d/{id}.toml: removed, since it had no domain any more"
        ));
    }
    if let Some(pack) = &outcome.pack {
        let language = arguments.lang.unwrap_or(outcome.language);
        let text = pack.render(Format::Text, language);
        context.output.octets(text.as_bytes());
        complain("repeat the command when the records are there, or let it wait with --wait 3d");
    }
}
