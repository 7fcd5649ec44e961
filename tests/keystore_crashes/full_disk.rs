//! A keystore on a disk that takes no more: nothing changes, the way out is named, and the signer
//! goes on.
//!
//! The tests run themselves again in a mount namespace of their own, which takes what they mount
//! along when it ends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::milter::{Message, send};
use crate::support::require_root;
use crate::support::zegel::{Org, Zegel};

const NAMESPACE: &str = "ZEGEL_TEST_MOUNTS";
/// The unit in which a tmpfs gives room.
const PAGE: usize = 4096;
/// More than any change needs.
const MOST_PAGES: usize = 12;

const GENERATE: &[&str] = &[
    "key",
    "generate",
    "een",
    "--algorithm",
    "ed25519-sha256",
    "--another",
];
const GENERATE_FIRST: &[&str] = &["key", "generate", "twee", "--algorithm", "ed25519-sha256"];
const ACTIVATE: &[&str] = &["key", "activate", "een", "waits", "--assume-published"];
const KEEPER: &[&str] = &["keeper", "--once"];

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let Some(disk) = Disk::in_namespace("full_disk::a_full_disk_changes_nothing_and_says_so")
    else {
        return;
    };
    for arguments in [GENERATE, GENERATE_FIRST, ACTIVATE, KEEPER] {
        let mut refusals = 0;
        for pages in 0..=MOST_PAGES {
            let before = disk.contents();
            disk.fill(pages);
            let refused = disk.run(arguments);
            disk.free();
            let Some(message) = refused else { break };
            refusals += 1;
            assert_says(&message, &["/keys", "No space left on device", "make room"]);
            // A keeper that finds some room does what fits in it, one organisation after another.
            let is_same = disk.contents() == before;
            assert!(
                is_same || (arguments == KEEPER && pages > 0),
                "{arguments:?}, {pages} pages"
            );
            disk.is_whole();
            disk.signs();
        }
        // With room it was done.
        assert!(
            (1..MOST_PAGES).contains(&refusals),
            "{arguments:?}: {refusals}"
        );
        disk.signs();
    }
    disk.takes_up_a_new_key();
}

#[test]
fn a_disk_without_inodes_changes_nothing_and_says_so() {
    let name = "full_disk::a_disk_without_inodes_changes_nothing_and_says_so";
    let Some(disk) = Disk::in_namespace(name) else {
        return;
    };
    for arguments in [GENERATE, GENERATE_FIRST, ACTIVATE, KEEPER] {
        let before = disk.contents();
        disk.remount("nr_inodes=11");
        let message = disk.run(arguments).expect("a refusal");
        disk.remount("nr_inodes=1000");
        assert_says(&message, &["/keys", "No space left on device", "make room"]);
        assert!(disk.contents() == before, "{arguments:?}");
        disk.signs();
    }
    disk.takes_up_a_new_key();
}

#[test]
fn a_disk_that_cannot_be_written_changes_nothing_and_says_so() {
    let name = "full_disk::a_disk_that_cannot_be_written_changes_nothing_and_says_so";
    let Some(disk) = Disk::in_namespace(name) else {
        return;
    };
    let before = disk.contents();
    for arguments in [GENERATE, GENERATE_FIRST, ACTIVATE, KEEPER] {
        disk.remount("ro");
        let message = disk.run(arguments).expect("a refusal");
        assert_says(&message, &["/keys", "Read-only file system", "remount,rw"]);
        assert!(disk.contents() == before, "{arguments:?}");
        disk.signs();
        disk.remount("rw");
    }
    disk.takes_up_a_new_key();
}

#[track_caller]
fn assert_says(message: &str, texts: &[&str]) {
    for text in texts {
        assert!(message.contains(text), "no {text:?} in\n{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

/// A signer whose keystore is on a tmpfs of 1 MiB. `een` has a key in use and one that waits,
/// `twee` has none.
struct Disk {
    zegel: Zegel,
}

impl Disk {
    /// Nothing in the outer run, which waits for the inner one and its verdict.
    fn in_namespace(test: &str) -> Option<Self> {
        require_root();
        if std::env::var_os(NAMESPACE).is_none() {
            let own = std::env::current_exe().expect("the path of this program");
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--propagation", "private"])
                .arg(own);
            command
                .args(["--exact", test, "--nocapture"])
                .env(NAMESPACE, "yes");
            let output = command.output().expect("unshare");
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            assert!(
                output.status.success() && out.contains("1 passed"),
                "{out}\n{err}"
            );
            return None;
        }
        Some(Self::new())
    }

    fn new() -> Self {
        let organisations = [
            Org::new("een", &["een.example"]).signing_twice(),
            Org::new("twee", &["twee.example"])
                .signing_twice()
                .without_keys(),
        ];
        // A resolver that is not there.
        let settings = "[keeper]\nresolvers = [\"127.0.0.1:9\"]\n";
        let mut zegel = Zegel::prepared(&organisations, settings);
        let (keys, aside) = (zegel.path("keys"), zegel.path("aside"));
        fs::rename(&keys, &aside).expect("the keys aside");
        fs::create_dir(&keys).expect("a place to mount");
        mount(&["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"], &keys);
        let copied = Command::new("cp")
            .arg("-a")
            .args([aside.join("."), keys])
            .status();
        assert!(copied.expect("cp").success());
        zegel.launch();
        let disk = Self { zegel };
        let waiting = [GENERATE, &["--selector", "waits"]].concat();
        assert_eq!(disk.run(&waiting), None);
        // A second keeper would find its lock there.
        drop(disk.zegel.keystore().keep(jiff::Timestamp::now()));
        disk
    }

    fn keys(&self) -> PathBuf {
        self.zegel.path("keys")
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.keys());
    }

    /// Leaves so many pages, in a file that is no part of a keystore.
    fn fill(&self, pages: usize) {
        let mut filler = File::create(self.keys().join(".filler")).expect("a file");
        let mut length = 0;
        while filler.write_all(&[0; PAGE]).is_ok() {
            length += PAGE;
        }
        let length = length.checked_sub(pages * PAGE).expect("that many pages");
        filler.set_len(length as u64).expect("a shorter file");
    }

    fn free(&self) {
        fs::remove_file(self.keys().join(".filler")).expect("the filler");
    }

    /// What the program says, if it could not do what it was told.
    fn run(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zegel"));
        command
            .arg("--config")
            .arg(self.zegel.path("zegel.toml"))
            .args(arguments);
        let output = command.output().expect("zegel");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let is_keeper = arguments == KEEPER;
        match output.status.code().expect("no signal") {
            0 => None,
            // It also has something to say of a DNS that does not answer.
            1 if is_keeper && !text.contains("os error") => None,
            _ => Some(text),
        }
    }

    /// Every file of the keystore, but for the word that a lock holds.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(&self.keys(), &mut found);
        found.retain(|path, _| path.extension() != Some(OsStr::new("lock")));
        found.retain(|path, _| path.file_name() != Some(OsStr::new("lock")));
        found
    }

    /// Every key is there and named, and nothing is half written.
    fn is_whole(&self) {
        let keystore = self.zegel.keystore();
        for organisation in keystore.organisations().expect("organisations") {
            let loaded = keystore.load_organisation(&organisation).expect("its keys");
            assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        }
        let temporary = |path: &PathBuf| path.to_string_lossy().contains("/.tmp-");
        assert_eq!(self.contents().into_keys().find(temporary), None);
    }

    /// The signer signs, with both keys of `een`.
    fn signs(&self) -> Vec<u8> {
        let message = Message::parse(b"From: a@een.example\r\nSubject: x\r\n\r\nbody\r\n");
        let outcome = send(&self.zegel.milter(), &message);
        let signed = outcome.expect_accepted().apply(&message);
        let text = String::from_utf8_lossy(&signed);
        assert_eq!(text.matches("DKIM-Signature:").count(), 2, "{text}");
        signed
    }

    fn takes_up_a_new_key(&self) {
        let generate = [GENERATE, &["--selector", "after"]].concat();
        assert_eq!(self.run(&generate), None);
        let activate = ["key", "activate", "een", "after", "--assume-published"];
        assert_eq!(self.run(&activate), None);
        self.zegel.wait_for_log("after", 1);
        let signed = self.signs();
        let text = String::from_utf8_lossy(&signed);
        assert!(text.contains("s=after;"), "{text}");
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let content = fs::read(&path).expect("a file");
            found.insert(path, content);
        }
    }
}

fn mount(arguments: &[&str], target: &Path) {
    let output = Command::new("mount").args(arguments).arg(target).output();
    let output = output.expect("mount");
    assert!(output.status.success(), "{output:?}");
}
