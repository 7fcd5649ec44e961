//! What it costs that keys are sealed: the same organisations, sealed and in the clear, in turn.

use std::{fs, path::Path};

use jiff::Timestamp;
use zegel::keystore::{Keystore, Lie, make_sealing_key};

use crate::{
    daemon::Prepared,
    load::Group,
    message::Message,
    options::Options,
    organisations::{Choice, KeyCache},
    scenarios::{milliseconds, prepare, settle, start, world},
    table::{self, Table, median, short},
    throughput::Bench,
};

/// One turn of one of the two.
struct Turn {
    /// To the first signed message, in milliseconds.
    start: f64,
    start_processor: f64,
    /// Of messages whose keys were not read before, in microseconds each.
    first: f64,
    /// Of those whose keys were.
    signed: f64,
    rate: f64,
    /// In MiB, when all keys have been read.
    memory: f64,
}

/// The figures, each with its name and what gives it.
type Figure = (&'static str, fn(&Turn) -> f64);

const FIGURES: [Figure; 6] = [
    ("start ms", |turn| turn.start),
    ("CPU of start ms", |turn| turn.start_processor),
    ("CPU µs/msg, keys not read yet", |turn| turn.first),
    ("CPU µs/msg", |turn| turn.signed),
    ("msgs/s", |turn| turn.rate),
    ("RSS MiB", |turn| turn.memory),
];

/// Starts and signs with each in turn; the ratios are those of two turns beside each other.
pub(crate) fn run(options: &Options) {
    let keys = KeyCache::open();
    let bench = Bench::new(options, &keys);
    let message = Message::new(2048);
    table::print_machine();
    println!(
        "{} pairs of runs; bodies of 2 KiB over 16 connections, evenly from all organisations that \
         have RSA keys (the first {}; the others have Ed25519 keys). The start ends with the first \
         signed message.\n",
        options.runs, options.rsa_keys
    );
    let mut table = Table::new([
        "organisations",
        "",
        "in the clear",
        "sealed",
        "sealed ÷ clear",
    ]);
    for &number in &options.growth {
        let prepared = [(); 2].map(|()| prepare(&world(options, &keys, number)));
        seal(prepared[1].folder.path());
        let mut turns = [Vec::new(), Vec::new()];
        for run in 0..options.runs {
            eprintln!(
                "{number} organisations, run {} of {}",
                run + 1,
                options.runs
            );
            // Neither is always the first.
            for which in [run % 2, (run + 1) % 2] {
                let turn = measure(&bench, (number, &prepared[which]), &message);
                turns[which].push(turn);
            }
        }
        let [clear, sealed] = &turns;
        for (name, value) in FIGURES {
            let ratios = sealed.iter().zip(clear);
            let ratios = ratios.map(|(sealed, clear)| value(sealed) / value(clear));
            table.row([
                number.to_string(),
                name.to_owned(),
                short(median(clear.iter().map(value))),
                short(median(sealed.iter().map(value))),
                format!("{:.3}", median(ratios)),
            ]);
        }
    }
    table.print();
    println!("\nLoad at the end: {}", table::load());
}

/// Seals all keys, and has the signer know it.
fn seal(folder: &Path) {
    let file = folder.join("sealing.key");
    make_sealing_key(&file).expect("a sealing key");
    let settings = folder.join("zegel.toml");
    let text = fs::read_to_string(&settings).expect("settings");
    let list = format!("[keystore]\nsealing_keys = [\"{}\"]\n", file.display());
    let text = text.replacen("[keystore]\n", &list, 1);
    fs::write(settings, text).expect("settings");
    let keystore = Keystore::open(&folder.join("keys")).expect("a keystore");
    let keystore = keystore.sealed_by(&[file]);
    let resealed = keystore.reseal(Lie::Sealed, Timestamp::now());
    let resealed = resealed.expect("the keys are sealed");
    let problems = (&resealed.failed, &resealed.unread);
    assert!(
        problems.0.is_empty() && problems.1.is_empty(),
        "{problems:?}"
    );
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(bench: &Bench<'_>, (number, prepared): (u32, &Prepared), message: &Message) -> Turn {
    let (daemon, started) = start(prepared, message);
    let family = daemon.family();
    let start_processor = milliseconds(family.usage().processor);
    let senders = number.min(bench.options.rsa_keys).max(1);
    let group = || Group {
        pace: None,
        message,
        choice: Choice::evenly(senders),
        connections: 16,
        signatures: 1,
    };
    let first = bench
        .trial_cold(&daemon, group())
        .unwrap_or_else(|reason| panic!("{reason}"));
    settle(&daemon);
    let trial = bench
        .trial_after(senders.div_ceil(16) + 1, &daemon, group())
        .unwrap_or_else(|reason| panic!("{reason}"));
    Turn {
        start: milliseconds(started),
        start_processor,
        first: first.processor,
        signed: trial.processor,
        rate: trial.rate,
        memory: family.memory("VmRSS") as f64 / 1024.0,
    }
}
