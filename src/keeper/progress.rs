//! Whether the looks keep up: when all organisations have been looked at once more, and by how
//! much the latest look is late.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::agenda::QUICK;
use crate::{names::OrganisationId, observe::metrics::keeper::KeeperMetrics};

/// How the looks come along.
#[derive(Debug)]
pub(super) struct Progress {
    /// Those that were not looked at since then.
    missing: (HashSet<OrganisationId>, Instant),
    /// Whether it was said that looks are late.
    is_late: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            missing: (HashSet::new(), Instant::now()),
            is_late: false,
        }
    }

    /// Waits until each of these was looked at.
    pub(super) fn count_anew(&mut self, ids: impl Iterator<Item = OrganisationId>) {
        self.missing = (ids.collect(), Instant::now());
    }

    /// Waits no longer for those that are no more; gives whether there is nobody to wait for.
    pub(super) fn retain(&mut self, keep: impl Fn(&OrganisationId) -> bool) -> bool {
        self.missing.0.retain(|id| keep(id));
        self.missing.0.is_empty()
    }

    /// Tells when all of so many have been looked at once more, and gives whether that is so.
    pub(super) fn is_seen(&mut self, id: &OrganisationId, organisations: usize) -> bool {
        let (missing, since) = &mut self.missing;
        let is_last = missing.remove(id) && missing.is_empty();
        if is_last {
            tracing::info!(
                organisations,
                seconds = since.elapsed().as_secs(),
                "all organisations have been looked at"
            );
        }
        is_last
    }

    /// Shows by how much the latest look is late, and says so when that is too much.
    pub(super) fn watch(
        &mut self,
        latest: Option<(&OrganisationId, Duration)>,
        check_every: Duration,
        metrics: &KeeperMetrics,
    ) {
        let late = latest.map_or(Duration::ZERO, |(_, late)| late);
        metrics.late(late);
        let is_late = late > check_every.max(QUICK);
        if let (Some((organisation, _)), true, false) = (latest, is_late, self.is_late) {
            tracing::warn!(
                organisation = organisation.as_str(),
                seconds = late.as_secs(),
                "looks at the DNS are late: see `zegel_keeper_late_seconds` in docs/metrics.md"
            );
        } else if self.is_late && !is_late {
            tracing::info!("looks at the DNS are in time again");
        }
        self.is_late = is_late;
    }
}
