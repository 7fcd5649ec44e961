mod about;
mod absence;
mod gained;
mod lazy;
mod lost;
mod problems;
mod reuse;
mod rewritten;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::*;
use crate::{
    dkim::Algorithm,
    keys::Delegations,
    keystore::Target,
    names::OrganisationId,
    organisation::{Policy, SelectorTemplate},
};

fn organisation(id: &str) -> Organisation {
    let id: OrganisationId = id.parse().unwrap();
    Organisation {
        selector: SelectorTemplate::new(SelectorTemplate::DEFAULT, &id).unwrap(),
        name: id.to_string(),
        domains: vec![format!("{id}.example").parse().unwrap()],
        parked: vec![format!("oud-{id}.example").parse().unwrap()],
        incoming: Vec::new(),
        contact: None,
        algorithms: vec![Algorithm::Ed25519Sha256],
        senders: None,
        delegations: Delegations::default(),
        language: crate::words::Language::default(),
        policy: Policy::default(),
        id,
    }
}

fn loaded(ids: &[&str]) -> Loaded {
    Loaded {
        settings: Settings::default(),
        organisations: ids.iter().map(|id| organisation(id).into()).collect(),
        warnings: Vec::new(),
        mistakes: config::Mistakes::default(),
    }
}

/// A keystore with a key in use for `id`, and the folder of that organisation.
fn keystore_with_key(folder: &Path, id: &str) -> Keystore {
    let keystore = Keystore::create(&folder.join("keys")).unwrap();
    add_key(&keystore, id);
    keystore
}

fn add_key(keystore: &Keystore, id: &str) {
    let organisation = organisation(id);
    let target = Target {
        organisation: &organisation.id,
        selector: &"s1".parse().unwrap(),
        domains: &organisation.domains,
    };
    let now = Timestamp::now();
    keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, now)
        .unwrap();
    keystore
        .activate(&target, &Settings::default().timing(), now)
        .unwrap();
}

fn build(ids: &[&str], keystore: &Keystore, previous: Option<&Snapshot>) -> Built {
    Snapshot::build(loaded(ids), keystore, &Metrics::new(), previous).unwrap()
}

fn keys(built: &Built, domain: &str) -> String {
    let domain = built.snapshot.domain(&domain.parse().unwrap()).unwrap();
    domain.keys.as_ref().unwrap().to_string()
}

fn domain<'a>(built: &'a Built, name: &str) -> &'a Arc<Domain> {
    built.snapshot.domain(&name.parse().unwrap()).unwrap()
}

/// The lines of the log on what a reload changes of the keys.
fn key_changes(after: &Built, before: &Built) -> Vec<String> {
    let changes = after.snapshot.key_changes(&before.snapshot);
    changes.iter().map(ToString::to_string).collect()
}

/// A whole round of care.
fn take_care(snapshot: &Snapshot) {
    while snapshot.key_care().work(Duration::MAX) {}
}

/// What is logged meanwhile on this thread.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let octets = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&octets).into_owned()
}

/// Another organisation gets the same key.
fn share_key(keystore: &Keystore, from: &str, to: &str) {
    let (from_folder, to_folder) = (keystore.path().join(from), keystore.path().join(to));
    fs::create_dir(&to_folder).unwrap();
    for file in ["s1.pem", "keyring.json"] {
        fs::copy(from_folder.join(file), to_folder.join(file)).unwrap();
    }
    let keyring = fs::read_to_string(to_folder.join("keyring.json")).unwrap();
    let keyring = keyring.replace(&format!("{from}.example"), &format!("{to}.example"));
    fs::write(to_folder.join("keyring.json"), keyring).unwrap();
}

#[test]
fn a_domain_has_the_keys_of_its_own_organisation_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let built = build(&["een", "twee"], &keystore, None);
    assert_eq!(built.problems, [""; 0]);
    assert_eq!(keys(&built, "een.example"), "s1");
    assert_eq!(keys(&built, "twee.example"), "awaiting a key");
    assert_eq!(built.snapshot.domains_without_key(), 1);
    let domain = |name: &str| built.snapshot.domain(&name.parse().unwrap());
    assert!(domain("oud-een.example").unwrap().keys.is_none());
    // Exactly this domain: no parent, no child.
    assert!(domain("sub.een.example").is_none());
    assert!(domain("example").is_none());
}

#[test]
fn a_key_of_two_organisations_signs_for_neither() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    share_key(&keystore, "een", "twee");
    let built = build(&["een", "twee"], &keystore, None);
    let [problem] = &built.problems[..] else {
        panic!("{:?}", built.problems);
    };
    assert!(problem.contains("een and twee"), "{problem}");
    assert!(problem.contains("zegel key generate"), "{problem}");
    assert_eq!(keys(&built, "een.example"), "unusable");
    assert_eq!(keys(&built, "twee.example"), "unusable");
}

#[test]
fn a_key_that_cannot_be_read_any_more_stays_in_use_until_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore_with_key(folder.path(), "een");
    let before = build(&["een"], &keystore, None);
    fs::remove_file(keystore.path().join("een/s1.pem")).unwrap();
    let after = build(&["een"], &keystore, Some(&before.snapshot));
    assert_eq!(keys(&after, "een.example"), "s1");
    let log = logged(|| take_care(&after.snapshot));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("s1.pem: the key file is missing"), "{log}");
    assert!(log.contains("the key as it was stays in use"), "{log}");
    assert_eq!(keys(&after, "een.example"), "s1");
    // Its mail must not leave unsigned because of that, so it is not merely awaiting one.
    let restarted = build(&["een"], &keystore, None);
    assert_eq!(keys(&restarted, "een.example"), "unusable");
}
