//! Messages that wait for something: how many do, and how long they did.

use std::{sync::Arc, time::Instant};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::{
    SharedHistogram,
    counted::Counted,
    histogram::{Histogram, SECONDS},
};

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Gauge,
    waited: SharedHistogram,
}

/// One that waits, until this is dropped.
pub(super) struct Waiting {
    #[expect(dead_code, reason = "held, not read")]
    counted: Counted,
    waited: SharedHistogram,
    since: Instant,
}

impl Queue {
    /// A queue with a gauge and a histogram, each given by its name and help.
    pub(super) fn register(
        registry: &mut Registry,
        waiting: (&str, &str),
        waited: (&str, &str),
    ) -> Self {
        let queue = Self {
            waiting: Gauge::default(),
            waited: SharedHistogram(Arc::new(Histogram::new(&SECONDS))),
        };
        registry.register(waiting.0, waiting.1, queue.waiting.clone());
        registry.register(waited.0, waited.1, queue.waited.clone());
        queue
    }

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
        self.waited.0.observe_time(self.since.elapsed());
    }
}
