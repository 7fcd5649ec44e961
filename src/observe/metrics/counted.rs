//! What counts for as long as it is there.

use prometheus_client::metrics::gauge::Gauge;

/// One more in a gauge, until it is dropped.
#[derive(Debug)]
#[must_use = "it counts only while it lives"]
pub struct Counted(Gauge);

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
