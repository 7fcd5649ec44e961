//! One key in the DNS of one domain: what a check makes of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    change::Event,
    publication::{Publication, State, Why, Withdrawal},
    reported::{ReportedKey, kept_until},
    timing::{Gap, LONGEST_TTL, Moment, Timing, elapsed, later},
};

/// What the DNS of one domain showed of one key at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Every authoritative server, over every address family that it has, answered exactly
    /// one TXT record that parses and holds our key.
    Everywhere {
        /// The longest of the record.
        ttl: Duration,
        /// The longest of a negative answer of the zone (RFC 2308 §5).
        negative_ttl: Duration,
    },
    /// Every authoritative server said that there is no record.
    Absent {
        /// The longest of these answers (RFC 2308 §5).
        negative_ttl: Duration,
    },
    /// Every authoritative server answered one record with an empty `p=`.
    RevokedEverywhere,
    /// Some servers show our key, and the others show nothing or an empty `p=`.
    Partly,
    /// At least one server showed another key, two records, or one that does not parse.
    Wrong,
    /// At least one server that counts could not be asked.
    Unknown,
}

impl Sight {
    fn why(self) -> Why {
        match self {
            Self::Everywhere { .. } => Why::Signing,
            Self::Absent { .. } => Why::NotSeen,
            Self::RevokedEverywhere => Why::SeenRevoked,
            Self::Partly => Why::SeenPartly,
            Self::Wrong => Why::SeenWrong,
            Self::Unknown => Why::Unreachable,
        }
    }
}

/// A check of one publication.
pub(super) struct Check<'a> {
    pub(super) sight: Sight,
    pub(super) moment: Moment,
    pub(super) timing: &'a Timing,
}

impl Check<'_> {
    /// What the publication is after this check, but for becoming active: that depends on
    /// the other keys too.
    pub(super) fn step(&self, before: &Publication, reported: ReportedKey) -> (Publication, Event) {
        let gap = self.moment.gap(before.checked, self.timing);
        let mut after = self.record(before, gap);
        let event = match before.state {
            State::Generated => self.generated(&mut after),
            State::Published => self.published(&mut after),
            State::Active => self.active(&mut after, gap),
            State::Draining if before.withdrawal.is_none() => {
                let normal = self.drain_until(before, gap);
                after.drain_until = Some(normal);
                let day = match reported {
                    ReportedKey::Awaited => before.reported,
                    ReportedKey::Known(day) => day,
                };
                after.reported = day.filter(|day| {
                    let kept = kept_until(normal, *day);
                    (normal..kept).contains(&self.moment.now)
                });
                let waits = after.reported.is_some() || reported == ReportedKey::Awaited;
                self.draining(&mut after, gap, waits)
            }
            State::Draining | State::Revoked => self.given_up(&mut after),
            State::Withdrawn => self.withdrawn(&mut after),
        };
        (after, event)
    }

    /// Whether a published key may sign from now on: seen everywhere, now and at a check
    /// before, and for long enough in between.
    pub(super) fn is_ready(&self, before: &Publication, after: &Publication) -> bool {
        let (Some(since), Some(last)) = (before.seen_since, before.seen_last) else {
            return false;
        };
        let counts = self.moment.gap(before.checked, self.timing) == Gap::Counts
            && self.moment.gap(Some(last), self.timing) == Gap::Counts;
        let settle_time = self.timing.settle_time(after.negative_ttl);
        before.state == State::Published
            && matches!(self.sight, Sight::Everywhere { .. })
            && counts
            && after.seen_since == Some(since)
            && elapsed(since, self.moment.now).is_some_and(|seen| seen >= settle_time)
    }

    /// What was seen, without any conclusion.
    fn record(&self, before: &Publication, gap: Gap) -> Publication {
        let mut after = *before;
        let now = self.moment.now;
        after.checked = Some(now);
        if gap != Gap::Counts {
            after.seen_since = None;
            after.seen_last = None;
        }
        match self.sight {
            Sight::Everywhere { ttl, negative_ttl } => {
                // The time in which nothing could be seen may not be too long either.
                let continues = self.moment.gap(after.seen_last, self.timing) == Gap::Counts;
                if after.seen_since.is_none() || !continues {
                    after.seen_since = Some(now);
                }
                after.seen_last = Some(now);
                after.ttl = after.ttl.max(Some(whole_seconds(ttl)));
                after.negative_ttl = after.negative_ttl.max(Some(whole_seconds(negative_ttl)));
            }
            Sight::Unknown => {}
            Sight::Absent { negative_ttl } => {
                after.negative_ttl = Some(whole_seconds(negative_ttl));
                after.seen_since = None;
                after.seen_last = None;
            }
            Sight::RevokedEverywhere | Sight::Partly | Sight::Wrong => {
                after.seen_since = None;
                after.seen_last = None;
            }
        }
        after
    }

    fn generated(&self, after: &mut Publication) -> Event {
        if let Sight::Everywhere { .. } = self.sight {
            after.enter(State::Published, Why::Settling, self.moment.now);
            return Event::Published;
        }
        after.why = Some(self.sight.why());
        Event::Checked
    }

    fn published(&self, after: &mut Publication) -> Event {
        let why = match self.sight {
            Sight::Everywhere { .. } => Why::Settling,
            Sight::Unknown => Why::Unreachable,
            other => {
                after.enter(State::Generated, other.why(), self.moment.now);
                return Event::Unpublished;
            }
        };
        after.why = Some(why);
        Event::Checked
    }

    fn active(&self, after: &mut Publication, gap: Gap) -> Event {
        // A clock that was wrong put it there; its age counts from now on.
        if gap == Gap::Counts && after.since > self.moment.now {
            after.since = self.moment.now;
        }
        after.why = Some(self.sight.why());
        Event::Checked
    }

    /// `waits`: for receivers who may still report it.
    fn draining(&self, after: &mut Publication, gap: Gap, waits: bool) -> Event {
        let over = after
            .drain_until
            .is_some_and(|until| self.moment.now >= until);
        if gap == Gap::Counts && over && !waits {
            after.withdrawal = Some(Withdrawal::Asked);
            after.why = Some(Why::AwaitingWithdrawal);
            return Event::WithdrawalAsked;
        }
        after.why = Some(match self.sight {
            Sight::Everywhere { .. } | Sight::Unknown if gap == Gap::Void => Why::Clock,
            Sight::Everywhere { .. } | Sight::Unknown => Why::Draining,
            _ => Why::GoneEarly,
        });
        Event::Checked
    }

    /// The end of the drain; time that does not count moves it.
    fn drain_until(&self, before: &Publication, gap: Gap) -> Timestamp {
        let now = self.moment.now;
        match (gap, before.drain_until, before.checked) {
            (Gap::Counts, Some(until), _) => until,
            (Gap::Void, Some(until), Some(checked)) => {
                later(now, elapsed(checked, until).unwrap_or_default())
            }
            // Nobody has looked since it drains, or a zegel of 0.1 wrote no end down.
            _ => later(now, self.timing.drain_time(before.ttl)),
        }
    }

    fn given_up(&self, after: &mut Publication) -> Event {
        let withdrawal = match self.sight {
            Sight::RevokedEverywhere => Withdrawal::Emptied,
            Sight::Absent { .. } => Withdrawal::Gone,
            _ => {
                after.withdrawal = Some(Withdrawal::Asked);
                after.why = Some(Why::AwaitingWithdrawal);
                return Event::Checked;
            }
        };
        let why = match withdrawal {
            Withdrawal::Gone => Why::Done,
            _ => Why::AwaitingRemoval,
        };
        after.enter(State::Withdrawn, why, self.moment.now);
        after.withdrawal = Some(withdrawal);
        Event::Withdrawn
    }

    fn withdrawn(&self, after: &mut Publication) -> Event {
        if let Sight::Absent { .. } = self.sight {
            after.withdrawal = Some(Withdrawal::Gone);
            after.why = Some(Why::Done);
            return Event::RecordGone;
        }
        after.why = Some(Why::AwaitingRemoval);
        Event::Checked
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.min(LONGEST_TTL).as_secs())
}
