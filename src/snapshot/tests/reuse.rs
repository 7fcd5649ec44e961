//! A reload makes anew what has changed, and nothing else.

use super::*;

/// A configuration that keeps its organisations from one snapshot to the next.
fn again(loaded: &Loaded) -> Loaded {
    loaded.clone()
}

fn build_from(loaded: Loaded, keystore: &Keystore, previous: Option<&Snapshot>) -> Built {
    Snapshot::build(loaded, keystore, &Metrics::new(), previous).unwrap()
}

fn is_same(first: &Built, second: &Built, name: &str) -> bool {
    Arc::ptr_eq(domain(first, name), domain(second, name))
}

/// Makes the keyrings old enough to be known by their stamps.
fn settle() {
    std::thread::sleep(Duration::from_millis(3100));
}

const NAMES: [&str; 3] = ["een.example", "oud-een.example", "twee.example"];

#[test]
fn what_has_not_changed_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    settle();
    let loaded = loaded(&["een", "twee"]);
    let first = build_from(again(&loaded), &keystore, None);
    let second = build_from(again(&loaded), &keystore, Some(&first.snapshot));
    for name in NAMES {
        assert!(is_same(&first, &second, name), "{name}");
    }
    assert_eq!(key_changes(&second, &first), [""; 0]);

    // One organisation changes: its key is kept all the same.
    let mut changed = again(&loaded);
    Arc::make_mut(&mut changed.organisations[0]).name = "Anders".to_owned();
    let third = build_from(changed, &keystore, Some(&second.snapshot));
    assert!(!is_same(&second, &third, "een.example"));
    assert!(is_same(&second, &third, "twee.example"));
    let key = |built: &Built| match domain(built, "een.example").keys.as_ref().unwrap().load() {
        Signing::Active(keys) => Arc::clone(&keys[0]),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&key(&second), &key(&third)));
    assert_eq!(domain(&third, "een.example").organisation.name, "Anders");
}

#[test]
fn organisations_and_domains_come_go_and_move() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let before = loaded(&["drie", "een", "twee"]);
    let first = build_from(again(&before), &keystore, None);
    assert!(!first.has_lost);
    // Een is not where it was, twee is gone, and vier is new and has a domain of drie.
    let mut after = loaded(&["een", "vier", "drie"]);
    for (place, old) in [(0, 1), (2, 0)] {
        after.organisations[place] = Arc::clone(&before.organisations[old]);
    }
    let drie = Arc::make_mut(&mut after.organisations[2]);
    let parked = std::mem::take(&mut drie.parked);
    Arc::make_mut(&mut after.organisations[1])
        .domains
        .extend(parked);
    let second = build_from(after, &keystore, Some(&first.snapshot));
    assert!(second.has_lost);
    assert_eq!(keys(&second, "een.example"), "s1");
    let owner = |name: &str| {
        let domain = second.snapshot.domain(&name.parse().unwrap());
        domain.map(|domain| domain.organisation.id.as_str())
    };
    assert_eq!(owner("oud-drie.example"), Some("vier"));
    assert_eq!(owner("drie.example"), Some("drie"));
    assert_eq!(owner("twee.example"), None);
    assert_eq!(owner("oud-twee.example"), None);
    assert_eq!(
        key_changes(&second, &first),
        [
            "keys of oud-drie.example: none -> awaiting a key",
            "keys of twee.example: awaiting a key -> none",
            "keys of vier.example: none -> awaiting a key",
        ]
    );
}

#[test]
fn a_keyring_that_has_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    settle();
    let loaded = loaded(&["een", "twee"]);
    let first = build_from(again(&loaded), &keystore, None);
    let path = keystore.path().join("een/keyring.json");
    let keyring = fs::read_to_string(&path).unwrap();
    // In place, and as long as it was.
    for (text, expected) in [
        (
            keyring.replace("\"active\"", "\"revoked\""),
            "awaiting a key",
        ),
        (keyring.clone(), "s1"),
        (
            keyring.replace("\"active\"", "\"withdrawn\""),
            "awaiting a key",
        ),
        (keyring.clone(), "s1"),
    ] {
        fs::write(&path, text).unwrap();
        let next = build_from(again(&loaded), &keystore, Some(&first.snapshot));
        assert_eq!(next.problems, [""; 0]);
        assert_eq!(keys(&next, "een.example"), expected);
        assert!(is_same(&first, &next, "twee.example"));
    }
    // One that comes to be there, and one that is garbage.
    share_key(&keystore, "een", "twee");
    fs::write(&path, "{").unwrap();
    for _ in 0..2 {
        let next = build_from(again(&loaded), &keystore, Some(&first.snapshot));
        let problems = next.problems.join("\n");
        assert!(
            problems.contains("een/keyring.json: it is not a keyring"),
            "{problems}"
        );
        assert!(
            problems.contains("een and twee have the same key"),
            "{problems}"
        );
    }
}

#[test]
fn a_keyring_that_is_gone_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    settle();
    let loaded = loaded(&["een"]);
    let mut last = build_from(again(&loaded), &keystore, None);
    fs::remove_dir_all(keystore.path().join("een")).unwrap();
    for _ in 0..2 {
        last = build_from(again(&loaded), &keystore, Some(&last.snapshot));
        assert_eq!(last.problems.len(), 1, "{:?}", last.problems);
        assert!(last.problems[0].contains("the keyring of een is gone"));
        assert_eq!(keys(&last, "een.example"), "s1");
    }
}

#[test]
fn a_key_file_that_has_changed_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let path = keystore.path().join("een/s1.pem");
    let built = build(&["een"], &keystore, None);
    assert_eq!(logged(|| take_care(&built.snapshot)), "");
    let pem = fs::read(&path).unwrap();
    let other = crate::dkim::key::generate_pem(Algorithm::Ed25519Sha256, 0).unwrap();
    fs::write(&path, other.as_bytes()).unwrap();
    for _ in 0..2 {
        let log = logged(|| take_care(&built.snapshot));
        assert!(log.contains("the file holds another key"), "{log}");
        assert!(log.contains("the key as it was stays in use"), "{log}");
    }
    fs::write(&path, pem).unwrap();
    assert_eq!(logged(|| take_care(&built.snapshot)), "");
}

/// It may say that a key was revoked, and its generation is the one in use: nothing else would
/// have it read again.
#[test]
fn a_keyring_that_could_not_be_read_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let loaded = loaded(&["een"]);
    let first = build_from(again(&loaded), &keystore, None);
    assert!(!first.snapshot.has_unread_keyrings());
    // As a back-up that works with links does it.
    let keyring = keystore.path().join("een/keyring.json");
    let link = folder.path().join("link");
    fs::hard_link(&keyring, &link).unwrap();
    let second = build_from(again(&loaded), &keystore, Some(&first.snapshot));
    assert!(
        second.snapshot.has_unread_keyrings(),
        "{:?}",
        second.problems
    );
    fs::remove_file(link).unwrap();
    let third = build_from(again(&loaded), &keystore, Some(&second.snapshot));
    assert!(
        !third.snapshot.has_unread_keyrings(),
        "{:?}",
        third.problems
    );
}
