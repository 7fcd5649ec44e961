//! The rounds of the keeper: when it looks at which organisation, and what it says of that.
//!
//! No organisation waits for another: each is due [`KeeperSettings::check_every`] after its last
//! look began, and sooner if something waits there ([`Cadence`]), whatever the others do
//! ([`Agenda`]).
//!
//! [`KeeperSettings::check_every`]: crate::config::KeeperSettings::check_every

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::{self, JoinError, JoinSet, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{
    agenda::{Agenda, Ended, Place, Priority},
    cadence::Cadence,
    check::Checker,
    clock::ClockWatch,
    complaints::Complaints,
    hooks::Scene,
    journal::Journal,
    policies::Policies,
    progress::Progress,
    requests::Requests,
    survey::Survey,
    work::{Attention, Done, Work},
};
use crate::{
    config::{self, Claims, Effect, Loaded, Reader},
    dns::{DnsError, Observer, RelayPart, Round},
    keystore::{Keystore, LookRequest},
    names::OrganisationId,
    observe::metrics::keeper::KeeperMetrics,
    organisation::Organisation,
};

/// How often it is seen whether looks are late.
const LATENESS_EVERY: Duration = Duration::from_secs(5);
/// How often it is seen whether a command asks for a look.
const REQUESTS_EVERY: Duration = Duration::from_secs(1);
/// How old what is known of zones and servers may be where something waits.
const FRESH: Duration = Duration::from_secs(30);

/// How long the keeper works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// One look at each organisation, for a timer.
    Once,
    /// Until it is told to stop.
    Always,
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
    /// The same for those in which something waits.
    fresh: (Arc<Round>, Instant),
    checker: Arc<Checker>,
    keystore: Keystore,
    journal: Arc<Journal>,
    pub(super) policies: Arc<Policies>,
    part: Arc<RelayPart>,
    metrics: KeeperMetrics,
    /// Notified when someone wants all looks to be made now.
    wish: Arc<Notify>,
    complaints: Complaints,
    /// When each organisation was last looked at, by both clocks.
    clocks: HashMap<OrganisationId, ClockWatch>,
    agenda: Agenda,
    cadence: Cadence,
    requests: Requests,
    next_requests: Instant,
    survey: Survey,
    /// When to see whether someone else has changed keys.
    next_survey: Instant,
    /// Where each organisation is in the configuration.
    places: HashMap<OrganisationId, usize>,
    looks: JoinSet<Done>,
    running: HashMap<task::Id, Running>,
    progress: Progress,
    /// What the hooks judge.
    scene: watch::Sender<Arc<Scene>>,
    /// The files of the configuration as they were last seen, and when to see to them again.
    stamps: Option<(u64, Instant)>,
}

/// A look that is under way.
struct Running {
    organisation: OrganisationId,
    place: Place,
    begun: Instant,
    /// What the clocks showed at the look before; back in its place if this one comes to nothing.
    clock: ClockWatch,
    /// Whom it answers.
    requests: Vec<LookRequest>,
}

impl Rounds {
    pub(super) fn new(
        reader: Reader,
        loaded: Loaded,
        (keystore, checker): (Keystore, Checker),
        metrics: KeeperMetrics,
    ) -> Result<Self, DnsError> {
        let observer = Observer::with_settings(&loaded.settings.keeper)?;
        let claims = Arc::new(loaded.claims());
        let scene = watch::Sender::new(scene(&loaded, &claims, &keystore));
        let mut rounds = Self {
            reader: Arc::new(Mutex::new(reader)),
            claims,
            part: Arc::new(RelayPart::of(&loaded.settings)),
            loaded,
            round: (Arc::new(observer.round()), Instant::now()),
            fresh: (Arc::new(observer.round()), Instant::now()),
            observer,
            checker: Arc::new(checker),
            policies: Arc::new(Policies::new(keystore.clone())),
            keystore,
            journal: Arc::default(),
            metrics,
            wish: Arc::default(),
            complaints: Complaints::default(),
            clocks: HashMap::new(),
            agenda: Agenda::default(),
            cadence: Cadence::default(),
            requests: Requests::default(),
            next_requests: Instant::now(),
            survey: Survey::default(),
            next_survey: Instant::now(),
            places: HashMap::new(),
            looks: JoinSet::new(),
            running: HashMap::new(),
            progress: Progress::new(),
            scene,
            stamps: None,
        };
        rounds.complaints.in_use(&rounds.loaded.mistakes);
        rounds.add_those_without_file();
        rounds.set_scene();
        Ok(rounds)
    }

    /// Lets all looks be due, with the configuration as it is then.
    pub(super) fn wish(&self) -> Arc<Notify> {
        Arc::clone(&self.wish)
    }

    /// Once at each, or over and over.
    pub(super) async fn work(&mut self, duty: Duty) -> Attention {
        let mut attention = if self.complaints.has_mistakes() {
            Attention::Needed
        } else {
            Attention::NotNeeded
        };
        self.take_organisations(duty).await;
        if duty == Duty::Always
            && let Err(error) = self.keystore.accept_look_requests()
        {
            tracing::error!("no command can ask for a look: {error}");
        }
        let mut reading = Instant::now() + self.loaded.settings.keeper.check_every;
        loop {
            while let Some((organisation, place)) = self.agenda.begin(Instant::now()) {
                self.look(&organisation, place);
            }
            self.watch_lateness();
            if duty == Duty::Once && self.running.is_empty() {
                return attention;
            }
            let soon = match duty {
                Duty::Once => Instant::now() + LATENESS_EVERY,
                // A moment, not a while from now on: there may be no quiet while.
                Duty::Always => self.next_requests,
            };
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
                    self.take_organisations(duty).await;
                    self.agenda.all_due(Instant::now());
                    self.count_anew();
                    reading = Instant::now() + self.loaded.settings.keeper.check_every;
                }
                () = sleep_until(reading), if duty == Duty::Always => {
                    self.reload().await;
                    self.take_organisations(duty).await;
                    reading = Instant::now() + self.loaded.settings.keeper.check_every;
                }
                () = sleep_until(wake) => if duty == Duty::Always {
                    if self.has_other_files().await {
                        self.reload().await;
                        self.take_organisations(duty).await;
                    }
                    self.look_soon_at_other_keys().await;
                    self.look_soon_where_asked().await;
                },
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

    /// Those of the configuration. Of new ones, those in which something waits come first, the
    /// newest before the others, so that a keeper that was started again goes on where it was; those
    /// in which nothing waits are spread over half the time between two looks.
    async fn take_organisations(&mut self, duty: Duty) {
        if duty == Duty::Always {
            let _ = self.survey().await;
        }
        let organisations = &self.loaded.organisations;
        let ids = || organisations.iter().map(|one| &one.id);
        let cadence = &self.cadence;
        let mut ranked: Vec<&OrganisationId> = ids().collect();
        ranked.sort_by_cached_key(|id| cadence.rank(id));
        let count = u32::try_from(organisations.len().max(1)).unwrap_or(u32::MAX);
        let apart = self.loaded.settings.keeper.check_every / 2 / count;
        self.metrics.organisations(ids());
        let now = Instant::now();
        let (mut usual, mut waiting) = (now, now);
        self.agenda.set(ranked.into_iter(), |id| {
            if duty == Duty::Once {
                return (Priority::Usual, now);
            }
            let (priority, due, apart) = if cadence.is_pending(id) {
                let apart = Cadence::time_of(cadence.records(id));
                (Priority::Waiting, &mut waiting, apart)
            } else {
                (Priority::Usual, &mut usual, apart)
            };
            let first = *due;
            *due += apart;
            (priority, first)
        });
        self.places = ids().cloned().zip(0..).collect();
        let known: HashSet<&OrganisationId> = ids().collect();
        self.journal.retain(|id| known.contains(id));
        self.policies.retain(|id| known.contains(id));
        self.clocks.retain(|id, _| known.contains(id));
        self.cadence.retain(|id| known.contains(id));
        if self.progress.retain(|id| known.contains(id)) {
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

    /// Notes what waits in organisations that are new, or whose keys are others than before. Gives
    /// those in which nothing waited.
    async fn survey(&mut self) -> Vec<OrganisationId> {
        let mut survey = std::mem::take(&mut self.survey);
        let (keystore, timing) = (self.keystore.clone(), self.loaded.settings.timing());
        let organisations = self.loaded.organisations.clone();
        let begun = Instant::now();
        // There may be very many, and signals must be heard meanwhile.
        let read = move || {
            let read = survey.read(&keystore, &organisations, &timing);
            (survey, read)
        };
        let Ok((survey, read)) = spawn_blocking(read).await else {
            return Vec::new();
        };
        self.survey = survey;
        self.next_survey = Instant::now() + LATENESS_EVERY.max(begun.elapsed() * 20);
        let now = Timestamp::now();
        let mut new = Vec::new();
        for (id, pending) in read {
            if pending.is_some() && !self.cadence.is_pending(&id) {
                new.push(id.clone());
            }
            self.cadence.note(&id, pending, now);
        }
        new
    }

    /// Those in which something waits since someone else has changed their keys.
    async fn look_soon_at_other_keys(&mut self) {
        let mut now = Instant::now();
        if now < self.next_survey {
            return;
        }
        self.next_survey = now + LATENESS_EVERY;
        let keystore = self.keystore.clone();
        let generation = spawn_blocking(move || keystore.generation_stamp().ok());
        if generation.await.is_ok_and(|now| self.survey.is_of(now)) {
            return;
        }
        let mut new = self.survey().await;
        new.sort_by_cached_key(|id| self.cadence.rank(id));
        for id in new {
            self.agenda.hurry(&id, now);
            // An import brings very many: whoever comes after it does not wait for all of them.
            now += Cadence::time_of(self.cadence.records(&id));
        }
    }

    /// Those for which a command waits.
    async fn look_soon_where_asked(&mut self) {
        let now = Instant::now();
        if now < self.next_requests {
            return;
        }
        self.next_requests = now + REQUESTS_EVERY;
        let keystore = self.keystore.clone();
        let Ok(Ok(there)) = spawn_blocking(move || keystore.look_requests()).await else {
            return;
        };
        let places = &self.places;
        for id in self.requests.notice(there, |id| places.contains_key(id)) {
            self.agenda.hurry(&id, now);
        }
    }

    /// Lets those know who asked for a look, or lets them wait for the next one.
    fn answer(&mut self, requests: Vec<LookRequest>, ended: Ended) {
        if ended == Ended::TooSlow {
            return self.requests.put_back(requests);
        }
        for request in requests {
            let keystore = self.keystore.clone();
            // If its file can't be removed, the command says after a while that nobody answers.
            spawn_blocking(move || keystore.answer(&request));
        }
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
        let now = Instant::now();
        for changed in loaded.organisations.iter().filter(is_other) {
            self.agenda.hurry(&changed.id, now);
        }
    }

    fn count_anew(&mut self) {
        let ids = self.loaded.organisations.iter().map(|one| one.id.clone());
        self.progress.count_anew(ids);
    }

    /// Begins a look.
    fn look(&mut self, id: &OrganisationId, place: Place) {
        let begun = Instant::now();
        let number = self.places.get(id);
        // Always there: the agenda has no others.
        let Some(organisation) = number.and_then(|number| self.loaded.organisations.get(*number))
        else {
            self.agenda.ended(id, (place, begun), Ended::Over, None);
            return;
        };
        let organisation = Arc::clone(organisation);
        let clocks = self.clocks.entry(id.clone());
        let watch = clocks.or_insert_with(ClockWatch::new);
        let clock = *watch;
        let look = watch.look();
        let requests = self.requests.begin(id);
        let work = Work {
            organisation,
            claims: Arc::clone(&self.claims),
            timing: self.loaded.settings.timing(),
            look,
            round: self.round(place.priority),
            checker: Arc::clone(&self.checker),
            metrics: self.metrics.clone(),
            journal: Arc::clone(&self.journal),
            policies: Arc::clone(&self.policies),
            part: Arc::clone(&self.part),
            is_asked: !requests.is_empty(),
        };
        let task = self.looks.spawn(work.make(place.lane));
        let running = Running {
            organisation: id.clone(),
            place,
            begun,
            clock,
            requests,
        };
        self.running.insert(task.id(), running);
    }

    /// What is known of zones and servers, unless that has become old.
    fn round(&mut self, priority: Priority) -> Arc<Round> {
        let most = self.loaded.settings.keeper.check_every / 2;
        let (known, most) = match priority {
            Priority::Usual => (&mut self.round, most),
            Priority::Waiting => (&mut self.fresh, most.min(FRESH)),
        };
        if known.1.elapsed() >= most {
            *known = (Arc::new(self.observer.round()), Instant::now());
        }
        Arc::clone(&known.0)
    }

    fn ended(&mut self, result: Result<(task::Id, Done), JoinError>, duty: Duty) -> Attention {
        let (task, done) = match result {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!("a look broke off: {error}");
                (error.id(), Done::broken_off())
            }
        };
        let attention = done.attention;
        let Some(running) = self.running.remove(&task) else {
            return attention;
        };
        let Running {
            organisation: id,
            place,
            begun,
            clock,
            requests,
        } = running;
        self.answer(requests, done.ended);
        if done.ended == Ended::Over && self.places.contains_key(&id) {
            self.cadence.note(&id, done.pending, Timestamp::now());
        }
        let next = (duty == Duty::Always).then(|| self.next(&id, begun));
        self.agenda.ended(&id, (place, begun), done.ended, next);
        if done.ended != Ended::TooSlow {
            self.is_seen(&id);
        }
        if done.ended != Ended::Over {
            // What the clocks did since the look before has still to be taken into account.
            self.clocks.insert(id, clock);
        }
        attention
    }

    /// When the look after one that began then is due, and how urgent that is.
    fn next(&mut self, id: &OrganisationId, begun: Instant) -> (Priority, Instant) {
        let check_every = self.loaded.settings.keeper.check_every;
        let took = (begun.elapsed(), Timestamp::now());
        let priority = if self.cadence.is_pending(id) {
            Priority::Waiting
        } else {
            Priority::Usual
        };
        let interval = self.cadence.interval(id, check_every, took);
        (priority, begun + interval)
    }

    /// Tells when all have been looked at once more.
    fn is_seen(&mut self, id: &OrganisationId) {
        if self.progress.is_seen(id, self.loaded.organisations.len()) {
            self.count_anew();
        }
    }

    fn watch_lateness(&mut self) {
        let latest = self.agenda.latest(Instant::now());
        let check_every = self.loaded.settings.keeper.check_every;
        self.progress.watch(latest, check_every, &self.metrics);
    }

    /// Reads the configuration. If it can't be used, all stays as it was.
    async fn reload(&mut self) {
        let reader = Arc::clone(&self.reader);
        // Many files take long to read, and signals must be heard meanwhile.
        let keystore = self.keystore.clone();
        let read = move || read_anew(&reader, &keystore);
        match spawn_blocking(read).await {
            Ok(Ok((loaded, observer))) => self.take(loaded, observer),
            Ok(Err(problems)) => self.complaints.refused(&problems),
            Err(_) => {}
        }
    }

    fn take(&mut self, loaded: Loaded, observer: Observer) {
        self.round = (Arc::new(observer.round()), Instant::now());
        self.fresh = (Arc::new(observer.round()), Instant::now());
        self.observer = observer;
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
        self.claims = Arc::new(loaded.claims());
        self.part = Arc::new(RelayPart::of(&loaded.settings));
        self.loaded = loaded;
        self.complaints.in_use(&self.loaded.mistakes);
        self.add_those_without_file();
        self.set_scene();
    }

    /// What the hooks judge from now on.
    pub(super) fn scene(&self) -> watch::Receiver<Arc<Scene>> {
        self.scene.subscribe()
    }

    fn set_scene(&self) {
        let scene = scene(&self.loaded, &self.claims, &self.keystore);
        self.scene.send_replace(scene);
    }
}

fn scene(loaded: &Loaded, claims: &Arc<Claims>, keystore: &Keystore) -> Arc<Scene> {
    Arc::new(Scene {
        // What has keys and no file is gone, for whoever is told.
        organisations: loaded
            .organisations
            .iter()
            .filter(|one| !one.algorithms.is_empty())
            .cloned()
            .collect(),
        mistakes: loaded.mistakes.clone(),
        claims: Arc::clone(claims),
        timing: loaded.settings.timing(),
        settings: loaded.settings.hooks.clone(),
        hidden: loaded.settings.hidden(keystore),
        reports: loaded.settings.reports.clone(),
        thresholds: loaded.settings.dmarc,
        reports_to: loaded.settings.report_address().map(str::to_owned),
        relays: loaded.settings.keeper.relay_addresses.clone(),
    })
}

/// The configuration as it is now, whose sealing keys are in use from now on; or why it can't be
/// used, and all stays as it was.
fn read_anew(reader: &Mutex<Reader>, keystore: &Keystore) -> Result<(Loaded, Observer), String> {
    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = reader.load().map_err(|problems| problems.to_string())?;
    // Anew each time: /etc/resolv.conf may have changed.
    let observer = Observer::with_settings(&loaded.settings.keeper);
    let observer = observer.map_err(|error| format!("keeper.resolvers: {error}"))?;
    keystore
        .exchange_sealing_keys(&loaded.settings.sealing_keys)
        .map_err(|error| error.to_string())?;
    Ok((loaded, observer))
}
