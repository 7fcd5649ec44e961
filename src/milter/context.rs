//! What all connections of one listener share.

use std::sync::Arc;

use super::turns::Turns;
use crate::{
    config::Outbound,
    observe::{
        logging,
        metrics::{Forecast, ListenerMetrics, Metrics, OrganisationMetrics, Outcome},
    },
    organisation::Refusal,
    signer::Decision,
    snapshot::{Snapshot, SnapshotHolder},
};

/// A listener as its sessions see it.
pub(super) struct ListenerContext {
    pub(super) name: String,
    pub(super) outbound: Outbound,
    /// Every message is accepted as it came; what would have become of it is told.
    pub(super) observe: bool,
    pub(super) snapshots: SnapshotHolder,
    pub(super) metrics: ListenerMetrics,
    pub(super) without_organisation: OrganisationMetrics,
    pub(super) all_metrics: Metrics,
    pub(super) turns: Turns,
}

impl ListenerContext {
    /// The snapshot of this moment.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.current()
    }

    /// The counters of the organisation that the message belongs to, if it is one of ours.
    pub(super) fn organisation_metrics(&self, decision: &Decision) -> OrganisationMetrics {
        match &decision.domain {
            Some(domain) => domain.metrics.clone(),
            None => self.without_organisation.clone(),
        }
    }

    /// A message whose beginning was never seen, or was lost to a panic.
    pub(super) fn incomplete_message(&self, queue_id: &str) {
        let (result, would_be) = if self.observe {
            ("observed", Some("tempfailed"))
        } else {
            ("tempfailed", None)
        };
        tracing::error!(
            target: logging::MESSAGES,
            queue_id,
            listener = self.name,
            result,
            reason = Refusal::SigningFailure.as_str(),
            would_be,
            "{result}: the message did not come whole"
        );
        if self.observe {
            return self.metrics.observed(Forecast::Tempfailed, 0);
        }
        self.metrics.message(Outcome::Tempfailed, 0);
    }
}
