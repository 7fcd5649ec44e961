//! What is said of a message when it is done: one log line and the metrics. Never its
//! subject, its body or its recipients.

use std::time::Instant;

use super::{
    context::ListenerContext,
    decision::Decision,
    signing::{Refused, Signed},
};
use crate::{
    dkim::{Hazards, VerificationError},
    observe::metrics::{Forecast, Outcome},
    organisation::{Action, Refusal},
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
        for key in keys {
            metrics.signed(&key.selector, key.signing_key.algorithm().as_str());
        }
        self.count_hazards(decision, signed.hazards);
        self.listener.metrics.message(Outcome::Signed, octets);
        let elapsed = self.begun.elapsed();
        self.listener
            .metrics
            .signing_took(elapsed, signed.processor_time);
        let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
        tracing::info!(
            queue_id = self.queue_id,
            listener = self.listener.name,
            organisation = organisation(decision),
            d = author(decision),
            s = selectors.join(","),
            milliseconds = self.milliseconds(),
            "signed"
        );
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
        tracing::info!(
            queue_id = self.queue_id,
            listener = self.listener.name,
            organisation = organisation(decision),
            domain = author(decision),
            reason = refused.refusal.as_str(),
            milliseconds = self.milliseconds(),
            "{result}"
        );
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
            Ok((_, Ok(()))) => (Forecast::Signed, String::new()),
            Ok((_, Err(error))) => (Forecast::Unverified, error.to_string()),
            Err(refused) => {
                let forecast = match action(refused.refusal) {
                    Action::Accept => Forecast::Unsigned,
                    Action::Tempfail => Forecast::Tempfailed,
                    Action::Reject => Forecast::Rejected,
                };
                (forecast, refused.refusal.to_string())
            }
        };
        let hazards = result.map_or_else(|refused| refused.hazards, |(hazards, _)| hazards);
        self.count_hazards(decision, hazards);
        self.listener.metrics.observed(forecast, octets);
        let keys = decision.verdict.as_deref().unwrap_or_default();
        let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
        tracing::info!(
            queue_id = self.queue_id,
            listener = self.listener.name,
            organisation = organisation(decision),
            domain = author(decision),
            s = selectors.join(","),
            reason,
            milliseconds = self.milliseconds(),
            "observed: would be {}",
            forecast.as_str()
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

fn organisation(decision: &Decision) -> &str {
    decision
        .domain
        .as_ref()
        .map_or("", |domain| domain.organisation.id.as_str())
}

fn author(decision: &Decision) -> &str {
    decision
        .author
        .as_ref()
        .map_or("", |author| author.as_str())
}
