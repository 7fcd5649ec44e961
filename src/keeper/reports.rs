//! Looks at the store of DMARC reports, for the metrics and for `zegel status`: what was read,
//! what was refused, and until when the reports about each domain tell; and for the status page,
//! which the signer serves, who sends in the names of the domains.
//!
//! It works beside the rounds, which never wait for it. Only the command `zegel report ingest`
//! reads reports; here, nothing but its store is opened, and only for reading.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::hooks::Scene;
use crate::{
    evidence::{
        Store, StoreError,
        rollup::DAY,
        streams::{Stream, Window},
    },
    keystore::{Keystore, Senders, SendersOf, SendingStream},
    names::DomainName,
    observe::{
        metrics::keeper::KeeperMetrics,
        status::{LatestReport, ReportFigures},
    },
    sending::{self, Ours, SendingError, is_strict},
};

/// From one look to the next.
const EVERY: Duration = Duration::from_mins(1);
/// From one finding out who sends to the next.
const SORT_EVERY: Duration = Duration::from_hours(1);
/// Those days count: eight weeks.
const DAYS: i32 = 56;
/// So many streams of a domain are shown.
const SHOWN: usize = 10;

/// Looks every minute, until it is dropped.
pub(super) async fn watch(
    scene: watch::Receiver<Arc<Scene>>,
    keystore: Keystore,
    metrics: KeeperMetrics,
) {
    let mut known: Option<ReportFigures> = None;
    let mut sorted: Option<Instant> = None;
    loop {
        let now = Arc::clone(&scene.borrow());
        let looked = spawn_blocking(move || look(&now)).await;
        if sorted.is_none_or(|sorted| sorted.elapsed() >= SORT_EVERY) {
            sorted = Some(Instant::now());
            let (now, keystore) = (Arc::clone(&scene.borrow()), keystore.clone());
            if let Ok(Err(error)) = spawn_blocking(move || sort(&now, &keystore)).await {
                tracing::warn!("who sends in the names of the domains is not known: {error}");
            }
        }
        match looked {
            Ok(Ok(figures)) => {
                if known.as_ref().is_some_and(|known| known.problem.is_some()) {
                    tracing::info!("the store of reports can be read again");
                }
                known = figures;
            }
            Ok(Err(error)) => {
                let problem = Some(error.to_string());
                let figures = known.get_or_insert_default();
                if figures.problem != problem {
                    tracing::warn!("the store of reports can't be read: {error}");
                }
                figures.problem = problem;
            }
            // A panic, which has been logged; the next minute is another one.
            Err(_) => {}
        }
        metrics.reports(known.clone());
        sleep(EVERY).await;
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

/// Finds out who sends, and keeps it for the page.
fn sort(scene: &Scene, keystore: &Keystore) -> Result<(), SendingError> {
    let Some(store) = Store::read(&scene.reports.state)? else {
        return Ok(());
    };
    let with_reports = store.numbers()?.latest;
    let ours = Ours {
        organisations: &scene.organisations,
        keystore,
        relays: &scene.relays,
        only_authenticated: is_strict(&scene.reports),
    };
    for organisation in &scene.organisations {
        let mut senders = Senders::default();
        let domains = organisation.domains.iter().chain(&organisation.parked);
        for domain in domains.filter(|one| with_reports.contains_key(one.as_str())) {
            let found = senders_of(&store, &ours, domain)?;
            senders.domains.insert(domain.clone(), found);
        }
        let known = keystore.senders(&organisation.id).unwrap_or_default();
        if !is_same(&known, &senders) {
            keystore.keep_senders(&organisation.id, &senders)?;
        }
    }
    Ok(())
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

fn senders_of(
    store: &Store,
    ours: &Ours<'_>,
    domain: &DomainName,
) -> Result<SendersOf, SendingError> {
    let now = Timestamp::now();
    let to = i32::try_from(now.as_second().div_euclid(DAY)).unwrap_or(i32::MAX);
    let window = Window {
        from: to - DAYS + 1,
        to,
    };
    let streams = sending::sort(store, ours, domain, window)?.streams;
    let (reports, _) = store.reports(domain.as_str(), window, |flags| ours.counts(flags))?;
    let others = streams.iter().skip(SHOWN);
    Ok(SendersOf {
        found: now,
        from: date(window.from),
        to: date(window.to),
        reports,
        others: others.clone().count(),
        other_messages: others.map(|stream| stream.messages).sum(),
        streams: streams.iter().take(SHOWN).map(shown).collect(),
    })
}

fn shown(stream: &Stream) -> SendingStream {
    SendingStream {
        id: stream.id.clone(),
        class: stream.class.as_str().to_owned(),
        name: stream.label.clone(),
        messages: stream.messages,
        aligned: stream.aligned,
        rejected: stream.rejected,
        weeks: stream.weeks.clone(),
    }
}

fn date(day: i32) -> Date {
    let time = Timestamp::from_second(i64::from(day) * DAY);
    time.map_or(Date::ZERO, |time| time.to_zoned(TimeZone::UTC).date())
}
