//! Zegel and its peers under the same load, side by side in one run: what a message costs, how
//! many there are in a second, how long each takes, and how much memory that needs.
//!
//! ```text
//! cargo bench --bench end_to_end                      all signers, all sizes, one table
//! cargo bench --bench end_to_end -- --help            what else there is
//! ```
//!
//! The load comes from one thread that speaks the milter protocol as Postfix 3.7 does
//! (`script.rs`), over Unix sockets. The signers take turns within each run, and what the
//! arithmetic alone costs is measured before and after each turn, for on a machine with
//! neighbours only figures of the same moment can be compared.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a report for people"
)]

mod account;
mod daemon;
mod foreign_engine;
mod load;
mod message;
mod options;
mod organisations;
mod peers;
mod scenarios;
mod script;
mod sealed;
mod soak;
mod table;
mod throughput;

// The client of the tests knows the frames; it has more than is needed here.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../tests/support/milter/mod.rs"]
mod milter;

use clap::Parser as _;

use crate::options::{Options, Scenario};

fn main() {
    let options = Options::parse();
    if let Some(config_file) = &options.foreign_engine {
        foreign_engine::serve(config_file).expect("a milter");
        return;
    }
    match options.scenario {
        Scenario::Throughput => throughput::run(&options),
        Scenario::Growth => scenarios::growth(&options),
        Scenario::Sealed => sealed::run(&options),
        Scenario::Memory => scenarios::memory(&options),
        Scenario::Fairness => scenarios::fairness(&options),
        Scenario::Double => scenarios::double(&options),
        Scenario::Soak => soak::run(&options),
    }
}
