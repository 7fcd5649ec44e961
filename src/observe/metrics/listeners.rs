//! What is counted for each listener.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    Forecast, MessageHistograms, Outcome,
    counted::Counted,
    limits::{Limit, LimitCounters},
    process::number,
};
use crate::observe::status::ListenerFigures;

/// The metrics of one listener, resolved: each call is a few atomic additions. A clone
/// counts into the same ones.
#[derive(Clone, Debug)]
pub struct ListenerMetrics(Arc<Listener>);

impl ListenerMetrics {
    /// A message of this many octets, as received, got its reply.
    pub fn message(&self, outcome: Outcome, octets: u64) {
        let listener = &self.0;
        let counter = match outcome {
            Outcome::Signed => &listener.signed,
            Outcome::Unsigned => &listener.unsigned,
            Outcome::Tempfailed => &listener.tempfailed,
            Outcome::Rejected => &listener.rejected,
        };
        counter.inc();
        listener.messages.octets.0.observe(octets);
    }

    /// A message of this many octets was accepted as it came, on a listener that looks on.
    pub fn observed(&self, forecast: Forecast, octets: u64) {
        let listener = &self.0;
        listener.observed.inc();
        listener.forecasts[forecast as usize].inc();
        listener.messages.octets.0.observe(octets);
    }

    /// A message was signed: from its end to the reply, and the processor time of that.
    pub fn signing_took(&self, elapsed: Duration, processor: Duration) {
        let messages = &self.0.messages;
        messages.seconds.0.observe_time(elapsed);
        messages.processor.0.observe_time(processor);
    }

    /// A connection was accepted. It counts as open until the value is dropped.
    pub fn connection(&self) -> Counted {
        self.0.accepted.inc();
        Counted::new(&self.0.connections)
    }

    /// A message begins. It counts as in progress until the value is dropped.
    pub fn begin_message(&self) -> Counted {
        Counted::new(&self.0.in_progress)
    }

    /// A connection was closed at once, because there were too many.
    pub fn connection_refused(&self) {
        self.0.refused.inc();
    }

    /// A bound of `[limits]` was reached.
    pub fn limit_reached(&self, limit: Limit) {
        self.0.limits.reached(limit);
    }

    /// A connection was closed at once, because its user is none of those that may connect.
    pub fn peer_refused(&self) {
        self.0.peers_refused.inc();
    }

    /// A peer broke the milter protocol.
    pub fn protocol_error(&self) {
        self.0.protocol_errors.inc();
    }

    /// The system gave an error instead of a connection.
    pub fn accept_error(&self) {
        self.0.accept_errors.inc();
    }

    fn figures(&self) -> ListenerFigures {
        let listener = &self.0;
        let messages = [
            ("signed", &listener.signed),
            ("unsigned", &listener.unsigned),
            ("tempfailed", &listener.tempfailed),
            ("rejected", &listener.rejected),
            ("observed", &listener.observed),
        ];
        ListenerFigures {
            connections: number(&listener.connections),
            connections_refused: listener.refused.get(),
            messages_in_progress: number(&listener.in_progress),
            messages: messages
                .map(|(result, counter)| (result.to_owned(), counter.get()))
                .into(),
        }
    }
}

#[derive(Debug)]
struct Listener {
    signed: Counter,
    unsigned: Counter,
    tempfailed: Counter,
    rejected: Counter,
    observed: Counter,
    /// In the order of [`Forecast::ALL`].
    forecasts: [Counter; Forecast::ALL.len()],
    connections: Gauge,
    accepted: Counter,
    in_progress: Gauge,
    refused: Counter,
    peers_refused: Counter,
    limits: LimitCounters,
    protocol_errors: Counter,
    accept_errors: Counter,
    messages: MessageHistograms,
}

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(super) struct ListenerFamilies {
    messages: Family<Labels, Counter>,
    observed: Family<Labels, Counter>,
    connections: Family<Labels, Gauge>,
    accepted: Family<Labels, Counter>,
    in_progress: Family<Labels, Gauge>,
    refused: Family<Labels, Counter>,
    peers_refused: Family<Labels, Counter>,
    limits: Family<Labels, Counter>,
    protocol_errors: Family<Labels, Counter>,
    accept_errors: Family<Labels, Counter>,
    /// By its name; one stays, as its series do.
    resolved: Mutex<BTreeMap<String, ListenerMetrics>>,
}

impl ListenerFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut counter = |name, help| {
            let family = Family::<Labels, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let families = Self {
            messages: counter("messages", "Messages that got their reply"),
            observed: counter(
                "observed",
                "Messages that were only looked at, by what would have become of them",
            ),
            accepted: counter("connections_accepted", "Connections that were served"),
            refused: counter(
                "connections_refused",
                "Connections closed at once, being over the limit",
            ),
            peers_refused: counter(
                "peers_refused",
                "Connections closed at once, being of a user that may not connect",
            ),
            limits: counter("limits_reached", "Bounds of [limits] that were reached"),
            protocol_errors: counter(
                "protocol_errors",
                "Sessions ended because the peer broke the milter protocol",
            ),
            accept_errors: counter("accept_errors", "Failures to accept a connection"),
            connections: Family::default(),
            in_progress: Family::default(),
            resolved: Mutex::default(),
        };
        registry.register(
            "messages_in_progress",
            "Messages from their MAIL to their reply",
            families.in_progress.clone(),
        );
        registry.register(
            "connections",
            "Open milter connections",
            families.connections.clone(),
        );
        families
    }

    pub(super) fn resolve(&self, name: &str, messages: &MessageHistograms) -> ListenerMetrics {
        let listener = vec![("listener", name.to_owned())];
        let count = |family: &Family<Labels, Counter>, result: &str| {
            let labels = [listener.clone(), vec![("result", result.to_owned())]].concat();
            family.get_or_create_owned(&labels)
        };
        let result = |result: &str| count(&self.messages, result);
        let metrics = ListenerMetrics(Arc::new(Listener {
            signed: result("signed"),
            unsigned: result("unsigned"),
            tempfailed: result("tempfailed"),
            rejected: result("rejected"),
            observed: result("observed"),
            forecasts: Forecast::ALL.map(|one| count(&self.observed, one.as_str())),
            connections: self.connections.get_or_create_owned(&listener),
            accepted: self.accepted.get_or_create_owned(&listener),
            in_progress: self.in_progress.get_or_create_owned(&listener),
            refused: self.refused.get_or_create_owned(&listener),
            peers_refused: self.peers_refused.get_or_create_owned(&listener),
            limits: LimitCounters::resolve(&self.limits, name),
            protocol_errors: self.protocol_errors.get_or_create_owned(&listener),
            accept_errors: self.accept_errors.get_or_create_owned(&listener),
            messages: messages.clone(),
        }));
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.insert(name.to_owned(), metrics.clone());
        metrics
    }

    /// What all of them have counted.
    pub(super) fn figures(&self) -> BTreeMap<String, ListenerFigures> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = resolved
            .iter()
            .map(|(name, metrics)| (name.clone(), metrics.figures()));
        figures.collect()
    }
}
