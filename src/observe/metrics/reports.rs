//! The DMARC reports that were read, as the keeper sees their store.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::observe::status::ReportFigures;

/// So many domains at most have a series for keys that nobody knows, and so many keys for passing
/// less often.
const WITH_UNKNOWN: usize = 1000;
/// The domains of so many at most have a series, those first that have waited for longest: the
/// others can't be worse.
const LONGEST_AGO: usize = 1000;

/// What was last seen; nothing before, or if there is no store. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(Arc<Mutex<Option<Arc<ReportFigures>>>>);

impl Reports {
    pub(super) fn set(&self, figures: Option<ReportFigures>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures.map(Arc::new);
    }

    pub(super) fn get(&self) -> Option<Arc<ReportFigures>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Collector for Reports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(figures) = self.get() else {
            return Ok(());
        };
        let counters = [
            (
                "reports",
                "DMARC reports that were read, by what became of them",
                "outcome",
                &figures.outcomes,
            ),
            (
                "report_refusals",
                "What was refused where DMARC reports come in, by the reason",
                "reason",
                &figures.refusals,
            ),
        ];
        for (name, help, label, numbers) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (word, number) in numbers {
                let labels = [(label, word.as_str())];
                ConstCounter::new(*number).encode(metric.encode_family(&labels)?)?;
            }
        }
        let octets = i64::try_from(figures.store_bytes).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(octets);
        let help = "Size of the store of reports";
        let metric =
            encoder.encode_descriptor("report_store_bytes", help, None, MetricType::Gauge)?;
        gauge.encode(metric)?;
        let help = "Until when the newest DMARC report about the domain tells";
        let name = "report_latest_timestamp_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let mut latest: Vec<_> = figures.latest.iter().collect();
        latest.sort_by_key(|one| one.end);
        for one in latest.into_iter().take(LONGEST_AGO) {
            let labels = [
                ("organisation", one.organisation.as_str()),
                ("domain", one.domain.as_str()),
            ];
            let end = i64::try_from(one.end).unwrap_or(i64::MAX);
            ConstGauge::new(end).encode(metric.encode_family(&labels)?)?;
        }
        encode_unknown(&mut encoder, &figures)?;
        encode_weaker(&mut encoder, &figures)
    }
}

fn encode_unknown(encoder: &mut DescriptorEncoder<'_>, figures: &ReportFigures) -> fmt::Result {
    let help =
        "Selectors that sign in the name of the domain by DMARC reports, and that nobody knows";
    let name = "report_unknown_selectors";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in figures.unknown_selectors.iter().take(WITH_UNKNOWN) {
        let labels = [
            ("organisation", one.organisation.as_str()),
            ("domain", one.domain.as_str()),
        ];
        let number = i64::try_from(one.number).unwrap_or(i64::MAX);
        ConstGauge::new(number).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// By how much, in per cent points.
fn encode_weaker(encoder: &mut DescriptorEncoder<'_>, figures: &ReportFigures) -> fmt::Result {
    let help = "By how many per cent points mail signed with a new key passes less often, by DMARC \
                reports, than mail signed with the key before";
    let name = "report_weaker_selector_points";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in figures.weaker_selectors.iter().take(WITH_UNKNOWN) {
        let labels = [
            ("organisation", one.organisation.as_str()),
            ("domain", one.domain.as_str()),
            ("selector", one.selector.as_str()),
        ];
        let less = per_mille(one.before_passed, one.before_messages)
            .saturating_sub(per_mille(one.passed, one.messages));
        let points = f64::from(less) / 10.0;
        ConstGauge::new(points).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn per_mille(passed: u64, messages: u64) -> u16 {
    let per_mille = u128::from(passed) * 1_000 / u128::from(messages.max(1));
    u16::try_from(per_mille).unwrap_or(u16::MAX)
}
