//! Reloading: the new state as a whole, or the old one as it was; and the care for keys after
//! that.
//!
//! SIGHUP reads the configuration and the keys; it takes effect whole or not at all. A new
//! `generation` of the keystore reads the keys alone, and a change in `orgs.d/` the organisations
//! and the keys, so that a rotation and a new organisation work while someone has `zegel.toml`
//! half edited. In all cases an organisation with a broken key keeps its last good keys, and no
//! other organisation is touched.
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
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    files::{Due, Files},
    warnings,
};
use crate::{
    config::{self, Change, Effect, Loaded, Problem, Seen},
    keystore::{Keystore, KeystoreError},
    observe::{
        logging::KEYS,
        metrics::{Metrics, SnapshotFacts},
        readiness::Readiness,
    },
    organisation::Organisation,
    process::{self, Complaint, RunError},
    snapshot::{Built, KeyCare, Snapshot, SnapshotHolder},
};

/// How often the generation of the keystore and the files of `orgs.d/` are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A keyring that could not be read, or was gone, is read again after so many looks, half a
/// minute: the generation would not tell of it, and the keyring may hold a revocation.
const LOOKS_UNTIL_AGAIN: u32 = 15;
/// A key that was refused is tried again after so many looks, a minute.
const LOOKS_UNTIL_MENDED: u32 = 30;

/// If the keystore has not been read by then, the sockets are opened without it. 100,000 keyrings
/// take seconds; and nobody hears a signal to stop before that.
const FIRST_READING_TAKES: Duration = Duration::from_secs(30);

/// The mark of a keystore that can't be read is waited for so long.
const MARK_TAKES: Duration = Duration::from_secs(5);

/// Mail that waited for the start or the reload goes first.
const CARE_BEGINS_AFTER: Duration = Duration::from_secs(2);
/// Care works a little, and up to one key longer, and then rests: a sixth of one processor at
/// most, so that mail does not feel it.
const CARE_WORKS_FOR: Duration = Duration::from_millis(5);
const CARE_RESTS_FOR: Duration = Duration::from_millis(25);

/// Says when snapshots are to be made, and has them made.
pub(super) struct Reloader {
    maker: Arc<Maker>,
    /// When to look at the generation next; kept here, since signals interrupt the wait.
    next_look: Instant,
    /// How often it has been looked at since the last reload.
    looks: u32,
    /// Whether organisations are to be taken up, once the keys are.
    has_organisations: bool,
}

/// Makes snapshots and puts them into use. It reads files, so no task on the runtime may do
/// this.
struct Maker {
    files: Mutex<Files>,
    /// Of a keystore that can't be looked at.
    complaint: Mutex<Complaint>,
    readiness: Readiness,
    metrics: Metrics,
    snapshots: SnapshotHolder,
    /// Snapshots that messages may still use. They are dropped here, where nobody waits for it.
    retired: Mutex<Vec<Arc<Snapshot>>>,
    /// Notified when there are other keys to care for.
    other_keys: Arc<Notify>,
}

impl Reloader {
    pub(super) fn new(
        mut reader: config::Reader,
        metrics: Metrics,
        snapshots: SnapshotHolder,
        readiness: Readiness,
    ) -> Self {
        let settings = snapshots.current();
        let listeners = settings.settings().listeners.iter();
        let loaded = settings.loaded();
        reader.bind(listeners.map(|listener| listener.name.clone()).collect());
        let mut files = Files::new(reader, &loaded.mistakes);
        files.go_on_from(holders(&settings));
        if files.refuses() {
            metrics.something_is_refused();
        }
        let maker = Maker {
            files: Mutex::new(files),
            complaint: Mutex::default(),
            readiness,
            metrics,
            snapshots,
            retired: Mutex::default(),
            other_keys: Arc::default(),
        };
        Self {
            maker: Arc::new(maker),
            next_look: Instant::now() + LOOK_EVERY,
            looks: 0,
            has_organisations: false,
        }
    }

    /// Notified after each reload, when there are other keys to care for.
    pub(super) fn other_keys(&self) -> Arc<Notify> {
        Arc::clone(&self.maker.other_keys)
    }

    /// Says why the keystore can't be read, if it is time to.
    pub(super) fn complain(&self, reason: &str) {
        self.maker.complain(reason);
    }

    /// Waits until something is due, mostly since the keystore has another generation than the
    /// snapshot in use, or since somebody has changed organisations.
    pub(super) async fn changed(&mut self) -> Due {
        loop {
            if self.has_organisations {
                return Due::Organisations;
            }
            sleep_until(self.next_look).await;
            let now = Instant::now();
            self.next_look = now + LOOK_EVERY;
            let maker = Arc::clone(&self.maker);
            let looks = self.looks.wrapping_add(1);
            let look = move || (maker.look(looks), maker.look_at_files(now));
            let Ok((keys, has_organisations)) = spawn_blocking(look).await else {
                continue;
            };
            match keys {
                Ok(has_changed) => {
                    self.has_organisations = has_organisations;
                    // The keystore that is back may be another one.
                    let is_back = lock(&self.maker.complaint).end();
                    self.looks = looks;
                    if has_changed || is_back {
                        return Due::Keys;
                    }
                }
                Err(error) => {
                    // A signer that has keys goes on with them; one that has none can do no worse.
                    let is_waiting = self.maker.snapshots.current().keystore().is_none();
                    self.has_organisations = has_organisations && is_waiting;
                    self.maker.complain(&error.to_string());
                }
            }
        }
    }

    /// Makes a new snapshot and puts it into use, or says why not.
    pub(super) async fn reload(&mut self, due: Due) {
        self.looks = 0;
        self.has_organisations &= due == Due::Keys;
        let maker = Arc::clone(&self.maker);
        if spawn_blocking(move || maker.reload(due)).await.is_err() {
            self.maker.failed("the files could not be read");
        }
    }
}

impl Maker {
    /// Whether the keys are to be read anew: the keystore is of another generation, or can be read
    /// at last, or what could not be used may be good now, for which it looks now and then.
    fn look(&self, looks: u32) -> Result<bool, KeystoreError> {
        self.drop_unheld();
        let snapshot = self.snapshots.current();
        let is_known = snapshot.keystore().is_some();
        let keystore = keystore_of(&snapshot)?;
        let generation = keystore.generation_stamp()?;
        if !is_known {
            keystore.check_sealing()?;
        }
        let again = looks.is_multiple_of(LOOKS_UNTIL_AGAIN) && snapshot.has_unread_keyrings();
        let mended = looks.is_multiple_of(LOOKS_UNTIL_MENDED) && snapshot.has_mended_keys();
        Ok(!is_known || again || mended || generation != snapshot.generation())
    }

    /// Whether organisations are to be taken up.
    fn look_at_files(&self, now: Instant) -> bool {
        let mut files = lock(&self.files);
        let is_due = files.look(now);
        self.tell(&files);
        is_due
    }

    /// Says what is wrong with the keystore, if it is time to.
    fn complain(&self, error: &str) {
        let is_waiting = self.snapshots.current().keystore().is_none();
        if is_waiting {
            self.readiness.waits_for(Some(error));
        }
        if !lock(&self.complaint).is_due(error, std::time::Instant::now()) {
            return;
        }
        if is_waiting {
            let text = waiting_for(error);
            process::systemd::status(&text);
            tracing::error!("{text}");
        } else {
            tracing::error!("the keystore can't be looked at, its keys stay as they were: {error}");
        }
    }

    /// Drops the snapshots that no message has any more.
    fn drop_unheld(&self) {
        lock(&self.retired).retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    fn reload(&self, due: Due) {
        // In a storm of signals nobody looks at the keystore, where this is done otherwise.
        self.drop_unheld();
        let before = self.snapshots.current();
        // One reload at a time, anyway.
        let mut files = lock(&self.files);
        let (seen, read) = match due {
            // The configuration stays.
            Due::Keys => {
                self.build(before.loaded().clone(), due, &before);
                // If the keystore is there at last, its keys have settled who has what.
                files.go_on_from(holders(&self.snapshots.current()));
                return self.show(&files);
            }
            Due::Everything => files.load(),
            Due::Organisations => files.load_organisations(before.settings()),
        };
        let outcome = match read {
            Ok(loaded) => match reason_against(&before, &loaded) {
                None => {
                    let mistakes = loaded.mistakes.clone();
                    let is_in_use = self.configure(loaded, due, &before, &files);
                    Ok(is_in_use.then_some(mistakes))
                }
                Some(reason) => Err((Vec::new(), reason)),
            },
            Err(problems) => {
                let problems = problems.0.iter().map(ToString::to_string).collect();
                Err((problems, "the configuration has problems".to_owned()))
            }
        };
        match outcome {
            Ok(Some(mistakes)) => {
                files.go_on_from(holders(&self.snapshots.current()));
                for line in files.in_use((seen, due), &mistakes) {
                    tracing::error!("{line}");
                }
            }
            Ok(None) => {}
            Err((problems, reason)) => {
                self.refuse(&mut files, (seen, due), &problems, &reason);
            }
        }
        self.show(&files);
    }

    fn tell(&self, files: &Files) {
        let (newer_since, looked_at) = (files.newer_since(), files.looked_at());
        self.metrics.configuration_newer(newer_since, looked_at);
    }

    fn show(&self, files: &Files) {
        self.tell(files);
        if files.refuses() {
            self.metrics.something_is_refused();
        }
    }

    /// By itself the signer says once what is wrong; who asks for a reload hears it each time.
    fn refuse(
        &self,
        files: &mut Files,
        (seen, due): (Seen, Due),
        problems: &[String],
        reason: &str,
    ) {
        let mut all = problems.to_vec();
        all.push(reason.to_owned());
        let news = files.refused(seen, due, all);
        let is_told = |problem: &String| due == Due::Everything || news.contains(problem);
        for problem in problems.iter().filter(|problem| is_told(problem)) {
            tracing::error!("{problem}");
        }
        if due == Due::Everything || !news.is_empty() {
            self.failed(reason);
        }
    }

    /// Whether the configuration is in use now.
    fn configure(&self, loaded: Loaded, due: Due, before: &Snapshot, files: &Files) -> bool {
        let changes = config::changes(before.loaded(), &loaded);
        // Somebody has saved a file as it was.
        let is_as_wrong = loaded.mistakes == before.loaded().mistakes;
        if due == Due::Organisations && changes.is_empty() && is_as_wrong && !files.is_refused() {
            return true;
        }
        let is_at_once = |change: &Change| change.effect == Effect::AtOnce;
        for change in changes.iter().filter(|change| !is_at_once(change)) {
            tracing::warn!("takes effect at the next start only: {change}");
        }
        let said = &before.loaded().warnings;
        let is_told = |warning: &&Problem| due == Due::Everything || !said.contains(warning);
        for warning in loaded.warnings.iter().filter(is_told) {
            tracing::warn!("{warning}");
        }
        self.build(loaded, due, before)
    }

    /// Whether what was asked for is in use now.
    fn build(&self, loaded: Loaded, due: Due, before: &Snapshot) -> bool {
        let is_waiting = before.keystore().is_none();
        let metrics = &self.metrics;
        let built = keystore_of(before).and_then(|keystore| {
            let sealing_keys = &loaded.settings.sealing_keys;
            if is_waiting {
                let keystore = keystore.sealed_by(sealing_keys);
                warnings::of_unused(&keystore.check_sealing()?);
                return Snapshot::first(loaded.clone(), &keystore, metrics);
            }
            keystore.with_sealing_keys(sealing_keys, || {
                Snapshot::build(loaded.clone(), &keystore, metrics, Some(before))
            })
        });
        match built {
            Ok(built) => {
                let changes = changes(due, before, &built.snapshot);
                self.put_into_use(built, &changes, before);
                if is_waiting {
                    self.begin_to_sign();
                }
            }
            Err(error) if is_waiting => {
                self.complain(&error.to_string());
                let marked = loaded.settings.marked_in_use();
                let built = Snapshot::waiting(loaded, metrics, Some(before), &marked);
                let changes = changes(due, before, &built.snapshot);
                if changes.is_empty() {
                    return true;
                }
                self.put_into_use(built, &changes, before);
            }
            Err(error) => {
                self.failed(&error.to_string());
                return false;
            }
        }
        true
    }

    /// The keystore could be read at last.
    fn begin_to_sign(&self) {
        lock(&self.complaint).end();
        self.readiness.waits_for(None);
        process::systemd::status("signing");
        tracing::info!("the keystore can be read now: mail is signed");
        warnings::of_unsigned(&self.snapshots.current());
    }

    fn put_into_use(&self, built: Built, changes: &[Change], before: &Snapshot) {
        for problem in &built.problems {
            tracing::error!(target: KEYS, "{problem}");
        }
        // Of all keys at once it would be a flood.
        let is_comparable = built.snapshot.keystore().is_some() && before.keystore().is_some();
        let key_changes = if is_comparable {
            built.snapshot.key_changes(before)
        } else {
            Vec::new()
        };
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

/// Why a configuration without problems may still not be put into use while serving.
fn reason_against(before: &Snapshot, loaded: &Loaded) -> Option<String> {
    // More likely the folder was moved, or not mounted, than that this is meant.
    let has_none = loaded.organisations.is_empty() && !before.organisations().is_empty();
    let reason = "there are no organisations any more: put the files of orgs.d back, or restart if \
                  that is meant";
    has_none.then(|| reason.to_owned())
}

/// Who has which domains. While no key can be read nobody knows who has one that several files
/// have.
fn holders(snapshot: &Snapshot) -> &[Arc<Organisation>] {
    match snapshot.keystore() {
        Some(_) => snapshot.organisations(),
        None => &snapshot.loaded().organisations,
    }
}

/// The keystore of a snapshot, or the one that it waits for.
fn keystore_of(snapshot: &Snapshot) -> Result<Keystore, KeystoreError> {
    match snapshot.keystore() {
        Some(keystore) => Ok(keystore.clone()),
        None => snapshot.settings().open_keystore(),
    }
}

/// The first snapshot of a signer. If the keystore can't be read for now it knows no keys, and
/// the reason comes with it. The caller puts the reason into [`Reloader::complain`].
///
/// # Errors
/// When nothing but a change of the configuration helps.
pub(super) async fn first(
    loaded: Loaded,
    metrics: &Metrics,
) -> Result<(Snapshot, Option<String>), RunError> {
    let (counted, configured) = (metrics.clone(), loaded.clone());
    let read = spawn_blocking(move || {
        let keystore = configured.settings.open_keystore()?;
        warnings::of_unused(&keystore.check_sealing()?);
        Snapshot::first(configured, &keystore, &counted)
    });
    let reason = match timeout(FIRST_READING_TAKES, read).await {
        Ok(Ok(Ok(built))) => {
            for problem in &built.problems {
                tracing::error!(target: KEYS, "{problem}");
            }
            warnings::of_unsigned(&built.snapshot);
            warnings::of_no_id(&built.snapshot);
            return Ok((built.snapshot, None));
        }
        Ok(Ok(Err(error))) if error.is_of_configuration() => return Err(error.into()),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(_)) => "the keystore could not be read".to_owned(),
        Err(_) => format!(
            "{}: not read within half a minute; does its file system answer?",
            loaded.settings.keystore_path.display()
        ),
    };
    let settings = loaded.settings.clone();
    let marked = spawn_blocking(move || settings.marked_in_use());
    // If its file system does not answer either, nothing is known of lost files.
    let marked = timeout(MARK_TAKES, marked).await;
    let marked = marked.ok().and_then(Result::ok).unwrap_or_default();
    let built = Snapshot::waiting(loaded, metrics, None, &marked);
    Ok((built.snapshot, Some(reason)))
}

/// For the log and for systemd.
fn waiting_for(error: &str) -> String {
    format!("mail of ours is put off until the keystore can be read, which is tried again: {error}")
}

/// What the configuration changes at once. What is held although its file is lost is the same.
fn changes(due: Due, before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    if due == Due::Keys {
        return Vec::new();
    }
    let mut changes = config::changes(&before.in_effect(), &after.in_effect());
    changes.retain(|change| change.effect == Effect::AtOnce);
    changes
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
            mistakes: config::Mistakes::default(),
        };
        let metrics = Metrics::new();
        let built = Snapshot::first(loaded, &keystore, &metrics).unwrap();
        let reader = config::Reader::new(&folder.path().join("zegel.toml"));
        let snapshots = SnapshotHolder::new(built.snapshot);
        let readiness = Readiness::default();
        let reloader = Reloader::new(reader, metrics, snapshots.clone(), readiness);
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
        maker.look(1).unwrap();
        assert_eq!(lock(&maker.retired).len(), 0);
    }
}
