//! `zegel org unsigned`: what the keeper has collected from signers that come and go.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::{
    setup::{Done, Setup, finish, zegel},
    support::{
        keeper::Keeper,
        milter::{Message, send},
        port::Port,
        stage::wait_until,
        zegel::{Org, Zegel},
    },
};

fn run(zegel: &Zegel, arguments: &[&str]) -> Done {
    let config = zegel.path("zegel.toml");
    let mut command = self::zegel();
    command.args(["org", "unsigned"]).args(arguments);
    finish(command.arg("--config").arg(config), b"")
}

fn send_from(zegel: &Zegel, domain: &str) {
    let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\nbody\r\n");
    send(&zegel.milter(), &Message::parse(text.as_bytes()));
}

/// Unsigned and put off, over all days: a test may run over midnight.
fn counted(report: &Value, organisation: &str, reason: &str) -> (u64, u64) {
    let days = report["days"].as_array().unwrap().iter();
    let organisations = days.flat_map(|day| day["organisations"].as_array().unwrap());
    let own = organisations.filter(|one| one["organisation"] == organisation);
    let reasons = own.flat_map(|one| one["reasons"].as_array().unwrap());
    reasons
        .filter(|one| one["reason"] == reason)
        .map(|one| {
            (
                one["unsigned"].as_u64().unwrap(),
                one["put_off"].as_u64().unwrap(),
            )
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn report(zegel: &Zegel) -> Value {
    run(zegel, &["--since", "yesterday", "--json"])
        .expect(0)
        .json()
}

/// Has the keeper look until it has counted so many.
fn wait_for(zegel: &Zegel, keeper: &Keeper, twee: u64, drie: u64) {
    wait_until("the keeper has counted", || {
        keeper.signal("-HUP");
        let report = report(zegel);
        counted(&report, "twee", "awaiting_key") == (twee, 0)
            && counted(&report, "drie", "signing_failure") == (0, drie)
    });
}

#[test]
fn mail_that_was_not_signed_is_known_after_a_restart_of_the_signer() {
    let orgs = [
        Org::new("een", &["een.example"]),
        Org::new("twee", &["twee.example"]).without_keys(),
        Org::new("drie", &["drie.example"]).with_lost_keys(),
    ];
    let port = Port::free();
    let settings = format!(
        "[keeper]\nresolvers = [\"127.0.0.1:1\"]\nhttp = \"127.0.0.1:{}\"\n",
        port.number()
    );
    let mut zegel = Zegel::with_settings(&orgs, &settings);
    run(&zegel, &[])
        .expect(0)
        .says(&["Nothing was counted.", "has not collected anything yet"]);
    let mut keeper = Keeper::start(&zegel.path(""), &port);
    for domain in [
        "een.example",
        "twee.example",
        "twee.example",
        "drie.example",
    ] {
        send_from(&zegel, domain);
    }
    wait_for(&zegel, &keeper, 2, 1);

    // It forgets, and counts from 0 again: less than before, and then more.
    assert!(zegel.terminate().success());
    let address = zegel.http_address().to_string();
    wait_until("its silence is noted", || {
        keeper.signal("-HUP");
        report(&zegel)["not_collected"][&address].is_string()
    });
    run(&zegel, &[]).says(&[&format!("Not collected from {address} since ")]);
    zegel.launch();
    send_from(&zegel, "twee.example");
    wait_for(&zegel, &keeper, 3, 1);
    for _ in 0..3 {
        send_from(&zegel, "twee.example");
    }
    send_from(&zegel, "drie.example");
    wait_for(&zegel, &keeper, 6, 2);
    assert_eq!(report(&zegel)["not_collected"], serde_json::json!({}));

    // The keeper goes on where it was, and nothing counts twice.
    assert!(!keeper.restart("-KILL").success());
    send_from(&zegel, "elsewhere.example");
    wait_for(&zegel, &keeper, 6, 2);
    wait_until("mail of no organisation is counted", || {
        keeper.signal("-HUP");
        counted(&report(&zegel), "", "unknown_domain") == (1, 0)
    });
    wait_for(&zegel, &keeper, 6, 2);
    assert!(keeper.end("-TERM").success());
    shown_on_its_page(&zegel);
    signed_by_selector(&zegel);
    shown(&zegel);
    let broken = zegel.page("/org/twee").unwrap();
    assert!(broken.contains("can't be read: "), "{broken}");
}

/// The one message of `een` was signed before the signer was started again.
fn signed_by_selector(zegel: &Zegel) {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for file in fs::read_dir(zegel.path("keys/keeper.counts")).unwrap() {
        let content = fs::read(file.unwrap().path()).unwrap();
        let day: Value = serde_json::from_slice(&content).unwrap();
        let by = day["organisations"]["een"]["signed_by"]
            .as_object()
            .cloned();
        for (selector, count) in by.unwrap_or_default() {
            *sums.entry(selector).or_default() += count.as_u64().unwrap();
        }
    }
    assert_eq!(sums, [("een-rsa".to_owned(), 1)].into());
}

/// The signer itself has seen four of the messages of `twee` since its start.
fn shown_on_its_page(zegel: &Zegel) {
    for (id, reason, fate, sum) in [
        ("twee", "awaiting_key", "left unsigned", 6),
        ("drie", "signing_failure", "put off", 2),
    ] {
        let page = zegel.page(&format!("/org/{id}")).unwrap();
        let row = format!("<code>{reason}</code> <span class=\"muted\">{fate}</span></th>");
        let (_, row) = page.split_once(&row).expect(&page);
        let (row, rest) = row.split_once("</tr>").unwrap();
        assert_eq!(row.matches("<td ").count(), 4, "{row}");
        for days in ["7 days", "35 days"] {
            let cell = format!("data-label=\"{days}\">{sum}</td>");
            assert!(row.contains(&cell), "{id}: no {cell} in {row}");
        }
        assert!(rest.contains("Counted by the keeper from 20"), "{rest}");
    }
    let signed = zegel.page("/org/een").unwrap();
    assert!(!signed.contains("Counted by the keeper"), "{signed}");
}

fn shown(zegel: &Zegel) {
    let done = run(zegel, &["--since", "7d"]).expect(0);
    let done = done.says(&[
        "signing_failure",
        "(none)",
        "Days are in UTC. Collected until 20",
    ]);
    assert_eq!(done.err, "");
    let of_twee = run(zegel, &["twee", "--csv"]).expect(0).out;
    let lines: Vec<&str> = of_twee.lines().collect();
    assert_eq!(
        lines[0],
        "day,organisation,reason,unsigned,put_off,rejected,signed"
    );
    let sum: u64 = lines[1..]
        .iter()
        .map(|line| line.split(',').nth(3).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 6, "{of_twee}");
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.contains(",twee,awaiting_key,"))
    );
    run(zegel, &["vier"])
        .expect(2)
        .complains(&["no organisation vier"]);
    run(zegel, &["--since", "week"])
        .expect(2)
        .complains(&["--since week: write today, yesterday, 7d"]);
    // A file that is broken is not taken for a day without mail.
    let folder = zegel.path("keys/keeper.counts");
    let file = the_only_file(&folder);
    fs::write(&file, "{").unwrap();
    let name = file.display().to_string();
    run(zegel, &[])
        .expect(1)
        .complains(&[&name, "it can't be read"]);
}

fn the_only_file(folder: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.pop().expect("a day")
}

#[test]
fn nothing_is_counted_where_nobody_is_asked() {
    let setup = Setup::new();
    let text = fs::read_to_string(setup.path("zegel.toml")).unwrap();
    setup.write("zegel.toml", &format!("{text}signers = \"off\"\n"));
    setup
        .run(["org", "unsigned"])
        .expect(0)
        .says(&["Nothing was counted."]);
    let empty = setup.run(["org", "unsigned", "--json"]).expect(0).json();
    assert_eq!(empty["collected_until"], Value::Null);
    assert_eq!(empty["days"], serde_json::json!([]));
}
