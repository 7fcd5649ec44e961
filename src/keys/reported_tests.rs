//! A key that drains is kept for what receivers report of it, and not for ever.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    LastPassed, Moment, Reported, State, What,
    leaving_tests::{Life, SEEN, name},
};
use crate::words::Level;

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(number * 86_400).unwrap()
}

/// Looks each hour until the record is asked back; gives the days that this takes, and how many of
/// them it was held for reports. `passed` gives the last day on which the key passed, for each day.
fn drained(life: &mut Life, reported: impl Fn(i64) -> Option<i64>) -> (i64, i64) {
    let mut held = 0;
    for hour in 1..24 * 200 {
        life.now += Duration::from_hours(1);
        let mut passed = LastPassed::new();
        if let Some(last) = reported(hour / 24) {
            passed.insert((name("een.example"), "s1".parse().unwrap()), day(last));
        }
        let moment = Moment::steady(life.now);
        let plan = life.with(|situation| {
            let situation = situation.reported(Reported::Known(&passed));
            situation.plan(moment, |_, _| SEEN)
        });
        life.keyring.apply(&plan.changes).unwrap();
        match life.next(1) {
            (What::EmptyRecord, _) => return (hour / 24, held / 24),
            (What::AwaitReports, level) => {
                assert_eq!(level, Level::Well);
                held += 1;
            }
            (what, _) => assert_eq!(what, What::KeepRecord),
        }
    }
    panic!("it is kept for ever");
}

fn life() -> Life {
    Life::new(&[State::Draining, State::Active])
}

#[test]
fn a_key_is_kept_for_seven_days_without_a_report_that_it_passes() {
    // Without reports by the normal date, after 31 hours.
    assert_eq!(drained(&mut life(), |_| None), (1, 0));
    assert_eq!(drained(&mut life(), |_| Some(0)), (8, 6));
    // Mail goes on for ten days, and reports tell of it a day later.
    let late = |today: i64| Some((today - 1).min(10));
    assert_eq!(drained(&mut life(), late), (18, 16));
    // The last pass was long before the normal date.
    assert_eq!(drained(&mut life(), |_| Some(-7)), (1, 0));
}

#[test]
fn reports_without_end_keep_it_for_sixty_days() {
    let (days, held) = drained(&mut life(), Some);
    assert_eq!((days, held), (61, 60));
}

#[test]
fn until_when_and_why_is_said_of_it() {
    let mut life = life();
    let passed = LastPassed::from([((name("een.example"), "s1".parse().unwrap()), day(0))]);
    let look = |life: &mut Life, reported: Reported<'_>| {
        life.now += Duration::from_hours(1);
        let moment = Moment::steady(life.now);
        let plan = life.with(|situation| situation.reported(reported).plan(moment, |_, _| SEEN));
        life.keyring.apply(&plan.changes).unwrap();
    };
    for _ in 0..40 {
        look(&mut life, Reported::Known(&passed));
    }
    let text = |life: &Life| {
        let key = life.keyring.key(&"s1".parse().unwrap()).unwrap();
        life.with(|situation| situation.next_step(key, &name("een.example")).text())
    };
    assert_eq!(
        text(&life),
        "keep its record: still reported as passing on 1970-01-01 by receivers; withdrawal waits \
         until 1970-01-09"
    );
    // What was known holds while a new process reads the reports.
    look(&mut life, Reported::Awaited);
    assert_eq!(life.next(1).0, What::AwaitReports);
    // Nothing is reported any more: they were forgotten.
    look(&mut life, Reported::Nothing);
    assert_eq!(life.next(1).0, What::EmptyRecord);
    assert_eq!(life.of(1).reported, None);
}

#[test]
fn nothing_ends_before_it_is_known_what_receivers_report() {
    let mut life = life();
    for _ in 0..40 {
        life.now += Duration::from_hours(1);
        let moment = Moment::steady(life.now);
        let plan = life.with(|situation| {
            situation
                .reported(Reported::Awaited)
                .plan(moment, |_, _| SEEN)
        });
        life.keyring.apply(&plan.changes).unwrap();
        assert_eq!(life.next(1).0, What::KeepRecord);
    }
    life.look(SEEN);
    assert_eq!(life.next(1).0, What::EmptyRecord);
}
