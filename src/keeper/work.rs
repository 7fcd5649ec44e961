//! One look at one organisation, from the first question to what the log says of it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    task,
    time::{Instant, timeout},
};

use super::{
    agenda::{Ended, Lane, QUICK},
    check::{Checked, Checker, Outcome},
    clock::Look,
    journal::Journal,
    leads::LeadSeen,
    policies::{Policies, PolicyLook},
};
use crate::{
    config::{Claims, situation},
    dns::{Finding, Pace, RelayPart, Round},
    keys::{Pending, Timing},
    observe::metrics::keeper::KeeperMetrics,
    organisation::Organisation,
};

/// Whether a look found what someone should look at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Attention {
    NotNeeded,
    Needed,
}

/// What came of a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) ended: Ended,
    pub(super) attention: Attention,
    /// What waits after a look that is over.
    pub(super) pending: Option<Pending>,
}

impl Done {
    fn too_slow() -> Self {
        Self {
            ended: Ended::TooSlow,
            attention: Attention::NotNeeded,
            pending: None,
        }
    }

    /// By a mistake of ours.
    pub(super) fn broken_off() -> Self {
        Self {
            ended: Ended::Failed,
            attention: Attention::Needed,
            pending: None,
        }
    }
}

/// What a look needs.
pub(super) struct Work {
    pub(super) organisation: Arc<Organisation>,
    pub(super) claims: Arc<Claims>,
    pub(super) timing: Timing,
    pub(super) look: Look,
    pub(super) round: Arc<Round>,
    pub(super) checker: Arc<Checker>,
    pub(super) metrics: KeeperMetrics,
    pub(super) journal: Arc<Journal>,
    pub(super) policies: Arc<Policies>,
    /// What the SPF records of customers must have.
    pub(super) part: Arc<RelayPart>,
    /// Whether a command asks for this look.
    pub(super) is_asked: bool,
}

impl Work {
    /// Looks, does what is due, and says so. Among the quick ones it gives up in time, and has
    /// then done nothing.
    pub(super) async fn make(self, lane: Lane) -> Done {
        let begun = Instant::now();
        let (organisation, timing) = (&self.organisation, &self.timing);
        let pace = match lane {
            Lane::Quick => Pace::Quick,
            Lane::Slow => Pace::Slow,
        };
        let looking = self.checker.look(organisation, timing, (&self.round, pace));
        let seen = match lane {
            Lane::Slow => looking.await,
            Lane::Quick => match timeout(QUICK, looking).await {
                Ok(seen) => seen,
                Err(_) => return Done::too_slow(),
            },
        };
        let took = begun.elapsed();
        let moment = self.look.by_now();
        let outcome = seen.and_then(|seen| {
            let checker = &self.checker;
            task::block_in_place(|| {
                checker.conclude(organisation, &self.claims, timing, moment, seen)
            })
        });
        let (ended, pending) = match &outcome {
            Ok(checked) => {
                let keyring = &checked.keyring;
                let situation = situation(organisation, keyring, &checked.away, timing);
                (Ended::Over, situation.pending())
            }
            Err(_) => (Ended::Failed, None),
        };
        let seen = outcome
            .as_ref()
            .ok()
            .map(|checked| (checked.findings.clone(), checked.leads.clone()));
        let attention = self.report(outcome, took);
        if let Some((findings, leads)) = seen {
            self.look_at_policies((&findings, &leads), lane).await;
        }
        Done {
            ended,
            attention,
            pending,
        }
    }

    /// What is said of the organisation elsewhere; its keys go their way without it.
    async fn look_at_policies(&self, (findings, leads): (&[Finding], &[LeadSeen]), lane: Lane) {
        let look = PolicyLook {
            organisation: &self.organisation,
            part: &self.part,
            below: self.claims.below(),
            timing: &self.timing,
            findings,
            leads,
            is_asked: self.is_asked,
        };
        if let Err(error) = self.policies.look(&look, &self.round, lane).await {
            tracing::warn!("what was seen of the DNS can't be kept: {error}");
        }
    }

    /// Says what a check found.
    fn report(&self, outcome: Outcome, took: Duration) -> Attention {
        let Self {
            organisation,
            timing,
            metrics,
            journal,
            ..
        } = self;
        match outcome {
            Ok(checked) => {
                let facts = checked.facts(organisation, timing, (Timestamp::now(), took));
                metrics.checked(facts);
                if checked.is_over_budget() {
                    metrics.over_budget();
                }
                journal.checked(&organisation.id, &checked);
                self.note_alarms(&checked);
                if checked.needs_attention() {
                    Attention::Needed
                } else {
                    Attention::NotNeeded
                }
            }
            Err(error) => {
                metrics.failed();
                journal.failed(&organisation.id, &error);
                Attention::Needed
            }
        }
    }

    /// Writes down which alarms began and which are over; they count all the same if it can't.
    fn note_alarms(&self, checked: &Checked) {
        let id = &self.organisation.id;
        let alarms = &self.checker.alarms;
        let noted = task::block_in_place(|| alarms.looked(id, &checked.alarms, Timestamp::now()));
        if let Err(error) = noted {
            tracing::warn!(
                organisation = id.as_str(),
                "alarms are not written down: {error}"
            );
        }
    }
}
