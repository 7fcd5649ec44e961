//! `zegel org wait`: until the domains of an organisation have come as far as that. Looks at the
//! keyring only; the keeper looks at the DNS.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        status::Status,
    },
    keys::{Keyring, State},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(in crate::cli) struct WaitArguments {
    /// Its id: the name of its file in orgs.d, without .toml
    #[arg(value_name = "ID")]
    id: String,

    /// What each of its domains must have: a key that signs, or one whose record was seen
    #[arg(long, value_enum, default_value_t = Goal::Active, value_name = "STATE")]
    until: Goal,

    /// For how long: 1h, 90s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1h",
        value_parser = humantime::parse_duration
    )]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Goal {
    /// A key signs.
    Active,
    /// The record of a key was seen at every name server, or the key signs.
    Published,
}

impl Goal {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => State::Active.as_str(),
            Self::Published => State::Published.as_str(),
        }
    }

    fn is_reached_by(self, state: State) -> bool {
        state == State::Active || (self == Self::Published && state == State::Published)
    }
}

#[derive(Serialize)]
struct Outcome<'a> {
    organisation: &'a OrganisationId,
    until: Goal,
    reached: bool,
    /// The domains that have not come so far.
    waiting: Vec<WaitingDomain<'a>>,
    /// Whether none of its mail is signed, whatever its keys are.
    suspended: bool,
}

#[derive(Serialize)]
struct WaitingDomain<'a> {
    domain: &'a DomainName,
    /// Of its key that has come furthest; none without a key.
    state: Option<&'static str>,
}

pub(super) fn run(arguments: &WaitArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.id)?;
    let organisation = context::organisation(&loaded, &arguments.id)?;
    let keystore = loaded.settings.open_keystore()?;
    let began = Instant::now();
    let outcome = loop {
        let read = keystore.read_keyring(&organisation.id);
        let left = arguments.timeout.saturating_sub(began.elapsed());
        match read {
            Ok(keyring) => {
                let outcome = look(organisation, &keyring, arguments.until);
                if outcome.reached || left.is_zero() {
                    break outcome;
                }
            }
            // It may come back: a keystore is copied, or mounted again.
            Err(error) if left.is_zero() => return Err(error.into()),
            Err(_) => {}
        }
        thread::sleep(PAUSE.min(left));
    };
    report(&outcome, arguments, context);
    Ok(Status::of_check(outcome.reached))
}

fn look<'a>(organisation: &'a Organisation, keyring: &Keyring, until: Goal) -> Outcome<'a> {
    let state = |domain: &DomainName| {
        let states = keyring.keys().iter().filter_map(|key| key.state(domain));
        let steps = [State::Active, State::Published, State::Generated];
        let states: Vec<State> = states.collect();
        steps.into_iter().find(|step| states.contains(step))
    };
    let domains = organisation.keyed();
    let waiting: Vec<WaitingDomain<'_>> = domains
        .map(|domain| (domain, state(domain)))
        .filter(|(_, state)| !state.is_some_and(|state| until.is_reached_by(state)))
        .map(|(domain, state)| WaitingDomain {
            domain,
            state: state.map(State::as_str),
        })
        .collect();
    let suspended = keyring.suspended().is_some();
    Outcome {
        organisation: &organisation.id,
        until,
        reached: waiting.is_empty() && !(suspended && until == Goal::Active),
        waiting,
        suspended,
    }
}

fn report(outcome: &Outcome<'_>, arguments: &WaitArguments, context: &mut Context) {
    let output = &mut context.output;
    if arguments.json {
        output.json(outcome);
        return;
    }
    let (id, goal) = (outcome.organisation, outcome.until.as_str());
    if outcome.reached {
        output.line(format_args!(
            "every domain of {id} has a key that is {goal}"
        ));
        return;
    }
    if outcome.suspended {
        output.line(format_args!(
            "{id} is suspended, so that none of its mail is signed: `zegel org resume {id}`"
        ));
    }
    for WaitingDomain { domain, state } in &outcome.waiting {
        match state {
            Some(state) => output.line(format_args!("{domain}: its key is {state}, not {goal}")),
            None => output.line(format_args!("{domain}: it has no key that is to sign")),
        }
    }
}
