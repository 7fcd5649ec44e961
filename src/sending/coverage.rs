//! What reports show against what was signed: how much of the mail they tell of, and whether more
//! passes than was signed. Pure: from counts by day.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
};

use jiff::civil::Date;

use crate::{
    keystore::Coverage,
    ladder::{Thresholds, facts::Replay},
    observe::tally::{SignedCounts, SignedDay, day_of},
};

/// Of which so many days are compared at most; and the last ones that are over, of which reports are
/// still to come.
const DAYS: i32 = 28;
const STILL_COMING: i32 = 2;
/// Days on which mail may be sent again that are looked at.
const REPLAY_DAYS: i32 = 7;

/// Days of which the counts have to be read.
pub(super) const COUNTED: i32 = STILL_COMING + DAYS + 1;

/// Days since 1970.
pub(super) fn number(date: Date) -> i32 {
    date.duration_since(Date::constant(1970, 1, 1))
        .as_secs()
        .div_euclid(86_400)
        .try_into()
        .unwrap_or(i32::MAX)
}

/// What the keeper counted of signatures, by day.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signatures {
    days: BTreeMap<i32, HashMap<String, SignedCounts>>,
    /// Days of which all of it is known.
    whole: BTreeSet<i32>,
}

impl Signatures {
    /// Of the days that are kept, in days since 1970, and of those of them that were `read`. Of
    /// `today` is known what is known so far.
    pub(super) fn new(kept: &BTreeSet<i32>, read: BTreeMap<i32, SignedDay>, today: i32) -> Self {
        let mut doubtful: BTreeSet<i32> = BTreeSet::new();
        // Counting may have begun in the middle of the first day.
        doubtful.extend(kept.first());
        for (day, counted) in &read {
            if !counted.silent.is_empty() || !counted.has_all_gaps() {
                doubtful.insert(*day);
            }
            for gap in &counted.gaps {
                let days = number(day_of(gap.from))..=number(day_of(gap.until));
                doubtful.extend(read.keys().filter(|day| days.contains(day)));
            }
        }
        // What the keeper missed of a day it notes on the next one.
        let is_over = |day: i32| day == today || kept.contains(&(day + 1));
        let whole = read.keys().copied();
        let whole = whole.filter(|day| is_over(*day) && !doubtful.contains(day));
        Self {
            whole: whole.collect(),
            days: (read.into_iter())
                .map(|(day, counted)| (day, counted.organisations))
                .collect(),
        }
    }

    /// How many signatures these organisations together made with a selector on a day; none if
    /// nobody knows for certain.
    pub(super) fn of(&self, organisations: &[&str], selector: &str, day: i32) -> Option<u64> {
        let counted = self.days.get(&day).filter(|_| self.whole.contains(&day))?;
        organisations.iter().try_fold(0_u64, |sum, id| {
            let Some(counts) = counted.get(*id) else {
                return Some(sum);
            };
            let signed = counts.signed_by.get(selector).copied();
            is_told(counts).then(|| sum.saturating_add(signed.unwrap_or_default()))
        })
    }
}

/// Whether all signers told the selectors. A message that is just being signed may be without its
/// signature; of a day before selectors were counted far more is missing.
fn is_told(counts: &SignedCounts) -> bool {
    let told: u128 = counts.signed_by.values().copied().map(u128::from).sum();
    !counts.signed_by.contains_key("") && told * 10 >= u128::from(counts.signed) * 9
}

/// Of the last 28 days that are over, but for the last two: of those among them since the first one
/// with a report for which `signed` knows a number. None if that is nothing.
pub(super) fn coverage(
    passed: &BTreeMap<i32, u64>,
    signed: impl Fn(i32) -> Option<u64>,
    today: i32,
) -> Option<Coverage> {
    let to = today - STILL_COMING - 1;
    let from = (to - DAYS + 1).max(*passed.keys().next()?);
    let mut sums = Coverage {
        passed: 0,
        signed: 0,
        days: 0,
    };
    for day in from..=to {
        if let Some(signed) = signed(day) {
            let passed = passed.get(&day).copied().unwrap_or_default();
            sums.passed = sums.passed.saturating_add(passed);
            sums.signed = sums.signed.saturating_add(signed);
            sums.days += 1;
        }
    }
    (sums.signed > 0).then_some(sums)
}

/// Whether far more mail passes with a selector than was signed, in the last seven days that are
/// over. Days are left out if it is not known for certain what was signed on them, on the two before
/// or on the one after; then each stretch between them is looked at by itself. Of several, the one
/// with the most that was not signed.
pub(super) fn replay(
    passed: &BTreeMap<i32, u64>,
    signed: impl Fn(i32) -> Option<u64>,
    today: i32,
    thresholds: &Thresholds,
) -> Option<Replay> {
    let of_days = |days: RangeInclusive<i32>| {
        let mut all = days.map(&signed);
        all.try_fold(0_u64, |sum, signed| Some(sum.saturating_add(signed?)))
    };
    // Until then others may have signed with it, as before a migration.
    let has_signed = |day: &i32| signed(*day).is_some_and(|signed| signed > 0);
    let first = (today - COUNTED..today).find(has_signed)?;
    let is_known = |day: &i32| {
        let days = day - Replay::BEFORE..=day + Replay::AFTER;
        *days.start() > first && of_days(days).is_some()
    };
    let days: Vec<i32> = (today - REPLAY_DAYS..today).filter(is_known).collect();
    let stretches = days.chunk_by(|day, next| day + 1 == *next);
    let found = stretches.filter_map(|stretch| {
        let (from, to) = (*stretch.first()?, *stretch.last()?);
        let passed = passed.range(from..=to).map(|(_, passed)| *passed);
        let passed = passed.fold(0, u64::saturating_add);
        let signed = of_days(from - Replay::BEFORE..=to + Replay::AFTER)?;
        let most = u128::from(signed) * u128::from(thresholds.replay_factor)
            + u128::from(thresholds.replay_messages);
        (u128::from(passed) > most).then_some(Replay {
            from,
            to,
            passed,
            signed,
        })
    });
    found.max_by_key(|one| one.passed.saturating_sub(one.signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-01
    const TODAY: i32 = 20_485;
    const PER_DAY: u64 = 100;

    fn file(text: &str) -> SignedDay {
        SignedDay::parse(text.as_bytes()).unwrap()
    }

    fn whole(signed: u64) -> String {
        format!(
            r#"{{"version":1,"organisations":{{"een":{{"signed":{signed},"signed_by":{{"s1":{signed}}}}}}}}}"#
        )
    }

    /// 35 days with 100 signatures each, but for these.
    fn known(others: &[(i32, &str)]) -> Signatures {
        let mut read: BTreeMap<i32, SignedDay> = (TODAY - 34..=TODAY)
            .map(|day| (day, file(&whole(PER_DAY))))
            .collect();
        for (day, text) in others {
            read.insert(*day, file(text));
        }
        Signatures::new(&read.keys().copied().collect(), read, TODAY)
    }

    fn all_days(passed: u64) -> BTreeMap<i32, u64> {
        (TODAY - 60..=TODAY).map(|day| (day, passed)).collect()
    }

    fn covered(passed: &BTreeMap<i32, u64>, signatures: &Signatures) -> Option<(u64, u64, u16)> {
        let signed = |day| signatures.of(&["een"], "s1", day);
        let found = coverage(passed, signed, TODAY);
        found.map(|found| (found.passed, found.signed, found.days))
    }

    fn replayed(passed: &BTreeMap<i32, u64>, signatures: &Signatures) -> Option<Replay> {
        let signed = |day| signatures.of(&["een"], "s1", day);
        replay(passed, signed, TODAY, &Thresholds::default())
    }

    #[test]
    fn days_have_the_numbers_of_reports() {
        assert_eq!(number("1970-01-02".parse().unwrap()), 1);
        assert_eq!(number("2026-02-01".parse().unwrap()), TODAY);
        assert_eq!(number("1969-12-31".parse().unwrap()), -1);
    }

    #[test]
    fn coverage_is_of_28_days_without_the_last_two() {
        let signatures = known(&[]);
        assert_eq!(covered(&all_days(40), &signatures), Some((1120, 2800, 28)));
        // Reports began later; days on which none came count.
        let late = [
            (TODAY - 10, 40),
            (TODAY - 5, 40),
            (TODAY - 2, 40),
            (TODAY - 1, 40),
        ];
        assert_eq!(covered(&late.into(), &signatures), Some((80, 800, 8)));
        // A message has many recipients.
        assert_eq!(covered(&all_days(140), &signatures), Some((3920, 2800, 28)));
        // No report, or only one for which it is too early; nothing counted.
        assert_eq!(covered(&BTreeMap::new(), &signatures), None);
        assert_eq!(covered(&[(TODAY - 2, 40)].into(), &signatures), None);
        assert_eq!(covered(&all_days(40), &Signatures::default()), None);
        let signed = |day| signatures.of(&["twee"], "s1", day);
        assert_eq!(coverage(&all_days(40), signed, TODAY), None);
    }

    #[test]
    fn days_that_are_not_known_for_certain_do_not_count() {
        let gap = |from: &str, until: &str, kind: &str| {
            format!(
                r#"{{"version":1,"organisations":{{}},"gaps":[{{"signer":"a:1","from":"{from}Z","until":"{until}Z","kind":"{kind}"}}]}}"#
            )
        };
        let silent = r#"{"version":1,"organisations":{},"silent":{"a:1":"2026-01-20T10:00:00Z"}}"#;
        let lost = gap("2026-01-20T10:00:00", "2026-01-20T10:01:00", "lost");
        // Over three days; it is noted on the last one.
        let late = gap("2026-01-18T10:00:00", "2026-01-20T10:01:00", "late");
        let old = r#"{"version":1,"organisations":{"een":{"signed":100}}}"#;
        let half = r#"{"version":1,"organisations":{"een":{"signed":100,"signed_by":{"s1":50}}}}"#;
        let untold =
            r#"{"version":1,"organisations":{"een":{"signed":9,"signed_by":{"":1,"s1":9}}}}"#;
        for (text, days) in [
            (silent, 27),
            (&*lost, 27),
            (&*late, 25),
            (old, 27),
            (half, 27),
            (untold, 27),
        ] {
            let signatures = known(&[(TODAY - 12, text)]);
            let expected = Some((days * 40, days * 100, u16::try_from(days).unwrap()));
            assert_eq!(covered(&all_days(40), &signatures), expected, "{text}");
        }
        // A gap that ends before it begins is none.
        let odd = gap("2026-01-20T10:00:00", "2026-01-02T10:00:00", "lost");
        let counted = covered(&all_days(40), &known(&[(TODAY - 12, &odd)]));
        assert_eq!(counted, Some((1120, 2700, 28)));
        // Who did not send has no counts, and that is known.
        let quiet = r#"{"version":1,"organisations":{}}"#;
        let counted = covered(&all_days(40), &known(&[(TODAY - 12, quiet)]));
        assert_eq!(counted, Some((1120, 2700, 28)));
    }

    #[test]
    fn the_first_day_and_one_before_a_missing_one_are_not_whole() {
        let days = [TODAY - 6, TODAY - 5, TODAY - 3, TODAY - 2];
        let read: BTreeMap<i32, SignedDay> = days
            .into_iter()
            .map(|day| (day, file(&whole(PER_DAY))))
            .collect();
        let kept = read.keys().copied().collect();
        let whole_on = |today| Signatures::new(&kept, read.clone(), today).whole;
        assert_eq!(whole_on(TODAY), [TODAY - 3].into());
        assert_eq!(whole_on(TODAY - 2), [TODAY - 3, TODAY - 2].into());
    }

    #[test]
    fn a_list_is_no_replay_and_mail_that_is_sent_ten_thousand_times_is() {
        let signatures = known(&[]);
        // Ten days with 100 signatures each: four times as much is the most.
        let on = |passed: u64| [(TODAY - 3, passed)].into();
        assert_eq!(replayed(&all_days(100), &signatures), None);
        assert_eq!(replayed(&on(4_000), &signatures), None);
        let found = replayed(&on(4_001), &signatures).unwrap();
        assert_eq!((found.passed, found.signed), (4_001, 1_000));
        assert_eq!((found.from, found.to), (TODAY - 7, TODAY - 1));
        // A list sends on what one person writes to 900 members.
        let read: BTreeMap<i32, SignedDay> = (TODAY - 34..=TODAY)
            .map(|day| (day, file(&whole(0))))
            .collect();
        let mut small = Signatures::new(&read.keys().copied().collect(), read, TODAY);
        let counts = small.days.get_mut(&(TODAY - 5)).unwrap();
        *counts = file(&whole(1)).organisations;
        // Nothing is told before our signers signed with it: another may have, as in a migration.
        assert_eq!(replayed(&on(10_000), &small), None);
        assert!(replayed(&[(TODAY - 2, 10_000)].into(), &small).is_some());
        let counts = small.days.get_mut(&(TODAY - 20)).unwrap();
        *counts = file(&whole(1)).organisations;
        assert_eq!(replayed(&on(900), &small), None);
        let found = replayed(&on(10_000), &small).unwrap();
        assert_eq!((found.passed, found.signed), (10_000, 1));
        // Today is not over, and what is older is past.
        for day in [TODAY, TODAY - 8] {
            assert_eq!(replayed(&[(day, 10_000)].into(), &small), None);
        }
        // Not a number is too large.
        assert!(replayed(&on(u64::MAX), &signatures).is_some());
    }

    #[test]
    fn where_a_signer_was_not_counted_nothing_is_said() {
        let lost = r#"{"version":1,"organisations":{},"gaps":[{"signer":"a:1","from":"2026-01-29T10:00:00Z","until":"2026-01-29T10:01:00Z","kind":"lost"}]}"#;
        // Three days ago: that day, the one before and the two after it are left out.
        let signatures = known(&[(TODAY - 3, lost)]);
        for day in TODAY - 4..TODAY {
            assert_eq!(replayed(&[(day, 10_000)].into(), &signatures), None);
        }
        let found = replayed(&[(TODAY - 5, 10_000)].into(), &signatures).unwrap();
        assert_eq!((found.from, found.to), (TODAY - 7, TODAY - 5));
        assert_eq!(found.signed, 6 * PER_DAY);
        let silent = r#"{"version":1,"organisations":{},"silent":{"a:1":"2026-01-31T10:00:00Z"}}"#;
        let today = known(&[(TODAY, silent)]);
        assert_eq!(replayed(&[(TODAY - 1, 10_000)].into(), &today), None);
        assert!(replayed(&[(TODAY - 2, 10_000)].into(), &today).is_some());
        assert_eq!(replayed(&all_days(10_000), &Signatures::default()), None);
    }
}
