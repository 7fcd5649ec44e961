//! When which organisation is looked at.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Attention, Duty,
    check::{Checker, Outcome},
    clock::ClockWatch,
};
use crate::{
    config::{self, Loaded},
    dns::{DnsError, Limits, Observer},
    keystore::Keystore,
    names::OrganisationId,
    observe::metrics::keeper::KeeperMetrics,
    organisation::Organisation,
};

/// Organisations that are looked at together; the questions have limits of their own.
const AT_ONCE: usize = 32;

/// One round after another.
pub(super) struct Rounds {
    config_file: PathBuf,
    loaded: Loaded,
    observer: Observer,
    checker: Arc<Checker>,
    metrics: KeeperMetrics,
    /// When each organisation was last looked at, by both clocks.
    clocks: HashMap<OrganisationId, ClockWatch>,
}

impl Rounds {
    pub(super) fn new(
        config_file: PathBuf,
        loaded: Loaded,
        keystore: Keystore,
        metrics: KeeperMetrics,
    ) -> Result<Self, DnsError> {
        let observer = Observer::new(&loaded.settings.keeper.resolvers, Limits::default())?;
        Ok(Self {
            config_file,
            loaded,
            observer,
            checker: Arc::new(Checker::new(keystore)),
            metrics,
            clocks: HashMap::new(),
        })
    }

    /// Once, or over and over.
    pub(super) async fn work(&mut self, duty: Duty) -> Attention {
        loop {
            let begun = Instant::now();
            let attention = self.round(duty, begun).await;
            if duty == Duty::Once {
                return attention;
            }
            sleep_until(begun + self.loaded.settings.keeper.check_every).await;
            self.reload();
        }
    }

    /// Looks at all organisations, each at its place in the time of the round.
    async fn round(&mut self, duty: Duty, begun: Instant) -> Attention {
        let round = Arc::new(self.observer.round());
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let organisations = self.loaded.organisations.clone();
        let apart = match duty {
            Duty::Once => Duration::ZERO,
            Duty::Always => {
                let count = u32::try_from(organisations.len().max(1)).unwrap_or(u32::MAX);
                // The second half is left for what takes long.
                self.loaded.settings.keeper.check_every / 2 / count
            }
        };
        let timing = self.loaded.settings.timing();
        let mut checks = JoinSet::new();
        let mut next = begun;
        for organisation in &organisations {
            sleep_until(next).await;
            next += apart;
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            let (checker, round) = (Arc::clone(&self.checker), Arc::clone(&round));
            let (metrics, organisation) = (self.metrics.clone(), organisation.clone());
            let clock = self.clocks.entry(organisation.id.clone());
            let moment = clock.or_insert_with(ClockWatch::new).look();
            checks.spawn(async move {
                let outcome = checker
                    .check(&organisation, (&timing, moment), &round)
                    .await;
                drop(place);
                report(&organisation, outcome, &metrics)
            });
        }
        let mut attention = Attention::NotNeeded;
        while let Some(ended) = checks.join_next().await {
            if !matches!(ended, Ok(Attention::NotNeeded)) {
                attention = Attention::Needed;
            }
        }
        let known: HashSet<_> = organisations.iter().map(|one| &one.id).collect();
        self.metrics.retain(|id| known.contains(id));
        tracing::info!(
            organisations = organisations.len(),
            seconds = begun.elapsed().as_secs(),
            "all organisations have been looked at"
        );
        attention
    }

    /// Between two rounds: what can't be read leaves things as they were.
    fn reload(&mut self) {
        match config::load(&self.config_file) {
            Ok(loaded) => {
                for line in config::diff(&self.loaded, &loaded) {
                    tracing::info!("reloaded: {line}");
                }
                self.loaded = loaded;
            }
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration has problems, all stays as it was");
            }
        }
    }
}

/// Says what a check found.
fn report(organisation: &Organisation, checked: Outcome, metrics: &KeeperMetrics) -> Attention {
    let organisation_id = organisation.id.as_str();
    match checked {
        Ok(checked) => {
            metrics.checked(checked.facts(organisation, Timestamp::now()));
            checked.log(organisation_id);
            if checked.needs_attention() {
                Attention::Needed
            } else {
                Attention::NotNeeded
            }
        }
        Err(error) => {
            tracing::error!(organisation = organisation_id, "not looked at: {error}");
            Attention::Needed
        }
    }
}
