mod any;
mod believed;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    facts::{DAYS, Facts, Replay},
    holds::HoldCode,
    record::Published,
    *,
};
use crate::{
    dmarc::{Wish, tags},
    evidence::streams::{Changed, Class, OfDay, Policy, Stream},
};

const TODAY: i32 = 20_500;
const OURS: &str = "dmarc@relay.example";

fn published(text: &str) -> Published {
    Published::new(&[text.to_owned()])
}

/// Each day for so long: messages and how many of them are aligned.
fn stream(id: &str, class: Class, days: i32, messages: u64, aligned: u64) -> Stream {
    let day = OfDay {
        messages,
        aligned,
        not_strict: messages - aligned,
        ..OfDay::default()
    };
    let mut stream = Stream::made(id, class);
    stream.days = (TODAY - days + 1..=TODAY).map(|at| (at, day)).collect();
    stream
}

/// A domain of which reports show a record for so many days, up to yesterday.
fn facts(record: &str, days: i32, streams: Vec<Stream>) -> Facts {
    let seen: BTreeMap<String, String> = tags(record)
        .unwrap()
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let reported = TODAY - days..TODAY;
    let reporters: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    Facts {
        today: TODAY,
        streams,
        report_days: reported.clone().collect(),
        reporters: reporters.clone(),
        recent_reporters: reporters,
        policies: reported
            .map(|day| Policy {
                day,
                tags: seen.clone(),
                reports: 3,
                reporter: None,
            })
            .collect(),
        ..Facts::default()
    }
}

fn standing(facts: &Facts, record: &str) -> Standing {
    let published = published(record);
    let subject = Subject {
        parked: false,
        published: Some(&published),
        reports: Some(OURS),
    };
    advise(facts, subject, &Thresholds::default())
}

const ON: [(Rung, &str); 5] = [
    (
        Rung::None,
        "v=DMARC1; p=none; rua=mailto:dmarc@relay.example",
    ),
    (
        Rung::QuarantineTest,
        "v=DMARC1; p=quarantine; t=y; pct=0; rua=mailto:dmarc@relay.example",
    ),
    (
        Rung::Quarantine,
        "v=DMARC1; p=quarantine; rua=mailto:dmarc@relay.example",
    ),
    (
        Rung::RejectTest,
        "v=DMARC1; p=reject; t=y; pct=0; rua=mailto:dmarc@relay.example",
    ),
    (
        Rung::Reject,
        "v=DMARC1; p=reject; rua=mailto:dmarc@relay.example",
    ),
];

fn ours(days: i32) -> Stream {
    stream("ours", Class::Ours, days, 100, 100)
}

/// The same, from names below what it is signed with.
fn relaxed(days: i32) -> Stream {
    let mut stream = ours(days);
    for day in stream.days.values_mut() {
        day.not_strict = day.messages;
    }
    stream
}

#[test]
fn each_rung_is_left_after_its_days_and_none_is_left_out() {
    let thresholds = Thresholds::default();
    for ((rung, record), (next, wanted)) in ON.into_iter().zip(ON.into_iter().skip(1)) {
        let days = i32::from(thresholds.days(rung));
        let early = standing(&facts(record, days - 1, vec![ours(90)]), record);
        assert_eq!(early.step, Some(rung));
        assert_eq!(early.advice.action, Action::Wait, "{early:?}");
        assert_eq!(early.advice.days, 1);
        assert_eq!(early.advice.record.as_deref(), Some(record));
        let there = standing(&facts(record, days, vec![ours(90)]), record);
        assert_eq!(there.holds, []);
        assert_eq!(there.advice.action, Action::Publish, "{there:?}");
        assert_eq!(there.advice.step, next);
        assert_eq!(there.advice.record.as_deref(), Some(wanted));
    }
    let (_, reject) = ON[4];
    let done = standing(&facts(reject, 90, vec![relaxed(90)]), reject);
    assert_eq!(done.advice.action, Action::Done, "{done:?}");
    assert_eq!(
        done.findings,
        [(Finding::NotStrict, Some("ours".to_owned()))]
    );
    let strict = standing(&facts(reject, 90, vec![ours(90)]), reject);
    assert_eq!(
        strict.advice.record.as_deref(),
        Some("v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc@relay.example")
    );
}

#[test]
fn each_hold_stands_against_its_rungs_alone() {
    let with = |stream: Stream| vec![ours(90), stream];
    let spf_only = |class: Class| {
        let mut stream = stream("spf", class, 90, 20, 20);
        for day in stream.days.values_mut() {
            day.spf_only = 1;
        }
        stream
    };
    let below = {
        let mut stream = stream("below", Class::Known, 90, 100, 95);
        for day in stream.days.values_mut() {
            day.below = 5;
        }
        stream
    };
    for (streams, code, first, action) in [
        (
            with(stream("via:x", Class::Unknown, 90, 3, 1)),
            HoldCode::UnknownStream,
            Rung::QuarantineTest,
            Action::Ask,
        ),
        (
            with(stream("known", Class::Known, 90, 100, 98)),
            HoldCode::FailingStream,
            Rung::QuarantineTest,
            Action::Fix,
        ),
        (
            with(below),
            HoldCode::SubdomainStream,
            Rung::QuarantineTest,
            Action::Fix,
        ),
        (
            with(spf_only(Class::Known)),
            HoldCode::SpfOnlyStream,
            Rung::RejectTest,
            Action::Fix,
        ),
        (
            with(spf_only(Class::Unknown)),
            HoldCode::SpfOnlyStream,
            Rung::RejectTest,
            Action::Fix,
        ),
        (
            with(stream("list:x", Class::List, 90, 1, 0)),
            HoldCode::ListStream,
            Rung::RejectTest,
            Action::Ask,
        ),
    ] {
        for (rung, record) in ON.into_iter().take(4) {
            let found = standing(&facts(record, 90, streams.clone()), record);
            let [hold] = &*found.holds else {
                panic!("{rung}: {found:?}");
            };
            assert_eq!(hold.code, code);
            let next = rung.next().unwrap();
            assert_eq!(hold.blocks, next.max(first));
            if found.lost.is_empty() {
                let expected = if next >= first {
                    action
                } else {
                    Action::Publish
                };
                assert_eq!(found.advice.action, expected, "{rung}: {found:?}");
            }
        }
    }
}

#[test]
fn who_begins_at_the_top_is_asked_about_and_nothing_gets_stricter() {
    let (_, record) = ON[4];
    for (stream, code, action) in [
        (
            stream("via:x", Class::Unknown, 3, 200, 0),
            HoldCode::UnknownStream,
            Action::Ask,
        ),
        (
            stream("known", Class::Known, 90, 1_000, 985),
            HoldCode::FailingStream,
            Action::Fix,
        ),
    ] {
        let found = standing(&facts(record, 90, vec![ours(90), stream]), record);
        let codes: Vec<HoldCode> = found.holds.iter().map(|hold| hold.code).collect();
        assert_eq!(codes, [code]);
        assert_eq!(found.holds[0].blocks, Rung::Reject);
        assert_eq!(found.advice.action, action);
        assert_eq!(found.advice.record.as_deref(), Some(record));
        assert_eq!(found.lost, []);
    }
    // Nothing else is waited for, but nothing gets stricter without reports.
    let mut silent = facts(record, 90, vec![ours(90)]);
    silent.recent_reporters.clear();
    let found = standing(&silent, record);
    assert_eq!(found.holds, []);
    assert_eq!(found.advice.action, Action::Done);
    assert_eq!(found.advice.record.as_deref(), Some(record));
}

#[test]
fn what_is_small_or_known_to_be_no_mail_of_ours_holds_nothing() {
    for harmless in [
        stream("via:x", Class::Unknown, 1, 19, 0),
        stream("via:x", Class::Unknown, 90, 3, 3),
        stream("via:x", Class::Abuse, 90, 5_000, 10),
        stream("forwarding", Class::Forwarding, 90, 50, 10),
        stream("list:x", Class::List, 1, 9, 0),
        stream("known", Class::Known, 90, 100, 99),
    ] {
        let (_, record) = ON[3];
        let found = standing(&facts(record, 90, vec![ours(90), harmless]), record);
        assert_eq!(found.holds, []);
        assert_eq!(found.advice.step, Rung::Reject);
    }
}

#[test]
fn reports_must_come_from_several() {
    let (_, record) = ON[0];
    let codes = |facts: &Facts| -> Vec<HoldCode> {
        let found = standing(facts, record);
        found.holds.iter().map(|hold| hold.code).collect()
    };
    let mut old = facts(record, 90, vec![ours(90)]);
    old.report_days.retain(|day| *day < TODAY - 4);
    assert_eq!(codes(&old), [HoldCode::NoRecentReports]);
    let mut few = facts(record, 90, vec![ours(90)]);
    few.recent_reporters.pop_first();
    assert_eq!(codes(&few), [HoldCode::NoRecentReports]);
    // Of a small domain one is enough, and the days between its reports count.
    let mut small = facts(record, 90, vec![stream("ours", Class::Ours, 90, 1, 1)]);
    small.recent_reporters = ["a".to_owned()].into();
    small.report_days.retain(|day| day % 7 == (TODAY - 2) % 7);
    assert_eq!(codes(&small), []);
}

#[test]
fn lost_mail_leads_back_at_once() {
    for (rung, record) in ON {
        let mut failing = stream("known", Class::Known, 90, 100, 100);
        for (_, day) in failing.days.range_mut(TODAY - 1..) {
            day.aligned = 90;
        }
        let found = standing(&facts(record, 90, vec![ours(90), failing]), record);
        let expected = match rung {
            Rung::None | Rung::QuarantineTest => None,
            Rung::Quarantine | Rung::RejectTest => Some(Rung::None),
            Rung::Reject => Some(Rung::QuarantineTest),
        };
        let back = (found.advice.action == Action::StepBack).then_some(found.advice.step);
        assert_eq!(back, expected, "{rung}");
        // An unknown stream can't order it.
        let unknown = stream("via:x", Class::Unknown, 90, 500, 0);
        let found = standing(&facts(record, 90, vec![ours(90), unknown]), record);
        assert_ne!(found.advice.action, Action::StepBack);
    }
}

#[test]
fn a_test_that_only_some_take_for_one_is_made_whole_first() {
    for half in [
        "v=DMARC1; p=quarantine; t=y; rua=mailto:dmarc@relay.example",
        "v=DMARC1; p=quarantine; pct=0; rua=mailto:dmarc@relay.example",
    ] {
        let found = standing(&facts(half, 90, vec![ours(90)]), half);
        assert_eq!(found.step, Some(Rung::QuarantineTest));
        assert_eq!(found.advice.action, Action::Publish);
        assert_eq!(found.advice.record.as_deref(), Some(ON[1].1));
    }
}

#[test]
fn what_is_for_a_part_of_the_mail_has_not_been_tried() {
    let part = "v=DMARC1; p=reject; pct=5; rua=mailto:dmarc@relay.example";
    let found = standing(&facts(part, 90, vec![ours(90)]), part);
    assert_eq!(found.step, Some(Rung::RejectTest));
    assert_eq!(found.advice.record.as_deref(), Some(ON[3].1));
    // Receivers take a wrong sp= for p=none.
    let wrong = "v=DMARC1; p=reject; sp=foo; rua=mailto:dmarc@relay.example";
    let found = standing(&facts(wrong, 3, vec![ours(90)]), wrong);
    assert_eq!(
        (found.step, found.advice.record.as_deref()),
        (Some(Rung::None), Some(ON[0].1))
    );
    assert_eq!(
        Published::new(&["v=DMARC1; p=reject; np=foo".to_owned()]).rung(),
        None
    );
}

#[test]
fn nobody_climbs_without_mail_that_is_known_to_be_legitimate() {
    let (_, record) = ON[0];
    let forwarded = stream("forwarding", Class::Forwarding, 90, 100, 100);
    let found = standing(&facts(record, 90, vec![forwarded]), record);
    assert_eq!(found.holds[0].code, HoldCode::NoLegitimateMail);
    assert_eq!(found.advice.action, Action::Ask);
}

#[test]
fn a_small_domain_and_a_known_stream_that_moves_lead_back_too() {
    let (_, record) = ON[4];
    let mut small = stream("known", Class::Known, 50, 1, 1);
    for (_, day) in small.days.range_mut(TODAY - 2..) {
        day.aligned = 0;
    }
    let mut moved = stream("known", Class::Unknown, 90, 100, 100);
    moved.changed = Some(Changed::Network);
    for (_, day) in moved.days.range_mut(TODAY - 1..) {
        day.aligned = 0;
    }
    for streams in [vec![small], vec![ours(90), moved]] {
        let found = standing(&facts(record, 90, streams), record);
        assert_eq!(found.advice.action, Action::StepBack, "{found:?}");
    }
    // Reports that did not come for long are no days of little mail.
    let mut small = facts(ON[0].1, 90, vec![stream("ours", Class::Ours, 90, 1, 1)]);
    small
        .report_days
        .retain(|day| *day < TODAY - 80 || *day > TODAY - 3);
    assert!(small.days_under(Rung::None) < 15);
}

#[test]
fn the_way_back_spares_names_that_do_not_exist() {
    let record = "v=DMARC1; p=quarantine; np=reject; rua=mailto:dmarc@relay.example";
    let mut failing = stream("known", Class::Known, 90, 100, 100);
    for (_, day) in failing.days.range_mut(TODAY - 2..) {
        (day.below, day.aligned) = (100, 0);
    }
    let mut seen = facts(record, 90, vec![ours(90), failing]);
    seen.nonexistent = Some(["oud.voorbeeld.nl".to_owned()].into());
    let found = standing(&seen, record);
    assert_eq!(found.advice.action, Action::StepBack);
    assert_eq!(found.advice.record.as_deref(), Some(ON[0].1));
    let weak = "v=DMARC1; p=reject; np=none; rua=mailto:dmarc@relay.example";
    let found = standing(&facts(weak, 90, vec![relaxed(90)]), weak);
    assert_eq!(found.advice.record.as_deref(), Some(weak));
}

#[test]
fn a_record_keeps_what_is_harmless() {
    for (text, expected) in [
        (
            "v=DMARC1; p=none",
            "v=DMARC1; p=none; rua=mailto:dmarc@relay.example",
        ),
        (
            "v=DMARC1; p=none; rua=mailto:a@b.nl!10m, mailto:DMARC@relay.example,https://x; fo=1; rf=afrf; ri=3600; x=y",
            "v=DMARC1; p=none; rua=mailto:a@b.nl!10m,mailto:DMARC@relay.example; fo=1",
        ),
        (
            "v=DMARC1;p=none;sp=reject;psd=N;ruf=mailto:a@b.nl",
            "v=DMARC1; p=none; sp=reject; rua=mailto:dmarc@relay.example; ruf=mailto:a@b.nl; psd=n",
        ),
        (
            "v=DMARC1; p=none; np=reject; adkim=s",
            "v=DMARC1; p=none; np=reject; adkim=s; rua=mailto:dmarc@relay.example",
        ),
        (
            "v=DMARC1; p=monitor; rua=mailto:dmarc@relay.example",
            ON[0].1,
        ),
    ] {
        let found = standing(&facts(text, 3, vec![ours(3)]), text);
        assert_eq!(found.advice.record.as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn names_below_follow_once_the_domain_has_arrived() {
    let weak = "v=DMARC1; p=reject; sp=none; rua=mailto:dmarc@relay.example";
    let ours = relaxed;
    let found = standing(&facts(weak, 29, vec![ours(90)]), weak);
    assert_eq!(found.advice.action, Action::Done);
    assert_eq!(found.advice.record.as_deref(), Some(weak));
    assert!(found.findings.contains(&(Finding::WeakSubdomains, None)));
    let found = standing(&facts(weak, 30, vec![ours(90)]), weak);
    assert_eq!(
        found.advice.record.as_deref(),
        Some("v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@relay.example")
    );
    let mut failing = stream("below", Class::Known, 90, 10, 10);
    for day in failing.days.values_mut() {
        (day.below, day.below_aligned, day.aligned) = (1, 0, 9);
    }
    let found = standing(&facts(weak, 60, vec![ours(90), failing]), weak);
    assert_eq!(found.advice.record.as_deref(), Some(weak));
}

#[test]
fn names_that_do_not_exist_are_refused_from_the_first_rung_on() {
    let (_, record) = ON[0];
    let mut known = facts(record, 56, vec![ours(90)]);
    known.nonexistent = Some(BTreeSet::new());
    let found = standing(&known, record);
    assert_eq!(
        found.advice.record.as_deref(),
        Some("v=DMARC1; p=quarantine; np=reject; t=y; pct=0; rua=mailto:dmarc@relay.example")
    );
    known.nonexistent = Some(["oud.voorbeeld.nl".to_owned()].into());
    assert_eq!(
        standing(&known, record).advice.record.as_deref(),
        Some(ON[1].1)
    );
}

#[test]
fn a_domain_that_never_sends_is_refused_at_once() {
    let expected = "v=DMARC1; p=reject; rua=mailto:dmarc@relay.example";
    for (texts, action) in [
        (vec![], Action::Publish),
        (
            vec!["v=DMARC1; p=none; rua=mailto:dmarc@relay.example".to_owned()],
            Action::Publish,
        ),
        (vec![expected.to_owned()], Action::Done),
        (vec![expected.replace("; ", ";")], Action::Done),
        (vec![format!("{expected}; van ons=ja")], Action::Publish),
        (
            vec![expected.to_owned(), expected.to_owned()],
            Action::Publish,
        ),
    ] {
        let published = Published::new(&texts);
        let subject = Subject {
            parked: true,
            published: Some(&published),
            reports: Some(OURS),
        };
        let mut passing = stream("via:x", Class::Unknown, 1, 1, 1);
        passing.rule = 5;
        let passing = facts("v=DMARC1; p=none", 3, vec![passing]);
        let found = advise(&passing, subject, &Thresholds::default());
        assert_eq!(
            (found.advice.action, found.advice.record.as_deref()),
            (action, Some(expected))
        );
        assert_eq!(
            found.findings,
            [(Finding::ParkedPasses, Some("via:x".to_owned()))]
        );
    }
}

#[test]
fn mail_that_was_not_signed_is_told_and_changes_no_step() {
    let mut seen = facts(ON[0].1, 90, vec![ours(90)]);
    let published = Published::new(&[ON[0].1.to_owned()]);
    let subject = Subject {
        parked: false,
        published: Some(&published),
        reports: Some(OURS),
    };
    let mut before = advise(&seen, subject, &Thresholds::default());
    let replay = Replay {
        from: 1,
        to: 7,
        passed: 12_000,
        signed: 500,
    };
    seen.replays.insert("s1".to_owned(), replay);
    let found = advise(&seen, subject, &Thresholds::default());
    let told = (Finding::Replay, Some("s1".to_owned()));
    before.findings.insert(0, told);
    assert_eq!(found, before);
}

#[test]
fn since_when_a_rung_holds_the_majority_of_each_day_says() {
    let mut seen = facts(ON[0].1, 90, vec![ours(90)]);
    let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned()))
            .collect()
    };
    // Old and new receivers tell of a test in different ways; some lag behind.
    for day in TODAY - 10..TODAY {
        seen.policies
            .retain(|policy| policy.day != day || policy.reports != 3);
        for (pairs, reports) in [
            (tags(&[("p", "quarantine"), ("t", "y")]), 2),
            (tags(&[("p", "quarantine"), ("pct", "0")]), 2),
            (tags(&[("p", "none")]), 3),
        ] {
            seen.policies.push(Policy {
                day,
                tags: pairs,
                reports,
                reporter: None,
            });
        }
    }
    assert_eq!(seen.since(Rung::QuarantineTest), Some(TODAY - 10));
    assert_eq!(seen.days_under(Rung::QuarantineTest), 10);
    assert_eq!(seen.since(Rung::None), None);
}

#[test]
fn wishes_are_in_the_order_of_how_strict_they_are() {
    assert!(Wish::None < Wish::Quarantine && Wish::Quarantine < Wish::Reject);
    assert_eq!(DAYS, 56);
}
