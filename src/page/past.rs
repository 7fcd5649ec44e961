//! What became of the mail of one organisation on the last days, as the keeper has counted it:
//! from its files in the keystore, since the counters of this process begin anew with it.
//!
//! Only what was not signed is kept in memory, and a file is read again only when it has changed:
//! that is the one of today.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use jiff::{Span, Timestamp, civil::Date};

use crate::{
    keystore::{CountsStamp, Keystore},
    names::OrganisationId,
    observe::tally::{Counts, DAYS, DaySummary, day_of, latest},
    organisation::Refusal,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<BTreeMap<Date, Known>>);

/// By their ids.
pub(super) type Senders = HashSet<String>;

/// A day as it was read.
#[derive(Debug)]
struct Known {
    /// None of a file that had only just changed.
    stamp: Option<CountsStamp>,
    until: Timestamp,
    /// Whether what some signer counted on this day is not known, or stands under another.
    has_gaps: bool,
    /// Of those with mail that was not signed.
    organisations: HashMap<String, Counts>,
    /// Why the file can't be read.
    problem: Option<String>,
}

/// What is shown of one organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PastMail {
    /// The first day that is counted, and until when it is.
    pub(super) since: Date,
    pub(super) until: Timestamp,
    /// Whether there is a day between that was not counted whole.
    pub(super) is_partial: bool,
    /// Whether the days of this moment were counted.
    pub(super) has_today: bool,
    pub(super) has_yesterday: bool,
    /// By the reason, and what was done with the mail.
    pub(super) rows: BTreeMap<(String, Fate), Sums>,
}

/// What was done with mail that was not signed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Fate {
    Unsigned,
    PutOff,
    Rejected,
}

/// Numbers of messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sums {
    pub(super) today: u64,
    pub(super) yesterday: u64,
    /// With today.
    pub(super) week: u64,
    /// Of all days that are kept.
    pub(super) all: u64,
}

impl Past {
    /// None if all mail that was counted was signed. Reads files.
    ///
    /// # Errors
    /// When nobody can tell; why, for the operator.
    pub(super) fn of(
        &self,
        keystore: &Keystore,
        id: &OrganisationId,
        now: Timestamp,
    ) -> Result<Option<PastMail>, String> {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refresh(&mut days, keystore, now)?;
        if let Some(problem) = days.values().find_map(|day| day.problem.as_ref()) {
            return Err(problem.clone());
        }
        Ok(mail(&days, id, now))
    }
}

impl Past {
    /// The organisations of which mail had no key on one of the days that are kept. What can't be
    /// read says nothing. Reads files.
    pub(super) fn senders_without_key(&self, keystore: &Keystore, now: Timestamp) -> Senders {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refresh(&mut days, keystore, now).is_err() {
            return Senders::default();
        }
        let awaiting = Refusal::AwaitingKey.as_str();
        let organisations = days.values().flat_map(|day| &day.organisations);
        let had_no_key = |counts: &Counts| {
            let reasons = counts.reasons();
            let fates = reasons.get(awaiting);
            fates.is_some_and(|fates| fates.iter().any(|count| *count > 0))
        };
        let found = organisations.filter(|(_, counts)| had_no_key(counts));
        found.map(|(id, _)| id.clone()).collect()
    }
}

/// Reads what has changed, and forgets the days that are not shown.
fn refresh(
    days: &mut BTreeMap<Date, Known>,
    keystore: &Keystore,
    now: Timestamp,
) -> Result<(), String> {
    let first = back(day_of(now), DAYS - 1);
    let counted = keystore.counted_days().map_err(|error| error.to_string())?;
    // Later ones are of a clock that was wrong.
    let is_shown = |day: &Date| (first..=latest(now)).contains(day);
    let counted: Vec<Date> = counted.into_iter().filter(is_shown).collect();
    days.retain(|day, _| counted.contains(day));
    for day in counted {
        let stamp = days.get(&day).and_then(|known| known.stamp.as_ref());
        if stamp.is_some_and(|stamp| keystore.has_same_counts(day, stamp)) {
            continue;
        }
        match read(keystore, day) {
            Some(known) => days.insert(day, known),
            // Removed by now.
            None => days.remove(&day),
        };
    }
    Ok(())
}

fn read(keystore: &Keystore, day: Date) -> Option<Known> {
    let read = keystore.read_counts_stamped(day);
    let read = read.map_err(|error| error.to_string());
    let (summary, stamp) = match read {
        Ok(None) => return None,
        Ok(Some((content, stamp))) => {
            let place = || keystore.counts_place(day);
            let summary = DaySummary::parse(&content);
            let summary = summary.map_err(|error| format!("{}: {error}", place()));
            (summary, stamp)
        }
        Err(error) => (Err(error), None),
    };
    Some(match summary {
        Ok(summary) => Known {
            stamp,
            until: summary.until,
            has_gaps: !summary.gaps.is_empty(),
            organisations: summary.unsigned(),
            problem: None,
        },
        Err(problem) => Known {
            stamp,
            until: Timestamp::UNIX_EPOCH,
            has_gaps: true,
            organisations: HashMap::new(),
            problem: Some(problem),
        },
    })
}

fn mail(days: &BTreeMap<Date, Known>, id: &OrganisationId, now: Timestamp) -> Option<PastMail> {
    let today = day_of(now);
    let (yesterday, week) = (back(today, 1), back(today, 6));
    let (since, _) = days.first_key_value()?;
    let mut rows: BTreeMap<(String, Fate), Sums> = BTreeMap::new();
    for (day, known) in days {
        let Some(counts) = known.organisations.get(id.as_str()) else {
            continue;
        };
        for (reason, fates) in counts.reasons() {
            for (fate, count) in Fate::ALL.into_iter().zip(fates) {
                if count == 0 {
                    continue;
                }
                let sums = rows.entry((reason.to_owned(), fate)).or_default();
                for (sum, is_in) in [
                    (&mut sums.today, *day == today),
                    (&mut sums.yesterday, *day == yesterday),
                    (&mut sums.week, *day >= week),
                    (&mut sums.all, true),
                ] {
                    *sum = sum.saturating_add(if is_in { count } else { 0 });
                }
            }
        }
    }
    let expected = i64::from(since.until(today).map_or(0, |span| span.get_days())) + 1;
    let counted = days.keys().filter(|day| **day <= today).count();
    (!rows.is_empty()).then(|| PastMail {
        since: *since,
        until: days.values().map(|day| day.until).max().unwrap_or(now),
        is_partial: i64::try_from(counted).is_ok_and(|counted| counted < expected)
            || days.values().any(|day| day.has_gaps),
        has_today: days.contains_key(&today),
        has_yesterday: days.contains_key(&yesterday),
        rows,
    })
}

impl Fate {
    /// In the order of [`Counts::reasons`].
    pub(super) const ALL: [Self; 3] = [Self::Unsigned, Self::PutOff, Self::Rejected];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "left unsigned",
            Self::PutOff => "put off",
            Self::Rejected => "rejected",
        }
    }
}

fn back(day: Date, days: i64) -> Date {
    day.saturating_sub(Span::new().days(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(keystore: &Keystore, day: &str, unsigned: u64) {
        let json = serde_json::json!({
            "version": 1, "day": day, "until": format!("{day}T12:00:00Z"), "signers": {},
            "organisations": {
                "een": {"signed": 9, "unsigned": {"awaiting_key": unsigned},
                        "put_off": {"signing_failure": 1}},
                "twee": {"signed": 9},
            },
        });
        let (json, latest) = (json.to_string(), "2026-12-01".parse().unwrap());
        let day = day.parse().unwrap();
        keystore
            .write_counts(day, json.as_bytes(), latest, 50)
            .unwrap();
    }

    #[test]
    fn days_are_added_up_and_read_again_when_they_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let now: Timestamp = "2026-11-30T13:00:00Z".parse().unwrap();
        let past = Past::default();
        let [een, twee] = ["een", "twee"].map(|id| id.parse::<OrganisationId>().unwrap());
        assert_eq!(past.of(&keystore, &een, now), Ok(None));
        // The first one is too old to be shown, the last one of a wrong clock.
        for (day, unsigned) in [
            ("2026-10-26", 1000),
            ("2026-10-27", 200),
            ("2026-11-23", 40),
            ("2026-11-24", 8),
            ("2026-11-29", 2),
            ("2026-11-30", 1),
            ("2036-01-01", 5000),
        ] {
            write(&keystore, day, unsigned);
        }
        let mail = past.of(&keystore, &een, now).unwrap().unwrap();
        assert_eq!(mail.since.to_string(), "2026-10-27");
        assert_eq!(mail.until.to_string(), "2026-11-30T12:00:00Z");
        assert!(mail.is_partial && mail.has_today && mail.has_yesterday);
        let sums = |today, yesterday, week, all| Sums {
            today,
            yesterday,
            week,
            all,
        };
        let expected = BTreeMap::from([
            (("awaiting_key".into(), Fate::Unsigned), sums(1, 2, 11, 251)),
            (("signing_failure".into(), Fate::PutOff), sums(1, 1, 3, 5)),
        ]);
        assert_eq!(mail.rows, expected);
        assert_eq!(past.of(&keystore, &twee, now), Ok(None));
        // A signer that starts knows by this who has mail.
        let senders = past.senders_without_key(&keystore, now);
        assert_eq!(senders, ["een".to_owned()].into());
        // The keeper goes on counting.
        write(&keystore, "2026-11-30", 7);
        let mail = past.of(&keystore, &een, now).unwrap().unwrap();
        let key = ("awaiting_key".to_owned(), Fate::Unsigned);
        assert_eq!(mail.rows[&key], sums(7, 2, 17, 257));
        // On the next day nothing is counted yet.
        let next = "2026-12-01T00:10:00Z".parse().unwrap();
        let mail = past.of(&keystore, &een, next).unwrap().unwrap();
        assert!(!mail.has_today && mail.has_yesterday);
        assert_eq!(mail.rows[&key], sums(0, 7, 9, 57));
        // What can't be read is no day without mail.
        let place = keystore.counts_place("2026-11-29".parse().unwrap());
        std::fs::write(&place, "{").unwrap();
        let error = past.of(&keystore, &een, now).unwrap_err();
        assert!(error.contains(&place), "{error}");
    }
}
