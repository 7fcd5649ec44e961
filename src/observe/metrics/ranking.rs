//! Which organisations come first, and how fast their numbers grow, for whoever looks again and
//! again.
//!
//! A rate is a difference between two looks, and who comes first by it is not known before all
//! are compared. So the counters are copied at a look, and the next look is compared with the
//! copy. Nothing is copied while nobody looks; messages never wait for any of this.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::organisations::{Counters, Totals};
use crate::observe::status::{Ask, Order, Rates, Top};

/// Copies that are kept: of 100,000 organisations each has 2.4 MB. When more look on than that,
/// the rates are of a shorter time than between their looks, and still right.
const SAMPLES: usize = 4;
/// A copy that is younger will do.
const APART: Duration = Duration::from_millis(500);

/// The copies, the newest last; at the start there is that of nothing.
#[derive(Debug)]
pub(super) struct Samples(Mutex<Vec<Arc<Sample>>>);

/// The counters of all organisations at one moment.
#[derive(Debug)]
struct Sample {
    number: u64,
    taken: Instant,
    /// In the order of their addresses. Nobody else has the address of one that is gone as long
    /// as it is here.
    counts: Vec<(Weak<Counters>, Totals)>,
}

impl Samples {
    /// The process begins about now.
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![Arc::new(Sample {
            number: 0,
            taken: Instant::now(),
            counts: Vec::new(),
        })]))
    }

    /// The first `count` of these, with their rates, and their counters.
    pub(super) fn top(
        &self,
        mut all: Vec<Arc<Counters>>,
        count: usize,
        ask: &Ask,
    ) -> (Top, Vec<Arc<Counters>>) {
        all.sort_by(|one, other| one.label().cmp(other.label()));
        let taken = Instant::now();
        let totals: Vec<Totals> = all.iter().map(|counters| counters.totals()).collect();
        let (before, sample) = self.before(ask.since, taken, || {
            all.iter()
                .map(Arc::downgrade)
                .zip(totals.iter().copied())
                .collect()
        });
        let mut rows: Vec<(Arc<Counters>, Totals)> = all
            .into_iter()
            .zip(totals)
            .map(|(counters, totals)| {
                let growth = before.growth(&counters, totals);
                (counters, growth)
            })
            .collect();
        let of = rows.len();
        // What is equal stays in the order of the ids.
        rows.sort_by_cached_key(|(counters, growth)| Reverse(rank(ask.by, counters, *growth)));
        rows.truncate(count);
        let seconds = taken.duration_since(before.taken).as_secs_f64().max(0.001);
        let rates = |(counters, growth): &(Arc<Counters>, Totals)| Rates {
            id: counters.label().to_owned(),
            signed_per_second: per_second(growth.signed, seconds),
            unsigned_per_second: per_second(growth.unsigned, seconds),
        };
        let top = Top {
            of,
            sample,
            seconds,
            organisations: rows.iter().map(rates).collect(),
        };
        (
            top,
            rows.into_iter().map(|(counters, _)| counters).collect(),
        )
    }

    /// The newest copy that is not newer than `since`, or else the oldest; and the number of the
    /// newest, which is made now if there is none of about now.
    fn before(
        &self,
        since: Option<u64>,
        now: Instant,
        counts: impl FnOnce() -> Vec<(Weak<Counters>, Totals)>,
    ) -> (Arc<Sample>, u64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old_enough = |sample: &&Arc<Sample>| since.is_none_or(|since| sample.number <= since);
        let before = samples.iter().rev().find(old_enough).unwrap_or(&samples[0]);
        let before = Arc::clone(before);
        let newest = &samples[samples.len() - 1];
        let mut number = newest.number;
        if now.duration_since(newest.taken) >= APART {
            number += 1;
            let mut counts = counts();
            counts.sort_unstable_by_key(|(counters, _)| counters.as_ptr().addr());
            samples.push(Arc::new(Sample {
                number,
                taken: now,
                counts,
            }));
            let surplus = samples.len().saturating_sub(SAMPLES);
            samples.drain(..surplus);
        }
        (before, number)
    }
}

impl Sample {
    /// What has come since. Who is not in the copy has begun after it.
    fn growth(&self, counters: &Arc<Counters>, now: Totals) -> Totals {
        let address = Arc::as_ptr(counters).addr();
        let place = self
            .counts
            .binary_search_by_key(&address, |(counters, _)| counters.as_ptr().addr());
        let before = place.map_or_else(|_| Totals::default(), |place| self.counts[place].1);
        Totals {
            signed: now.signed.saturating_sub(before.signed),
            unsigned: now.unsigned.saturating_sub(before.unsigned),
            kept_back: now.kept_back.saturating_sub(before.kept_back),
        }
    }
}

fn rank(order: Order, counters: &Counters, growth: Totals) -> u64 {
    match order {
        Order::Rate => growth.signed + growth.unsigned,
        Order::Signed => counters.totals().signed,
        Order::Unsigned => counters.totals().unsigned,
        Order::Failures => counters.failures(),
        Order::Hazards => counters.hazards().map(|(_, count)| count).sum(),
        Order::Name => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is for the eye")]
fn per_second(number: u64, seconds: f64) -> f64 {
    number as f64 / seconds
}
