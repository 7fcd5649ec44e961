//! A round of the keeper over many organisations, each with a zone of its own on two name
//! servers, and what it costs: time, memory, questions.
//!
//! ```text
//! cargo bench --bench keeper_round [-- ORGANISATIONS]      (5,000; as root)
//! ```

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a report for people"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use support::name_world::World;
use support::open_folder;
use zegel::dkim::Algorithm;
use zegel::keys::NewKey;
use zegel::keystore::{Keystore, Target};
use zegel::names::{DomainName, OrganisationId, Selector};

const ORGANISATIONS: usize = 5000;
/// Every so many organisations one has a successor that waits besides.
const SUCCESSOR_EVERY: usize = 10;

fn main() {
    let number = std::env::args().find_map(|argument| argument.parse().ok());
    let number: usize = number.unwrap_or(ORGANISATIONS);
    let folder = open_folder("keeper-round");
    let begin = Instant::now();
    // Made in memory, where nothing is waited for, and kept on the disk.
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let keystore = Keystore::create(&memory.path().join("keys")).expect("a keystore");
    fs::create_dir(folder.path().join("orgs.d")).expect("a folder");
    let zones: Vec<_> = (0..number)
        .map(|number| organisation(number, folder.path(), &keystore))
        .collect();
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(keystore.path()).arg(folder.path());
    assert!(copy.status().expect("cp").success());
    println!(
        "keystore of {number} organisations made in {:.1?}",
        begin.elapsed()
    );
    let begin = Instant::now();
    let world = World::of_two_primaries();
    world.set_many(&zones);
    println!("{number} zones on two servers in {:.1?}", begin.elapsed());
    let settings = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\n[log]\nfilter = \"warn,zegel::keeper=info\"\n",
        folder.path().join("keys").display(),
        world.resolver.address()
    );
    fs::write(folder.path().join("zegel.toml"), settings).expect("settings");
    for name in ["first round, empty caches", "second round"] {
        println!("--- {name}");
        round(&world, folder.path());
    }
}

/// Makes one with its keys; gives its zone.
fn organisation(number: usize, folder: &Path, keystore: &Keystore) -> (String, String) {
    let id = format!("org{number:05}");
    let zone = format!("{id}.example");
    let text = format!("domains = [\"{zone}\"]\nalgorithms = [\"ed25519-sha256\"]\n");
    fs::write(folder.join(format!("orgs.d/{id}.toml")), text).expect("an organisation");
    let organisation: OrganisationId = id.parse().expect("an organisation");
    let domain: DomainName = zone.parse().expect("a domain");
    let mut writer = keystore.writer().expect("the lock");
    let mut records = String::new();
    let selectors: &[&str] = match number % SUCCESSOR_EVERY {
        0 => &["s1", "s2"],
        _ => &["s1"],
    };
    for name in selectors {
        let selector: Selector = name.parse().expect("a selector");
        let target = Target {
            organisation: &organisation,
            selector: &selector,
            domains: std::slice::from_ref(&domain),
        };
        let key = NewKey::generate(Algorithm::Ed25519Sha256, 0).expect("a key");
        let entry = writer
            .add(&target, &key, Timestamp::now())
            .expect("a new key");
        if *name == "s1" {
            let activated = writer.activate(
                &target,
                &zegel::config::Settings::default().timing(),
                Timestamp::now(),
            );
            activated.expect("an activation");
        }
        let key = keystore.load_key(&organisation, &entry).expect("a key");
        let record = key.public_key().record();
        writeln!(records, "{name}._domainkey TXT \"{record}\"").expect("a string");
    }
    (zone, records)
}

fn round(world: &World, folder: &Path) {
    let log = folder.join("log");
    let file = File::create(&log).expect("a log");
    let begin = Instant::now();
    let before = (world.resolver.questions(), authorities(world));
    let mut keeper = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .arg("--config")
        .arg(folder.join("zegel.toml"))
        .args(["keeper", "--once"])
        .stdout(file.try_clone().expect("a handle"))
        .stderr(file)
        .spawn()
        .expect("the keeper");
    let (status, peak) = watch(&mut keeper, world);
    let seconds = begin.elapsed().as_secs_f64();
    let resolver = world.resolver.questions() - before.0;
    let servers = authorities(world) - before.1;
    let text = fs::read_to_string(&log).expect("a log");
    println!("wall time              {seconds:.1} s");
    println!("exit status            {status}");
    println!("peak memory (VmHWM)    {} KiB", peak.memory);
    println!("most threads           {}", peak.threads);
    println!(
        "processor time         {:.1} s",
        peak.processor.as_secs_f64()
    );
    println!(
        "questions to resolver  {resolver}, {:.0} a second, at most {:.0}",
        resolver as f64 / seconds,
        peak.rate
    );
    println!(
        "at the two servers     {servers}, {:.0} a second (the resolver's too)",
        servers as f64 / seconds
    );
    println!("lines of log           {}", text.lines().count());
    println!(
        "the last               {}",
        text.lines().last().unwrap_or_default()
    );
}

#[derive(Default)]
struct Peak {
    memory: u64,
    threads: u64,
    processor: Duration,
    rate: f64,
}

/// Until the keeper ends. The rate is that of the questions to the resolver within a second.
fn watch(keeper: &mut Child, world: &World) -> (ExitStatus, Peak) {
    let mut peak = Peak::default();
    let mut last = (Instant::now(), world.resolver.questions());
    loop {
        if let Some(status) = keeper.try_wait().expect("a child") {
            return (status, peak);
        }
        let process = format!("/proc/{}", keeper.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        peak.memory = peak.memory.max(number("VmHWM:").unwrap_or(0));
        peak.threads = peak.threads.max(number("Threads:").unwrap_or(0));
        peak.processor = processor_time(&process).max(peak.processor);
        if last.0.elapsed() >= Duration::from_secs(1) {
            let now = (Instant::now(), world.resolver.questions());
            let seconds = (now.0 - last.0).as_secs_f64();
            peak.rate = peak.rate.max((now.1 - last.1) as f64 / seconds);
            last = now;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Of user and system, in ticks of a hundredth of a second.
fn processor_time(process: &str) -> Duration {
    let text = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn authorities(world: &World) -> u64 {
    world.primary.questions() + world.secondary.questions()
}
