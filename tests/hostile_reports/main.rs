//! Hostile files beside each other, each in a process of its own: it ends with 0 or 1 and says in
//! one document what it found, with a reason out of the closed list, and takes no more memory
//! than it may.
//!
//! Here the limits are small, since the program is not optimised, and what is large is just
//! larger than they are. With the limits and sizes of the real thing it takes some minutes, and
//! memory and time are those of the real thing only with an optimised build:
//!
//! ```text
//! ZEGEL_TEST_WHOLE=1 cargo test --release --test hostile_reports -- --nocapture
//! ```

// A test may panic.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "figures for people")]

mod archives;
mod documents;
mod files;
mod kinds;
mod mail;
mod values;

use std::{
    collections::BTreeSet,
    fmt, fs,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kinds::{Kind, SECRET, Sizes};
use serde_json::Value;
use tempfile::TempDir;

/// KiB for anything at all, and for what is stored.
const ANYTHING: u64 = 256 << 10;
const STORED: u64 = 64 << 10;

/// What stands for a report that was read.
const OUTCOMES: [&str; 5] = ["stored", "replaced", "duplicate", "not_ours", "too_old"];

/// What one kind did.
struct Seen {
    status: i32,
    memory: u64,
    milliseconds: u64,
    words: BTreeSet<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory,
            milliseconds,
            words,
            ..
        } = self;
        write!(out, "{memory:>6} KiB {milliseconds:>6} ms  {words:?}")
    }
}

/// A folder with a configuration and a store.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(sizes: &Sizes) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("orgs.d")).unwrap();
        fs::write(
            path.join("orgs.d/voorbeeld.toml"),
            "domains = [\"voorbeeld.nl\"]\n",
        )
        .unwrap();
        let limits = if sizes.whole {
            String::new()
        } else {
            format!(
                "[reports.limits]\nmessage = {}\nexpanded = {}\nrecords = {}\n",
                sizes.message, sizes.expanded, sizes.records
            )
        };
        let text = format!(
            "[keystore]\npath = \"{0}/keys\"\n[reports]\nstate = \"{0}/reports\"\n{limits}",
            path.display()
        );
        fs::write(path.join("zegel.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the file, has it read, and takes it away.
    fn read(&self, kind: &Kind, sizes: &Sizes) -> Seen {
        let inside = self.path("in");
        // One that has failed has left it.
        let _ = fs::remove_dir_all(&inside);
        fs::create_dir(&inside).unwrap();
        let path = (kind.make)(&inside, sizes);
        let output = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_reports/measure.py"))
            .arg(self.path("result"))
            .arg(env!("CARGO_BIN_EXE_zegel"))
            .arg("--config")
            .arg(self.path("zegel.toml"))
            .args(["report", "ingest", "--json", "--as-of", "2026-03-01"])
            .arg(path)
            .output()
            .unwrap();
        fs::remove_dir_all(&inside).unwrap();
        assert!(
            !output
                .stdout
                .windows(SECRET.len())
                .any(|piece| piece == SECRET.as_bytes()),
            "{}: it has read another file",
            kind.name
        );
        let result = fs::read_to_string(self.path("result")).unwrap();
        let mut numbers = result.split_whitespace();
        let mut number = || numbers.next().unwrap().parse::<i64>().unwrap();
        Seen {
            status: i32::try_from(number()).unwrap(),
            memory: number().unsigned_abs(),
            milliseconds: number().unsigned_abs(),
            words: words(kind, &output.stdout, &output.stderr),
        }
    }
}

/// The outcomes and reasons of the one document.
fn words(kind: &Kind, out: &[u8], err: &[u8]) -> BTreeSet<String> {
    let document: Value = serde_json::from_slice(out).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: {} {}",
            kind.name,
            String::from_utf8_lossy(&out[..out.len().min(300)]),
            String::from_utf8_lossy(err)
        )
    });
    let mut words = BTreeSet::new();
    for file in document["files"].as_array().unwrap() {
        for (list, word) in [("reports", "outcome"), ("refusals", "reason")] {
            for one in file[list].as_array().unwrap() {
                words.insert(one[word].as_str().unwrap().to_owned());
            }
        }
    }
    words
}

/// What is wrong with what was seen; nothing if all is as it has to be.
fn wrong(kind: &Kind, seen: &Seen, reasons: &BTreeSet<String>) -> Option<String> {
    let expected: BTreeSet<String> = kind.expected.split(' ').map(str::to_owned).collect();
    let refused = seen.words.iter().any(|word| reasons.contains(word));
    let stored = seen.words.contains("stored");
    if seen.status != i32::from(refused) {
        return Some(format!("status {}", seen.status));
    }
    if let Some(word) = seen
        .words
        .iter()
        .find(|word| !reasons.contains(*word) && !OUTCOMES.contains(&word.as_str()))
    {
        return Some(format!("{word} is in no list"));
    }
    if seen.words != expected && !(expected.contains("-") && seen.words.is_empty()) {
        return Some(format!("{:?}", seen.words));
    }
    let most = if stored { STORED } else { ANYTHING };
    (seen.memory > most).then(|| format!("{} KiB", seen.memory))
}

/// The closed list, as the documentation has it.
fn reasons() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reports.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("| `reason` |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn whatever_a_file_holds_reading_it_ends_in_bounds_and_says_why() {
    let sizes = Sizes::new(std::env::var_os("ZEGEL_TEST_WHOLE").is_some());
    // Whom an entity asks for.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let kinds: Vec<Kind> = [
        archives::kinds(),
        documents::kinds(port),
        values::kinds(),
        mail::kinds(),
        files::kinds(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let names: BTreeSet<_> = kinds.iter().map(|kind| &kind.name).collect();
    assert_eq!(names.len(), kinds.len(), "two have one name");
    assert!(kinds.len() >= 121, "{}", kinds.len());
    let reasons = reasons();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = Place::new(&sizes);
                while let Some(kind) = kinds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let read = AssertUnwindSafe(|| place.read(kind, &sizes));
                    let fault = match catch_unwind(read) {
                        Ok(seen) => {
                            println!("{:<48} {seen}", kind.name);
                            wrong(kind, &seen, &reasons)
                        }
                        Err(_) => Some("see above".to_owned()),
                    };
                    if let Some(fault) = fault {
                        let fault = format!("{}: {fault}", kind.name);
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "an entity was fetched");
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
