//! What reports prove, on all surfaces: a real name server, a signer with its page, a keeper.

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::keeper::{Keeper, command};
use support::name_world::World;
use support::port::Port;
use support::reports::{Reported, ingest_days, ingest_days_then};
use support::zegel::{Org, Zegel};
use zegel::dkim::Algorithm::Ed25519Sha256;

const DOMAIN: &str = "een.example";
const RUA: &str = "rua=mailto:dmarc@relay.example";

#[track_caller]
fn wait_for(keeper: &Keeper, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let log = keeper.log();
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}\n{log}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn text(folder: &Path, arguments: &[&str]) -> String {
    let done = command(folder, arguments);
    String::from_utf8(done.stdout).expect("text")
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let text = text(folder, arguments);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// With one organisation, its relay, and a place where reports go.
fn signer(world: &World, http: &Port) -> Zegel {
    let settings = format!(
        "[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"1s\"\nsettle = \"1s\"\nrelay_addresses = [\"192.0.2.1\"]\n\
         [handover]\nrua = \"dmarc@relay.example\"\n[reports]\nstate = \"{{folder}}/reports\"\n",
        world.resolver.address(),
        http.number()
    );
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    Zegel::with_settings(&[org], &settings)
}

fn publish(world: &World, zegel: &Zegel, record: &str) {
    publish_with(world, zegel, record, "");
}

fn publish_with(world: &World, zegel: &Zegel, record: &str, more: &str) {
    let mut zone = format!("{more}_dmarc.{DOMAIN}. 1 TXT \"{record}\"\n");
    for (name, text) in zegel.records().iter() {
        let name = name.trim_end_matches('.');
        writeln!(zone, "{name}. 1 TXT \"{text}\"").expect("a string");
    }
    world.set_both(DOMAIN, &zone);
}

/// What `dmarc status` advises, once pack, `dns records` and page have it too.
fn advised_everywhere(zegel: &Zegel, keeper: &Keeper, action: &str) -> String {
    let folder = zegel.path("");
    let status = json(&folder, &["dmarc", "status", "een", "--json"]);
    let advice = &status["domains"][0]["advice"];
    assert_eq!(advice["action"], action, "{status}");
    let record = advice["record"].as_str().expect("a record").to_owned();
    let policy = || {
        let pack = json(&folder, &["dns", "records", "een", "--json"]);
        pack["domains"][0]["policies"][1].clone()
    };
    wait_for(keeper, "the pack has it", || {
        policy()["record"]["value"] == *record
    });
    let policy = policy();
    assert_eq!(policy["task"], "mend", "{policy}");
    assert_eq!(policy["name"], advice["name"]);
    assert_eq!(policy["ladder"]["action"], action);
    assert_eq!(policy["ladder"]["advised"], advice["step"]);
    assert_eq!(policy["ladder"]["text"], advice["text"]);
    let page = zegel.page("/org/een").expect("the page");
    let shown = format!("<code>_dmarc.{DOMAIN} TXT &quot;{record}&quot;</code>");
    assert!(page.contains(&shown), "{page}");
    let to_copy = format!("<code class=\"value\">{record}</code>");
    assert!(page.contains(&to_copy), "{page}");
    for pack in [
        zegel.page("/org/een/records.txt").expect("the pack"),
        text(&folder, &["dns", "records", "een"]),
    ] {
        assert!(pack.contains(&record), "{record}\n{pack}");
    }
    record
}

#[test]
fn pack_page_and_commands_have_one_record() {
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let zegel = signer(&world, &http);
    let folder = zegel.path("");
    let keys = json(&folder, &["key", "list", "een", "--json"]);
    let selector = keys["keys"][0]["selector"].as_str().expect("a selector");
    // One that starts when it has seen the record finds out at once what comes next.
    let see = |keeper: &mut Keeper, record: &str| {
        wait_for(keeper, "the keeper saw it", || {
            let pack = json(&folder, &["dns", "records", "een", "--json"]);
            let seen = pack["domains"][0]["policies"][1]["seen"].to_string();
            seen.contains(record)
        });
        keeper.restart("-TERM");
    };
    let report = |days, from, policy, passes| {
        let rows = [("192.0.2.1", selector, 100, passes)];
        let told = Reported {
            domain: DOMAIN,
            from,
            policy,
            rows: &rows,
        };
        ingest_days(&folder, days, &told);
    };
    publish(&world, &zegel, &format!("v=DMARC1; p=none; {RUA}"));
    report(1..=60, DOMAIN, "<p>none</p>", true);
    report(1..=10, "post.een.example", "<p>none</p>", true);
    let mut keeper = Keeper::start(&folder, &http);
    see(&mut keeper, "p=none");
    let next = advised_everywhere(&zegel, &keeper, "publish");
    assert!(next.starts_with("v=DMARC1; p=quarantine; "), "{next}");
    // One who sends mail is not in the DNS. The keeper finds out when it is.
    assert!(!next.contains("np="), "{next}");
    let host = format!("post.{DOMAIN}. 1 A 192.0.2.1\n");
    publish_with(&world, &zegel, &format!("v=DMARC1; p=none; {RUA}"), &host);
    keeper.restart("-TERM");
    wait_for(&keeper, "the keeper saw the name", || {
        let seen = std::fs::read_to_string(folder.join("keys/keeper.seen/een.json"));
        seen.is_ok_and(|seen| seen.contains("\"post.een.example\":true"))
    });
    keeper.restart("-TERM");
    let next = advised_everywhere(&zegel, &keeper, "publish");
    assert!(next.contains("; np=reject; "), "{next}");
    // Somebody has gone further, and mail is lost: the pack says so at once.
    publish(&world, &zegel, &format!("v=DMARC1; p=quarantine; {RUA}"));
    report(1..=3, DOMAIN, "<p>quarantine</p>", false);
    see(&mut keeper, "p=quarantine");
    let back = advised_everywhere(&zegel, &keeper, "step_back");
    assert!(back.starts_with("v=DMARC1; p=none; "), "{back}");
    let pack = text(&folder, &["dns", "records", "een"]);
    assert!(pack.contains("meteen vervangen door een milder"), "{pack}");
}

#[test]
fn a_new_key_stands_beside_the_old_one_and_passing_less_is_an_alarm() {
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let zegel = signer(&world, &http);
    let folder = zegel.path("");
    let record = format!("v=DMARC1; p=none; {RUA}");
    publish(&world, &zegel, &record);
    let state = |place: usize| {
        let keys = json(&folder, &["key", "list", "een", "--json"]);
        let key = &keys["keys"][place];
        let told = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (told(&key["selector"]), told(&key["domains"][0]["state"]))
    };
    let (old, _) = state(0);
    text(&folder, &["key", "roll", "een"]);
    let (new, _) = state(1);
    publish(&world, &zegel, &record);
    let mut keeper = Keeper::start(&folder, &http);
    wait_for(&keeper, "the new key signs", || {
        state(1).1 == "active" && state(0).1 == "draining"
    });
    let report = |days, passed: u64| {
        let rows = [
            ("192.0.2.1", old.as_str(), 200, true),
            ("192.0.2.1", new.as_str(), passed, true),
            ("192.0.2.1", new.as_str(), 200 - passed, false),
        ];
        let told = Reported {
            domain: DOMAIN,
            from: DOMAIN,
            policy: "<p>none</p>",
            rows: &rows,
        };
        ingest_days(&folder, days, &told);
    };
    let metric = format!(
        "zegel_report_weaker_selector_points{{organisation=\"een\",domain=\"{DOMAIN}\",\
         selector=\"{new}\"}} 4.5"
    );
    report(1..=1, 191);
    keeper.restart("-TERM");
    wait_for(&keeper, &metric, || keeper.shows(&metric));
    let status = command(&folder, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let status = String::from_utf8(status.stdout).expect("text");
    let line = format!(
        "mail of {DOMAIN} with the new key {new} passes less often (95.5 % of 600) than with {old} \
         (100.0 % of 600), by DMARC reports: see ZegelNewKeyPassesLess in "
    );
    assert!(status.contains(&line), "{status}");
    let keys = json(&folder, &["key", "list", "een", "--json"]);
    let reported = |place: usize| &keys["keys"][place]["domains"][0]["reports"];
    assert_eq!(reported(0)["passed"], 600, "{keys}");
    assert_eq!(reported(1)["messages"], 600);
    assert_eq!(reported(1)["passed"], 573);
    let list = text(&folder, &["key", "list", "een"]);
    let rows: Vec<&str> = list
        .lines()
        .filter(|line| line.contains(" % of ") || line.contains(" %)"))
        .collect();
    assert_eq!(rows.len(), 2, "{list}");
    assert!(rows[0].contains("600 (100.0 %)"), "{list}");
    assert!(rows[1].contains("573 (95.5 %)"), "{list}");
    let page = zegel.page("/org/een").expect("the page");
    for part in [
        "By reports 95.5 % of 600 passed",
        "By reports 100.0 % of 600 passed",
    ] {
        assert!(page.contains(part), "{page}");
    }
    // More of them pass: it is over.
    report(2..=3, 199);
    keeper.restart("-TERM");
    wait_for(&keeper, "it is over", || {
        let keys = json(&folder, &["key", "list", "een", "--json"]);
        keys["keys"][1]["domains"][0]["reports"]["messages"] == 1800
    });
    assert!(
        !keeper.shows("zegel_report_weaker_selector_points{"),
        "{}",
        keeper.page()
    );
}

/// As if the keeper had counted these signatures of `een` on each of the last days.
fn count_signed(zegel: &Zegel, selector: &str, signed: u64) {
    let now = jiff::Timestamp::now();
    let date = |ago: i64| -> jiff::civil::Date {
        let then = jiff::Timestamp::from_second(now.as_second() - ago * 86_400).expect("a time");
        let date = then.strftime("%Y-%m-%d").to_string();
        date.parse().expect("a day")
    };
    for ago in 0..35 {
        let day = date(ago);
        let until = if ago == 0 {
            now.to_string()
        } else {
            format!("{day}T23:59:00Z")
        };
        let text = format!(
            "{{\"version\":1,\"day\":\"{day}\",\"until\":\"{until}\",\"organisations\":{{\"een\":{{\
             \"signed\":{signed},\"signed_by\":{{\"{selector}\":{signed}}}}}}},\"signers\":{{}}}}"
        );
        let keystore = zegel.keystore();
        let written = keystore.write_counts(day, text.as_bytes(), date(0), 35);
        written.expect("the counts");
    }
}

#[test]
fn how_much_reports_tell_of_and_mail_that_was_not_signed_are_seen() {
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let zegel = signer(&world, &http);
    let folder = zegel.path("");
    publish(&world, &zegel, &format!("v=DMARC1; p=none; {RUA}"));
    let keys = json(&folder, &["key", "list", "een", "--json"]);
    let selector = keys["keys"][0]["selector"].as_str().expect("a selector");
    count_signed(&zegel, selector, 400);
    let report = |days, messages, then| {
        let rows = [("192.0.2.1", selector, messages, true)];
        let told = Reported {
            domain: DOMAIN,
            from: DOMAIN,
            policy: "<p>none</p>",
            rows: &rows,
        };
        ingest_days_then(&folder, days, &told, then);
    };
    // They have reported for long.
    report(41..=42, 100, 40);
    report(1..=34, 100, 0);
    let mut keeper = Keeper::start(&folder, &http);
    let page = || zegel.page("/org/een").expect("the page");
    let covered = "Coverage: reports tell of 75 % of 11200 signatures, on 28 days.";
    wait_for(&keeper, "the page says it", || page().contains(covered));
    let alarm = "zegel_report_replayed_messages{";
    assert!(!keeper.page().contains(alarm), "{}", keeper.page());
    let evidence = || {
        let status = json(&folder, &["dmarc", "status", "een", "--json"]);
        status["domains"][0].clone()
    };
    assert_eq!(evidence()["evidence"]["coverage"], 0.75);
    // One message goes to tens of thousands.
    report(2..=2, 10_000, 0);
    keeper.restart("-TERM");
    let metric =
        format!("{alarm}organisation=\"een\",domain=\"{DOMAIN}\",selector=\"{selector}\"}} 28100");
    wait_for(&keeper, &metric, || keeper.shows(&metric));
    let found = &evidence()["findings"][0];
    assert_eq!(
        (&found["code"], &found["selector"]),
        (&"dkim.replay".into(), &selector.into())
    );
    let status = command(&folder, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let status = String::from_utf8(status.stdout).expect("text");
    let line = format!(
        "Far more mail passes with the key {selector} of {DOMAIN} than was signed with it: receivers \
         reported 32100 messages from "
    );
    assert_eq!(status.matches(&line).count(), 1, "{status}");
    assert!(!status.contains("see ZegelDkimReplay"), "{status}");
    let keys = json(&folder, &["key", "list", "een", "--json"]);
    assert_eq!(keys["keys"][0]["domains"][0]["level"], "act", "{keys}");
    let told = format!("Far more mail passes with the key {selector} of {DOMAIN}");
    let number = || page().matches(&told).count();
    wait_for(&keeper, "the page has it once", || number() == 1);
}

#[test]
fn each_stream_has_a_page() {
    let world = World::start();
    let http = Port::free();
    let zegel = signer(&world, &http);
    let folder = zegel.path("");
    let rows = [
        ("192.0.2.1", "een-ed25519", 100, true),
        ("198.51.100.7", "old2019", 40, true),
        ("203.0.113.9", "old2019", 5, false),
    ];
    let told = Reported {
        domain: DOMAIN,
        from: DOMAIN,
        policy: "<p>none</p>",
        rows: &rows,
    };
    ingest_days(&folder, 1..=20, &told);
    let keeper = Keeper::start(&folder, &http);
    let link = "/org/een/stream?domain=een.example&amp;stream=dkim%3Aeen.example%2Fold2019";
    let list = || zegel.page("/org/een").expect("the page");
    wait_for(&keeper, "it is linked", || list().contains(link));
    let page = zegel
        .page(&link.replace("&amp;", "&"))
        .expect("the page of the stream");
    for part in [
        "<h1>dkim:een.example/old2019</h1><p class=\"lead\">Sends in the name of een.example",
        "<strong>unknown</strong>: nobody has said who sends it",
        "with a selector that is not one of ours",
        ">198.51.100.0/24<",
        ">old2019<",
        "een.test",
        "class=\"signed\"",
        "zegel report name een.example dkim:een.example/old2019 --as known",
        "zegel report streams een.example dkim:een.example/old2019",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("198.51.100.7"), "{page}");
    let ours = zegel.page("/org/een/stream?domain=een.example&stream=ours");
    let ours = ours.expect("the page of our own mail");
    assert!(ours.contains("Nothing has to be said of it."), "{ours}");
    let other = zegel.page("/org/een/stream?domain=een.example&stream=other");
    assert!(other.expect("an answer").contains("Not here"));
}
