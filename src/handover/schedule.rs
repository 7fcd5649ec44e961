//! Spans and days. All days are in UTC.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use super::record::TTL;
use crate::config::Settings;

/// How long the record of a key is needed that signs no more: by mail in queues, by
/// signatures that have not expired, and by caches.
pub(super) fn needed_for(settings: &Settings) -> Duration {
    let expire = settings.signing.expire.unwrap_or_default();
    let cached = Duration::from_secs(u64::from(TTL));
    settings
        .keeper
        .drain
        .saturating_add(expire)
        .saturating_add(cached)
}

/// Saturates at the end of time.
pub(super) fn after(moment: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| moment.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The day on which it lies.
pub(super) fn date(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

/// The first day that lies after the moment as a whole.
pub(super) fn day_after(moment: Timestamp) -> Date {
    date(moment).tomorrow().unwrap_or(Date::MAX)
}
