mod kept;
pub(crate) mod made;
mod quarter;
mod selectors;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    identity::KnownBy,
    rollup::extra,
    streams::{Changed, Class, Evidence, Line, Name, Source, Stream, Window, streams},
};
use crate::report::{Disposition, Flags, Found, Override, Reading, Report};

pub(crate) const FROM: &str = "voorbeeld.nl";
const WINDOW: Window = Window { from: 100, to: 155 };

/// The last report in this text, as if it were read at `now`.
pub(crate) fn read(text: &str, now: i64) -> Report {
    let reading = Reading {
        now,
        ..Reading::default()
    };
    let mut found = None;
    reading.read(&mut text.as_bytes(), &mut |_, one| {
        if let Found::Report(report) = one {
            found = Some(*report);
        }
    });
    found.unwrap()
}

/// A line of each of five days, with what it is known by as the store has it.
struct Row {
    known_by: &'static str,
    flags: u16,
    network: &'static str,
    messages: u64,
    days: i32,
}

fn aligned(dkim: bool, spf: bool) -> u16 {
    Flags::new(Disposition::None, dkim, spf).bits()
}

fn row(known_by: &'static str, flags: u16) -> Row {
    Row {
        known_by,
        flags,
        network: "",
        messages: 100,
        days: 5,
    }
}

fn evidence(rows: &[Row]) -> Evidence {
    let mut evidence = Evidence::default();
    for row in rows {
        evidence.identities.push(KnownBy::read(row.known_by));
        for day in 0..row.days {
            evidence.lines.push(Line {
                day: 110 + day,
                from: FROM.to_owned(),
                reporter: "google.com".to_owned(),
                identity: evidence.identities.len() - 1,
                flags: row.flags,
                network: row.network.to_owned(),
                messages: row.messages / u64::try_from(row.days).unwrap(),
            });
        }
    }
    evidence
}

fn ours() -> BTreeSet<(String, String)> {
    BTreeSet::from([(FROM.to_owned(), "s1".to_owned())])
}

fn sorted(evidence: &Evidence) -> Vec<Stream> {
    streams(FROM, evidence, &ours(), &[], WINDOW, |_| true)
}

/// What a row is known by, its flags and network; the stream, its class and its rule.
type Case = (&'static str, u16, &'static str, &'static str, Class, u8);

fn cases() -> Vec<Case> {
    let list = Flags::new(Disposition::None, false, false)
        .with(Override::MailingList)
        .bits();
    let (dkim, spf) = (aligned(true, false), aligned(false, true));
    vec![
        (
            "dkim voorbeeld.nl s1 pass",
            dkim | extra::RELAY,
            "",
            "ours",
            Class::Ours,
            1,
        ),
        ("", extra::RELAY, "", "ours", Class::Ours, 1),
        (
            "dkim lijst.org l pass",
            list,
            "",
            "list:lijst.org",
            Class::List,
            2,
        ),
        (
            "spf mail.lijst.org pass",
            list,
            "",
            "list:lijst.org",
            Class::List,
            2,
        ),
        (
            "dkim voorbeeld.nl s1 fail\ndkim x.lijst.org l pass",
            0,
            "",
            "list:lijst.org",
            Class::List,
            2,
        ),
        (
            "dkim voorbeeld.nl s1 pass\nspf x.org pass",
            dkim,
            "",
            "forwarding",
            Class::Forwarding,
            3,
        ),
        (
            "dkim voorbeeld.nl s1 fail",
            0,
            "",
            "forwarding",
            Class::Forwarding,
            4,
        ),
        (
            "dkim a.factuur.nl fs pass",
            0,
            "",
            "via:factuur.nl",
            Class::Unknown,
            5,
        ),
        (
            "dkim voorbeeld.nl mc pass\ndkim mcsv.net k1 pass",
            dkim,
            "",
            "via:mcsv.net",
            Class::Unknown,
            5,
        ),
        (
            "spf mail.factuur.nl pass",
            0,
            "",
            "via:factuur.nl",
            Class::Unknown,
            6,
        ),
        (
            "dkim voorbeeld.nl mc pass",
            dkim,
            "",
            "dkim:voorbeeld.nl/mc",
            Class::Unknown,
            7,
        ),
        (
            "spf voorbeeld.nl pass",
            spf,
            "192.0.2.0",
            "net:192.0.2.0/24",
            Class::Unknown,
            8,
        ),
        ("spf voorbeeld.nl fail", 0, "", "abuse", Class::Abuse, 9),
        ("dkim voorbeeld.nl s2 fail", 0, "", "abuse", Class::Abuse, 9),
        ("", 0, "", "abuse", Class::Abuse, 9),
    ]
}

/// Whoever begins to report is believed once he has done so for a while, or if too few others were
/// there before; by when his reports came in, whatever days they are about.
#[test]
fn a_newcomer_praises_nothing_and_what_he_says_that_fails_is_set_apart() {
    let mut seen = evidence(&[row("dkim voorbeeld.nl s1 pass", aligned(true, false))]);
    let mut add = |day, reporter: &str, flags| {
        seen.lines.push(Line {
            day,
            from: FROM.to_owned(),
            reporter: reporter.to_owned(),
            identity: 0,
            flags,
            network: String::new(),
            messages: 7,
        });
    };
    add(101, "a.late.example", aligned(true, false));
    add(150, "a.late.example", aligned(false, false));
    add(150, "b.late.example", aligned(true, false));
    add(150, "google.com", aligned(false, false));
    let received = [
        ("google.com", 100),
        ("outlook.com", 110),
        ("mail.ziggo.nl", 115),
        ("ziggo.nl", 150),
        ("a.late.example", 150),
        ("b.late.example", 151),
    ];
    seen.first_received = received.map(|(name, day)| (name.to_owned(), day)).into();
    // ziggo.nl was there before by another name; four weeks after those three had begun, nobody
    // is believed at once.
    let late = ["a.late.example", "b.late.example"].map(|name| (name.to_owned(), 178));
    assert_eq!(seen.newcomers().0, late.into());
    assert!(seen.newcomers().doubts("a.late.example", 177));
    assert!(!seen.newcomers().doubts("a.late.example", 178));
    assert!(!seen.newcomers().doubts("google.com", 0));
    let days = &sorted(&seen)[0].days;
    let day = days[&150];
    assert_eq!((day.messages, day.aligned, day.doubtful), (14, 0, 7));
    assert_eq!(days[&101].messages, 0);
    // With whom it began is believed, and all where there are two.
    seen.first_received
        .retain(|name, _| !name.contains("ziggo"));
    assert_eq!(seen.newcomers().0, BTreeMap::new());
}

#[test]
fn a_stream_is_small_only_with_all_that_is_known_of_it() {
    let large = row("dkim a.factuur.nl fs pass", 0);
    let small = Row {
        messages: 5,
        days: 1,
        ..row("spf mail.factuur.nl pass", 0)
    };
    let streams = sorted(&evidence(&[large, small]));
    let [stream] = &*streams else {
        panic!("{streams:?}")
    };
    assert_eq!((&*stream.id, stream.messages), ("via:factuur.nl", 105));
}

#[test]
fn each_row_is_in_the_stream_of_the_first_rule_that_fits() {
    for (known_by, flags, network, id, class, rule) in cases() {
        let streams = sorted(&evidence(&[Row {
            network,
            ..row(known_by, flags)
        }]));
        let [stream] = &*streams else {
            panic!("{known_by}: {streams:?}")
        };
        assert_eq!(
            (&*stream.id, stream.class, stream.rule),
            (id, class, rule),
            "{known_by}"
        );
        assert_eq!((stream.messages, stream.days.len()), (100, 5), "{known_by}");
        assert_eq!(stream.weeks.iter().sum::<u64>(), 100);
    }
}

#[test]
fn a_small_stranger_is_no_stream_and_a_named_one_is() {
    let small = || Row {
        days: 2,
        ..row("dkim bot.example x pass", 0)
    };
    let mut evidence = evidence(&[small(), row("dkim bot.org x pass", 0)]);
    let ids = |evidence: &Evidence| -> Vec<String> {
        sorted(evidence)
            .into_iter()
            .map(|stream| stream.id)
            .collect()
    };
    assert_eq!(ids(&evidence), ["abuse", "via:bot.org"]);
    let name = Name {
        class: Class::Known,
        label: Some("Facturen".to_owned()),
        owner: None,
        networks: BTreeSet::new(),
    };
    evidence.names.insert("via:bot.example".to_owned(), name);
    let streams = sorted(&evidence);
    assert_eq!(streams[0].id, "via:bot.example");
    assert_eq!(
        (streams[0].class, streams[0].label.as_deref()),
        (Class::Known, Some("Facturen"))
    );
}

#[test]
fn mail_of_a_known_stream_that_broke_on_the_way_is_not_abuse() {
    let mut evidence = evidence(&[row("dkim factuur.nl fs fail", 0)]);
    assert_eq!(sorted(&evidence)[0].id, "abuse");
    let name = Name {
        class: Class::Known,
        label: None,
        owner: None,
        networks: BTreeSet::new(),
    };
    evidence.names.insert("via:factuur.nl".to_owned(), name);
    assert_eq!(sorted(&evidence)[0].id, "forwarding");
}

#[test]
fn what_comes_by_an_unusual_way_was_forwarded() {
    let usual = Row {
        messages: 5_000,
        ..row(
            "dkim voorbeeld.nl mc pass\nspf mcsv.net pass",
            aligned(true, false),
        )
    };
    let other = row(
        "dkim voorbeeld.nl mc pass\nspf alumni.edu pass",
        aligned(true, false),
    );
    let streams = sorted(&evidence(&[usual, other]));
    let ids: Vec<&str> = streams.iter().map(|stream| &*stream.id).collect();
    assert_eq!(ids, ["dkim:voorbeeld.nl/mc", "forwarding"]);
}

/// A reporter who leaves selectors out says the same as others with less.
#[test]
fn what_has_no_selector_is_matched_by_what_others_say() {
    let dkim = aligned(true, false);
    let relay = || {
        row(
            "dkim voorbeeld.nl s1 pass\nspf voorbeeld.nl pass",
            aligned(true, true) | extra::RELAY,
        )
    };
    let partner = || {
        row(
            "dkim voorbeeld.nl pt pass\nspf voorbeeld.nl pass",
            aligned(true, true),
        )
    };
    let letter = || row("dkim voorbeeld.nl mc pass\nspf mcsv.net pass", dkim);
    let passed_on = || row("dkim voorbeeld.nl s1 pass\nspf alumni.edu pass", dkim);
    let list = || row("dkim voorbeeld.nl s1 fail\ndkim lijst.org l pass", 0);
    // What others say, what this one says, and the id of its stream.
    let cases: Vec<(Vec<Row>, Row, &str)> = vec![
        (
            vec![relay()],
            row("dkim voorbeeld.nl - pass\nspf x.org pass", dkim),
            "forwarding",
        ),
        (
            vec![],
            row("dkim voorbeeld.nl - pass\nspf x.org pass", dkim),
            "forwarding",
        ),
        (
            vec![relay(), letter()],
            row("dkim voorbeeld.nl - pass\nspf mcsv.net pass", dkim),
            "dkim:voorbeeld.nl/mc",
        ),
        (
            vec![relay(), letter()],
            row("dkim voorbeeld.nl - pass\nspf voorbeeld.nl fail", dkim),
            "forwarding",
        ),
        (
            vec![relay(), partner()],
            row("dkim voorbeeld.nl - pass\nspf voorbeeld.nl fail", dkim),
            "forwarding",
        ),
        (
            vec![relay(), letter()],
            row("dkim voorbeeld.nl - pass\nspf voorbeeld.nl pass", dkim),
            "dkim:voorbeeld.nl/",
        ),
        (
            vec![relay(), letter()],
            row("dkim voorbeeld.nl - pass\nspf x.org pass", dkim),
            "dkim:voorbeeld.nl/",
        ),
        (
            vec![list()],
            row("dkim voorbeeld.nl - fail\ndkim lijst.org - pass", 0),
            "list:lijst.org",
        ),
        (
            vec![],
            row("dkim voorbeeld.nl - fail\ndkim lijst.org - pass", 0),
            "via:lijst.org",
        ),
        (
            vec![passed_on()],
            row("dkim voorbeeld.nl - fail\nspf alumni.edu pass", 0),
            "forwarding",
        ),
        (
            vec![],
            row("dkim voorbeeld.nl - fail\nspf alumni.edu pass", 0),
            "via:alumni.edu",
        ),
    ];
    for (others, row, id) in cases {
        let known_by = row.known_by;
        let number = others.len();
        let mut rows = others;
        rows.push(Row {
            messages: 1_000,
            ..row
        });
        let mut streams = sorted(&evidence(&rows));
        streams.retain(|stream| stream.messages >= 1_000);
        let ids: Vec<&str> = streams.iter().map(|stream| &*stream.id).collect();
        assert_eq!(ids, [id], "{known_by} beside {number}");
    }
}

/// What is said of a stream: its class, and why the operator's word does not hold.
type Stand = (Class, Option<Changed>);
/// The networks that it had when it was named, the addresses since then with their last day, the
/// messages, and what is said.
type Move<'a> = (&'a [&'a str], &'a [(&'a str, i32)], u64, Stand);

#[test]
fn what_was_known_and_comes_from_elsewhere_is_unknown_again() {
    let id = "via:factuur.nl";
    let sorted_with = |networks: &[&str], sources: &[(&str, i32)], messages: u64| {
        let mut evidence = evidence(&[Row {
            messages,
            ..row("dkim factuur.nl fs pass", 0)
        }]);
        for (address, last) in sources {
            evidence.sources.push(Source {
                identity: 0,
                address: address.parse().unwrap(),
                first: 10,
                last: *last,
                messages: 10,
            });
        }
        let name = Name {
            class: Class::Known,
            label: None,
            owner: None,
            networks: networks.iter().map(|one| one.parse().unwrap()).collect(),
        };
        evidence.names.insert(id.to_owned(), name);
        let stream = sorted(&evidence).remove(0);
        assert_eq!(stream.id, id);
        (stream.class, stream.changed)
    };
    let (known, moved): (Stand, Stand) = (
        (Class::Known, None),
        (Class::Unknown, Some(Changed::Network)),
    );
    let then = ["192.0.2.0", "2001:db8::"];
    // Lines are of days 110 to 114.
    let cases: [Move<'_>; 7] = [
        (&then, &[("192.0.2.9", 114)], 100, known),
        (&then, &[("198.51.100.9", 114)], 100, moved),
        (
            &then,
            &[("198.51.100.9", 114), ("2001:db8:0:1::1", 101)],
            100,
            known,
        ),
        (
            &then,
            &[("198.51.100.9", 114), ("192.0.2.9", 100)],
            100,
            moved,
        ),
        (&then, &[("198.51.100.9", 114)], 15, known),
        // Of addresses that are forgotten, or were then, nothing can be said.
        (&then, &[], 100, known),
        (&[], &[("198.51.100.9", 114)], 100, known),
    ];
    for (networks, sources, messages, expected) in cases {
        let found = sorted_with(networks, sources, messages);
        assert_eq!(found, expected, "{networks:?} {sources:?} {messages}");
    }
}

#[test]
fn the_networks_of_a_stream_are_those_of_most_of_it() {
    let mut evidence = evidence(&[row("dkim factuur.nl fs pass", 0)]);
    for (address, messages) in [
        ("192.0.2.1", 50),
        ("192.0.2.2", 20),
        ("198.51.100.1", 22),
        ("203.0.113.1", 8),
    ] {
        evidence.sources.push(Source {
            identity: 0,
            address: address.parse().unwrap(),
            first: 110,
            last: 114,
            messages,
        });
    }
    let networks = sorted(&evidence).remove(0).main_networks();
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.0", "198.51.100.0"]);
}

#[test]
fn only_what_is_asked_for_is_counted_and_all_is_looked_at() {
    let mut evidence = evidence(&[row("dkim bot.example x pass", 0)]);
    for (number, line) in evidence.lines.iter_mut().enumerate() {
        if number == 0 {
            line.from = "mail.voorbeeld.nl".to_owned();
        }
    }
    let below = |from: &str| from == "mail.voorbeeld.nl";
    let streams = streams(FROM, &evidence, &ours(), &[], WINDOW, below);
    let [stream] = &*streams else {
        panic!("{streams:?}")
    };
    // By itself it would be too small to be told from abuse.
    assert_eq!((&*stream.id, stream.messages), ("via:bot.example", 20));
}

#[test]
fn what_was_named_abuse_and_is_aligned_is_unknown_again() {
    let mut evidence = evidence(&[row("dkim voorbeeld.nl mc pass", aligned(true, false))]);
    let name = Name {
        class: Class::Abuse,
        label: None,
        owner: None,
        networks: BTreeSet::new(),
    };
    evidence
        .names
        .insert("dkim:voorbeeld.nl/mc".to_owned(), name);
    assert_eq!(sorted(&evidence)[0].class, Class::Unknown);
}

proptest! {
    /// No message is lost or counted twice, whatever the rows are.
    #[test]
    fn the_streams_add_up(rows in proptest::collection::vec((0_usize..6, 0_u16..0x1fff, 1_u64..500), 1..40)) {
        const KNOWN_BY: [&str; 6] = [
            "", "dkim voorbeeld.nl s1 pass", "dkim voorbeeld.nl x fail",
            "dkim a.org x pass\nspf b.org pass", "spf voorbeeld.nl pass", "dkim voorbeeld.nl mc pass",
        ];
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(known_by, flags, messages)| Row {
                messages: messages * 5,
                ..row(KNOWN_BY[known_by], flags)
            })
            .collect();
        let all: u64 = rows.iter().map(|row| row.messages).sum();
        let streams = sorted(&evidence(&rows));
        prop_assert_eq!(streams.iter().map(|stream| stream.messages).sum::<u64>(), all);
    }
}
