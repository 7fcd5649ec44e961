//! Questions that only Zegel is asked: growth, memory, fairness, double signing.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use zegel::dkim::Algorithm;

use crate::{
    daemon::{Daemon, Prepared},
    load::{self, Group, Run, Sent},
    message::Message,
    options::Options,
    organisations::{Choice, KeyCache, domain, id},
    peers::{Peer, World},
    table::{self, Table, median, percentile, short},
    throughput::{Bench, Trial},
};

/// So long and again a flood goes on before what stands beside it is looked at, and behind.
const LEAD: Duration = Duration::from_millis(500);

/// As people read it.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Zegel with all that it needs.
pub(crate) fn prepare(world: &World<'_>) -> Prepared {
    world.make_keys();
    Peer::Zegel
        .prepare(world)
        .unwrap_or_else(|reason| panic!("Zegel is {reason}"))
}

/// Zegel at work, and how long its start took.
pub(crate) fn start(prepared: &Prepared, message: &Message) -> (Daemon, Duration) {
    prepared
        .start(message)
        .unwrap_or_else(|reason| panic!("Zegel does not start: {reason}"))
}

/// As many organisations with what the options say.
pub(crate) fn world<'a>(options: &'a Options, keys: &'a KeyCache, organisations: u32) -> World<'a> {
    World {
        keys,
        organisations,
        with_rsa: options.rsa_keys,
        double: false,
        zegel: &options.zegel,
    }
}

fn medians(trials: &[Trial], value: impl Fn(&Trial) -> f64) -> String {
    short(median(trials.iter().map(value)))
}

/// What one organisation costs when there are many.
pub(crate) fn growth(options: &Options) {
    let keys = KeyCache::open();
    let bench = Bench::new(options, &keys);
    let message = Message::new(2048);
    table::print_machine();
    println!(
        "Bodies of 2 KiB over 16 connections, evenly from all organisations that have RSA keys \
         (the first {}; the others have Ed25519 keys). The start ends with the first signed \
         message. The reload changes one organisation: its cost is that without any mail, the \
         slowest message that of one connection in two seconds.\n",
        options.rsa_keys
    );
    let mut table = Table::new([
        "organisations",
        "start ms",
        "CPU of start ms",
        "RSS after start MiB",
        "CPU µs/msg",
        "÷ raw",
        "÷ the first row",
        "msgs/s",
        "peak MiB",
        "reload CPU ms",
        "slowest message then, ms",
        "slowest without, ms",
    ]);
    let mut first: Vec<f64> = Vec::new();
    let prepared: Vec<(u32, Prepared)> = options
        .growth
        .iter()
        .map(|&number| (number, prepare(&world(options, &keys, number))))
        .collect();
    let mut rows: Vec<Vec<Growth>> = prepared.iter().map(|_| Vec::new()).collect();
    for run in 0..options.runs {
        for ((number, prepared), row) in prepared.iter().zip(&mut rows) {
            eprintln!(
                "{number} organisations, run {} of {}",
                run + 1,
                options.runs
            );
            row.push(Growth::measure(&bench, (*number, prepared), &message));
        }
    }
    for ((number, _), row) in prepared.iter().zip(&rows) {
        let of = |value: &dyn Fn(&Growth) -> f64| short(median(row.iter().map(value)));
        let costs: Vec<f64> = row.iter().map(|one| one.trial.processor).collect();
        if first.is_empty() {
            first.clone_from(&costs);
        }
        let ratios = costs.iter().zip(&first).map(|(one, other)| one / other);
        table.row([
            number.to_string(),
            of(&|one| one.start),
            of(&|one| one.start_processor),
            of(&|one| one.memory),
            of(&|one| one.trial.processor),
            of(&|one| one.trial.processor / one.trial.raw),
            format!("{:.2}", median(ratios)),
            of(&|one| one.trial.rate),
            of(&|one| one.trial.memory[1]),
            of(&|one| one.reload_processor),
            of(&|one| one.slowest_with_reload),
            of(&|one| one.slowest_without),
        ]);
    }
    table.print();
}

/// One turn of a number of organisations.
struct Growth {
    start: f64,
    start_processor: f64,
    memory: f64,
    trial: Trial,
    reload_processor: f64,
    slowest_with_reload: f64,
    slowest_without: f64,
}

impl Growth {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn measure(bench: &Bench<'_>, (number, prepared): (u32, &Prepared), message: &Message) -> Self {
        let (daemon, started) = start(prepared, message);
        let family = daemon.family();
        let start_processor = milliseconds(family.usage().processor);
        let memory = family.memory("VmRSS") as f64 / 1024.0;
        // What is done after the start is not part of what a message costs.
        settle(&daemon);
        let senders = number.min(bench.options.rsa_keys);
        let group = || Group {
            pace: None,
            message,
            choice: Choice::evenly(senders),
            connections: 16,
            signatures: 1,
        };
        // Once round all of them: the first message of each reads its key.
        let trial = bench
            .trial_after(senders.div_ceil(16) + 1, &daemon, group())
            .unwrap_or_else(|reason| panic!("{reason}"));
        let slowest_without = calm_load(&daemon, message, senders, || {});
        let slowest_with_reload = calm_load(&daemon, message, senders, || {
            change_one(prepared.folder.path(), number - 1);
            let status = Command::new("kill")
                .args(["-HUP", &daemon.id().to_string()])
                .status();
            assert!(status.is_ok_and(|status| status.success()), "a signal");
        });
        let reload_processor = milliseconds(reload_cost(&daemon, prepared, number));
        Self {
            start: milliseconds(started),
            start_processor,
            memory,
            trial,
            reload_processor,
            slowest_with_reload,
            slowest_without,
        }
    }
}

/// Until it uses no more processor time by itself.
pub(crate) fn settle(daemon: &Daemon) {
    let family = daemon.family();
    let mut before = family.usage();
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        let now = family.usage();
        if now.processor_since(&before) < Duration::from_millis(2) {
            return;
        }
        before = now;
    }
}

/// Gives an organisation another name, which has it read anew.
pub(crate) fn change_one(folder: &Path, number: u32) {
    let path = folder.join(format!("orgs.d/{}.toml", id(number)));
    let text = fs::read_to_string(&path).expect("a file of an organisation");
    let renamed = if text.contains("(renamed)") {
        text.replace(" (renamed)", "")
    } else {
        text.replacen("\"\ndomains", " (renamed)\"\ndomains", 1)
    };
    assert!(
        renamed.contains(&domain(number)) && renamed != text,
        "a changed file"
    );
    fs::write(&path, renamed).expect("a file of an organisation");
}

/// The processor time of a reload without any load: what a message costs is not in it.
fn reload_cost(daemon: &Daemon, prepared: &Prepared, number: u32) -> Duration {
    settle(daemon);
    let family = daemon.family();
    change_one(prepared.folder.path(), number - 1);
    let before = family.usage();
    let status = Command::new("kill")
        .args(["-HUP", &daemon.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "a signal");
    thread::sleep(Duration::from_millis(300));
    settle(daemon);
    family.usage().processor_since(&before)
}

/// One connection that sends for two seconds, with something done in the middle; gives the
/// slowest message in milliseconds.
fn calm_load(daemon: &Daemon, message: &Message, senders: u32, meanwhile: impl Fn() + Sync) -> f64 {
    let group = Group {
        pace: None,
        message,
        choice: Choice::evenly(senders),
        connections: 1,
        signatures: 1,
    };
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !begun.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(500));
            meanwhile();
        });
        let run = Run {
            warm_up: 5,
            time: Duration::from_secs(2),
            mark: &|| begun.store(true, Ordering::Release),
        };
        let (sent, _) = load::send(daemon.socket(), vec![group], &run)
            .unwrap_or_else(|reason| panic!("{reason}"));
        milliseconds(percentile(&sent[0].latencies, 100))
    })
}

/// Whether memory grows with the size of messages.
pub(crate) fn memory(options: &Options) {
    const CONNECTIONS: usize = 64;
    let keys = KeyCache::open();
    let bench = Bench::new(options, &keys);
    table::print_machine();
    let prepared = prepare(&world(options, &keys, options.organisations));
    let mut table = Table::new([
        "body",
        "connections",
        "messages/s",
        "VmRSS MiB",
        "VmHWM MiB",
    ]);
    for size in [2048, 100 << 20] {
        let message = Message::new(size);
        let mut trials = Vec::new();
        for run in 0..options.runs {
            eprintln!("{}, run {} of {}", table::size(size), run + 1, options.runs);
            let (daemon, _) = start(&prepared, &Message::new(2048));
            let group = Group {
                pace: None,
                message: &message,
                choice: options.choice(),
                connections: CONNECTIONS,
                signatures: 1,
            };
            let trial = bench.trial_cold(&daemon, group);
            trials.push(trial.unwrap_or_else(|reason| panic!("{reason}")));
        }
        table.row([
            table::size(size),
            CONNECTIONS.to_string(),
            medians(&trials, |trial| trial.rate),
            medians(&trials, |trial| trial.memory[0]),
            medians(&trials, |trial| trial.memory[1]),
        ]);
    }
    table.print();
}

/// Whether a flood of one organisation is felt by another.
pub(crate) fn fairness(options: &Options) {
    let keys = KeyCache::open();
    table::print_machine();
    println!(
        "One connection of organisation B, 2 KiB, beside 16 connections of organisation A that \
         send as fast as they can, from threads of their own. Once A floods the Zegel that signs \
         for B, once another: what B waits longer in the first case is our doing, the rest is \
         the processors' being busy.\n"
    );
    let world = world(options, &keys, 2);
    let (prepared, others) = (prepare(&world), prepare(&world));
    let (small, large) = (Message::new(2048), Message::new(10 << 20));
    let (daemon, _) = start(&prepared, &small);
    let (other, _) = start(&others, &small);
    let mut table = Table::new([
        "organisation A",
        "B's messages/s",
        "B's p50 ms",
        "p95",
        "p99",
        "max",
    ]);
    let cases = [
        ("silent", None),
        ("16 × 2 KiB at another Zegel", Some((&other, &small))),
        ("16 × 2 KiB at the same", Some((&daemon, &small))),
        ("16 × 10 MiB at another Zegel", Some((&other, &large))),
        ("16 × 10 MiB at the same", Some((&daemon, &large))),
    ];
    let mut all: Vec<Vec<[f64; 5]>> = vec![Vec::new(); cases.len()];
    for run in 0..options.runs {
        for ((name, flood), figures) in cases.iter().zip(&mut all) {
            eprintln!("A {name}, run {} of {}", run + 1, options.runs);
            figures.push(beside((&daemon, &small), *flood, options));
        }
    }
    for ((name, _), figures) in cases.iter().zip(&all) {
        let cells = (0..5).map(|index| short(median(figures.iter().map(|one| one[index]))));
        table.row(std::iter::once((*name).to_owned()).chain(cells));
    }
    table.print();
}

/// The messages in a second and the latencies of one connection of organisation B.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn beside(
    (daemon, small): (&Daemon, &Message),
    flood: Option<(&Daemon, &Message)>,
    options: &Options,
) -> [f64; 5] {
    let time = Duration::from_secs_f64(options.seconds);
    let (sent, elapsed) = thread::scope(|scope| {
        if let Some((daemon, message)) = flood {
            scope.spawn(move || send_for(daemon, (message, 0, 16), time + 4 * LEAD));
            thread::sleep(2 * LEAD);
        }
        send_for(daemon, (small, 1, 1), time)
    });
    let latencies = &sent.latencies;
    let part = |hundredths| milliseconds(percentile(latencies, hundredths));
    [
        latencies.len() as f64 / elapsed.as_secs_f64(),
        part(50),
        part(95),
        part(99),
        part(100),
    ]
}

/// What came of so many connections with messages of one organisation.
fn send_for(
    daemon: &Daemon,
    (message, number, connections): (&Message, u32, usize),
    time: Duration,
) -> (Sent, Duration) {
    let group = Group {
        pace: None,
        message,
        choice: Choice::Only(number),
        connections,
        signatures: 1,
    };
    let run = Run {
        warm_up: 1,
        time,
        mark: &|| {},
    };
    let (mut sent, elapsed) =
        load::send(daemon.socket(), vec![group], &run).unwrap_or_else(|reason| panic!("{reason}"));
    (sent.remove(0), elapsed)
}

/// What the second signature costs.
pub(crate) fn double(options: &Options) {
    let keys = KeyCache::open();
    let bench = Bench::new(options, &keys);
    table::print_machine();
    let number = options.organisations;
    let message = Message::new(50 << 10);
    let prepared = [false, true].map(|double| {
        let world = World {
            double,
            ..world(options, &keys, number)
        };
        prepare(&world)
    });
    let mut all: [Vec<Trial>; 2] = Default::default();
    for run in 0..options.runs {
        for (index, (prepared, trials)) in prepared.iter().zip(&mut all).enumerate() {
            eprintln!(
                "{} signatures, run {} of {}",
                index + 1,
                run + 1,
                options.runs
            );
            let (daemon, _) = prepared
                .start_with(&message, index + 1)
                .unwrap_or_else(|reason| panic!("{reason}"));
            let group = Group {
                pace: None,
                message: &message,
                choice: options.choice(),
                connections: 16,
                signatures: index + 1,
            };
            let trial = bench.trial(&daemon, group);
            trials.push(trial.unwrap_or_else(|reason| panic!("{reason}")));
        }
    }
    let mut table = Table::new([
        "signatures at 50 KiB",
        "CPU µs/msg",
        "÷ raw (RSA)",
        "÷ RSA alone",
        "msgs/s",
        "p99 ms",
    ]);
    let names = [
        Algorithm::RsaSha256.as_str().to_owned(),
        format!("{} and {}", Algorithm::RsaSha256, Algorithm::Ed25519Sha256),
    ];
    for (name, trials) in names.into_iter().zip(&all) {
        let pairs = trials.iter().zip(&all[0]);
        let ratio = median(pairs.map(|(one, other)| one.processor / other.processor));
        table.row([
            name,
            medians(trials, |trial| trial.processor),
            medians(trials, |trial| trial.processor / trial.raw),
            format!("{ratio:.2}"),
            medians(trials, |trial| trial.rate),
            medians(trials, |trial| trial.latencies[2]),
        ]);
    }
    table.print();
}
