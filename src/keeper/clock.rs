//! Whether the wall clock can be believed: it is compared with one that nobody can set.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::keys::{Clock, Moment};

/// What the two clocks may differ by from one look to the next, and within [`ANCHOR`].
const TOLERANCE: Duration = Duration::from_mins(1);
/// For so long many looks are held against one moment, so that small steps add up.
const ANCHOR: Duration = Duration::from_hours(1);

/// A moment, and how long ago it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    moment: Moment,
    monotonic: Instant,
}

impl Look {
    /// The moment that it is now. What was looked at meanwhile was there in the end, but perhaps
    /// not before.
    pub(super) fn by_now(self) -> Moment {
        self.after(self.monotonic.elapsed())
    }

    fn after(self, elapsed: Duration) -> Moment {
        let now = self.moment.now.checked_add(elapsed);
        Moment {
            now: now.unwrap_or(Timestamp::MAX),
            ..self.moment
        }
    }
}

/// Both clocks at a look before.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockWatch {
    wall: Timestamp,
    monotonic: Instant,
}

impl ClockWatch {
    pub(super) fn new() -> Self {
        Self {
            wall: Timestamp::now(),
            monotonic: Instant::now(),
        }
    }

    /// The moment, and whether the wall clock went along with the other since the looks before.
    pub(super) fn look(&mut self) -> Look {
        let (wall, monotonic) = (Timestamp::now(), Instant::now());
        let moment = self.moment_of(wall, monotonic);
        Look { moment, monotonic }
    }

    fn moment_of(&mut self, wall: Timestamp, monotonic: Instant) -> Moment {
        let moment = self.moment(wall, monotonic);
        let is_old = monotonic.duration_since(self.monotonic) >= ANCHOR;
        if is_old || moment.clock == Clock::Jumped {
            *self = Self { wall, monotonic };
        }
        moment
    }

    fn moment(&self, now: Timestamp, monotonic: Instant) -> Moment {
        let elapsed = monotonic.duration_since(self.monotonic);
        let clock = match Duration::try_from(now.duration_since(self.wall)) {
            Ok(walked) if walked.abs_diff(elapsed) <= TOLERANCE => Clock::Steady,
            _ => Clock::Jumped,
        };
        if clock == Clock::Jumped {
            tracing::warn!("the clock was set: what was waited for so far does not count");
        }
        Moment { now, clock }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_seen() {
        let watch = ClockWatch::new();
        let after = |wall: i64, monotonic: u64| {
            let now = watch.wall + jiff::SignedDuration::from_secs(wall);
            let later = watch.monotonic + Duration::from_secs(monotonic);
            watch.moment(now, later).clock
        };
        assert_eq!(after(3600, 3600), Clock::Steady);
        assert_eq!(after(3600, 3630), Clock::Steady);
        assert_eq!(after(7200, 3600), Clock::Jumped);
        assert_eq!(after(-10, 3600), Clock::Jumped);
        assert_eq!(after(3600, 10), Clock::Jumped);
    }

    #[test]
    fn small_jumps_add_up() {
        let mut watch = ClockWatch::new();
        let (mut wall, mut later) = (watch.wall, watch.monotonic);
        // At every minute a look, and a wall clock that goes so many seconds meanwhile.
        let mut jumps = |walked: i64| {
            let jumped = |_: &i64| {
                wall += jiff::SignedDuration::from_secs(walked);
                later += Duration::from_mins(1);
                watch.moment_of(wall, later).clock == Clock::Jumped
            };
            (0..60).filter(jumped).count()
        };
        assert_eq!(jumps(60), 0);
        assert_eq!(jumps(90), 20);
        assert_eq!(jumps(60), 0);
    }

    #[test]
    fn what_was_seen_was_seen_in_the_end() {
        let look = Look {
            moment: Moment::steady(Timestamp::UNIX_EPOCH),
            monotonic: Instant::now(),
        };
        assert_eq!(look.after(Duration::from_secs(90)).now.as_second(), 90);
        assert_eq!(look.after(Duration::MAX).now, Timestamp::MAX);
    }
}
