//! The days that a report is about.

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

/// From one day to another, both inclusive, in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Period {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// This moment, if the last day is not over; none if it is.
    pub now: Option<Timestamp>,
}

impl Period {
    /// By default the twelve months that end today.
    ///
    /// # Errors
    /// When there is no such period, for people.
    pub fn new(from: Option<Date>, to: Option<Date>, now: Timestamp) -> Result<Self, String> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let to = to.unwrap_or(today);
        if to > today {
            return Err(format!(
                "--to {to} is in the future; today is {today} in UTC"
            ));
        }
        let year = || {
            let before = to.saturating_sub(Span::new().years(1));
            before.saturating_add(Span::new().days(1))
        };
        let from = from.unwrap_or_else(year);
        if from > to {
            return Err(format!(
                "the period from {from} to {to} ends before it begins"
            ));
        }
        let now = (to == today).then_some(now);
        Ok(Self { from, to, now })
    }

    /// Its first moment.
    pub fn begin(&self) -> Timestamp {
        midnight(self.from)
    }

    /// The first moment after it; now, if that is earlier.
    pub fn end(&self) -> Timestamp {
        let next = self.to.saturating_add(Span::new().days(1));
        self.now.unwrap_or_else(|| midnight(next))
    }
}

fn midnight(day: Date) -> Timestamp {
    let zoned = day.to_zoned(TimeZone::UTC);
    zoned.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}
