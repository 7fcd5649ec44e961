//! Tells the operator's program of each change of how an organisation stands: at least once, and
//! in order for each organisation.
//!
//! ```text
//! keyring, sightings, what signers say ──> judgement ──> news since the last time
//!                                              ──> queue on disk ──> program
//! ```
//!
//! Beside the rounds, which never wait for it.

mod queue;
mod runner;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{JoinSet, block_in_place, spawn_blocking},
    time::{Instant, sleep},
};

use self::{
    queue::Queue,
    runner::{Job, Refused, Runner},
};
use super::collect::Facts;
use crate::{
    config::{Claims, HookSettings, Mistakes, ReportSettings, situation},
    judgement::{Heard, Judgement},
    keys::Timing,
    keystore::{KeyringStamp, Keystore, KeystoreError, SightingsStamp, View},
    ladder::Thresholds,
    names::OrganisationId,
    observe::status::SignerFacts,
    organisation::Organisation,
};

/// From one look at the files of the keystore to the next.
const EVERY: Duration = Duration::from_secs(2);
/// So long what is known is believed, though no file has changed: some things come with time.
const ANEW: Duration = Duration::from_mins(10);
/// How many organisations are told of at the same time.
const AT_ONCE: usize = 4;
/// The first wait after a program has failed; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What is judged, as the configuration says now.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) organisations: Vec<Arc<Organisation>>,
    pub(super) claims: Arc<Claims>,
    pub(super) timing: Timing,
    pub(super) mistakes: Mistakes,
    pub(super) settings: HookSettings,
    /// What the program can't reach.
    pub(super) hidden: Vec<PathBuf>,
    /// Where DMARC reports are kept, and which of them count.
    pub(super) reports: ReportSettings,
    /// The numbers of the ladder.
    pub(super) thresholds: Thresholds,
    /// Where they are to go.
    pub(super) reports_to: Option<String>,
    /// The addresses of our relays.
    pub(super) relays: Vec<IpAddr>,
}

/// What is known of one organisation.
#[derive(Debug, Default)]
struct Known {
    queue: Queue,
    judged: Option<Judged>,
    /// After a failure: when the program is tried again, and how long that wait is.
    wait: Option<(Instant, Duration)>,
    is_told: bool,
}

/// What was judged, of which files, and when.
#[derive(Debug)]
struct Judged {
    organisation: Arc<Organisation>,
    keyring: KeyringStamp,
    sightings: SightingsStamp,
    facts: SignerFacts,
    at: Instant,
}

/// Sees what is new, and tells it.
pub(super) struct Hooks {
    keystore: Keystore,
    scene: watch::Receiver<Arc<Scene>>,
    facts: watch::Receiver<Facts>,
    known: HashMap<OrganisationId, Known>,
    /// Whether what was told before has been read.
    has_begun: bool,
    /// What was last said, so that it is said once.
    complaint: Option<String>,
    runner: Option<Runner>,
    telling: JoinSet<Told>,
}

/// What became of a document.
struct Told {
    id: OrganisationId,
    number: u64,
    result: Result<(), Refused>,
}

impl Hooks {
    pub(super) fn new(
        keystore: Keystore,
        scene: watch::Receiver<Arc<Scene>>,
        facts: watch::Receiver<Facts>,
    ) -> Self {
        Self {
            keystore,
            scene,
            facts,
            known: HashMap::new(),
            has_begun: false,
            complaint: None,
            runner: None,
            telling: JoinSet::new(),
        }
    }

    /// Works until it is dropped.
    pub(super) async fn work(mut self) {
        loop {
            let scene = Arc::clone(&self.scene.borrow_and_update());
            if scene.settings.command.is_empty() {
                if self.scene.changed().await.is_err() {
                    return;
                }
                continue;
            }
            // Without what the signers say, what they said before would seem to be over.
            if self.facts.wait_for(Facts::is_some).await.is_err() {
                return;
            }
            let begun = Instant::now();
            let sees = Arc::clone(&scene);
            self = match spawn_blocking(move || self.see(&sees)).await {
                Ok(hooks) => hooks,
                Err(error) => return tracing::error!("hooks: {error}"),
            };
            self.tell(&scene);
            // Looking at very many files takes a small part of the time.
            let next = Instant::now() + EVERY.max(begun.elapsed() * 20);
            while Instant::now() < next {
                tokio::select! {
                    () = sleep(next.duration_since(Instant::now())) => {}
                    changed = self.scene.changed() => if changed.is_err() {
                        return;
                    } else {
                        break;
                    },
                    Some(Ok(told)) = self.telling.join_next() => {
                        self.told(told);
                        self.tell(&scene);
                    }
                }
            }
        }
    }

    /// Puts what is new into the queues. Blocks.
    fn see(mut self, scene: &Scene) -> Self {
        let complaint = self.see_all(scene).err().map(|error| error.to_string());
        if let (Some(error), true) = (&complaint, complaint != self.complaint) {
            tracing::warn!("hooks: {error}");
        }
        self.complaint = complaint;
        self
    }

    fn see_all(&mut self, scene: &Scene) -> Result<(), KeystoreError> {
        let view = self.keystore.view()?;
        let facts = self.facts.borrow().clone().unwrap_or_default();
        let facts = |one: &Organisation| facts.get(one.id.as_str()).cloned().unwrap_or_default();
        if !self.has_begun {
            self.begin(scene, &view, facts)?;
            self.has_begun = true;
        }
        // One that can't be written holds up no other, and is tried again.
        let mut result = Ok(());
        for organisation in &scene.organisations {
            result = result.and(self.see_one(organisation, scene, &view, facts(organisation)));
        }
        let ids: HashSet<&OrganisationId> = scene.organisations.iter().map(|one| &one.id).collect();
        for (id, known) in &mut self.known {
            // Of one whose file has mistakes nobody knows.
            if ids.contains(id) || scene.mistakes.of(id.as_str()).is_some() {
                continue;
            }
            if let Some(queue) = known.queue.with_end(id, Timestamp::now()) {
                let kept = queue.keep(&self.keystore, id);
                if kept.is_ok() {
                    known.queue = queue;
                    known.judged = None;
                }
                result = result.and(kept);
            }
        }
        result
    }

    /// Reads what was told before. The very first time, how things stand already is no news.
    fn begin(
        &mut self,
        scene: &Scene,
        view: &View,
        facts: impl Fn(&Organisation) -> SignerFacts,
    ) -> Result<(), KeystoreError> {
        let Some(ids) = self.keystore.hooks()? else {
            for organisation in &scene.organisations {
                let facts = facts(organisation);
                let (heard, _) = judge(organisation, scene, view, (&facts, &Heard::default()));
                let queue = Queue::silent(heard);
                queue.keep(&self.keystore, &organisation.id)?;
                self.known(&organisation.id).queue = queue;
            }
            return self.keystore.begin_hooks();
        };
        for id in ids {
            // One that can't be read harms no other: what it said is told anew.
            let queue = Queue::read(&self.keystore, &id).unwrap_or_else(|error| {
                tracing::warn!("hooks: {error}");
                Queue::lost()
            });
            self.known(&id).queue = queue;
        }
        Ok(())
    }

    fn known(&mut self, id: &OrganisationId) -> &mut Known {
        self.known.entry(id.clone()).or_default()
    }

    fn see_one(
        &mut self,
        organisation: &Arc<Organisation>,
        scene: &Scene,
        view: &View,
        facts: SignerFacts,
    ) -> Result<(), KeystoreError> {
        let id = &organisation.id;
        let known = self.known.entry(id.clone()).or_default();
        let is_judged = known.judged.as_ref().is_some_and(|judged| {
            Arc::ptr_eq(&judged.organisation, organisation)
                && judged.at.elapsed() < ANEW
                && judged.facts == facts
                && view.is_unchanged(id, &judged.keyring)
                && view.has_same_sightings(id, &judged.sightings)
        });
        if is_judged {
            return Ok(());
        }
        let heard_before = known.queue.heard();
        let (heard, stamps) = judge(organisation, scene, view, (&facts, heard_before));
        if let Some(queue) = known.queue.with_news(&heard, id, Timestamp::now()) {
            queue.keep(&self.keystore, id)?;
            known.queue = queue;
        }
        known.judged = stamps.map(|(keyring, sightings)| Judged {
            organisation: Arc::clone(organisation),
            keyring,
            sightings,
            facts,
            at: Instant::now(),
        });
        Ok(())
    }

    /// Hands over the first document of each queue, a few at a time.
    fn tell(&mut self, scene: &Scene) {
        let runner = self
            .runner
            .get_or_insert_with(|| Runner::new(scene.hidden.clone()));
        let now = Instant::now();
        for (id, known) in &mut self.known {
            if self.telling.len() >= AT_ONCE {
                return;
            }
            let waits = known.wait.is_some_and(|(until, _)| now < until);
            let Some(news) = known.queue.first().filter(|_| !known.is_told && !waits) else {
                continue;
            };
            let Ok(mut document) = serde_json::to_vec(news) else {
                continue;
            };
            document.push(b'\n');
            let job = Job {
                command: scene.settings.command.clone(),
                timeout: scene.settings.timeout,
                document,
            };
            let (id, number, running) = (id.clone(), news.number, runner.run(job));
            known.is_told = true;
            self.telling.spawn(async move {
                let result = running.await;
                Told { id, number, result }
            });
        }
    }

    /// A document was taken, or not.
    fn told(&mut self, told: Told) {
        let Told { id, number, result } = told;
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        known.is_told = false;
        let refused = result.and_then(|()| {
            let queue = known.queue.without(number);
            block_in_place(|| queue.keep(&self.keystore, &id))
                .map_err(|error| error.to_string())?;
            known.queue = queue;
            Ok(())
        });
        match refused {
            Ok(()) => known.wait = None,
            Err(error) => {
                let wait = known.wait.map_or(FIRST_WAIT, |(_, wait)| wait * 2);
                let wait = wait.min(LONGEST_WAIT);
                known.wait = Some((Instant::now() + wait, wait));
                let seconds = wait.as_secs();
                let id = id.as_str();
                tracing::warn!(
                    organisation = id,
                    number,
                    "hooks.command did not take a document, and gets it again in {seconds} s: {error}"
                );
            }
        }
    }
}

/// How an organisation stands by its files and what signers know of it, and the stamps of the
/// files; its keys as before if nobody can tell.
fn judge(
    organisation: &Organisation,
    scene: &Scene,
    view: &View,
    (facts, before): (&SignerFacts, &Heard),
) -> (Heard, Option<(KeyringStamp, SightingsStamp)>) {
    let id = &organisation.id;
    let (keyring, stamp) = match view.read_keyring(id) {
        Ok(read) => read,
        Err(error) => {
            let judgement = Judgement::unreadable(&error.to_string());
            let judgement = judgement.heard(organisation, facts);
            return (Heard::unreadable(id, &judgement, before), None);
        }
    };
    // What can't be read says nothing.
    let (sightings, seen) = view.sightings(id).unwrap_or_default();
    let away = scene.claims.away(organisation, &keyring);
    let situation = situation(organisation, &keyring, &away, &scene.timing);
    let situation = situation.seen(&sightings.leads);
    let judgement = Judgement::of(&situation, organisation.policy, Timestamp::now());
    let judgement = judgement
        .saw(organisation, &sightings)
        .heard(organisation, facts);
    (Heard::now(id, &judgement, &keyring), stamp.zip(seen))
}
