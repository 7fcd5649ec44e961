//! How often an organisation is looked at: where nothing waits, every `check_every`; where
//! something waits, every minute, as far as the name servers of all can bear that.

use std::{collections::HashMap, time::Duration};

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
/// After a look comes a pause of so many times as long as it took: slow servers are asked less.
const PAUSE: u32 = 10;

/// The organisations in which something waits.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    pending: HashMap<OrganisationId, Pace>,
    /// The sum of their loads.
    load: u64,
}

/// How often one of them is to be looked at.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    records: u32,
    ready: Option<Timestamp>,
}

impl Pace {
    /// How many records are looked at for it in the longest interval that there is.
    fn load(&self) -> u64 {
        u64::from(self.records) * (LESS_SOON.as_secs() / self.every.as_secs())
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
                ready: pending.ready,
            }
        });
        let before = match pace {
            Some(pace) => self.pending.insert(id.clone(), pace),
            None => self.pending.remove(id),
        };
        self.load += pace.map_or(0, |pace| pace.load());
        self.load -= before.map_or(0, |before| before.load());
    }

    /// Forgets the organisations that are no more.
    pub(super) fn retain(&mut self, keep: impl Fn(&OrganisationId) -> bool) {
        let load = &mut self.load;
        self.pending.retain(|id, pace| {
            let stays = keep(id);
            *load -= if stays { 0 } else { pace.load() };
            stays
        });
    }

    /// Whether something waits there.
    pub(super) fn is_pending(&self, id: &OrganisationId) -> bool {
        self.pending.contains_key(id)
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
        &self,
        id: &OrganisationId,
        check_every: Duration,
        (took, now): (Duration, Timestamp),
    ) -> Duration {
        let Some(pace) = self.pending.get(id) else {
            return check_every;
        };
        // What all that wait would like to have looked at, of what may be.
        let most = u64::from(RECORDS_PER_SECOND) * LESS_SOON.as_secs();
        let stretch = u32::try_from(self.load.div_ceil(most)).unwrap_or(u32::MAX);
        let shared = pace.every.saturating_mul(stretch.max(1));
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
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn interval(cadence: &Cadence, check_every: Duration) -> Duration {
        cadence.interval(&id(0), check_every, (Duration::ZERO, NOW))
    }

    #[test]
    fn what_waits_is_looked_at_every_minute_and_the_rest_in_its_time() {
        let cadence = cadence(1);
        assert_eq!(interval(&cadence, HOUR), SOON);
        let short = Duration::from_secs(5);
        assert_eq!(interval(&cadence, short), short);
        let well = cadence.interval(&id(1), HOUR, (Duration::ZERO, NOW));
        assert_eq!(well, HOUR);
    }

    #[test]
    fn many_share_what_may_be_asked() {
        for (count, minutes) in [(1_200, 1), (1_201, 2), (10_000, 9), (100_000, 60)] {
            let cadence = cadence(count);
            let expected = Duration::from_mins(minutes);
            assert_eq!(interval(&cadence, HOUR), expected, "{count}");
        }
        // It is the records that count, and those that are gone do not.
        let mut cadence = cadence(1);
        cadence.note(&id(1), Some(waiting(10_000)), NOW);
        assert_eq!(interval(&cadence, HOUR), 9 * SOON);
        cadence.note(&id(1), Some(waiting(1)), NOW);
        assert_eq!(interval(&cadence, HOUR), SOON);
        cadence.note(&id(1), Some(waiting(10_000)), NOW);
        cadence.retain(|one| *one == id(0));
        assert_eq!(interval(&cadence, HOUR), SOON);
        cadence.note(&id(0), None, NOW);
        assert_eq!((cadence.load, cadence.is_pending(&id(0))), (0, false));
    }

    #[test]
    fn what_waits_for_long_or_takes_long_is_looked_at_less_often() {
        let mut cadence = cadence(1);
        let week_later = NOW + LONG + SOON;
        cadence.note(&id(0), Some(waiting(1)), week_later);
        assert_eq!(interval(&cadence, HOUR), LESS_SOON);
        cadence.note(&id(0), Some(waiting(1)), NOW);
        let took = |seconds| (Duration::from_secs(seconds), NOW);
        assert_eq!(cadence.interval(&id(0), HOUR, took(3)), SOON);
        let slow = cadence.interval(&id(0), HOUR, took(40));
        assert_eq!(slow, Duration::from_secs(400));
        assert_eq!(cadence.interval(&id(0), SOON, took(40)), SOON);
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
        assert_eq!(interval(&cadence, HOUR), Duration::from_secs(7));
        cadence.note(&id(0), ready(90), NOW);
        assert_eq!(interval(&cadence, HOUR), SOON);
        // It has settled, and still does not sign: there is a reason.
        cadence.note(&id(0), ready(-1), NOW);
        assert_eq!(interval(&cadence, HOUR), SOON);
    }
}
