//! Days on the command line, in UTC.

use std::str::FromStr;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// A day, or a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    begins: Timestamp,
    ends: Timestamp,
}

impl Day {
    /// Its first moment.
    pub(super) fn begins(self) -> Timestamp {
        self.begins
    }

    /// Its last second.
    pub(super) fn ends(self) -> Timestamp {
        self.ends
    }
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = text.parse() {
            return Ok(Self {
                begins: time,
                ends: time,
            });
        }
        let day = || {
            let day: Date = text.parse().ok()?;
            let begins = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
            let ends = begins.checked_add((24 * 60 * 60 - 1).seconds()).ok()?;
            Some(Self { begins, ends })
        };
        day().ok_or("write a day such as 2026-11-29, or a time such as 2026-11-29T12:00:00Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_first_and_a_last_moment() {
        let day: Day = "2026-11-29".parse().unwrap();
        assert_eq!(day.begins().to_string(), "2026-11-29T00:00:00Z");
        assert_eq!(day.ends().to_string(), "2026-11-29T23:59:59Z");
        let time: Day = "2026-11-29T12:00:00Z".parse().unwrap();
        assert_eq!(time.begins(), time.ends());
        for text in ["", "tomorrow", "29-11-2026", "2026-02-30"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
