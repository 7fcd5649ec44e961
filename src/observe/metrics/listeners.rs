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
    histogram::{Histogram, OCTETS, SECONDS},
    process::{number, registered},
    queue::Counted,
};
use crate::{observe::status::ListenerFigures, words::words};

words! {
    /// What became of a message: the label `result` of `zegel_messages_total`.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Outcome {
        /// Signed and accepted.
        Signed = "signed",
        /// Accepted as it came.
        Unsigned = "unsigned",
        /// Answered with 451.
        Tempfailed = "tempfailed",
        /// Answered with 550.
        Rejected = "rejected",
    }
}

words! {
    /// What would have become of a message on a listener that only looks on: the label `result`
    /// of `zegel_observed_total`.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Forecast {
        /// Signed, and the signature verifies.
        Signed = "signed",
        /// Signed, with a signature that does not verify: a fault of ours.
        Unverified = "unverified",
        /// Accepted as it came.
        Unsigned = "unsigned",
        /// Answered with 451.
        Tempfailed = "tempfailed",
        /// Answered with 550.
        Rejected = "rejected",
    }
}

words! {
    /// A bound of `[limits]`: the label `limit` of `zegel_limits_reached_total`. The word is the
    /// key in `[limits]`, where there is one.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Limit {
        /// A connection more than there may be.
        Connections = "connections",
        /// A peer did not negotiate in 10 seconds, which is fixed.
        Negotiation = "negotiation",
        /// A connection was silent for too long between messages.
        Idle = "idle",
        /// A message had too little of it come, or its reply taken, in time; or it had no key or
        /// no turn to be signed, and was put off.
        Message = "message",
        /// An SMTP client took too long between MAIL and its data: two hours, which is fixed.
        Envelope = "envelope",
        /// The header section of a message is too large.
        HeaderBytes = "header_bytes",
        /// The header section of a message has too many fields.
        HeaderFields = "header_fields",
        /// All connections together held too much of header sections that had not come whole.
        HeaderMemory = "header_memory",
        /// Too many commands without the end of a message.
        Commands = "commands",
        /// Too many octets of commands without the end of a message.
        CommandBytes = "command_bytes",
    }
}

/// The metrics of one listener, resolved: each call is a few atomic additions. A clone
/// counts into the same ones.
#[derive(Clone, Debug)]
pub struct ListenerMetrics(Arc<Listener>);

impl ListenerMetrics {
    /// A message of this many octets, as received, got its reply.
    pub fn message(&self, outcome: Outcome, octets: u64) {
        self.0.outcomes[outcome as usize].inc();
        self.0.messages.octets.observe(octets);
    }

    /// A message of this many octets was accepted as it came, on a listener that looks on.
    pub fn observed(&self, forecast: Forecast, octets: u64) {
        let listener = &self.0;
        listener.observed.inc();
        listener.forecasts[forecast as usize].inc();
        listener.messages.octets.observe(octets);
    }

    /// A message was signed: from its end to the reply, and the processor time of that.
    pub fn signing_took(&self, elapsed: Duration, processor: Duration) {
        let messages = &self.0.messages;
        messages.seconds.observe_time(elapsed);
        messages.processor.observe_time(processor);
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
        self.0.limits[limit as usize].inc();
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
        let outcomes = Outcome::ALL.map(Outcome::as_str).into_iter();
        let messages = outcomes
            .zip(&listener.outcomes)
            .chain([("observed", &listener.observed)]);
        ListenerFigures {
            connections: number(&listener.connections),
            connections_refused: listener.refused.get(),
            messages_in_progress: number(&listener.in_progress),
            messages: messages
                .map(|(result, counter)| (result.to_owned(), counter.get()))
                .collect(),
        }
    }
}

#[derive(Debug)]
struct Listener {
    /// In the order of [`Outcome::ALL`].
    outcomes: [Counter; Outcome::ALL.len()],
    observed: Counter,
    /// In the order of [`Forecast::ALL`].
    forecasts: [Counter; Forecast::ALL.len()],
    connections: Gauge,
    accepted: Counter,
    in_progress: Gauge,
    refused: Counter,
    peers_refused: Counter,
    /// In the order of [`Limit::ALL`].
    limits: [Counter; Limit::ALL.len()],
    protocol_errors: Counter,
    accept_errors: Counter,
    messages: MessageHistograms,
}

type Labels = Vec<(&'static str, String)>;

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
    histograms: MessageHistograms,
    /// By its name; one stays, as its series do.
    resolved: Mutex<BTreeMap<String, ListenerMetrics>>,
}

impl ListenerFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            messages: registered(registry, "messages", "Messages that got their reply"),
            observed: registered(
                registry,
                "observed",
                "Messages that were only looked at, by what would have become of them",
            ),
            accepted: registered(
                registry,
                "connections_accepted",
                "Connections that were served",
            ),
            refused: registered(
                registry,
                "connections_refused",
                "Connections closed at once, being over the limit",
            ),
            peers_refused: registered(
                registry,
                "peers_refused",
                "Connections closed at once, being of a user that may not connect",
            ),
            limits: registered(
                registry,
                "limits_reached",
                "Bounds of [limits] that were reached",
            ),
            protocol_errors: registered(
                registry,
                "protocol_errors",
                "Sessions ended because the peer broke the milter protocol",
            ),
            accept_errors: registered(registry, "accept_errors", "Failures to accept a connection"),
            in_progress: registered(
                registry,
                "messages_in_progress",
                "Messages from their MAIL to their reply",
            ),
            connections: registered(registry, "connections", "Open milter connections"),
            histograms: MessageHistograms::register(registry),
            resolved: Mutex::default(),
        }
    }

    /// The metrics of the listener of this name; all of its series exist from now on.
    pub(super) fn resolve(&self, name: &str) -> ListenerMetrics {
        let listener = vec![("listener", name.to_owned())];
        let count = |family: &Family<Labels, Counter>, label: &'static str, word: &str| {
            let labels = [listener.clone(), vec![(label, word.to_owned())]].concat();
            family.get_or_create_owned(&labels)
        };
        let metrics = ListenerMetrics(Arc::new(Listener {
            outcomes: Outcome::ALL.map(|one| count(&self.messages, "result", one.as_str())),
            observed: count(&self.messages, "result", "observed"),
            forecasts: Forecast::ALL.map(|one| count(&self.observed, "result", one.as_str())),
            connections: self.connections.get_or_create_owned(&listener),
            accepted: self.accepted.get_or_create_owned(&listener),
            in_progress: self.in_progress.get_or_create_owned(&listener),
            refused: self.refused.get_or_create_owned(&listener),
            peers_refused: self.peers_refused.get_or_create_owned(&listener),
            limits: Limit::ALL.map(|one| count(&self.limits, "limit", one.as_str())),
            protocol_errors: self.protocol_errors.get_or_create_owned(&listener),
            accept_errors: self.accept_errors.get_or_create_owned(&listener),
            messages: self.histograms.clone(),
        }));
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.insert(name.to_owned(), metrics.clone());
        metrics
    }

    /// What all of them have counted.
    pub(super) fn figures(&self) -> BTreeMap<String, ListenerFigures> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved
            .iter()
            .map(|(name, metrics)| (name.clone(), metrics.figures()))
            .collect()
    }
}

/// What is measured of every message, at whichever listener.
#[derive(Clone, Debug)]
struct MessageHistograms {
    seconds: Histogram,
    processor: Histogram,
    octets: Histogram,
}

impl MessageHistograms {
    fn register(registry: &mut Registry) -> Self {
        let mut histogram = |name, help, scale| Histogram::register(registry, name, help, scale);
        Self {
            seconds: histogram(
                "sign_seconds",
                "From the end of a message that was signed to the reply",
                &SECONDS,
            ),
            processor: histogram(
                "signing_cpu_seconds",
                "Processor time of the signatures of a message, and of canonicalising its header",
                &SECONDS,
            ),
            octets: histogram("message_bytes", "Size of messages as received", &OCTETS),
        }
    }
}
