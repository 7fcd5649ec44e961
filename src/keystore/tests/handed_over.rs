//! What was handed over, and keys that get the next selector many at once.

use super::*;
use crate::keystore::batch::NextKey;

fn record(domain: &str, selector: &str) -> (DomainName, Selector) {
    (domain.parse().unwrap(), name(selector))
}

fn note(fixture: &Fixture, records: &[(DomainName, Selector)], time: i64) {
    let note = HandOver {
        organisation: id("een"),
        records: records.to_vec(),
    };
    let mut writer = fixture.keystore.writer().unwrap();
    writer
        .note_handed_over(&[note], second(time), second(9))
        .unwrap();
}

fn last(fixture: &Fixture, (domain, selector): &(DomainName, Selector)) -> Option<i64> {
    let known = fixture.keystore.handed_over(&id("een")).unwrap();
    known
        .last(domain, selector)
        .map(|told| told.time.as_second())
}

#[test]
fn the_last_time_counts_for_each_record() {
    let fixture = Fixture::with_two_keys();
    let generation = fixture.keystore.generation().unwrap();
    let (one, two) = (record("a.example", "s1"), record("a.example", "s2"));
    assert_eq!(last(&fixture, &one), None);
    // Nothing makes no file.
    note(&fixture, &[], 1);
    assert!(!fixture.path("handed.over").exists());
    note(&fixture, &[one.clone(), two.clone()], 5);
    note(&fixture, std::slice::from_ref(&two), 7);
    assert_eq!(
        (last(&fixture, &one), last(&fixture, &two)),
        (Some(5), Some(7))
    );
    assert_eq!(last(&fixture, &record("b.example", "s1")), None);
    let log = fs::read_to_string(fixture.path("audit.log")).unwrap();
    assert_eq!(log.matches("\"event\":\"handed_over\"").count(), 3);
    // The signer has no reason to read anything.
    assert_eq!(fixture.keystore.generation().unwrap(), generation);
    assert_eq!(fixture.keystore.organisations().unwrap(), [id("een")]);
    assert!(fixture.load("een").warnings.is_empty());
}

#[test]
fn it_comes_back_with_a_backup() {
    let fixture = Fixture::with_two_keys();
    let one = record("a.example", "s1");
    note(&fixture, std::slice::from_ref(&one), 5);
    // As a process that died leaves it.
    fs::write(fixture.path("handed.over/.tmp-een.json"), "half").unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("copy");
    let restored = Keystore::make(&path).unwrap();
    restored.copy_from(fixture.keystore.path()).unwrap();
    let known = restored.handed_over(&id("een")).unwrap();
    assert_eq!(known.last(&one.0, &one.1).unwrap().time, second(5));
    assert_eq!(fs::read_dir(path.join("handed.over")).unwrap().count(), 1);
}

#[test]
fn what_is_not_ours_is_called_so() {
    let fixture = Fixture::with_two_keys();
    note(&fixture, &[record("a.example", "s1")], 5);
    let file = fixture.path("handed.over/een.json");
    for text in ["", "[]", "{\"version\":2,\"records\":[]}"] {
        fs::write(&file, text).unwrap();
        let error = fixture.keystore.handed_over(&id("een")).unwrap_err();
        assert!(
            error.to_string().contains("een.json: it does not say"),
            "{error}"
        );
    }
}

#[test]
fn many_keys_get_the_selectors_that_they_would_get_alone() {
    let fixture = Fixture::new();
    let organisation = organisation("{org}");
    let domains = domains(&["een.nl"]);
    let keys: Vec<NewKey> = (0..3)
        .map(|_| NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap())
        .collect();
    let next = |key| NextKey {
        organisation: &organisation,
        domains: &domains,
        key,
    };
    let mut writer = fixture.keystore.writer().unwrap();
    let alone = writer.add_next(&organisation, &domains, &keys[0], second(1));
    assert_eq!(alone.unwrap().selector, name("een"));
    let both = [next(&keys[1]), next(&keys[2])];
    let answers = writer.add_all_next(&both, &TIMING, second(1)).unwrap();
    let selectors: Vec<Selector> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(selectors, [name("een-2"), name("een-3")]);
    drop(writer);
    let keyring = fixture.keystore.read_keyring(&id("een")).unwrap();
    assert_eq!(keyring.keys().len(), 3);
    let log = fs::read_to_string(fixture.path("audit.log")).unwrap();
    assert_eq!(log.matches("\"generated\"").count(), 3);
}

#[test]
fn a_deadline_is_kept_beside_the_keyring_until_its_key_waits_no_more() {
    let fixture = Fixture::new();
    let (een, domains) = (id("een"), domains(&["een.nl"]));
    let [one, two, three] = ["s1", "s2", "s3"].map(name);
    let add = |selector: &Selector| {
        let target = target(&een, selector, &domains);
        let algorithm = Algorithm::Ed25519Sha256;
        let added = fixture.keystore.generate(&target, algorithm, 0, second(1));
        added.unwrap();
    };
    let activate = |selector: &Selector| {
        let target = target(&een, selector, &domains);
        let activated = fixture.keystore.activate(&target, &TIMING, second(2));
        activated.unwrap();
    };
    let set = |selector: &Selector, time: i64| {
        let mut writer = fixture.keystore.writer().unwrap();
        let selectors = std::iter::once(selector);
        writer.set_deadline(&een, selectors, second(time)).unwrap();
    };
    let deadlines = || {
        let keyring = fixture.keystore.read_keyring(&een).unwrap();
        [&one, &two].map(|selector| keyring.deadline(selector))
    };
    add(&one);
    add(&two);
    activate(&one);
    set(&two, 50);
    assert_eq!(deadlines(), [None, Some(second(50))]);
    // It signs already.
    set(&one, 60);
    assert_eq!(deadlines(), [None, Some(second(50))]);
    // A change of the keys leaves it as it is.
    add(&three);
    assert_eq!(deadlines(), [None, Some(second(50))]);
    activate(&two);
    set(&three, 70);
    let text = fs::read_to_string(fixture.path("een/deadlines.json")).unwrap();
    assert!(text.contains("s3") && !text.contains("s2"), "{text}");
}
