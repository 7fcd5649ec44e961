//! What is missing in a keystore, or older than it was, is not taken for what never was.

use std::{path::PathBuf, process::Command};

use super::*;
use crate::{keys, keystore::KeystoreError};

const DOMAIN: &str = "een.example";

/// `een` with a key in use, in a folder that goes away with the value.
struct World {
    keystore: Keystore,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore_with_key(folder.path(), "een");
        Self { keystore, folder }
    }

    /// `s2` has taken the place of `s1`; gives a copy from before that.
    fn with_a_backup() -> (Self, PathBuf) {
        let world = Self::new();
        let backup = world.folder.path().join("backup");
        copy(world.keystore.path(), &backup);
        world.activate("s2");
        (world, backup)
    }

    fn activate(&self, selector: &str) {
        let organisation = organisation("een");
        let target = Target {
            organisation: &organisation.id,
            selector: &selector.parse().unwrap(),
            domains: &organisation.domains,
        };
        let now = Timestamp::now();
        let keystore = &self.keystore;
        keystore
            .generate(&target, Algorithm::Ed25519Sha256, 0, now)
            .unwrap();
        let timing = Settings::default().timing();
        keystore.activate(&target, &timing, now).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix("../") {
            Some(name) => self.keystore.path().with_file_name(name),
            None => self.keystore.path().join(name),
        }
    }

    fn lose(&self, names: &[&str]) {
        for name in names {
            let path = self.path(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// As a process sees it that starts now.
    fn start(&self) -> Built {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Built, KeystoreError> {
        let keystore = Keystore::open(self.keystore.path()).unwrap();
        Snapshot::build(loaded(&["een"]), &keystore, &Metrics::new(), None)
    }

    fn reload(&self, before: &Built) -> Built {
        build(&["een"], &self.keystore, Some(&before.snapshot))
    }

    fn put_back(&self, backup: &Path) {
        copy(backup, self.keystore.path());
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// Each of these at a start: mail of the domain is put off, and an error says what is missing.
#[test]
fn what_is_missing_at_a_start_is_not_awaited() {
    type Loss = (&'static [&'static str], &'static str);
    let losses: [Loss; 11] = [
        (&["een/keyring.json"], "een/keyring.json"),
        (&["een/keyring.json", "audit.log"], "een/keyring.json"),
        (
            &["een/keyring.json", "../keys.mark"],
            "audit.log tells of it",
        ),
        (
            &["een/keyring.json", "audit.log", "../keys.mark"],
            "s1.pem is there",
        ),
        (&["een"], "the mark tells of it"),
        (&["een", "audit.log"], "the mark tells of it"),
        (&["een", "../keys.mark"], "audit.log tells of it"),
        (&["een", "keystore.id"], "the mark tells of it"),
        (
            &["een", "../keys.mark", "keystore.id", "generation"],
            "audit.log tells of it",
        ),
        (&["een/s1.pem"], ""),
        (&["een/s1.pem", "audit.log", "../keys.mark"], ""),
    ];
    for (lost, told) in losses {
        let world = World::new();
        world.lose(lost);
        let built = world.start();
        assert_eq!(keys(&built, DOMAIN), "unusable", "without {lost:?}");
        let keys = domain(&built, DOMAIN).keys.as_ref().unwrap();
        assert!(matches!(keys.load(), Signing::Unusable), "without {lost:?}");
        assert_eq!(built.snapshot.domains_without_key(), 0, "without {lost:?}");
        let problems = built.problems.join("\n");
        assert!(problems.contains(told), "without {lost:?}: {problems}");
        if !told.is_empty() {
            assert!(problems.contains("zegel key generate een"), "{problems}");
            assert!(built.snapshot.has_unread_keyrings());
            assert_ne!(built.snapshot.key_problems(), 0);
        }
    }
}

#[test]
fn an_emptied_keyring_is_not_awaited() {
    for lost in [&["audit.log"][..], &["../keys.mark"], &[]] {
        let world = World::new();
        let empty = r#"{"version":1,"keys":[]}"#;
        fs::write(world.path("een/keyring.json"), empty).unwrap();
        world.lose(lost);
        let built = world.start();
        assert_eq!(keys(&built, DOMAIN), "unusable", "without {lost:?}");
    }
}

#[test]
fn an_empty_folder_is_no_keystore_to_start_with() {
    let world = World::new();
    let path = world.keystore.path();
    fs::remove_dir_all(path).unwrap();
    fs::create_dir(path).unwrap();
    let error = world.try_start().err().unwrap();
    assert!(
        matches!(error, KeystoreError::EarlierThanMark { .. }),
        "{error}"
    );
    fs::remove_dir_all(world.path("../keys.mark")).unwrap();
    let error = world.try_start().err().unwrap();
    assert!(matches!(error, KeystoreError::NotInitialised(_)), "{error}");
}

/// The keystore itself says why no key is in use.
#[test]
fn what_never_was_is_awaited() {
    let world = World::new();
    let keystore = &world.keystore;
    let (een, twee) = (organisation("een"), organisation("twee"));
    let twee_s1 = Target {
        organisation: &twee.id,
        selector: &"s1".parse().unwrap(),
        domains: &twee.domains,
    };
    let now = Timestamp::now();
    let algorithm = Algorithm::Ed25519Sha256;
    keystore.generate(&twee_s1, algorithm, 0, now).unwrap();
    let keyring = keystore.read_keyring(&een.id).unwrap();
    let revoked = keys::revoke(&keyring, &"s1".parse().unwrap(), now).unwrap();
    let mut writer = keystore.writer().unwrap();
    writer.apply(&een.id, &revoked, now).unwrap();
    drop(writer);
    for lost in [
        &[][..],
        &["audit.log"],
        &["../keys.mark"],
        &["../keys.mark", "audit.log"],
    ] {
        let copied = tempfile::tempdir().unwrap();
        copy(keystore.path(), &copied.path().join("keys"));
        copy(
            &world.path("../keys.mark"),
            &copied.path().join("keys.mark"),
        );
        let keystore = Keystore::open(&copied.path().join("keys")).unwrap();
        for name in lost {
            let path = keystore.path().join(name);
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
        let built = build(&["drie", "een", "twee"], &keystore, None);
        assert_eq!(built.problems, [""; 0], "without {lost:?}");
        for name in ["drie.example", DOMAIN, "twee.example"] {
            assert_eq!(
                keys(&built, name),
                "awaiting a key",
                "{name} without {lost:?}"
            );
        }
    }
}

/// As an upgraded relay finds it: a copy of 0.1 has neither id, nor mark, nor audit log.
#[test]
fn a_copy_that_knows_nothing_else_is_believed() {
    let world = World::new();
    world.lose(&["keystore.id", "audit.log", "../keys.mark"]);
    let keystore = Keystore::open(world.keystore.path()).unwrap();
    let built = build(&["een", "twee"], &keystore, None);
    assert_eq!(keys(&built, DOMAIN), "s1");
    assert_eq!(keys(&built, "twee.example"), "awaiting a key");
    assert_eq!(built.problems, [""; 0]);
}

/// As a crash leaves it in the middle of the first key.
#[test]
fn a_first_key_that_was_cut_off_is_awaited() {
    for lost in [&["../keys.mark"][..], &["../keys.mark", "audit.log"]] {
        let world = World::new();
        fs::rename(
            world.path("een/keyring.json"),
            world.path("een/.tmp-keyring.json"),
        )
        .unwrap();
        world.lose(lost);
        let built = world.start();
        assert_eq!(keys(&built, DOMAIN), "awaiting a key");
        assert_eq!(built.problems, [""; 0]);
    }
}

#[test]
fn an_older_keyring_of_one_organisation_signs_with_nothing_that_was_given_up() {
    let (world, backup) = World::with_a_backup();
    let running = world.start();
    assert_eq!(keys(&running, DOMAIN), "s2");
    fs::copy(
        backup.join("een/keyring.json"),
        world.path("een/keyring.json"),
    )
    .unwrap();
    let built = world.start();
    assert_eq!(keys(&built, DOMAIN), "unusable");
    let problems = built.problems.join("\n");
    assert!(problems.contains("was given up on"), "{problems}");
    assert!(problems.contains("keystore restore"), "{problems}");
    // What runs goes on.
    let reloaded = world.reload(&running);
    assert_eq!(keys(&reloaded, DOMAIN), "s2");
    assert!(
        reloaded.problems[0].contains("stay in use"),
        "{:?}",
        reloaded.problems
    );
    assert_eq!(reloaded.snapshot.key_problems(), 1);
}

#[test]
fn an_older_keystore_under_a_running_signer_changes_nothing() {
    for lost in [
        &[][..],
        &["../keys.mark"],
        &["audit.log"],
        &["generation"],
        &["keystore.id"],
    ] {
        let (world, backup) = World::with_a_backup();
        let running = world.start();
        world.put_back(&backup);
        world.lose(lost);
        let mut before = running;
        for _ in 0..3 {
            let reloaded = world.reload(&before);
            assert_eq!(keys(&reloaded, DOMAIN), "s2", "without {lost:?}");
            let told = &reloaded.problems[0];
            assert!(told.contains("older copy"), "without {lost:?}: {told}");
            assert_eq!(reloaded.snapshot.key_problems(), 1);
            before = reloaded;
        }
        // At a start the key that was given up does not sign, as far as that is known.
        let started = world.start();
        let is_known = lost != ["../keys.mark"];
        assert_eq!(
            keys(&started, DOMAIN),
            if is_known { "unusable" } else { "s1" }
        );
    }
}

#[test]
fn an_empty_folder_under_a_running_signer_changes_nothing() {
    for mark in [false, true] {
        let world = World::new();
        let running = world.start();
        let path = world.keystore.path();
        fs::remove_dir_all(path).unwrap();
        fs::create_dir(path).unwrap();
        if !mark {
            fs::remove_dir_all(world.path("../keys.mark")).unwrap();
        }
        let reloaded = world.reload(&running);
        assert_eq!(keys(&reloaded, DOMAIN), "s1");
        assert_ne!(reloaded.problems, [""; 0]);
    }
}

/// Once the keeper has noticed it, the generation is higher than before; the keys in memory stay
/// until the DNS has shown those of the copy.
#[test]
fn a_running_signer_waits_until_the_keys_of_an_older_copy_were_seen() {
    let (world, backup) = World::with_a_backup();
    let running = world.start();
    world.put_back(&backup);
    drop(world.keystore.writer().unwrap());
    let reloaded = world.reload(&running);
    assert_eq!(keys(&reloaded, DOMAIN), "s2");
    let told = reloaded.problems.join("\n");
    assert!(told.contains("until the DNS has shown"), "{told}");
    // The right one is put back, with a key that was seen since.
    world.activate("s3");
    let reloaded = world.reload(&reloaded);
    assert_eq!(keys(&reloaded, DOMAIN), "s3");
    assert_eq!(reloaded.problems, [""; 0]);
}

#[test]
fn another_keystore_under_a_running_signer_changes_nothing() {
    let (world, other) = (World::new(), World::new());
    other.activate("s2");
    let running = world.start();
    world.put_back(other.keystore.path());
    let reloaded = world.reload(&running);
    assert_eq!(keys(&reloaded, DOMAIN), "s1");
    assert!(
        reloaded.problems[0].contains("another id"),
        "{:?}",
        reloaded.problems
    );
}

/// A revocation holds at once, though the signer waits for what the DNS shows of other keys.
#[test]
fn what_is_revoked_on_an_older_copy_signs_no_more() {
    let world = World::new();
    let backup = world.folder.path().join("backup");
    copy(world.keystore.path(), &backup);
    let een = organisation("een");
    let now = Timestamp::now();
    let s2 = Target {
        organisation: &een.id,
        selector: &"s2".parse().unwrap(),
        domains: &een.domains,
    };
    let algorithm = Algorithm::Ed25519Sha256;
    world.keystore.generate(&s2, algorithm, 0, now).unwrap();
    let running = world.start();
    world.put_back(&backup);
    let reloaded = world.reload(&running);
    assert_eq!(keys(&reloaded, DOMAIN), "s1");
    let keyring = world.keystore.read_keyring(&een.id).unwrap();
    let revoked = keys::revoke(&keyring, &"s1".parse().unwrap(), Timestamp::now()).unwrap();
    let mut writer = world.keystore.writer().unwrap();
    writer.apply(&een.id, &revoked, Timestamp::now()).unwrap();
    drop(writer);
    let reloaded = world.reload(&reloaded);
    assert_ne!(keys(&reloaded, DOMAIN), "s1");
}
