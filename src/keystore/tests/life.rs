//! Making keys, bringing them in, and letting them sign.

use std::os::unix::fs::MetadataExt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::{
    dkim::key,
    keys::{CommandError, Why, add_domains},
};

const ED25519: Algorithm = Algorithm::Ed25519Sha256;

fn state(fixture: &Fixture, selector: &str, domain: &str) -> Option<Publication> {
    let keyring = fixture.keystore.read_keyring(&id("een")).unwrap();
    let key = keyring.key(&name(selector)).unwrap();
    key.publications.get(domain).copied()
}

fn activate(
    fixture: &Fixture,
    selector: &str,
    names: &[&str],
    now: i64,
) -> Result<(), KeystoreError> {
    let (organisation, selector, names) = (id("een"), name(selector), domains(names));
    let target = target(&organisation, &selector, &names);
    fixture
        .keystore
        .activate(&target, &TIMING, second(now))
        .map(|_| ())
}

fn import(fixture: &Fixture, place: (&str, &str), key: &str) -> Result<KeyEntry, KeystoreError> {
    let (organisation, selector) = (id(place.0), name(place.1));
    let target = target(&organisation, &selector, &[]);
    fixture.keystore.import(&target, &test_key(key), second(1))
}

/// A backup that is restored, and a change after that, can come to the number in use.
#[test]
fn the_same_number_in_another_file_is_another_generation() {
    let fixture = Fixture::new();
    let none = fixture.keystore.generation_stamp().unwrap();
    assert_eq!(none.number(), 0);
    import(&fixture, ("een", "s1"), "rsa2048-pkcs1").unwrap();
    let first = fixture.keystore.generation_stamp().unwrap();
    assert_eq!(fixture.keystore.generation_stamp().unwrap(), first);
    let path = fixture.keystore.path().join("generation");
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    let restored = fixture.keystore.generation_stamp().unwrap();
    assert_eq!(restored.number(), first.number());
    assert_ne!(restored, first);
}

#[test]
fn a_generated_key_is_kept_as_the_design_says() {
    let fixture = Fixture::new();
    assert_eq!(fixture.keystore.generation().unwrap(), 0);
    let (organisation, selector) = (id("een"), name("s1"));
    let names = domains(&["een.nl", "nieuws.een.nl"]);
    let target = target(&organisation, &selector, &names);
    let entry = fixture
        .keystore
        .generate(&target, Algorithm::RsaSha256, 2048, second(5))
        .unwrap();

    let pem = fs::read_to_string(fixture.path("een/s1.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    for (file, mode) in [
        ("een", 0o700),
        ("een/s1.pem", 0o600),
        ("een/keyring.json", 0o600),
    ] {
        let metadata = fs::metadata(fixture.path(file)).unwrap();
        assert_eq!(metadata.mode() & 0o7777, mode, "{file}");
    }
    assert_eq!(
        fs::read_to_string(fixture.path("generation")).unwrap(),
        "1\n"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.path("een/keyring.json")).unwrap()).unwrap();
    let generated = serde_json::json!({"state": "generated", "since": "1970-01-01T00:00:05Z"});
    let public_key = key::SigningKey::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"version": 3, "keys": [{
            "selector": "s1",
            "algorithm": "rsa-sha256",
            "created": "1970-01-01T00:00:05Z",
            "fingerprint": entry.fingerprint.to_string(),
            "public_key": STANDARD.encode(public_key.public_key().subject_public_key_info()),
            "publications": {"een.nl": generated, "nieuws.een.nl": generated},
        }]})
    );
    let loaded = fixture.load("een");
    assert_eq!(loaded.keys[0].entry, entry);
    let public = loaded.keys[0].signing_key.public_key();
    assert_eq!(public.fingerprint(), entry.fingerprint);
    assert_eq!(fixture.keystore.organisations().unwrap(), [organisation]);
}

#[test]
fn an_organisation_without_keys() {
    let fixture = Fixture::new();
    let loaded = fixture.load("een");
    assert!(loaded.keys.is_empty() && loaded.refused.is_empty() && loaded.warnings.is_empty());
    assert!(fixture.keystore.organisations().unwrap().is_empty());
}

#[test]
fn the_folder_of_the_repository_is_no_organisation() {
    let fixture = Fixture::new();
    fs::write(fixture.path("README.md"), "").unwrap();
    fs::create_dir(fixture.path("lost+found")).unwrap();
    fixture.generate("een", "s1");
    assert_eq!(fixture.keystore.organisations().unwrap(), [id("een")]);
}

#[test]
fn an_imported_key_is_kept_as_pkcs8() {
    let fixture = Fixture::new();
    import(&fixture, ("een", "s1"), "rsa2048-pkcs1").unwrap();
    assert_eq!(
        fs::read(fixture.path("een/s1.pem")).unwrap(),
        test_key("rsa2048-pkcs8")
    );
    assert_eq!(fixture.load("een").keys.len(), 1);
}

#[test]
fn a_key_comes_in_once() {
    let fixture = Fixture::new();
    import(&fixture, ("een", "s1"), "rsa2048-pkcs1").unwrap();
    for place in [("een", "s2"), ("twee", "s1")] {
        let error = import(&fixture, place, "rsa2048-pkcs8").unwrap_err();
        assert!(
            matches!(&error, KeystoreError::KeyKnown { organisation, selector }
                if organisation.as_str() == "een" && selector.as_str() == "s1"),
            "{error}"
        );
    }
    assert!(!fixture.path("twee").exists());
    assert_eq!(fixture.keystore.generation().unwrap(), 1);
    // Within one writer too, which reads the keyrings only once.
    let mut writer = fixture.keystore.writer().unwrap();
    let (organisation, s3, s4) = (id("een"), name("s3"), name("s4"));
    let key = NewKey::from_pem(&test_key("ed25519-v1")).unwrap();
    writer
        .add(&target(&organisation, &s3, &[]), &key, second(1))
        .unwrap();
    let again = writer.add(&target(&organisation, &s4, &[]), &key, second(1));
    assert!(matches!(again, Err(KeystoreError::KeyKnown { .. })));
}

#[test]
fn a_selector_is_used_once() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/keyring.json");
    let withdrawn =
        r#""publications": {"een.nl": {"state": "withdrawn", "since": "1970-01-01T00:00:05Z"}}"#;
    let json = fs::read_to_string(&file)
        .unwrap()
        .replace(r#""publications": {}"#, withdrawn);
    fs::write(&file, json).unwrap();
    assert_eq!(
        state(&fixture, "s1", "een.nl").unwrap().state,
        State::Withdrawn
    );
    let error = import(&fixture, ("een", "s1"), "rsa2048-pkcs8").unwrap_err();
    assert!(
        matches!(error, KeystoreError::SelectorUsed { .. }),
        "{error}"
    );
    // Another organisation has selectors of its own.
    import(&fixture, ("twee", "s1"), "rsa2048-pkcs8").unwrap();
}

#[test]
fn activation_lets_the_one_before_drain() {
    let fixture = Fixture::with_two_keys();
    import(&fixture, ("een", "rsa"), "rsa2048-pkcs8").unwrap();
    activate(&fixture, "rsa", &["een.nl"], 2).unwrap();
    activate(&fixture, "s1", &["een.nl", "twee.nl"], 2).unwrap();
    let generation = fixture.keystore.generation().unwrap();
    activate(&fixture, "s2", &["een.nl"], 3).unwrap();
    assert_eq!(fixture.keystore.generation().unwrap(), generation + 1);

    let publication = |state, since| {
        let why = match state {
            State::Draining => Why::Draining,
            _ => Why::Signing,
        };
        Some(Publication {
            state,
            assumed: true,
            why: Some(why),
            // As the planner has it: nobody saw its TTL.
            drain_until: (state == State::Draining)
                .then(|| second(since) + TIMING.drain_time(None)),
            ..Publication::generated(second(since))
        })
    };
    assert_eq!(
        state(&fixture, "s1", "een.nl"),
        publication(State::Draining, 3)
    );
    assert_eq!(
        state(&fixture, "s1", "twee.nl"),
        publication(State::Active, 2)
    );
    assert_eq!(
        state(&fixture, "s2", "een.nl"),
        publication(State::Active, 3)
    );
    assert_eq!(
        state(&fixture, "rsa", "een.nl"),
        publication(State::Active, 2)
    );

    let loaded = fixture.load("een");
    let keyring = fixture.keystore.read_keyring(&id("een")).unwrap();
    for (domain, algorithm, expected) in [
        ("een.nl", ED25519, Some("s2")),
        ("twee.nl", ED25519, Some("s1")),
        ("een.nl", Algorithm::RsaSha256, Some("rsa")),
        ("twee.nl", Algorithm::RsaSha256, None),
        ("drie.nl", ED25519, None),
    ] {
        let domain = domain.parse().unwrap();
        let active = keyring.active_key(&domain, algorithm);
        assert_eq!(
            active.map(|key| key.selector.as_str()),
            expected,
            "{domain}"
        );
        let active = loaded.active_key(&domain, algorithm);
        assert_eq!(
            active.map(|key| key.entry.selector.as_str()),
            expected,
            "{domain}"
        );
    }
}

#[test]
fn activation_is_all_or_nothing() {
    let fixture = Fixture::with_two_keys();
    activate(&fixture, "s1", &["een.nl"], 2).unwrap();
    activate(&fixture, "s2", &["een.nl"], 3).unwrap();
    let before = fixture.keystore.read_keyring(&id("een")).unwrap();
    let error = activate(&fixture, "s1", &["twee.nl", "een.nl"], 4).unwrap_err();
    assert!(
        matches!(error, KeystoreError::Command(CommandError::Former { .. })),
        "{error}"
    );
    assert_eq!(fixture.keystore.read_keyring(&id("een")).unwrap(), before);
}

#[test]
fn a_key_that_cannot_sign_does_not_take_over() {
    let fixture = Fixture::with_two_keys();
    activate(&fixture, "s1", &["een.nl"], 2).unwrap();
    fixture.set_mode("een/s2.pem", 0o644);
    let error = activate(&fixture, "s2", &["een.nl"], 3).unwrap_err();
    assert!(matches!(error, KeystoreError::UnusableKey(_)), "{error}");
    assert_eq!(
        state(&fixture, "s1", "een.nl").unwrap().state,
        State::Active
    );
    let error = activate(&fixture, "s9", &["een.nl"], 3).unwrap_err();
    assert!(matches!(error, KeystoreError::UnknownKey { .. }), "{error}");
}

#[test]
fn two_active_keys_are_refused() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/keyring.json");
    let active =
        r#""publications": {"een.nl": {"state": "active", "since": "1970-01-01T00:00:05Z"}}"#;
    let json = fs::read_to_string(&file)
        .unwrap()
        .replace(r#""publications": {}"#, active);
    fs::write(&file, json).unwrap();
    let message = fixture
        .keystore
        .load_organisation(&id("een"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("s1 and s2 are both active for een.nl"),
        "{message}"
    );
}

#[test]
fn domains_are_added_as_generated() {
    let fixture = Fixture::with_two_keys();
    activate(&fixture, "s1", &["een.nl"], 2).unwrap();
    let (organisation, selector) = (id("een"), name("s1"));
    let names = domains(&["een.nl", "twee.nl"]);
    let target = target(&organisation, &selector, &names);
    let keyring = fixture.keystore.read_keyring(&organisation).unwrap();
    let changes = add_domains(&keyring, &selector, target.domains, second(3)).unwrap();
    let mut writer = fixture.keystore.writer().unwrap();
    assert!(
        writer
            .apply(&organisation, &changes, second(3))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        state(&fixture, "s1", "een.nl").unwrap().state,
        State::Active
    );
    let expected = Publication::generated(second(3));
    assert_eq!(state(&fixture, "s1", "twee.nl"), Some(expected));
}

#[test]
fn every_change_is_in_the_audit_log() {
    let fixture = Fixture::with_two_keys();
    let (organisation, selector) = (id("een"), name("s1"));
    let domains: [DomainName; 1] = ["een.example".parse().unwrap()];
    let target = target(&organisation, &selector, &domains);
    fixture
        .keystore
        .activate(&target, &TIMING, second(2))
        .unwrap();
    // What does not happen is not told.
    let unknown = Target {
        selector: &name("s9"),
        ..target
    };
    let refused = fixture.keystore.activate(&unknown, &TIMING, second(3));
    assert!(refused.is_err());

    let path = fixture.path("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<&str> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["generated", "generated", "activated"]);
    let last = &lines[2];
    assert_eq!(last["time"], "1970-01-01T00:00:02Z");
    assert_eq!(last["organisation"], "een");
    assert_eq!(last["selector"], "s1");
    assert_eq!(last["domains"][0], "een.example");
    assert_eq!(last["evidence"], "assumed");
    assert_eq!(last["pid"], std::process::id());
    assert_eq!(last["uid"], rustix::process::getuid().as_raw());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_cut_off_line_of_the_audit_log_harms_no_other() {
    let fixture = Fixture::new();
    fs::write(fixture.path("audit.log"), "{\"time\":").unwrap();
    fixture.set_mode("audit.log", 0o600);
    fixture.generate("een", "s1");
    let text = fs::read_to_string(fixture.path("audit.log")).unwrap();
    assert_eq!(text.lines().count(), 2);
    // Without a log nothing is changed.
    fixture.set_mode("audit.log", 0o666);
    let (organisation, selector) = (id("een"), name("s2"));
    let target = target(&organisation, &selector, &[]);
    let algorithm = Algorithm::Ed25519Sha256;
    let refused = fixture
        .keystore
        .generate(&target, algorithm, 0, second(1))
        .unwrap_err();
    assert!(
        refused.to_string().contains("audit.log: it can be used"),
        "{refused}"
    );
    let keyring = fixture.keystore.read_keyring(&organisation).unwrap();
    assert_eq!(keyring.keys().len(), 1);
}

#[test]
fn the_next_selector_is_one_that_no_keyring_and_no_file_has() {
    let fixture = Fixture::new();
    fixture.generate("een", "s1");
    // As a crash leaves it.
    fs::copy(fixture.path("een/s1.pem"), fixture.path("een/s1-2.pem")).unwrap();
    let mut writer = fixture.keystore.writer().unwrap();
    let key = NewKey::generate(ED25519, 0).unwrap();
    let organisation = organisation("s1");
    let added = writer
        .add_next(&organisation, &organisation.domains, &key, second(2))
        .unwrap();
    assert_eq!(added.selector, name("s1-3"));
}

/// As a zegel of 0.1 leaves it.
fn make_old(fixture: &Fixture) {
    let file = fixture.path("een/keyring.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    json["version"] = 1.into();
    for key in json["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("public_key").unwrap();
    }
    fs::write(&file, json.to_string()).unwrap();
}

#[test]
fn a_keyring_of_version_1_gets_its_public_halves_with_the_first_change() {
    let fixture = Fixture::with_two_keys();
    let id = id("een");
    let known = fixture.keystore.read_keyring(&id).unwrap();
    make_old(&fixture);
    let old = fixture.keystore.read_keyring(&id).unwrap();
    assert!(old.keys().iter().all(|key| key.public_key.is_none()));
    // The pack has it all the same.
    let public = fixture.keystore.read_public_keys(&id, |_| true).unwrap();
    assert_eq!(
        public.public[&name("s1")],
        known.keys()[0].public_key.clone().unwrap()
    );
    // A round of the keeper in which nothing changes; nobody need hear of it.
    let generation = fixture.keystore.generation().unwrap();
    let mut writer = fixture.keystore.writer().unwrap();
    assert!(writer.apply(&id, &[], second(3)).unwrap().is_empty());
    drop(writer);
    assert_eq!(fixture.keystore.read_keyring(&id).unwrap(), known);
    assert_eq!(fixture.keystore.generation().unwrap(), generation);

    // A key file that cannot be used keeps nothing else from being written.
    make_old(&fixture);
    fixture.set_mode("een/s2.pem", 0o644);
    activate(&fixture, "s1", &["een.nl"], 4).unwrap();
    let keyring = fixture.keystore.read_keyring(&id).unwrap();
    assert!(keyring.keys()[0].public_key.is_some() && keyring.keys()[1].public_key.is_none());
}

#[test]
fn no_private_key_is_read_to_print_a_public_one() {
    let fixture = Fixture::with_two_keys();
    fs::remove_file(fixture.path("een/s1.pem")).unwrap();
    let public = fixture
        .keystore
        .read_public_keys(&id("een"), |_| true)
        .unwrap();
    assert_eq!(public.public.len(), 2);
}

#[test]
fn the_public_half_of_another_key_is_refused() {
    let fixture = Fixture::with_two_keys();
    let file = fixture.path("een/keyring.json");
    let keyring = fixture.keystore.read_keyring(&id("een")).unwrap();
    let text = |at: usize| serde_json::to_string(&keyring.keys()[at].public_key).unwrap();
    let json = fs::read_to_string(&file)
        .unwrap()
        .replace(&text(0), &text(1));
    fs::write(&file, json).unwrap();
    let error = fixture.keystore.read_keyring(&id("een")).unwrap_err();
    assert!(
        error.to_string().contains("the public_key of s1"),
        "{error}"
    );
}
