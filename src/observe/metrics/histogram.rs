//! A histogram without a lock: that of prometheus-client takes one for each observation.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};

/// How a histogram counts: in whole small units, shown in large ones.
#[derive(Debug)]
pub(super) struct Scale {
    /// The upper bounds of the buckets but the last, which has none, in small units, rising.
    pub(super) bounds: &'static [u64],
    /// How many small units are one shown unit.
    pub(super) divisor: u32,
}

/// 50 µs to 1 s in nanoseconds, shown in seconds: an Ed25519 signature takes some 20 µs,
/// one of RSA-2048 some 250 µs.
pub(super) const SECONDS: Scale = Scale {
    bounds: &[
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
    ],
    divisor: 1_000_000_000,
};

/// 1 KiB to 64 MiB, in octets.
pub(super) const OCTETS: Scale = Scale {
    bounds: &[
        1 << 10,
        1 << 12,
        1 << 14,
        1 << 16,
        1 << 18,
        1 << 20,
        1 << 22,
        1 << 24,
        1 << 26,
    ],
    divisor: 1,
};

/// Observations by size; adding one is two atomic additions. A clone counts into the same one.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    scale: &'static Scale,
    /// One more than there are bounds.
    buckets: Arc<[AtomicU64]>,
    sum: Arc<AtomicU64>,
}

impl Histogram {
    /// An empty one.
    fn new(scale: &'static Scale) -> Self {
        Self {
            scale,
            buckets: (0..=scale.bounds.len())
                .map(|_| AtomicU64::new(0))
                .collect(),
            sum: Arc::default(),
        }
    }

    /// An empty one, which is in the registry.
    pub(super) fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        scale: &'static Scale,
    ) -> Self {
        let histogram = Self::new(scale);
        registry.register(name, help, histogram.clone());
        histogram
    }

    /// Adds one observation, in small units. A value on a bound belongs to that bucket.
    pub(super) fn observe(&self, value: u64) {
        let place = self.scale.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
            self.sum.fetch_add(value, Relaxed);
        }
    }

    /// Adds one observation of a time; the scale is in nanoseconds.
    pub(super) fn observe_time(&self, elapsed: Duration) {
        self.observe(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    fn shown(&self, value: u64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to 2^53, which is 104 days of signing or 9 PB of mail"
        )]
        let value = value as f64;
        value / f64::from(self.scale.divisor)
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.scale.bounds.iter().map(|bound| self.shown(*bound));
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        // Counted from the same readings, so that it always equals the last bucket.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.shown(self.sum.load(Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram
            .buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect()
    }

    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::new(&OCTETS);
        for value in [0, 1024, 1025, u64::from(u32::MAX)] {
            histogram.observe(value);
        }
        assert_eq!(counts(&histogram), [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn bounds_rise() {
        for scale in [&SECONDS, &OCTETS] {
            assert!(scale.bounds.is_sorted_by(|left, right| left < right));
        }
    }
}
