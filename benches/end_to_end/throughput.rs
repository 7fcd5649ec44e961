//! All signers with all sizes and numbers of connections.

use std::{cell::RefCell, fs, time::Duration};

use zegel::dkim::{Algorithm, SigningKey};

use crate::{
    account::Raw,
    daemon::{Daemon, Prepared},
    load::{self, Group, Run},
    message::Message,
    options::Options,
    organisations::KeyCache,
    peers::{Peer, World},
    table::{self, Table, median, percentile, short},
};

/// What was measured of one signer in one turn.
pub(crate) struct Trial {
    /// Messages in a second.
    pub(crate) rate: f64,
    /// Processor time of the signer for each, in microseconds.
    pub(crate) processor: f64,
    /// The same for the arithmetic alone, at that time.
    pub(crate) raw: f64,
    /// Context switches for each.
    pub(crate) switches: f64,
    /// In milliseconds: p50, p95, p99, the longest.
    pub(crate) latencies: [f64; 4],
    /// VmRSS and VmHWM at the end, in MiB.
    pub(crate) memory: [f64; 2],
}

/// What all trials have in common.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) key: SigningKey,
}

impl<'a> Bench<'a> {
    /// With the key of the first organisation for the raw cost.
    pub(crate) fn new(options: &'a Options, keys: &KeyCache) -> Self {
        keys.fill(1, Algorithm::RsaSha256);
        let pem = fs::read(keys.path(0, Algorithm::RsaSha256)).expect("a key");
        let key = SigningKey::from_pem(&pem).expect("a key");
        Self { options, key }
    }

    /// One turn.
    ///
    /// # Errors
    /// What went wrong with the signer.
    pub(crate) fn trial(&self, daemon: &Daemon, group: Group<'_>) -> Result<Trial, String> {
        self.trial_after(5, daemon, group)
    }

    /// With no message of a connection that does not count: for very large ones.
    ///
    /// # Errors
    /// As [`Self::trial`].
    pub(crate) fn trial_cold(&self, daemon: &Daemon, group: Group<'_>) -> Result<Trial, String> {
        self.trial_after(0, daemon, group)
    }

    /// With so many messages of each connection that do not count.
    ///
    /// # Errors
    /// As [`Self::trial`].
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn trial_after(
        &self,
        warm_up: u32,
        daemon: &Daemon,
        group: Group<'_>,
    ) -> Result<Trial, String> {
        let message = group.message;
        let before = Raw::measure(&self.key, &message.body);
        let family = daemon.family();
        let usages = RefCell::new(Vec::new());
        let run = Run {
            warm_up,
            time: Duration::from_secs_f64(self.options.seconds),
            mark: &|| usages.borrow_mut().push(family.usage()),
        };
        let (sent, elapsed) = load::send(daemon.socket(), vec![group], &run)?;
        let raw = before.mean(Raw::measure(&self.key, &message.body));
        let latencies = &sent[0].latencies;
        let number = latencies.len().max(1) as f64;
        let usages = usages.into_inner();
        let processor = usages[1].processor_since(&usages[0]);
        let switches = usages[1].switches_since(&usages[0]);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let memory = |name| family.memory(name) as f64 / 1024.0;
        Ok(Trial {
            rate: number / elapsed.as_secs_f64(),
            processor: processor.as_secs_f64() * 1e6 / number,
            raw: raw.total().as_secs_f64() * 1e6,
            switches: switches as f64 / number,
            latencies: [50, 95, 99, 100].map(|part| milliseconds(percentile(latencies, part))),
            memory: [memory("VmRSS"), memory("VmHWM")],
        })
    }
}

/// A signer and all its trials.
struct Contender {
    peer: Peer,
    prepared: Result<Prepared, String>,
}

/// Runs everything and prints the table.
pub(crate) fn run(options: &Options) {
    let keys = KeyCache::open();
    let world = World {
        keys: &keys,
        organisations: options.organisations,
        with_rsa: options.organisations,
        double: false,
        zegel: &options.zegel,
    };
    world.make_keys();
    let bench = Bench::new(options, &keys);
    let mut contenders: Vec<Contender> = options
        .peers
        .iter()
        .map(|&peer| Contender {
            peer,
            prepared: peer.prepare(&world),
        })
        .collect();
    table::print_machine();
    let raw = Raw::measure(&bench.key, &vec![b'x'; 1 << 20]);
    println!(
        "{} runs of {} s each, {} organisations {}; RSA-2048 {} µs, SHA-256 {} µs/MiB\n",
        options.runs,
        options.seconds,
        options.organisations,
        options.zipf.map_or("evenly".to_owned(), |exponent| format!(
            "by Zipf ({exponent})"
        )),
        short(raw.signature.as_secs_f64() * 1e6),
        short(raw.hash.as_secs_f64() * 1e6),
    );
    let mut table = Table::new([
        "body",
        "connections",
        "signer",
        "msgs/s",
        "÷ Zegel",
        "CPU µs/msg",
        "÷ raw",
        "÷ Zegel",
        "p50 ms",
        "p95",
        "p99",
        "max",
        "switches/msg",
        "RSS MiB",
        "peak",
    ]);
    for &size in &options.sizes {
        let message = Message::new(size);
        for &connections in &options.connections {
            measure(&bench, &mut contenders, (&message, connections), &mut table);
        }
    }
    table.print();
    println!(
        "\nRSS is that of all processes of a signer, pages that they share counted in each. \
         Load at the end: {}",
        table::load()
    );
    for contender in &contenders {
        if let Err(reason) = &contender.prepared {
            println!("\n{}: {reason}", contender.peer.name());
        }
    }
}

/// All signers in turn, as often as there are runs; adds their rows.
fn measure(
    bench: &Bench<'_>,
    contenders: &mut [Contender],
    (message, connections): (&Message, usize),
    table: &mut Table,
) {
    let mut trials: Vec<Vec<Trial>> = contenders.iter().map(|_| Vec::new()).collect();
    for run in 0..bench.options.runs {
        for (contender, trials) in contenders.iter_mut().zip(&mut trials) {
            let Ok(prepared) = &contender.prepared else {
                continue;
            };
            eprintln!(
                "{}, {connections} connections, run {} of {}: {}",
                table::size(message.body.len()),
                run + 1,
                bench.options.runs,
                prepared.name
            );
            let group = Group {
                pace: None,
                message,
                choice: bench.options.choice(),
                connections,
                signatures: 1,
            };
            // A new process each time: its memory is that of this load alone.
            let trial = prepared
                .start(message)
                .and_then(|(daemon, _)| bench.trial(&daemon, group));
            match trial {
                Ok(trial) => trials.push(trial),
                Err(reason) => {
                    contender.prepared = Err(format!("failed: {reason}"));
                    trials.clear();
                }
            }
        }
    }
    let reference = contenders
        .iter()
        .position(|contender| contender.peer == Peer::Zegel);
    let reference = reference
        .map(|index| &trials[index][..])
        .unwrap_or_default();
    for (contender, own) in contenders.iter().zip(&trials) {
        let mut cells = vec![
            table::size(message.body.len()),
            connections.to_string(),
            contender.peer.name().to_owned(),
        ];
        if let Err(reason) = &contender.prepared {
            cells.push(reason.lines().next().unwrap_or_default().to_owned());
        } else {
            cells.extend(figures(own, reference));
        }
        table.row(cells);
    }
}

/// The medians; the ratios are of trials of the same run.
fn figures(trials: &[Trial], reference: &[Trial]) -> Vec<String> {
    let of = |value: &dyn Fn(&Trial) -> f64| short(median(trials.iter().map(value)));
    let against = |value: &dyn Fn(&Trial) -> f64| {
        let pairs = trials.iter().zip(reference);
        let ratio = median(pairs.map(|(one, other)| value(one) / value(other)));
        if ratio.is_nan() {
            "–".to_owned()
        } else {
            format!("{ratio:.2}")
        }
    };
    vec![
        of(&|trial| trial.rate),
        against(&|trial| trial.rate),
        of(&|trial| trial.processor),
        of(&|trial| trial.processor / trial.raw),
        against(&|trial| trial.processor),
        of(&|trial| trial.latencies[0]),
        of(&|trial| trial.latencies[1]),
        of(&|trial| trial.latencies[2]),
        of(&|trial| trial.latencies[3]),
        of(&|trial| trial.switches),
        of(&|trial| trial.memory[0]),
        of(&|trial| trial.memory[1]),
    ]
}
