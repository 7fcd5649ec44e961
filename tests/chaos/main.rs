//! Chaos: a real Postfix carries mail at a steady rate while the signer is killed, stopped,
//! restarted, reloaded and starved. What Postfix answered with 250 arrives once, signed if it must
//! be; and for each `milter_default_action` a table says what became of the mail meanwhile.
//!
//! `ZEGEL_CHAOS_SECONDS` says for how long there is trouble, all rows together.

#![allow(clippy::print_stdout, reason = "a table for people")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod faults;
mod stage;
mod traffic;

use std::process::Command;

use account::Row;
use faults::Fault;
use stage::Stage;

/// Set in the run that may mount.
const NAMESPACE: &str = "ZEGEL_TEST_MOUNTS";
const SECONDS: &str = "ZEGEL_CHAOS_SECONDS";
/// For all rows together, unless [`SECONDS`] says other.
const USUAL_SECONDS: f64 = 15.0;

/// A `milter_default_action`, and what is done to the signer under it.
struct Trial {
    action: &'static str,
    faults: &'static [Fault],
    /// Whether Postfix then takes no mail without the signer.
    is_safe: bool,
    /// The first version of Postfix that knows it.
    since: (u32, u32),
}

const TRIALS: [Trial; 4] = [
    Trial {
        action: "tempfail",
        faults: &Fault::ALL,
        is_safe: true,
        since: (2, 3),
    },
    Trial {
        action: "shutdown",
        faults: &Fault::ALL,
        is_safe: true,
        since: (3, 11),
    },
    Trial {
        action: "accept",
        faults: &Fault::OUTAGES,
        is_safe: false,
        since: (2, 3),
    },
    Trial {
        action: "reject",
        faults: &Fault::OUTAGES,
        is_safe: false,
        since: (2, 3),
    },
];

#[test]
fn what_postfix_took_arrives_once_and_signed() {
    support::require_root();
    if std::env::var_os(NAMESPACE).is_none() {
        return run_in_namespace("what_postfix_took_arrives_once_and_signed");
    }
    let version = postfix_version();
    let (possible, impossible): (Vec<&Trial>, Vec<&Trial>) =
        TRIALS.iter().partition(|trial| trial.since <= version);
    let rows: usize = possible.iter().map(|trial| trial.faults.len()).sum();
    let share = seconds() / f64::from(u32::try_from(rows).expect("a few rows"));
    let results: Vec<(&Trial, Vec<Row>)> = possible
        .into_iter()
        .map(|trial| (trial, Stage::new(trial.action).suffer(trial.faults, share)))
        .collect();
    account::print_head();
    for (trial, rows) in &results {
        for row in rows {
            row.print(trial.action);
        }
        rows.iter().sum::<Row>().print(trial.action);
    }
    for trial in impossible {
        let (major, minor) = trial.since;
        println!(
            "| {} | not run: Postfix knows it from {major}.{minor} on, this is {}.{} |",
            trial.action, version.0, version.1
        );
    }
    for (trial, rows) in &results {
        let total: Row = rows.iter().sum();
        total.assert_nothing_lost(trial.action);
        if trial.is_safe {
            total.assert_safe(trial.action);
        }
    }
}

fn seconds() -> f64 {
    std::env::var(SECONDS).map_or(USUAL_SECONDS, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{SECONDS} is a number of seconds, not {text:?}"))
    })
}

fn postfix_version() -> (u32, u32) {
    let output = Command::new(support::process::program("/usr/sbin/postconf"))
        .args(["-d", "-h", "mail_version"])
        .output()
        .expect("postconf runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.trim().split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => panic!("not a version of Postfix: {output:?}"),
    }
}

/// Runs the test again in a mount namespace, which takes what is mounted along when it ends.
fn run_in_namespace(test: &str) {
    let own = std::env::current_exe().expect("the path of this program");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(NAMESPACE, "yes")
        .output()
        .expect("unshare");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    let passed = output.status.success() && out.contains("1 passed");
    assert!(passed, "{err}");
}
