//! What an organisation gets while its keyring can't be read, or is gone: a key may be in use
//! for it, so its mail waits rather than leaving unsigned.

use super::*;

/// The organisation `een` with a domain more.
fn grown() -> Loaded {
    let mut loaded = loaded(&["een"]);
    let organisation = Arc::make_mut(&mut loaded.organisations[0]);
    organisation.domains.push("een.test".parse().unwrap());
    loaded
}

fn with_rsa(mut loaded: Loaded) -> Loaded {
    let organisation = Arc::make_mut(&mut loaded.organisations[0]);
    organisation.algorithms.push(Algorithm::RsaSha256);
    loaded
}

fn next(loaded: &Loaded, keystore: &Keystore, before: &Built) -> Built {
    let previous = Some(&before.snapshot);
    Snapshot::build(loaded.clone(), keystore, &Metrics::new(), previous).unwrap()
}

fn signing(built: &Built, name: &str) -> Signing {
    domain(built, name).keys.as_ref().unwrap().load()
}

fn signs(built: &Built, name: &str) -> bool {
    matches!(signing(built, name), Signing::Active(keys) if keys.len() == 1)
}

fn is_unusable(built: &Built, name: &str) -> bool {
    matches!(signing(built, name), Signing::Unusable)
}

/// Makes the keyring garbage, takes it away, and puts it back.
fn lose(keystore: &Keystore, folder: &Path) -> [Box<dyn Fn()>; 3] {
    let (een, away) = (keystore.path().join("een"), folder.join("away"));
    let good = fs::read(een.join("keyring.json")).unwrap();
    let path = een.join("keyring.json");
    let break_it = {
        let path = path.clone();
        move || fs::write(&path, "{").unwrap()
    };
    let take_away = {
        let (een, away) = (een.clone(), away.clone());
        move || fs::rename(&een, &away).unwrap()
    };
    let put_back = move || {
        if away.exists() {
            fs::rename(&away, &een).unwrap();
        }
        fs::write(&path, &good).unwrap();
    };
    [Box::new(break_it), Box::new(take_away), Box::new(put_back)]
}

#[test]
fn a_domain_that_is_new_waits_until_the_keyring_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let before = build(&["een"], &keystore, None);
    let [break_it, take_away, put_back] = lose(&keystore, folder.path());
    for lose in [break_it, take_away] {
        lose();
        let mut last = next(&grown(), &keystore, &before);
        // Through further reloads, too.
        for _ in 0..2 {
            assert_eq!(keys(&last, "een.test"), "unusable");
            assert!(is_unusable(&last, "een.test"));
            assert!(signs(&last, "een.example"));
            assert_eq!(last.snapshot.domains_without_key(), 0);
            last = next(&grown(), &keystore, &last);
        }
        put_back();
        let last = next(&grown(), &keystore, &last);
        assert_eq!(keys(&last, "een.test"), "awaiting a key");
        assert!(matches!(signing(&last, "een.test"), Signing::Awaiting));
        assert_eq!(last.snapshot.domains_without_key(), 1);
    }
}

/// Even before anybody has read a key.
#[test]
fn a_domain_that_is_new_is_not_said_to_await_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let metrics = Metrics::new();
    let before = Snapshot::first(loaded(&["een"]), &keystore, &metrics).unwrap();
    fs::write(keystore.path().join("een/keyring.json"), "{").unwrap();
    let after = next(&grown(), &keystore, &before);
    assert_eq!(
        key_changes(&after, &before),
        ["keys of een.test: none -> unusable"]
    );
}

#[test]
fn an_algorithm_that_is_new_counts_as_one_whose_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let before = build(&["een"], &keystore, None);
    let [break_it, _, put_back] = lose(&keystore, folder.path());
    break_it();
    let after = next(&with_rsa(loaded(&["een"])), &keystore, &before);
    // Without the signature of RSA that mail is as good as unsigned.
    assert!(is_unusable(&after, "een.example"));
    // As it was before.
    let after = next(&loaded(&["een"]), &keystore, &after);
    assert!(signs(&after, "een.example"));
    put_back();
    let after = next(&with_rsa(loaded(&["een"])), &keystore, &after);
    assert!(signs(&after, "een.example"));
}
