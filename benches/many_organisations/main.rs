//! How long commands take where there are many organisations: those about one of them, which are
//! not to read all the others, those about all, and an import, which is to grow with its work.
//!
//! ```text
//! cargo bench --bench many_organisations [-- NUMBER...]      (10,000 and 100,000)
//! ```

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a report for people"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zegel::dkim::{Algorithm, key::generate_pem};

const NUMBERS: [usize; 2] = [10_000, 100_000];
/// Each command is run so often; the fastest counts, since others work on the machine.
const RUNS: usize = 5;
/// Of a second, in `/proc/self/stat`.
const TICKS: u64 = 100;

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|one| one.parse().ok())
        .collect();
    let numbers = if numbers.is_empty() {
        NUMBERS.to_vec()
    } else {
        numbers
    };
    println!(
        "{:<9} {:<44} {:>9} {:>9}",
        "", "COMMAND", "WALL", "PROCESSOR"
    );
    for number in numbers {
        measure(number);
    }
}

fn measure(number: usize) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path();
    old_signer(path, number);
    let zegel = Zegel { path, number };
    let opendkim = path.join("opendkim.conf");
    let keys = path.join("keys");
    zegel.time(
        1,
        &[
            "import",
            "opendkim",
            "--config",
            text(&opendkim),
            "--out",
            text(path),
            "--keystore",
            text(&keys),
            "--assume-published",
            "--json",
        ],
    );
    about_one(&zegel);
    about_all(&zegel);
}

fn about_one(zegel: &Zegel<'_>) {
    let (path, middle) = (zegel.path, zegel.number / 2);
    let one = format!("org{middle:06}-example");
    let message = path.join("message");
    let from = format!("From: a@org{middle:06}.example\r\nSubject: one\r\n\r\nText\r\n");
    fs::write(&message, from).expect("a message");
    for command in [
        vec!["explain", text(&message)],
        vec!["key", "list", &one],
        vec!["dns", "records", &one],
        vec!["org", "show", &one],
        vec![
            "key",
            "generate",
            &one,
            "--algorithm",
            "ed25519-sha256",
            "--another",
        ],
        vec!["org", "suspend", &one],
        vec!["org", "resume", &one],
    ] {
        zegel.time(RUNS, &command);
    }
}

fn about_all(zegel: &Zegel<'_>) {
    let add = [
        "org",
        "add",
        "new",
        "--name",
        "New",
        "--domain",
        "new.example",
    ];
    zegel.time(1, &[&add[..], &["--contact", "dns@new.example"]].concat());
    let sheet = zegel.path.join("new.csv");
    let mut rows = "id,name,domains,contact\n".to_owned();
    for row in 0..100 {
        writeln!(rows, "row{row},Row,row{row}.example,dns@row{row}.example").expect("a string");
    }
    fs::write(&sheet, rows).expect("a sheet");
    zegel.time(1, &["org", "add", "--from", text(&sheet)]);
    for command in [
        vec!["org", "list", "--waiting"],
        vec!["org", "list"],
        vec!["status"],
        vec!["check"],
    ] {
        zegel.time(1, &command);
    }
}

/// An OpenDKIM that signs for so many domains, each with a key of its own.
fn old_signer(path: &Path, number: usize) {
    let (mut keys, mut signing) = (String::new(), String::new());
    let folder = path.join("old");
    fs::create_dir(&folder).expect("a folder");
    for number in 0..number {
        let domain = format!("org{number:06}.example");
        let file = folder.join(format!("{number}.pem"));
        let pem = generate_pem(Algorithm::Ed25519Sha256, 0).expect("a key");
        write_secret(&file, pem.as_bytes());
        writeln!(keys, "{number} {domain}:s1:{}", file.display()).expect("a string");
        writeln!(signing, "*@{domain} {number}").expect("a string");
    }
    let write = |name: &str, content: &str| fs::write(path.join(name), content).expect("a file");
    write("keys.table", &keys);
    write("signing.table", &signing);
    let settings = format!(
        "KeyTable {0}/keys.table\nSigningTable refile:{0}/signing.table\n",
        path.display()
    );
    write("opendkim.conf", &settings);
}

fn write_secret(file: &Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| file.write_all(content))
        .expect("a key file");
}

struct Zegel<'a> {
    path: &'a Path,
    number: usize,
}

impl Zegel<'_> {
    /// Runs a command, and prints what it took.
    fn time(&self, runs: usize, arguments: &[&str]) {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..runs {
            let (begin, before) = (Instant::now(), processor_of_children());
            let mut command = Command::new(env!("CARGO_BIN_EXE_zegel"));
            if arguments[0] != "import" {
                command.arg("--config").arg(self.path.join("zegel.toml"));
            }
            let output = command.args(arguments).stdin(Stdio::null()).output();
            let wall = begin.elapsed();
            let output = output.expect("zegel runs");
            // A finding is no failure: nobody keeps these keys.
            let is_well = output.status.code().is_some_and(|code| code <= 1);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                is_well,
                "{arguments:?}: {}",
                told.chars().take(2000).collect::<String>()
            );
            best = best.min((wall, processor_of_children().saturating_sub(before)));
        }
        let shown: Vec<&str> = arguments
            .iter()
            .filter(|one| !one.starts_with('/'))
            .take(3)
            .copied()
            .collect();
        println!(
            "{:<9} {:<44} {:>7.2} s {:>7.2} s",
            self.number,
            shown.join(" "),
            best.0.as_secs_f64(),
            best.1.as_secs_f64()
        );
    }
}

/// What the children that have ended took of the processors.
fn processor_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("proc");
    // The name of the program may have spaces.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<u64> = after
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = fields[13] + fields[14];
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
