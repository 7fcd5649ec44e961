//! What a signer and a keeper do at the start when the sealing key is late, or wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::support::port::Port;
use super::support::process::read_lossy;
use super::support::zegel::Zegel;
use super::{
    assert_put_off, assert_signed, configure, make_sealing_key, public_keys, sealed, wait_until,
};

/// What is wrong for good, and what the message names.
struct Wrong {
    makes: fn(&Zegel, &Path),
    says: &'static [&'static str],
}

const WRONG: [Wrong; 5] = [
    Wrong {
        makes: |zegel, _| {
            make_sealing_key(zegel, "other.key");
            configure(zegel, &["other.key"]);
        },
        says: &[
            "no key of this keystore can be opened",
            "other.key)",
            "sealed with ",
        ],
    },
    Wrong {
        makes: |zegel, _| configure(zegel, &[]),
        says: &[
            "no key of this keystore can be opened",
            "sealing_keys has none",
        ],
    },
    Wrong {
        makes: |_, file| {
            fs::write(file, "correct horse battery staple, and more of it\n").expect("a file");
        },
        says: &["sealing.key", "no sealing key"],
    },
    Wrong {
        makes: |_, file| set_mode(file, 0o644),
        says: &["sealing.key", "mode 0644", "chmod 600"],
    },
    Wrong {
        makes: |zegel, _| {
            let file = zegel.path("zegel.toml");
            let settings = fs::read_to_string(&file).expect("settings");
            let path = zegel.path("sealing.key").display().to_string();
            fs::write(file, settings.replace(&path, "zegel-sealing")).expect("settings");
        },
        says: &["zegel-sealing", "CREDENTIALS_DIRECTORY"],
    },
];

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Starts it and waits for its end: the status, and what it said.
fn ends(zegel: &Zegel, arguments: &[&str]) -> (Option<i32>, String) {
    let output = zegel.path("ending");
    let file = fs::File::create(&output).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_zegel"))
        .arg("--config")
        .arg(zegel.path("zegel.toml"))
        .args(arguments)
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn();
    let child = std::cell::RefCell::new(Ending(child.expect("zegel runs")));
    wait_until("it ends", || {
        child.borrow_mut().0.try_wait().expect("a child").is_some()
    });
    let status = child.borrow_mut().0.wait().expect("a child");
    (status.code(), read_lossy(&output))
}

/// A process that is gone when the test is.
pub(super) struct Ending(pub(super) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_sealing_key_that_is_wrong_ends_the_start_with_one_message() {
    for wrong in &WRONG {
        let zegel = sealed();
        (wrong.makes)(&zegel, &zegel.path("sealing.key"));
        for process in [&["run"][..], &["keeper"]] {
            let (status, text) = ends(&zegel, process);
            assert_eq!(status, Some(78), "{process:?}: {text}");
            let lines = text.lines().filter(|line| line.contains("sealing"));
            assert_eq!(lines.count(), 1, "{process:?}: {text}");
            for part in wrong.says {
                assert!(text.contains(part), "{process:?}: {part}: {text}");
            }
            assert!(!text.contains("battery"), "{text}");
        }
        assert!(!zegel.socket().exists());
    }
}

/// An agent that brings the sealing key at boot may be late: the sockets are open meanwhile, and
/// our mail is put off.
#[test]
fn a_sealing_key_that_is_late_is_waited_for() {
    for text in [None, Some(""), Some("half of a sealing k")] {
        let mut zegel = sealed();
        let keys = public_keys(&zegel);
        let file = zegel.path("sealing.key");
        let whole = fs::read(&file).expect("a sealing key");
        match text {
            None => fs::remove_file(&file).expect("a file"),
            Some(text) => fs::write(&file, text.replace(' ', "")).expect("a file"),
        }
        let why = zegel.launch_unready(&[]);
        assert!(why.contains("sealing.key"), "{why}");
        assert_put_off(&zegel, "een.example");
        let complaints = || {
            zegel
                .log()
                .matches("until the keystore can be read")
                .count()
        };
        assert!((1..=2).contains(&complaints()), "{}", zegel.log());
        // One that is wrong by now ends no signer that waits.
        fs::write(&file, &whole).expect("a file");
        set_mode(&file, 0o644);
        wait_until("it says what is wrong", || {
            zegel
                .why_unready()
                .is_some_and(|why| why.contains("mode 0644"))
        });
        assert_put_off(&zegel, "een.example");
        // As a careful program writes it.
        let beside = zegel.path("sealing.new");
        fs::write(&beside, &whole).expect("a file");
        set_mode(&beside, 0o600);
        fs::rename(&beside, &file).expect("a file");
        wait_until("it is ready", || zegel.why_unready().is_none());
        assert_signed(&zegel, &keys, "een.example", 2);
        assert!(zegel.terminate().success());
    }
}

#[test]
fn a_keeper_waits_for_a_late_sealing_key() {
    let zegel = sealed();
    let file = zegel.path("sealing.key");
    fs::rename(&file, zegel.path("away")).expect("a file");
    let port = Port::free();
    let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
    let keeper = format!(
        "{settings}\n[keeper]\nhttp = \"127.0.0.1:{}\"\nresolvers = [\"127.0.0.1:1\"]\n",
        port.number()
    );
    fs::write(zegel.path("zegel.toml"), keeper).expect("settings");
    let keeper = super::support::keeper::Keeper::start_unready(&zegel.path(""), &port, &[]);
    let says = |what: &str| keeper.readiness().is_some_and(|page| page.contains(what));
    wait_until("it says what is missing", || {
        says("sealing.key: it does not exist")
    });
    // Whoever brings it gives it its mode last: that ends no process which waits already.
    set_mode(&zegel.path("away"), 0o644);
    fs::rename(zegel.path("away"), &file).expect("a file");
    wait_until("it says what is wrong", || says("mode 0644"));
    set_mode(&file, 0o600);
    wait_until("it is ready", || says("200 OK"));
}

/// As systemd gives it: a bare name, in a folder of the unit alone.
#[test]
fn a_credential_of_systemd_is_found_by_its_name() {
    let mut zegel = sealed();
    let keys = public_keys(&zegel);
    let folder = zegel.path("credentials");
    fs::create_dir(&folder).expect("a folder");
    fs::rename(zegel.path("sealing.key"), folder.join("zegel-sealing")).expect("a file");
    let file = zegel.path("zegel.toml");
    let settings = fs::read_to_string(&file).expect("settings");
    let path = zegel.path("sealing.key").display().to_string();
    fs::write(&file, settings.replace(&path, "zegel-sealing")).expect("settings");
    let variable = format!("CREDENTIALS_DIRECTORY={}", folder.display());
    // With an access list the mode looks so, as without one it is 0400.
    for mode in [0o440, 0o400] {
        set_mode(&folder.join("zegel-sealing"), mode);
        zegel.launch_by(&["env", &variable]);
        assert_signed(&zegel, &keys, "een.example", 2);
        assert!(zegel.terminate().success());
    }
    set_mode(&folder.join("zegel-sealing"), 0o444);
    let output = Command::new("env")
        .args([&variable, env!("CARGO_BIN_EXE_zegel"), "--config"])
        .arg(&file)
        .arg("check")
        .output()
        .expect("env runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("mode 0444"), "{said}");
}
