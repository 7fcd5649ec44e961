//! When each organisation is looked at. Each has a clock of its own, so that none waits for
//! what another takes.
//!
//! An organisation that takes long is looked at in a lane of its own kind: there are places for
//! the quick ones that slow ones never hold, but for the short time in which they turn out to be
//! slow.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::names::OrganisationId;

/// How long a look may hold a place among the quick ones. One that takes longer is broken off,
/// and made again among the slow ones.
pub(super) const QUICK: Duration = Duration::from_secs(10);
/// Quick organisations that are looked at together; the questions have limits of their own.
const QUICK_PLACES: usize = 32;
/// The same of slow ones.
const SLOW_PLACES: usize = 16;

/// Among whom an organisation is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lane {
    Quick,
    Slow,
}

impl Lane {
    const ALL: [Self; 2] = [Self::Quick, Self::Slow];

    fn places(self) -> usize {
        match self {
            Self::Quick => QUICK_PLACES,
            Self::Slow => SLOW_PLACES,
        }
    }
}

/// How a look ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// It is over.
    Over,
    /// It is over, and nothing could be concluded or written.
    Failed,
    /// It was broken off, since it took longer than [`QUICK`].
    TooSlow,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    lane: Lane,
    /// When it is to be looked at; while it is looked at, when that was due.
    due: Instant,
    is_running: bool,
    /// Someone wants one more look after the one that is under way.
    again: bool,
}

/// The organisations, and when each is due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: HashMap<OrganisationId, Entry>,
    waiting: [BTreeSet<(Instant, OrganisationId)>; Lane::ALL.len()],
    taken: [usize; Lane::ALL.len()],
}

impl Agenda {
    /// These are the organisations. New ones are due one after another, `apart` from each other;
    /// the others keep their time, and those that are no more are forgotten.
    pub(super) fn set<'a>(
        &mut self,
        organisations: impl Iterator<Item = &'a OrganisationId>,
        now: Instant,
        apart: Duration,
    ) {
        let mut before = std::mem::take(&mut self.entries);
        let mut due = now;
        for id in organisations {
            let entry = before.remove(id).unwrap_or_else(|| {
                let entry = Entry {
                    lane: Lane::Quick,
                    due,
                    is_running: false,
                    again: false,
                };
                self.wait(id, entry);
                due += apart;
                entry
            });
            self.entries.insert(id.clone(), entry);
        }
        for (id, gone) in before {
            self.waiting[gone.lane as usize].remove(&(gone.due, id));
        }
    }

    /// Lets every look be due now; one that is under way is made once more.
    pub(super) fn all_due(&mut self, now: Instant) {
        let all: Vec<OrganisationId> = self.entries.keys().cloned().collect();
        self.due(&all, now);
    }

    /// The same of these.
    pub(super) fn due(&mut self, organisations: &[OrganisationId], now: Instant) {
        let mut entries = std::mem::take(&mut self.entries);
        for id in organisations {
            let Some(entry) = entries.get_mut(id) else {
                continue;
            };
            if entry.is_running {
                entry.again = true;
            } else if entry.due > now {
                self.waiting[entry.lane as usize].remove(&(entry.due, id.clone()));
                entry.due = now;
                self.wait(id, *entry);
            }
        }
        self.entries = entries;
    }

    /// Gives the organisation that is due for longest in a lane with a free place, which it
    /// takes until [`Agenda::ended`].
    pub(super) fn begin(&mut self, now: Instant) -> Option<(OrganisationId, Lane)> {
        for lane in self.free() {
            let waiting = &mut self.waiting[lane as usize];
            if waiting.first().is_none_or(|(due, _)| *due > now) {
                continue;
            }
            let Some((_, id)) = waiting.pop_first() else {
                continue;
            };
            self.taken[lane as usize] += 1;
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_running = true;
            }
            return Some((id, lane));
        }
        None
    }

    /// After a look that began then: the place is free, and the next one is due at `next`, or
    /// at once if it was broken off. None when there is no next one.
    pub(super) fn ended(
        &mut self,
        id: &OrganisationId,
        (lane, begun): (Lane, Instant),
        ended: Ended,
        next: Option<Instant>,
    ) {
        self.taken[lane as usize] -= 1;
        let now = Instant::now();
        // It may have been taken out of the configuration meanwhile.
        let Some(mut entry) = self.entries.get(id).copied() else {
            return;
        };
        entry.is_running = false;
        let is_slow = now.duration_since(begun) > QUICK;
        let next = match ended {
            Ended::TooSlow => {
                entry.lane = Lane::Slow;
                // It is still the look that was due then.
                Some(entry.due)
            }
            Ended::Over | Ended::Failed => {
                entry.lane = if is_slow { Lane::Slow } else { Lane::Quick };
                let again = std::mem::take(&mut entry.again);
                if again { Some(now) } else { next }
            }
        };
        if let Some(due) = next {
            entry.due = due;
            self.wait(id, entry);
        }
        self.entries.insert(id.clone(), entry);
    }

    /// When the next look can begin that waits for its time and not for a place.
    pub(super) fn wake(&self) -> Option<Instant> {
        let first = |lane: Lane| self.waiting[lane as usize].first().map(|(due, _)| *due);
        self.free().filter_map(first).min()
    }

    /// The look that is due for longest and has not begun, or was broken off; and for how long.
    pub(super) fn latest(&self, now: Instant) -> Option<(&OrganisationId, Duration)> {
        let first = self.waiting.iter().filter_map(BTreeSet::first).min()?;
        let (due, id) = first;
        (*due <= now).then(|| (id, now.duration_since(*due)))
    }

    fn free(&self) -> impl Iterator<Item = Lane> + use<> {
        let taken = self.taken;
        Lane::ALL
            .into_iter()
            .filter(move |lane| taken[*lane as usize] < lane.places())
    }

    fn wait(&mut self, id: &OrganisationId, entry: Entry) {
        self.waiting[entry.lane as usize].insert((entry.due, id.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(1);

    fn ids(count: usize) -> Vec<OrganisationId> {
        let id = |number| format!("org{number:03}").parse().unwrap();
        (0..count).map(id).collect()
    }

    fn agenda(count: usize, now: Instant) -> Agenda {
        let mut agenda = Agenda::default();
        agenda.set(ids(count).iter(), now, Duration::ZERO);
        agenda
    }

    fn begin_all(agenda: &mut Agenda, now: Instant) -> Vec<(OrganisationId, Lane)> {
        std::iter::from_fn(|| agenda.begin(now)).collect()
    }

    #[test]
    fn new_ones_are_spread_and_old_ones_keep_their_time() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        let three = ids(3);
        agenda.set(three.iter(), now, EVERY);
        assert_eq!(begin_all(&mut agenda, now).len(), 1);
        assert_eq!(agenda.wake(), Some(now + EVERY));
        agenda.set(ids(2).iter(), now, EVERY);
        assert_eq!(agenda.wake(), Some(now + EVERY));
        assert!(begin_all(&mut agenda, now).is_empty());
        // The third one is gone, and comes back as a new one.
        assert_eq!(begin_all(&mut agenda, now + 3 * EVERY).len(), 1);
        agenda.set(three.iter(), now, EVERY);
        assert_eq!(begin_all(&mut agenda, now).len(), 1);
    }

    #[test]
    fn the_next_look_is_due_whatever_the_others_do() {
        let now = Instant::now();
        let mut agenda = agenda(2, now);
        let begun = begin_all(&mut agenda, now);
        assert_eq!(begun.len(), 2);
        let (quick, lane) = &begun[0];
        // The other one never ends.
        for round in 1..100 {
            let due = now + round * EVERY;
            agenda.ended(quick, (*lane, Instant::now()), Ended::Over, Some(due));
            assert!(begin_all(&mut agenda, due - EVERY / 2).is_empty());
            assert_eq!(begin_all(&mut agenda, due), [(quick.clone(), Lane::Quick)]);
        }
    }

    #[test]
    fn slow_ones_take_no_place_from_quick_ones() {
        let now = Instant::now();
        let mut agenda = agenda(200, now);
        // One after another turns out to be slow, until all do.
        let mut slow = 0;
        while slow < 100 {
            let begun = begin_all(&mut agenda, now);
            let quick = begun.iter().filter(|(_, lane)| *lane == Lane::Quick);
            let quick: Vec<_> = quick.cloned().collect();
            assert_eq!(quick.len(), QUICK_PLACES);
            for (id, lane) in quick {
                agenda.ended(&id, (lane, now), Ended::TooSlow, None);
                slow += 1;
            }
        }
        // All places of the slow are taken, for ever; the quick ones have theirs.
        for _ in 0..10 {
            let begun = begin_all(&mut agenda, now);
            let (quick, slow): (Vec<_>, Vec<_>) = begun
                .into_iter()
                .partition(|(_, lane)| *lane == Lane::Quick);
            assert!(slow.len() <= SLOW_PLACES);
            assert_eq!(quick.len(), QUICK_PLACES);
            for (id, lane) in quick {
                agenda.ended(&id, (lane, Instant::now()), Ended::Over, Some(now));
            }
        }
    }

    #[test]
    fn a_slow_one_that_is_quick_again_goes_back() {
        let now = Instant::now();
        let mut agenda = agenda(1, now);
        let (id, lane) = agenda.begin(now).unwrap();
        agenda.ended(&id, (lane, now), Ended::TooSlow, Some(now + EVERY));
        let (_, lane) = agenda.begin(now).unwrap();
        assert_eq!(lane, Lane::Slow);
        let long_ago = Instant::now().checked_sub(2 * QUICK).unwrap();
        agenda.ended(&id, (lane, long_ago), Ended::Over, Some(now));
        let (_, lane) = agenda.begin(now).unwrap();
        assert_eq!(lane, Lane::Slow);
        agenda.ended(&id, (lane, Instant::now()), Ended::Over, Some(now));
        assert_eq!(agenda.begin(now).unwrap().1, Lane::Quick);
    }

    #[test]
    fn a_wish_lets_everything_be_due_and_what_is_under_way_is_done_again() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        agenda.set(ids(3).iter(), now, EVERY);
        let (first, lane) = agenda.begin(now).unwrap();
        agenda.all_due(now);
        assert_eq!(begin_all(&mut agenda, now).len(), 2);
        agenda.ended(&first, (lane, now), Ended::Over, Some(now + EVERY));
        assert_eq!(agenda.begin(Instant::now()).unwrap().0, first);
        agenda.ended(&first, (lane, now), Ended::Over, Some(now + EVERY));
        assert_eq!(agenda.begin(Instant::now()), None);
    }

    #[test]
    fn the_look_that_is_latest_is_known() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        agenda.set(ids(2).iter(), now, EVERY);
        assert!(agenda.latest(now.checked_sub(EVERY).unwrap()).is_none());
        let (latest, by) = agenda.latest(now + EVERY).unwrap();
        assert_eq!((latest.as_str(), by), ("org000", EVERY));
        let (id, lane) = agenda.begin(now).unwrap();
        assert!(agenda.latest(now).is_none());
        // What was broken off is still to be done.
        agenda.ended(&id, (lane, now), Ended::TooSlow, Some(now + EVERY));
        assert_eq!(agenda.latest(now + EVERY).unwrap().1, EVERY);
    }
}
