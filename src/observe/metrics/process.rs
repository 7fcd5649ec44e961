//! What there is once in a process.

use std::{
    sync::{Arc, LazyLock, atomic::AtomicU64},
    time::{Instant, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::{
    SharedHistogram, SnapshotFacts,
    histogram::{Histogram, SECONDS},
};
use crate::dkim;

/// Counts lines of the log that nobody will read.
#[derive(Clone, Debug, Default)]
pub(in crate::observe) struct LostLines(Counter);

impl LostLines {
    /// Those of this process, which has one log.
    pub(in crate::observe) fn of_process() -> Self {
        static LOST: LazyLock<LostLines> = LazyLock::new(LostLines::default);
        LOST.clone()
    }

    pub(in crate::observe) fn add(&self, lines: u64) {
        self.0.inc_by(lines);
    }

    /// How many there have been.
    #[cfg(test)]
    pub(in crate::observe) fn get(&self) -> u64 {
        self.0.get()
    }
}

#[derive(Debug)]
pub(super) struct Process {
    panics: Counter,
    reloads_succeeded: Counter,
    reloads_failed: Counter,
    last_reload_succeeded: Gauge,
    last_reload: Gauge<f64, AtomicU64>,
    organisations: Gauge,
    generation: Gauge,
    waiting: Gauge,
    to_sign: Gauge,
    to_sign_seconds: SharedHistogram,
}

/// One that waits.
pub(super) struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A message that waits to be signed, since then.
pub(super) struct WaitingToSign {
    #[expect(dead_code, reason = "held, not read")]
    waiting: Waiting,
    since: Instant,
    seconds: SharedHistogram,
}

impl Drop for WaitingToSign {
    fn drop(&mut self) {
        self.seconds.observe(self.since.elapsed());
    }
}

impl Process {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("backend", dkim::BACKEND),
        ];
        registry.register("build", "This program", Info::new(build));
        let (reloads_succeeded, reloads_failed) = reloads(registry);
        let last_reload_succeeded = gauge(
            registry,
            "last_reload_successful",
            "1, or 0 while what is on disk cannot be loaded and the state before it is in use",
        );
        last_reload_succeeded.set(1);
        let help = "Lines of the log that stderr did not take";
        registry.register("log_lines_lost", help, LostLines::of_process().0);
        Self {
            panics: panics(registry),
            reloads_succeeded,
            reloads_failed,
            last_reload_succeeded,
            last_reload: last_reload(registry),
            organisations: gauge(
                registry,
                "organisations",
                "Organisations in the configuration in use",
            ),
            generation: gauge(
                registry,
                "keystore_generation",
                "Generation of the keystore in use",
            ),
            waiting: gauge(
                registry,
                "large_messages_waiting",
                "Large messages that wait for their turn on a processor",
            ),
            to_sign: gauge(
                registry,
                "signing_queue_messages",
                "Messages that have come whole and wait to be signed",
            ),
            to_sign_seconds: signing_queue_seconds(registry),
        }
    }

    pub(super) fn waits_for_turn(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    pub(super) fn waits_for_signature(&self) -> WaitingToSign {
        self.to_sign.inc();
        WaitingToSign {
            waiting: Waiting(self.to_sign.clone()),
            since: Instant::now(),
            seconds: self.to_sign_seconds.clone(),
        }
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn snapshot_in_use(&self, facts: &SnapshotFacts) {
        let since_epoch = facts.loaded_at.duration_since(UNIX_EPOCH);
        self.last_reload
            .set(since_epoch.unwrap_or_default().as_secs_f64());
        self.organisations
            .set(i64::try_from(facts.organisations).unwrap_or(i64::MAX));
        self.generation
            .set(i64::try_from(facts.keystore_generation).unwrap_or(i64::MAX));
    }

    pub(super) fn reload_succeeded(&self) {
        self.reloads_succeeded.inc();
        self.last_reload_succeeded.set(1);
    }

    pub(super) fn reload_failed(&self) {
        self.reloads_failed.inc();
        self.last_reload_succeeded.set(0);
    }
}

fn panics(registry: &mut Registry) -> Counter {
    let panics = Counter::default();
    let help = "Callbacks that panicked; the message was tempfailed";
    registry.register("panics", help, panics.clone());
    panics
}

fn reloads(registry: &mut Registry) -> (Counter, Counter) {
    let reloads = Family::<[(&str, &str); 1], Counter>::default();
    let help = "Reloads of the configuration and keys";
    registry.register("reload", help, reloads.clone());
    let result = |word| reloads.get_or_create_owned(&[("result", word)]);
    (result("ok"), result("failed"))
}

fn last_reload(registry: &mut Registry) -> Gauge<f64, AtomicU64> {
    let last_reload = Gauge::default();
    let help = "When the configuration in use was loaded";
    registry.register("last_reload_timestamp_seconds", help, last_reload.clone());
    last_reload
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn signing_queue_seconds(registry: &mut Registry) -> SharedHistogram {
    let histogram = SharedHistogram(Arc::new(Histogram::new(&SECONDS)));
    registry.register(
        "signing_queue_seconds",
        "From the end of a message until it was its turn to be signed",
        histogram.clone(),
    );
    histogram
}
