//! What is said of a message when it is done: one log line, always with the same fields
//! (`docs/logging.md`), and the metrics. Never its subject, its body or its recipients, and
//! never who has sent it but the domain.

use tokio::time::Instant;

use super::service::ListenerContext;
use crate::{
    dkim::{Hazards, VerificationError},
    names::DomainName,
    observe::{
        logging,
        metrics::{Forecast, OrganisationMetrics, Outcome},
    },
    organisation::{Action, Policy, Refusal},
    signer::{Decision, Refused, Signed},
};

/// Reports on one message.
pub(super) struct Report<'a> {
    pub(super) listener: &'a ListenerContext,
    pub(super) queue_id: &'a str,
    /// When the message was complete.
    pub(super) complete: Instant,
}

/// What a message that is signed in secret shows, on a listener that only looks on.
pub(super) struct Rehearsal {
    pub(super) hazards: Hazards,
    /// Whether every signature verifies.
    pub(super) verified: Result<(), VerificationError>,
}

impl Report<'_> {
    pub(super) fn signed(&self, decision: &Decision, signed: &Signed, octets: u64) {
        let metrics = self.organisation_metrics(decision);
        for key in decision.verdict.as_deref().unwrap_or_default() {
            metrics.signed(&key.selector, key.signing_key.algorithm().as_str());
        }
        // Last: who reads it meanwhile finds no message without its signatures.
        metrics.signed_message();
        self.count_hazards(decision, signed.hazards);
        let listener = &self.listener.metrics;
        listener.message(Outcome::Signed, octets);
        listener.signing_took(self.complete.elapsed(), signed.processor_time);
        let line = Line {
            with_signature: true,
            ..Line::new("signed")
        };
        self.log(decision, &line);
    }

    pub(super) fn refused(
        &self,
        decision: &Decision,
        refused: Refused,
        action: Action,
        octets: u64,
    ) {
        let metrics = self.organisation_metrics(decision);
        metrics.unsigned(refused.refusal);
        metrics.kept_back(refused.refusal, action);
        if refused.refusal == Refusal::SigningFailure {
            self.listener.all_metrics.signing_failed();
        }
        self.count_hazards(decision, refused.hazards);
        let outcome = match action {
            Action::Accept => Outcome::Unsigned,
            Action::Tempfail => Outcome::Tempfailed,
            Action::Reject => Outcome::Rejected,
        };
        self.listener.metrics.message(outcome, octets);
        let line = Line {
            reason: Some(refused.refusal.as_str()),
            ..Line::new(outcome.as_str())
        };
        self.log(decision, &line);
    }

    /// What would have become of a message on a listener that only looks on. It is counted beside
    /// what has become of mail.
    pub(super) fn observed(
        &self,
        decision: &Decision,
        policy: Policy,
        result: Result<Rehearsal, Refused>,
        octets: u64,
    ) {
        let with_signature = result.is_ok();
        let refusal = result.as_ref().err().map(|refused| refused.refusal);
        let (forecast, reason, hazards) = match result {
            Ok(Rehearsal { hazards, verified }) => match verified {
                Ok(()) => (Forecast::Signed, None, hazards),
                Err(error) => (Forecast::Unverified, Some(error.to_string()), hazards),
            },
            Err(Refused { refusal, hazards }) => {
                let forecast = match policy.action(refusal) {
                    Action::Accept => Forecast::Unsigned,
                    Action::Tempfail => Forecast::Tempfailed,
                    Action::Reject => Forecast::Rejected,
                };
                (forecast, Some(refusal.to_string()), hazards)
            }
        };
        self.count_hazards(decision, hazards);
        self.listener.metrics.observed(forecast, octets);
        self.organisation_metrics(decision)
            .observed(forecast, refusal);
        let line = Line {
            with_signature,
            reason: reason.as_deref(),
            would_be: Some(forecast.as_str()),
            ..Line::new("observed")
        };
        self.log(decision, &line);
    }

    fn log(&self, decision: &Decision, line: &Line<'_>) {
        let keys = decision.verdict.as_deref().unwrap_or_default();
        let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
        let author = decision.author.as_ref().ok().map(DomainName::as_str);
        let domain = decision.domain.as_ref();
        // Three decimals of a millisecond: more would be noise.
        let milliseconds = (self.complete.elapsed().as_secs_f64() * 1e6).round() / 1e3;
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
            milliseconds,
            "{}{}",
            line.result,
            line.would_be.map(|what| format!(": would be {what}")).unwrap_or_default()
        );
    }

    fn count_hazards(&self, decision: &Decision, hazards: Hazards) {
        if hazards.is_empty() {
            return;
        }
        let metrics = self.organisation_metrics(decision);
        for hazard in hazards.iter() {
            metrics.hazard(hazard.as_str());
        }
    }

    /// The counters of the organisation that the message belongs to, if it is one of ours.
    fn organisation_metrics<'a>(&'a self, decision: &'a Decision) -> &'a OrganisationMetrics {
        match &decision.domain {
            Some(domain) => &domain.metrics,
            None => &self.listener.without_organisation,
        }
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

impl Line<'_> {
    fn new(result: &'static str) -> Self {
        Self {
            result,
            reason: None,
            would_be: None,
            with_signature: false,
        }
    }
}

/// Reports on a message whose beginning was never seen, or that was lost to a panic.
pub(super) fn report_incomplete(listener: &ListenerContext, queue_id: &str) {
    let (result, would_be) = if listener.observe {
        ("observed", Some("tempfailed"))
    } else {
        ("tempfailed", None)
    };
    tracing::error!(
        target: logging::MESSAGES,
        queue_id,
        listener = listener.name,
        result,
        reason = Refusal::SigningFailure.as_str(),
        would_be,
        "{result}: the message did not come whole"
    );
    if listener.observe {
        return listener.metrics.observed(Forecast::Tempfailed, 0);
    }
    listener.metrics.message(Outcome::Tempfailed, 0);
}
