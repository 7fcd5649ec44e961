//! How many keys and keyrings can't be used as they should be: the same number when a
//! snapshot is made and when all its keys have been read, unless a key turns out to be bad.

use super::*;

fn problems_after_care(built: &Built) -> usize {
    take_care(&built.snapshot);
    built.snapshot.key_problems()
}

#[test]
fn a_key_of_two_organisations_counts_for_both_and_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    share_key(&keystore, "een", "twee");
    add_key(&keystore, "drie");
    let built = build(&["een", "twee", "drie"], &keystore, None);
    assert_eq!(built.snapshot.key_problems(), 2);
    assert_eq!(problems_after_care(&built), 2);
}

#[test]
fn a_keyring_that_is_gone_counts_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let path = keystore.path().join("een/keyring.json");
    let away = folder.path().join("away");
    let mut last = build(&["een"], &keystore, None);
    assert_eq!(last.snapshot.key_problems(), 0);
    fs::rename(&path, &away).unwrap();
    for _ in 0..2 {
        last = build(&["een"], &keystore, Some(&last.snapshot));
        assert_eq!(keys(&last, "een.example"), "s1");
        assert_eq!(last.snapshot.key_problems(), 1);
        assert_eq!(problems_after_care(&last), 1);
        // So that somebody looks whether it is back: the generation would not tell.
        assert!(last.snapshot.has_unread_keyrings());
    }
    fs::rename(&away, &path).unwrap();
    last = build(&["een"], &keystore, Some(&last.snapshot));
    assert!(!last.snapshot.has_unread_keyrings());
    assert_eq!(problems_after_care(&last), 0);
}

#[test]
fn two_unreadable_keyrings_and_a_refused_key_are_three() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    for id in ["twee", "drie"] {
        add_key(&keystore, id);
    }
    let ids = ["een", "twee", "drie", "vier"];
    let good = build(&ids, &keystore, None);
    assert_eq!(problems_after_care(&good), 0);
    for id in ["een", "twee"] {
        fs::write(keystore.path().join(id).join("keyring.json"), "{").unwrap();
    }
    fs::remove_file(keystore.path().join("drie/s1.pem")).unwrap();
    // All keys are still at hand, and then after a start none is.
    let later = build(&ids, &keystore, Some(&good.snapshot));
    assert_eq!(later.snapshot.key_problems(), 2);
    let metrics = Metrics::new();
    let started = Snapshot::first(loaded(&ids), &keystore, &metrics).unwrap();
    assert_eq!(started.snapshot.key_problems(), 2);
    assert_eq!(problems_after_care(&started), 3);
    let reloaded = build(&ids, &keystore, Some(&started.snapshot));
    assert_eq!(reloaded.snapshot.key_problems(), 3);
    assert_eq!(problems_after_care(&reloaded), 3);
}

/// It would not come back after a restart.
#[test]
fn a_key_that_signs_on_without_its_file_counts() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = build(&["een"], &keystore, None);
    assert_eq!(problems_after_care(&built), 0);
    let (path, away) = (
        keystore.path().join("een/s1.pem"),
        folder.path().join("away"),
    );
    fs::rename(&path, &away).unwrap();
    for _ in 0..2 {
        assert_eq!(problems_after_care(&built), 1);
        assert_eq!(keys(&built, "een.example"), "s1");
    }
    // A reload takes it over as it is, and says so from the first moment on.
    let reloaded = build(&["een"], &keystore, Some(&built.snapshot));
    assert_eq!(reloaded.snapshot.key_problems(), 1);
    fs::rename(&away, &path).unwrap();
    assert_eq!(problems_after_care(&reloaded), 0);
}

#[test]
fn a_key_that_stays_as_it_was_counts() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let mut last = build(&["een"], &keystore, None);
    let path = keystore.path().join("een/keyring.json");
    let keyring = fs::read_to_string(&path).unwrap();
    fs::write(&path, keyring.replace("\"s1\"", "\"s2\"")).unwrap();
    for _ in 0..2 {
        last = build(&["een"], &keystore, Some(&last.snapshot));
        let problems = last.problems.join("\n");
        assert!(problems.contains("s2.pem"), "{problems}");
        assert!(
            problems.contains("the key as it was stays in use"),
            "{problems}"
        );
        assert_eq!(keys(&last, "een.example"), "s1");
        assert_eq!(problems_after_care(&last), 1);
    }
    fs::rename(path.with_file_name("s1.pem"), path.with_file_name("s2.pem")).unwrap();
    last = build(&["een"], &keystore, Some(&last.snapshot));
    assert_eq!(keys(&last, "een.example"), "s2");
    assert_eq!(problems_after_care(&last), 0);
}

/// Its file has come right, of which the generation tells nothing.
#[test]
fn a_refused_key_that_was_mended_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let (path, away) = (
        keystore.path().join("een/s1.pem"),
        folder.path().join("away"),
    );
    fs::rename(&path, &away).unwrap();
    let built = Snapshot::first(loaded(&["een"]), &keystore, &Metrics::new()).unwrap();
    assert_eq!(problems_after_care(&built), 1);
    assert!(!built.snapshot.has_mended_keys());
    fs::rename(&away, &path).unwrap();
    assert!(built.snapshot.has_mended_keys());
    let again = build(&["een"], &keystore, Some(&built.snapshot));
    assert_eq!(problems_after_care(&again), 0);
    assert!(!again.snapshot.has_mended_keys());
    assert_eq!(keys(&again, "een.example"), "s1");
}
