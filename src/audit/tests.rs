use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};

use super::*;
use crate::{
    dkim::Algorithm,
    keys::{Keyring, Publication, State},
    names::{DomainName, OrganisationId},
};

const HALF_A_YEAR: Duration = Duration::from_hours(24 * 182);

fn id(text: &str) -> OrganisationId {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the arguments are")]
fn day(text: &str) -> Option<Date> {
    Some(text.parse().unwrap())
}

fn year(number: i16) -> Period {
    let days = [format!("{number}-01-01"), format!("{number}-12-31")];
    let [from, to] = days.map(|text| day(&text));
    Period::new(from, to, at("2030-01-01T00:00:00Z")).unwrap()
}

fn line(time: &str, event: &str, selector: &str, more: Value) -> Value {
    let mut line = json!({
        "time": format!("{time}T12:00:00Z"), "uid": 7, "pid": 1, "version": 2, "by": "keeper",
        "event": event, "organisation": "een", "selector": selector, "domains": ["een.nl"],
    });
    let more: serde_json::Map<String, Value> = serde_json::from_value(more).unwrap();
    line.as_object_mut().unwrap().extend(more);
    line
}

/// `s0`, `s1` … of `een`, each in this state now.
fn keyrings(states: &[State]) -> BTreeMap<OrganisationId, Keyring> {
    let publications: Vec<Publication> = states
        .iter()
        .map(|state| Publication {
            state: *state,
            ..Publication::generated(at("2026-01-01T00:00:00Z"))
        })
        .collect();
    [(id("een"), Keyring::of("een.nl", &publications))].into()
}

fn made(period: Period, lines: &[Value], keyrings: &BTreeMap<OrganisationId, Keyring>) -> Report {
    let mut histories = Histories::new(period.begin(), period.end());
    for (number, line) in (1..).zip(lines) {
        let line = serde_json::from_value(line.clone()).ok();
        histories.take(number, line, |_, _| Some(Algorithm::RsaSha256));
    }
    let domains: [DomainName; 1] = ["een.nl".parse().unwrap()];
    let een = id("een");
    let configured = [(&een, &domains[..])];
    report(
        period,
        None,
        histories,
        keyrings,
        &[],
        configured,
        HALF_A_YEAR,
    )
}

fn times(report: &Report) -> Vec<(String, String, String)> {
    let day = |time: Option<Timestamp>| moment(time).chars().take(10).collect::<String>();
    let keys = report.organisations.iter().flat_map(|one| &one.keys);
    keys.flat_map(|key| {
        let signed = key.signed.iter();
        signed.map(|one| (key.selector.to_string(), day(one.from), day(one.until)))
    })
    .collect()
}

fn triple(selector: &str, from: &str, until: &str) -> (String, String, String) {
    (selector.to_owned(), from.to_owned(), until.to_owned())
}

#[test]
fn a_key_signs_from_line_to_line_and_rotations_follow() {
    let lines = [
        line("2026-01-02", "generated", "s0", json!({})),
        line(
            "2026-01-03",
            "published",
            "s0",
            json!({"publication": {"state": "published", "seen_since": "2026-01-03T11:00:00Z",
                "seen_last": "2026-01-03T12:00:00Z"}}),
        ),
        line("2026-01-04", "unpublished", "s0", json!({})),
        line("2026-01-05", "activated", "s0", json!({})),
        line("2026-08-05", "generated", "s1", json!({})),
        line("2026-08-10", "activated", "s1", json!({})),
        line("2026-08-10", "draining", "s0", json!({})),
        line("2026-09-01", "withdrawn", "s0", json!({})),
        line("2027-01-15", "revoked", "s1", json!({})),
    ];
    let keyrings = keyrings(&[State::Withdrawn, State::Revoked]);
    let report = made(year(2026), &lines, &keyrings);
    let expected = [
        triple("s0", "2026-01-05", "2026-08-10"),
        triple("s1", "2026-08-10", "not known"),
    ];
    assert_eq!(times(&report), expected);
    let een = &report.organisations[0];
    assert_eq!(een.rotations.len(), 1);
    assert_eq!(een.rotations[0].after_days, Some(217));
    let key = &een.keys[0];
    assert_eq!((key.record_lost, key.too_long), (1, true));
    assert_eq!(key.record_first_seen, Some(at("2026-01-03T11:00:00Z")));
    assert_eq!(key.record_last_seen, Some(at("2026-01-03T12:00:00Z")));
    assert_eq!(
        key.withdrawn.as_ref().unwrap().by.to_string(),
        "the keeper (user 7)"
    );
    let summary = &report.summary;
    assert_eq!(summary.in_use_too_long[0].used_days, 217);
    // What was done in the next year is none of this one, and the report is the same without.
    assert_eq!((summary.revoked, een.keys[1].revoked.is_none()), (0, true));
    assert_eq!(
        summary.oldest_active.as_ref().unwrap().selector.as_str(),
        "s1"
    );
    let json = |report: &Report| serde_json::to_string(report).unwrap();
    assert_eq!(
        json(&made(year(2026), &lines[..8], &keyrings)),
        json(&report)
    );
    assert_eq!(
        html(&made(year(2026), &lines[..8], &keyrings)),
        html(&report)
    );
    let next = made(year(2027), &lines, &keyrings);
    assert_eq!(times(&next), [triple("s1", "2026-08-10", "2027-01-15")]);
    assert_eq!(next.summary.revoked, 1);
    assert_eq!(times(&made(year(2025), &lines, &keyrings)), []);
}

#[test]
fn lines_of_0_1_do_not_say_that_a_key_drains() {
    let old = json!({"version": 0, "by": null});
    let lines = [
        line("2026-01-02", "activated", "s0", old.clone()),
        line("2026-03-02", "activated", "s1", old),
        line("2026-05-02", "draining", "s2", json!({})),
    ];
    let report = made(year(2026), &lines, &BTreeMap::new());
    let expected = [
        triple("s0", "2026-01-02", "2026-03-02"),
        triple("s1", "2026-03-02", "not known"),
        // One whose beginning is in no line.
        triple("s2", "not known", "2026-05-02"),
    ];
    assert_eq!(times(&report), expected);
    let key = &report.organisations[0].keys[0];
    assert_eq!(
        (key.kind().as_str(), report.summary.bits_unknown),
        ("not known", 3)
    );
    assert_eq!(key.signed[0].by.as_ref().unwrap().to_string(), "user 7");
}

#[test]
fn a_key_that_no_line_tells_of_is_not_known() {
    let keyrings = keyrings(&[State::Active, State::Generated]);
    let over = made(year(2026), &[], &keyrings);
    assert_eq!((over.summary.keys, over.summary.unknown), (0, 2));
    assert_eq!(over.summary.without_key, None);
    // Today the keyring tells.
    let now = Period::new(day("2026-01-01"), None, at("2026-11-29T12:00:00Z")).unwrap();
    let report = made(now, &[], &keyrings);
    assert_eq!(times(&report), [triple("s0", "2026-01-01", "not known")]);
    assert_eq!(
        (report.summary.unknown, &report.summary.without_key),
        (1, &Some(vec![]))
    );
    assert!(
        report
            .title()
            .contains("from 2026-01-01 until now (2026-11-29T12:00:00Z)")
    );
    // It was made later.
    assert_eq!(made(year(2025), &[], &keyrings).summary.unknown, 0);
}

#[test]
fn a_key_and_a_selector_of_several_organisations_are_found() {
    let mut keyrings = keyrings(&[State::Active]);
    keyrings.insert(id("twee"), keyrings[&id("een")].clone());
    let twee = json!({"organisation": "twee"});
    let lines = [
        line("2026-01-02", "activated", "s0", json!({})),
        line("2026-01-02", "activated", "s0", twee),
    ];
    let report = made(year(2026), &lines, &keyrings);
    let summary = &report.summary;
    assert_eq!(summary.keys_of_several.as_ref().unwrap().len(), 1);
    assert_eq!(
        summary.selectors_of_several,
        Some(vec!["s0.een.nl".to_owned()])
    );
    // Of one organisation alone nobody can tell, and "none" would be a wrong answer.
    let period = year(2026);
    let histories = Histories::new(period.begin(), period.end());
    let (een, twee) = (id("een"), id("twee"));
    let domains: [DomainName; 1] = ["een.nl".parse().unwrap()];
    let configured = [(&een, &domains[..]), (&twee, &domains[..])];
    let only = super::report(
        period,
        Some(&een),
        histories,
        &keyrings,
        &[],
        configured,
        HALF_A_YEAR,
    );
    assert_eq!(only.summary.keys_of_several, None);
    assert_eq!(only.summary.selectors_of_several, None);
    let several = |(question, _): &&(&str, String)| question.contains("several");
    let answers = only.answers();
    let answers: Vec<_> = answers.iter().filter(several).collect();
    assert_eq!(answers.len(), 2);
    for (question, answer) in answers {
        assert!(answer.starts_with("not looked at"), "{question}: {answer}");
    }
}

#[test]
fn a_keyring_that_cannot_be_read_is_named_and_lacks_no_key() {
    let now = Period::new(day("2026-01-01"), None, at("2026-11-29T12:00:00Z")).unwrap();
    let (een, twee) = (id("een"), id("twee"));
    let domains: [DomainName; 1] = ["een.nl".parse().unwrap()];
    let unreadable = [een.clone()];
    let report = report(
        now,
        None,
        Histories::new(now.begin(), now.end()),
        &BTreeMap::new(),
        &unreadable,
        [(&een, &domains[..]), (&twee, &domains[..])],
        HALF_A_YEAR,
    );
    let without_key = report.summary.without_key.as_ref().unwrap();
    assert_eq!(without_key.len(), 1);
    assert_eq!(without_key[0].organisation, twee);
    assert_eq!(report.summary.unreadable_keyrings, unreadable);
    let answer = ("Keyrings that can't be read", "een".to_owned());
    assert!(report.answers().contains(&answer));
    let page = html(&report);
    assert!(
        page.contains("<dt>Keyrings that can&#39;t be read</dt><dd>een</dd>"),
        "{page}"
    );
    assert!(page.contains("Keys of these are missing"), "{page}");
}

#[test]
fn alarms_of_the_period_are_listed() {
    let period = year(2026);
    let mut histories = Histories::new(period.begin(), period.end());
    let mut take = |time: &str, event: &str, kind: &str| {
        let alarm = line(time, event, "s0", json!({"evidence": kind}));
        histories.take_alarm(&serde_json::from_value(alarm).unwrap());
    };
    // One that is over before the period, and one that stands when it begins.
    take("2025-12-29", "alarm", "rotation_overdue");
    take("2025-12-30", "alarm", "active_wrong");
    take("2025-12-31", "alarm_over", "rotation_overdue");
    take("2026-01-01", "alarm", "active_gone");
    take("2026-02-01", "alarm_over", "active_wrong");
    take("2027-01-01", "alarm", "active_gone");
    // The log is read apart from the alarms.
    let made = line("2026-01-15", "generated", "s0", json!({}));
    histories.take(1, serde_json::from_value(made).ok(), |_, _| None);
    let report = report(
        period,
        None,
        histories,
        &BTreeMap::new(),
        &[],
        [],
        HALF_A_YEAR,
    );
    assert_eq!((report.summary.alarms, report.summary.wrong_now), (1, None));
    assert_eq!(report.summary.alarms_standing, 1);
    let answer = "1, and 1 from before that stood at the beginning".to_owned();
    assert!(report.answers().contains(&("Alarms", answer)));
    let events = report.organisations[0].events.iter();
    let words: Vec<String> = events.map(Done::words).collect();
    let expected = [
        "alarm (active_wrong)",
        "alarm (active_gone)",
        "generated",
        "alarm_over (active_wrong)",
    ];
    assert_eq!(words, expected);
}

/// However often something happens, what is kept has a bound, and what is left out is counted.
#[test]
fn a_long_log_takes_no_more_room() {
    let mut lines = Vec::new();
    for _ in 0..3000 {
        lines.push(line("2026-01-02", "activated", "s0", json!({})));
        lines.push(line("2026-01-02", "left", "s0", json!({})));
        let whole = json!({"selector": null, "domains": []});
        lines.push(line("2026-01-02", "suspended", "s0", whole.clone()));
        lines.push(line("2026-01-02", "resumed", "s0", whole));
    }
    lines.extend((0..30).map(|_| json!({"time": 1})));
    // What has no room in the list counts.
    lines.push(line("2026-01-03", "withdrawn", "s0", json!({})));
    lines.push(line(
        "2026-01-04",
        "revoked",
        "s1",
        json!({"evidence": "assumed"}),
    ));
    let report = made(year(2026), &lines, &BTreeMap::new());
    let een = &report.organisations[0];
    assert_eq!((een.keys[0].signed.len(), een.suspensions.len()), (50, 50));
    assert_eq!(een.events.len(), 5000);
    assert_eq!(een.left_out, 7002 + 2 * 2950);
    let summary = &report.summary;
    let counts = (summary.withdrawn, summary.revoked, summary.assumed);
    assert_eq!(counts, (1, 1, 1));
    let sources = report.sources.join("\n");
    assert!(sources.contains("left out: 30 (line 12001, "), "{sources}");
    assert!(sources.contains("12020, …)"), "{sources}");
}

#[test]
fn periods_end_today_at_the_latest() {
    let now = at("2026-11-29T12:00:00Z");
    let period = Period::new(None, None, now).unwrap();
    assert_eq!(
        period.words(),
        "from 2025-11-30 until now (2026-11-29T12:00:00Z)"
    );
    assert_eq!(period.end(), now);
    let period = Period::new(None, day("2025-12-31"), now).unwrap();
    assert_eq!(period.words(), "from 2025-01-01 to 2025-12-31");
    assert_eq!(period.end(), at("2026-01-01T00:00:00Z"));
    assert!(Period::new(None, day("2026-11-30"), now).is_err());
    assert!(Period::new(day("2026-01-02"), day("2026-01-01"), now).is_err());
}

#[test]
fn text_in_html_is_text() {
    let strange = json!({"by": "<script>\u{1b}&\"'"});
    let lines = [line("2026-01-02", "activated", "s0", strange)];
    let page = html(&made(year(2026), &lines, &BTreeMap::new()));
    assert!(
        page.contains("zegel &lt;script&gt;\u{fffd}&amp;&quot;&#39; (user 7)"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}
