//! Counters and gauges, in the OpenMetrics text format.
//!
//! The metrics live as long as the process: a reload finds the same series again. Where
//! messages pass, nothing is looked up and no lock is taken: listeners and organisations
//! get handles beforehand ([`ListenerMetrics`], [`OrganisationMetrics`]).
//!
//! Labels come from the configuration and from closed sets of words. Nothing that a
//! message holds, such as an unknown domain, ever becomes a label.

mod counters;
mod forecasts;
mod histogram;
pub mod keeper;
mod listeners;
mod machine;
mod organisations;
mod process;
mod queue;
mod ranking;
mod reports;

use std::{collections::BTreeMap, fmt, sync::Arc};

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
use crate::dkim;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. A clone is a handle to the same ones. What is counted is beside
/// where it is kept: of organisations in `organisations`, the rest in `process`.
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
            started: inner.machine.started,
            listeners: inner.listeners.figures(),
            organisations: all.iter().map(|one| one.figures()).collect(),
            beyond: if ask.top.is_none() {
                inner.organisations.beyond()
            } else {
                BTreeMap::new()
            },
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
