//! Many keys at once.

use super::*;

struct Given {
    organisation: OrganisationId,
    selector: Selector,
    domains: Vec<DomainName>,
    key: NewKey,
}

fn given(organisation: &str, selector: &str, key: &str) -> Given {
    Given {
        organisation: id(organisation),
        selector: name(selector),
        domains: domains(&["a.example", "b.example"]),
        key: NewKey::from_pem(&test_key(key)).unwrap(),
    }
}

fn add(fixture: &Fixture, given: &[Given]) -> Vec<Result<(), String>> {
    let additions: Vec<Addition<'_>> = given
        .iter()
        .map(|given| Addition {
            target: target(&given.organisation, &given.selector, &given.domains),
            key: &given.key,
            signs_for: &given.domains[..1],
        })
        .collect();
    let mut writer = fixture.keystore.writer().unwrap();
    let answers = writer.add_all(&additions, &TIMING, second(1)).unwrap();
    let text = |answer: Result<(), KeystoreError>| answer.map_err(|error| error.to_string());
    answers.into_iter().map(text).collect()
}

#[test]
fn each_is_as_if_it_were_added_alone() {
    let fixture = Fixture::new();
    let answers = add(
        &fixture,
        &[
            given("een", "s1", "rsa2048-pkcs8"),
            given("een", "s2", "ed25519-v1"),
            given("twee", "s1", "rsa3072-pkcs8"),
            // The first again, and a selector that is used.
            given("drie", "s1", "rsa2048-pkcs8"),
            given("een", "s1", "rfc8463-v1"),
        ],
    );
    assert_eq!(answers[..3], [Ok(()), Ok(()), Ok(())]);
    let refusal = |at: usize| answers[at].clone().unwrap_err();
    assert!(refusal(3).contains("already that of een"), "{}", refusal(3));
    assert!(refusal(4).contains("has or had a key"), "{}", refusal(4));

    assert_eq!(fixture.keystore.generation().unwrap(), 1);
    let een = fixture.load("een");
    assert_eq!(
        (een.keys.len(), een.refused.len(), een.warnings.len()),
        (2, 0, 0)
    );
    for key in een.keys.iter().chain(&fixture.load("twee").keys) {
        let state = |domain: &str| key.entry.state(&domain.parse().unwrap());
        assert_eq!(state("a.example"), Some(State::Active));
        assert_eq!(state("b.example"), Some(State::Generated));
    }
    assert!(fixture.load("drie").keys.is_empty());
    let log = fs::read_to_string(fixture.path("audit.log")).unwrap();
    assert_eq!(log.matches("\"imported\"").count(), 3);
    assert_eq!(log.matches("\"assumed\"").count(), 3);
}

#[test]
fn what_was_cut_off_is_taken_up_again() {
    let fixture = Fixture::new();
    let keys = || {
        [
            given("een", "s1", "ed25519-v1"),
            given("twee", "s2", "rsa2048-pkcs8"),
        ]
    };
    assert_eq!(add(&fixture, &keys()), [Ok(()), Ok(())]);
    // As if it had died before the keyring of the first.
    fs::remove_file(fixture.path("een/keyring.json")).unwrap();
    let answers = add(&fixture, &keys());
    assert_eq!(answers[0], Ok(()));
    assert!(answers[1].is_err());
    assert_eq!(fixture.load("een").keys.len(), 1);

    // Another key never gets a selector that was used.
    fs::remove_file(fixture.path("een/keyring.json")).unwrap();
    let answers = add(&fixture, &[given("een", "s1", "rsa3072-pkcs8")]);
    assert!(answers[0].clone().unwrap_err().contains("the selector s1"));
    assert!(fixture.load("een").keys.is_empty());
}

#[test]
fn the_keyrings_are_read_once_for_all_batches() {
    let fixture = Fixture::new();
    assert_eq!(
        add(&fixture, &[given("een", "s1", "rsa2048-pkcs8")]),
        [Ok(())]
    );
    // Whoever reads them all comes upon this one.
    fs::create_dir(fixture.path("stuk")).unwrap();
    fs::write(fixture.path("stuk/keyring.json"), "{").unwrap();
    let answers = add(
        &fixture,
        &[
            given("twee", "s2", "rsa3072-pkcs8"),
            given("drie", "s3", "rsa2048-pkcs8"),
        ],
    );
    assert_eq!(answers[0], Ok(()));
    let refused = answers[1].clone().unwrap_err();
    assert!(refused.contains("already that of een"), "{refused}");

    // After a change by another process, and in another one, all are read.
    let other = Keystore::open(fixture.keystore.path()).unwrap();
    other
        .writer()
        .unwrap()
        .suspend(&id("een"), second(2))
        .unwrap();
    let refused = &add(&fixture, &[given("vier", "s4", "ed25519-v1")])[0];
    assert!(refused.is_err());
    fs::remove_dir_all(fixture.path("stuk")).unwrap();
    let answers = add(&fixture, &[given("vier", "s4", "ed25519-v1")]);
    assert_eq!(answers, [Ok(())]);
}
