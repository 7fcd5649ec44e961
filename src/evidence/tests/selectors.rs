//! What reports say of each selector.

use super::{
    super::selectors::{Passed, Seen, passed, selectors, unknown_selectors},
    *,
};

fn seen(rows: &[Row], window: Window, selector: &str) -> Option<Seen> {
    let found = selectors(&evidence(rows), window);
    found.get(&(FROM.to_owned(), selector.to_owned())).copied()
}

#[test]
fn each_selector_has_its_messages_and_the_days_on_which_it_passed() {
    let rows = [
        row("dkim voorbeeld.nl s1 pass", aligned(true, false)),
        Row {
            days: 2,
            ..row(
                "dkim voorbeeld.nl s1 fail\ndkim lijst.org l pass",
                aligned(false, false),
            )
        },
        Row {
            days: 1,
            ..row("dkim voorbeeld.nl s2 fail", aligned(false, false))
        },
    ];
    let first = Seen {
        messages: 200,
        passed: 100,
        first_passed: Some(110),
        last_passed: Some(114),
    };
    assert_eq!(seen(&rows, WINDOW, "s1"), Some(first));
    let failing = Seen {
        messages: 100,
        ..Seen::default()
    };
    assert_eq!(seen(&rows, WINDOW, "s2"), Some(failing));
    assert_eq!(seen(&rows, WINDOW, "s3"), None);
    let all = selectors(&evidence(&rows), WINDOW);
    let names: Vec<_> = all.keys().map(|(_, selector)| selector.as_str()).collect();
    assert_eq!(names, ["l", "s1", "s2"]);
}

#[test]
fn only_days_of_the_window_count() {
    let rows = [row("dkim voorbeeld.nl s1 pass", aligned(true, false))];
    let window = Window { from: 112, to: 113 };
    let expected = Seen {
        messages: 40,
        passed: 40,
        first_passed: Some(112),
        last_passed: Some(113),
    };
    assert_eq!(seen(&rows, window, "s1"), Some(expected));
    let later = Window { from: 115, to: 155 };
    assert_eq!(seen(&rows, later, "s1"), None);
}

#[test]
fn a_message_with_two_signatures_of_a_selector_counts_once() {
    for known_by in [
        "dkim voorbeeld.nl s1 pass\ndkim voorbeeld.nl s1 pass",
        "dkim voorbeeld.nl s1 fail\ndkim voorbeeld.nl s1 pass",
        "dkim voorbeeld.nl s1 pass\ndkim voorbeeld.nl s1 fail",
    ] {
        let found = seen(&[row(known_by, aligned(true, false))], WINDOW, "s1").unwrap();
        assert_eq!((found.messages, found.passed), (100, 100), "{known_by}");
    }
}

#[test]
fn what_has_no_selector_is_left_out_and_a_report_without_a_day_gives_none() {
    let without = row("dkim voorbeeld.nl - pass", aligned(true, false));
    assert!(selectors(&evidence(&[without]), WINDOW).is_empty());
    let long = row(
        "dkim voorbeeld.nl s1 pass",
        aligned(true, false) | extra::LONG,
    );
    let expected = Seen {
        messages: 100,
        passed: 100,
        ..Seen::default()
    };
    assert_eq!(seen(&[long], WINDOW, "s1"), Some(expected));
}

#[test]
fn what_passed_is_told_by_day_and_by_who_may_be_believed() {
    let rows = [
        row("dkim voorbeeld.nl s1 pass\ndkim voorbeeld.nl s1 pass", 0),
        row("dkim voorbeeld.nl s1 fail", 0),
        // Of others nothing is asked.
        row("dkim voorbeeld.nl s2 pass\ndkim lijst.org l pass", 0),
        row("dkim voorbeeld.nl s1 pass", extra::LONG),
    ];
    let mut evidence = evidence(&rows);
    let told = |evidence: &Evidence| -> Vec<(i32, u64, u64)> {
        let found = passed(evidence, Window { from: 111, to: 113 }, &ours());
        assert!(found.len() <= 1, "{found:?}");
        let days = found.into_values().flatten();
        let told = |(day, Passed { messages, settled })| (day, messages, settled);
        days.map(told).collect()
    };
    // Nobody knows when he began.
    assert_eq!(told(&evidence), [(111, 20, 0), (112, 20, 0), (113, 20, 0)]);
    let mut began = |names: &[(&str, i32)]| {
        let all = names.iter().map(|(name, day)| ((*name).to_owned(), *day));
        evidence.first_received = all.collect();
        told(&evidence)
    };
    // By another of his names, four weeks before the second of these days.
    let names = [("google.com", 110), ("mail.google.com", 84)];
    assert_eq!(began(&names), [(111, 20, 0), (112, 20, 20), (113, 20, 20)]);
    // With whom it began has to wait as well, though the ladder believes him at once.
    let three = [("google.com", 100), ("a.nl", 100), ("b.nl", 100)];
    assert_eq!(began(&three), [(111, 20, 0), (112, 20, 0), (113, 20, 0)]);
    // Who came later counts for nothing.
    let late = [
        ("google.com", 110),
        ("a.nl", 50),
        ("b.nl", 50),
        ("c.nl", 50),
    ];
    assert_eq!(began(&late), []);
}

#[test]
fn one_message_with_a_key_of_a_stranger_is_enough_to_be_told() {
    let once = |known_by| Row {
        messages: 1,
        days: 1,
        ..row(known_by, aligned(true, false))
    };
    let told = |evidence: &Evidence| -> Vec<String> {
        let found = unknown_selectors(FROM, evidence, &sorted(evidence), &ours());
        found.into_values().collect()
    };
    let many = Row {
        messages: 100_000,
        ..row("dkim voorbeeld.nl s1 pass", aligned(true, false))
    };
    let mut evidence = evidence(&[many, once("dkim voorbeeld.nl old2019 pass")]);
    assert_eq!(told(&evidence), ["dkim:voorbeeld.nl/old2019"]);
    // What the operator knows is no alarm.
    let name = Name {
        class: Class::Known,
        label: None,
        owner: None,
        networks: BTreeSet::new(),
    };
    evidence
        .names
        .insert("dkim:voorbeeld.nl/old2019".to_owned(), name);
    assert!(told(&evidence).is_empty());
    for known_by in [
        // Ours, a reporter without selectors, and what does not pass.
        "dkim voorbeeld.nl s1 pass",
        "dkim voorbeeld.nl - pass",
        "dkim voorbeeld.nl old2019 fail",
    ] {
        let evidence = super::evidence(&[once(known_by)]);
        assert!(told(&evidence).is_empty(), "{known_by}");
    }
}

#[test]
fn a_signature_of_somebody_else_hides_no_key_of_a_stranger() {
    let both = row(
        "dkim voorbeeld.nl old2019 pass\ndkim factuur.nl fs pass",
        aligned(true, false),
    );
    let mut evidence = evidence(&[both]);
    let told = |evidence: &Evidence| unknown_selectors(FROM, evidence, &sorted(evidence), &ours());
    let key = ("voorbeeld.nl".to_owned(), "old2019".to_owned());
    assert_eq!(told(&evidence), [(key, "via:factuur.nl".to_owned())].into());
    let name = Name {
        class: Class::Known,
        label: None,
        owner: None,
        networks: BTreeSet::new(),
    };
    evidence.names.insert("via:factuur.nl".to_owned(), name);
    assert!(told(&evidence).is_empty());
}
