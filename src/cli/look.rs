//! Looking at the DNS.

use std::{collections::HashMap, panic::resume_unwind, sync::Arc};

use serde::Serialize;
use tokio::{
    runtime::Builder,
    task::{JoinError, JoinSet},
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
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the DNS cannot be asked: {error}")))?;
    runtime.block_on(async {
        let round = Arc::new(observer.round());
        let mut answers = Vec::with_capacity(subjects.len());
        let mut running = JoinSet::new();
        for subject in subjects {
            if running.len() >= AT_ONCE {
                answers.extend(running.join_next().await.map(answer));
            }
            running.spawn(ask(Arc::clone(&round), subject));
        }
        while let Some(result) = running.join_next().await {
            answers.push(answer(result));
        }
        Ok(answers)
    })
}

/// Nothing is ever cancelled here, so an error is a panic.
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
