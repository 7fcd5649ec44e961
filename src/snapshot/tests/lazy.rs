//! Keys that are read when they are first needed.

use std::{os::unix::fs::PermissionsExt, sync::Barrier, thread};

use super::*;
use crate::{
    keys::{Change, Event, Publication, Withdrawal},
    names::Selector,
};

fn first(ids: &[&str], keystore: &Keystore) -> Built {
    Snapshot::first(loaded(ids), keystore, &Metrics::new()).unwrap()
}

fn keys_of<'a>(built: &'a Built, name: &str) -> &'a DomainKeys {
    domain(built, name).keys.as_ref().unwrap()
}

fn signs(keys: &DomainKeys) -> bool {
    matches!(keys.load(), Signing::Active(_))
}

/// Keys for two organisations.
fn keystore_for_two(folder: &Path) -> Keystore {
    let keystore = keystore_with_key(folder, "een");
    add_key(&keystore, "twee");
    keystore
}

fn open_to_all(keystore: &Keystore, organisation: &str) {
    let path = keystore.path().join(organisation).join("s1.pem");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_key_is_read_when_it_is_needed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een", "twee"], &keystore);
    assert_eq!(built.problems, [""; 0]);
    let keys = keys_of(&built, "een.example");
    assert!(keys.ready().is_none());
    assert_eq!(keys.to_string(), "s1");
    assert!(signs(keys));
    assert!(matches!(keys.ready(), Some(Signing::Active(keys)) if keys.len() == 1));
    fs::remove_file(keystore.path().join("een/s1.pem")).unwrap();
    assert!(signs(keys));
    // There is nothing to be read.
    let none = keys_of(&built, "twee.example");
    assert!(matches!(none.ready(), Some(Signing::Awaiting)));
    assert_eq!(built.snapshot.domains_without_key(), 1);
}

#[test]
fn a_key_that_is_refused_when_it_is_needed_harms_its_own_organisation_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_for_two(folder.path());
    open_to_all(&keystore, "een");
    let built = first(&["een", "twee"], &keystore);
    assert_eq!(built.problems, [""; 0]);
    let een = keys_of(&built, "een.example");
    let log = logged(|| {
        for _ in 0..3 {
            assert!(matches!(een.load(), Signing::Unusable));
        }
        take_care(&built.snapshot);
    });
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("een/s1.pem: it can be used by others"),
        "{log}"
    );
    assert!(log.contains("chmod 600"), "{log}");
    assert!(matches!(een.ready(), Some(Signing::Unusable)));
    assert!(signs(keys_of(&built, "twee.example")));
    // Mended, and told by a reload.
    let path = keystore.path().join("een/s1.pem");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let after = build(&["een", "twee"], &keystore, Some(&built.snapshot));
    assert!(matches!(
        keys_of(&after, "een.example").ready(),
        Some(Signing::Active(_))
    ));
    assert_eq!(
        key_changes(&after, &built),
        ["keys of een.example: unusable -> s1"]
    );
}

#[test]
fn many_messages_wait_for_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een"], &keystore);
    let keys = keys_of(&built, "een.example");
    let barrier = Barrier::new(8);
    let read = || {
        barrier.wait();
        match keys.load() {
            Signing::Active(keys) => Arc::clone(&keys[0].signing_key),
            other => panic!("{other:?}"),
        }
    };
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(all.iter().all(|key| Arc::ptr_eq(key, &all[0])));
}

#[test]
fn a_key_of_two_organisations_is_refused_before_either_has_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    share_key(&keystore, "een", "twee");
    let built = first(&["een", "twee"], &keystore);
    assert_eq!(built.problems.len(), 1, "{:?}", built.problems);
    for name in ["een.example", "twee.example"] {
        assert!(
            matches!(keys_of(&built, name).load(), Signing::Unusable),
            "{name}"
        );
    }
    // Once it is that of one alone, that one may sign.
    let mut writer = keystore.writer().unwrap();
    let timing = Settings::default().timing();
    let retired = writer.retire(&"twee".parse().unwrap(), None, &timing, Timestamp::now());
    assert_eq!(retired.unwrap().changes.len(), 1);
    let after = build(&["een"], &keystore, Some(&built.snapshot));
    assert!(signs(keys_of(&after, "een.example")));
}

#[test]
fn a_key_that_signs_already_stops_when_another_organisation_turns_up_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een", "twee"], &keystore);
    assert!(signs(keys_of(&built, "een.example")));
    share_key(&keystore, "een", "twee");
    let after = build(&["een", "twee"], &keystore, Some(&built.snapshot));
    for name in ["een.example", "twee.example"] {
        assert!(
            matches!(keys_of(&after, name).load(), Signing::Unusable),
            "{name}"
        );
    }
}

#[test]
fn care_reads_keys_ahead_of_their_mail() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_for_two(folder.path());
    open_to_all(&keystore, "twee");
    let built = first(&["een", "twee"], &keystore);
    let log = logged(|| take_care(&built.snapshot));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("twee/s1.pem"), "{log}");
    let signing = |name| keys_of(&built, name).ready();
    assert!(matches!(signing("een.example"), Some(Signing::Active(_))));
    assert!(matches!(signing("twee.example"), Some(Signing::Unusable)));
}

/// A second key comes into use for `een`, and its file is lost.
fn lose_successor(keystore: &Keystore) {
    let een = organisation("een");
    let target = Target {
        organisation: &een.id,
        selector: &"s2".parse().unwrap(),
        domains: &een.domains,
    };
    let now = Timestamp::now();
    keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, now)
        .unwrap();
    keystore
        .activate(&target, &Settings::default().timing(), now)
        .unwrap();
    fs::remove_file(keystore.path().join("een/s2.pem")).unwrap();
}

/// The record may be gone by then.
#[test]
fn a_key_whose_withdrawal_is_asked_for_stands_in_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een"], &keystore);
    lose_successor(&keystore);
    let standing_in = build(&["een"], &keystore, Some(&built.snapshot));
    assert_eq!(keys(&standing_in, "een.example"), "s1");
    let generation = keystore.generation().unwrap();
    ask_for_withdrawal(&keystore);
    // The running signer is told; one that was not there in between knows it as well.
    assert_eq!(keystore.generation().unwrap(), generation + 1);
    for before in [standing_in, built] {
        let after = build(&["een"], &keystore, Some(&before.snapshot));
        let goes_on = |line: &String| line.contains("goes on signing");
        assert!(!after.problems.iter().any(goes_on), "{:?}", after.problems);
        assert!(matches!(
            keys_of(&after, "een.example").load(),
            Signing::Unusable
        ));
    }
}

/// As the keeper does when `s1` has drained.
fn ask_for_withdrawal(keystore: &Keystore) {
    let een = organisation("een");
    let selector: Selector = "s1".parse().unwrap();
    let domain = &een.domains[0];
    let keyring = keystore.read_keyring(&een.id).unwrap();
    let before = keyring.key(&selector).unwrap().publications[domain];
    let change = Change {
        selector,
        domain: domain.clone(),
        before: Some(before),
        after: Publication {
            withdrawal: Some(Withdrawal::Asked),
            ..before
        },
        event: Event::WithdrawalAsked,
    };
    let mut writer = keystore.writer().unwrap();
    writer.apply(&een.id, &[change], Timestamp::now()).unwrap();
}

#[test]
fn a_successor_that_is_refused_leaves_the_key_in_use_though_nobody_had_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een"], &keystore);
    lose_successor(&keystore);
    let after = build(&["een"], &keystore, Some(&built.snapshot));
    assert_eq!(after.problems.len(), 2, "{:?}", after.problems);
    assert!(after.problems[0].contains("s2.pem"), "{:?}", after.problems);
    assert!(
        after.problems[1].contains("s1 of een goes on signing"),
        "{:?}",
        after.problems
    );
    assert_eq!(keys(&after, "een.example"), "s1");
    assert!(signs(keys_of(&after, "een.example")));
}

/// Nobody has read the successor yet, as after a reload in a moment without descriptors.
#[test]
fn a_successor_that_was_not_readable_just_then_leaves_the_key_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = first(&["een"], &keystore);
    lose_successor(&keystore);
    let een = Arc::new(organisation("een"));
    let source = Source {
        keystore: &keystore,
        view: &keystore.view().unwrap(),
        witness: &keystore.witness().unwrap(),
        has_stepped_back: false,
        reading: Reading::WhenNeeded,
    };
    let mut problems = Vec::new();
    let before = &built.snapshot.found[0];
    let found = FoundKeys::load(&Member::of_file(&een), &source, Some(before), &mut problems);
    assert_eq!(found.set.selectors(&een.domains[0]), ["s2"]);
    // It stays through further reloads of that kind.
    let found = FoundKeys::load(&Member::of_file(&een), &source, Some(&found), &mut problems);
    match found.set.choose(&een.domains[0]) {
        Signing::Active(keys) => assert_eq!(keys[0].selector.as_str(), "s1"),
        other => panic!("{other:?}"),
    }
}
