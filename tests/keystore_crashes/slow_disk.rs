//! A disk that takes its time: the keeper waits for itself, and says nothing of locks.

use std::fs;
use std::process::Command;

use zegel::keystore::Keystore;

use crate::support::{open_folder, require_root};
use crate::verdict::state_words;

/// With 32 of them at work together, each waits for 31 others: longer than a writer's patience.
const ORGANISATIONS: usize = 40;
/// What each call of fsync takes longer, in microseconds.
const DELAY: usize = 40_000;

#[test]
fn a_keeper_does_not_stand_in_its_own_way_on_a_slow_disk() {
    require_root();
    let folder = open_folder("slow-disk");
    let path = |name: &str| folder.path().join(name);
    Keystore::create(&path("keys")).expect("a keystore");
    fs::create_dir(path("orgs.d")).expect("a folder");
    let keys = path("keys");
    let text = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nresolvers = [\"127.0.0.1:9\"]\n",
        keys.display()
    );
    fs::write(path("zegel.toml"), text).expect("the configuration");
    for number in 0..ORGANISATIONS {
        let text =
            format!("domains = [\"org{number}.example\"]\nalgorithms = [\"ed25519-sha256\"]\n");
        fs::write(path(&format!("orgs.d/org{number}.toml")), text).expect("an organisation");
    }
    let inject = format!("inject=fsync:delay_exit={DELAY}");
    let output = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync", "-e"])
        .args([&inject, "-o"])
        .arg(path("strace"))
        .args([env!("CARGO_BIN_EXE_zegel"), "keeper", "--once", "--config"])
        .arg(path("zegel.toml"))
        .output()
        .expect("strace (tests/install-packages)");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains("locked"), "{text}");
    let words = state_words(&Keystore::open(&keys).expect("a keystore"));
    assert_eq!(words, vec!["generated"; ORGANISATIONS], "{text}");
}
