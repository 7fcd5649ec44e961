//! A platform that drives Zegel from its own code: the programs of docs/platform.md, with a real
//! name server, the keeper and the signer.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::keeper::{Keeper, command};
use support::milter::{Message, send};
use support::name_world::World;
use support::port::Port;
use support::zegel::{Org, Zegel};
use zegel::dkim::Algorithm::Ed25519Sha256;

const PATIENCE: Duration = Duration::from_mins(1);
const WORK: &str = "/var/lib/zegel/handover";

/// The programs of the page, with their files in this folder.
fn programs(folder: &Path) -> Vec<String> {
    let page = fs::read_to_string("docs/platform.md").expect("the page");
    let blocks = page.split("```python\n").skip(1);
    let code = blocks.map(|block| block.split("```").next().unwrap_or_default());
    code.map(|code| code.replace(WORK, &folder.display().to_string()))
        .collect()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// A relay whose keeper tells a program, and the folder in which that writes.
struct Platform {
    world: World,
    zegel: Zegel,
    http: Port,
    work: tempfile::TempDir,
}

impl Platform {
    fn start(hook: &str) -> Self {
        let world = World::start();
        world.set_ttl(1);
        let work = support::open_folder("platform");
        let program = work.path().join("on-zegel");
        write(&program, hook);
        let http = Port::free();
        let settings = format!(
            "[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nhttp = \"127.0.0.1:{}\"\n\
             check_every = \"1s\"\nsettle = \"1s\"\n\
             [handover]\nspf = \"include:_spf.relay.example\"\nrua = \"dmarc@relay.example\"\n\
             [hooks]\ncommand = [\"{}\"]\n",
            world.resolver.address(),
            http.number(),
            program.display()
        );
        let zegel = Zegel::with_settings(&[], &settings);
        Self {
            world,
            zegel,
            http,
            work,
        }
    }

    fn keeper(&self) -> Keeper {
        Keeper::start(&self.zegel.path(""), &self.http)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.work.path().join(name)).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            let log = self.file("news.log");
            assert!(begun.elapsed() < PATIENCE, "never: {what}\n{log}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_member_is_onboarded_by_a_program_and_another_is_told() {
    let empty = tempfile::tempdir().expect("a folder");
    let [_, hook] = &programs(empty.path())[..] else {
        panic!("two programs");
    };
    let platform = Platform::start(&hook.replace(&empty.path().display().to_string(), "@WORK@"));
    let work = platform.work.path().display().to_string();
    let program = platform.work.path().join("on-zegel");
    write(
        &program,
        &hook.replace(&empty.path().display().to_string(), &work),
    );
    let onboard = platform.work.path().join("onboard.py");
    write(&onboard, &programs(platform.work.path())[0]);
    platform.world.set_both("lid.example", "");
    let keeper = platform.keeper();
    let binary = Path::new(env!("CARGO_BIN_EXE_zegel"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut running = Command::new("python3")
        .arg(&onboard)
        .args(["lid", "lid.example", "dns@lid.example"])
        .env("PATH", path)
        .env("ZEGEL_CONFIG", platform.zegel.path("zegel.toml"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python");
    platform.wait_for("the records are published", || {
        platform.file("records.zone").contains("_domainkey")
    });
    platform
        .world
        .set_both("lid.example", &platform.file("records.zone"));
    let output = {
        let begun = Instant::now();
        while running.try_wait().expect("a status").is_none() {
            assert!(begun.elapsed() < PATIENCE, "{}", keeper.log());
            thread::sleep(Duration::from_millis(50));
        }
        running.wait_with_output().expect("its output")
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "lid: signs\n");
    platform.wait_for("the other one is told", || {
        platform.file("news.log").contains(" active\n")
    });
    let log = platform.file("news.log");
    let states: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("lid lid.example lid-"))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(states, ["generated", "published", "active"], "{log}");
    assert!(log.contains("lid not_live The record of lid-"), "{log}");
}

/// It gets each document until it takes it, in order, and the keystore stays out of its reach.
#[test]
fn a_program_that_fails_gets_the_document_again() {
    let platform = Platform::start("");
    let work = platform.work.path().display();
    let keys = platform.zegel.path("keys");
    // Fails the first time, and tells what of the keystore it can read.
    let script = format!(
        "#!/bin/sh\ncat >> {work}/all.json\nls {} >> {work}/stolen 2>/dev/null\n\
         [ -e {work}/once ] || {{ touch {work}/once; echo not yet >&2; exit 1; }}\n",
        keys.display()
    );
    write(&platform.work.path().join("on-zegel"), &script);
    platform.world.set_both("twee.example", "");
    let keeper = platform.keeper();
    platform.wait_for("telling has begun", || keys.join("keeper.hooks").exists());
    assert!(add(&platform.zegel.path(""), "twee").status.success());
    let numbers = || -> Vec<u64> {
        let all = platform.file("all.json");
        let documents = all
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        documents.filter_map(|one| one["number"].as_u64()).collect()
    };
    platform.wait_for("it is told again", || numbers().len() >= 2);
    let told = numbers();
    assert_eq!(told[..2], [1, 1], "{told:?}\n{}", keeper.log());
    assert!(keeper.log().contains("not yet"), "{}", keeper.log());
    assert_eq!(platform.file("stolen"), "");
    // It leaves, though its key is there still, and comes back.
    let file = platform.zegel.path("orgs.d/twee.toml");
    let text = fs::read_to_string(&file).expect("a file");
    fs::remove_file(&file).expect("a file");
    let all = || platform.file("all.json");
    platform.wait_for("it is told that it is gone", || {
        all().contains("\"gone\":true")
    });
    fs::write(&file, text).expect("a file");
    platform.wait_for("it is told that it is back", || {
        all()
            .lines()
            .next_back()
            .is_some_and(|last| last.contains("\"gone\":false"))
    });
    let told = numbers();
    assert!(told.is_sorted(), "{told:?}");
}

/// What is so when a program is first named is no news; what comes after that is.
#[test]
fn what_was_so_before_is_not_told() {
    let platform = Platform::start("");
    let script = format!(
        "#!/bin/sh\ncat >> {}/all.json\n",
        platform.work.path().display()
    );
    write(&platform.work.path().join("on-zegel"), &script);
    let org = Org::new("drie", &["drie.example"]).signing_by(Ed25519Sha256);
    platform.zegel.add(&org);
    let records = platform.zegel.records();
    let (_, record) = records.iter().next().expect("a record");
    let policies = "@ TXT \"v=spf1 include:_spf.relay.example -all\"\n\
                    _dmarc TXT \"v=DMARC1; p=none; rua=mailto:d@drie.example\"\n";
    let key = format!("drie-ed25519._domainkey TXT \"{record}\"\n");
    platform.world.set_both("drie.example", &(key + policies));
    let _keeper = platform.keeper();
    let kept = platform.zegel.path("keys/keeper.hooks/drie.json");
    platform.wait_for("telling has begun", || kept.exists());
    platform.world.set_both("drie.example", policies);
    let all = || platform.file("all.json");
    platform.wait_for("it is told", || !all().is_empty());
    let first: Value = serde_json::from_str(all().lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["number"], 1, "{first}");
    assert_eq!(first["before"], "well", "{first}");
    // A look may come when one server has the zone already and the other has not.
    assert_eq!(first["began"][0]["level"], "unverifiable", "{first}");
    assert_eq!(first["keys"], serde_json::json!([]), "{first}");
}

fn send_from(zegel: &Zegel, domain: &str) {
    let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\nbody\r\n");
    send(&zegel.milter(), &Message::parse(text.as_bytes()));
}

/// What only the signer knows is told too: mail that leaves without a key, and mail that is put
/// off since its key can't be used. It is news once, however often keeper and signer begin.
#[test]
fn what_the_signer_sees_of_mail_is_told() {
    let platform = Platform::start("");
    let script = format!(
        "#!/bin/sh\ncat >> {}/all.json\n",
        platform.work.path().display()
    );
    write(&platform.work.path().join("on-zegel"), &script);
    let Platform { zegel, .. } = &platform;
    zegel.add(&Org::new("vier", &["vier.example"]).without_keys());
    platform.world.set_both("vier.example", "");
    platform.world.set_both("vijf.example", "");
    let mut keeper = platform.keeper();
    let kept = |id: &str| zegel.path("keys/keeper.hooks").join(format!("{id}.json"));
    platform.wait_for("telling has begun", || kept("vier").exists());
    let matters = |id: &str, list: &str| -> Vec<String> {
        let all = platform.file("all.json");
        let news = all
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let own = news.filter(|one| one["organisation"] == id);
        let matters = own.flat_map(|one| one[list].as_array().cloned().unwrap_or_default());
        let words = matters.map(|one| format!("{} {}", one["level"], one["what"]));
        words.map(|words| words.replace('"', "")).collect()
    };
    let count = |id: &str, list: &str, word: &str| {
        let matters = matters(id, list);
        matters.iter().filter(|one| one.contains(word)).count()
    };
    // Before it, a slow keeper tells that there is no key at all.
    let unsigned = |list: &str| count("vier", list, "unsigned publish_record");
    assert_eq!(unsigned("began"), 0);
    platform.wait_for("the signer knows it", || {
        send_from(zegel, "vier.example");
        keeper.signal("-HUP");
        unsigned("began") > 0
    });
    let vijf = Org::new("vijf", &["vijf.example"]).signing_by(Ed25519Sha256);
    zegel.add(&vijf.with_lost_keys());
    platform.wait_for("the key is refused", || {
        send_from(zegel, "vijf.example");
        keeper.signal("-HUP");
        count("vijf", "began", "tempfailed key_refused") > 0
    });
    // It goes on where it was.
    let told = platform.file("all.json").lines().count();
    assert!(!keeper.restart("-KILL").success());
    platform.wait_for("it is there again", || {
        fs::metadata(kept("vier")).is_ok() && keeper.readiness().is_some()
    });
    thread::sleep(Duration::from_secs(5));
    assert_eq!(
        (unsigned("began"), unsigned("ended")),
        (1, 0),
        "{}\n{}",
        platform.file("all.json"),
        keeper.log()
    );
    assert_eq!(count("vijf", "ended", "key_refused"), 0);
    assert!(platform.file("all.json").lines().count() >= told);
}

fn add(folder: &Path, name: &str) -> Output {
    let domain = format!("{name}.example");
    let arguments = [
        "org",
        "add",
        name,
        "--name",
        name,
        "--domain",
        &domain,
        "--contact",
        "dns@x.example",
        "--json",
    ];
    command(folder, &arguments)
}

/// As a program does it on a host that is busy: what was refused for that is repeated.
fn add_when_possible(folder: &Path, name: &str) {
    for _ in 0..10 {
        let output = add(folder, name);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{told}");
        if output.status.success() {
            return;
        }
        assert_eq!(told["error"]["code"], "busy", "{told}");
    }
    panic!("{name} was refused ten times");
}

/// How many members are added, and by how many at once: 1000 by 20 with `ZEGEL_MEMBERS=1000`.
fn members() -> (usize, usize) {
    match std::env::var("ZEGEL_MEMBERS") {
        Ok(number) => (number.parse().expect("ZEGEL_MEMBERS is a number"), 20),
        Err(_) => (40, 8),
    }
}

/// Nothing is lost and nothing doubled; what is wrong is a document, too.
#[test]
fn many_are_added_at_once() {
    let platform = Platform::start("#!/bin/sh\nexit 0\n");
    let (count, at_once) = members();
    let half = at_once / 2;
    let names: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
    let begun = Instant::now();
    thread::scope(|scope| {
        // Each by two processes.
        for part in 0..at_once {
            let (names, folder) = (&names, platform.zegel.path(""));
            scope.spawn(move || {
                for name in names.iter().skip(part % half).step_by(half) {
                    add_when_possible(&folder, name);
                }
            });
        }
    });
    println!(
        "{count} members by {at_once} at once: {:.0?}",
        begun.elapsed()
    );
    let list = command(&platform.zegel.path(""), &["org", "list", "--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let ids: BTreeSet<&str> = list["organisations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids.len(), names.len());
    let keys = command(&platform.zegel.path(""), &["key", "list", "--json"]);
    let keys: Value = serde_json::from_slice(&keys.stdout).expect("JSON");
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(names.len()));
    let refused = command(
        &platform.zegel.path(""),
        &[
            "org",
            "add",
            "m0",
            "--name",
            "other",
            "--domain",
            "m0.example",
            "--contact",
            "x@y.example",
            "--json",
        ],
    );
    let told: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert!(told["error"]["code"].is_string(), "{told}");
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "");
    let usage = command(&platform.zegel.path(""), &["org", "wait", "--json"]);
    let told: Value = serde_json::from_slice(&usage.stdout).expect("JSON");
    assert_eq!(told["error"]["code"], "usage");
}
