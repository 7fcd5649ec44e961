//! The keeper as a process: signals, a configuration that changes, a single round.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::keeper::{Keeper, command};
use support::name_world::World;
use support::port::Port;
use support::reports::{ingest, partly_aligned_yesterday, passing_yesterday};
use support::zegel::{Org, Zegel};
use zegel::dkim::Algorithm::Ed25519Sha256;

const DOMAIN: &str = "alfa.example";

fn settings(resolver: SocketAddr, http: &Port) -> String {
    let http = http.number();
    format!(
        "[keeper]\nlocal_servers = true\nresolvers = [\"{resolver}\"]\nhttp = \"127.0.0.1:{http}\"\ncheck_every = \"1h\"\n"
    )
}

fn finding(code: &str) -> String {
    format!("zegel_dns_finding{{organisation=\"een\",domain=\"{DOMAIN}\",code=\"{code}\"}} 1")
}

#[track_caller]
fn wait_for(keeper: &Keeper, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let log = keeper.log();
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}\n{log}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hangup_reads_the_configuration_and_looks_at_once() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let dead = SocketAddr::from((world.dead_address(), 53));
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(dead, &http));
    let mut keeper = Keeper::start(&zegel.path(""), &http);
    let counted = |text: &str| keeper.log().matches(text).count();
    let rounds = || counted("all organisations have been looked at");
    wait_for(&keeper, "a key is made", || rounds() == 1);
    keeper.signal("-HUP");
    let unreachable = finding("dkim.unreachable");
    wait_for(&keeper, &unreachable, || keeper.shows(&unreachable));
    // Many at once, half of it broken: the rest stays, and is complained of once.
    zegel.write_settings("[keeper]\ncheck_every = 1\n");
    for before in [rounds(), rounds() + 1] {
        wait_for(&keeper, "a round", || rounds() >= before);
        keeper.signal("-HUP");
        wait_for(&keeper, "one more", || rounds() > before);
    }
    let complaints = counted("the configuration has problems");
    assert_eq!(complaints, 1, "{}", keeper.log());
    // The resolvers count from now on, and not from the next start.
    zegel.write_settings(&settings(world.resolver.address(), &http));
    keeper.signal("-HUP");
    let missing = finding("dkim.missing");
    wait_for(&keeper, &missing, || keeper.shows(&missing));
    assert!(!keeper.shows(&unreachable));
    assert_eq!(counted("finding in DNS"), 2, "{}", keeper.log());
    assert!(counted("no longer found in DNS") == 1, "{}", keeper.log());
    assert!(keeper.end("-TERM").success());
}

/// For a timer: what waits for somebody else's first step is no failure.
#[test]
fn a_single_round_says_whether_somebody_should_look() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &Port::free()));
    let folder = zegel.path("");
    assert_eq!(once(&folder), Some(0));
    assert_eq!(once(&folder), Some(0));
    world.secondary.pause();
    assert_eq!(once(&folder), Some(1));
}

/// For `zegel audit`: once when it begins and once when it is over, however many keepers look.
#[test]
fn alarms_are_written_down() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let org = Org::new("een", &[DOMAIN]);
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &Port::free()));
    let folder = zegel.path("");
    for _ in 0..2 {
        assert_eq!(once(&folder), Some(1));
    }
    let alarms = || {
        let output = command(&folder, &["audit", "een", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        let events = report["organisations"][0]["events"].as_array().cloned();
        let events = events.expect("events").into_iter();
        let alarms = events.filter(|one| one["event"].as_str().unwrap_or("").contains("alarm"));
        let words = alarms.map(|one| format!("{} {}", one["event"], one["word"]));
        (
            report["summary"]["alarms"].clone(),
            words.collect::<Vec<_>>(),
        )
    };
    let begun = "\"alarm\" \"active_gone\"";
    assert_eq!(alarms(), (1.into(), vec![begun.to_owned()]));
    let records = zegel.records();
    let (name, text) = records.iter().next().expect("the record of the key");
    // A string has 255 octets at most.
    let (first, rest) = text.split_at(200);
    world.set_both(DOMAIN, &format!("{name}. 60 TXT \"{first}\" \"{rest}\"\n"));
    assert_eq!(once(&folder), Some(0));
    let over = "\"alarm_over\" \"active_gone\"";
    assert_eq!(
        alarms(),
        (1.into(), vec![begun.to_owned(), over.to_owned()])
    );
}

fn once(folder: &Path) -> Option<i32> {
    let output = command(folder, &["keeper", "--once"]);
    output.status.code()
}

/// Waits until it is not ready for a reason with these words.
#[track_caller]
fn wait_for_reason(keeper: &Keeper, words: &str) {
    wait_for(keeper, words, || {
        let page = keeper.readiness();
        page.is_some_and(|page| page.contains("not ready: ") && page.contains(words))
    });
    assert!(keeper.log().contains(words), "{}", keeper.log());
}

#[track_caller]
fn wait_for_work(keeper: &Keeper) {
    let ended = "all organisations have been looked at";
    wait_for(keeper, ended, || keeper.log().contains(ended));
    let page = keeper.readiness().expect("its readiness");
    assert!(page.contains("200 OK"), "{page}");
}

/// One thing after another is missing, and then there: the same process says what, and goes on.
#[test]
fn what_the_keeper_cannot_begin_without_is_waited_for() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let zegel = Zegel::prepared(
        &[Org::new("een", &[DOMAIN]).without_keys()],
        &settings(world.resolver.address(), &http).replace("resolvers", "# resolvers"),
    );
    let keys = zegel.path("keys");
    let away = zegel.path("away");
    fs::rename(&keys, &away).expect("a keystore");
    let resolv = zegel.path("resolv.conf");
    fs::write(&resolv, "").expect("a file");
    // A /etc/resolv.conf of its own.
    let script = format!(
        "mount --bind {} /etc/resolv.conf && exec \"$@\"",
        resolv.display()
    );
    let prefix = ["unshare", "-m", "sh", "-c", &script, "own"];
    let mut keeper = Keeper::start_unready(&zegel.path(""), &http, &prefix);
    wait_for_reason(&keeper, &keys.display().to_string());
    // Signals are heard meanwhile.
    keeper.signal("-HUP");
    fs::write(&keys, "").expect("a file");
    wait_for_reason(&keeper, "Not a directory");
    fs::remove_file(&keys).expect("the file");
    // Another keeper has it.
    let first = zegel::keystore::Keystore::open(&away).expect("a keystore");
    let lock = first.keep(jiff::Timestamp::now()).expect("the lock");
    fs::rename(&away, &keys).expect("a keystore");
    wait_for_reason(&keeper, "locked by");
    drop(lock);
    wait_for_reason(&keeper, "keeper.resolvers: ");
    assert!(!keeper.log().contains("a round"), "{}", keeper.log());
    fs::write(&resolv, "# no resolver\n").expect("a file");
    keeper.signal("-HUP");
    wait_for_reason(&keeper, "keeper.resolvers: ");
    fs::write(&resolv, "nameserver 127.0.0.1\n").expect("a file");
    wait_for_work(&keeper);
    assert!(keeper.end("-TERM").success());
}

/// What the configuration says in place of `/etc/resolv.conf` counts with SIGHUP.
#[test]
fn a_hangup_gives_a_waiting_keeper_its_resolvers() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let zegel = Zegel::prepared(&[Org::new("een", &[DOMAIN]).without_keys()], "");
    let usual = settings(world.resolver.address(), &http);
    zegel.write_settings(&usual.replace("resolvers", "# resolvers"));
    let script = "mount --bind /dev/null /etc/resolv.conf && exec \"$@\"";
    let prefix = ["unshare", "-m", "sh", "-c", script, "own"];
    let mut keeper = Keeper::start_unready(&zegel.path(""), &http, &prefix);
    wait_for_reason(&keeper, "keeper.resolvers: ");
    zegel.write_settings("[keeper]\ncheck_every = 1\n");
    keeper.signal("-HUP");
    wait_for(&keeper, "a complaint", || {
        keeper.log().contains("all stays as it was")
    });
    zegel.write_settings(&usual);
    keeper.signal("-HUP");
    wait_for_work(&keeper);
    assert!(keeper.end("-TERM").success());
}

#[test]
fn a_keeper_that_waits_ends_when_it_is_told_to_and_a_single_round_at_once() {
    let world = World::start();
    let http = Port::free();
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &http));
    fs::rename(zegel.path("keys"), zegel.path("away")).expect("a keystore");
    for signal in ["-TERM", "-INT"] {
        let mut keeper = Keeper::start_unready(&zegel.path(""), &http, &[]);
        assert!(keeper.end(signal).success(), "{signal}");
    }
    let output = command(&zegel.path(""), &["keeper", "--once"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("keys"), "{said}");
}

/// Keys do not wait for the address of the pages.
#[test]
fn a_keeper_works_while_the_address_of_its_pages_is_taken() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let org = Org::new("een", &[DOMAIN]).without_keys();
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &http));
    let taken = TcpListener::bind(("127.0.0.1", http.number())).expect("the port");
    let folder = zegel.path("");
    thread::scope(|scope| {
        let keeper = scope.spawn(|| Keeper::start(&folder, &http));
        let begun = Instant::now();
        while zegel.keystore().generation().expect("a generation") == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no key is made");
            thread::sleep(Duration::from_millis(20));
        }
        drop(taken);
        let mut keeper = keeper.join().expect("its pages are there");
        let log = keeper.log();
        assert!(log.contains("keeper.http: cannot listen on"), "{log}");
        assert!(keeper.end("-TERM").success());
    });
}

/// What a command prints as JSON.
fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = command(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Asks for the key of an organisation with one domain, and gives its record for a zone file.
fn record(folder: &Path, organisation: &str) -> String {
    let keys = json(folder, &["key", "generate", organisation, "--json"]);
    let key = &keys["keys"][0];
    let selector = key["selector"].as_str().expect("a selector");
    let record = key["record"].as_str().expect("a record");
    format!("{selector}._domainkey TXT \"{record}\"\n")
}

/// How often the keeper has looked at an organisation since it was started.
fn looks(keeper: &Keeper) -> u64 {
    let page = keeper.page();
    let mut lines = page.lines();
    let count = lines.find_map(|line| line.strip_prefix("zegel_checks_total{result=\"ok\"} "));
    count.expect("the metric").parse().expect("a number")
}

/// Looks are an hour apart, and those in which nothing waits are spread over half of that.
#[test]
fn a_new_key_signs_as_soon_as_its_record_has_settled_also_after_a_restart() {
    let world = World::start();
    world.set_ttl(1);
    let (well, new) = (["a", "b", "c"], "zulu");
    let domain = |id: &str| format!("{id}.example");
    let org = |id: &str| Org::new(id, &[&domain(id)]).signing_by(Ed25519Sha256);
    let mut orgs: Vec<Org> = well.iter().map(|id| org(id)).collect();
    orgs.push(org(new).without_keys());
    let http = Port::free();
    let settings = settings(world.resolver.address(), &http) + "settle = \"2s\"\n";
    let zegel = Zegel::prepared(&orgs, &settings);
    for id in well.iter().chain([&new]) {
        world.set_both(&domain(id), "");
    }
    let folder = zegel.path("");
    let mut keeper = Keeper::start(&folder, &http);
    let awaited = "key made by the keeper";
    wait_for(&keeper, awaited, || keeper.log().contains("a key was made"));
    world.set_both(&domain(new), &record(&folder, new));
    assert!(keeper.restart("-TERM").success());
    let activated = "key activated";
    wait_for(&keeper, activated, || keeper.log().contains(activated));
    wait_for(&keeper, "both looks are counted", || looks(&keeper) >= 3);
    // One that is well is looked at when the keeper starts.
    assert_eq!(looks(&keeper), 3, "{}", keeper.log());
    let keys = json(&folder, &["key", "list", new, "--json"]);
    assert_eq!(keys["keys"][0]["domains"][0]["state"], "active");
    assert!(keeper.end("-TERM").success());
}

#[test]
fn a_key_that_someone_makes_is_looked_for_within_seconds() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    let zegel = Zegel::prepared(&[org], &settings(world.resolver.address(), &http));
    let mut keeper = Keeper::start(&zegel.path(""), &http);
    wait_for_work(&keeper);
    assert_eq!(looks(&keeper), 1);
    json(&zegel.path(""), &["key", "roll", "een", "--json"]);
    wait_for(&keeper, "one more look", || looks(&keeper) == 2);
    assert!(keeper.end("-TERM").success());
}

/// The state of the only key in its only domain, in what `key list` and `keeper look` print.
fn state(keys: &serde_json::Value) -> String {
    let state = &keys["keys"][0]["domains"][0]["state"];
    state.as_str().expect("a state").to_owned()
}

/// The look that comes by itself is a minute away, until the record is seen.
#[test]
fn a_look_is_made_at_once_by_the_keeper_that_runs() {
    let world = World::start();
    world.set_ttl(1);
    world.set_both(DOMAIN, "");
    let http = Port::free();
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    let zegel = Zegel::prepared(
        &[org.without_keys()],
        &(settings(world.resolver.address(), &http) + "settle = \"1s\"\n"),
    );
    let folder = zegel.path("");
    let mut keeper = Keeper::start(&folder, &http);
    wait_for_work(&keeper);
    let before = looks(&keeper);
    world.set_both(DOMAIN, &record(&folder, "een"));
    let look = ["keeper", "look", "een", "--json"];
    assert_eq!(state(&json(&folder, &look)), "published");
    assert!(looks(&keeper) > before);
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(state(&json(&folder, &look)), "active");
    // Several at the same time: each gets an answer.
    thread::scope(|scope| {
        let asked: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| json(&folder, &look)))
            .collect();
        for one in asked {
            assert_eq!(state(&one.join().expect("an answer")), "active");
        }
    });
    let check = command(&folder, &["dns", "check", "een", "--look"]);
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        said.contains("SELECTOR") && said.contains("looked at 1 domains"),
        "{said}"
    );
    let requests = fs::read_dir(zegel.path("keys/keeper.look")).expect("requests");
    assert_eq!(requests.count(), 0);
    let unknown = command(&folder, &["keeper", "look", "twee"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(keeper.end("-TERM").success());
}

#[test]
fn a_look_needs_no_keeper() {
    let world = World::start();
    world.set_ttl(1);
    world.set_both(DOMAIN, "");
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    let zegel = Zegel::prepared(
        &[org.without_keys()],
        &(settings(world.resolver.address(), &Port::free()) + "settle = \"1s\"\n"),
    );
    let folder = zegel.path("");
    let look = ["keeper", "look", "een", "--json"];
    // It makes the key as the keeper would.
    assert_eq!(state(&json(&folder, &look)), "generated");
    world.set_both(DOMAIN, &record(&folder, "een"));
    assert_eq!(state(&json(&folder, &look)), "published");
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(state(&json(&folder, &look)), "active");
    // Someone has the lock, and does not see to requests.
    let keystore = zegel.keystore();
    let held = keystore.keep(jiff::Timestamp::now()).expect("the lock");
    let refused = command(&folder, &look);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(said.contains("the keeper, process"), "{said}");
    // It ends while it is waited for: the command looks by itself.
    keystore.accept_look_requests().expect("a folder");
    thread::scope(|scope| {
        let asked = scope.spawn(|| json(&folder, &look));
        let begun = Instant::now();
        while keystore.look_requests().expect("requests").is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no request");
            thread::sleep(Duration::from_millis(20));
        }
        drop(held);
        assert_eq!(state(&asked.join().expect("an answer")), "active");
    });
    assert!(keystore.look_requests().expect("requests").is_empty());
}

/// Nobody has asked for the default address, so it is no error if it can't be had.
#[test]
fn a_keeper_whose_default_address_is_taken_warns_and_goes_on() {
    let world = World::start();
    world.set_both(DOMAIN, "");
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    let text = settings(world.resolver.address(), &Port::free());
    let text: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("http"))
        .collect();
    let zegel = Zegel::prepared(&[org.without_keys()], &text.join("\n"));
    // If somebody else has it, that is as well.
    let _taken = TcpListener::bind("127.0.0.1:9466");
    let log = zegel.path("keeper.output");
    let output = fs::File::create(&log).expect("a file");
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .args(["keeper", "--config"])
        .arg(zegel.path("zegel.toml"))
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .expect("a keeper");
    let begun = Instant::now();
    let said = || fs::read_to_string(&log).expect("its log");
    let is_done = |said: &str| {
        said.contains("WARN")
            && said.contains("nothing is served there")
            && said.contains("a key was made")
    };
    while !is_done(&said()) && begun.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(50));
    }
    keeper.kill().expect("it runs");
    keeper.wait().expect("its end");
    assert!(is_done(&said()), "{}", said());
    assert!(!said().contains("ERROR"), "{}", said());
}

/// What `zegel key list --retired` says of the one key: its state and what comes next; none when
/// there is nothing to be done any more.
fn retired(folder: &Path) -> Option<(String, String)> {
    let keys = json(folder, &["key", "list", "--retired", "--json"]);
    let domain = keys["keys"].get(0)?["domains"][0].clone();
    let text = |value: &serde_json::Value| value.as_str().expect("a word").to_owned();
    Some((text(&domain["state"]), text(&domain["next"]["what"])))
}

/// The customer takes no step but those that are asked for, and the operator says it once.
#[test]
fn an_organisation_that_leaves_signs_drains_and_is_archived() {
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let org = Org::new("een", &[DOMAIN]).signing_by(Ed25519Sha256);
    let settings = settings(world.resolver.address(), &http).replace("\"1h\"", "\"1s\"");
    let waits = "settle = \"1s\"\ndrain = \"2s\"\nrotate_every = \"3s\"\nlead_time = \"2s\"\n";
    let zegel = Zegel::prepared(&[org], &(settings + waits + "retire_grace = \"6s\"\n"));
    let folder = zegel.path("");
    let records = zegel.records();
    let (name, text) = records.iter().next().expect("the record of the key");
    world.set_both(DOMAIN, &format!("{name}. 1 TXT \"{text}\"\n"));
    let done = json(&folder, &["org", "retire", "een", "--json"]);
    assert_eq!(done["became"], "leaving");
    let mut keeper = Keeper::start(&folder, &http);
    let is = |state: &str, next: &str| retired(&folder) == Some((state.into(), next.into()));
    // It signs until then, and no successor is made though it would be time.
    wait_for(&keeper, "three looks", || looks(&keeper) >= 3);
    assert!(is("active", "sign_until"), "{:?}", retired(&folder));
    wait_for(&keeper, "it drains", || is("draining", "keep_record"));
    let until: jiff::Timestamp = done["until"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    assert!(jiff::Timestamp::now() >= until);
    wait_for(&keeper, "the record is asked back", || {
        is("draining", "empty_record")
    });
    let pack = ["dns", "records", "een", "--format", "json"];
    let task = || json(&folder, &pack)["domains"][0]["keys"][0]["task"].clone();
    assert_eq!(task(), "empty");
    // Its file may go: what is to be done is still known.
    fs::remove_file(zegel.path("orgs.d/een.toml")).expect("the file");
    assert_eq!(task(), "empty");
    world.set_both(
        DOMAIN,
        &format!("{name}. 1 TXT \"v=DKIM1; k=ed25519; p=\"\n"),
    );
    wait_for(&keeper, "the record is empty", || {
        is("withdrawn", "remove_record")
    });
    assert_eq!(task(), "remove");
    world.set_both(DOMAIN, "");
    wait_for(&keeper, "the record is gone", || retired(&folder).is_none());
    let keyring = zegel
        .keystore()
        .read_keyring(&"een".parse().expect("an id"));
    let keyring = keyring.expect("a keyring");
    assert_eq!(keyring.keys().len(), 1, "{keyring:?}");
    assert!(!keeper.log().contains("a key was made"), "{}", keeper.log());
    assert!(keeper.end("-TERM").success());
    let audit = fs::read_to_string(zegel.path("keys/audit.log")).expect("the audit log");
    for event in [
        "leaving",
        "left",
        "grace_over",
        "withdrawal_asked",
        "withdrawn",
        "record_gone",
    ] {
        let count = audit.matches(&format!("\"event\":\"{event}\"")).count();
        assert_eq!(count, 1, "{event}: {audit}");
    }
}

/// Two keys drain side by side; mail of one of them still arrives.
#[test]
fn a_key_drains_for_as_long_as_receivers_report_that_it_passes() {
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let domains = [("een", DOMAIN), ("twee", "bravo.example")];
    let orgs = domains.map(|(id, domain)| Org::new(id, &[domain]).signing_by(Ed25519Sha256));
    let settings = settings(world.resolver.address(), &http).replace("\"1h\"", "\"1s\"");
    let waits = "settle = \"1s\"\ndrain = \"2s\"\nretire_grace = \"3s\"\n";
    let reports = "[reports]\nstate = \"{folder}/reports\"\n";
    let zegel = Zegel::prepared(&orgs, &(settings + waits + reports));
    let folder = zegel.path("");
    for (name, text) in zegel.records().iter() {
        let (_, domain) = name.split_once("._domainkey.").expect("a name");
        let (name, domain) = (name.trim_end_matches('.'), domain.trim_end_matches('.'));
        world.set_both(domain, &format!("{name}. 1 TXT \"{text}\"\n"));
    }
    let keys = json(&folder, &["key", "list", "een", "--json"]);
    let selector = keys["keys"][0]["selector"].as_str().expect("a selector");
    let day = passing_yesterday(&folder, DOMAIN, selector);
    for (id, _) in domains {
        json(&folder, &["org", "retire", id, "--json"]);
    }
    let listed = |id: &str| {
        let keys = json(&folder, &["key", "list", "--retired", id, "--json"]);
        keys["keys"][0]["domains"][0]["next"].clone()
    };
    let is = |id: &str, next: &str| listed(id)["what"] == next;
    let mut keeper = Keeper::start(&folder, &http);
    wait_for(&keeper, "the other is asked back", || {
        is("twee", "empty_record")
    });
    wait_for(&keeper, "this one is kept", || is("een", "await_reports"));
    let said = format!("still reported as passing on {day} by receivers; withdrawal waits until ");
    let text = listed("een")["text"].to_string();
    assert!(text.contains(&said), "{text}");
    // A keeper that starts anew does not let it go before it knows what receivers report, and tells
    // it only once.
    keeper.restart("-TERM");
    let before = looks(&keeper);
    wait_for(&keeper, "four more looks", || looks(&keeper) >= before + 4);
    assert!(is("een", "await_reports"), "{}", listed("een"));
    assert_eq!(keeper.log().matches(&said).count(), 1, "{}", keeper.log());
    // What is forgotten keeps nothing.
    let forgotten = command(&folder, &["report", "forget", DOMAIN]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    keeper.restart("-TERM");
    wait_for(&keeper, "it is asked back too", || {
        is("een", "empty_record")
    });
    let audit = fs::read_to_string(zegel.path("keys/audit.log")).expect("the audit log");
    assert_eq!(audit.matches("withdrawal_asked").count(), 2, "{audit}");
}

/// A signer of `een`, whose reports are beside its keys.
fn with_reports(world: &World, http: &Port) -> Zegel {
    let org = Org::new("een", &["een.example"]).signing_by(Ed25519Sha256);
    let settings = settings(world.resolver.address(), http);
    let reports = "[reports]\nstate = \"{folder}/reports\"\n";
    Zegel::with_settings(&[org], &(settings + reports))
}

#[test]
fn what_reports_show_is_in_the_metrics_the_status_and_the_page() {
    let world = World::start();
    let http = Port::free();
    let zegel = with_reports(&world, &http);
    let before = zegel.page("/org/een").unwrap();
    assert!(!before.contains("Who sends"), "{before}");
    ingest(&zegel.path(""));
    let keeper = Keeper::start(&zegel.path(""), &http);
    let stored = "zegel_reports_total{outcome=\"stored\"} 1";
    wait_for(&keeper, stored, || keeper.shows(stored));
    for line in [
        "zegel_reports_total{outcome=\"replaced\"} 0",
        "zegel_report_refusals_total{reason=\"not_a_report\"} 1",
    ] {
        assert!(keeper.shows(line), "{}", keeper.page());
    }
    assert!(!keeper.page().contains("zegel_report_unknown_selectors{"));
    let page = || zegel.page("/org/een").unwrap();
    let shown = "Who sends in its name";
    wait_for(&keeper, shown, || page().contains(shown));
    // Too little for a stream of its own so far.
    for text in [
        "Reports: 1,",
        "<code>abuse</code>",
        ">1234<",
        "0 %",
        "<rect",
    ] {
        assert!(page().contains(text), "{text}\n{}", page());
    }
    let status = command(&zegel.path(""), &["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    let line = "DMARC reports: stored 1; refused: not_a_report 1; the newest covers mail up to ";
    assert!(status.contains(line), "{status}");
    drop(keeper);
    a_key_of_a_stranger_is_an_alarm(&zegel, &http);
    // What is forgotten is not shown any more.
    let forgotten = command(&zegel.path(""), &["report", "forget", "een.example"]);
    assert!(forgotten.status.success(), "{forgotten:?}");
    let keeper = Keeper::start(&zegel.path(""), &http);
    wait_for(&keeper, "it is gone", || !page().contains(shown));
}

/// With the first report, about one message.
fn a_key_of_a_stranger_is_an_alarm(zegel: &Zegel, http: &Port) {
    let folder = zegel.path("");
    passing_yesterday(&folder, "een.example", "old2019");
    let keeper = Keeper::start(&folder, http);
    let metric = "zegel_report_unknown_selectors{organisation=\"een\",domain=\"een.example\"} 1";
    wait_for(&keeper, metric, || keeper.shows(metric));
    let status = command(&folder, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let status = String::from_utf8(status.stdout).expect("text");
    let line = "Somebody else has a key in the zone of een.example: mail passes at receivers with \
                the record old2019._domainkey.een.example,";
    assert_eq!(status.matches(line).count(), 1, "{status}");
    assert!(!status.contains("by DMARC reports (unknown"), "{status}");
    let page = || zegel.page("/org/een").expect("the page");
    assert!(page().contains(line), "{}", page());
    let find = || {
        let mut matters = matters_of_een(zegel).into_iter();
        matters.find(|one| one["what"] == "dkim.unknown_selector")
    };
    let first = find().expect("a matter");
    let about = ["level", "actor", "domain", "selector"].map(|member| first[member].clone());
    assert_eq!(about, ["act", "operator", "een.example", "old2019"]);
    let dutch = first["text"]["nl"].as_str().expect("a sentence");
    let next = "`zegel report name een.example dkim:een.example/old2019 --as known`";
    assert!(dutch.contains(next), "{dutch}");
    agrees_with_the_files(&keeper, zegel);
    drop(keeper);
    // A keeper that starts anew knows since when.
    partly_aligned_yesterday(&folder);
    let keeper = Keeper::start(&folder, http);
    wait_for(&keeper, "it is sorted", || page().contains("Reports: 3,"));
    assert_eq!(find().expect("a matter")["since"], first["since"]);
    // A sender that the operator knows is none.
    let name = ["report", "name", "een.example", "dkim:een.example/old2019"];
    let named = command(&folder, &[&name[..], &["--as", "known"]].concat());
    assert!(named.status.success(), "{named:?}");
    drop(keeper);
    let keeper = Keeper::start(&folder, http);
    let shown = "old2019";
    wait_for(&keeper, "it is sorted", || {
        let page = page();
        page.contains(shown) && page.contains("known") && !page.contains(line)
    });
    // The rungs, and the record that it should have: the DNS has none.
    let page = zegel.page("/org/een").expect("the page");
    for part in [
        "<li>quarantine test</li>",
        "<strong>publish</strong>: publish this record",
        "<code>_dmarc.een.example TXT &quot;v=DMARC1; p=none&quot;</code>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!keeper.shows(metric), "{}", keeper.page());
}

/// What it says of reports is then of another day.
#[test]
fn a_store_of_reports_that_cannot_be_read_is_told() {
    let world = World::start();
    let http = Port::free();
    let zegel = with_reports(&world, &http);
    let folder = zegel.path("");
    passing_yesterday(&folder, "een.example", "old2019");
    let keeper = Keeper::start(&folder, &http);
    let unknown = "zegel_report_unknown_selectors{organisation=\"een\"";
    wait_for(&keeper, unknown, || keeper.page().contains(unknown));
    assert!(keeper.shows("zegel_report_store_readable 1"));
    assert!(
        keeper
            .page()
            .contains("\nzegel_report_sorted_timestamp_seconds ")
    );
    drop(keeper);
    fs::write(folder.join("reports/reports.sqlite"), "no database").expect("a file");
    let keeper = Keeper::start(&folder, &http);
    let line = "zegel_report_store_readable 0";
    wait_for(&keeper, line, || keeper.shows(line));
    assert!(
        !keeper
            .page()
            .contains("\nzegel_report_sorted_timestamp_seconds ")
    );
    let status = command(&folder, &["status"]);
    let status = String::from_utf8(status.stdout).expect("text");
    // The alarm of the other day stands on.
    for part in [
        "the keeper can't read the store of DMARC reports: ",
        "Somebody else has a key in the zone of een.example",
    ] {
        assert!(status.contains(part), "{part}\n{status}");
    }
}

/// What a signer says of it.
fn matters_of_een(zegel: &Zegel) -> Vec<serde_json::Value> {
    let answer = zegel.page("/status.json").expect("the status");
    let (_, document) = answer.split_once("\r\n\r\n").expect("a document");
    let status: serde_json::Value = serde_json::from_str(document).expect("JSON");
    let matters = status["judgements"]["een"]["matters"].as_array();
    matters.cloned().unwrap_or_default()
}

/// And what `zegel status` says, which reads the files itself.
fn matters_by_the_files(folder: &Path, organisation: &str) -> Vec<serde_json::Value> {
    let status = command(folder, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let judged = status["judgements"].as_array().expect("judgements");
    let its = judged
        .iter()
        .find(|one| one["organisation"] == organisation);
    let matters = its.and_then(|its| its["matters"].as_array());
    matters.cloned().unwrap_or_default()
}

/// What the keeper holds comes to the files, and both say the same. It looks on meanwhile, so
/// that a look may come between the two questions.
fn agrees_with_the_files(keeper: &Keeper, zegel: &Zegel) {
    let folder = zegel.path("");
    let by_the_files = || matters_by_the_files(&folder, "een");
    wait_for(keeper, "the files say the same", || {
        by_the_files() == matters_of_een(zegel)
    });
}

/// The keeper that starts anew sorts with what it saw of the DNS.
fn sorts_anew(zegel: &Zegel, http: &Port, what: &str, is_so: impl Fn() -> bool) -> Keeper {
    let keeper = Keeper::start(&zegel.path(""), http);
    let looked = "all organisations have been looked at";
    wait_for(&keeper, looked, || keeper.log().contains(looked));
    drop(keeper);
    let keeper = Keeper::start(&zegel.path(""), http);
    wait_for(&keeper, what, is_so);
    keeper
}

/// From reports to every surface; since when it is so, a keeper knows that starts anew.
#[test]
fn how_far_a_domain_has_come_is_in_how_it_stands() {
    let world = World::start();
    let publish = |policy: &str| {
        let record = format!("v=DMARC1; p={policy}; rua=mailto:dmarc@een.example");
        let records = format!("_dmarc.een.example. 1 TXT \"{record}\"\n");
        world.set_both("een.example", &records);
    };
    publish("none");
    let http = Port::free();
    let org = Org::new("een", &["een.example"]).signing_by(Ed25519Sha256);
    let settings = settings(world.resolver.address(), &http);
    let reports = "[reports]\nstate = \"{folder}/reports\"\naddress = \"dmarc@een.example\"\n";
    let zegel = Zegel::with_settings(&[org], &(settings + reports));
    let folder = zegel.path("");
    let find = |what: &str| {
        let mut matters = matters_of_een(&zegel).into_iter();
        matters.find(|one| one["what"] == what)
    };
    let ladder = |matters: Vec<serde_json::Value>| -> Vec<String> {
        let words = matters.iter().filter_map(|one| one["what"].as_str());
        let words = words.filter(|what| what.starts_with("dmarc."));
        words.map(str::to_owned).collect()
    };
    assert_eq!(ladder(matters_of_een(&zegel)), [""; 0]);
    partly_aligned_yesterday(&folder);
    let unknown = || find("dmarc.unknown_stream");
    let keeper = sorts_anew(&zegel, &http, "it is asked", || unknown().is_some());
    let named = "organisation=\"een\",domain=\"een.example\"";
    for line in [
        format!("zegel_dmarc_rung{{{named},rung=\"none\"}} 1"),
        format!("zegel_dmarc_action{{{named},action=\"ask\"}} 1"),
        format!("zegel_dmarc_holds{{{named},code=\"unknown_stream\"}} 1"),
        format!("zegel_report_messages{{{named},class=\"unknown\",result=\"aligned\"}} 25"),
        format!("zegel_report_messages{{{named},class=\"unknown\",result=\"failed\"}} 15"),
        format!("zegel_report_unknown_streams{{{named}}} 1"),
    ] {
        wait_for(&keeper, &line, || keeper.shows(&line));
    }
    let expected = [
        "dmarc.no_legitimate_mail",
        "dmarc.unknown_stream",
        "dmarc.not_enough_days",
    ];
    assert_eq!(ladder(matters_of_een(&zegel)), expected);
    agrees_with_the_files(&keeper, &zegel);
    let asked = unknown().expect("it is asked");
    assert_eq!(
        (&asked["level"], &asked["actor"]),
        (&"act".into(), &"operator".into())
    );
    let page = || zegel.page("/org/een").expect("the page");
    let sentence = "een.example stays on its rung of DMARC: via:mailing.example sent 40 messages";
    assert!(page().contains(sentence), "{}", page());
    drop(keeper);
    // Another report changes nothing of it.
    passing_yesterday(&folder, "een.example", "s9");
    let keeper = Keeper::start(&folder, &http);
    wait_for(&keeper, "it is sorted", || page().contains("Reports: 2,"));
    assert_eq!(unknown().expect("it is asked")["since"], asked["since"]);
    drop(keeper);
    // It is someone after all, and mail of it is refused.
    let name = [
        "report",
        "name",
        "een.example",
        "via:mailing.example",
        "--as",
        "known",
    ];
    let named = command(&folder, &name);
    assert!(named.status.success(), "{named:?}");
    publish("reject");
    let back = || find("dmarc.step_back");
    let keeper = sorts_anew(&zegel, &http, "a step back", || back().is_some());
    let back = back().expect("a step back");
    assert_eq!(back["level"], "unverifiable");
    assert_eq!(back["actor"], "dns_administrator");
    let text = back["text"]["nl"].as_str().expect("a sentence");
    let weaker = "`_dmarc.een.example TXT \"v=DMARC1; p=quarantine; t=y; pct=0; ";
    assert!(text.contains(weaker), "{text}");
    agrees_with_the_files(&keeper, &zegel);
    drop(keeper);
}

/// The record of the one above would have the mail of the one below refused, whoever it belongs to.
#[test]
fn a_domain_that_never_sends_waits_for_the_record_of_another_organisation_below() {
    let world = World::start();
    let records = |records: &str| world.set_both(DOMAIN, records);
    records("");
    let above = Org::new("rijk", &[]).parked(&[DOMAIN]).without_keys();
    let below = Org::new("dienst", &["post.dienst.alfa.example"]).without_keys();
    let settings = settings(world.resolver.address(), &Port::free());
    let zegel = Zegel::prepared(&[above, below], &settings);
    let folder = zegel.path("");
    let told = |arguments: &[&str]| command(&folder, arguments).stdout;
    let asked_in_dns = || -> Vec<String> {
        let found = told(&["dns", "check", "rijk", "--json"]);
        let found: serde_json::Value = serde_json::from_slice(&found).expect("JSON");
        let findings = found["domains"][0]["findings"].as_array().cloned();
        let codes = findings.expect("findings").into_iter();
        let codes = codes.filter_map(|one| Some(one["code"].as_str()?.to_owned()));
        codes.filter(|code| code.starts_with("dmarc.")).collect()
    };
    let pack = || String::from_utf8(told(&["dns", "records", "rijk"])).expect("text");
    let matters = || {
        let matters = matters_by_the_files(&folder, "rijk").into_iter();
        let mut words = matters.filter_map(|one| Some(one["what"].as_str()?.to_owned()));
        words.any(|what| what.starts_with("dmarc."))
    };
    // Also before anybody has looked at the DNS.
    for looks in [false, true] {
        if looks {
            once(&folder);
        }
        assert!(!pack().contains("v=DMARC1"), "{}", pack());
        assert!(pack().contains("post.dienst.alfa.example"), "{}", pack());
        assert_eq!(asked_in_dns(), [""; 0]);
        assert!(!matters());
    }
    records("_dmarc.post.dienst 1 TXT \"v=DMARC1; p=none\"\n");
    once(&folder);
    assert!(pack().contains("v=DMARC1; p=reject;"), "{}", pack());
    assert_eq!(asked_in_dns(), ["dmarc.missing"]);
    assert!(matters());
    // One between the two gives way to that of the domain above, once that is there.
    records("_dmarc.dienst 1 TXT \"v=DMARC1; p=none\"\n");
    once(&folder);
    assert!(!pack().contains("v=DMARC1"), "{}", pack());
    assert_eq!(asked_in_dns(), [""; 0]);
    // If that is there too early, it is the one below that has to act.
    records("_dmarc 1 TXT \"v=DMARC1; p=reject\"\n");
    once(&folder);
    assert!(!pack().contains("v=DMARC1"), "{}", pack());
    let theirs = String::from_utf8(told(&["dns", "records", "dienst"])).expect("text");
    assert!(
        theirs.contains("_dmarc.post.dienst.alfa.example"),
        "{theirs}"
    );
    let found = String::from_utf8(told(&["dns", "check", "dienst", "--json"])).expect("text");
    assert!(found.contains("dmarc.missing"), "{found}");
    // A record that receivers can't use is none.
    records("_dmarc.post.dienst 1 TXT \"v=DMARC1; p=perhaps\"\n");
    once(&folder);
    assert!(!pack().contains("v=DMARC1"), "{}", pack());
    assert_eq!(asked_in_dns(), [""; 0]);
    assert!(!matters());
}
