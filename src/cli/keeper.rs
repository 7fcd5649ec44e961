//! `zegel keeper look`: a look now, by the keeper that runs, or here.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;

use super::{
    context::{self, Context},
    failure::Failure,
    key,
    output::{complain, warn},
    status::Status,
};
use crate::{
    config::Loaded,
    keeper,
    keystore::{KeeperLock, Keystore, KeystoreError, LookRequest},
    organisation::Organisation,
    process::RunError,
};

/// How long a running keeper is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is seen whether it has answered.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often it is seen whether it still runs.
const TRY_EVERY: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
pub(super) struct LookArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &LookArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let status = look(&loaded, &keystore, organisation)?;
    key::list(
        context,
        (&loaded, &keystore),
        &[organisation],
        arguments.json,
    )?;
    Ok(status)
}

/// Has the organisation looked at, and waits until that is done. What is wrong with its keys is
/// said.
pub(super) fn look(
    loaded: &Loaded,
    keystore: &Keystore,
    organisation: &Organisation,
) -> Result<Status, Failure> {
    keystore.check_initialised()?;
    let begun = Timestamp::now();
    let Some(lock) = ask(keystore, organisation)? else {
        return was_written(keystore, organisation, begun);
    };
    let problems = keeper::look(loaded, (keystore, &lock), organisation)?;
    problems.iter().for_each(complain);
    Ok(Status::of_check(problems.is_empty()))
}

/// Asks the running keeper, and waits for its look. Gives the lock of the keeper if none runs.
fn ask(keystore: &Keystore, organisation: &Organisation) -> Result<Option<KeeperLock>, Failure> {
    let holder = match keystore.keep(Timestamp::now()) {
        Ok(lock) => return Ok(Some(lock)),
        Err(KeystoreError::Busy { holder, .. }) => holder,
        Err(error) => return Err(error.into()),
    };
    let Some(request) = keystore.request_look(&organisation.id)? else {
        return Err(Failure::Other(format!(
            "{holder} cannot be asked: it has not begun its work, or it is of an older version, or \
             a single round; try again, or restart the keeper"
        )));
    };
    let answered = wait(keystore, &request);
    // Also when it is in vain: the next keeper must not find it.
    let removed = keystore.answer(&request);
    let answered = answered?;
    removed?;
    match answered {
        Answer::Looked => Ok(None),
        Answer::KeeperGone(lock) => Ok(Some(lock)),
        Answer::None => Err(Failure::Other(format!(
            "{holder} has not looked at {} within {} seconds; its log says why, and `zegel status` \
             how late it is",
            organisation.id,
            PATIENCE.as_secs()
        ))),
    }
}

enum Answer {
    Looked,
    KeeperGone(KeeperLock),
    None,
}

fn wait(keystore: &Keystore, request: &LookRequest) -> Result<Answer, KeystoreError> {
    let begun = Instant::now();
    let mut next_try = begun + TRY_EVERY;
    while begun.elapsed() < PATIENCE {
        if keystore.is_answered(request)? {
            return Ok(Answer::Looked);
        }
        if Instant::now() >= next_try {
            if let Ok(lock) = keystore.keep(Timestamp::now()) {
                return Ok(Answer::KeeperGone(lock));
            }
            next_try = Instant::now() + TRY_EVERY;
        }
        sleep(ASK_EVERY);
    }
    Ok(Answer::None)
}

/// The keeper says in its log, and not to us, that a look came to nothing.
fn was_written(
    keystore: &Keystore,
    organisation: &Organisation,
    begun: Timestamp,
) -> Result<Status, Failure> {
    let keyring = keystore.read_keyring(&organisation.id)?;
    let publications = keyring.keys().iter().flat_map(|key| &key.publications);
    let mut times = publications.flat_map(|(_, one)| [one.checked, Some(one.since)]);
    if keyring.keys().is_empty() || times.any(|time| time >= Some(begun)) {
        return Ok(Status::Good);
    }
    warn(format_args!(
        "the keeper has looked at {}, and nothing of that is in its keyring; if a key waits, the \
         log of the keeper says why",
        organisation.id
    ));
    Ok(Status::Finding)
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Keystore(error) => Self::Keystore(error),
            other => Self::Other(other.to_string()),
        }
    }
}
