//! What there is once in a process.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

use super::{Metrics, queue::Queue};
use crate::{observe::status::SignerFigures, words::Level};

const PANICS: &str = "Callbacks that panicked; the message was tempfailed";

/// What is shown of the snapshot in use.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFacts {
    /// How many organisations it has.
    pub organisations: usize,
    /// The generation of the keystore that it was made from.
    pub keystore_generation: u64,
    /// How many domains that send have no key in use.
    pub domains_without_key: usize,
    /// How many keys and keyrings can't be used as they should be, as far as is known yet.
    pub key_problems: usize,
    /// How many connections each listener may have.
    pub connections: usize,
    /// When it came into use.
    pub loaded_at: SystemTime,
}

/// A time in seconds since 1970, or 0.
type Moment = Gauge<f64, AtomicU64>;

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
    last_reload: Moment,
    /// Since when the disk has a newer configuration; 0 if it has none.
    newer_since: AtomicU64,
    looked_at: AtomicU64,
    last_failure: Moment,
    snapshot: SnapshotGauges,
    /// How many organisations stand how, worst first; set by whoever judges all of them.
    levels: [Gauge; Level::ALL.len()],
    header_memory: Gauge,
    large: Queue,
    to_sign: Queue,
}

impl Process {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Reloads of the configuration and keys";
        let reloads: Family<[(&str, &str); 1], Counter> = registered(registry, "reload", help);
        let reloads_with = |result| reloads.get_or_create_owned(&[("result", result)]);
        let last_reload_succeeded: Gauge = registered(
            registry,
            "last_reload_successful",
            "1, or 0 while what is on disk cannot be loaded and the state before it is in use",
        );
        last_reload_succeeded.set(1);
        let help = "Lines of the log that stderr did not take";
        registry.register("log_lines_lost", help, LostLines::of_process().0);
        Self {
            panics: registered(registry, "panics", PANICS),
            reloads_succeeded: reloads_with("ok"),
            reloads_failed: reloads_with("failed"),
            last_reload_succeeded,
            last_reload: registered(
                registry,
                "last_reload_timestamp_seconds",
                "When the configuration in use was loaded",
            ),
            newer_since: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
            last_failure: registered(
                registry,
                "last_signing_failure_timestamp_seconds",
                "When a message last had the reason signing_failure; 0 for never",
            ),
            snapshot: SnapshotGauges::register(registry),
            levels: levels(registry),
            header_memory: registered(
                registry,
                "header_memory_bytes",
                "What connections hold of large header sections, beyond 64 KiB each",
            ),
            large: Queue::register(
                registry,
                (
                    "large_messages_waiting",
                    "Large messages that wait for their turn on a processor",
                ),
                (
                    "large_message_wait_seconds",
                    "How long large messages waited for their turn, of those that had to",
                ),
            ),
            to_sign: Queue::register(
                registry,
                (
                    "signing_queue_messages",
                    "Messages that have come whole and wait to be signed",
                ),
                (
                    "signing_queue_seconds",
                    "From the end of a message until it was its turn to be signed",
                ),
            ),
        }
    }

    /// Writes what it counts into the figures.
    pub(super) fn fill(&self, figures: &mut SignerFigures) {
        let snapshot = &self.snapshot;
        figures.loaded = whole(self.last_reload.get());
        figures.snapshot_generation = number(&snapshot.generation);
        figures.keystore_generation = number(&snapshot.keystore_generation);
        figures.last_reload_successful = self.last_reload_succeeded.get() == 1;
        let newer_since = self.newer_since.load(Ordering::Relaxed);
        figures.configuration_newer_since = Some(newer_since).filter(|time| *time > 0);
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        figures.configuration_looked_at_ms = Some(looked_at).filter(|time| *time > 0);
        figures.reloads_failed = self.reloads_failed.get();
        figures.organisations_in_use = number(&snapshot.organisations);
        figures.domains_without_key = number(&snapshot.without_key);
        figures.key_problems = number(&snapshot.key_problems);
        figures.panics = self.panics.get();
        figures.last_signing_failure =
            Some(whole(self.last_failure.get())).filter(|time| *time > 0);
        figures.connections_limit = number(&snapshot.connections);
    }
}

/// How many organisations stand how.
fn levels(registry: &mut Registry) -> [Gauge; Level::ALL.len()] {
    let help =
        "How many organisations stand how; judged every minute where the status page is served";
    let levels: Family<[(&str, &str); 1], Gauge> =
        registered(registry, "organisations_by_level", help);
    Level::ALL.map(|level| levels.get_or_create_owned(&[("level", level.as_str())]))
}

impl Metrics {
    /// A step of a message panicked.
    pub fn panicked(&self) {
        self.0.process.panics.inc();
    }

    /// A message could not be signed ([`Refusal::SigningFailure`](crate::organisation::Refusal)).
    pub fn signing_failed(&self) {
        set(&self.0.process.last_failure, SystemTime::now());
    }

    /// A connection holds so many octets more of a large header section.
    pub fn header_memory_taken(&self, octets: usize) {
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        self.0.process.header_memory.inc_by(octets);
    }

    /// A connection holds so many octets less.
    pub fn header_memory_given_back(&self, octets: usize) {
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        self.0.process.header_memory.dec_by(octets);
    }

    /// A large message waits for its turn, until what is given is dropped.
    pub fn waits_for_turn(&self) -> impl Drop + use<> {
        self.0.process.large.wait()
    }

    /// A message waits to be signed, until what is given is dropped.
    pub fn waits_for_signature(&self) -> impl Drop + use<> {
        self.0.process.to_sign.wait()
    }

    /// A snapshot came into use, at the start or by a reload.
    pub fn snapshot_in_use(&self, facts: &SnapshotFacts) {
        set(&self.0.process.last_reload, facts.loaded_at);
        self.0.process.snapshot.show(facts);
    }

    /// So many organisations are of each level, in the order of [`Level::ALL`].
    pub fn levels(&self, numbers: &[usize; Level::ALL.len()]) {
        for (gauge, number) in self.0.process.levels.iter().zip(numbers) {
            gauge.set(i64::try_from(*number).unwrap_or(i64::MAX));
        }
    }

    /// So many keys and keyrings of the snapshot in use can't be used as they should be, now
    /// that all were read.
    pub fn key_problems(&self, problems: usize) {
        show(&self.0.process.snapshot.key_problems, problems as u64);
    }

    /// A reload put its snapshot into use; the load at the start is none.
    pub fn reload_succeeded(&self) {
        self.0.process.reloads_succeeded.inc();
        self.0.process.last_reload_succeeded.set(1);
    }

    /// Something on the disk was refused before, and is there still.
    pub fn something_is_refused(&self) {
        self.0.process.last_reload_succeeded.set(0);
    }

    /// Since when the configuration on the disk is newer than the one in use, in seconds since
    /// 1970; none if it is not. `looked_at` is when that was looked at, in milliseconds since 1970.
    pub fn configuration_newer(&self, since: Option<u64>, looked_at: Option<u64>) {
        let process = &self.0.process;
        let newer_since = since.unwrap_or_default();
        process.newer_since.store(newer_since, Ordering::Relaxed);
        let looked_at = looked_at.unwrap_or_default();
        process.looked_at.store(looked_at, Ordering::Relaxed);
    }

    /// A reload failed, and the snapshot before it stays in use.
    pub fn reload_failed(&self) {
        self.0.process.reloads_failed.inc();
        self.0.process.last_reload_succeeded.set(0);
    }
}

/// What is shown of the snapshot in use.
#[derive(Debug)]
struct SnapshotGauges {
    generation: Gauge,
    organisations: Gauge,
    keystore_generation: Gauge,
    without_key: Gauge,
    key_problems: Gauge,
    connections: Gauge,
}

impl SnapshotGauges {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| registered(registry, name, help);
        Self {
            generation: gauge(
                "snapshot_generation",
                "The snapshot in use, counted from 1 at the start",
            ),
            organisations: gauge("organisations", "Organisations in the configuration in use"),
            keystore_generation: gauge("keystore_generation", "Generation of the keystore in use"),
            without_key: gauge(
                "domains_without_key",
                "Domains that send and have no key in use",
            ),
            key_problems: gauge(
                "key_problems",
                "Keys and keyrings that can't be used as they should be, as far as they were read",
            ),
            connections: gauge(
                "connections_limit",
                "Connections that there may be at one time, for each listener",
            ),
        }
    }

    fn show(&self, facts: &SnapshotFacts) {
        self.generation.inc();
        show(&self.organisations, facts.organisations as u64);
        show(&self.keystore_generation, facts.keystore_generation);
        show(&self.without_key, facts.domains_without_key as u64);
        show(&self.key_problems, facts.key_problems as u64);
        show(&self.connections, facts.connections as u64);
    }
}

fn show(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The value of a gauge of things; none has less than nothing.
pub(super) fn number(gauge: &Gauge) -> u64 {
    u64::try_from(gauge.get()).unwrap_or(0)
}

/// Whole seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 0 it is 0, as NaN is; what is too much is the most"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

/// A metric at its beginning, which is in the registry.
pub(super) fn registered<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn set(moment: &Moment, time: SystemTime) {
    let since_epoch = time.duration_since(UNIX_EPOCH);
    moment.set(since_epoch.unwrap_or_default().as_secs_f64());
}
