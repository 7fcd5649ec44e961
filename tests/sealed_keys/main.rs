//! Sealed keys in signers, keepers and commands that run: they sign while their sealing key is
//! replaced, are put off when they do not open, and say nothing to a thief. What lies in a folder
//! is the matter of `src/keystore/tests/sealed.rs`.

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod exchange;
mod reader;
mod start;
mod traces;
mod without;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use support::signatures::PublicKeys;
use support::zegel::{Org, Zegel};
use zegel::keystore::Keystore;

fn orgs() -> [Org; 2] {
    [
        Org::new("een", &["een.example"]).signing_twice(),
        Org::new("twee", &["twee.example"]),
    ]
}

/// The public halves of keys that are in the clear, or sealed with `sealing.key`.
fn public_keys(zegel: &Zegel) -> PublicKeys {
    PublicKeys::of(&zegel.keystore())
}

fn message(domain: &str) -> Message {
    let text = format!("From: a@{domain}\r\nSubject: one\r\n\r\nline 1\r\nline 2\r\n");
    Message::parse(text.as_bytes())
}

fn send(zegel: &Zegel, domain: &str) -> Outcome {
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(&message(domain));
    connection.quit();
    outcome
}

/// That mail of this domain is signed so often, and rightly.
#[track_caller]
fn assert_signed(zegel: &Zegel, keys: &PublicKeys, domain: &str, times: usize) {
    let outcome = send(zegel, domain);
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}\n{}", zegel.log());
    let signers = keys.signers(&outcome.apply(&message(domain)));
    assert_eq!(signers.len(), times, "{outcome:?}");
}

#[track_caller]
fn assert_put_off(zegel: &Zegel, domain: &str) {
    let outcome = send(zegel, domain);
    let Reply::Refuse(text) = &outcome.reply else {
        panic!("{outcome:?}");
    };
    let is_in = |word: &str| text.contains(word);
    assert!(is_in("451 4.7.1 ") && is_in("signing_failure"), "{text}");
}

/// Sets the files of the sealing keys, in the folder of this signer.
fn configure(zegel: &Zegel, files: &[&str]) {
    zegel.write_settings("");
    let file = zegel.path("zegel.toml");
    let settings = fs::read_to_string(&file).expect("settings");
    let settings = settings.replacen("[keystore]\npath", "keystore.path", 1);
    let lines = settings
        .lines()
        .filter(|line| !line.starts_with("keystore.sealing_keys"));
    let settings: Vec<&str> = lines.collect();
    let settings = settings.join("\n");
    let paths: Vec<String> = files
        .iter()
        .map(|name| zegel.path(name).display().to_string())
        .collect();
    let settings = format!("keystore.sealing_keys = {paths:?}\n{settings}");
    fs::write(file, settings).expect("settings");
}

fn command(zegel: &Zegel, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zegel"));
    command
        .arg("--config")
        .arg(zegel.path("zegel.toml"))
        .args(arguments)
        .stdin(Stdio::null());
    command.output().expect("zegel runs")
}

#[track_caller]
fn run(zegel: &Zegel, arguments: &[&str]) -> String {
    let output = command(zegel, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A sealing key in this file; its id.
fn make_sealing_key(zegel: &Zegel, name: &str) -> String {
    let id = zegel::keystore::make_sealing_key(&zegel.path(name)).expect("a sealing key");
    id.to_string()
}

/// With sealed keys of `een` and `twee`, and the sealing key `sealing.key`.
fn sealed() -> Zegel {
    let zegel = Zegel::prepared(&orgs(), "");
    make_sealing_key(&zegel, "sealing.key");
    configure(&zegel, &["sealing.key"]);
    run(&zegel, &["keystore", "seal"]);
    zegel
}

/// The text of each key file.
fn key_files(zegel: &Zegel) -> Vec<String> {
    let folders = ["keys/een", "keys/twee"].map(|name| zegel.path(name));
    let files = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let is_key = |path: &std::path::PathBuf| path.extension().is_some_and(|one| one == "pem");
    let files = files.filter(is_key);
    files
        .map(|path| fs::read_to_string(path).expect("a key file"))
        .collect()
}

#[track_caller]
fn assert_sealed_with(zegel: &Zegel, id: &str) {
    let first_line = format!("zegel-sealed-key 1 sealing-key={id}\n");
    let files = key_files(zegel);
    assert_eq!(files.len(), 3);
    for file in &files {
        assert!(file.starts_with(&first_line), "{file}");
    }
}

/// Waits until it is so, for 20 seconds at most.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// From keys in the clear through two sealing keys and back; at every step everything signs.
#[test]
fn everything_signs_while_keys_are_sealed_and_the_sealing_key_is_replaced() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = public_keys(&zegel);
    let signs = |zegel: &Zegel| {
        assert_signed(zegel, &keys, "een.example", 2);
        assert_signed(zegel, &keys, "twee.example", 1);
    };
    zegel.launch();
    signs(&zegel);
    let restart = |zegel: &mut Zegel, files: &[&str]| {
        configure(zegel, files);
        assert!(zegel.terminate().success());
        zegel.launch();
        signs(zegel);
    };
    let first = make_sealing_key(&zegel, "first.key");
    restart(&mut zegel, &["first.key"]);
    let said = run(&zegel, &["keystore", "seal"]);
    assert_eq!(
        said,
        format!("private keys: 3 sealed with {first}, 0 were already\n")
    );
    assert_sealed_with(&zegel, &first);
    signs(&zegel);
    zegel.signal("HUP");
    zegel.wait_for_log(" reloaded ", 1);
    signs(&zegel);
    restart(&mut zegel, &["first.key"]);

    let second = make_sealing_key(&zegel, "second.key");
    restart(&mut zegel, &["second.key", "first.key"]);
    let said = run(&zegel, &["check"]);
    assert!(
        said.contains(&format!("private keys: 3 sealed with {first}\n")),
        "{said}"
    );
    run(&zegel, &["keystore", "seal"]);
    assert_sealed_with(&zegel, &second);
    signs(&zegel);
    restart(&mut zegel, &["second.key"]);
    fs::remove_file(zegel.path("first.key")).expect("the old sealing key");

    let said = run(&zegel, &["keystore", "seal", "--plain"]);
    assert_eq!(said, "private keys: 3 put in the clear, 0 were already\n");
    signs(&zegel);
    assert!(
        key_files(&zegel)
            .iter()
            .all(|file| file.contains("PRIVATE KEY"))
    );
    restart(&mut zegel, &[]);
    let log = zegel.log();
    assert!(!log.contains("error") && !log.contains("ERROR"), "{log}");
}

/// A key is made sealed, and mail is signed with it.
#[test]
fn a_new_key_is_sealed_from_the_beginning() {
    let mut zegel = sealed();
    let imported = zegel.path("new.pem");
    let source = "tests/fixtures/keys/unsafe-rsa3072-pkcs8.pem";
    fs::copy(source, &imported).expect("a key");
    zegel.add(&Org::new("drie", &["drie.example"]).without_keys());
    let file = imported.display().to_string();
    run(
        &zegel,
        &[
            "key",
            "import",
            "drie",
            &file,
            "--selector",
            "s1",
            "--assume-published",
        ],
    );
    run(&zegel, &["key", "generate", "drie", "--selector", "s2"]);
    for name in ["s1", "s2"] {
        let text = fs::read_to_string(zegel.path(&format!("keys/drie/{name}.pem")));
        assert!(text.expect("a key").starts_with("zegel-sealed-key 1 "));
    }
    zegel.launch();
    assert_signed(&zegel, &public_keys(&zegel), "drie.example", 1);
}

/// What is wrong with the sealed key of one organisation is its own matter, and looks like no
/// missing key: that mail is put off.
#[test]
fn a_sealed_key_that_does_not_open_puts_off_its_organisation_alone() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    let file = zegel.path("keys/twee/twee-rsa.pem");
    let good = fs::read(&file).expect("a key");
    let other = fs::read(zegel.path("keys/een/een-rsa.pem")).expect("a key");
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    for wrong in [changed, other, good[..good.len() / 2].to_vec()] {
        fs::write(&file, wrong).expect("a file");
        zegel.launch();
        assert_put_off(&zegel, "twee.example");
        assert_signed(&zegel, &keys, "een.example", 2);
        zegel.wait_for_log("twee-rsa.pem: ", 1);
        assert!(zegel.terminate().success());
    }
    fs::write(&file, good).expect("a file");
    zegel.launch();
    assert_signed(&zegel, &keys, "twee.example", 1);
}

/// One file is sealed with a key that nobody has any more: it is named.
#[test]
fn a_key_whose_sealing_key_is_lost_is_refused_by_name() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    let lost = make_sealing_key(&zegel, "lost.key");
    let keystore = Keystore::open(&zegel.path("keys")).expect("the keystore");
    let keystore = keystore.sealed_by(&[zegel.path("lost.key"), zegel.path("sealing.key")]);
    let away = zegel.path("away");
    fs::rename(zegel.path("keys/een"), &away).expect("a folder");
    let resealed = keystore.reseal(zegel::keystore::Lie::Sealed, jiff::Timestamp::now());
    assert_eq!(resealed.expect("it is sealed").changed, 1);
    fs::rename(&away, zegel.path("keys/een")).expect("a folder");
    zegel.launch();
    assert_signed(&zegel, &keys, "een.example", 2);
    assert_put_off(&zegel, "twee.example");
    let wanted = format!("twee-rsa.pem: it is sealed with the sealing key {lost}");
    zegel.wait_for_log(&wanted, 1);
    let output = command(&zegel, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&wanted));
}

/// What `docs/sealing.md` says of a sealing key that is lost: the signer that runs signs on, with
/// the old key even where a new one took its place that it can't open, until it is restarted.
#[test]
fn a_signer_that_runs_outlives_its_sealing_key() {
    let mut zegel = sealed();
    let old = public_keys(&zegel);
    zegel.launch();
    assert_signed(&zegel, &old, "een.example", 2);
    fs::remove_file(zegel.path("sealing.key")).expect("a file");
    zegel::keystore::make_sealing_key(&zegel.path("new.key")).expect("a sealing key");
    configure(&zegel, &["new.key"]);
    run(
        &zegel,
        &["key", "generate", "twee", "--another", "--selector", "n1"],
    );
    run(
        &zegel,
        &["key", "activate", "twee", "n1", "--assume-published"],
    );
    zegel.wait_for_log(" reloaded ", 1);
    zegel.wait_for_log("n1.pem: it is sealed with the sealing key", 1);
    assert_signed(&zegel, &old, "twee.example", 1);
    assert_signed(&zegel, &old, "een.example", 2);

    assert!(zegel.terminate().success());
    zegel.launch();
    let keystore = zegel.keystore().sealed_by(&[zegel.path("new.key")]);
    assert_signed(&zegel, &PublicKeys::of(&keystore), "twee.example", 1);
    assert_put_off(&zegel, "een.example");
}

/// What an administrator of the DNS needs is there without the sealing key.
#[test]
fn commands_that_open_no_private_key_need_no_sealing_key() {
    let zegel = sealed();
    fs::rename(zegel.path("sealing.key"), zegel.path("away")).expect("a file");
    let packs = zegel.path("packs").display().to_string();
    for arguments in [
        &["dns", "records", "een"][..],
        &["dns", "records", "--all", "--out", &packs],
        &["org", "list"],
        &["org", "show", "een"],
        &["org", "suspend", "een"],
        &["org", "resume", "een"],
        &["audit"],
    ] {
        let output = command(&zegel, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() < Some(2), "{arguments:?}: {said}");
        assert!(!said.contains("sealing"), "{arguments:?}: {said}");
    }
    // This one opens them where it can, and says that it could not.
    let output = command(&zegel, &["key", "list", "een"]);
    let (said, list) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("sealing.key").count(), 1, "{said}");
    assert!(
        list.contains("2048") && list.contains("een-ed25519"),
        "{list}"
    );
    let said = run(&zegel, &["dns", "records", "een"]);
    assert!(said.contains("een-rsa._domainkey.een.example"), "{said}");
}

/// Given out only on purpose, and what is given out can be brought in elsewhere.
#[test]
fn a_key_is_exported_and_brought_in_elsewhere() {
    let zegel = sealed();
    let pem = run(&zegel, &["key", "export", "een", "een-rsa"]);
    assert!(
        pem.starts_with("-----BEGIN PRIVATE KEY-----\n"),
        "{}",
        pem.len()
    );
    let log = fs::read_to_string(zegel.path("keys/audit.log")).expect("the audit log");
    let last = log.lines().last().expect("a line");
    assert!(
        last.contains("\"exported\"") && last.contains("\"by\":\"key export\""),
        "{last}"
    );

    let other = Zegel::prepared(&[Org::new("vier", &["een.example"]).without_keys()], "");
    let file = other.path("taken.pem");
    fs::write(&file, &pem).expect("a file");
    let file = file.display().to_string();
    run(
        &other,
        &[
            "key",
            "import",
            "vier",
            &file,
            "--selector",
            "s1",
            "--assume-published",
        ],
    );
    let theirs = fs::read_to_string(other.path("keys/vier/s1.pem")).expect("a key");
    assert_eq!(theirs, pem);

    // A terminal that script(1) makes.
    let on_terminal = |more: &str| {
        let line = format!(
            "{} --config {} key export een een-rsa {more}",
            env!("CARGO_BIN_EXE_zegel"),
            zegel.path("zegel.toml").display()
        );
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = on_terminal("");
    assert!(
        said.contains("--to-terminal") && !said.contains("BEGIN"),
        "{said}"
    );
    assert!(on_terminal("--to-terminal").contains("BEGIN PRIVATE KEY"));
}

#[test]
fn a_sealed_key_is_named_where_one_in_the_clear_is_wanted() {
    let zegel = sealed();
    let key = zegel.path("keys/een/een-rsa.pem").display().to_string();
    let message = zegel.path("message.eml");
    fs::write(&message, "From: a@een.example\r\n\r\n").expect("a file");
    let message = message.display().to_string();
    let said = |arguments: &[&str]| {
        let output = command(&zegel, arguments);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = said(&["verify", &message, "--key", &key]);
    let is_in = |word: &str| text.contains(word);
    assert!(is_in("a sealed key") && is_in("--record"), "{text}");
    let text = said(&["key", "import", "twee", &key, "--selector", "s9"]);
    let is_in = |word: &str| text.contains(word);
    assert!(is_in("a sealed key") && is_in("zegel key export"), "{text}");
}

/// All files of a folder.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}
