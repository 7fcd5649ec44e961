//! `zegel org handed-over`: the records were given to whoever looks after the DNS.

use std::slice;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{
        context::{self, Context},
        day::Day,
        failure::Failure,
        output::date,
        packs::{OpenTask, hand_over, open_tasks, pack},
        status::Status,
    },
    config::SendersBelow,
    handover::Scope,
    keystore::{HandOver, Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct HandedOverArguments {
    /// Its id: the name of its file in orgs.d, without .toml
    #[arg(value_name = "ORG")]
    id: String,

    /// Only what is asked for this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// When that was, such as 2026-11-29 (UTC) [default: now]
    #[arg(long, value_name = "DATE")]
    on: Option<Day>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Noted<'a> {
    organisation: &'a OrganisationId,
    time: Timestamp,
    records: &'a [OpenTask],
}

pub(super) fn run(
    arguments: &HandedOverArguments,
    context: &mut Context,
) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.id)?;
    let organisation = context::organisation(&loaded, &arguments.id)?;
    let id = &organisation.id;
    let now = Timestamp::now();
    let time = arguments.on.map_or(now, Day::begins);
    if time > now {
        return Err(Failure::Usage(format!(
            "--on {time:.0}: that is still to come; name the day on which it was handed over"
        )));
    }
    let keystore = context.open_keystore(&loaded.settings)?;
    let scope = Scope {
        domain: arguments.domain.clone(),
        delegation: None,
    };
    let below = SendersBelow::of_one(organisation, &loaded.organisations, &loaded.mistakes);
    let mut tasks = open_tasks(&pack(&loaded, &keystore, (organisation, &below), &scope)?);
    let are_policies_asked = tasks.iter().any(|open| open.selector.is_none());
    // Only records of keys have a date of their own.
    tasks.retain(|open| open.selector.is_some());
    note(&keystore, &hand_over(id, &tasks), (time, now))?;
    let output = &mut context.output;
    if arguments.json {
        output.json(&Noted {
            organisation: id,
            time,
            records: &tasks,
        });
        return Ok(Status::Good);
    }
    if tasks.is_empty() && are_policies_asked {
        output.line(format_args!(
            "{id} is asked for no record of a key now, only for SPF or DMARC, which have the dates \
             of the keys of their domain: nothing was noted"
        ));
    } else if tasks.is_empty() {
        output.line(format_args!(
            "nothing is asked of the DNS administrator of {id} now: nothing was noted"
        ));
    }
    for OpenTask {
        domain,
        selector,
        task,
        ..
    } in &tasks
    {
        let selector = selector.as_ref().map_or("", Selector::as_str);
        let time = date(time);
        output.line(format_args!(
            "{domain}: {selector}, {task}: handed over on {time}"
        ));
    }
    Ok(Status::Good)
}

/// Lets go of the keystore before anything is printed.
fn note(
    keystore: &Keystore,
    handed_over: &HandOver,
    (time, now): (Timestamp, Timestamp),
) -> Result<(), KeystoreError> {
    let mut writer = keystore.writer_of([&handed_over.organisation], [])?;
    writer.note_handed_over(slice::from_ref(handed_over), time, now)
}
