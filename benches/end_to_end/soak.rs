//! Hours at a steady rate: does anything grow?

use std::{
    fs,
    path::Path,
    process::{Command, exit},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::{self, Group, Run},
    message::Message,
    options::Options,
    organisations::KeyCache,
    scenarios::{change_one, milliseconds, prepare, start, world},
    table::{self, percentile, short, size},
};

/// Sizes of bodies, how many of a thousand messages have them, and over how many connections.
const MIX: [(usize, u32, usize); 3] = [(2 << 10, 800, 16), (50 << 10, 190, 8), (1 << 20, 10, 4)];

const MINUTE: Duration = Duration::from_mins(1);

/// What the process held at a time.
#[derive(Clone, Copy)]
struct Sample {
    /// Since the start.
    at: Duration,
    /// MiB.
    resident: f64,
    descriptors: usize,
    threads: u64,
}

/// One round a minute, each with connections of its own; the first sixth of the time is warm-up.
pub(crate) fn run(options: &Options) {
    let keys = KeyCache::open();
    table::print_machine();
    let prepared = prepare(&world(options, &keys, options.organisations));
    let messages = MIX.map(|(bytes, ..)| Message::new(bytes));
    let (daemon, _) = start(&prepared, &messages[0]);
    let total = Duration::from_secs_f64(options.seconds);
    println!(
        "{} messages a second ({}), {} organisations, a reload every {} s (one in four is broken), \
         process {}\n",
        options.rate,
        MIX.map(|(bytes, share, _)| format!("{} ‰ of {}", share, size(bytes)))
            .join(", "),
        options.organisations,
        options.reload_every,
        daemon.id(),
    );
    println!(
        "| minute | messages | p50 ms | p99 ms | max ms | p99 ms of 2 KiB | RSS MiB (mean) | \
         descriptors (max) | threads (max) | reloads | load |\n|{}",
        "---|".repeat(11)
    );
    let begun = Instant::now();
    let over = AtomicBool::new(false);
    let reloads = AtomicU32::new(0);
    let samples = Mutex::new(Vec::new());
    let interval = Duration::from_secs(options.reload_every);
    let failure = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let sample = sample(daemon.id(), begun.elapsed());
                samples.lock().expect("samples").push(sample);
                thread::sleep(Duration::from_secs(1));
            }
        });
        scope.spawn(|| {
            reload_on(
                prepared.folder.path(),
                daemon.id(),
                interval,
                &over,
                &reloads,
            );
        });
        let mut failure = None;
        for minute in 1.. {
            let left = total.saturating_sub(begun.elapsed());
            // A last round of a few seconds has no percentiles worth the name.
            if left < Duration::from_secs(5).min(total / 2) {
                break;
            }
            let (from, before) = (begun.elapsed(), reloads.load(Ordering::Relaxed));
            match round(daemon.socket(), &messages, options, left.min(MINUTE)) {
                Err(reason) => {
                    failure = Some(reason);
                    break;
                }
                Ok(latencies) => {
                    let samples = samples.lock().expect("samples");
                    let round: Vec<_> = samples.iter().filter(|one| one.at >= from).collect();
                    let new = reloads.load(Ordering::Relaxed) - before;
                    print_row(minute, &latencies, &round, new);
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        failure
    });
    let samples = samples.into_inner().expect("samples");
    let warm: Vec<_> = samples.iter().filter(|one| one.at >= total / 6).collect();
    println!(
        "\nRSS after {} s of warm-up: slope {:+.2} MiB per hour (least squares, {} samples, one a \
         second), {:.1} MiB at first, {:.1} MiB at the end; peak (VmHWM) {} MiB.",
        (total / 6).as_secs(),
        slope(&warm),
        warm.len(),
        warm.first().map_or(f64::NAN, |one| one.resident),
        warm.last().map_or(f64::NAN, |one| one.resident),
        daemon.family().memory("VmHWM") / 1024,
    );
    if let Some(reason) = failure {
        println!("It ended early: {reason}");
        drop(daemon);
        exit(1);
    }
}

/// Latencies of each size.
fn round(
    socket: &Path,
    messages: &[Message; 3],
    options: &Options,
    time: Duration,
) -> Result<Vec<Vec<Duration>>, String> {
    let groups = messages
        .iter()
        .zip(MIX)
        .map(|(message, (_, share, connections))| {
            let rate = f64::from(options.rate) * f64::from(share) / 1000.0;
            let number = u32::try_from(connections).expect("a few connections");
            Group {
                message,
                choice: options.choice(),
                connections,
                signatures: 1,
                pace: Some(Duration::from_secs_f64(f64::from(number) / rate)),
            }
        });
    let run = Run {
        warm_up: 1,
        time,
        mark: &|| {},
    };
    let (sent, _) = load::send(socket, groups.collect(), &run)?;
    Ok(sent.into_iter().map(|group| group.latencies).collect())
}

fn print_row(minute: u32, latencies: &[Vec<Duration>], samples: &[&Sample], reloads: u32) {
    let mut all = latencies.concat();
    all.sort_unstable();
    let part = |hundredths| short(milliseconds(percentile(&all, hundredths)));
    let mean = samples.iter().map(|one| one.resident).sum::<f64>() / count(samples.len());
    println!(
        "| {minute} | {} | {} | {} | {} | {} | {mean:.1} | {} | {} | {reloads} | {} |",
        all.len(),
        part(50),
        part(99),
        part(100),
        short(milliseconds(percentile(&latencies[0], 99))),
        samples.iter().map(|one| one.descriptors).max().unwrap_or(0),
        samples.iter().map(|one| one.threads).max().unwrap_or(0),
        table::load(),
    );
}

fn sample(process: u32, at: Duration) -> Sample {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
        let number = lines.next().and_then(|rest| {
            let mut words = rest.trim_start_matches(':').split_whitespace();
            words.next()?.parse::<u32>().ok()
        });
        number.unwrap_or(0)
    };
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
    Sample {
        at,
        resident: f64::from(value("VmRSS")) / 1024.0,
        descriptors: descriptors.map_or(0, Iterator::count),
        threads: u64::from(value("Threads")),
    }
}

/// Each reload has one organisation renamed; every fourth finds settings that are no settings.
fn reload_on(
    folder: &Path,
    process: u32,
    interval: Duration,
    over: &AtomicBool,
    reloads: &AtomicU32,
) {
    let settings = folder.join("zegel.toml");
    let good = fs::read_to_string(&settings).expect("settings");
    let mut next = Instant::now() + interval;
    while !over.load(Ordering::Relaxed) {
        if Instant::now() < next {
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        next += interval;
        let number = reloads.fetch_add(1, Ordering::Relaxed);
        let text = if number % 4 == 3 {
            "[no settings"
        } else {
            &good
        };
        fs::write(&settings, text).expect("settings");
        change_one(folder, number % 10);
        let signal = Command::new("kill")
            .args(["-HUP", &process.to_string()])
            .status();
        assert!(signal.is_ok_and(|status| status.success()), "a signal");
    }
}

/// MiB per hour, by least squares.
fn slope(samples: &[&Sample]) -> f64 {
    let number = count(samples.len());
    let hours = |one: &&Sample| one.at.as_secs_f64() / 3600.0;
    let mean_time = samples.iter().map(hours).sum::<f64>() / number;
    let mean = samples.iter().map(|one| one.resident).sum::<f64>() / number;
    let products = samples
        .iter()
        .map(|one| (hours(one) - mean_time) * (one.resident - mean));
    let squares = samples.iter().map(|one| (hours(one) - mean_time).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
