//! Whether the wall clock can be believed: it is held against one that cannot be set.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::keystore::lifecycle::{Clock, Moment};

/// What the two clocks may differ by from one look to the next.
const TOLERANCE: Duration = Duration::from_mins(1);

/// Both clocks at the last look.
#[derive(Debug)]
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

    /// The moment, and whether the wall clock went along with the other since the last look.
    pub(super) fn look(&mut self) -> Moment {
        let (wall, monotonic) = (Timestamp::now(), Instant::now());
        let moment = self.moment(wall, monotonic);
        *self = Self { wall, monotonic };
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
}
