//! The rounds of the keeper: when it looks at which organisation, and what it says of that.
//!
//! No organisation waits for another: each is due [`KeeperSettings::check_every`] after its last
//! look began, whatever the others do ([`Agenda`]).
//!
//! [`KeeperSettings::check_every`]: crate::config::KeeperSettings::check_every

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::{self, JoinError, JoinSet, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use super::{
    agenda::{Agenda, Ended, Lane, QUICK},
    check::{Checker, Outcome},
    clock::{ClockWatch, Look},
    journal::Journal,
};
use crate::{
    config::{self, Claims, Effect, Loaded, Reader},
    dns::{DnsError, Observer, Pace, Round},
    keys::Timing,
    keystore::Keystore,
    names::OrganisationId,
    observe::metrics::keeper::KeeperMetrics,
    organisation::Organisation,
};

/// How often it is seen whether looks are late.
const LATENESS_EVERY: Duration = Duration::from_secs(5);

/// How long the keeper works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// One look at each organisation, for a timer.
    Once,
    /// Until it is told to stop.
    Always,
}

/// Whether a look found what someone should look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attention {
    NotNeeded,
    Needed,
}

/// One look after another.
pub(super) struct Rounds {
    /// Shared with the thread that reads.
    reader: Arc<Mutex<Reader>>,
    loaded: Loaded,
    /// Of the same configuration.
    claims: Arc<Claims>,
    observer: Observer,
    /// What is known of zones and servers, and since when that is gathered.
    round: (Arc<Round>, Instant),
    checker: Arc<Checker>,
    keystore: Keystore,
    journal: Arc<Journal>,
    metrics: KeeperMetrics,
    /// Notified when someone wants all looks to be made now.
    wish: Arc<Notify>,
    /// What was last said of a configuration that can't be used, so that it is said once.
    complaint: String,
    /// When each organisation was last looked at, by both clocks.
    clocks: HashMap<OrganisationId, ClockWatch>,
    agenda: Agenda,
    /// Where each organisation is in the configuration.
    places: HashMap<OrganisationId, usize>,
    looks: JoinSet<(Ended, Attention)>,
    running: HashMap<task::Id, Running>,
    /// Those that were not looked at since then.
    missing: (HashSet<OrganisationId>, Instant),
    /// Whether it was said that looks are late.
    is_late: bool,
    /// The files of the configuration as they were last seen, and when to see to them again.
    stamps: Option<(u64, Instant)>,
}

/// A look that is under way.
struct Running {
    organisation: OrganisationId,
    lane: Lane,
    begun: Instant,
    /// What the clocks showed at the look before; back in its place if this one comes to nothing.
    clock: ClockWatch,
}

impl Rounds {
    pub(super) fn new(
        reader: Reader,
        loaded: Loaded,
        keystore: Keystore,
        metrics: KeeperMetrics,
    ) -> Result<Self, DnsError> {
        let observer = observer(&loaded)?;
        let mut rounds = Self {
            reader: Arc::new(Mutex::new(reader)),
            claims: Arc::new(loaded.claims()),
            loaded,
            round: (Arc::new(observer.round()), Instant::now()),
            observer,
            checker: Arc::new(Checker::new(keystore.clone())),
            keystore,
            journal: Arc::default(),
            metrics,
            wish: Arc::default(),
            complaint: String::new(),
            clocks: HashMap::new(),
            agenda: Agenda::default(),
            places: HashMap::new(),
            looks: JoinSet::new(),
            running: HashMap::new(),
            missing: (HashSet::new(), Instant::now()),
            is_late: false,
            stamps: None,
        };
        rounds.add_those_without_file();
        Ok(rounds)
    }

    /// Lets all looks be due, with the configuration as it is then.
    pub(super) fn wish(&self) -> Arc<Notify> {
        Arc::clone(&self.wish)
    }

    /// Once at each, or over and over.
    pub(super) async fn work(&mut self, duty: Duty) -> Attention {
        let mut attention = Attention::NotNeeded;
        self.take_organisations(duty);
        let mut reading = Instant::now() + self.loaded.settings.keeper.check_every;
        loop {
            while let Some((organisation, lane)) = self.agenda.begin(Instant::now()) {
                self.look(&organisation, lane);
            }
            self.watch_lateness();
            if duty == Duty::Once && self.running.is_empty() {
                return attention;
            }
            let soon = Instant::now() + LATENESS_EVERY;
            let wake = self.agenda.wake().map_or(soon, |wake| wake.min(soon));
            let wish = Arc::clone(&self.wish);
            tokio::select! {
                Some(ended) = self.looks.join_next_with_id() => {
                    if self.ended(ended, duty) == Attention::Needed {
                        attention = Attention::Needed;
                    }
                }
                () = wish.notified(), if duty == Duty::Always => {
                    tracing::info!("told to look at once");
                    self.reload().await;
                    self.take_organisations(duty);
                    self.agenda.all_due(Instant::now());
                    self.count_anew();
                    reading = Instant::now() + self.loaded.settings.keeper.check_every;
                }
                () = sleep_until(reading), if duty == Duty::Always => {
                    self.reload().await;
                    self.take_organisations(duty);
                    reading = Instant::now() + self.loaded.settings.keeper.check_every;
                }
                () = sleep_until(wake) => {
                    if duty == Duty::Always && self.has_other_files().await {
                        self.reload().await;
                        self.take_organisations(duty);
                    }
                }
            }
        }
    }

    /// Keys in use, or on their way out, are looked at though no file names their organisation.
    fn add_those_without_file(&mut self) {
        let files = self.loaded.organisations.iter();
        let others = match self.keystore.without_file(files.map(|one| &one.id)) {
            Ok(others) => others,
            Err(error) => return tracing::error!("{error}"),
        };
        for id in others {
            let keyring = self.keystore.read_keyring(&id);
            // What a zegel of 0.1 wrote last: its organisation was removed then.
            if keyring.is_ok_and(|keyring| !keyring.is_of_0_1() && !keyring.keys().is_empty()) {
                let mut organisation = Organisation::without_file(&id);
                // No key is made for it.
                organisation.algorithms.clear();
                self.loaded.organisations.push(Arc::new(organisation));
            }
        }
    }

    /// Those of the configuration: new ones are spread over half the time between two looks.
    fn take_organisations(&mut self, duty: Duty) {
        let organisations = &self.loaded.organisations;
        let ids = || organisations.iter().map(|one| &one.id);
        let apart = match duty {
            Duty::Once => Duration::ZERO,
            Duty::Always => {
                let count = u32::try_from(organisations.len().max(1)).unwrap_or(u32::MAX);
                self.loaded.settings.keeper.check_every / 2 / count
            }
        };
        self.metrics.organisations(ids());
        self.agenda.set(ids(), Instant::now(), apart);
        self.places = ids().cloned().zip(0..).collect();
        let known: HashSet<&OrganisationId> = ids().collect();
        self.journal.retain(|id| known.contains(id));
        self.clocks.retain(|id, _| known.contains(id));
        self.missing.0.retain(|id| known.contains(id));
        if self.missing.0.is_empty() {
            self.count_anew();
        }
    }

    /// Whether a file of the configuration is another one than before: what leaves is to drain,
    /// and what comes back to be looked at, without waiting for the next reading. With very many
    /// files it looks less often, so that the looks cost next to nothing.
    async fn has_other_files(&mut self) -> bool {
        let now = Instant::now();
        if self.stamps.is_some_and(|(_, next)| now < next) {
            return false;
        }
        let reader = Arc::clone(&self.reader);
        let look = move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.stamps()
        };
        let Ok(stamps) = spawn_blocking(look).await else {
            return false;
        };
        let rest = LATENESS_EVERY.max(now.elapsed() * 200);
        let before = self.stamps.replace((stamps, now + rest));
        before.is_some_and(|(before, _)| before != stamps)
    }

    /// Those of which the configuration says something else than before.
    fn look_soon_at_changed(&mut self, loaded: &Loaded) {
        let known: HashMap<&OrganisationId, &Arc<Organisation>> = self
            .loaded
            .organisations
            .iter()
            .map(|one| (&one.id, one))
            .collect();
        let is_other =
            |one: &&Arc<Organisation>| known.get(&one.id).is_some_and(|old| *old != *one);
        let changed: Vec<OrganisationId> = loaded
            .organisations
            .iter()
            .filter(is_other)
            .map(|one| one.id.clone())
            .collect();
        self.agenda.due(&changed, Instant::now());
    }

    fn count_anew(&mut self) {
        let ids = self.loaded.organisations.iter().map(|one| one.id.clone());
        self.missing = (ids.collect(), Instant::now());
    }

    /// Begins a look.
    fn look(&mut self, id: &OrganisationId, lane: Lane) {
        let begun = Instant::now();
        let place = self.places.get(id);
        // Always there: the agenda has no others.
        let Some(organisation) = place.and_then(|place| self.loaded.organisations.get(*place))
        else {
            self.agenda.ended(id, (lane, begun), Ended::Over, None);
            return;
        };
        let organisation = Arc::clone(organisation);
        let clocks = self.clocks.entry(id.clone());
        let watch = clocks.or_insert_with(ClockWatch::new);
        let clock = *watch;
        let look = watch.look();
        let work = Work {
            organisation,
            claims: Arc::clone(&self.claims),
            timing: self.loaded.settings.timing(),
            look,
            round: self.round(),
            checker: Arc::clone(&self.checker),
            metrics: self.metrics.clone(),
            journal: Arc::clone(&self.journal),
        };
        let task = self.looks.spawn(work.make(lane));
        let running = Running {
            organisation: id.clone(),
            lane,
            begun,
            clock,
        };
        self.running.insert(task.id(), running);
    }

    /// What is known of zones and servers, unless that has become old.
    fn round(&mut self) -> Arc<Round> {
        let (round, since) = &self.round;
        if since.elapsed() < self.loaded.settings.keeper.check_every / 2 {
            return Arc::clone(round);
        }
        let round = Arc::new(self.observer.round());
        self.round = (Arc::clone(&round), Instant::now());
        round
    }

    fn ended(
        &mut self,
        result: Result<(task::Id, (Ended, Attention)), JoinError>,
        duty: Duty,
    ) -> Attention {
        let (task, ended, attention) = match result {
            Ok((task, (ended, attention))) => (task, ended, attention),
            Err(error) => {
                tracing::error!("a look broke off: {error}");
                (error.id(), Ended::Failed, Attention::Needed)
            }
        };
        let Some(running) = self.running.remove(&task) else {
            return attention;
        };
        let Running {
            organisation: id,
            lane,
            begun,
            clock,
        } = running;
        let next = match duty {
            Duty::Once => None,
            Duty::Always => Some(begun + self.loaded.settings.keeper.check_every),
        };
        self.agenda.ended(&id, (lane, begun), ended, next);
        if ended != Ended::TooSlow {
            self.is_seen(&id);
        }
        if ended != Ended::Over {
            // What the clocks did since the look before has still to be taken into account.
            self.clocks.insert(id, clock);
        }
        attention
    }

    /// Tells when all have been looked at once more.
    fn is_seen(&mut self, id: &OrganisationId) {
        let (missing, since) = &mut self.missing;
        if missing.remove(id) && missing.is_empty() {
            tracing::info!(
                organisations = self.loaded.organisations.len(),
                seconds = since.elapsed().as_secs(),
                "all organisations have been looked at"
            );
            self.count_anew();
        }
    }

    /// Shows by how much the latest look is late, and says so when that is too much.
    fn watch_lateness(&mut self) {
        let latest = self.agenda.latest(Instant::now());
        let late = latest.map_or(Duration::ZERO, |(_, late)| late);
        self.metrics.late(late);
        let is_late = late > self.loaded.settings.keeper.check_every.max(QUICK);
        if let (Some((organisation, _)), true, false) = (latest, is_late, self.is_late) {
            tracing::warn!(
                organisation = organisation.as_str(),
                seconds = late.as_secs(),
                "looks at the DNS are late: see `zegel_keeper_late_seconds` in docs/metrics.md"
            );
        } else if self.is_late && !is_late {
            tracing::info!("looks at the DNS are in time again");
        }
        self.is_late = is_late;
    }

    /// Reads the configuration. If it can't be used, all stays as it was.
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
        match observer(&loaded) {
            Ok(observer) => {
                self.round = (Arc::new(observer.round()), Instant::now());
                self.observer = observer;
            }
            Err(error) => return self.complain(&format!("keeper.resolvers: {error}")),
        }
        let changes = config::changes(&self.loaded, &loaded);
        self.look_soon_at_changed(&loaded);
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
        self.claims = Arc::new(loaded.claims());
        self.loaded = loaded;
        self.add_those_without_file();
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

fn observer(loaded: &Loaded) -> Result<Observer, DnsError> {
    Observer::with_settings(&loaded.settings.keeper)
}

/// What a look needs.
struct Work {
    organisation: Arc<Organisation>,
    claims: Arc<Claims>,
    timing: Timing,
    look: Look,
    round: Arc<Round>,
    checker: Arc<Checker>,
    metrics: KeeperMetrics,
    journal: Arc<Journal>,
}

impl Work {
    /// Looks, does what is due, and says so. Among the quick ones it gives up in time, and has
    /// then done nothing.
    async fn make(self, lane: Lane) -> (Ended, Attention) {
        let begun = Instant::now();
        let (organisation, timing) = (&self.organisation, &self.timing);
        let pace = match lane {
            Lane::Quick => Pace::Quick,
            Lane::Slow => Pace::Slow,
        };
        let looking = self.checker.look(organisation, timing, (&self.round, pace));
        let seen = match lane {
            Lane::Slow => looking.await,
            Lane::Quick => match timeout(QUICK, looking).await {
                Ok(seen) => seen,
                Err(_) => return (Ended::TooSlow, Attention::NotNeeded),
            },
        };
        let took = begun.elapsed();
        let moment = self.look.by_now();
        let outcome = seen.and_then(|seen| {
            let checker = &self.checker;
            task::block_in_place(|| {
                checker.conclude(organisation, &self.claims, timing, moment, seen)
            })
        });
        let ended = match outcome {
            Ok(_) => Ended::Over,
            Err(_) => Ended::Failed,
        };
        (ended, self.report(outcome, took))
    }

    /// Says what a check found.
    fn report(&self, outcome: Outcome, took: Duration) -> Attention {
        let Self {
            organisation,
            timing,
            metrics,
            journal,
            ..
        } = self;
        match outcome {
            Ok(checked) => {
                let facts = checked.facts(organisation, timing, (Timestamp::now(), took));
                metrics.checked(facts);
                if checked.is_over_budget() {
                    metrics.over_budget();
                }
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
}
