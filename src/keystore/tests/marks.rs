//! What a keystore is known by outside of its folder, and what follows if it is older than that.
//!
//! | what happens | test |
//! |---|---|
//! | an empty folder | `an_empty_folder_is_no_keystore`, `a_keystore_that_is_gone_is_not_made_anew` |
//! | a keystore of 0.1, or a copy without an id | `a_keystore_without_an_id_gets_one_with_the_next_change` |
//! | `keystore.id` gone | `an_id_that_is_gone_comes_back_from_the_mark` |
//! | `generation` gone | `a_generation_that_is_gone_is_a_step_back` |
//! | `audit.log` gone | `selectors_are_never_given_out_again` |
//! | an older copy | `an_older_copy_is_noticed_by_the_next_writer` |
//! | the mark of another keystore | `the_mark_of_another_keystore_is_noticed` |
//! | the mark cut off, behind, gone, not writable | `a_mark_that_is_cut_off_is_read_as_far_as_it_goes` and those after it |
//! | a selector of another organisation | `a_selector_of_another_organisation_is_passed_over_on_its_domains` |
//! | a folder moved away | `selectors_are_never_given_out_again`, `a_key_that_was_given_up_is_not_imported` |
//! | a backup restored on purpose | `a_restored_backup_gives_up_what_was_given_up_since` |

use std::{collections::BTreeSet, process::Command};

use super::*;
use crate::keys::{self, Revocation};

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// `s` and then `s-2` sign for een.nl; gives what the folder was with `s` alone.
fn with_a_backup() -> (Fixture, PathBuf) {
    let fixture = Fixture::new();
    make_active(&fixture, "s", 10);
    let backup = beside(&fixture, "backup");
    copy(fixture.keystore.path(), &backup);
    make_active(&fixture, "s-2", 20);
    (fixture, backup)
}

fn beside(fixture: &Fixture, name: &str) -> PathBuf {
    fixture.keystore.path().parent().unwrap().join(name)
}

fn make_active(fixture: &Fixture, selector: &str, now: i64) {
    let (organisation, selector, names) = (id("een"), name(selector), domains(&["een.nl"]));
    let target = target(&organisation, &selector, &names);
    let algorithm = Algorithm::Ed25519Sha256;
    let keystore = &fixture.keystore;
    keystore
        .generate(&target, algorithm, 0, second(now))
        .unwrap();
    keystore.activate(&target, &TIMING, second(now)).unwrap();
}

fn put_back(fixture: &Fixture, backup: &Path) {
    copy(backup, fixture.keystore.path());
}

/// As another process sees it.
fn reopened(fixture: &Fixture) -> Keystore {
    Keystore::open(fixture.keystore.path()).unwrap()
}

fn mark(fixture: &Fixture) -> PathBuf {
    beside(fixture, "keys.mark/mark.jsonl")
}

fn next_selector(fixture: &Fixture) -> String {
    let organisation = organisation("s");
    let free = reopened(fixture)
        .next_selector(&organisation, &BTreeSet::new(), second(30))
        .unwrap();
    free.unwrap().to_string()
}

#[test]
fn an_empty_folder_is_no_keystore() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("keys");
    fs::create_dir(&path).unwrap();
    fs::create_dir(path.join("lost+found")).unwrap();
    let keystore = Keystore::open(&path).unwrap();
    assert_eq!(keystore.standing().unwrap(), Standing::Empty);
    let error = keystore.check_initialised().unwrap_err();
    assert!(error.to_string().contains("zegel keystore init"), "{error}");
    let error = keystore.writer().err().unwrap();
    assert!(matches!(error, KeystoreError::NotInitialised(_)), "{error}");
    assert!(keystore.initialise().unwrap());
    assert!(!keystore.initialise().unwrap());
    keystore.check_initialised().unwrap();
    keystore.writer().unwrap();
}

#[test]
fn a_keystore_that_is_gone_is_not_made_anew() {
    let fixture = Fixture::with_two_keys();
    let path = fixture.keystore.path();
    fs::remove_dir_all(path).unwrap();
    fs::create_dir(path).unwrap();
    let keystore = reopened(&fixture);
    for error in [
        keystore.check_initialised().unwrap_err(),
        keystore.initialise().unwrap_err(),
        keystore.writer().err().unwrap(),
    ] {
        assert!(matches!(error, KeystoreError::EarlierThanMark { .. }));
        assert!(error.to_string().contains("keys.mark"), "{error}");
        assert!(error.to_string().contains("keystore restore"), "{error}");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

#[test]
fn a_selector_of_another_organisation_is_passed_over_on_its_domains() {
    // By the mark, and by the keyrings where there is none.
    for has_mark in [true, false] {
        let fixture = Fixture::new();
        make_active(&fixture, "s", 10);
        make_active(&fixture, "s-3", 20);
        if !has_mark {
            fs::remove_dir_all(beside(&fixture, "keys.mark")).unwrap();
            fs::write(beside(&fixture, "keys.mark"), "no folder").unwrap();
        }
        let keystore = reopened(&fixture);
        let mut writer = keystore.writer().unwrap();
        let two = Organisation {
            id: id("twee"),
            ..organisation("s")
        };
        let new = || NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap();
        let mut made = |names: &[&str]| {
            let made = writer.add_next(&two, &domains(names), &new(), second(40));
            made.unwrap().selector.to_string()
        };
        assert_eq!(made(&["elders.nl"]), "s", "{has_mark}");
        assert_eq!(made(&["een.nl", "ander.nl"]), "s-2", "{has_mark}");
        let mut writer_refuses = |selector: &str| {
            let (selector, names) = (name(selector), domains(&["ander.nl", "een.nl"]));
            let target = target(&two.id, &selector, &names);
            let refused = writer.add(&target, &new(), second(50)).unwrap_err();
            refused.to_string()
        };
        // Its own one is used, and a name of its own is not.
        assert!(writer_refuses("s-2").contains("s-2"));
        assert!(writer_refuses("s-3").contains("een"), "{has_mark}");
        // A key that is there gets no domain where its name is another's.
        let keyring = keystore.read_keyring(&two.id).unwrap();
        let names = domains(&["een.nl"]);
        let added = keys::add_domains(&keyring, &name("s"), &names, second(70)).unwrap();
        let refused = writer.apply(&two.id, &added, second(70)).unwrap_err();
        assert!(
            matches!(refused, KeystoreError::SelectorTaken { .. }),
            "{refused}"
        );
        assert_eq!(keystore.read_keyring(&two.id).unwrap(), keyring);
    }
}

#[test]
fn the_id_stays_for_ever() {
    let fixture = Fixture::new();
    let first = fs::read(fixture.path("keystore.id")).unwrap();
    assert_eq!(first.len(), 33);
    make_active(&fixture, "s", 10);
    assert_eq!(fs::read(fixture.path("keystore.id")).unwrap(), first);
    let other = Fixture::new();
    assert_ne!(fs::read(other.path("keystore.id")).unwrap(), first);
    fs::write(fixture.path("keystore.id"), "no id").unwrap();
    let error = fixture.keystore.writer().err().unwrap();
    assert!(error.to_string().contains("keystore.id"), "{error}");
}

#[test]
fn a_keystore_without_an_id_gets_one_with_the_next_change() {
    for lost in [&["keystore.id"][..], &["keystore.id", "audit.log"]] {
        let fixture = Fixture::with_two_keys();
        fs::remove_dir_all(beside(&fixture, "keys.mark")).unwrap();
        for name in lost {
            fs::remove_file(fixture.path(name)).unwrap();
        }
        let keystore = reopened(&fixture);
        assert_eq!(keystore.standing().unwrap(), Standing::WithoutId);
        keystore.check_initialised().unwrap();
        let before = keystore.generation().unwrap();
        drop(keystore.writer().unwrap());
        assert!(matches!(
            keystore.standing().unwrap(),
            Standing::Initialised(_)
        ));
        assert_eq!(keystore.generation().unwrap(), before);
        assert!(mark(&fixture).exists());
    }
}

#[test]
fn an_id_that_is_gone_comes_back_from_the_mark() {
    let fixture = Fixture::with_two_keys();
    let id = fs::read(fixture.path("keystore.id")).unwrap();
    fs::remove_file(fixture.path("keystore.id")).unwrap();
    let writer = reopened(&fixture).writer().unwrap();
    assert_eq!(writer.restored(), None);
    assert_eq!(fs::read(fixture.path("keystore.id")).unwrap(), id);
}

#[test]
fn an_older_copy_is_noticed_by_the_next_writer() {
    let (fixture, backup) = with_a_backup();
    let before = fixture.keystore.generation().unwrap();
    put_back(&fixture, &backup);
    let keystore = reopened(&fixture);
    assert!(keystore.generation().unwrap() < before);
    let witness = keystore.witness().unwrap();
    let told = witness.step_back(None).unwrap();
    assert!(told.contains("keystore restore"), "{told}");
    let writer = keystore.writer().unwrap();
    assert!(writer.restored().is_some());
    assert!(keystore.generation().unwrap() > before);
    drop(writer);
    // Once, and not again.
    let after = keystore.generation().unwrap();
    let restored = keystore.writer().unwrap().restored();
    assert!(restored.is_some());
    assert_eq!(keystore.generation().unwrap(), after);
    assert_eq!(reopened(&fixture).witness().unwrap().step_back(None), None);
}

#[test]
fn a_generation_that_is_gone_is_a_step_back() {
    let fixture = Fixture::with_two_keys();
    let before = fixture.keystore.generation().unwrap();
    fs::remove_file(fixture.path("generation")).unwrap();
    let keystore = reopened(&fixture);
    assert!(keystore.witness().unwrap().step_back(None).is_some());
    assert!(keystore.writer().unwrap().restored().is_some());
    assert!(keystore.generation().unwrap() > before);
}

#[test]
fn the_mark_of_another_keystore_is_noticed() {
    let (fixture, other) = (Fixture::with_two_keys(), Fixture::new());
    copy(&beside(&other, "keys.mark"), &beside(&fixture, "keys.mark"));
    let keystore = reopened(&fixture);
    let told = keystore.witness().unwrap().step_back(None).unwrap();
    assert!(told.contains("another id"), "{told}");
    assert!(keystore.writer().unwrap().restored().is_some());
    assert_eq!(keystore.witness().unwrap().step_back(None), None);
    // The mark is that of this keystore from now on.
    assert!(keystore.initialise().is_ok_and(|is_new| !is_new));
}

#[test]
fn a_mark_that_is_cut_off_is_read_as_far_as_it_goes() {
    let (fixture, _) = with_a_backup();
    let text = fs::read(mark(&fixture)).unwrap();
    for length in [text.len() - 1, text.len() - 7] {
        fs::write(mark(&fixture), &text[..length]).unwrap();
        let keystore = reopened(&fixture);
        assert_eq!(keystore.witness().unwrap().step_back(None), None);
        let writer = keystore.writer().unwrap();
        assert_eq!(writer.restored(), None);
        drop(writer);
        assert_eq!(next_selector(&fixture), "s-3");
    }
    // What is appended to a line that was cut off is read all the same.
    fs::write(mark(&fixture), [&text[..], b"{\"what\":\"gen"].concat()).unwrap();
    let keystore = reopened(&fixture);
    make_active(&fixture, "s-3", 40);
    assert_eq!(keystore.witness().unwrap().step_back(None), None);
    fs::remove_dir_all(fixture.path("een")).unwrap();
    fs::remove_file(fixture.path("audit.log")).unwrap();
    assert_eq!(next_selector(&fixture), "s-4");
}

/// As a crash leaves it between the generation and the mark.
#[test]
fn a_mark_that_is_behind_is_brought_up_to_date() {
    let fixture = Fixture::new();
    make_active(&fixture, "s", 10);
    let before = fs::read(mark(&fixture)).unwrap();
    make_active(&fixture, "s-2", 20);
    fs::write(mark(&fixture), before).unwrap();
    let keystore = reopened(&fixture);
    assert_eq!(keystore.witness().unwrap().step_back(None), None);
    assert_eq!(keystore.writer().unwrap().restored(), None);
    fs::remove_dir_all(fixture.path("een")).unwrap();
    fs::remove_file(fixture.path("audit.log")).unwrap();
    assert_eq!(next_selector(&fixture), "s-3");
}

#[test]
fn selectors_are_never_given_out_again() {
    type Loss = (&'static str, &'static [&'static str]);
    let losses: [Loss; 6] = [
        ("the folder", &["een"]),
        ("folder and audit log", &["een", "audit.log"]),
        ("folder and mark", &["een", "../keys.mark"]),
        ("the keyring", &["een/keyring.json"]),
        (
            "keyring, key files and mark",
            &["een", "../keys.mark", "generation"],
        ),
        (
            "key files and audit log",
            &["een/s.pem", "een/s-2.pem", "audit.log"],
        ),
    ];
    for (what, lost) in losses {
        let (fixture, _) = with_a_backup();
        for name in lost {
            let path = match name.strip_prefix("../") {
                Some(name) => beside(&fixture, name),
                None => fixture.path(name),
            };
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        assert_eq!(next_selector(&fixture), "s-3", "without {what}");
        let (organisation, used) = (id("een"), name("s"));
        let target = target(&organisation, &used, &[]);
        let algorithm = Algorithm::Ed25519Sha256;
        let again = reopened(&fixture).generate(&target, algorithm, 0, second(30));
        let error = again.unwrap_err();
        assert!(
            matches!(error, KeystoreError::SelectorUsed { .. }),
            "without {what}: {error}"
        );
    }
}

#[test]
fn a_key_that_was_given_up_is_not_imported() {
    let (fixture, backup) = with_a_backup();
    let pem = |selector: &str| fs::read(backup.join(format!("een/{selector}.pem"))).unwrap();
    let given_up = pem("s");
    let in_use = fs::read(fixture.path("een/s-2.pem")).unwrap();
    fs::remove_dir_all(fixture.path("een")).unwrap();
    let keystore = reopened(&fixture);
    let (een, twee) = (id("een"), id("twee"));
    for (organisation, selector) in [(&een, "s"), (&een, "s9"), (&twee, "s")] {
        let selector = name(selector);
        let target = target(organisation, &selector, &[]);
        let error = keystore.import(&target, &given_up, second(30)).unwrap_err();
        assert!(
            matches!(
                error,
                KeystoreError::KeyGivenUp { .. } | KeystoreError::SelectorUsed { .. }
            ),
            "{error}"
        );
    }
    // One that was lost, and not given up, may come back in its place.
    let selector = name("s-2");
    let target = target(&een, &selector, &[]);
    keystore.import(&target, &in_use, second(30)).unwrap();
}

#[test]
fn a_key_that_was_given_up_is_not_activated() {
    let fixture = Fixture::new();
    let (organisation, selector, names) = (id("een"), name("s"), domains(&["een.nl"]));
    let target = target(&organisation, &selector, &names);
    let algorithm = Algorithm::Ed25519Sha256;
    fixture
        .keystore
        .generate(&target, algorithm, 0, second(10))
        .unwrap();
    let backup = beside(&fixture, "backup");
    copy(fixture.keystore.path(), &backup);
    let keyring = fixture.keystore.read_keyring(&organisation).unwrap();
    let revoked = keys::revoke(&keyring, &selector, second(20)).unwrap();
    let mut writer = fixture.keystore.writer().unwrap();
    writer.apply(&organisation, &revoked, second(20)).unwrap();
    drop(writer);
    put_back(&fixture, &backup);
    let error = reopened(&fixture)
        .activate(&target, &TIMING, second(30))
        .unwrap_err();
    assert!(error.to_string().contains("it was given up on"), "{error}");
    assert!(matches!(error, KeystoreError::UnusableKey(_)));
}

#[test]
fn a_restored_backup_gives_up_what_was_given_up_since() {
    for revoke in [false, true] {
        let (fixture, backup) = with_a_backup();
        let organisation = id("een");
        if revoke {
            let keyring = fixture.keystore.read_keyring(&organisation).unwrap();
            let changes = keys::revoke(&keyring, &name("s"), second(25)).unwrap();
            let mut writer = fixture.keystore.writer().unwrap();
            writer.apply(&organisation, &changes, second(25)).unwrap();
        }
        let before = fixture.keystore.generation().unwrap();
        fs::remove_dir_all(fixture.keystore.path()).unwrap();
        fs::create_dir(fixture.keystore.path()).unwrap();
        let keystore = reopened(&fixture);
        keystore.copy_from(&backup).unwrap();
        let restored = keystore.restore(second(40)).unwrap();
        assert!(restored.failed.is_empty());
        assert_eq!(restored.given_up.len(), 1);
        assert!(restored.generation > before);
        let keyring = keystore.read_keyring(&organisation).unwrap();
        let publication = keyring.keys()[0].publications.values().next().unwrap();
        assert_eq!(publication.state, State::Revoked);
        let why = revoke.then_some(Revocation::Compromised);
        assert_eq!(publication.revocation, why);
        let log = fs::read_to_string(fixture.path("audit.log")).unwrap();
        assert!(log.contains("\"event\":\"restored\""), "{log}");
        assert!(log.contains("\"event\":\"revoked\""), "{log}");
        // A second time there is nothing to do.
        assert!(keystore.restore(second(41)).unwrap().given_up.is_empty());
        // And never over what is there.
        let error = keystore.copy_from(&backup).unwrap_err();
        assert!(matches!(error, KeystoreError::NotEmpty(_)), "{error}");
    }
}

#[test]
fn a_mark_that_cannot_be_written_holds_up_nothing() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("keys.mark"), "in the way").unwrap();
    let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
    let fixture = Fixture {
        keystore,
        _folder: folder,
    };
    make_active(&fixture, "s", 10);
    make_active(&fixture, "s-2", 20);
    let problem = fixture.keystore.mark_problem().unwrap();
    assert!(problem.contains("keys.mark"), "{problem}");
    assert!(problem.contains("[keystore] mark"), "{problem}");
    let witness = fixture.keystore.witness().unwrap();
    assert!(witness.problem().is_some());
    assert_eq!(witness.step_back(None), None);
    // Without it the audit log tells which selectors are used.
    fs::remove_dir_all(fixture.path("een")).unwrap();
    assert_eq!(next_selector(&fixture), "s-3");
}

#[test]
fn a_mark_is_written_anew_when_most_of_it_is_not_needed() {
    let fixture = Fixture::new();
    make_active(&fixture, "s", 10);
    let short = fs::read(mark(&fixture)).unwrap();
    let line = b"{\"what\":\"generation\",\"number\":2}\n".repeat(1100);
    fs::write(mark(&fixture), [&short[..], &line].concat()).unwrap();
    make_active(&fixture, "s-2", 20);
    let lines = fs::read_to_string(mark(&fixture)).unwrap().lines().count();
    assert!(lines < 10, "{lines}");
    assert_eq!(reopened(&fixture).witness().unwrap().step_back(None), None);
    fs::remove_dir_all(fixture.path("een")).unwrap();
    fs::remove_file(fixture.path("audit.log")).unwrap();
    assert_eq!(next_selector(&fixture), "s-3");
}

#[test]
fn a_mark_elsewhere_is_used_instead_of_the_one_beside_the_keystore() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("elsewhere");
    let path = folder.path().join("keys");
    fs::create_dir(&path).unwrap();
    let keystore = Keystore::open(&path).unwrap().with_mark(&place);
    keystore.initialise().unwrap();
    assert!(place.join("mark.jsonl").exists());
    assert!(!folder.path().join("keys.mark").exists());
}

#[test]
fn another_mark_in_the_place_of_one_that_was_read_is_read_anew() {
    let (fixture, _) = with_a_backup();
    let keystore = reopened(&fixture);
    let names = || {
        let next = keystore.next_selector(&organisation("x"), &BTreeSet::new(), second(30));
        next.unwrap().unwrap().to_string()
    };
    assert_eq!(names(), "x");
    let text = fs::read_to_string(mark(&fixture)).unwrap();
    let key = text.lines().find(|line| line.contains("\"s-2\"")).unwrap();
    let other = key.replace("\"s-2\"", "\"x\"");
    // A new file may get the inode of the one that was removed: this has it too.
    fs::write(mark(&fixture), format!("{other}\n{text}")).unwrap();
    assert_eq!(names(), "x-2");
}
