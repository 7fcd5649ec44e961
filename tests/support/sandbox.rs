//! The restrictions of a unit, around the signer or the keeper of a test.
//!
//! With `ZEGEL_TEST_SANDBOX=1` in the environment every signer of every test has those of
//! `systemd/zegel.service`, every keeper those of `systemd/zegel-keeper.service`, and both
//! are another user than root.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use super::checkout;

/// Who the signer is then. The MTA gets at its sockets by the group.
const USER: u32 = 65_534;

/// Whether this run of the tests wants them.
pub fn is_wanted() -> bool {
    std::env::var_os("ZEGEL_TEST_SANDBOX").is_some_and(|value| !value.is_empty())
}

/// The words in front of a program that run it inside the restrictions of the unit. `options`
/// are those of `sandbox.py`.
pub fn words(network: &[&str], options: &[&str]) -> Vec<String> {
    words_of("zegel.service", network, options)
}

fn words_of(unit: &str, network: &[&str], options: &[&str]) -> Vec<String> {
    let script = checkout().join("tests/support/sandbox.py");
    let unit = checkout().join("systemd").join(unit);
    let mut words = ["unshare", "--mount", "--ipc"].map(str::to_owned).to_vec();
    words.extend(network.iter().map(|&word| word.to_owned()));
    words.push("/usr/bin/python3".to_owned());
    words.extend([script, unit].map(|path| path.display().to_string()));
    words.extend(options.iter().map(|&word| word.to_owned()));
    words
}

/// The same for a signer that has all its files in one folder, which become its own.
pub fn around(folder: &Path) -> Vec<String> {
    let group = group_of_postfix();
    give(folder, group);
    let path = |name: &str| folder.join(name).display().to_string();
    words(
        &[],
        &[
            "--user",
            &format!("{USER}:{group}"),
            "--writable",
            &folder.display().to_string(),
            "--read-only",
            &path("keys"),
            "--read-only",
            &path("orgs.d"),
        ],
    )
}

/// The same for the keeper, which writes the keystore.
pub fn around_keeper(folder: &Path) -> Vec<String> {
    let group = group_of_postfix();
    give(folder, group);
    let path = |name: &str| folder.join(name).display().to_string();
    words_of(
        "zegel-keeper.service",
        &[],
        &[
            "--user",
            &format!("{USER}:{group}"),
            "--writable",
            &path("keys"),
        ],
    )
}

/// Settings as they can be under the unit, which cannot give a socket to a group.
pub fn without_groups(settings: &str) -> String {
    let lines = settings.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("group =")).collect()
}

fn group_of_postfix() -> u32 {
    let text = fs::read_to_string("/etc/group").expect("groups");
    let line = text.lines().find(|line| line.starts_with("postfix:"));
    let number = line.and_then(|line| line.split(':').nth(2));
    let number = number.expect("the group postfix: run tests/install-packages as root");
    number.parse().expect("a number")
}

fn give(path: &Path, group: u32) {
    lchown(path, Some(USER), Some(group)).expect("an owner");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("a folder") {
            give(&entry.expect("an entry").path(), group);
        }
    }
}
