//! How often an organisation is looked at: where nothing waits, every `check_every`; where
//! something waits, every minute, as far as the name servers of all can bear that.
//!
//! Where very many wait, the newest of them keep their minute: whoever was handed a record today
//! publishes it sooner than whoever has had it for weeks. The others share what is left.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use crate::{keys::Pending, names::OrganisationId};

/// From one look at what waits to the next.
const SOON: Duration = Duration::from_mins(1);
/// The same of what waits for longer than [`LONG`].
const LESS_SOON: Duration = Duration::from_mins(10);
/// Whoever has not published a record by then will not do so within minutes.
const LONG: Duration = Duration::from_hours(7 * 24);
/// So many records that wait are looked at in a second, at most: some 200 questions of the 500
/// that may be asked.
const RECORDS_PER_SECOND: u32 = 20;
/// So many records of the newest share with nobody: a quarter of what may be looked at in a minute.
const NEWEST: u32 = 300;
/// One organisation with more records than this has no part in that, or it would leave none of it.
const NEWEST_OF_ONE: u32 = 30;
/// After a look comes a pause of so many times as long as it took: slow servers are asked less.
const PAUSE: u32 = 10;

/// The organisations in which something waits.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    pending: HashMap<OrganisationId, Pace>,
    /// The sum of their loads.
    load: u64,
    /// How many records those have that may be among the newest, the newest first.
    ages: BTreeMap<Age, u32>,
    /// The oldest of the newest, and the sum of their loads.
    newest: Option<(Age, u64)>,
    /// Whether that has to be found anew.
    is_changed: bool,
}

/// Since when something waits, and where.
type Age = (Reverse<Timestamp>, OrganisationId);

/// How often one of them is to be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Pace {
    every: Duration,
    records: u32,
    since: Option<Timestamp>,
    ready: Option<Timestamp>,
}

impl Pace {
    /// How many records are looked at for it in the longest interval that there is.
    fn load(&self) -> u64 {
        u64::from(self.records) * (LESS_SOON.as_secs() / self.every.as_secs())
    }

    /// None where a key is to be made, which waits for nobody, and where there are many records.
    fn age(&self, id: &OrganisationId) -> Option<Age> {
        let since = self.since.filter(|_| self.records <= NEWEST_OF_ONE)?;
        Some((Reverse(since), id.clone()))
    }
}

impl Cadence {
    /// Notes what waits in an organisation; none if nothing does.
    pub(super) fn note(&mut self, id: &OrganisationId, pending: Option<Pending>, now: Timestamp) {
        let pace = pending.map(|pending| {
            let waits_for = |since| Duration::try_from(now.duration_since(since)).ok();
            let is_long = pending.since.and_then(waits_for) > Some(LONG);
            Pace {
                every: if is_long { LESS_SOON } else { SOON },
                records: u32::try_from(pending.records.max(1)).unwrap_or(u32::MAX),
                since: pending.since,
                ready: pending.ready,
            }
        });
        let before = match pace {
            Some(pace) => self.pending.insert(id.clone(), pace),
            None => self.pending.remove(id),
        };
        if before == pace {
            return;
        }
        self.load += pace.map_or(0, |pace| pace.load());
        self.load -= before.map_or(0, |before| before.load());
        if let Some(age) = before.and_then(|before| before.age(id)) {
            self.ages.remove(&age);
        }
        if let Some(pace) = pace
            && let Some(age) = pace.age(id)
        {
            self.ages.insert(age, pace.records);
        }
        self.is_changed = true;
    }

    /// Forgets the organisations that are no more.
    pub(super) fn retain(&mut self, keep: impl Fn(&OrganisationId) -> bool) {
        let load = &mut self.load;
        self.pending.retain(|id, pace| {
            let stays = keep(id);
            *load -= if stays { 0 } else { pace.load() };
            stays
        });
        self.ages.retain(|(_, id), _| keep(id));
        self.is_changed = true;
    }

    fn find_newest(&mut self) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        self.newest = None;
        let mut left = NEWEST;
        let mut load = 0;
        for (age, records) in &self.ages {
            let Some(rest) = left.checked_sub(*records) else {
                return;
            };
            left = rest;
            load += self.pending.get(&age.1).map_or(0, Pace::load);
            self.newest = Some((age.clone(), load));
        }
    }

    /// Whether something waits there.
    pub(super) fn is_pending(&self, id: &OrganisationId) -> bool {
        self.pending.contains_key(id)
    }

    /// Those in which something waits for the shortest time come first, and those in which nothing
    /// does last.
    pub(super) fn rank(&self, id: &OrganisationId) -> impl Ord + use<> {
        let pace = self.pending.get(id);
        // A key that is to be made comes before all of them: a look makes it.
        let since = pace.map(|pace| Reverse(pace.since.unwrap_or(Timestamp::MAX)));
        (pace.is_none(), since)
    }

    /// How many records that wait are looked at there.
    pub(super) fn records(&self, id: &OrganisationId) -> u32 {
        self.pending.get(id).map_or(0, |pace| pace.records)
    }

    /// How long so many records take, if they are looked at one after another.
    pub(super) fn time_of(records: u32) -> Duration {
        Duration::from_secs(1) / RECORDS_PER_SECOND * records
    }

    /// From the begin of a look that took so long, and ended now, to the next one.
    pub(super) fn interval(
        &mut self,
        id: &OrganisationId,
        check_every: Duration,
        (took, now): (Duration, Timestamp),
    ) -> Duration {
        self.find_newest();
        let Some(pace) = self.pending.get(id) else {
            return check_every;
        };
        let shared = pace.every.saturating_mul(self.stretch(id, pace));
        let mut interval = shared.max(took.saturating_mul(PAUSE));
        // Nobody waits longer than for the record to settle.
        let until_ready = pace
            .ready
            .and_then(|ready| Duration::try_from(ready.duration_since(now)).ok());
        if let Some(rest) = until_ready.filter(|rest| !rest.is_zero()) {
            interval = interval.min(took + rest);
        }
        interval.min(check_every)
    }

    /// So many times as rarely as it would be looked at if few waited.
    fn stretch(&self, id: &OrganisationId, pace: &Pace) -> u32 {
        // What all that wait would like to have looked at, of what may be.
        let most = u64::from(RECORDS_PER_SECOND) * LESS_SOON.as_secs();
        if self.load <= most {
            return 1;
        }
        let mut of_newest = 0;
        if let Some((oldest, load)) = &self.newest {
            if pace.age(id).is_some_and(|age| age <= *oldest) {
                return 1;
            }
            of_newest = *load;
        }
        // The newest take a quarter of it at most.
        let others = self.load.saturating_sub(of_newest);
        let left = most.saturating_sub(of_newest).max(1);
        u32::try_from(others.div_ceil(left)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::Instant;

    use super::*;
    use crate::keeper::agenda::{Agenda, Ended, Priority};

    const HOUR: Duration = Duration::from_hours(1);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn id(number: usize) -> OrganisationId {
        format!("org{number}").parse().unwrap()
    }

    fn waiting(records: usize) -> Pending {
        Pending {
            records,
            since: Some(NOW),
            ready: None,
        }
    }

    /// With so many organisations in which one record waits.
    fn cadence(count: usize) -> Cadence {
        let mut cadence = Cadence::default();
        for number in 0..count {
            cadence.note(&id(number), Some(waiting(1)), NOW);
        }
        cadence
    }

    fn interval(cadence: &mut Cadence, check_every: Duration) -> Duration {
        cadence.interval(&id(0), check_every, (Duration::ZERO, NOW))
    }

    #[test]
    fn what_waits_is_looked_at_every_minute_and_the_rest_in_its_time() {
        let mut cadence = cadence(1);
        assert_eq!(interval(&mut cadence, HOUR), SOON);
        let short = Duration::from_secs(5);
        assert_eq!(interval(&mut cadence, short), short);
        let well = cadence.interval(&id(1), HOUR, (Duration::ZERO, NOW));
        assert_eq!(well, HOUR);
    }

    #[test]
    fn many_share_what_may_be_asked() {
        for (count, minutes) in [(1_200, 1), (1_201, 2), (10_000, 11), (100_000, 60)] {
            let mut cadence = cadence(count);
            let expected = Duration::from_mins(minutes);
            // All have waited for the same time: the last by name has no part in the newest.
            let last = "9".repeat(count.ilog10() as usize).parse().unwrap();
            let interval = cadence.interval(&id(last), HOUR, (Duration::ZERO, NOW));
            assert_eq!(interval, expected, "{count}");
        }
        // It is the records that count, and those that are gone do not.
        let many = |records| {
            let mut cadence = cadence(1);
            cadence.note(&id(1), Some(waiting(records)), NOW);
            cadence
        };
        let mut cadence = many(10_000);
        let of_many = |cadence: &mut Cadence| cadence.interval(&id(1), HOUR, (Duration::ZERO, NOW));
        assert_eq!(of_many(&mut cadence), 9 * SOON);
        assert_eq!(interval(&mut cadence, HOUR), SOON);
        cadence.note(&id(1), Some(waiting(1)), NOW);
        assert_eq!(of_many(&mut cadence), SOON);
        cadence.note(&id(1), Some(waiting(10_000)), NOW);
        cadence.retain(|one| *one == id(0));
        assert_eq!(cadence.load, 10);
        cadence.note(&id(0), None, NOW);
        assert_eq!((cadence.load, cadence.is_pending(&id(0))), (0, false));
        assert!(cadence.ages.is_empty());
    }

    #[test]
    fn the_newest_keep_their_minute_whoever_else_waits() {
        let mut cadence = cadence(10_000);
        let later = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let new = |number: usize, since: i64, records: usize| {
            let pending = Pending {
                since: Some(later(since)),
                ..waiting(records)
            };
            (id(20_000 + number), Some(pending))
        };
        // The last 300 of 310; one with very many records takes nobody's place.
        let others = (0..310_u16).map(|number| new(number.into(), 1_000 + i64::from(number), 1));
        for (id, pending) in others.chain([new(999, 2_000, 5_000)]) {
            cadence.note(&id, pending, later(3_000));
        }
        let mut of = |number: usize| cadence.interval(&id(number), HOUR, (Duration::ZERO, NOW));
        assert!((20_010..20_310).all(|number| of(number) == SOON));
        let rest: Vec<Duration> = [0, 9_999, 20_000, 20_009, 20_999].map(of).to_vec();
        assert!(rest.iter().all(|one| *one == 17 * SOON), "{rest:?}");
        // What is newer comes first, and what does not wait last.
        let rank = |number: usize| cadence.rank(&id(number));
        assert!(rank(20_309) < rank(20_308) && rank(20_000) < rank(0) && rank(0) < rank(55_555));
    }

    #[test]
    fn what_waits_for_long_or_takes_long_is_looked_at_less_often() {
        let mut cadence = cadence(1);
        let week_later = NOW + LONG + SOON;
        cadence.note(&id(0), Some(waiting(1)), week_later);
        assert_eq!(interval(&mut cadence, HOUR), LESS_SOON);
        cadence.note(&id(0), Some(waiting(1)), NOW);
        let took = |seconds| (Duration::from_secs(seconds), NOW);
        assert_eq!(cadence.interval(&id(0), HOUR, took(3)), SOON);
        let slow = cadence.interval(&id(0), HOUR, took(40));
        assert_eq!(slow, Duration::from_secs(400));
        assert_eq!(cadence.interval(&id(0), SOON, took(40)), SOON);
    }

    /// The keeper's clock, its places and its rate, without a keeper: 10,000 wait for a month or a
    /// day, and then one more.
    #[test]
    fn a_new_one_among_ten_thousand_is_looked_at_as_soon_as_one_alone() {
        let day = 24 * 3600;
        for age in [day, 30 * day] {
            let now = Timestamp::from_second(100 * day).unwrap();
            let mut cadence = Cadence::default();
            let old = Pending {
                since: Some(Timestamp::from_second(100 * day - age).unwrap()),
                ..waiting(1)
            };
            for number in 0..10_000 {
                cadence.note(&id(number), Some(old), now);
            }
            let new = id(10_000);
            let since = Some(now);
            cadence.note(
                &new,
                Some(Pending {
                    since,
                    ..waiting(1)
                }),
                now,
            );
            let looks = Looks::make(&mut cadence, Duration::from_hours(1), now);
            let gap = looks.longest(&new);
            assert!(gap <= Duration::from_secs(65), "{age}: {gap:?}");
            // Each of the others has its turn, and all together keep the rate.
            for number in 0..10_000 {
                let gap = looks.longest(&id(number));
                assert!(gap <= Duration::from_mins(12), "{age}: {number}: {gap:?}");
            }
            assert!(
                looks.count() <= 20 * 3600 + 10_001,
                "{age}: {}",
                looks.count()
            );
        }
    }

    /// When each was looked at.
    struct Looks(HashMap<OrganisationId, Vec<Duration>>);

    impl Looks {
        /// Of all that wait, for so long. A look takes half a second.
        fn make(cadence: &mut Cadence, span: Duration, now: Timestamp) -> Self {
            const TAKES: Duration = Duration::from_millis(500);
            let begin = Instant::now();
            let mut agenda = Agenda::default();
            let mut ids: Vec<OrganisationId> = cadence.pending.keys().cloned().collect();
            ids.sort_by_key(|id| cadence.rank(id));
            let mut due = begin;
            agenda.set(ids.iter(), |id| {
                due += Cadence::time_of(cadence.records(id));
                (Priority::Waiting, due)
            });
            let mut looks: HashMap<OrganisationId, Vec<Duration>> = HashMap::new();
            let mut running = VecDeque::new();
            let mut at = begin;
            while at < begin + span {
                while let Some((id, place)) = agenda.begin(at) {
                    looks.entry(id.clone()).or_default().push(at - begin);
                    running.push_back((at + TAKES, at, id, place));
                }
                let ends = running.front().map(|(ends, ..)| *ends);
                let next = agenda.wake().into_iter().chain(ends).min().unwrap();
                at = next.max(at);
                while let Some((_, begun, id, place)) =
                    running.pop_front_if(|(ends, ..)| *ends <= at)
                {
                    let interval = cadence.interval(&id, HOUR, (TAKES, now));
                    let next = Some((Priority::Waiting, begun + interval));
                    agenda.ended(&id, (place, begun), Ended::Over, next);
                }
            }
            Self(looks)
        }

        /// The longest time from one look to the next.
        fn longest(&self, id: &OrganisationId) -> Duration {
            let looks = self.0.get(id).map_or(&[][..], Vec::as_slice);
            let gaps = looks.windows(2).map(|two| two[1].saturating_sub(two[0]));
            gaps.max().unwrap_or(Duration::MAX)
        }

        fn count(&self) -> usize {
            self.0.values().map(Vec::len).sum()
        }
    }

    #[test]
    fn a_record_that_has_settled_waits_for_no_minute() {
        let mut cadence = Cadence::default();
        let ready = |seconds: i64| {
            let ready = Timestamp::from_second(seconds).ok();
            Some(Pending {
                ready,
                ..waiting(1)
            })
        };
        cadence.note(&id(0), ready(7), NOW);
        assert_eq!(interval(&mut cadence, HOUR), Duration::from_secs(7));
        cadence.note(&id(0), ready(90), NOW);
        assert_eq!(interval(&mut cadence, HOUR), SOON);
        // It has settled, and still does not sign: there is a reason.
        cadence.note(&id(0), ready(-1), NOW);
        assert_eq!(interval(&mut cadence, HOUR), SOON);
    }
}
