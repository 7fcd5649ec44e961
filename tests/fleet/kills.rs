//! SIGKILL wherever `zegel database sync` puts a file in its place: the next one does the rest, on a
//! relay that follows and on one that is to lead.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::{Ed25519Sha256, Org, Postgres, Relay};
use crate::support::require_root;

const SIGKILL: i32 = 9;

#[test]
fn a_sync_that_is_killed_is_made_good_by_the_next() {
    require_root();
    let postgres = Postgres::start();
    let first = Relay::leading(&postgres);
    let twee = Org::new("twee", &["twee.example"]).signing_by(Ed25519Sha256);
    first.zegel.add(&twee);
    first.run(&["database", "init"]);
    first.run(&["database", "upload"]);
    let second = Relay::following(&postgres, "relay2", &first);
    second.run(&["database", "sync"]);
    for leads in [false, true] {
        second.write_settings(&postgres.settings("relay2"), leads);
        let mut killed = 0;
        while kill_at(&second, killed + 1, &first) {
            killed += 1;
        }
        // The mark, two key files, two keyrings, the generation, and what was agreed twice.
        assert!(killed >= 6, "{killed}");
    }
}

/// Has both organisations changed, and the second relay killed as it renames for that time. Gives
/// whether it came so far.
fn kill_at(second: &Relay, count: usize, first: &Relay) -> bool {
    for organisation in ["een", "twee"] {
        let to = if count.is_multiple_of(2) {
            "suspend"
        } else {
            "resume"
        };
        first.run(&["org", to, organisation]);
        // It is to be taken anew.
        let folder = second.zegel.path(&format!("keys/{organisation}"));
        let _ = fs::remove_dir_all(folder);
    }
    first.run(&["database", "upload"]);
    let log = second.zegel.path("strace");
    let words = format!(
        "strace -f -qq -o {} -e trace=rename,renameat,renameat2 \
         -e inject=rename,renameat,renameat2:signal=KILL:when={count}",
        log.display()
    );
    let words: Vec<&str> = words.split_whitespace().collect();
    let status = Command::new(words[0])
        .args(&words[1..])
        .arg(env!("CARGO_BIN_EXE_zegel"))
        .args(["database", "sync", "--config"])
        .arg(second.zegel.path("zegel.toml"))
        .stdout(Stdio::null())
        .status()
        .expect("strace (tests/install-packages)");
    let was_killed = status.signal() == Some(SIGKILL);
    assert!(was_killed || status.success(), "{count}: {status}");
    second.run(&["database", "sync"]);
    for organisation in ["een", "twee"] {
        let read = |relay: &Relay, file: &str| {
            let path = format!("keys/{organisation}/{file}");
            fs::read_to_string(relay.zegel.path(&path)).expect("a file")
        };
        for file in ["keyring.json", &format!("{organisation}-ed25519.pem")] {
            assert_eq!(read(second, file), read(first, file), "{count}: {file}");
        }
    }
    was_killed
}
