//! The rounds of the keeper: when it looks at which organisation, and what it says of that.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, Semaphore},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{
    check::{Checker, Outcome},
    clock::ClockWatch,
    journal::Journal,
};
use crate::{
    config::{self, Effect, Loaded, Reader},
    dns::{DnsError, Limits, Observer},
    keys::Timing,
    keystore::Keystore,
    names::OrganisationId,
    observe::metrics::keeper::KeeperMetrics,
    organisation::Organisation,
};

/// Organisations that are looked at together; the questions have limits of their own.
const AT_ONCE: usize = 32;

/// How long the keeper works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// One round, for a timer.
    Once,
    /// Until it is told to stop.
    Always,
}

/// Whether a round found what someone should look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attention {
    NotNeeded,
    Needed,
}

/// One round after another.
pub(super) struct Rounds {
    /// Shared with the thread that reads.
    reader: Arc<Mutex<Reader>>,
    loaded: Loaded,
    observer: Observer,
    checker: Arc<Checker>,
    journal: Arc<Journal>,
    metrics: KeeperMetrics,
    /// Notified when someone wants the next round to begin now.
    wish: Arc<Notify>,
    /// What was last said of a configuration that can't be used, so that it is said once.
    complaint: String,
    /// When each organisation was last looked at, by both clocks.
    clocks: HashMap<OrganisationId, ClockWatch>,
}

impl Rounds {
    pub(super) fn new(
        reader: Reader,
        loaded: Loaded,
        keystore: Keystore,
        metrics: KeeperMetrics,
    ) -> Result<Self, DnsError> {
        let observer = Observer::new(&loaded.settings.keeper.resolvers, Limits::default())?;
        Ok(Self {
            reader: Arc::new(Mutex::new(reader)),
            loaded,
            observer,
            checker: Arc::new(Checker::new(keystore)),
            journal: Arc::default(),
            metrics,
            wish: Arc::default(),
            complaint: String::new(),
            clocks: HashMap::new(),
        })
    }

    /// Lets the next round begin as soon as the one before is over, with the configuration as
    /// it is then.
    pub(super) fn wish(&self) -> Arc<Notify> {
        Arc::clone(&self.wish)
    }

    /// Once, or over and over.
    pub(super) async fn work(&mut self, duty: Duty) -> Attention {
        loop {
            let begun = Instant::now();
            let attention = self.round(duty, begun).await;
            if duty == Duty::Once {
                return attention;
            }
            let next = begun + self.loaded.settings.keeper.check_every;
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.wish.notified() => tracing::info!("told to look at once"),
            }
            self.reload().await;
        }
    }

    /// Looks at all organisations, spread over the first half of the time of a round.
    async fn round(&mut self, duty: Duty, begun: Instant) -> Attention {
        let round = Arc::new(self.observer.round());
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let organisations = self.loaded.organisations.clone();
        let apart = match duty {
            Duty::Once => Duration::ZERO,
            Duty::Always => {
                let count = u32::try_from(organisations.len().max(1)).unwrap_or(u32::MAX);
                // The second half is left for checks that take long.
                self.loaded.settings.keeper.check_every / 2 / count
            }
        };
        let timing = self.loaded.settings.timing();
        self.metrics
            .organisations(organisations.iter().map(|one| &one.id));
        let mut checks = JoinSet::new();
        let mut next = begun;
        for organisation in &organisations {
            sleep_until(next).await;
            next += apart;
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            let (checker, round) = (Arc::clone(&self.checker), Arc::clone(&round));
            let (metrics, journal) = (self.metrics.clone(), Arc::clone(&self.journal));
            let organisation = organisation.clone();
            let look = self
                .clocks
                .entry(organisation.id.clone())
                .or_insert_with(ClockWatch::new)
                .look();
            checks.spawn(async move {
                let outcome = checker.check(&organisation, &timing, look, &round).await;
                drop(place);
                report(&organisation, &timing, outcome, &metrics, &journal)
            });
        }
        let mut attention = Attention::NotNeeded;
        while let Some(ended) = checks.join_next().await {
            match ended {
                Ok(Attention::NotNeeded) => {}
                Ok(Attention::Needed) => attention = Attention::Needed,
                Err(error) => {
                    tracing::error!("a check broke off: {error}");
                    attention = Attention::Needed;
                }
            }
        }
        let known: HashSet<&OrganisationId> = organisations.iter().map(|one| &one.id).collect();
        self.journal.retain(|id| known.contains(id));
        self.clocks.retain(|id, _| known.contains(id));
        tracing::info!(
            organisations = organisations.len(),
            seconds = begun.elapsed().as_secs(),
            "all organisations have been looked at"
        );
        attention
    }

    /// Reads the configuration between two rounds. If it can't be used, all stays as it was.
    async fn reload(&mut self) {
        let reader = Arc::clone(&self.reader);
        // Many files take long to read, and signals must be heard meanwhile.
        let read = move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.load()
        };
        let Ok(loaded) = spawn_blocking(read).await else {
            return;
        };
        match loaded {
            Ok(loaded) => self.take(loaded),
            Err(problems) => self.complain(&problems.to_string()),
        }
    }

    fn take(&mut self, loaded: Loaded) {
        // Anew each time: /etc/resolv.conf may have changed.
        match Observer::new(&loaded.settings.keeper.resolvers, Limits::default()) {
            Ok(observer) => self.observer = observer,
            Err(error) => return self.complain(&format!("keeper.resolvers: {error}")),
        }
        let changes = config::changes(&self.loaded, &loaded);
        for change in &changes {
            tracing::info!("reloaded: {change}");
        }
        for change in changes {
            if matches!(
                change.effect,
                Effect::AtStartOfKeeper | Effect::AtStartOfBoth
            ) {
                tracing::warn!("takes effect at the next start only: {change}");
            }
        }
        self.complaint.clear();
        self.loaded = loaded;
    }

    fn complain(&mut self, complaint: &str) {
        if self.complaint != complaint {
            for line in complaint.lines() {
                tracing::error!("{line}");
            }
            tracing::error!("the configuration has problems, all stays as it was");
            self.complaint.clear();
            self.complaint.push_str(complaint);
        }
    }
}

/// Says what a check found.
fn report(
    organisation: &Organisation,
    timing: &Timing,
    outcome: Outcome,
    metrics: &KeeperMetrics,
    journal: &Journal,
) -> Attention {
    match outcome {
        Ok(checked) => {
            metrics.checked(checked.facts(organisation, timing, Timestamp::now()));
            journal.checked(&organisation.id, &checked);
            if checked.needs_attention() {
                Attention::Needed
            } else {
                Attention::NotNeeded
            }
        }
        Err(error) => {
            metrics.failed();
            journal.failed(&organisation.id, &error);
            Attention::Needed
        }
    }
}
