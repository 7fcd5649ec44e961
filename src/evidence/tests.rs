use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    identity::KnownBy,
    rollup::extra,
    streams::{Class, Evidence, Line, Name, Stream, Window, streams},
};
use crate::report::{Disposition, Flags, Override};

const FROM: &str = "voorbeeld.nl";
const WINDOW: Window = Window { from: 100, to: 155 };

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
    streams(evidence, &ours(), &[], WINDOW)
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

#[test]
fn what_was_named_abuse_and_is_aligned_is_unknown_again() {
    let mut evidence = evidence(&[row("dkim voorbeeld.nl mc pass", aligned(true, false))]);
    let name = Name {
        class: Class::Abuse,
        label: None,
        owner: None,
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

/// Reports as they are read, for the store.
mod kept {
    use super::{
        super::{Incoming, Rollup, Store, Taken},
        *,
    };
    use crate::report::{Found, Reading, Report};

    const BEGIN: i64 = 20_000 * 86_400;

    fn report(id: u8, day: i64, rows: &[(u8, u32)]) -> Report {
        let records: Vec<String> = rows
            .iter()
            .map(|(address, count)| {
                format!(
                    "<record><row><source_ip>192.0.2.{address}</source_ip><count>{count}</count>\
                     <policy_evaluated/></row><auth_results><dkim><domain>d{}.nl</domain>\
                     <selector>s</selector><result>pass</result></dkim></auth_results></record>",
                    address % 3
                )
            })
            .collect();
        let begin = BEGIN + day * 86_400;
        let text = format!(
            "<feedback><report_metadata><org_name>r.example</org_name><report_id>{id}</report_id>\
             <date_range><begin>{begin}</begin><end>{}</end></date_range></report_metadata>\
             <policy_published><domain>{FROM}</domain></policy_published>{}</feedback>",
            begin + 86_399,
            records.concat()
        );
        let reading = Reading {
            now: BEGIN + 100 * 86_400,
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

    fn add(store: &mut Store, report: &Report) -> Taken {
        let rollup = Rollup::new(report, |_| true, |_| false);
        let incoming = Incoming {
            reporter: "r.example",
            report,
            rollup: &rollup,
            authenticated: None,
            today: 20_100,
        };
        store.add(incoming).unwrap()
    }

    /// Everything in a store, in an order of its own.
    fn all(store: &Store) -> Vec<String> {
        let evidence = store.evidence(FROM, |_| true).unwrap();
        let mut lines: Vec<String> = evidence
            .lines
            .iter()
            .map(|line| {
                let known = &evidence.identities[line.identity];
                format!("{} {} {:?} {}", line.day, line.from, known, line.messages)
            })
            .chain(evidence.sources.iter().map(|source| {
                let known = &evidence.identities[source.identity];
                format!("{} {:?} {}", source.address, known, source.messages)
            }))
            .collect();
        lines.sort();
        lines
    }

    fn store(reports: &[Report]) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.begin().unwrap();
        for report in reports {
            add(&mut store, report);
        }
        store.commit().unwrap();
        (folder, store)
    }

    #[test]
    fn a_fuller_report_leaves_no_trace_of_the_other() {
        let (_first, replaced) =
            store(&[report(1, 0, &[(1, 2), (2, 9)]), report(1, 0, &[(1, 20)])]);
        let (_second, alone) = store(&[report(1, 0, &[(1, 20)])]);
        assert_eq!(all(&replaced), all(&alone));
    }

    #[test]
    fn a_trial_knows_what_is_there_and_holds_up_no_writer() {
        let first = report(1, 0, &[(0, 5)]);
        let (folder, mut store) = store(std::slice::from_ref(&first));
        let kept = all(&store);
        let mut trial = Store::trial(folder.path()).unwrap();
        trial.begin().unwrap();
        assert_eq!(add(&mut trial, &first), Taken::Duplicate);
        let fuller = report(1, 0, &[(0, 6)]);
        assert_eq!(add(&mut trial, &fuller), Taken::Replaced);
        assert_eq!(add(&mut trial, &fuller), Taken::Duplicate);
        let other = report(2, 0, &[(1, 6)]);
        assert_eq!(add(&mut trial, &other), Taken::Stored);
        // While the trial goes on.
        store.begin().unwrap();
        assert_eq!(add(&mut store, &other), Taken::Stored);
        store.commit().unwrap();
        drop(trial);
        assert!(all(&store).len() > kept.len());
    }

    #[test]
    fn a_reader_needs_no_writer_and_a_newer_store_is_refused() {
        let (folder, writer) = store(&[report(1, 0, &[(1, 2)])]);
        let reader = Store::read(folder.path()).unwrap().unwrap();
        assert_eq!(all(&reader), all(&writer));
        drop(writer);
        assert_eq!(all(&Store::read(folder.path()).unwrap().unwrap()).len(), 2);
        drop(reader);
        Store::pretend_newer(folder.path()).unwrap();
        let newer = Store::open(folder.path()).unwrap_err();
        assert!(newer.to_string().contains("version 99"), "{newer}");
        assert!(Store::read(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn what_is_old_is_forgotten_and_the_sums_stay() {
        let reports = [report(1, 0, &[(1, 2)]), report(2, 50, &[(1, 3)])];
        let (_folder, mut store) = store(&reports);
        let messages = |store: &Store| -> u64 {
            let evidence = store.evidence(FROM, |_| true).unwrap();
            evidence.lines.iter().map(|line| line.messages).sum()
        };
        store.begin().unwrap();
        store.forget_old(20_100, 20_010, 19_000).unwrap();
        store.commit().unwrap();
        let evidence = store.evidence(FROM, |_| true).unwrap();
        let reporters: Vec<&str> = evidence.lines.iter().map(|line| &*line.reporter).collect();
        assert_eq!(reporters, ["", "r.example"]);
        assert_eq!((messages(&store), evidence.sources.len()), (5, 1));
        store.begin().unwrap();
        store.forget_old(20_101, 20_010, 20_010).unwrap();
        assert_eq!(add(&mut store, &reports[1]), Taken::Duplicate);
        store.commit().unwrap();
        assert_eq!(messages(&store), 3);
        store.begin().unwrap();
        store.forget_domain(FROM).unwrap();
        store.commit().unwrap();
        assert_eq!(all(&store), [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The order in which reports come, and how often, changes nothing.
        #[test]
        fn order_and_repetition_change_nothing(
            rows in proptest::collection::vec((0_i64..40, proptest::collection::vec((0_u8..9, 1_u32..99), 1..6)), 1..8),
            order in any::<u64>(),
        ) {
            let reports: Vec<Report> = rows
                .iter()
                .zip(0..)
                .map(|((day, rows), id)| report(id, *day, rows))
                .collect();
            let mut shuffled = [reports.clone(), reports.clone()].concat();
            let turn = usize::try_from(order % shuffled.len() as u64).unwrap();
            shuffled.rotate_left(turn);
            if order % 2 == 0 {
                shuffled.reverse();
            }
            let (_one, first) = store(&reports);
            let (_other, second) = store(&shuffled);
            prop_assert_eq!(all(&first), all(&second));
        }
    }
}
