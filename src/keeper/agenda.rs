//! When each organisation is looked at. Each has a clock of its own, so that none waits for
//! what another takes.
//!
//! Those in which something waits go first, and hold at most half of the places: however many they
//! are, the others have theirs.
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

/// Whether something waits in an organisation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Priority {
    /// Something does: a new key, or a wish of someone.
    Waiting,
    /// All is well.
    Usual,
}

impl Priority {
    const ALL: [Self; 2] = [Self::Waiting, Self::Usual];
}

/// What a look holds for as long as it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) lane: Lane,
    pub(super) priority: Priority,
}

impl Place {
    /// All kinds of them, in the order in which they are given.
    fn all() -> impl Iterator<Item = Self> {
        let of = |lane: Lane| Priority::ALL.map(|priority| Self { lane, priority });
        Lane::ALL.into_iter().flat_map(of)
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
    place: Place,
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
    waiting: [[BTreeSet<(Instant, OrganisationId)>; Priority::ALL.len()]; Lane::ALL.len()],
    taken: [[usize; Priority::ALL.len()]; Lane::ALL.len()],
}

impl Agenda {
    /// These are the organisations. `first` says when new ones are due; the others keep their
    /// time, and those that are no more are forgotten.
    pub(super) fn set<'a>(
        &mut self,
        organisations: impl Iterator<Item = &'a OrganisationId>,
        mut first: impl FnMut(&OrganisationId) -> (Priority, Instant),
    ) {
        let mut before = std::mem::take(&mut self.entries);
        for id in organisations {
            let entry = before.remove(id).unwrap_or_else(|| {
                let (priority, due) = first(id);
                let lane = Lane::Quick;
                let entry = Entry {
                    place: Place { lane, priority },
                    due,
                    is_running: false,
                    again: false,
                };
                self.wait(id, entry);
                entry
            });
            self.entries.insert(id.clone(), entry);
        }
        for (id, gone) in before {
            self.queue(gone.place).remove(&(gone.due, id));
        }
    }

    /// Lets every look be due now; one that is under way is made once more.
    pub(super) fn all_due(&mut self, now: Instant) {
        let all: Vec<OrganisationId> = self.entries.keys().cloned().collect();
        for id in all {
            self.advance(&id, now, |priority| priority);
        }
    }

    /// The same of this one, before those in which nothing waits.
    pub(super) fn hurry(&mut self, id: &OrganisationId, now: Instant) {
        self.advance(id, now, |_| Priority::Waiting);
    }

    fn advance(
        &mut self,
        id: &OrganisationId,
        now: Instant,
        priority: impl Fn(Priority) -> Priority,
    ) {
        let Some(mut entry) = self.entries.get(id).copied() else {
            return;
        };
        if entry.is_running {
            entry.again = true;
        } else {
            self.queue(entry.place).remove(&(entry.due, id.clone()));
            entry.due = entry.due.min(now);
            entry.place.priority = priority(entry.place.priority);
            self.wait(id, entry);
        }
        self.entries.insert(id.clone(), entry);
    }

    /// Gives the organisation that is due for longest where a place is free, which it takes until
    /// [`Agenda::ended`].
    pub(super) fn begin(&mut self, now: Instant) -> Option<(OrganisationId, Place)> {
        for place in self.free() {
            let waiting = self.queue(place);
            if waiting.first().is_none_or(|(due, _)| *due > now) {
                continue;
            }
            let Some((_, id)) = waiting.pop_first() else {
                continue;
            };
            self.taken[place.lane as usize][place.priority as usize] += 1;
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_running = true;
            }
            return Some((id, place));
        }
        None
    }

    /// After a look that began then: the place is free, and the next one is due as `next` says, or
    /// at once if it was broken off. None when there is no next one.
    pub(super) fn ended(
        &mut self,
        id: &OrganisationId,
        (place, begun): (Place, Instant),
        ended: Ended,
        next: Option<(Priority, Instant)>,
    ) {
        self.taken[place.lane as usize][place.priority as usize] -= 1;
        let now = Instant::now();
        // It may have been taken out of the configuration meanwhile.
        let Some(mut entry) = self.entries.get(id).copied() else {
            return;
        };
        entry.is_running = false;
        let is_slow = now.duration_since(begun) > QUICK;
        let next = match ended {
            Ended::TooSlow => {
                entry.place.lane = Lane::Slow;
                // It is still the look that was due then.
                Some((place.priority, entry.due))
            }
            Ended::Over | Ended::Failed => {
                entry.place.lane = if is_slow { Lane::Slow } else { Lane::Quick };
                let again = std::mem::take(&mut entry.again);
                if again {
                    Some((Priority::Waiting, now))
                } else {
                    next
                }
            }
        };
        if let Some((priority, due)) = next {
            entry.place.priority = priority;
            entry.due = due;
            self.wait(id, entry);
        }
        self.entries.insert(id.clone(), entry);
    }

    /// When the next look can begin that waits for its time and not for a place.
    pub(super) fn wake(&self) -> Option<Instant> {
        let first = |place: Place| {
            let waiting = &self.waiting[place.lane as usize][place.priority as usize];
            waiting.first().map(|(due, _)| *due)
        };
        self.free().filter_map(first).min()
    }

    /// The look that is due for longest and has not begun, or was broken off; and for how long.
    pub(super) fn latest(&self, now: Instant) -> Option<(&OrganisationId, Duration)> {
        let waiting = self.waiting.iter().flatten();
        let (due, id) = waiting.filter_map(BTreeSet::first).min()?;
        (*due <= now).then(|| (id, now.duration_since(*due)))
    }

    fn free(&self) -> impl Iterator<Item = Place> + use<> {
        let taken = self.taken;
        Place::all().filter(move |place| {
            let taken = taken[place.lane as usize];
            let places = place.lane.places();
            let own = match place.priority {
                Priority::Waiting => taken[place.priority as usize] < places / 2,
                Priority::Usual => true,
            };
            own && taken.iter().sum::<usize>() < places
        })
    }

    fn queue(&mut self, place: Place) -> &mut BTreeSet<(Instant, OrganisationId)> {
        &mut self.waiting[place.lane as usize][place.priority as usize]
    }

    fn wait(&mut self, id: &OrganisationId, entry: Entry) {
        self.queue(entry.place).insert((entry.due, id.clone()));
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
        set(&mut agenda, &ids(count), now, Duration::ZERO);
        agenda
    }

    /// All is well, and new ones are due `apart` from each other.
    fn set(agenda: &mut Agenda, ids: &[OrganisationId], now: Instant, apart: Duration) {
        let mut due = now;
        agenda.set(ids.iter(), |_| {
            due += apart;
            (Priority::Usual, due - apart)
        });
    }

    fn usual(lane: Lane) -> Place {
        let priority = Priority::Usual;
        Place { lane, priority }
    }

    fn begin_all(agenda: &mut Agenda, now: Instant) -> Vec<(OrganisationId, Place)> {
        std::iter::from_fn(|| agenda.begin(now)).collect()
    }

    #[test]
    fn new_ones_are_spread_and_old_ones_keep_their_time() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        let three = ids(3);
        set(&mut agenda, &three, now, EVERY);
        assert_eq!(begin_all(&mut agenda, now).len(), 1);
        assert_eq!(agenda.wake(), Some(now + EVERY));
        set(&mut agenda, &ids(2), now, EVERY);
        assert_eq!(agenda.wake(), Some(now + EVERY));
        assert!(begin_all(&mut agenda, now).is_empty());
        // The third one is gone, and comes back as a new one.
        assert_eq!(begin_all(&mut agenda, now + 3 * EVERY).len(), 1);
        set(&mut agenda, &three, now, EVERY);
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
            agenda.ended(
                quick,
                (*lane, Instant::now()),
                Ended::Over,
                Some((Priority::Usual, due)),
            );
            assert!(begin_all(&mut agenda, due - EVERY / 2).is_empty());
            assert_eq!(
                begin_all(&mut agenda, due),
                [(quick.clone(), usual(Lane::Quick))]
            );
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
            let quick = begun.iter().filter(|(_, lane)| lane.lane == Lane::Quick);
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
                .partition(|(_, lane)| lane.lane == Lane::Quick);
            assert!(slow.len() <= SLOW_PLACES);
            assert_eq!(quick.len(), QUICK_PLACES);
            for (id, lane) in quick {
                agenda.ended(
                    &id,
                    (lane, Instant::now()),
                    Ended::Over,
                    Some((Priority::Usual, now)),
                );
            }
        }
    }

    #[test]
    fn a_slow_one_that_is_quick_again_goes_back() {
        let now = Instant::now();
        let mut agenda = agenda(1, now);
        let (id, lane) = agenda.begin(now).unwrap();
        agenda.ended(
            &id,
            (lane, now),
            Ended::TooSlow,
            Some((Priority::Usual, now + EVERY)),
        );
        let (_, lane) = agenda.begin(now).unwrap();
        assert_eq!(lane, usual(Lane::Slow));
        let long_ago = Instant::now().checked_sub(2 * QUICK).unwrap();
        agenda.ended(
            &id,
            (lane, long_ago),
            Ended::Over,
            Some((Priority::Usual, now)),
        );
        let (_, lane) = agenda.begin(now).unwrap();
        assert_eq!(lane, usual(Lane::Slow));
        agenda.ended(
            &id,
            (lane, Instant::now()),
            Ended::Over,
            Some((Priority::Usual, now)),
        );
        assert_eq!(agenda.begin(now).unwrap().1, usual(Lane::Quick));
    }

    #[test]
    fn a_wish_lets_everything_be_due_and_what_is_under_way_is_done_again() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        set(&mut agenda, &ids(3), now, EVERY);
        let (first, lane) = agenda.begin(now).unwrap();
        agenda.all_due(now);
        assert_eq!(begin_all(&mut agenda, now).len(), 2);
        agenda.ended(
            &first,
            (lane, now),
            Ended::Over,
            Some((Priority::Usual, now + EVERY)),
        );
        assert_eq!(agenda.begin(Instant::now()).unwrap().0, first);
        agenda.ended(
            &first,
            (lane, now),
            Ended::Over,
            Some((Priority::Usual, now + EVERY)),
        );
        assert_eq!(agenda.begin(Instant::now()), None);
    }

    #[test]
    fn the_look_that_is_latest_is_known() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        set(&mut agenda, &ids(2), now, EVERY);
        assert!(agenda.latest(now.checked_sub(EVERY).unwrap()).is_none());
        let (latest, by) = agenda.latest(now + EVERY).unwrap();
        assert_eq!((latest.as_str(), by), ("org000", EVERY));
        let (id, lane) = agenda.begin(now).unwrap();
        assert!(agenda.latest(now).is_none());
        // What was broken off is still to be done.
        agenda.ended(
            &id,
            (lane, now),
            Ended::TooSlow,
            Some((Priority::Usual, now + EVERY)),
        );
        assert_eq!(agenda.latest(now + EVERY).unwrap().1, EVERY);
    }
    #[test]
    fn what_waits_goes_first_and_leaves_the_others_their_places() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        let ids = ids(10_000);
        // Of all that are due, every second one waits, and for a shorter time than the others.
        let mut number = 0;
        let second = Duration::from_secs(1);
        agenda.set(ids.iter(), |_| {
            number += 1;
            match number % 2 {
                0 => (Priority::Waiting, now + second),
                _ => (Priority::Usual, now),
            }
        });
        let now = now + second;
        let mut usual = 0;
        for _ in 0..200 {
            let begun = begin_all(&mut agenda, now);
            assert!(begun.len() >= QUICK_PLACES / 2);
            let (waiting, others): (Vec<_>, Vec<_>) = begun
                .into_iter()
                .partition(|(_, place)| place.priority == Priority::Waiting);
            assert!(waiting.len() <= QUICK_PLACES / 2);
            usual += others.len();
            // They are due again at once, and the others never end while one of them can begin.
            for (id, place) in waiting {
                let next = Some((Priority::Waiting, now));
                agenda.ended(&id, (place, Instant::now()), Ended::Over, next);
            }
            for (id, place) in others {
                let next = Some((Priority::Usual, now + EVERY));
                agenda.ended(&id, (place, Instant::now()), Ended::Over, next);
            }
        }
        assert_eq!(usual, 200 * QUICK_PLACES / 2);
    }

    #[test]
    fn one_that_is_hurried_goes_first() {
        let now = Instant::now();
        let mut agenda = agenda(100, now);
        let last = ids(100).pop().unwrap();
        agenda.hurry(&last, now);
        let (first, place) = agenda.begin(now).unwrap();
        assert_eq!((&first, place.priority), (&last, Priority::Waiting));
        // Once more while it is under way, and then in its time.
        agenda.hurry(&last, now);
        let next = Some((Priority::Usual, now + EVERY));
        agenda.ended(&last, (place, now), Ended::Over, next);
        let now = Instant::now();
        let (again, place) = agenda.begin(now).unwrap();
        assert_eq!((&again, place.priority), (&last, Priority::Waiting));
        agenda.ended(&last, (place, now), Ended::Over, next);
        let begun = begin_all(&mut agenda, now);
        assert!(begun.iter().all(|(id, _)| *id != last));
    }
}
