//! Keyrings that are written again. The keeper does so with all of them in each round, since
//! it writes down when it has looked; mostly nothing else has changed.

use super::*;
use crate::{
    config::Settings,
    keys::{Change, Event, Publication, activate},
};

fn first(loaded: &Loaded, keystore: &Keystore) -> Built {
    Snapshot::first(loaded.clone(), keystore, &Metrics::new()).unwrap()
}

fn next(loaded: &Loaded, keystore: &Keystore, before: &Built) -> Built {
    let previous = Some(&before.snapshot);
    Snapshot::build(loaded.clone(), keystore, &Metrics::new(), previous).unwrap()
}

/// The keeper has looked at the keys of an organisation, and all is as it was.
fn look(keystore: &Keystore, id: &str) {
    let id: OrganisationId = id.parse().unwrap();
    let now = Timestamp::now();
    let mut changes = Vec::new();
    for key in keystore.read_keyring(&id).unwrap().keys() {
        for (domain, before) in &key.publications {
            changes.push(Change {
                selector: key.selector.clone(),
                domain: domain.clone(),
                before: Some(*before),
                after: Publication {
                    checked: Some(now),
                    ..*before
                },
                event: Event::Checked,
            });
        }
    }
    let mut writer = keystore.writer().unwrap();
    writer.apply(&id, &changes, now).unwrap();
}

/// A further key, in use for this domain alone.
fn add_key_for(keystore: &Keystore, id: &str, selector: &str, domain: &str) {
    let target = Target {
        organisation: &id.parse().unwrap(),
        selector: &selector.parse().unwrap(),
        domains: &[domain.parse().unwrap()],
    };
    let now = Timestamp::now();
    keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, now)
        .unwrap();
    keystore
        .activate(&target, &Settings::default().timing(), now)
        .unwrap();
}

/// Whether it is known what signs for a domain, without reading a key.
fn is_ready(built: &Built, name: &str) -> bool {
    let keys = domain(built, name).keys.as_ref().unwrap();
    keys.ready().is_some()
}

/// A domain more for the first organisation.
fn with_domain(mut loaded: Loaded, name: &str) -> Loaded {
    let organisation = Arc::make_mut(&mut loaded.organisations[0]);
    organisation.domains.push(name.parse().unwrap());
    loaded
}

#[test]
fn the_same_in_other_words_reads_no_key_and_makes_nothing_anew() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    add_key(&keystore, "twee");
    let loaded = loaded(&["een", "twee"]);
    let first = first(&loaded, &keystore);
    domain(&first, "twee.example").keys.as_ref().unwrap().load();
    let mut last = first;
    for _ in 0..2 {
        for id in ["een", "twee"] {
            look(&keystore, id);
            // Whoever reads it now has something to say.
            let _ = fs::remove_file(keystore.path().join(id).join("s1.pem"));
        }
        let next = next(&loaded, &keystore, &last);
        assert_eq!(next.problems, [""; 0]);
        for name in ["een.example", "oud-een.example", "twee.example"] {
            assert!(
                Arc::ptr_eq(domain(&last, name), domain(&next, name)),
                "{name}"
            );
        }
        assert_eq!(key_changes(&next, &last), [""; 0]);
        assert!(!is_ready(&next, "een.example"));
        assert!(is_ready(&next, "twee.example"));
        last = next;
    }
}

#[test]
fn a_key_takes_the_place_of_another_and_is_the_only_one_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    add_key_for(&keystore, "een", "s0", "een.test");
    fs::remove_file(keystore.path().join("een/s0.pem")).unwrap();
    let loaded = with_domain(loaded(&["een"]), "een.test");
    let first = first(&loaded, &keystore);
    add_key_for(&keystore, "een", "s2", "een.example");
    let second = next(&loaded, &keystore, &first);
    // Nobody has read s0, and so s1 need not stand in for it.
    assert_eq!(second.problems, [""; 0]);
    let selectors: Vec<_> = second.snapshot.held().collect();
    assert_eq!(selectors.len(), 2);
    for held in selectors {
        assert_eq!(held.is_read(), held.identity().selector.as_str() == "s2");
    }
}

#[test]
fn a_key_that_comes_into_use_elsewhere_is_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    add_key_for(&keystore, "een", "s0", "een.test");
    let loaded = with_domain(loaded(&["een"]), "een.test");
    let first = first(&loaded, &keystore);
    fs::remove_file(keystore.path().join("een/s0.pem")).unwrap();
    let target = Target {
        organisation: &"een".parse().unwrap(),
        selector: &"s0".parse().unwrap(),
        domains: &["een.example".parse().unwrap()],
    };
    // As somebody else's copy of the keystore has it.
    let mut keyring = keystore.read_keyring(target.organisation).unwrap();
    let now = Timestamp::now();
    let timing = Settings::default().timing();
    let changes = activate(&keyring, target.selector, target.domains, &timing, now).unwrap();
    keyring.apply(&changes).unwrap();
    let path = keystore.path().join("een/keyring.json");
    fs::write(path, keyring.to_json().unwrap()).unwrap();
    let second = next(&loaded, &keystore, &first);
    let problems = second.problems.join("\n");
    assert!(
        problems.contains("s0.pem: the key file is missing"),
        "{problems}"
    );
    assert!(problems.contains("s1 of een goes on signing"), "{problems}");
    assert_eq!(keys(&second, "een.example"), "s1");
}

#[test]
fn another_key_under_the_same_name_is_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let loaded = loaded(&["een"]);
    let first = first(&loaded, &keystore);
    fs::remove_dir_all(keystore.path().join("een")).unwrap();
    // Or the selector would not be given out again.
    fs::remove_dir_all(keystore.path().join("../keys.mark")).unwrap();
    fs::remove_file(keystore.path().join("audit.log")).unwrap();
    add_key(&keystore, "een");
    let second = next(&loaded, &keystore, &first);
    assert_eq!(second.problems, [""; 0]);
    assert!(is_ready(&second, "een.example"));
    assert!(!is_ready(&first, "een.example"));
}

#[test]
fn a_key_that_was_refused_is_read_again_though_its_keyring_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let (path, away) = (
        keystore.path().join("een/s1.pem"),
        folder.path().join("away"),
    );
    fs::rename(&path, &away).unwrap();
    let loaded = loaded(&["een"]);
    let first = first(&loaded, &keystore);
    take_care(&first.snapshot);
    assert_eq!(keys(&first, "een.example"), "unusable");
    look(&keystore, "een");
    let second = next(&loaded, &keystore, &first);
    assert_eq!(second.problems.len(), 1, "{:?}", second.problems);
    fs::rename(&away, &path).unwrap();
    look(&keystore, "een");
    let third = next(&loaded, &keystore, &second);
    assert_eq!(third.problems, [""; 0]);
    assert!(is_ready(&third, "een.example"));
    assert_eq!(keys(&third, "een.example"), "s1");
}
