//! What counts for as long as it is there, and messages that wait for something: how many do,
//! and how long they did.

use std::time::Instant;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::histogram::{Histogram, SECONDS};

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

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) waiting: Gauge,
    pub(super) waited: Histogram,
}

impl Queue {
    /// The two metrics, each by its name and its help.
    pub(super) fn register(
        registry: &mut Registry,
        waiting: (&str, &str),
        waited: (&str, &str),
    ) -> Self {
        let gauge = Gauge::default();
        registry.register(waiting.0, waiting.1, gauge.clone());
        Self {
            waiting: gauge,
            waited: Histogram::register(registry, waited.0, waited.1, &SECONDS),
        }
    }
}

/// One that waits, until this is dropped.
pub(super) struct Waiting {
    #[expect(dead_code, reason = "held, not read")]
    counted: Counted,
    waited: Histogram,
    since: Instant,
}

impl Queue {
    pub(super) fn wait(&self) -> Waiting {
        Waiting {
            counted: Counted::new(&self.waiting),
            waited: self.waited.clone(),
            since: Instant::now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waited.observe_time(self.since.elapsed());
    }
}
