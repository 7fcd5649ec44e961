//! The operations that change a keystore, through the real program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::checkout;
use crate::template::Template;
use crate::verdict::State;

/// One use of the program.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    /// Whether several threads make calls whose number differs from run to run: killed only at
    /// those of `CHANGES`.
    is_threaded: bool,
    /// Whether keyrings and generation stay as they are.
    pub(crate) keeps_keyrings: bool,
}

const GENERATE: &[&str] = &["key", "generate", "een", "--another"];
const GENERATE_FIRST: &[&str] = &["key", "generate", "drie"];
const ACTIVATE: &[&str] = &["key", "activate", "een", "s2", "--assume-published"];
const IMPORT: &[&str] = &[
    "key",
    "import",
    "twee",
    "tests/fixtures/keys/unsafe-ed25519-v1.pem",
    "--selector",
    "s9",
    "--assume-published",
];

/// Those that need no DNS; one thread, so that every run makes the same calls.
pub(crate) const COMMANDS: [Operation; 4] = [
    Operation::command("key generate", GENERATE),
    Operation::command("key generate, the first", GENERATE_FIRST),
    Operation::command("key activate", ACTIVATE),
    Operation::command("key import", IMPORT),
];

/// Those that change how keys lie: no keyring changes, and a second run does what is left.
pub(crate) const SEAL: Operation = Operation {
    keeps_keyrings: true,
    ..Operation::command("keystore seal", &["keystore", "seal"])
};
pub(crate) const UNSEAL: Operation = Operation {
    keeps_keyrings: true,
    ..Operation::command("keystore seal --plain", &["keystore", "seal", "--plain"])
};

pub(crate) const KEEPER: Operation = Operation {
    is_threaded: true,
    ..Operation::command("keeper", &["keeper", "--once"])
};

/// The calls that change files, lock them or sync them, or may do so.
const CHANGES: [&str; 20] = [
    "openat",
    "write",
    "fsync",
    "fdatasync",
    "renameat",
    "renameat2",
    "unlinkat",
    "ftruncate",
    "fchmod",
    "fchown",
    "flock",
    "mkdirat",
    "linkat",
    "rename",
    "unlink",
    "mkdir",
    "pwrite64",
    "writev",
    "fchmodat",
    "fchownat",
];

impl Operation {
    const fn command(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            arguments,
            is_threaded: false,
            keeps_keyrings: false,
        }
    }

    /// Whether this call is one to be killed at. Between two changes all kills leave the same
    /// files, so that the short form takes the changes alone.
    pub(crate) fn is_killed_at(&self, call: &Call) -> bool {
        if self.is_threaded {
            call.changes
        } else {
            !is_short() || (call.changes && !call.only_reads)
        }
    }

    /// The program, perhaps under another one.
    pub(crate) fn under(&self, prefix: &[String], world: &Path) -> Command {
        let zegel = env!("CARGO_BIN_EXE_zegel").to_owned();
        let words = [prefix, &[zegel]].concat();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("--config")
            .arg(world.join("zegel.toml"))
            .args(self.arguments)
            .env_remove("ZEGEL_CONFIG")
            .env("RUST_BACKTRACE", "0")
            .current_dir(checkout());
        command
    }
}

/// Whether commands are killed only where they change something; `ZEGEL_TEST_ALL=1` kills them
/// at every call.
pub(crate) fn is_short() -> bool {
    std::env::var_os("ZEGEL_TEST_ALL").is_none()
}

/// A run of an operation to its end: what it is held against.
pub(crate) struct Baseline {
    pub(crate) old: State,
    pub(crate) new: State,
    /// From the start of the program.
    pub(crate) calls: Vec<Call>,
    /// How many of them come before the keystore is opened.
    pub(crate) before: usize,
}

impl Baseline {
    pub(crate) fn record(operation: &Operation, template: &Template) -> Self {
        let parent = crate::support::open_folder("baseline");
        let world = template.copy(parent.path(), "world");
        let log = parent.path().join("strace");
        let prefix = ["strace", "-f", "-qq", "-o"].map(str::to_owned);
        let prefix = [&prefix[..], &[log.display().to_string()]].concat();
        let output = operation.under(&prefix, &world).output();
        let output = output.expect("strace (tests/install-packages)");
        let text = std::fs::read_to_string(&log).expect("the log of strace");
        // A keeper that finds something to do for people says 1.
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{}: {output:?}",
            operation.name
        );
        let calls: Vec<_> = text.lines().filter_map(call).collect();
        let keys = format!("\"{}\"", keys(&world).display());
        let lines = text.lines().filter(|line| call(line).is_some());
        let before = lines.take_while(|line| !line.contains(&keys)).count();
        Self {
            old: State::read(template.folder.path(), template),
            new: State::read(&world, template),
            calls,
            before,
        }
    }
}

fn keys(world: &Path) -> PathBuf {
    world.join("keys")
}

/// A system call.
pub(crate) struct Call {
    pub(crate) thread: String,
    pub(crate) name: String,
    /// Whether it is one of `CHANGES`.
    changes: bool,
    /// Whether it opens a file and makes none.
    only_reads: bool,
}

/// `PID name(…` of a line; nothing for the end of a process, or the second half of a call.
fn call(line: &str) -> Option<Call> {
    let (process, rest) = line.split_once(' ')?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_call = name.chars().all(is_name) && name != "execve" && name != "exit_group";
    is_call.then(|| Call {
        thread: process.to_owned(),
        name: name.to_owned(),
        changes: CHANGES.contains(&name),
        only_reads: name == "openat" && arguments.contains("O_RDONLY"),
    })
}
