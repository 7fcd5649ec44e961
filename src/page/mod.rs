//! The status page: every organisation with its keys, what comes next for them, what the DNS
//! showed and how much was signed; and for each organisation what is handed over to its DNS
//! administrator. HTML without scripts; nothing can be changed by it.
//!
//! ```text
//! snapshot, keyrings ──> Overview (standings) ──> list (search, sort, part) ──> html
//! metrics ──every minute──> History (24 hours) ──> plot ────────────────────────┘
//! ```
//!
//! Nothing here is on the way of a message: a page is written on a thread of its own, one at
//! a time ([`crate::http`]), and the counters are only read.
//!
//! SECURITY: shows the ids and names of organisations, their domains, public keys, what the DNS
//! shows, who sends by DMARC reports (networks, no addresses), and which file of a key can't be used;
//! never a private key, a login or a network that the configuration names. Reads
//! private keys for their public halves. All text is escaped by the one module that writes HTML.

mod history;
mod html;
mod list;
mod overview;
mod past;
mod plot;
mod request;
mod standing;
mod words;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use self::{
    history::History,
    overview::{Overview, Row},
    past::{Past, Senders},
    request::Place,
    standing::Standing,
};
use crate::{
    config::{SendersBelow, situation},
    handover::{Handover, Pack, Scope, needs_public_key},
    judgement::{self, Judgement, Told},
    keys::{Keyring, Lead, Timing},
    keystore::{Keystore, Sightings},
    observe::{metrics::Metrics, status::SignerFacts},
    organisation::Organisation,
    snapshot::{Snapshot, SnapshotHolder},
    words::Level,
};

/// How often the counters are read for the plots.
const SAMPLE_EVERY: Duration = Duration::from_mins(1);

/// The status page of a signer. A clone shows the same.
#[derive(Clone)]
pub struct Page(Arc<Inner>);

struct Inner {
    snapshots: SnapshotHolder,
    metrics: Metrics,
    history: History,
    overview: Mutex<Overview>,
    past: Past,
    started: Timestamp,
}

/// How things stand with organisations that are not well, and what the signer knows of any beyond
/// their keyrings; by their ids.
pub type Judgements = (BTreeMap<String, Told>, BTreeMap<String, SignerFacts>);

/// What a page is made of, at one moment.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    /// Who has been seen to send without a key, also before this process began.
    senders: Senders,
    now: Timestamp,
}

/// One organisation as its page shows it.
struct Subject<'a> {
    snapshot: &'a Snapshot,
    organisation: &'a Organisation,
    judgement: Judgement,
    /// Or why it can't be read.
    keyring: Result<Keyring, String>,
    /// Where the names of its keys were seen to lead.
    leads: Vec<Lead>,
    /// Or why there is none.
    pack: Result<Pack, String>,
}

impl Page {
    /// The page of what these snapshots, keyrings and counters tell.
    pub fn new(snapshots: SnapshotHolder, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            snapshots,
            metrics,
            history: History::default(),
            overview: Mutex::default(),
            past: Past::default(),
            started: Timestamp::now(),
        }))
    }

    /// Keeps the numbers of the last 24 hours, and how many organisations stand how, for as long
    /// as it is awaited.
    pub async fn keep_history(self) {
        loop {
            let page = self.clone();
            let look = move || {
                page.0.sample(Timestamp::now());
                page.count_levels();
            };
            // An error is a panic, which has been logged; the next minute is another one.
            let _ = tokio::task::spawn_blocking(look).await;
            tokio::time::sleep(SAMPLE_EVERY).await;
        }
    }

    /// Counts how all organisations stand, for the metrics. Reads what has changed.
    pub fn count_levels(&self) {
        self.0.count_levels(Timestamp::now());
    }

    /// How things stand, by organisation, of those that are not well; and what this signer knows
    /// of organisations beyond their keyrings. Reads files, as the pages do.
    pub fn judgements(&self) -> Judgements {
        let inner = &self.0;
        let snapshot = inner.snapshots.current();
        let scene = inner.scene(&snapshot, Timestamp::now());
        let mut overview = inner
            .overview
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        overview.refresh(&snapshot);
        let mut all = Judgements::default();
        for row in overview.rows() {
            let judgement = inner.judge_row(row, &scene);
            inner.tell(&mut all, &scene, &row.organisation, &judgement);
        }
        all
    }

    /// The same of these only. Reads their keyrings.
    pub fn judgements_of<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Judgements {
        let inner = &self.0;
        let snapshot = inner.snapshots.current();
        let scene = inner.scene(&snapshot, Timestamp::now());
        let mut some = Judgements::default();
        for organisation in ids.filter_map(|id| find(&snapshot, id)) {
            let keyring = read_keyring(&snapshot, organisation);
            let judgement = inner.judge(&scene, organisation, &keyring);
            inner.tell(&mut some, &scene, organisation, &judgement);
        }
        some
    }

    /// Whether a path leads to one of these pages, though the organisation may be unknown.
    pub fn has(path: &str) -> bool {
        request::place(path).is_some() || path.starts_with("/org/")
    }

    /// The answer for a path such as `/` or `/org/ID`, and the text after the question mark,
    /// which may be empty. Reads files: not for a thread that others wait for.
    pub fn answer(&self, path: &str, query: &str) -> Answer {
        match request::place(path) {
            Some(Place::Style) => found("text/css; charset=utf-8", html::STYLE.to_owned()),
            Some(Place::Seal) => found("image/svg+xml", html::SEAL.to_owned()),
            Some(Place::All) => found(HTML, self.0.all(query)),
            Some(Place::One(id)) => self.0.one(id, query),
            Some(Place::Stream(id)) => self.0.stream(id, query),
            Some(Place::Pack(id, format)) => self.0.pack(id, format, query),
            None => not_found(),
        }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Page").finish_non_exhaustive()
    }
}

/// A page as it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Whether there is such a page; if not, `body` says so.
    pub found: bool,
    /// The media type.
    pub content_type: &'static str,
    /// The page.
    pub body: String,
}

const HTML: &str = "text/html; charset=utf-8";

fn found(content_type: &'static str, body: String) -> Answer {
    Answer {
        found: true,
        content_type,
        body,
    }
}

fn not_found() -> Answer {
    Answer {
        found: false,
        content_type: HTML,
        body: html::not_found(),
    }
}

impl Inner {
    fn sample(&self, now: Timestamp) {
        self.history.sample(now, || self.metrics.totals());
    }

    fn count_levels(&self, now: Timestamp) {
        let snapshot = self.snapshots.current();
        let scene = self.scene(&snapshot, now);
        let mut overview = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        overview.refresh(&snapshot);
        let mut numbers = [0; Level::ALL.len()];
        for row in overview.rows() {
            let level = self.judge_row(row, &scene).level;
            numbers[level as usize] += 1;
        }
        self.metrics.levels(&numbers);
    }

    fn all(&self, query: &str) -> String {
        let now = Timestamp::now();
        // What has come since the last minute is shown too.
        self.sample(now);
        let snapshot = self.snapshots.current();
        let wish = request::Wish::parse(query);
        let mut overview = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        overview.refresh(&snapshot);
        let days = self.history.days(now);
        let scene = self.scene(&snapshot, now);
        let judge = |row: &Row| self.judge_row(row, &scene);
        let part = list::select(&overview, &days, &wish, judge);
        html::all(&html::All {
            part: &part,
            wish: &wish,
            sum: &history::sum(days.values()),
            snapshot: &snapshot,
            started: self.started,
            now,
        })
    }

    fn one(&self, id: &str, query: &str) -> Answer {
        let now = Timestamp::now();
        self.sample(now);
        let snapshot = self.snapshots.current();
        let Some(organisation) = find(&snapshot, id) else {
            return not_found();
        };
        let keyring = read_keyring(&snapshot, organisation);
        let subject = Subject {
            snapshot: &snapshot,
            organisation,
            judgement: self.judge(&self.scene(&snapshot, now), organisation, &keyring),
            keyring,
            leads: read_sightings(&snapshot, organisation).leads,
            pack: pack_of(&snapshot, organisation, now),
        };
        let day = self.history.day(&organisation.id, now);
        let reasons = self.metrics.reasons(&organisation.id);
        // Without a keystore nothing was counted; why there is none is said above.
        let past = snapshot.keystore().map_or(Ok(None), |keystore| {
            self.past.of(keystore, &organisation.id, now)
        });
        // What can't be read is written anew within the hour.
        let senders = snapshot
            .keystore()
            .map(|keystore| keystore.senders(&organisation.id));
        let senders = senders.and_then(Result::ok).unwrap_or_default();
        let page = html::one(&html::One {
            subject: &subject,
            language: request::language(query).unwrap_or(organisation.language),
            day: &day,
            reasons: &reasons,
            past: past.as_ref().map(Option::as_ref).map_err(String::as_str),
            senders: &senders,
            started: self.started,
            now,
        });
        found(HTML, page)
    }

    /// The page of a stream, as the keeper last found it.
    fn stream(&self, id: &str, query: &str) -> Answer {
        let snapshot = self.snapshots.current();
        let (Some(organisation), Some((domain, stream))) =
            (find(&snapshot, id), request::stream(query))
        else {
            return not_found();
        };
        let Some(keystore) = snapshot.keystore() else {
            return not_found();
        };
        let senders = keystore.senders(&organisation.id).unwrap_or_default();
        let pages = keystore.stream_pages(&organisation.id).unwrap_or_default();
        let of_domain = senders.domains.get_key_value(domain.as_str());
        let mut streams = pages.domains.get(domain.as_str()).into_iter().flatten();
        let stream = streams.find(|one| one.stream.id == stream);
        let (Some((domain, senders)), Some(stream)) = (of_domain, stream) else {
            return not_found();
        };
        let page = html::one_stream(&html::OneStream {
            organisation,
            domain,
            found: senders,
            stream,
        });
        found(HTML, page)
    }

    /// Adds what is to be said of an organisation, if anything is.
    fn tell(
        &self,
        (judgements, facts): &mut Judgements,
        scene: &Scene<'_>,
        organisation: &Organisation,
        judgement: &Judgement,
    ) {
        let id = &organisation.id;
        let known = self.facts(scene, organisation);
        if known != SignerFacts::default() {
            facts.insert(id.to_string(), known);
        }
        if judgement.level != Level::Well {
            judgements.insert(id.to_string(), judgement.told(id));
        }
    }

    fn scene<'a>(&self, snapshot: &'a Snapshot, now: Timestamp) -> Scene<'a> {
        let keystore = snapshot.keystore();
        let senders = keystore.map(|keystore| self.past.senders_without_key(keystore, now));
        Scene {
            snapshot,
            senders: senders.unwrap_or_default(),
            now,
        }
    }

    /// What this signer knows of an organisation, and what is kept of its mail from before.
    fn facts(&self, scene: &Scene<'_>, organisation: &Organisation) -> SignerFacts {
        let mut facts = judgement::facts(organisation, scene.snapshot, &self.metrics);
        facts.sends_without_key |= scene.senders.contains(organisation.id.as_str());
        facts
    }

    fn judge_row(&self, row: &Row, scene: &Scene<'_>) -> Judgement {
        let standing = &row.standing;
        let known = (standing.judgement.clone(), standing.checked);
        let timing = scene.snapshot.settings().timing();
        self.heard(known, scene, &row.organisation, &timing)
    }

    /// How an organisation stands, as the list has it.
    fn judge(
        &self,
        scene: &Scene<'_>,
        organisation: &Organisation,
        keyring: &Result<Keyring, String>,
    ) -> Judgement {
        let (snapshot, now) = (scene.snapshot, scene.now);
        let timing = snapshot.settings().timing();
        let standing = match keyring {
            Ok(keyring) => {
                let by_files = snapshot.by_files(organisation);
                let away = snapshot.away(&by_files, keyring);
                let sightings = read_sightings(snapshot, organisation);
                let situation =
                    situation(&by_files, keyring, &away, &timing).seen(&sightings.leads);
                Standing::of(&situation, by_files.policy, now).saw(&by_files, &sightings)
            }
            Err(problem) => Standing::unknown(problem),
        };
        let known = (standing.judgement, standing.checked);
        self.heard(known, scene, organisation, &timing)
    }

    /// With what this signer knows, and the time.
    fn heard(
        &self,
        (judgement, checked): (Judgement, Option<Timestamp>),
        scene: &Scene<'_>,
        organisation: &Organisation,
        timing: &Timing,
    ) -> Judgement {
        let facts = self.facts(scene, organisation);
        judgement
            .heard(organisation, &facts)
            .looked(checked, timing.check_every, scene.now)
    }

    fn pack(&self, id: &str, format: request::PackFormat, query: &str) -> Answer {
        let snapshot = self.snapshots.current();
        let Some(organisation) = find(&snapshot, id) else {
            return not_found();
        };
        let language = request::language(query).unwrap_or(organisation.language);
        match pack_of(&snapshot, organisation, Timestamp::now()) {
            Ok(pack) => found(
                format.content_type(),
                pack.render(format.format(), language),
            ),
            Err(reason) => Answer {
                found: false,
                content_type: "text/plain; charset=utf-8",
                body: format!("{reason}\n"),
            },
        }
    }
}

fn pack_of(
    snapshot: &Snapshot,
    organisation: &Organisation,
    now: Timestamp,
) -> Result<Pack, String> {
    let keys = keystore(snapshot)?.read_public_keys(&organisation.id, needs_public_key);
    let keys = keys.map_err(|error| error.to_string())?;
    let mistakes = &snapshot.loaded().mistakes;
    let below = SendersBelow::of_one(organisation, snapshot.organisations(), mistakes);
    Handover::new(
        &snapshot.by_files(organisation),
        &below,
        &keys,
        snapshot.settings(),
        now,
    )
    .pack(&Scope::default())
    .map_err(|error| error.to_string())
}

fn read_keyring(snapshot: &Snapshot, organisation: &Organisation) -> Result<Keyring, String> {
    let keyring = keystore(snapshot)?.read_keyring(&organisation.id);
    keyring.map_err(|error| error.to_string())
}

/// What the keeper saw beside the keys; nothing if that can't be read.
fn read_sightings(snapshot: &Snapshot, organisation: &Organisation) -> Sightings {
    let keystore = snapshot.keystore();
    let read = keystore.and_then(|keystore| keystore.sightings(&organisation.id).ok());
    read.unwrap_or_default()
}

/// Where the keys of the snapshot are, or why nobody can tell.
fn keystore(snapshot: &Snapshot) -> Result<&Keystore, String> {
    let missing = || "the keystore can't be read yet: /health/ready says why".to_owned();
    snapshot.keystore().ok_or_else(missing)
}

fn find<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Organisation> {
    // They are in the order of their files, and behind them those whose file is lost.
    let mut organisations = snapshot.organisations().iter();
    let found = organisations.find(|one| one.id.as_str() == id);
    found.map(AsRef::as_ref)
}

#[cfg(test)]
mod tests;
