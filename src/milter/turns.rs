//! Large messages take turns, so that small ones need not wait behind a crowd of them.
//!
//! A small message is a fraction of a millisecond of work. A large one goes on for many
//! reads, and a dozen of them at once would each have their piece before a small one has
//! its only one. So what goes beyond [`LARGE_OCTETS`] is worked off under a permit, of which
//! there are as many as processors: whoever else is ready waits for one piece, not for one
//! of each large message. Those who wait are served in the order in which they came, and
//! there are never more of them than connections.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::observe::metrics::Metrics;

/// A message that is larger than this takes turns.
pub(super) const LARGE_OCTETS: usize = 256 * 1024;

/// The turns of a process, shared by all of its listeners.
#[derive(Clone)]
pub struct Turns {
    permits: Arc<Semaphore>,
    metrics: Metrics,
}

/// The right to work on a large message; never held while waiting for a peer.
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Turns {
    /// One turn at a time for each processor; who waits is counted in the metrics.
    pub fn new(metrics: Metrics) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            permits: Arc::new(Semaphore::new(processors)),
            metrics,
        }
    }

    /// Waits for a turn. Gives none only if there are no turns any more, which is never.
    pub(super) async fn next(&self) -> Option<Turn> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(Turn(permit));
        }
        let _waiting = self.metrics.waits_for_turn();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.ok().map(Turn)
    }
}
