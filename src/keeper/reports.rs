//! Looks at the store of DMARC reports, for the metrics and for `zegel status`: what was read,
//! what was refused, and until when the reports about each domain tell; and for the status page,
//! which the signer serves, who sends in the names of the domains.
//!
//! It works beside the rounds, which never wait for it. Only the command `zegel report ingest`
//! reads reports; here, nothing but its store is opened, and only for reading.

use std::{
    collections::{BTreeMap, HashSet},
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
    climbing::climbing,
    hooks::Scene,
    passed::{MOST_FACTS, OfKeys},
    shown::{bound, page, selectors, shown},
};
use crate::{
    evidence::{Store, StoreError, rollup::DAY, streams::Window},
    keys::LastPassed,
    keystore::{Keystore, Senders, SendersOf, Sightings, StreamPage, StreamPages},
    names::{DomainName, OrganisationId},
    observe::{
        metrics::keeper::KeeperMetrics,
        status::{LatestReport, ReportFigures, UnknownSelectors, WeakerSelector},
    },
    organisation::Organisation,
    sending::{self, Ours, SendingError, Weaker, date},
};

/// From one look to the next.
const EVERY: Duration = Duration::from_mins(1);
/// From one finding out who sends to the next.
const SORT_EVERY: Duration = Duration::from_hours(1);
/// Those days count: eight weeks.
const DAYS: i32 = 56;
/// So many streams of a domain are shown.
const SHOWN: usize = 10;
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
                    Some(Ok(now)) => found = now.after(found),
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

/// What sorting finds.
#[derive(Default)]
struct Found {
    /// Where keys sign that nobody knows.
    unknown: Vec<UnknownSelectors>,
    /// New keys whose mail passes less often than that of the ones before.
    weaker: Vec<WeakerSelector>,
    /// Domains of which nobody could tell.
    failed: Vec<String>,
    /// Whether the keeper has seen the records of all domains that are reported about.
    is_whole: bool,
}

impl Found {
    /// An alarm stays where nobody can tell: a flood of mail must not end it.
    fn after(mut self, before: Self) -> Self {
        let stays = before.unknown.into_iter();
        let stays = stays.filter(|one| self.failed.contains(&one.domain));
        self.unknown.extend(stays);
        let stays = before.weaker.into_iter();
        let stays = stays.filter(|one| self.failed.contains(&one.domain));
        self.weaker.extend(stays);
        self
    }
}

/// Finds out who sends, and keeps it for the page. What is wrong with one domain or organisation is
/// told, and the others go on.
fn sort(scene: &Scene, keystore: &Keystore) -> Result<Found, SendingError> {
    let store = Store::read(&scene.reports.state)?;
    let with_reports = store.as_ref().map(Store::numbers).transpose()?;
    let with_reports = with_reports.unwrap_or_default().latest;
    let organisations = &scene.organisations;
    let ours = Ours::new(
        organisations,
        Some(keystore),
        &scene.relays,
        &scene.reports,
        MOST_FACTS,
    );
    let mut sorted = Found {
        is_whole: true,
        ..Found::default()
    };
    let proof = store.as_ref().map(|store| (store, &ours));
    for organisation in organisations {
        let domains = organisation.domains.iter().chain(&organisation.parked);
        let reported = domains.filter(|one| with_reports.contains_key(one.as_str()));
        let reported: Vec<&DomainName> = reported.collect();
        sort_one(
            (scene, keystore),
            proof,
            (organisation, &reported),
            &mut sorted,
        );
    }
    // Of those that are gone nothing stays.
    let known: HashSet<&OrganisationId> = organisations.iter().map(|one| &one.id).collect();
    for organisation in keystore.with_senders()? {
        if !known.contains(&organisation) {
            keep(
                keystore,
                &organisation,
                &Senders::default(),
                &StreamPages::default(),
            );
        }
    }
    Ok(sorted)
}

/// The same of one organisation, whose reported domains these are.
fn sort_one(
    (scene, keystore): (&Scene, &Keystore),
    proof: Option<(&Store, &Ours<'_>)>,
    (organisation, domains): (&Organisation, &[&DomainName]),
    sorted: &mut Found,
) {
    let mut senders = Senders::default();
    let mut pages = StreamPages::default();
    let sightings = keystore.sightings(&organisation.id).unwrap_or_default();
    for domain in domains.iter().copied() {
        let parked = organisation.parked.contains(domain);
        let seen = sightings.domains.get(domain);
        sorted.is_whole &= seen.is_some_and(|seen| seen.dmarc.is_some());
        let about = (parked, scene.reports_to.as_deref());
        let Some((store, ours)) = proof else {
            continue;
        };
        match senders_of(store, ours, domain, (&sightings, about)) {
            Ok((found, number, page)) => {
                if number > 0 {
                    sorted.unknown.push(UnknownSelectors {
                        organisation: organisation.id.to_string(),
                        domain: domain.to_string(),
                        number,
                    });
                }
                senders.domains.insert(domain.clone(), found);
                pages.domains.insert(domain.clone(), page);
            }
            Err(error) => {
                tracing::warn!("who sends in the name of {domain} is not known: {error}");
                sorted.failed.push(domain.to_string());
            }
        }
    }
    if !senders.domains.is_empty() {
        // What is wrong with a keyring, others say.
        let keyring = keystore.read_keyring(&organisation.id).unwrap_or_default();
        let weaker = sending::weaker(&keyring, &senders).into_iter();
        let told = weaker.map(|one| told(&organisation.id, one));
        sorted.weaker.extend(told);
    }
    bound(&mut senders, &mut pages);
    keep(keystore, &organisation.id, &senders, &pages);
}

fn keep(
    keystore: &Keystore,
    organisation: &OrganisationId,
    senders: &Senders,
    pages: &StreamPages,
) {
    let known = keystore.senders(organisation).unwrap_or_default();
    let mut kept = Ok(());
    if !is_same(&known, senders) {
        kept = keystore.keep_senders(organisation, senders);
    }
    let known = keystore.stream_pages(organisation).unwrap_or_default();
    if kept.is_ok() && known != *pages {
        kept = keystore.keep_stream_pages(organisation, pages);
    }
    if let Err(error) = kept {
        tracing::warn!("who sends in the names of {organisation} can't be kept: {error}");
    }
}

/// What is told of one new key.
fn told(organisation: &OrganisationId, weaker: Weaker) -> WeakerSelector {
    let Weaker { new, old } = weaker;
    WeakerSelector {
        organisation: organisation.to_string(),
        domain: new.domain.to_string(),
        selector: new.selector.to_string(),
        messages: new.messages,
        passed: new.passed,
        before: old.selector.to_string(),
        before_messages: old.messages,
        before_passed: old.passed,
    }
}

/// Whether nothing but the time is another one.
fn is_same(known: &Senders, found: &Senders) -> bool {
    let all = known.domains.iter().zip(&found.domains);
    known.domains.len() == found.domains.len()
        && all.into_iter().all(|((domain, known), (other, found))| {
            let found = SendersOf {
                found: known.found,
                ..found.clone()
            };
            domain == other && *known == found
        })
}

/// With the number of keys that sign, and that nobody knows, and with the pages of streams.
fn senders_of(
    store: &Store,
    ours: &Ours<'_>,
    domain: &DomainName,
    (sightings, about): (&Sightings, (bool, Option<&str>)),
) -> Result<(SendersOf, u64, Vec<StreamPage>), SendingError> {
    let now = Timestamp::now();
    let to = i32::try_from(now.as_second().div_euclid(DAY)).unwrap_or(i32::MAX);
    let window = Window {
        from: to - DAYS + 1,
        to,
    };
    let sorted = sending::sort(store, ours, domain, window)?;
    let streams = sorted.streams;
    let (reports, _) = store.reports(domain.as_str(), window, |flags| ours.counts(flags))?;
    let others = streams.iter().skip(SHOWN);
    let unknown = u64::try_from(sorted.unknown_selectors.len()).unwrap_or(u64::MAX);
    let found = SendersOf {
        found: now,
        from: date(window.from),
        to: date(window.to),
        reports,
        others: others.clone().count(),
        other_messages: others.map(|stream| stream.messages).sum(),
        streams: streams.iter().take(SHOWN).map(shown).collect(),
        selectors: selectors(&sorted.selectors),
        climbing: climbing((store, ours), sightings, domain, about, to)?,
    };
    let pages = streams.iter().take(SHOWN);
    let pages = pages.map(|stream| page(stream, window)).collect();
    Ok((found, unknown, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stays_where_nobody_can_tell() {
        let unknown = |domain: &str| UnknownSelectors {
            organisation: "een".to_owned(),
            domain: domain.to_owned(),
            number: 1,
        };
        let before = Found {
            unknown: vec![unknown("een.nl"), unknown("twee.nl")],
            ..Found::default()
        };
        let now = Found {
            unknown: vec![unknown("drie.nl")],
            failed: vec!["een.nl".to_owned()],
            is_whole: true,
            ..Found::default()
        };
        let domains = now.after(before).unknown.into_iter();
        let domains: Vec<String> = domains.map(|one| one.domain).collect();
        assert_eq!(domains, ["drie.nl", "een.nl"]);
    }
}
