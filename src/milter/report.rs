//! What is said of a message when it is done: one log line, always with the same fields
//! (`docs/logging.md`), and the metrics. Never its subject, its body or its recipients, and
//! never who has sent it but the domain.

use std::time::Instant;

use super::context::ListenerContext;
use crate::{
    dkim::{Hazards, VerificationError},
    names::DomainName,
    observe::{
        logging,
        metrics::{Forecast, Outcome},
    },
    organisation::{Action, Refusal},
    signer::{Decision, Refused, Signed},
};

/// Reports on one message.
pub(super) struct Report<'a> {
    pub(super) listener: &'a ListenerContext,
    pub(super) queue_id: &'a str,
    /// When the end of the message came.
    pub(super) begun: Instant,
}

impl Report<'_> {
    pub(super) fn signed(&self, decision: &Decision, signed: &Signed, octets: u64) {
        let metrics = self.listener.organisation_metrics(decision);
        let keys = decision.verdict.as_deref().unwrap_or_default();
        metrics.signed_message();
        for key in keys {
            metrics.signed(&key.selector, key.signing_key.algorithm().as_str());
        }
        self.count_hazards(decision, signed.hazards);
        self.listener.metrics.message(Outcome::Signed, octets);
        let elapsed = self.begun.elapsed();
        self.listener
            .metrics
            .signing_took(elapsed, signed.processor_time);
        self.log(decision, &Line::new("signed").signature());
    }

    pub(super) fn refused(
        &self,
        decision: &Decision,
        refused: Refused,
        (action, octets): (Action, u64),
    ) {
        let metrics = self.listener.organisation_metrics(decision);
        metrics.unsigned(refused.refusal);
        if refused.refusal == Refusal::SigningFailure {
            self.listener.all_metrics.signing_failed();
        }
        self.count_hazards(decision, refused.hazards);
        let (outcome, result) = match action {
            Action::Accept => (Outcome::Unsigned, "unsigned"),
            Action::Tempfail => (Outcome::Tempfailed, "tempfailed"),
            Action::Reject => (Outcome::Rejected, "rejected"),
        };
        self.listener.metrics.message(outcome, octets);
        let reason = refused.refusal.as_str();
        self.log(decision, &Line::new(result).because(reason));
    }

    /// What would have become of a message on a listener that only looks on. The counters of
    /// organisations tell what has become of mail, so that they stay as they are.
    pub(super) fn observed(
        &self,
        decision: &Decision,
        result: Result<(Hazards, Result<(), VerificationError>), Refused>,
        (action, octets): (impl Fn(Refusal) -> Action, u64),
    ) {
        let (forecast, reason) = match &result {
            Ok((_, Ok(()))) => (Forecast::Signed, None),
            Ok((_, Err(error))) => (Forecast::Unverified, Some(error.to_string())),
            Err(refused) => {
                let forecast = match action(refused.refusal) {
                    Action::Accept => Forecast::Unsigned,
                    Action::Tempfail => Forecast::Tempfailed,
                    Action::Reject => Forecast::Rejected,
                };
                (forecast, Some(refused.refusal.to_string()))
            }
        };
        let line = Line {
            with_signature: result.is_ok(),
            reason: reason.as_deref(),
            would_be: Some(forecast.as_str()),
            ..Line::new("observed")
        };
        let hazards = result.map_or_else(|refused| refused.hazards, |(hazards, _)| hazards);
        self.count_hazards(decision, hazards);
        self.listener.metrics.observed(forecast, octets);
        self.log(decision, &line);
    }

    fn log(&self, decision: &Decision, line: &Line<'_>) {
        let keys = decision.verdict.as_deref().unwrap_or_default();
        let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
        let author = decision.author.as_ref().ok().map(DomainName::as_str);
        let domain = decision.domain.as_ref();
        tracing::info!(
            target: logging::MESSAGES,
            queue_id = self.queue_id,
            listener = self.listener.name,
            organisation = domain.map(|domain| domain.organisation.id.as_str()),
            domain = author,
            d = author.filter(|_| line.with_signature),
            s = line.with_signature.then(|| selectors.join(",")),
            result = line.result,
            reason = line.reason,
            would_be = line.would_be,
            milliseconds = self.milliseconds(),
            "{}{}",
            line.result,
            line.would_be.map(|what| format!(": would be {what}")).unwrap_or_default()
        );
    }

    fn count_hazards(&self, decision: &Decision, hazards: Hazards) {
        if hazards.is_empty() {
            return;
        }
        let metrics = self.listener.organisation_metrics(decision);
        for hazard in hazards.iter() {
            metrics.hazard(hazard.as_str());
        }
    }

    fn milliseconds(&self) -> f64 {
        // Three decimals are microseconds: more would be noise.
        (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

/// What a line says besides what every line does.
struct Line<'a> {
    result: &'static str,
    reason: Option<&'a str>,
    /// On a listener that only looks on.
    would_be: Option<&'static str>,
    with_signature: bool,
}

impl<'a> Line<'a> {
    fn new(result: &'static str) -> Self {
        Self {
            result,
            reason: None,
            would_be: None,
            with_signature: false,
        }
    }

    fn signature(self) -> Self {
        Self {
            with_signature: true,
            ..self
        }
    }

    fn because(self, reason: &'a str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }
}
