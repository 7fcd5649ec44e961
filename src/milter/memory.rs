//! A bound for the memory that all connections together hold of messages that have not come
//! whole: header sections, and frames of which a part has come.
//!
//! Each connection may hold [`OWN_OCTETS`], more than an MTA shows of nearly any message. What
//! is beyond that comes out of one pool for all connections, `limits.header_memory`. So peers
//! that send huge header sections and never end them take the pool from each other, and from
//! nobody whose header section is of a usual size.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use crate::observe::metrics::Metrics;

/// What every connection may hold, whatever others do.
pub(super) const OWN_OCTETS: usize = 64 * 1024;

/// The pool of a process, shared by all of its listeners.
#[derive(Clone)]
pub struct HeaderMemory(Arc<Inner>);

struct Inner {
    /// What all connections hold beyond their own.
    held: AtomicUsize,
    /// Whether the log was told that the pool is empty, since it was last half full.
    is_told: AtomicBool,
    metrics: Metrics,
}

/// What one connection has of the pool. It is given back when this is dropped.
pub(super) struct Share {
    memory: HeaderMemory,
    held: usize,
    limit: usize,
}

impl HeaderMemory {
    /// A pool of which nothing is taken. The metrics show what is.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            held: AtomicUsize::new(0),
            is_told: AtomicBool::new(false),
            metrics,
        }))
    }

    /// For a connection, for which the pool has `limit` octets.
    pub(super) fn share(&self, limit: usize) -> Share {
        Share {
            memory: self.clone(),
            held: 0,
            limit,
        }
    }
}

impl Inner {
    fn take(&self, octets: usize, limit: usize) -> bool {
        let more = |held: usize| held.checked_add(octets).filter(|sum| *sum <= limit);
        let taken = self.held.fetch_update(Relaxed, Relaxed, more).is_ok();
        if taken {
            self.metrics.header_memory_taken(octets);
        } else if !self.is_told.swap(true, Relaxed) {
            tracing::warn!(
                "limits.header_memory ({limit} octets) is reached: messages whose header section \
                 is larger than {OWN_OCTETS} octets are put off until others are complete"
            );
        }
        taken
    }

    fn give_back(&self, octets: usize, limit: usize) {
        if octets == 0 {
            return;
        }
        let before = self.held.fetch_sub(octets, Relaxed);
        self.metrics.header_memory_given_back(octets);
        if before - octets < limit / 2 {
            self.is_told.store(false, Relaxed);
        }
    }
}

impl Share {
    /// The connection holds so many octets now; false if that is too much, and then it has to
    /// let go of some.
    pub(super) fn hold(&mut self, octets: usize) -> bool {
        let beyond = octets.saturating_sub(OWN_OCTETS);
        let pool = &self.memory.0;
        if beyond > self.held {
            if !pool.take(beyond - self.held, self.limit) {
                return false;
            }
        } else {
            pool.give_back(self.held - beyond, self.limit);
        }
        self.held = beyond;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.give_back(self.held, self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_own_comes_out_of_one_pool() {
        let metrics = Metrics::new();
        let memory = HeaderMemory::new(metrics.clone());
        let shown = |octets: usize| {
            let line = format!("zegel_header_memory_bytes {octets}\n");
            let page = metrics.render().unwrap();
            assert!(page.contains(&line), "{line}{page}");
        };
        let [mut one, mut other] = [memory.share(100), memory.share(100)];
        assert!(one.hold(OWN_OCTETS) && other.hold(0));
        shown(0);
        assert!(one.hold(OWN_OCTETS + 70));
        shown(70);
        // What was refused is not counted.
        assert!(!other.hold(OWN_OCTETS + 31));
        shown(70);
        assert!(other.hold(OWN_OCTETS + 30));
        shown(100);
        assert!(!one.hold(OWN_OCTETS + 71) && !one.hold(usize::MAX));
        // Whoever has nothing of it needs nothing.
        let mut third = memory.share(100);
        assert!(third.hold(OWN_OCTETS));
        assert!(!third.hold(OWN_OCTETS + 1));
        assert!(one.hold(1));
        shown(30);
        assert!(third.hold(OWN_OCTETS + 70));
        drop(other);
        shown(70);
        drop(third);
        shown(0);
        // A reload made the pool smaller for connections to come; the others have theirs.
        assert!(one.hold(OWN_OCTETS + 100));
        assert!(!memory.share(10).hold(OWN_OCTETS + 1));
        drop(one);
        shown(0);
    }
}
