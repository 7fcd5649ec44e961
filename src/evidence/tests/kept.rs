//! Reports as they are read, for the store.

use super::{
    super::{Incoming, NumberKind, Rollup, Store, Taken, standing},
    *,
};

const FILE: &str = "reports.sqlite";
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
    read(&text, BEGIN + 100 * 86_400)
}

fn add(store: &mut Store, report: &Report) -> Taken {
    add_as(store, report, None)
}

fn add_as(store: &mut Store, report: &Report, authenticated: Option<bool>) -> Taken {
    let rollup = Rollup::new(report, |_| true, |_| false);
    let incoming = Incoming {
        reporter: "r.example",
        report,
        rollup: &rollup,
        authenticated,
        today: 20_100,
    };
    store.add(incoming).unwrap()
}

/// Everything in a store, in an order of its own.
fn all(store: &Store) -> Vec<String> {
    let evidence = store.evidence(FROM, usize::MAX, |_| true).unwrap();
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
fn a_report_that_proves_less_takes_no_place_and_names_no_address() {
    let real = || report(1, 0, &[(1, 20)]);
    let forged = || report(1, 0, &[(1, 90), (2, 9)]);
    let of = |given: &[(Report, Option<bool>, Taken)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for (report, authenticated, expected) in given {
            assert_eq!(add_as(&mut store, report, *authenticated), *expected);
        }
        let counts = |flags: u16| flags & standing::NOT_AUTHENTICATED == 0;
        let policies = store.policies(FROM, counts).unwrap();
        let reports: u64 = policies.iter().map(|policy| policy.reports).sum();
        let counted = given.iter().any(|(_, proof, _)| *proof != Some(false));
        assert_eq!(reports, u64::from(counted));
        all(&store)
    };
    for proof in [Some(true), None] {
        let alone = of(&[(real(), proof, Taken::Stored)]);
        let after = [
            (real(), proof, Taken::Stored),
            (forged(), Some(false), Taken::Duplicate),
        ];
        assert_eq!(of(&after), alone);
        let before = [
            (forged(), Some(false), Taken::Stored),
            (real(), proof, Taken::Replaced),
        ];
        assert_eq!(of(&before), alone);
    }
    let shown = of(&[(forged(), Some(false), Taken::Stored)]);
    assert_eq!(shown.len(), 2, "{shown:?}");
    let with_addresses = of(&[(forged(), Some(true), Taken::Stored)]);
    assert_eq!(with_addresses.len(), 4, "{with_addresses:?}");
}

#[test]
fn a_fuller_report_leaves_no_trace_of_the_other() {
    let (_first, replaced) = store(&[report(1, 0, &[(1, 2), (2, 9)]), report(1, 0, &[(1, 20)])]);
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
    Store::change(&folder.path().join(FILE), "PRAGMA user_version = 99").unwrap();
    let newer = Store::open(folder.path()).unwrap_err();
    assert!(newer.to_string().contains("version 99"), "{newer}");
    assert!(Store::read(&folder.path().join("none")).unwrap().is_none());
}

#[test]
fn what_is_old_is_forgotten_and_the_sums_stay() {
    let reports = [report(1, 0, &[(1, 2)]), report(2, 50, &[(1, 3)])];
    let (_folder, mut store) = store(&reports);
    let messages = |store: &Store| -> u64 {
        let evidence = store.evidence(FROM, usize::MAX, |_| true).unwrap();
        evidence.lines.iter().map(|line| line.messages).sum()
    };
    store.forget_old(20_100, 20_010, 19_000).unwrap();
    let evidence = store.evidence(FROM, usize::MAX, |_| true).unwrap();
    let reporters: Vec<&str> = evidence.lines.iter().map(|line| &*line.reporter).collect();
    assert_eq!(reporters, ["", "r.example"]);
    assert_eq!((messages(&store), evidence.sources.len()), (5, 1));
    store.forget_old(20_101, 20_010, 20_010).unwrap();
    store.begin().unwrap();
    assert_eq!(add(&mut store, &reports[1]), Taken::Duplicate);
    store.commit().unwrap();
    assert_eq!(messages(&store), 3);
    store.forget_domain(FROM).unwrap();
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

#[test]
fn what_was_read_is_counted_and_says_until_when_reports_tell() {
    let (folder, mut store) = store(&[report(1, 0, &[(1, 2)]), report(2, 5, &[(1, 3)])]);
    store.count(NumberKind::Outcome, "stored", 2).unwrap();
    store.count(NumberKind::Refusal, "dtd", 1).unwrap();
    store.count(NumberKind::Refusal, "dtd", 3).unwrap();
    drop(store);
    let numbers = Store::read(folder.path()).unwrap().unwrap();
    let numbers = numbers.numbers().unwrap();
    assert_eq!(numbers.outcomes["stored"], 2);
    assert_eq!(numbers.outcomes["not_ours"], 0);
    assert_eq!(numbers.refusals, [("dtd".to_owned(), 4)].into());
    let end = BEGIN + 5 * 86_400 + 86_399;
    assert_eq!(numbers.latest, [(FROM.to_owned(), end)].into());
    assert!(numbers.octets > 10_000);
}

#[test]
fn no_more_is_held_of_a_domain_than_is_asked_for() {
    let (_folder, store) = store(&[report(1, 0, &[(1, 2), (2, 3)])]);
    let held = |most| store.evidence(FROM, most, |_| true);
    assert_eq!(held(2).unwrap().lines.len(), 2);
    let refused = held(1).unwrap_err().to_string();
    assert!(
        refused.contains("voorbeeld.nl: more than 1 facts"),
        "{refused}"
    );
}

#[test]
fn a_store_that_another_program_has_changed_is_not_believed() {
    let (folder, mut store) = store(&[report(1, 0, &[(1, 2)])]);
    store.count(NumberKind::Outcome, "\u{1b}[31m", 1).unwrap();
    store.count(NumberKind::Refusal, "nonsense", 1).unwrap();
    let numbers = store.numbers().unwrap();
    assert_eq!(numbers.outcomes.len(), Taken::ALL.len());
    assert!(numbers.refusals.is_empty(), "{numbers:?}");
    drop(store);
    let file = folder.path().join(FILE);
    for (made, gone) in [
        ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
        (
            "CREATE TRIGGER t AFTER INSERT ON word BEGIN DELETE FROM fact; END",
            "DROP TRIGGER t",
        ),
    ] {
        Store::change(&file, made).unwrap();
        for refused in [
            Store::open(folder.path()).map(drop),
            Store::read(folder.path()).map(drop),
        ] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("that Zegel does not make"), "{refused}");
        }
        Store::change(&file, gone).unwrap();
    }
    drop(Store::open(folder.path()).unwrap());
    // Nobody waits for the other end of a pipe.
    let other = tempfile::tempdir().unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(other.path().join(FILE))
        .status();
    assert!(pipe.unwrap().success());
    assert!(Store::read(other.path()).is_err());
}

#[test]
fn a_store_of_version_1_is_brought_up_by_the_next_writer() {
    let (folder, mut store) = store(&[report(1, 0, &[(1, 2)])]);
    let name = Name {
        class: Class::Known,
        label: Some("Web".to_owned()),
        owner: None,
        networks: BTreeSet::new(),
    };
    store.set_name(FROM, "via:d1.nl", Some(&name), 7).unwrap();
    let before = all(&store);
    drop(store);
    let older = "DROP TABLE number; DROP TABLE latest; ALTER TABLE name DROP COLUMN networks; \
                 DROP TABLE confirmed; CREATE TABLE earlier (domain INTEGER NOT NULL, \
                 day INTEGER NOT NULL, policy INTEGER NOT NULL, reports INTEGER NOT NULL, \
                 PRIMARY KEY (domain, day, policy)) WITHOUT ROWID; \
                 INSERT INTO earlier SELECT domain, day, policy, reports FROM policy; \
                 DROP TABLE policy; ALTER TABLE earlier RENAME TO policy; PRAGMA user_version = 1;";
    Store::change(&folder.path().join(FILE), older).unwrap();
    let older = Store::read(folder.path()).unwrap_err();
    assert!(older.to_string().contains("version 1"), "{older}");
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(all(&store), before);
    let end = BEGIN + 86_399;
    assert_eq!(store.numbers().unwrap().latest[FROM], end);
    assert_eq!(
        store.evidence(FROM, usize::MAX, |_| true).unwrap().names["via:d1.nl"],
        name
    );
}

/// Reporters that are forgotten keep their vote.
#[test]
fn a_record_is_kept_by_who_saw_it_for_as_long_as_reporters_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    for (id, reporter) in [(1, "a.example"), (2, "a.example"), (3, "b.example")] {
        let report = report(id, 0, &[(1, 20)]);
        let rollup = Rollup::new(&report, |_| true, |_| false);
        let incoming = Incoming {
            reporter,
            report: &report,
            rollup: &rollup,
            authenticated: Some(true),
            today: 20_100,
        };
        store.add(incoming).unwrap();
    }
    let seen = |store: &Store| -> Vec<(Option<String>, u64)> {
        let policies = store.policies(FROM, |_| true).unwrap().into_iter();
        let mut seen: Vec<_> = policies.map(|one| (one.reporter, one.reports)).collect();
        seen.sort();
        seen
    };
    let by = |name: &str, reports| (Some(name.to_owned()), reports);
    assert_eq!(seen(&store), [by("a.example", 2), by("b.example", 1)]);
    let day = i32::try_from(BEGIN / 86_400).unwrap();
    store.forget_old(day + 90, day + 1, day - 1).unwrap();
    assert_eq!(seen(&store), [(None, 2)]);
}

#[test]
fn that_all_who_send_are_known_is_kept_until_the_domain_is_forgotten() {
    let (_folder, mut store) = store(&[]);
    assert_eq!(store.confirmed(FROM).unwrap(), None);
    store.confirm(FROM, 20_000).unwrap();
    store.confirm(FROM, 20_400).unwrap();
    assert_eq!(store.confirmed(FROM).unwrap(), Some(20_400));
    assert_eq!(store.confirmed("ander.nl").unwrap(), None);
    store.forget_domain(FROM).unwrap();
    assert_eq!(store.confirmed(FROM).unwrap(), None);
}
