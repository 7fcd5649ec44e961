//! `zegel org retire`: an organisation, or a domain of it, leaves. While its file is there, its
//! mail is signed for a grace, after which the keeper lets its keys drain; without a file, or
//! with `--now`, they drain at once.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::standing::known;
use crate::{
    cli::{
        context::{Context, gone, nearest, refuse_broken, refuse_unread_notices},
        failure::Failure,
        output::{Output, date, warn},
        packs,
        status::Status,
    },
    config::{Loaded, SendersBelow},
    handover::Scope,
    keys::{Change, Departure, Keyring},
    keystore::{Keystore, Missing, Retired},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::{Language, words},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct RetireArguments {
    /// Its id: the name of its file in orgs.d, or that it had, without .toml
    #[arg(value_name = "ORG")]
    id: String,

    /// Only this domain of it
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// For how long its mail is still signed: 30d, 12h [default: retire_grace in zegel.toml]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        conflicts_with_all = ["now", "undo"]
    )]
    grace: Option<Duration>,

    /// Sign none of its mail from now on
    #[arg(long, conflicts_with = "undo")]
    now: bool,

    /// It does not leave: take that back
    #[arg(long)]
    undo: bool,

    /// The language of the text for the customer [default: that of its file]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

words! {
    /// What became of it.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Became {
        /// It leaves, and its mail is signed until then.
        Leaving = "leaving",
        /// Nothing of it signs any more.
        Left = "left",
        /// It does not leave.
        Stays = "stays",
    }
}

/// What was done.
#[derive(Serialize)]
struct Done<'a> {
    organisation: &'a OrganisationId,
    /// None: all of them.
    domain: Option<&'a DomainName>,
    became: Became,
    /// Until when its mail is signed.
    until: Option<Timestamp>,
    /// Keys that sign no more.
    drained: Vec<Drained<'a>>,
    /// Keys that are in no keyring, and are given up.
    missing: Vec<Drained<'a>>,
    /// The text for the customer.
    text: Option<String>,
}

#[derive(Serialize)]
struct Drained<'a> {
    domain: &'a DomainName,
    selector: &'a Selector,
}

/// Who leaves.
#[derive(Clone, Copy)]
struct Leaver<'a> {
    id: &'a OrganisationId,
    domain: Option<&'a DomainName>,
    /// Its file, if that has it.
    file: Option<&'a Organisation>,
}

impl Leaver<'_> {
    /// For a sentence.
    fn name(&self) -> String {
        match self.domain {
            None => self.id.to_string(),
            Some(domain) => format!("{domain} of {}", self.id),
        }
    }

    /// The command that is about it.
    fn command(&self) -> String {
        match self.domain {
            None => format!("zegel org retire {}", self.id),
            Some(domain) => format!("zegel org retire {} --domain {domain}", self.id),
        }
    }
}

pub(super) fn run(arguments: &RetireArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.id)?;
    refuse_broken(&loaded, &arguments.id)?;
    let (keystore, id) = known(&loaded, &arguments.id, context)?;
    refuse_unread_notices(&keystore, &id)?;
    let leaver = Leaver {
        id: &id,
        domain: arguments.domain.as_ref(),
        file: file_of(&loaded, &id, arguments.domain.as_ref())?,
    };
    if let (Some(domain), None) = (leaver.domain, leaver.file) {
        refuse_if_unknown(&keystore, &id, domain)?;
    }
    let now = Timestamp::now();
    if arguments.undo {
        return undo(arguments, &keystore, &leaver, now, context);
    }
    match (leaver.file, arguments.grace) {
        (None, Some(_)) => Err(Failure::Usage(format!(
            "--grace: {} is in no file of orgs.d any more, so that nobody can say who may send; \
             put it back first, or leave --grace out",
            leaver.name()
        ))),
        (Some(_), _) if !arguments.now => {
            give_notice(arguments, (&loaded, &keystore), &leaver, now, context)
        }
        _ => leave(arguments, (&loaded, &keystore), &leaver, now, context),
    }
}

/// Says which other notices hold, of the organisation or of domains of it: they end by
/// themselves, whatever is said of this one. Gives whether there are any.
fn say_others(keystore: &Keystore, leaver: &Leaver<'_>) -> Result<bool, Failure> {
    let keyring = keystore.read_keyring(leaver.id)?;
    let departures = keyring.departures();
    let others: Vec<(Option<&DomainName>, Departure)> = match leaver.domain {
        None => departures
            .domains()
            .map(|(domain, one)| (Some(domain), one))
            .collect(),
        Some(_) => departures
            .given(None)
            .map(|one| (None, one))
            .into_iter()
            .collect(),
    };
    for (domain, departure) in &others {
        let other = Leaver {
            domain: *domain,
            ..*leaver
        };
        let what = match departure.ended {
            None => format!("its mail is signed until {}", date(departure.until)),
            Some(ended) => format!("none of its mail is signed since {}", date(ended)),
        };
        warn(format_args!(
            "another notice holds, that of {}: {what}; to take it back: {} --undo",
            other.name(),
            other.command()
        ));
    }
    Ok(!others.is_empty())
}

/// The file that has it; none if no file has it any more.
fn file_of<'a>(
    loaded: &'a Loaded,
    id: &OrganisationId,
    domain: Option<&DomainName>,
) -> Result<Option<&'a Organisation>, Failure> {
    let Some(organisation) = loaded.organisations.iter().find(|one| one.id == *id) else {
        return Ok(None);
    };
    let Some(domain) = domain else {
        return Ok(Some(organisation));
    };
    if organisation.domains.contains(domain) {
        return Ok(Some(organisation));
    }
    // What files say is not undone by a command as long as nobody knows whose it is.
    let mut contested = loaded.mistakes.contested.iter();
    if contested.any(|one| one.domain == *domain && one.senders.contains(id)) {
        return Err(Failure::Usage(format!(
            "several files have {domain}: take {domain} out of domains in orgs.d/{id}.toml first, \
             then say this again; to stop mail at once, use `zegel org suspend {id}`"
        )));
    }
    Ok(None)
}

/// A domain that no key was made for is a mistake, more likely than not.
fn refuse_if_unknown(
    keystore: &Keystore,
    id: &OrganisationId,
    domain: &DomainName,
) -> Result<(), Failure> {
    let keyring = keystore.read_keyring(id)?;
    let mut domains = keystore.witness()?.domains(id);
    let keys = keyring.keys().iter();
    domains.extend(keys.flat_map(|key| key.publications.keys()).cloned());
    if domains.contains(domain) || keyring.departures().given(Some(domain)).is_some() {
        return Ok(());
    }
    let known = domains.iter().map(DomainName::as_str);
    let advice = nearest(domain.as_str(), known);
    Err(Failure::Usage(format!(
        "no key of {id} was made for {domain}; {}",
        advice.unwrap_or_else(|| format!("see `zegel key list {id}`"))
    )))
}

/// Its mail is signed until the grace is over.
fn give_notice(
    arguments: &RetireArguments,
    (loaded, keystore): (&Loaded, &Keystore),
    leaver: &Leaver<'_>,
    now: Timestamp,
    context: &mut Context,
) -> Result<Status, Failure> {
    let Leaver { id, domain, .. } = *leaver;
    let grace = arguments
        .grace
        .unwrap_or(loaded.settings.keeper.retire_grace);
    let until = end_of(grace, now)?;
    let mut writer = keystore.writer_of([id], domain)?;
    let given = keystore.read_keyring(id)?.departures().given(domain);
    if let Some(ended) = given.and_then(|given| given.ended) {
        return Err(Failure::Usage(format!(
            "{} has left already, since {}; to let it come back: {} --undo",
            leaver.name(),
            date(ended),
            leaver.command()
        )));
    }
    let departure = Departure {
        since: given.map_or(now, |given| given.since),
        until,
        ended: None,
    };
    writer.set_departure(id, domain, Some(departure), now)?;
    drop(writer);
    say_others(keystore, leaver)?;
    let text = text(arguments, loaded, keystore, leaver);
    let done = Done {
        organisation: id,
        domain,
        became: Became::Leaving,
        until: Some(until),
        drained: Vec::new(),
        missing: Vec::new(),
        text,
    };
    let output = &mut context.output;
    if arguments.json {
        output.json(&done);
        return Ok(Status::Good);
    }
    output.line(format_args!(
        "{} leaves: its mail is signed until {}. Then the keeper lets its keys drain, and asks for \
         their records back. Leave its file as it is until the records are gone.",
        leaver.name(),
        date(until)
    ));
    output.line(format_args!("To take it back: {} --undo", leaver.command()));
    print_text(done.text.as_deref(), output);
    Ok(Status::Good)
}

/// When a grace that begins now is over.
fn end_of(grace: Duration, now: Timestamp) -> Result<Timestamp, Failure> {
    let until = now.checked_add(grace).ok();
    until.filter(|until| *until > now).ok_or_else(|| {
        Failure::Usage(
            "--grace: write a time such as 30d; to sign none of its mail from now on, use --now"
                .to_owned(),
        )
    })
}

/// Nothing of it signs from now on.
fn leave(
    arguments: &RetireArguments,
    (loaded, keystore): (&Loaded, &Keystore),
    leaver: &Leaver<'_>,
    now: Timestamp,
    context: &mut Context,
) -> Result<Status, Failure> {
    let Leaver { id, domain, .. } = *leaver;
    let timing = loaded.settings.timing();
    let mut writer = keystore.writer_of([id], domain)?;
    let given = keystore.read_keyring(id)?.departures().given(domain);
    // A notice is kept: with it, a file that comes back brings nothing back.
    if given.is_some() || leaver.file.is_some() {
        let ended = given.and_then(|given| given.ended);
        let departure = Departure {
            since: given.map_or(now, |given| given.since),
            until: given.map_or(now, |given| given.until.min(now)),
            ended: ended.or(Some(now)),
        };
        writer.set_departure(id, domain, Some(departure), now)?;
    }
    let Retired { changes, missing } = writer.retire(id, domain, &timing, now)?;
    drop(writer);
    say_others(keystore, leaver)?;
    let is_gone = leaver.file.is_none() && given.is_none();
    let done = Done {
        organisation: id,
        domain,
        became: Became::Left,
        until: None,
        drained: changes.iter().map(drained).collect(),
        missing: missing.iter().map(given_up).collect(),
        text: text(arguments, loaded, keystore, leaver),
    };
    if done.drained.is_empty() && done.missing.is_empty() {
        warn(format_args!(
            "{} has no key in use, so there is nothing to retire; see `zegel key list --retired`",
            leaver.name()
        ));
    }
    if arguments.json {
        context.output.json(&done);
        return Ok(Status::Good);
    }
    print_left(&done, leaver, is_gone, &mut context.output);
    Ok(Status::Good)
}

fn drained(change: &Change) -> Drained<'_> {
    Drained {
        domain: &change.domain,
        selector: &change.selector,
    }
}

fn given_up(missing: &Missing) -> Drained<'_> {
    Drained {
        domain: &missing.domain,
        selector: &missing.selector,
    }
}

/// `is_gone`: it is said of what no file has.
fn print_left(done: &Done<'_>, leaver: &Leaver<'_>, is_gone: bool, output: &mut Output) {
    for one in &done.missing {
        output.line(format_args!(
            "{}: {} is not in the keyring, and is given up now: a keyring that has it does not \
             sign with it",
            one.domain, one.selector
        ));
    }
    for one in &done.drained {
        output.line(format_args!(
            "{}: {} signs no more; leave its record in the DNS until the keeper asks for it",
            one.domain, one.selector
        ));
    }
    if !is_gone {
        output.line(format_args!(
            "{} has left: none of its mail is signed, whatever its file says. Leave that as it is \
             until its records are gone. To let it come back: {} --undo",
            leaver.name(),
            leaver.command()
        ));
    } else if !done.drained.is_empty() {
        output.line(format_args!(
            "To undo this, put the file of {} back as it was: each key signs again when the keeper \
             sees its record at every name server. That ends when its record is asked back.",
            leaver.id
        ));
    }
    if !done.drained.is_empty() {
        print_text(done.text.as_deref(), output);
    }
}

/// The text for the customer. It is no reason to fail: what was to be done is done.
fn text(
    arguments: &RetireArguments,
    loaded: &Loaded,
    keystore: &Keystore,
    leaver: &Leaver<'_>,
) -> Option<String> {
    let gone = gone(leaver.id);
    let mut files = loaded.organisations.iter();
    let file = files.find(|one| one.id == *leaver.id);
    let organisation = file.map_or(&gone, AsRef::as_ref);
    let scope = Scope {
        domain: leaver.domain.cloned(),
        delegation: None,
    };
    let below = SendersBelow::of_one(organisation, &loaded.organisations, &loaded.mistakes);
    match packs::pack(loaded, keystore, (organisation, &below), &scope) {
        Ok(pack) => pack.render_farewell(arguments.lang.unwrap_or(organisation.language)),
        Err(failure) => {
            warn(format_args!("there is no text for the customer: {failure}"));
            None
        }
    }
}

fn print_text(text: Option<&str>, output: &mut Output) {
    if let Some(text) = text {
        output.line("For the customer (`zegel dns records` has the whole pack):");
        output.line("");
        output.octets(text.as_bytes());
    }
}

/// Names the notice that is meant, if there is another.
fn nothing_to_undo(keyring: &Keyring, leaver: &Leaver<'_>) -> Failure {
    let Leaver { id, domain, .. } = *leaver;
    let other: Vec<String> = match domain {
        None => {
            let domains = keyring.departures().domains();
            domains.map(|(domain, _)| domain.to_string()).collect()
        }
        Some(_) if keyring.departures().given(None).is_some() => vec![id.to_string()],
        Some(_) => Vec::new(),
    };
    let others = match other.as_slice() {
        [] => String::new(),
        others => format!(", though that of {} is there", others.join(", ")),
    };
    Failure::Usage(format!(
        "nobody said that {} leaves{others}: there is nothing to undo",
        leaver.name()
    ))
}

/// Takes a notice back.
fn undo(
    arguments: &RetireArguments,
    keystore: &Keystore,
    leaver: &Leaver<'_>,
    now: Timestamp,
    context: &mut Context,
) -> Result<Status, Failure> {
    let Leaver { id, domain, .. } = *leaver;
    let mut writer = keystore.writer_of([id], domain)?;
    let keyring = keystore.read_keyring(id)?;
    let Some(given) = keyring.departures().given(domain) else {
        return Err(nothing_to_undo(&keyring, leaver));
    };
    writer.set_departure(id, domain, None, now)?;
    drop(writer);
    let other_holds = say_others(keystore, leaver)?;
    let done = Done {
        organisation: id,
        domain,
        became: Became::Stays,
        until: None,
        drained: Vec::new(),
        missing: Vec::new(),
        text: None,
    };
    let output = &mut context.output;
    if arguments.json {
        output.json(&done);
    } else if other_holds {
        output.line(format_args!(
            "The notice of {} is taken back, and the other one (above) holds",
            leaver.name()
        ));
    } else if given.ended.is_none() {
        output.line(format_args!(
            "{} does not leave: its mail is signed as before",
            leaver.name()
        ));
    } else {
        output.line(format_args!(
            "{} may come back: a key that drains signs again when the keeper sees its record at \
             every name server; where its record was asked back already, the keeper makes a new key",
            leaver.name()
        ));
    }
    Ok(Status::Good)
}
