//! A key that is first needed while the process has no descriptors left costs the mail of that
//! moment a delay, and no more. The limit holds for a whole process, so this is the only test of
//! its file.

use std::fs::File;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zegel::config::{Loaded, Settings};
use zegel::dkim::Algorithm;
use zegel::keys::Delegations;
use zegel::keystore::{Keystore, Target};
use zegel::names::OrganisationId;
use zegel::observe::metrics::Metrics;
use zegel::organisation::{Organisation, Policy, SelectorTemplate};
use zegel::snapshot::{Signing, Snapshot};

fn organisation() -> Organisation {
    let id: OrganisationId = "een".parse().expect("an id");
    Organisation {
        selector: SelectorTemplate::new(SelectorTemplate::DEFAULT, &id).expect("a template"),
        name: id.to_string(),
        domains: vec!["een.example".parse().expect("a domain")],
        parked: Vec::new(),
        incoming: Vec::new(),
        contact: None,
        algorithms: vec![Algorithm::Ed25519Sha256],
        senders: None,
        delegations: Delegations::default(),
        language: zegel::words::Language::default(),
        policy: Policy::default(),
        id,
    }
}

#[test]
fn a_key_that_could_not_be_read_for_want_of_descriptors_is_read_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let keystore = Keystore::create(&folder.path().join("keys")).expect("a keystore");
    let organisation = organisation();
    let target = Target {
        organisation: &organisation.id,
        selector: &"s1".parse().expect("a selector"),
        domains: &organisation.domains,
    };
    let now = Timestamp::now();
    keystore
        .generate(&target, Algorithm::Ed25519Sha256, 0, now)
        .expect("a key");
    keystore
        .activate(&target, &Settings::default().timing(), now)
        .expect("a key in use");
    let loaded = Loaded {
        settings: Settings::default(),
        organisations: vec![Arc::new(organisation.clone())],
        warnings: Vec::new(),
        mistakes: zegel::config::Mistakes::default(),
    };
    let built = Snapshot::first(loaded, &keystore, &Metrics::new()).expect("a snapshot");
    let domain = built.snapshot.domain(&organisation.domains[0]);
    let keys = domain.and_then(|domain| domain.keys.as_ref());
    let keys = keys.expect("keys");

    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(64),
        ..limit
    };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    for _ in 0..2 {
        assert!(matches!(keys.load(), Signing::Unusable), "tempfailed");
        assert!(keys.ready().is_none(), "and nothing is held against it");
    }
    drop(taken);
    assert!(matches!(keys.load(), Signing::Active(_)));
    assert!(matches!(keys.ready(), Some(Signing::Active(_))));
    setrlimit(Resource::Nofile, limit).expect("the limit as it was");
}
