//! Looking at the DNS.

use std::{collections::HashMap, panic::resume_unwind, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    runtime::Builder,
    task::{JoinError, JoinSet},
    time::{Instant, timeout_at},
};

use super::failure::Failure;
use crate::{
    config::KeeperSettings,
    dkim::PublicKey,
    dns::{DnsError, Finding, Observer, Round, judge},
    keys::Sight,
    names::{DomainName, Selector},
    words::Language,
};

/// How much is looked at side by side; the questions have bounds of their own.
const AT_ONCE: usize = 64;
/// Far longer than all questions together can take.
const NO_LIMIT: Duration = Duration::from_hours(24 * 365);

/// A key in the DNS of one domain.
pub(super) struct KeyRecord {
    pub(super) selector: Selector,
    pub(super) domain: DomainName,
    pub(super) public_key: PublicKey,
}

/// What was seen of a key in the DNS of one domain, and everything that is to be said of it.
pub(super) struct Seen {
    pub(super) sight: Sight,
    pub(super) findings: Vec<Finding>,
}

/// A finding for a program.
#[derive(Serialize)]
pub(super) struct ToldFinding<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    advice: String,
}

impl<'a> ToldFinding<'a> {
    pub(super) fn new(finding: &'a Finding, language: Language) -> Self {
        Self {
            advice: finding.advice(language),
            finding,
        }
    }
}

impl KeyRecord {
    pub(super) async fn look(&self, round: &Round) -> Seen {
        let name = self.selector.record_name(&self.domain);
        let observation = round.observe(&name).await;
        let (sight, findings) = judge(&observation, &self.public_key);
        Seen { sight, findings }
    }
}

/// Looks for the records of one key, each in its domain.
pub(super) fn look(
    settings: &KeeperSettings,
    records: Vec<KeyRecord>,
) -> Result<HashMap<DomainName, Seen>, Failure> {
    let observer = Observer::with_settings(settings)?;
    let seen = in_one_round(&observer, records, |round, record| async move {
        let seen = record.look(&round).await;
        (record.domain, seen)
    })?;
    Ok(seen.into_iter().collect())
}

/// Asks about each subject, many at a time, within the limits of the observer. The answers are in no
/// order.
pub(super) fn in_one_round<S, T, F>(
    observer: &Observer,
    subjects: Vec<S>,
    ask: impl Fn(Arc<Round>, S) -> F,
) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    in_one_round_within(observer, subjects, NO_LIMIT, ask)
}

/// The same, but only for so long: whoever has not answered by then is left out.
pub(super) fn in_one_round_within<S, T, F>(
    observer: &Observer,
    subjects: Vec<S>,
    limit: Duration,
    ask: impl Fn(Arc<Round>, S) -> F,
) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Other(format!("the DNS cannot be asked: {error}")))?;
    runtime.block_on(async {
        let end = Instant::now() + limit;
        let round = Arc::new(observer.round());
        let mut answers = Vec::with_capacity(subjects.len());
        let mut running = JoinSet::new();
        let mut subjects = subjects.into_iter();
        loop {
            let room = AT_ONCE - running.len();
            for subject in subjects.by_ref().take(room) {
                running.spawn(ask(Arc::clone(&round), subject));
            }
            match timeout_at(end, running.join_next()).await {
                Ok(Some(result)) => answers.push(answer(result)),
                // All are answered, or the time is over: what is still running ends here.
                Ok(None) | Err(_) => return Ok(answers),
            }
        }
    })
}

/// Nothing is cancelled whose answer is waited for, so an error is a panic.
fn answer<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

impl From<DnsError> for Failure {
    fn from(error: DnsError) -> Self {
        Self::Other(format!("{error}; see [keeper] resolvers"))
    }
}

/// One word, for scripts.
pub(super) fn word(sight: Sight) -> &'static str {
    match sight {
        Sight::Everywhere { .. } => "everywhere",
        Sight::Absent { .. } => "absent",
        Sight::RevokedEverywhere => "revoked",
        Sight::Partly => "partly",
        Sight::Wrong => "wrong",
        Sight::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use super::*;
    use crate::{config::Resolvers, dns::Limits};

    #[test]
    fn who_never_answers_is_left_out_and_the_others_are_not() {
        let nobody = Resolvers::Addresses(vec!["127.0.0.1:9".parse().unwrap()]);
        let observer = Observer::new(&nobody, Limits::default()).unwrap();
        let ask = |_, number: usize| async move {
            // More than are asked at once.
            if number >= 3 {
                future::pending::<()>().await;
            }
            number
        };
        let within = Duration::from_millis(200);
        let answers = in_one_round_within(&observer, (0..200).collect(), within, ask);
        let mut answers = answers.unwrap();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2]);
        // All of them, where nobody is silent.
        let ask = |_, number: usize| async move { number };
        let within = Duration::from_mins(10);
        let answers = in_one_round_within(&observer, (0..200).collect(), within, ask);
        assert_eq!(answers.unwrap().len(), 200);
    }
}
