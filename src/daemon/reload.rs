//! Reloading: all anew, or all as it was.
//!
//! SIGHUP reads the configuration and the keys; it takes effect whole or not at all. A
//! grown `generation` of the keystore reads the keys alone, so that a rotation works while
//! somebody has `zegel.toml` half edited. Either way one organisation's broken key leaves
//! that organisation with its last good keys and touches no other.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::facts;
use crate::{
    config::{self, Loaded},
    keystore::Keystore,
    observe::metrics::Metrics,
    snapshot::{Built, Snapshot, SnapshotHolder},
};

/// How often the generation of the keystore is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is to be read anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// The configuration and the keys.
    Everything,
    /// The keys.
    Keys,
}

/// Makes snapshots and puts them into use.
pub(super) struct Reloader {
    config_file: PathBuf,
    keystore: Keystore,
    metrics: Metrics,
    snapshots: SnapshotHolder,
    /// The names of the listeners, which are those of the start.
    listeners: Vec<String>,
    /// When the generation is looked at next; kept here, since signals interrupt the wait.
    next_look: Instant,
    /// What was last said of a keystore that can't be looked at, so that it is said once.
    complaint: String,
}

impl Reloader {
    pub(super) fn new(
        config_file: PathBuf,
        keystore: Keystore,
        metrics: Metrics,
        snapshots: SnapshotHolder,
    ) -> Self {
        let settings = snapshots.current();
        let listeners = settings.settings().listeners.iter();
        Self {
            listeners: listeners.map(|listener| listener.name.clone()).collect(),
            config_file,
            keystore,
            metrics,
            snapshots,
            next_look: Instant::now() + LOOK_EVERY,
            complaint: String::new(),
        }
    }

    /// Ends when the keystore is of another generation than the snapshot in use.
    pub(super) async fn keystore_changed(&mut self) {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + LOOK_EVERY;
            let keystore = self.keystore.clone();
            let Ok(looked) = spawn_blocking(move || keystore.generation()).await else {
                continue;
            };
            match looked {
                Ok(generation) => {
                    self.complaint.clear();
                    if generation != self.snapshots.current().generation() {
                        return;
                    }
                }
                Err(error) => self.complain(&error.to_string()),
            }
        }
    }

    /// Makes a new snapshot and puts it into use, or says why not.
    pub(super) async fn reload(&mut self, due: Due) {
        let before = self.snapshots.current();
        match due {
            // The configuration stays.
            Due::Keys => self.build(before.loaded().clone()).await,
            Due::Everything => {
                let config_file = self.config_file.clone();
                match spawn_blocking(move || config::load(&config_file)).await {
                    Ok(Ok(loaded)) => self.configure(&before, loaded).await,
                    Ok(Err(problems)) => {
                        for problem in &problems.0 {
                            tracing::error!("{problem}");
                        }
                        self.failed("the configuration has problems");
                    }
                    Err(_) => self.failed("the configuration could not be read"),
                }
            }
        }
    }

    async fn configure(&mut self, before: &Snapshot, loaded: Loaded) {
        if let Some(reason) = self.reason_against(before, &loaded) {
            return self.failed(&reason);
        }
        for line in config::needs_restart(before.loaded(), &loaded) {
            tracing::warn!("takes effect at the next start only: {line}");
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.build(loaded).await;
    }

    /// Why a configuration without problems may still not be put into use while serving.
    fn reason_against(&self, before: &Snapshot, loaded: &Loaded) -> Option<String> {
        if loaded.organisations.is_empty() && !before.organisations().is_empty() {
            // More likely a folder that was moved or not mounted than a wish.
            return Some(
                "there are no organisations any more: put the files of orgs.d back, or restart \
                 if that is meant"
                    .to_owned(),
            );
        }
        loaded.organisations.iter().find_map(|organisation| {
            let listeners = &organisation.senders.as_ref()?.listeners;
            let unknown = listeners.iter().find(|name| !self.listeners.contains(name));
            unknown.map(|name| {
                format!(
                    "organisation {} names the listener {name}, which this process does not \
                     have: restart to change listeners",
                    organisation.id
                )
            })
        })
    }

    async fn build(&mut self, loaded: Loaded) {
        let (keystore, metrics) = (self.keystore.clone(), self.metrics.clone());
        let before = self.snapshots.current();
        let read = move || Snapshot::build(loaded, &keystore, &metrics, Some(&before));
        match spawn_blocking(read).await {
            Ok(Ok(built)) => self.put_into_use(built),
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("the keys could not be read"),
        }
    }

    fn put_into_use(&mut self, built: Built) {
        for problem in &built.problems {
            tracing::error!("{problem}");
        }
        let before = self.snapshots.current();
        let (old, new) = (before.loaded(), built.snapshot.loaded());
        let later = config::needs_restart(old, new);
        let mut changes = config::diff(old, new);
        changes.retain(|line| !later.contains(line));
        let key_changes = built.snapshot.key_changes(&before);
        for change in changes.iter().chain(&key_changes) {
            tracing::info!("reloaded: {change}");
        }
        self.metrics.snapshot_in_use(&facts(&built.snapshot));
        self.snapshots.replace(built.snapshot);
        let now = self.snapshots.current();
        let ids: HashSet<_> = now.organisations().iter().map(|one| &one.id).collect();
        self.metrics.retain_organisations(|id| ids.contains(id));
        self.metrics.reload_succeeded();
        tracing::info!(
            changes = changes.len() + key_changes.len(),
            problems = built.problems.len(),
            organisations = now.organisations().len(),
            generation = now.generation(),
            "reloaded"
        );
    }

    fn failed(&mut self, reason: &str) {
        self.metrics.reload_failed();
        tracing::error!("reload failed, all stays as it was: {reason}");
    }

    fn complain(&mut self, error: &str) {
        if self.complaint != error {
            tracing::error!("the keystore can't be looked at, its keys stay as they were: {error}");
            error.clone_into(&mut self.complaint);
        }
    }
}
