//! Counters and gauges, in the OpenMetrics text format.
//!
//! The metrics live as long as the process: a reload finds the same series again. Where
//! messages pass, nothing is looked up and no lock is taken: listeners and organisations
//! get handles beforehand ([`ListenerMetrics`], [`OrganisationMetrics`]).
//!
//! Labels come from the configuration and from closed sets of words. Nothing that a
//! message holds, such as an unknown domain, ever becomes a label.

mod counters;
mod histogram;
pub mod keeper;
mod listeners;
mod machine;
mod organisations;
mod process;
mod queue;
mod ranking;

use std::{fmt, sync::Arc};

use prometheus_client::registry::Registry;

pub(super) use self::process::LostLines;
use self::{
    listeners::ListenerFamilies,
    machine::Machine,
    organisations::{OrganisationCollector, Table},
    process::Process,
    ranking::Samples,
};
pub use self::{
    listeners::{Forecast, Limit, ListenerMetrics, Outcome},
    organisations::{OTHER, OrganisationMetrics, Totals},
    process::SnapshotFacts,
    queue::Counted,
};
use super::status::{Ask, Role, SignerFigures, SignerStatus, VERSION};
use crate::{dkim, names::OrganisationId};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. A clone is a handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

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
        let process = Process::register(&mut registry);
        let organisations = Arc::new(Table::new(series));
        let collector = OrganisationCollector(Arc::clone(&organisations));
        registry.register_collector(Box::new(collector));
        Self(Arc::new(Inner {
            registry,
            machine: Machine::new(),
            listeners,
            process,
            organisations,
            samples: Samples::new(),
        }))
    }

    /// The metrics of the listener of this name; all of its series exist from now on.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        self.0.listeners.resolve(name)
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

    /// A step of a message panicked.
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
    process: Process,
    organisations: Arc<Table>,
    samples: Samples,
}

#[cfg(test)]
mod tests;
