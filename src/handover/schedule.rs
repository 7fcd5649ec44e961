//! Days, all of them in UTC.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The day on which it lies.
pub(super) fn date(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

/// The first day that lies after the moment as a whole.
pub(super) fn day_after(moment: Timestamp) -> Date {
    date(moment).tomorrow().unwrap_or(Date::MAX)
}
