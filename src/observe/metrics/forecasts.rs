//! What would have become of mail, on listeners that only look on: by organisation and reason, as
//! what has become of mail is counted.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    counters::{Reasons, count, counted},
    listeners::Forecast,
};
use crate::{observe::status::ObservedFigures, organisation::Refusal};

/// The counters of one organisation; there is nothing before the first message.
#[derive(Debug, Default)]
pub(super) struct Forecasts {
    signed: AtomicU64,
    unverified: AtomicU64,
    unsigned: OnceLock<Reasons>,
    put_off: OnceLock<Reasons>,
    rejected: OnceLock<Reasons>,
}

impl Forecasts {
    /// One message, with the reason why it would not be signed, if it would not.
    pub(super) fn add(&self, forecast: Forecast, reason: Option<Refusal>) {
        let Some(reason) = reason else {
            let signed = match forecast {
                Forecast::Unverified => &self.unverified,
                _ => &self.signed,
            };
            signed.fetch_add(1, Relaxed);
            return;
        };
        count(&self.unsigned, reason);
        match forecast {
            Forecast::Tempfailed => count(&self.put_off, reason),
            Forecast::Rejected => count(&self.rejected, reason),
            Forecast::Signed | Forecast::Unverified | Forecast::Unsigned => {}
        }
    }

    /// Why messages would not have been signed, and how many.
    pub(super) fn unsigned(&self) -> impl Iterator<Item = (&'static str, u64)> {
        counted(&self.unsigned)
    }

    pub(super) fn figures(&self) -> ObservedFigures {
        let words = |reasons: &OnceLock<Reasons>| -> BTreeMap<String, u64> {
            let counted = counted(reasons);
            counted
                .map(|(word, count)| (word.to_owned(), count))
                .collect()
        };
        ObservedFigures {
            signed: self.signed.load(Relaxed),
            unverified: self.unverified.load(Relaxed),
            unsigned: words(&self.unsigned),
            put_off: words(&self.put_off),
            rejected: words(&self.rejected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{metrics::Metrics, status::Ask};

    #[test]
    fn what_would_become_of_mail_is_counted_beside_what_has() {
        let metrics = Metrics::with_series(1);
        let [een, twee] = ["een", "twee"].map(|id| metrics.organisation(&id.parse().unwrap()));
        een.observed(Forecast::Signed, None);
        een.observed(Forecast::Unverified, None);
        twee.observed(Forecast::Unsigned, Some(Refusal::AwaitingKey));
        twee.observed(Forecast::Tempfailed, Some(Refusal::SigningFailure));
        let figures = metrics.status(None, &Ask::default()).figures;
        let each: BTreeMap<_, _> = figures.each().collect();
        let [een, twee] = ["een", "twee"].map(|id| each[&id.to_owned()]);
        assert_eq!((een.observed.signed, een.observed.unverified), (1, 1));
        assert_eq!(twee.observed.reasons(), "awaiting_key 1, signing_failure 1");
        assert_eq!(twee.observed.kept_back(), 1);
        assert_eq!((een.signed, twee.all_unsigned()), (0, 0));
        assert!(!metrics.sends_without_key(&"twee".parse().unwrap()));
        // The second one has no series of its own, so it is among the others.
        let page = metrics.render().unwrap();
        let series = "observed_unsigned_total{organisation=\"other\",reason=\"awaiting_key\"} 1";
        assert!(page.contains(series), "{page}");
    }
}
