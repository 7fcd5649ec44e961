//! How much was signed in each of the last 24 hours, by organisation.
//!
//! The counters are read once a minute; messages know nothing of it. An organisation takes
//! some 400 octets here, and only once it had mail.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::{names::OrganisationId, observe::metrics::Totals};

/// Hours that are kept.
pub(super) const HOURS: usize = 24;
const SECONDS: i64 = 60 * 60;

/// Numbers of messages in one hour.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Hour {
    pub(super) signed: u32,
    /// Those that were not signed, whatever became of them.
    pub(super) unsigned: u32,
    /// Of those, how many were put off or rejected.
    pub(super) kept_back: u32,
}

impl Hour {
    /// Those that left without a signature.
    pub(super) fn left(self) -> u32 {
        self.unsigned.saturating_sub(self.kept_back)
    }
}

/// The last 24 hours, of which the last has only begun.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Day(pub(super) [Hour; HOURS]);

impl Day {
    pub(super) fn totals(&self) -> Totals {
        let sum = |part: fn(&Hour) -> u32| self.0.iter().map(|hour| u64::from(part(hour))).sum();
        Totals {
            signed: sum(|hour| hour.signed),
            unsigned: sum(|hour| hour.unsigned),
            kept_back: sum(|hour| hour.kept_back),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<HashMap<OrganisationId, Ring>>);

/// The hours of one organisation; each has its place for good.
#[derive(Clone, Debug, Default)]
struct Ring {
    /// The last hour that anything was added to, counted from 1970.
    hour: i64,
    hours: [Hour; HOURS],
    /// The counters as they were last read.
    read: Totals,
}

impl History {
    /// Adds what the counters have grown by to this hour. Organisations that are not among
    /// them are forgotten. The counters are read when nobody else adds theirs: older ones
    /// behind newer ones would look as if they had begun anew.
    pub(super) fn sample(
        &self,
        now: Timestamp,
        totals: impl FnOnce() -> Vec<(OrganisationId, Totals)>,
    ) {
        let hour = now.as_second().div_euclid(SECONDS);
        let mut rings = self.lock();
        let totals = totals();
        if rings.len() > totals.len() {
            let known: std::collections::HashSet<_> = totals.iter().map(|(id, _)| id).collect();
            rings.retain(|id, _| known.contains(id));
        }
        for (id, totals) in totals {
            rings.entry(id).or_default().add(hour, totals);
        }
    }

    /// The last 24 hours of an organisation, the oldest first; of one without mail nothing.
    pub(super) fn day(&self, id: &OrganisationId, now: Timestamp) -> Day {
        let hour = now.as_second().div_euclid(SECONDS);
        self.lock()
            .get(id)
            .map_or_else(Day::default, |ring| ring.day(hour))
    }

    /// The same of all that had mail.
    pub(super) fn days(&self, now: Timestamp) -> HashMap<OrganisationId, Day> {
        let hour = now.as_second().div_euclid(SECONDS);
        self.lock()
            .iter()
            .map(|(id, ring)| (id.clone(), ring.day(hour)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrganisationId, Ring>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them together.
pub(super) fn sum<'a>(days: impl Iterator<Item = &'a Day>) -> Day {
    let mut sum = Day::default();
    for day in days {
        for (all, one) in sum.0.iter_mut().zip(day.0) {
            all.signed = all.signed.saturating_add(one.signed);
            all.unsigned = all.unsigned.saturating_add(one.unsigned);
            all.kept_back = all.kept_back.saturating_add(one.kept_back);
        }
    }
    sum
}

impl Ring {
    fn add(&mut self, hour: i64, totals: Totals) {
        self.advance(hour);
        let grown = Totals {
            signed: growth(self.read.signed, totals.signed),
            unsigned: growth(self.read.unsigned, totals.unsigned),
            kept_back: growth(self.read.kept_back, totals.kept_back),
        };
        self.read = totals;
        let now = &mut self.hours[place(self.hour)];
        now.signed = now.signed.saturating_add(small(grown.signed));
        now.unsigned = now.unsigned.saturating_add(small(grown.unsigned));
        now.kept_back = now.kept_back.saturating_add(small(grown.kept_back));
    }

    /// Empties the places of the hours that have passed. A clock that goes back a little stays
    /// in the hour that it had reached; behind one that was far ahead all begins anew.
    fn advance(&mut self, hour: i64) {
        if hour < self.hour - 1 {
            self.hours = Default::default();
            self.hour = hour;
        }
        let passed = hour.saturating_sub(self.hour).max(0);
        for step in 1..=passed.min(LAST + 1) {
            self.hours[place(self.hour + step)] = Hour::default();
        }
        self.hour = self.hour.max(hour);
    }

    fn day(&self, hour: i64) -> Day {
        let mut ring = self.clone();
        ring.advance(hour);
        let oldest = ring.hour - LAST;
        let mut day = Day::default();
        for (number, slot) in (oldest..).zip(&mut day.0) {
            *slot = ring.hours[place(number)];
        }
        day
    }
}

/// The distance between the oldest and the last hour.
const LAST: i64 = 23;

fn place(hour: i64) -> usize {
    // The remainder is 0 to 23.
    usize::try_from(hour.rem_euclid(LAST + 1)).unwrap_or(0)
}

/// A counter that is smaller than before has begun anew.
fn growth(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In some 8,000 years.
    const FAR: i64 = 70_000_000;

    fn totals(signed: u64, unsigned: u64) -> Totals {
        Totals {
            signed,
            unsigned,
            kept_back: 0,
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * SECONDS + 59).unwrap()
    }

    fn signed(day: &Day) -> Vec<u32> {
        day.0.iter().map(|hour| hour.signed).collect()
    }

    #[test]
    fn what_was_counted_falls_into_its_hour_and_out_of_the_day() {
        let history = History::default();
        let id: OrganisationId = "a".parse().unwrap();
        let sample = |hour, signed, unsigned| {
            history.sample(at(hour), || vec![(id.clone(), totals(signed, unsigned))]);
        };
        sample(1000, 5, 1);
        sample(1000, 7, 1);
        sample(1002, 10, 4);
        let day = history.day(&id, at(1002));
        assert_eq!(signed(&day)[HOURS - 3..], [7, 0, 3]);
        assert_eq!(day.totals(), totals(10, 4));
        // 21 hours later the first is the oldest, then it is gone, and then all is.
        assert_eq!(signed(&history.day(&id, at(1023)))[0], 7);
        assert_eq!(history.day(&id, at(1024)).totals(), totals(3, 3));
        assert_eq!(history.day(&id, at(1024)).0[1].unsigned, 3);
        assert_eq!(history.day(&id, at(9999)).totals(), totals(0, 0));
        assert_eq!(sum([&day, &day].into_iter()).totals(), totals(20, 8));
    }

    #[test]
    fn what_was_put_off_did_not_leave_unsigned() {
        let history = History::default();
        let id: OrganisationId = "a".parse().unwrap();
        let kept_back = Totals {
            kept_back: 3,
            ..totals(5, 4)
        };
        history.sample(at(1000), || vec![(id.clone(), kept_back)]);
        let day = history.day(&id, at(1000));
        assert_eq!(day.totals(), kept_back);
        assert_eq!(day.0[HOURS - 1].left(), 1);
    }

    #[test]
    fn clocks_and_counters_that_go_back_do_no_harm() {
        let history = History::default();
        let id: OrganisationId = "a".parse().unwrap();
        let sample = |hour, signed| {
            history.sample(at(hour), || vec![(id.clone(), totals(signed, 0))]);
        };
        sample(1000, 5);
        sample(990, 6);
        // Far back: what was before is of a time that was never.
        assert_eq!(history.day(&id, at(990)).totals(), totals(1, 0));
        sample(1001, 2);
        assert_eq!(history.day(&id, at(1001)).0[HOURS - 1].signed, 2);
        sample(FAR, 3);
        assert_eq!(history.day(&id, at(FAR)).totals(), totals(1, 0));
    }

    #[test]
    fn organisations_that_are_gone_are_forgotten() {
        let history = History::default();
        let ids: Vec<OrganisationId> = ["a", "b"].map(|id| id.parse().unwrap()).to_vec();
        let both: Vec<_> = ids.iter().map(|id| (id.clone(), totals(1, 1))).collect();
        history.sample(at(1), || both.clone());
        history.sample(at(1), || both[1..].to_vec());
        assert_eq!(history.days(at(1)).len(), 1);
        assert_eq!(history.day(&ids[0], at(1)), Day::default());
    }

    #[test]
    fn a_ring_is_small() {
        assert!(size_of::<Ring>() <= 320, "{}", size_of::<Ring>());
    }
}
