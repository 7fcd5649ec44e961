//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::{organisations::Choice, peers::Peer};

/// Zegel and its peers under the same load.
#[derive(Parser)]
pub(crate) struct Options {
    /// What to look at.
    #[arg(long, value_enum, default_value = "throughput")]
    pub(crate) scenario: Scenario,
    /// The program of Zegel: by default the one that cargo built for this bench.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_zegel"))]
    pub(crate) zegel: PathBuf,
    /// Which signers.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "zegel,zegel-indymilter,opendkim,opendkim-refile,rspamd,dkim-milter"
    )]
    pub(crate) peers: Vec<Peer>,
    /// How often each is measured; the medians are printed.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// For how long each is measured each time.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// How many connections at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    pub(crate) connections: Vec<usize>,
    /// How large the bodies are.
    #[arg(long, value_delimiter = ',', default_value = "2k,50k,1m", value_parser = size)]
    pub(crate) sizes: Vec<usize>,
    /// How many organisations send.
    #[arg(long, default_value_t = 100)]
    pub(crate) organisations: u32,
    /// Some send more than others, by Zipf with this exponent; otherwise evenly.
    #[arg(long, num_args = 0..=1, default_missing_value = "1")]
    pub(crate) zipf: Option<f64>,
    /// The numbers of organisations of the scenarios `growth` and `sealed`.
    #[arg(long, value_delimiter = ',', default_value = "1,10000,100000")]
    pub(crate) growth: Vec<u32>,
    /// How many of them have RSA keys: to make so many takes a few minutes, once. The others
    /// have Ed25519 keys, and send nothing.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rsa_keys: u32,
    /// Messages in a second of the scenario `soak`.
    #[arg(long, default_value_t = 500)]
    pub(crate) rate: u32,
    /// Seconds between two reloads of the scenario `soak`.
    #[arg(long, default_value_t = 5)]
    pub(crate) reload_every: u64,
    /// This process is the peer `zegel-indymilter`, with this configuration.
    #[arg(long, hide = true)]
    pub(crate) foreign_engine: Option<PathBuf>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What to look at.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Scenario {
    /// All signers with all sizes and numbers of connections.
    Throughput,
    /// Zegel with few and with very many organisations: start, memory, messages, reload.
    Growth,
    /// The same organisations with sealed keys and with keys in the clear, in turn: start, messages.
    Sealed,
    /// The memory of Zegel with small and with very large messages.
    Memory,
    /// The latency of one organisation's mail beside the flood of another.
    Fairness,
    /// Signing with RSA and Ed25519 against RSA alone.
    Double,
    /// A steady rate of mixed sizes with reloads, for as long as `--seconds` says: memory,
    /// descriptors and latencies minute by minute.
    Soak,
}

impl Options {
    /// Who sends the next message.
    pub(crate) fn choice(&self) -> Choice {
        match self.zipf {
            None => Choice::evenly(self.organisations),
            Some(exponent) => Choice::zipf(self.organisations, exponent),
        }
    }
}

fn size(text: &str) -> Result<usize, String> {
    let text = text.to_lowercase();
    let digits = text.trim_end_matches(char::is_alphabetic);
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "kib" => 1024,
        "m" | "mib" => 1024 * 1024,
        _ => return Err("a size is a number with k or m behind it, such as 50k".to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| "not a number".to_owned())?;
    Ok(number * factor)
}
