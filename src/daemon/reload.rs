//! Reloading: the new state as a whole, or the old one as it was; and the care for keys after
//! that.
//!
//! SIGHUP reads the configuration and the keys; it takes effect whole or not at all. A new
//! `generation` of the keystore reads the keys alone, so that a rotation works while someone
//! has `zegel.toml` half edited. In both cases an organisation with a broken key keeps its last
//! good keys, and no other organisation is touched.
//!
//! All of it is done on a thread of its own, and what has not changed is neither read nor
//! made again: no message waits for a reload.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    config::{self, Change, Effect, Loaded},
    keystore::{Keystore, KeystoreError},
    observe::{
        logging::KEYS,
        metrics::{Metrics, SnapshotFacts},
    },
    snapshot::{Built, KeyCare, Snapshot, SnapshotHolder},
};

/// How often the generation of the keystore is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A keyring that could not be read, or was gone, is read again after so many looks, half a
/// minute: the generation would not tell of it, and the keyring may hold a revocation.
const LOOKS_UNTIL_AGAIN: u32 = 15;

/// Mail that waited for the start or the reload goes first.
const CARE_BEGINS_AFTER: Duration = Duration::from_secs(2);
/// Care works a little, and up to one key longer, and then rests: a sixth of one processor at
/// most, so that mail does not feel it.
const CARE_WORKS_FOR: Duration = Duration::from_millis(5);
const CARE_RESTS_FOR: Duration = Duration::from_millis(25);

/// What to read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// The configuration and the keys.
    Everything,
    /// The keys.
    Keys,
}

/// Says when snapshots are to be made, and has them made.
pub(super) struct Reloader {
    maker: Arc<Maker>,
    /// When to look at the generation next; kept here, since signals interrupt the wait.
    next_look: Instant,
    /// What was last said of a keystore that can't be looked at, so that it is said once.
    complaint: String,
    /// How often it has been looked at since the last reload.
    looks: u32,
}

/// Makes snapshots and puts them into use. It reads files, so no task on the runtime may do
/// this.
struct Maker {
    reader: Mutex<config::Reader>,
    keystore: Keystore,
    metrics: Metrics,
    snapshots: SnapshotHolder,
    /// The names of the listeners that this process has: those of its start.
    listeners: Vec<String>,
    /// Snapshots that messages may still use. They are dropped here, where nobody waits for it.
    retired: Mutex<Vec<Arc<Snapshot>>>,
    /// Notified when there are other keys to care for.
    other_keys: Arc<Notify>,
}

impl Reloader {
    pub(super) fn new(
        reader: config::Reader,
        keystore: Keystore,
        metrics: Metrics,
        snapshots: SnapshotHolder,
    ) -> Self {
        let settings = snapshots.current();
        let listeners = settings.settings().listeners.iter();
        let maker = Maker {
            listeners: listeners.map(|listener| listener.name.clone()).collect(),
            reader: Mutex::new(reader),
            keystore,
            metrics,
            snapshots,
            retired: Mutex::default(),
            other_keys: Arc::default(),
        };
        Self {
            maker: Arc::new(maker),
            next_look: Instant::now() + LOOK_EVERY,
            complaint: String::new(),
            looks: 0,
        }
    }

    /// Notified after each reload, when there are other keys to care for.
    pub(super) fn other_keys(&self) -> Arc<Notify> {
        Arc::clone(&self.maker.other_keys)
    }

    /// Waits until a reload of the keys is due, mostly since the keystore has another
    /// generation than the snapshot in use.
    pub(super) async fn keystore_changed(&mut self) {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + LOOK_EVERY;
            let maker = Arc::clone(&self.maker);
            let Ok(looked) = spawn_blocking(move || maker.look()).await else {
                continue;
            };
            match looked {
                Ok(has_changed) => {
                    // The keystore that is back may be another one.
                    let is_back = !std::mem::take(&mut self.complaint).is_empty();
                    self.looks = self.looks.wrapping_add(1);
                    let again = self.looks.is_multiple_of(LOOKS_UNTIL_AGAIN)
                        && self.maker.snapshots.current().has_unread_keyrings();
                    if has_changed || again || is_back {
                        return;
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.complaint != error {
                        tracing::error!(
                            "the keystore can't be looked at, its keys stay as they were: {error}"
                        );
                        self.complaint = error;
                    }
                }
            }
        }
    }

    /// Makes a new snapshot and puts it into use, or says why not.
    pub(super) async fn reload(&mut self, due: Due) {
        self.looks = 0;
        let maker = Arc::clone(&self.maker);
        if spawn_blocking(move || maker.reload(due)).await.is_err() {
            self.maker.failed("the files could not be read");
        }
    }
}

impl Maker {
    /// Whether the keystore is of another generation.
    fn look(&self) -> Result<bool, KeystoreError> {
        self.drop_unheld();
        Ok(self.keystore.generation_stamp()? != self.snapshots.current().generation())
    }

    /// Drops the snapshots that no message has any more.
    fn drop_unheld(&self) {
        lock(&self.retired).retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    fn reload(&self, due: Due) {
        // In a storm of signals nobody looks at the keystore, where this is done otherwise.
        self.drop_unheld();
        let before = self.snapshots.current();
        match due {
            // The configuration stays.
            Due::Keys => self.build(before.loaded().clone(), &[], &before),
            Due::Everything => {
                let read = lock(&self.reader).load();
                match read {
                    Ok(loaded) => self.configure(loaded, &before),
                    Err(problems) => {
                        for problem in &problems.0 {
                            tracing::error!("{problem}");
                        }
                        self.failed("the configuration has problems");
                    }
                }
            }
        }
    }

    fn configure(&self, loaded: Loaded, before: &Snapshot) {
        if let Some(reason) = self.reason_against(before, &loaded) {
            return self.failed(&reason);
        }
        let changes = config::changes(before.loaded(), &loaded);
        let is_at_once = |change: &Change| change.effect == Effect::AtOnce;
        let (changes, later): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_at_once);
        for change in later {
            tracing::warn!("takes effect at the next start only: {change}");
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.build(loaded, &changes, before);
    }

    /// Why a configuration without problems may still not be put into use while serving.
    fn reason_against(&self, before: &Snapshot, loaded: &Loaded) -> Option<String> {
        if loaded.organisations.is_empty() && !before.organisations().is_empty() {
            // More likely the folder was moved, or not mounted, than that this is meant.
            return Some(
                "there are no organisations any more: put the files of orgs.d back, or restart \
                 if that is meant"
                    .to_owned(),
            );
        }
        loaded.organisations.iter().find_map(|organisation| {
            let listeners = &organisation.senders.as_ref()?.listeners;
            let unknown = listeners
                .iter()
                .find(|name| !self.listeners.contains(name))?;
            Some(format!(
                "organisation {} names the listener {unknown}, which this process does not \
                 have: restart to change listeners",
                organisation.id
            ))
        })
    }

    /// `changes`: those of the configuration that take effect with this snapshot.
    fn build(&self, loaded: Loaded, changes: &[Change], before: &Snapshot) {
        match Snapshot::build(loaded, &self.keystore, &self.metrics, Some(before)) {
            Ok(built) => self.put_into_use(built, changes, before),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    fn put_into_use(&self, built: Built, changes: &[Change], before: &Snapshot) {
        for problem in &built.problems {
            tracing::error!(target: KEYS, "{problem}");
        }
        let key_changes = built.snapshot.key_changes(before);
        for change in changes {
            tracing::info!("reloaded: {change}");
        }
        for change in &key_changes {
            tracing::info!(target: KEYS, "reloaded: {change}");
        }
        self.metrics.snapshot_in_use(&facts(&built.snapshot));
        lock(&self.retired).push(self.snapshots.replace(built.snapshot));
        let now = self.snapshots.current();
        if built.has_lost {
            let ids: HashSet<_> = now.organisations().iter().map(|one| &one.id).collect();
            self.metrics.retain_organisations(|id| ids.contains(id));
        }
        self.other_keys.notify_one();
        self.metrics.reload_succeeded();
        tracing::info!(
            changes = changes.len() + key_changes.len(),
            problems = built.problems.len(),
            organisations = now.organisations().len(),
            generation = now.generation().number(),
            "reloaded"
        );
    }

    fn failed(&self, reason: &str) {
        self.metrics.reload_failed();
        tracing::error!("reload failed, all stays as it was: {reason}");
    }
}

pub(super) fn facts(snapshot: &Snapshot) -> SnapshotFacts {
    SnapshotFacts {
        organisations: snapshot.organisations().len(),
        keystore_generation: snapshot.generation().number(),
        domains_without_key: snapshot.domains_without_key(),
        key_problems: snapshot.key_problems(),
        connections: snapshot.settings().limits.connections,
        loaded_at: SystemTime::now(),
    }
}

/// Goes along all keys once, and once more after each reload; after a round it is known how many
/// of them can't be used.
pub(super) async fn care_for_keys(
    snapshots: SnapshotHolder,
    metrics: Metrics,
    other_keys: Arc<Notify>,
) {
    loop {
        sleep(CARE_BEGINS_AFTER).await;
        let mut round = snapshots.current().key_care();
        while let Some(rest) = turn_of_care(round).await {
            round = rest;
            sleep(CARE_RESTS_FOR).await;
        }
        // If a reload came meanwhile, it has asked for another round, which counts again.
        metrics.key_problems(snapshots.current().key_problems());
        other_keys.notified().await;
    }
}

/// What is left of the round; nothing when it is done.
async fn turn_of_care(mut round: KeyCare) -> Option<KeyCare> {
    let work = move || round.work(CARE_WORKS_FOR).then_some(round);
    spawn_blocking(work).await.ok().flatten()
}

/// What a mutex here guards is whole even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    /// Signals that follow each other closely leave no time for a look.
    #[test]
    fn reloads_upon_reloads_do_not_gather_snapshots() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let loaded = Loaded {
            settings: Settings::default(),
            organisations: Vec::new(),
            warnings: Vec::new(),
        };
        let metrics = Metrics::new();
        let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
        let reader = config::Reader::new(&folder.path().join("zegel.toml"));
        let snapshots = SnapshotHolder::new(built.snapshot);
        let reloader = Reloader::new(reader, keystore, metrics, snapshots.clone());
        let maker = &reloader.maker;
        let message = snapshots.current();
        for _ in 0..9 {
            maker.reload(Due::Keys);
        }
        // That of the message, and the last one.
        assert_eq!(lock(&maker.retired).len(), 2);
        drop(message);
        maker.reload(Due::Keys);
        assert_eq!(lock(&maker.retired).len(), 1);
        maker.look().unwrap();
        assert_eq!(lock(&maker.retired).len(), 0);
    }
}
