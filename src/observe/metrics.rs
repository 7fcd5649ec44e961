//! Counters and gauges, in the OpenMetrics text format.
//!
//! The metrics live as long as the process: a reload finds the same series again. Where
//! messages pass, nothing is looked up and no lock is taken: listeners and organisations
//! get handles beforehand ([`ListenerMetrics`], [`OrganisationMetrics`]).
//!
//! Labels come from the configuration and from closed sets of words. Nothing that a
//! message holds, such as an unknown domain, ever becomes a label.

mod counted;
mod histogram;
pub mod keeper;
mod limits;
mod listeners;
mod machine;
mod organisations;
mod process;
mod queue;
mod ranking;
mod series;
mod signatures;
mod words;

use std::{fmt, sync::Arc, time::SystemTime};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
    registry::Registry,
};

pub(super) use self::process::LostLines;
pub use self::{
    counted::Counted,
    limits::Limit,
    listeners::ListenerMetrics,
    organisations::{OrganisationMetrics, Totals},
    series::OTHER,
};
use self::{
    histogram::Histogram,
    listeners::ListenerFamilies,
    machine::Machine,
    organisations::{OrganisationCollector, Table},
    process::Process,
    ranking::Samples,
};
use super::status::{Ask, Role, SignerFigures, SignerStatus, VERSION};
use crate::{dkim, names::OrganisationId};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. A clone is a handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

/// What became of a message: the label `result` of `zegel_messages_total`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Signed and accepted.
    Signed,
    /// Accepted as it came.
    Unsigned,
    /// Answered with 451.
    Tempfailed,
    /// Answered with 550.
    Rejected,
}

/// What would have become of a message on a listener that only looks on: the label `result`
/// of `zegel_observed_total`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forecast {
    /// Signed, and the signature verifies.
    Signed,
    /// Signed, with a signature that does not verify: a fault of ours.
    Unverified,
    /// Accepted as it came.
    Unsigned,
    /// Answered with 451.
    Tempfailed,
    /// Answered with 550.
    Rejected,
}

impl Forecast {
    const ALL: [Self; 5] = [
        Self::Signed,
        Self::Unverified,
        Self::Unsigned,
        Self::Tempfailed,
        Self::Rejected,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Unverified => "unverified",
            Self::Unsigned => "unsigned",
            Self::Tempfailed => "tempfailed",
            Self::Rejected => "rejected",
        }
    }
}

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

impl Metrics {
    /// All at zero; every organisation may have series of its own.
    #[expect(
        clippy::new_without_default,
        reason = "there is one in a process; none should come by default"
    )]
    pub fn new() -> Self {
        Self::with_series(usize::MAX)
    }

    /// All at zero. The first `series` organisations that have mail get series of their own,
    /// which they keep; all others together are [`OTHER`].
    pub fn with_series(series: usize) -> Self {
        let mut registry = machine::registry();
        let listeners = ListenerFamilies::register(&mut registry);
        let messages = MessageHistograms::register(&mut registry);
        let process = Process::register(&mut registry);
        let organisations = Arc::new(Table::new(series));
        let collector = OrganisationCollector(Arc::clone(&organisations));
        registry.register_collector(Box::new(collector));
        Self(Arc::new(Inner {
            registry,
            machine: Machine::new(),
            listeners,
            messages,
            process,
            organisations,
            samples: Samples::new(),
        }))
    }

    /// The metrics of the listener of this name; all of its series exist from now on.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let inner = &self.0;
        inner.listeners.resolve(name, &inner.messages)
    }

    /// The counters of this organisation: the same ones each time. Takes a lock, so it is
    /// for the building of a snapshot, not for each message.
    pub fn organisation(&self, id: &OrganisationId) -> OrganisationMetrics {
        self.0.organisations.organisation(id)
    }

    /// The counters of messages that belong to no organisation: `organisation=""`.
    pub fn without_organisation(&self) -> OrganisationMetrics {
        self.0.organisations.without_organisation()
    }

    /// The organisations that had mail since the start, with what became of it. A copy, in no
    /// particular order.
    pub fn totals(&self) -> Vec<(OrganisationId, Totals)> {
        self.0.organisations.totals()
    }

    /// Why mail of this organisation was not signed since the start, and how often.
    pub fn reasons(&self, id: &OrganisationId) -> Vec<(&'static str, u64)> {
        self.0.organisations.reasons(id)
    }

    /// Drops the series of organisations that are no more. A message that still holds the
    /// counters of one adds to what nobody sees.
    pub fn retain_organisations(&self, keep: impl Fn(&OrganisationId) -> bool) {
        self.0.organisations.retain(keep);
    }

    /// A callback panicked; its message was tempfailed.
    pub fn panicked(&self) {
        self.0.process.panicked();
    }

    /// A message could not be signed ([`Refusal::SigningFailure`](crate::organisation::Refusal)).
    pub fn signing_failed(&self) {
        self.0.process.signing_failed();
    }

    /// A large message waits for its turn, until what is given is dropped.
    pub fn waits_for_turn(&self) -> impl Drop + use<> {
        self.0.process.waits_for_turn()
    }

    /// A message waits to be signed, until what is given is dropped.
    pub fn waits_for_signature(&self) -> impl Drop + use<> {
        self.0.process.waits_for_signature()
    }

    /// A snapshot came into use, at the start or by a reload.
    pub fn snapshot_in_use(&self, facts: &SnapshotFacts) {
        self.0.process.snapshot_in_use(facts);
    }

    /// So many keys and keyrings of the snapshot in use can't be used as they should be, now
    /// that all were read.
    pub fn key_problems(&self, problems: usize) {
        self.0.process.key_problems(problems);
    }

    /// A reload put its snapshot into use; the load at the start is none.
    pub fn reload_succeeded(&self) {
        self.0.process.reload_succeeded();
    }

    /// A reload failed, and the snapshot before it stays in use.
    pub fn reload_failed(&self) {
        self.0.process.reload_failed();
    }

    /// The page for a scrape, of the type [`CONTENT_TYPE`]. With 100,000 organisations it
    /// has megabytes: not for a thread that others wait for.
    ///
    /// # Errors
    ///
    /// None is known: a `String` can be written to at any time.
    pub fn render(&self) -> Result<String, fmt::Error> {
        self.0.machine.render(&self.0.registry)
    }

    /// The same numbers for programs, and what keeps the signer from being ready. Without
    /// [`Ask::top`] it may have megabytes too.
    pub fn status(&self, not_ready: Option<String>, ask: &Ask) -> SignerStatus {
        let inner = &self.0;
        let mut all = inner.organisations.all();
        let mut top = None;
        if let Some(count) = ask.top {
            let first = inner.samples.top(all, count, ask);
            top = Some(first.0);
            all = first.1;
        }
        let mut figures = SignerFigures {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: dkim::BACKEND.to_owned(),
            started: inner.machine.started(),
            listeners: inner.listeners.figures(),
            organisations: all.iter().map(|one| one.figures()).collect(),
            ..SignerFigures::default()
        };
        inner.process.fill(&mut figures);
        SignerStatus {
            version: VERSION,
            role: Role::Signer,
            not_ready,
            top,
            figures,
        }
    }
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    machine: Machine,
    listeners: ListenerFamilies,
    messages: MessageHistograms,
    process: Process,
    organisations: Arc<Table>,
    samples: Samples,
}

#[derive(Clone, Debug)]
struct MessageHistograms {
    seconds: SharedHistogram,
    processor: SharedHistogram,
    octets: SharedHistogram,
}

impl MessageHistograms {
    fn register(registry: &mut Registry) -> Self {
        let histograms = Self {
            seconds: SharedHistogram(Arc::new(Histogram::new(&histogram::SECONDS))),
            processor: SharedHistogram(Arc::new(Histogram::new(&histogram::SECONDS))),
            octets: SharedHistogram(Arc::new(Histogram::new(&histogram::OCTETS))),
        };
        registry.register(
            "sign_seconds",
            "From the end of a message that was signed to the reply",
            histograms.seconds.clone(),
        );
        registry.register(
            "signing_cpu_seconds",
            "Processor time of the signatures of a message, and of canonicalising its header",
            histograms.processor.clone(),
        );
        registry.register(
            "message_bytes",
            "Size of messages as received",
            histograms.octets.clone(),
        );
        histograms
    }
}

/// One histogram that the registry and all listeners have.
#[derive(Clone, Debug)]
struct SharedHistogram(Arc<Histogram>);

impl EncodeMetric for SharedHistogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

#[cfg(test)]
mod tests;
