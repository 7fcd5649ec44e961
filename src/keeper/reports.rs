//! Looks at the store of DMARC reports, for the metrics and for `zegel status`: what was read,
//! what was refused, and until when the reports about each domain tell; and for the status page,
//! which the signer serves, who sends in the names of the domains.
//!
//! It works beside the rounds, which never wait for it. Only the command `zegel report ingest`
//! reads reports; here, nothing but its store is opened, and only for reading.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    hooks::Scene,
    passed::OfKeys,
    sorting::{Found, sort},
};
use crate::{
    evidence::{Store, StoreError},
    keys::LastPassed,
    keystore::Keystore,
    observe::{
        metrics::keeper::KeeperMetrics,
        status::{LatestReport, ReportFigures},
    },
};

/// From one look to the next.
const EVERY: Duration = Duration::from_mins(1);
/// From one finding out who sends to the next.
const SORT_EVERY: Duration = Duration::from_hours(1);
/// The least time from one finding out to the next, where new reports have come.
const SORT_APART: Duration = Duration::from_mins(5);
/// So long a drain may wait for what receivers report; a disk that hangs holds no key.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the look needs.
pub(super) struct Watch {
    pub(super) scene: watch::Receiver<Arc<Scene>>,
    pub(super) keystore: Keystore,
    pub(super) metrics: KeeperMetrics,
    /// What receivers report of keys.
    pub(super) passed: watch::Sender<Option<Arc<LastPassed>>>,
    /// Grows when DMARC records are seen to be others.
    pub(super) records: Arc<AtomicU64>,
}

impl Watch {
    /// Looks every minute, until it is dropped.
    pub(super) async fn work(self) {
        let Self {
            scene,
            keystore,
            metrics,
            passed,
            records,
        } = self;
        let mut known: Option<ReportFigures> = None;
        let mut sorted: Option<(Instant, Option<Counts>, u64)> = None;
        let mut found = Found::default();
        look_for_passed(&scene, &keystore, &passed).await;
        loop {
            let now = Arc::clone(&scene.borrow());
            let looked = aside(move || look(&now)).await;
            take(&mut known, looked);
            tell(&metrics, known.as_ref(), &found);
            let counts = known.as_ref().map(counts);
            let seen = records.load(Ordering::Relaxed);
            let is_due = sorted.as_ref().is_none_or(|(when, then, records)| {
                let elapsed = when.elapsed();
                let has_news = *then != counts || *records != seen || !found.is_whole;
                elapsed >= SORT_EVERY || (elapsed >= SORT_APART && has_news)
            });
            if is_due {
                if sorted.is_some() {
                    look_for_passed(&scene, &keystore, &passed).await;
                }
                sorted = Some((Instant::now(), counts, seen));
                let (now, keystore) = (Arc::clone(&scene.borrow()), keystore.clone());
                match aside(move || sort(&now, &keystore)).await {
                    Some(Ok(now)) => {
                        found = now.after(found);
                        let now = Timestamp::now().as_second();
                        metrics.domains(found.domains.clone(), now);
                    }
                    Some(Err(error)) => {
                        tracing::warn!(
                            "who sends in the names of the domains is not known: {error}"
                        );
                    }
                    None => {}
                }
                tell(&metrics, known.as_ref(), &found);
            }
            sleep(EVERY).await;
        }
    }
}

/// What was seen of the store, with what the last sorting found.
fn tell(metrics: &KeeperMetrics, known: Option<&ReportFigures>, found: &Found) {
    let figures = known.map(|known| ReportFigures {
        unknown_selectors: found.unknown.clone(),
        weaker_selectors: found.weaker.clone(),
        replayed_selectors: found.replayed.clone(),
        ..known.clone()
    });
    metrics.reports(figures);
}

/// By which it is known that reports came or went.
type Counts = (BTreeMap<String, u64>, Vec<LatestReport>);

fn counts(figures: &ReportFigures) -> Counts {
    (figures.outcomes.clone(), figures.latest.clone())
}

/// Finds out what receivers report of keys, for as long as the rounds may wait for it; if that is
/// over before it is known, what was known before holds.
pub(super) async fn look_for_passed(
    scene: &watch::Receiver<Arc<Scene>>,
    keystore: &Keystore,
    passed: &watch::Sender<Option<Arc<LastPassed>>>,
) {
    let (scene, keystore) = (Arc::clone(&scene.borrow()), keystore.clone());
    let looking = aside(move || {
        let keys = OfKeys {
            organisations: &scene.organisations,
            keystore: &keystore,
            settings: &scene.reports,
        };
        keys.last_passed()
    });
    let found = timeout(PATIENCE, looking).await.ok().flatten().flatten();
    // What was known before ages by itself.
    let before = passed.borrow().clone();
    passed.send_replace(
        found
            .map(Arc::new)
            .or(before)
            .or_else(|| Some(Arc::default())),
    );
}

/// Works on a thread that nobody waits for at the end: what it writes is written whole. None after
/// a panic, which has been logged, or without a thread; the next time is another one.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // Nobody may be waiting any more.
        let _ = done.send(work());
    };
    thread::Builder::new()
        .name("reports".to_owned())
        .spawn(work)
        .ok()?;
    result.await.ok()
}

fn take(
    known: &mut Option<ReportFigures>,
    looked: Option<Result<Option<ReportFigures>, StoreError>>,
) {
    match looked {
        Some(Ok(figures)) => {
            if known.as_ref().is_some_and(|known| known.problem.is_some()) {
                tracing::info!("the store of reports can be read again");
            }
            *known = figures;
        }
        Some(Err(error)) => {
            let problem = Some(error.to_string());
            let figures = known.get_or_insert_default();
            if figures.problem != problem {
                tracing::warn!("the store of reports can't be read: {error}");
            }
            figures.problem = problem;
        }
        None => {}
    }
}

/// None if there is no store.
fn look(scene: &Scene) -> Result<Option<ReportFigures>, StoreError> {
    let Some(store) = Store::read(&scene.reports.state)? else {
        return Ok(None);
    };
    let numbers = store.numbers()?;
    Ok(Some(ReportFigures {
        outcomes: numbers.outcomes,
        refusals: numbers.refusals,
        store_bytes: numbers.octets,
        latest: latest(scene, &numbers.latest),
        // Sorting finds them.
        unknown_selectors: Vec::new(),
        weaker_selectors: Vec::new(),
        replayed_selectors: Vec::new(),
        problem: None,
    }))
}

/// Of the domains of organisations. Reports about names below them count for nobody here.
fn latest(scene: &Scene, ends: &BTreeMap<String, i64>) -> Vec<LatestReport> {
    let organisations = scene.organisations.iter();
    let domains = organisations.flat_map(|one| {
        let domains = one.domains.iter().chain(&one.parked);
        domains.map(move |domain| (&one.id, domain))
    });
    let known = domains.filter_map(|(organisation, domain)| {
        let end = ends.get(domain.as_str())?;
        Some(LatestReport {
            organisation: organisation.to_string(),
            domain: domain.to_string(),
            end: u64::try_from(*end).unwrap_or_default(),
        })
    });
    known.collect()
}
