//! `zegel keystore`: making one, and putting a backup in its place.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use crate::setup::{Done, RSA_KEY, Setup, finish, zegel};

const IMPORT: [&str; 6] = ["key", "import", "voorbeeld", RSA_KEY, "--selector", "s1"];

/// With an empty folder in the place of the keystore, and no mark.
fn empty() -> Setup {
    let setup = Setup::new();
    empty_folder(&setup);
    fs::remove_dir_all(setup.path("keys.mark")).unwrap();
    setup
}

fn empty_folder(setup: &Setup) {
    fs::remove_dir_all(setup.path("keys")).unwrap();
    make_folder(setup, "keys");
}

fn make_folder(setup: &Setup, name: &str) {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(setup.path(name)).unwrap();
}

/// Copies a folder with one level of folders in it, as a backup does.
fn copy(setup: &Setup, from: &str, to: &str) {
    make_folder(setup, to);
    for entry in fs::read_dir(setup.path(from)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        if entry.file_type().unwrap().is_dir() {
            copy(setup, &from, &to);
        } else {
            fs::copy(setup.path(&from), setup.path(&to)).unwrap();
        }
    }
}

fn init(setup: &Setup) -> Done {
    setup.run(["keystore", "init"])
}

fn names(setup: &Setup, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(setup.path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// `s1` signs in the backup, and has been given up since.
fn with_older_backup() -> Setup {
    let setup = Setup::with_key();
    copy(&setup, "keys", "backup");
    setup
        .run(["key", "revoke", "voorbeeld", "s1", "--compromised"])
        .expect(0);
    setup
}

fn states(setup: &Setup, selector: &str) -> Vec<String> {
    let keys = setup
        .run(["key", "list", "--json"])
        .expect(0)
        .member("keys");
    let keys = keys.as_array().unwrap().iter();
    let key = keys.filter(|key| key["selector"] == selector);
    key.flat_map(|key| key["domains"].as_array().unwrap())
        .map(|domain| domain["state"].as_str().unwrap().to_owned())
        .collect()
}

const GIVEN_UP: [&str; 2] = [
    "voorbeeld: s1 was given up for nieuws.voorbeeld.nl since the backup was made, and is \
     revoked here",
    "voorbeeld: s1 was given up for voorbeeld.nl since the backup was made, and is revoked here",
];

#[test]
fn an_empty_folder_becomes_a_keystore() {
    let setup = empty();
    let keys = setup.path("keys").display().to_string();
    setup
        .run(["org", "suspend", "voorbeeld"])
        .expect(1)
        .complains(&["never made a keystore", "zegel keystore init"]);
    init(&setup)
        .expect(0)
        .says(&[&format!("{keys} is a keystore now.")]);
    let id = fs::read(setup.path("keys/keystore.id")).unwrap();
    let done = init(&setup)
        .expect(0)
        .says(&["is a keystore already; nothing was changed"]);
    assert_eq!(done.err, "");
    assert_eq!(fs::read(setup.path("keys/keystore.id")).unwrap(), id);
    setup.run(["org", "suspend", "voorbeeld"]).expect(0);
}

#[test]
fn a_new_file_system_is_an_empty_folder() {
    let setup = empty();
    make_folder(&setup, "keys/lost+found");
    init(&setup).expect(0).says(&["is a keystore now"]);
}

#[test]
fn a_folder_with_something_else_in_it_does_not_become_a_keystore() {
    let setup = empty();
    setup.write("keys/hosts", "127.0.0.1 localhost\n");
    init(&setup).expect(1).complains(&[
        "no keystore, and hosts is in it",
        "set [keystore] path to an empty folder",
    ]);
    setup
        .run(IMPORT)
        .expect(1)
        .complains(&["no keystore, and hosts is in it"]);
    assert_eq!(names(&setup, "keys"), ["hosts"]);
    // Neither does a file, nor what is not there.
    fs::remove_dir_all(setup.path("keys")).unwrap();
    init(&setup)
        .expect(1)
        .complains(&["there is no keystore", "install -d -m 700"]);
    setup.write("keys", "");
    init(&setup).expect(1);
    assert!(setup.path("keys").is_file());
}

#[test]
fn a_folder_that_others_write_in_does_not_become_a_keystore() {
    let setup = empty();
    let keys = setup.path("keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    init(&setup)
        .expect(1)
        .complains(&["others can write in this folder", "chmod 700"]);
    assert!(names(&setup, "keys").is_empty());
}

#[test]
fn a_mount_that_failed_does_not_become_a_keystore() {
    let setup = Setup::with_key();
    empty_folder(&setup);
    let mark = setup.path("keys.mark/mark.jsonl").display().to_string();
    let way_out = [
        mark.as_str(),
        "says that there was one: mount it",
        "zegel keystore restore --from DIR",
    ];
    init(&setup).expect(1).complains(&way_out);
    setup.run(IMPORT).expect(1).complains(&way_out);
    setup
        .run(["keystore", "restore"])
        .expect(1)
        .complains(&way_out);
    assert!(names(&setup, "keys").is_empty());
}

#[test]
fn what_was_given_up_since_a_backup_is_given_up_in_it_too() {
    let setup = with_older_backup();
    empty_folder(&setup);
    let backup = setup.path("backup").display().to_string();
    let restore = ["keystore", "restore", "--from", &backup];
    let keys = setup.path("keys").display().to_string();
    let said = setup.run(restore).expect(0).says(&GIVEN_UP).says(&[
        &format!("{keys} is in use again, with generation "),
        "until the DNS has shown its active keys again",
    ]);
    assert_eq!(said.err, "");
    assert_eq!(states(&setup, "s1"), ["revoked", "revoked"]);
    assert_eq!(
        fs::read(setup.path("keys/keystore.id")).unwrap(),
        fs::read(setup.path("backup/keystore.id")).unwrap()
    );
    let audit = fs::read_to_string(setup.path("keys/audit.log")).unwrap();
    assert!(audit.contains("\"event\":\"restored\""), "{audit}");
    // Once more there is nothing to give up, and a backup is not mixed with what is there.
    let again = setup.run(["keystore", "restore"]).expect(0);
    assert!(!again.out.contains("was given up"), "{}", again.out);
    setup
        .run(restore)
        .expect(1)
        .complains(&["the keystore is not empty", "move what is there away"]);
}

#[test]
fn a_backup_that_was_put_back_by_hand_is_restored() {
    let setup = with_older_backup();
    fs::remove_dir_all(setup.path("keys")).unwrap();
    copy(&setup, "backup", "keys");
    setup
        .run(["check"])
        .expect(1)
        .complains(&["an older copy of the keystore", "zegel keystore restore"]);
    setup.run(["keystore", "restore"]).expect(0).says(&GIVEN_UP);
    assert_eq!(states(&setup, "s1"), ["revoked", "revoked"]);
    let check = setup.run(["check"]);
    assert!(!check.err.contains("an older copy"), "{}", check.err);
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let setup = with_older_backup();
    empty_folder(&setup);
    make_folder(&setup, "none");
    let none = setup.path("none").display().to_string();
    setup
        .run(["keystore", "restore", "--from", &none])
        .expect(1)
        .complains(&[&none, "never made a keystore"]);
    let missing = setup.path("missing").display().to_string();
    setup
        .run(["keystore", "restore", "--from", &missing])
        .expect(1)
        .complains(&[&missing]);
    assert!(names(&setup, "keys").is_empty());
}

/// The first command of the README, in a folder as a clone has it: what git keeps of `keys/` is in
/// nobody's way.
#[test]
fn the_demo_works_in_a_fresh_clone() {
    let clone = tempfile::tempdir().unwrap();
    let keys = clone.path().join("keys");
    fs::DirBuilder::new().mode(0o755).create(&keys).unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    let ignored = fs::read_to_string(repository.join(".gitignore")).unwrap();
    let kept = ignored.lines().filter_map(|line| line.strip_prefix('!'));
    for name in kept {
        fs::copy(repository.join(name), keys.join(name)).unwrap();
    }
    for _ in 0..2 {
        let mut demo = zegel();
        demo.arg("demo").current_dir(clone.path());
        finish(&mut demo, b"").expect(0).says(&[
            "4. The signature verifies",
            "gemeente.example. TXT \"v=DKIM1",
        ]);
    }
}
