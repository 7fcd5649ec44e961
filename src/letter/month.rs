//! A month of the calendar, in UTC.

use std::str::FromStr;

use jiff::{
    ToSpan,
    civil::{Date, date},
};

use crate::evidence::streams::Window;

/// The first year that reports can be about: RFC 7489 is of 2015, and its drafts are older.
const FIRST_YEAR: i16 = 2010;
const LAST_YEAR: i16 = 9000;

/// A month.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Month {
    /// Its first day.
    first: Date,
}

impl Month {
    /// The last one that is over on this day.
    pub fn before(day: Date) -> Self {
        Self {
            first: day.first_of_month(),
        }
        .previous()
    }

    /// The one before it.
    pub fn previous(self) -> Self {
        let first = self.first.checked_sub(1.month()).unwrap_or(self.first);
        Self { first }
    }

    /// Its first day.
    pub fn first(self) -> Date {
        self.first
    }

    /// Its last day.
    pub fn last(self) -> Date {
        self.first.last_of_month()
    }

    /// Its days, counted from 1970.
    pub fn days(self) -> Window {
        Window {
            from: day(self.first),
            to: day(self.last()),
        }
    }
}

/// Counted from 1970.
pub(super) fn day(day: Date) -> i32 {
    let since = day.since(Date::constant(1970, 1, 1));
    since.map_or(0, |since| since.get_days())
}

impl FromStr for Month {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ADVICE: &str = "write a month such as 2026-10";
        let is_digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(ADVICE)?;
        if year.len() != 4 || month.len() != 2 || !is_digits(year) || !is_digits(month) {
            return Err(ADVICE);
        }
        let year: i16 = year.parse().map_err(|_| ADVICE)?;
        let month: i8 = month.parse().map_err(|_| ADVICE)?;
        if !(FIRST_YEAR..=LAST_YEAR).contains(&year) || !(1..=12).contains(&month) {
            return Err(ADVICE);
        }
        let first = date(year, month, 1);
        Ok(Self { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_all_its_days() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!(
            month.days(),
            Window {
                from: 20_485,
                to: 20_512
            }
        );
        assert_eq!(month.previous(), "2026-01".parse().unwrap());
        assert_eq!(month.previous().previous(), "2025-12".parse().unwrap());
        assert_eq!(Month::before(date(2026, 3, 1)), month);
        assert_eq!(Month::before(date(2026, 3, 31)), month);
        let wrong = [
            "", "2026", "2026-13", "2026-00", "26-01", "2026-1", "0000-01",
        ];
        for text in wrong
            .into_iter()
            .chain(["+026-01", "2026-01-01", "9999-12"])
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
