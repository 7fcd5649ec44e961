use super::*;
use crate::observe::{
    metrics::OTHER,
    status::{MOST_SELECTORS, OrganisationFigures},
};

const SIGNER: &str = "127.0.0.1:9465";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn figures(started: &str, unsigned: u64, put_off: u64) -> SignerFigures {
    let reasons = |count| BTreeMap::from([("awaiting_key".to_owned(), count)]);
    let een = OrganisationFigures {
        signed: 10 * unsigned,
        unsigned: reasons(unsigned),
        put_off: reasons(put_off),
        ..OrganisationFigures::default()
    };
    SignerFigures {
        started: at(started).as_second().try_into().unwrap(),
        organisations: BTreeMap::from([
            ("een".to_owned(), een),
            ("quiet".to_owned(), OrganisationFigures::default()),
        ]),
        ..SignerFigures::default()
    }
}

/// Signed, unsigned and put off of `een`.
fn sums(day: &Day) -> (u64, u64, u64) {
    let counts = day.organisations.get("een").cloned().unwrap_or_default();
    let of = |map: &BTreeMap<String, u64>| map.get("awaiting_key").copied().unwrap_or_default();
    (counts.signed, of(&counts.unsigned), of(&counts.put_off))
}

const START: &str = "2026-11-29T08:00:00Z";

#[test]
fn differences_are_added_and_a_restart_counts_from_zero() {
    let mut day = Day::new(at("2026-11-29T09:00:00Z"));
    assert!(day.add(SIGNER, &figures(START, 3, 1), at("2026-11-29T09:00:00Z")));
    // Of those that were not signed, what was put off did not leave.
    assert_eq!(sums(&day), (30, 2, 1));
    assert!(!day.add(SIGNER, &figures(START, 3, 1), at("2026-11-29T09:01:00Z")));
    assert_eq!(day.until, at("2026-11-29T09:01:00Z"));
    assert!(day.add(SIGNER, &figures(START, 5, 2), at("2026-11-29T09:02:00Z")));
    assert_eq!(sums(&day), (50, 3, 2));
    assert!(!day.organisations.contains_key("quiet"));
    // Another start, with more than before: all of it is new.
    let again = "2026-11-29T09:02:40Z";
    assert!(day.add(SIGNER, &figures(again, 7, 0), at("2026-11-29T09:03:00Z")));
    assert_eq!(sums(&day), (120, 10, 2));
    let lost = Gap {
        signer: SIGNER.to_owned(),
        from: at("2026-11-29T09:02:00Z"),
        until: at(again),
        kind: GapKind::Lost,
    };
    assert_eq!(day.gaps, [lost]);
    // A counter that fell though the start is the same.
    assert!(day.add(SIGNER, &figures(again, 2, 0), at("2026-11-29T09:04:00Z")));
    assert_eq!(sums(&day), (140, 12, 2));
    // A second signer has its own.
    assert!(day.add(
        "other:9465",
        &figures(START, 1, 0),
        at("2026-11-29T09:04:00Z")
    ));
    assert_eq!(sums(&day), (150, 13, 2));
}

/// The signer reads one counter after the other while mail goes through.
#[test]
fn a_message_that_is_half_counted_in_a_reading_is_no_restart() {
    let mut day = Day::new(at("2026-11-29T09:00:00Z"));
    let mut poll = |minute: u32, unsigned, put_off| {
        let time = format!("2026-11-29T09:{minute:02}:00Z");
        let mut figures = figures(START, unsigned, put_off);
        figures.organisations.get_mut("een").unwrap().signed = 0;
        day.add(SIGNER, &figures, at(&time));
        // What is between the readings is kept in the file.
        day = Day::parse(&day.to_json().unwrap()).unwrap();
        sums(&day)
    };
    assert_eq!(poll(0, 1000, 100), (0, 900, 100));
    // Put off, and not yet among those that were not signed.
    assert_eq!(poll(1, 1000, 101), (0, 900, 101));
    assert_eq!(poll(2, 1001, 101), (0, 900, 101));
    // The other way round, it looks for a while as if it had left.
    assert_eq!(poll(3, 1002, 101), (0, 901, 101));
    assert_eq!(poll(4, 1002, 102), (0, 901, 102));
    assert_eq!(poll(5, 1004, 102), (0, 902, 102));
    // One of the counters fell: all of them began anew.
    assert_eq!(poll(6, 1005, 1), (0, 1906, 103));
}

#[test]
fn what_is_written_goes_on_where_it_was() {
    let now = at("2026-11-29T09:00:00Z");
    let mut day = Day::new(now);
    day.add(SIGNER, &figures(START, 3, 1), now);
    day.miss("other:9465", now);
    let mut read = Day::parse(&day.to_json().unwrap()).unwrap();
    assert_eq!(read, day);
    read.add(SIGNER, &figures(START, 4, 1), at("2026-11-29T18:00:00Z"));
    assert_eq!(sums(&read), (40, 3, 1));
    assert_eq!(read.gaps, [], "the same day");
    for (wrong, expected) in [
        (r#"{"version":2}"#, "version 2"),
        (r#"{"version":1}"#, "missing field"),
        ("", "can't be read"),
    ] {
        let error = Day::parse(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn readings_go_to_the_next_day_and_counts_do_not() {
    let mut day = Day::new(at("2026-11-29T23:59:30Z"));
    day.add(SIGNER, &figures(START, 3, 1), at("2026-11-29T23:59:30Z"));
    let mut next = day.clone().at(at("2026-11-30T00:00:30Z"));
    assert_eq!(sums(&next), (0, 0, 0));
    next.add(SIGNER, &figures(START, 4, 1), at("2026-11-30T00:00:30Z"));
    assert_eq!((sums(&next), next.gaps.len()), ((10, 1, 0), 0));
    // The keeper was down over midnight: the day of a message is not known.
    let mut late = day.clone().at(at("2026-12-01T10:00:00Z"));
    late.add(SIGNER, &figures(START, 4, 1), at("2026-12-01T10:00:00Z"));
    assert_eq!(sums(&late), (10, 1, 0));
    assert_eq!(late.gaps[0].kind, GapKind::Late);
    // And the signer began meanwhile.
    let mut lost = day.clone().at(at("2026-12-01T10:00:00Z"));
    let began = "2026-11-30T12:00:00Z";
    lost.add(SIGNER, &figures(began, 1, 0), at("2026-12-01T10:00:00Z"));
    let kinds: Vec<GapKind> = lost.gaps.iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::Lost, GapKind::Late]);
    assert_eq!(sums(&lost), (10, 1, 0));
    // A clock that was set back.
    assert_eq!(next.clone().at(at("2026-11-29T12:00:00Z")), next);
}

#[test]
fn what_a_wrong_clock_counted_is_counted_under_the_right_day() {
    let today = at("2026-11-29T09:00:00Z");
    let mut right = Day::new(today);
    right.add(SIGNER, &figures(START, 3, 0), today);
    let wrong = |time: &str| {
        let mut wrong = right.clone();
        (wrong.day, wrong.organisations) = (day_of(at(time)), BTreeMap::new());
        wrong.add(SIGNER, &figures(START, 5, 0), at(time));
        wrong.add("new:9465", &figures(START, 1, 0), at(time));
        wrong
    };
    let noon = at("2026-11-29T12:00:00Z");
    for time in ["2036-01-01T00:00:00Z", "1970-01-01T00:00:00Z"] {
        let mut day = Day::resume(Some(wrong(time)), Some(right.clone()), noon);
        assert_eq!((day.day, sums(&day)), (day_of(today), (30, 3, 0)), "{time}");
        assert!(day.signers["new:9465"].at <= noon);
        day.add(SIGNER, &figures(START, 6, 0), noon);
        day.add("new:9465", &figures(START, 1, 0), noon);
        assert_eq!(sums(&day), (60, 6, 0), "{time}");
        assert_eq!(day.gaps, [], "{time}");
    }
    // Nothing but a day that is yet to come.
    let day = Day::resume(Some(wrong("2036-01-01T00:00:00Z")), None, noon);
    assert_eq!((day.day, sums(&day)), (day_of(noon), (0, 0, 0)));
    assert_eq!(day.signers.len(), 2);
    // Midnight is no wrong clock, nor is one that is set back over it.
    let next = at("2026-11-30T00:00:30Z");
    let over = Day::resume(Some(right.clone()), Some(right.clone()), next);
    assert_eq!((over.day, sums(&over)), (day_of(next), (0, 0, 0)));
    assert_eq!(Day::resume(Some(over.clone()), Some(right), noon), over);
}

#[test]
fn a_signer_that_ran_long_before_it_was_first_read_is_no_day_of_mail() {
    let now = at("2026-11-29T09:00:00Z");
    let mut day = Day::new(now);
    assert!(day.add(SIGNER, &figures("2026-10-01T00:00:00Z", 300, 0), now));
    assert_eq!(sums(&day), (0, 0, 0));
    assert_eq!(day.gaps[0].kind, GapKind::Lost);
    day.add(SIGNER, &figures("2026-10-01T00:00:00Z", 301, 0), now);
    assert_eq!(sums(&day), (10, 1, 0));
}

#[test]
fn silence_is_noted_once_and_ends_with_an_answer() {
    let now = at("2026-11-29T09:00:00Z");
    let mut day = Day::new(now);
    day.add(SIGNER, &figures(START, 1, 0), now);
    assert!(day.miss(SIGNER, at("2026-11-29T09:01:00Z")));
    assert!(!day.miss(SIGNER, at("2026-11-29T09:02:00Z")));
    assert_eq!(day.silent[SIGNER], now);
    assert!(day.add(SIGNER, &figures(START, 1, 0), at("2026-11-29T09:03:00Z")));
    assert!(day.silent.is_empty());
    day.miss("gone:1", now);
    day.retain(|signer| signer == SIGNER);
    assert!(day.silent.is_empty());
}

#[test]
fn those_without_series_of_their_own_are_counted_by_themselves() {
    let now = at("2026-11-29T09:00:00Z");
    let mut figures = figures(START, 1, 0);
    let een = figures.organisations["een"].clone();
    figures.organisations.insert(OTHER.to_owned(), een.clone());
    let ids = |figures: &SignerFigures| -> Vec<String> {
        let mut day = Day::new(now);
        day.add(SIGNER, figures, now);
        day.organisations.into_keys().collect()
    };
    assert_eq!(ids(&figures), ["een", "other"]);
    figures.beyond = BTreeMap::from([("drie".to_owned(), een)]);
    assert_eq!(ids(&figures), ["drie", "een"]);
}

#[test]
fn what_signers_know_of_organisations_stays_as_they_said_it_last() {
    let put_off = |domain: &str, why: &str| SignerFacts {
        put_off: BTreeMap::from([(domain.to_owned(), why.to_owned())]),
        ..SignerFacts::default()
    };
    let now = at("2026-11-29T09:00:00Z");
    let mut day = Day::new(now);
    // One without a status page: only its counters tell something.
    assert!(day.add(SIGNER, &figures(START, 1, 0), now));
    let mut other = figures(START, 0, 0);
    other.organisations.clear();
    other.facts = BTreeMap::from([("twee".to_owned(), put_off("twee.example", "gone"))]);
    assert!(day.add("relay2:9465", &other, now));
    assert!(!day.add("relay2:9465", &other, now));
    let expected = BTreeMap::from([
        (
            "een".to_owned(),
            SignerFacts {
                sends_without_key: true,
                ..SignerFacts::default()
            },
        ),
        ("twee".to_owned(), put_off("twee.example", "gone")),
    ]);
    assert_eq!(day.facts(), expected);
    // It does not answer, the keeper begins anew, and the day is over.
    day.miss("relay2:9465", now);
    let day = Day::parse(&day.to_json().unwrap()).unwrap();
    let mut day = Day::resume(None, Some(day), at("2026-11-30T09:00:00Z"));
    assert_eq!(day.facts(), expected);
    // It says that all is well.
    other.facts.clear();
    assert!(day.add("relay2:9465", &other, at("2026-11-30T09:01:00Z")));
    assert!(!day.facts().contains_key("twee"));
}

/// Signed messages of `een` and its signatures by selector.
fn signed(started: &str, messages: u64, by: &[(&str, u64)]) -> SignerFigures {
    let een = OrganisationFigures {
        signed: messages,
        signed_by: by
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect(),
        ..OrganisationFigures::default()
    };
    SignerFigures {
        started: at(started).as_second().try_into().unwrap(),
        organisations: BTreeMap::from([("een".to_owned(), een)]),
        ..SignerFigures::default()
    }
}

fn by_selector(day: &Day) -> Vec<(&str, u64)> {
    let counts = day.organisations.get("een");
    let by = counts.into_iter().flat_map(|counts| &counts.signed_by);
    by.map(|(name, count)| (name.as_str(), *count)).collect()
}

#[test]
fn signatures_are_counted_by_selector_and_none_twice() {
    let mut day = Day::new(at("2026-11-29T09:00:00Z"));
    let mut poll = |time: &str, figures: &SignerFigures| {
        let time = at(&format!("2026-11-29T{time}Z"));
        day.add(SIGNER, figures, time);
        day = Day::parse(&day.to_json().unwrap()).unwrap();
    };
    poll("09:00:00", &signed(START, 10, &[("s1", 10), ("s2", 10)]));
    poll("09:01:00", &signed(START, 10, &[("s1", 10), ("s2", 10)]));
    poll("09:02:00", &signed(START, 15, &[("s1", 15), ("s2", 15)]));
    // Another start: all of it is new, though there is more than before.
    let again = "2026-11-29T09:02:40Z";
    poll("09:03:00", &signed(again, 20, &[("s2", 20), ("s3", 20)]));
    // One selector fell, though the start is the same: the organisation was away for a while.
    poll("09:04:00", &signed(again, 20, &[("s2", 1), ("s3", 20)]));
    assert_eq!(by_selector(&day), [("s1", 15), ("s2", 36), ("s3", 40)]);
    // On the next day only what came there.
    let next = at("2026-11-30T00:00:10Z");
    let mut day = Day::resume(Some(day), None, next);
    day.add(SIGNER, &signed(again, 24, &[("s2", 5), ("s3", 20)]), next);
    assert_eq!(by_selector(&day), [("s2", 4)]);
}

#[test]
fn what_was_written_before_selectors_were_counted_goes_on() {
    let now = at("2026-11-29T09:00:00Z");
    let mut day = Day::new(now);
    day.add(SIGNER, &signed(START, 30, &[("s1", 30)]), now);
    let json = String::from_utf8(day.to_json().unwrap()).unwrap();
    let old = json.replace(r#","signed_by":{"s1":30}"#, "");
    assert_ne!(old, json);
    let mut day = Day::parse(old.as_bytes()).unwrap();
    assert_eq!(by_selector(&day), []);
    // What the counters had before is not taken for mail of this minute.
    day.add(
        SIGNER,
        &signed(START, 32, &[("s1", 32)]),
        at("2026-11-29T09:01:00Z"),
    );
    assert_eq!(by_selector(&day), [("", 2)]);
    day.add(
        SIGNER,
        &signed(START, 35, &[("s1", 35)]),
        at("2026-11-29T09:02:00Z"),
    );
    assert_eq!(by_selector(&day), [("", 2), ("s1", 3)]);
    assert_eq!(day.organisations["een"].signed, 35);
    // A signer that does not tell its selectors.
    day.add(
        "old:9465",
        &signed(START, 7, &[]),
        at("2026-11-29T09:02:00Z"),
    );
    assert_eq!(by_selector(&day), [("", 9), ("s1", 3)]);
}

#[test]
fn selectors_beyond_the_most_are_counted_together() {
    let mut day = Day::new(at("2026-11-29T09:00:00Z"));
    for signer in 0..2 * MOST_SELECTORS {
        let selector = format!("s{signer:02}");
        let figures = signed(START, 1, &[(&selector, 1)]);
        day.add(
            &format!("host{signer}:9465"),
            &figures,
            at("2026-11-29T09:00:00Z"),
        );
    }
    let by = by_selector(&day);
    assert_eq!(by.len(), MOST_SELECTORS + 1);
    assert_eq!(by[0], ("", MOST_SELECTORS as u64));
}
