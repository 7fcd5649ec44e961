//! Looks at the store of DMARC reports, for the metrics and for `zegel status`: what was read,
//! what was refused, and until when the reports about each domain tell.
//!
//! It works beside the rounds, which never wait for it. Only the command `zegel report ingest`
//! reads reports; here, nothing but its store is opened, and only for reading.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::hooks::Scene;
use crate::{
    evidence::{Store, StoreError},
    observe::{
        metrics::keeper::KeeperMetrics,
        status::{LatestReport, ReportFigures},
    },
};

/// From one look to the next.
const EVERY: Duration = Duration::from_mins(1);

/// Looks every minute, until it is dropped.
pub(super) async fn watch(scene: watch::Receiver<Arc<Scene>>, metrics: KeeperMetrics) {
    let mut known: Option<ReportFigures> = None;
    loop {
        let now = Arc::clone(&scene.borrow());
        let looked = spawn_blocking(move || look(&now)).await;
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
    let Some(store) = Store::read(&scene.reports)? else {
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
