//! Which keys are in use is known beside the keyrings too.

use super::*;

const OTHERS: fn(&DomainName) -> bool = |_| false;

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let (organisation, selector, names) = (id("een"), name("s"), domains(&["een.nl"]));
    let target = target(&organisation, &selector, &names);
    let keystore = &fixture.keystore;
    let algorithm = Algorithm::Ed25519Sha256;
    keystore
        .generate(&target, algorithm, 0, second(10))
        .unwrap();
    let keyring = fixture.path("een/keyring.json");
    fs::copy(&keyring, fixture.path("generated")).unwrap();
    keystore.activate(&target, &TIMING, second(20)).unwrap();
    fixture
}

fn mark(fixture: &Fixture) -> PathBuf {
    fixture.keystore.path().with_extension("mark")
}

/// The domains with a key in use that is not in its keyring.
fn lost(fixture: &Fixture) -> Vec<String> {
    let keystore = Keystore::open(fixture.keystore.path()).unwrap();
    let witness = keystore.witness().unwrap();
    let lost = witness.lost(&keystore.view().unwrap(), true, OTHERS);
    let named = lost.iter().map(|(id, domain)| format!("{domain} of {id}"));
    named.collect()
}

fn doubts(fixture: &Fixture) -> usize {
    let keystore = Keystore::open(fixture.keystore.path()).unwrap();
    let keyring = keystore.read_keyring(&id("een")).unwrap();
    let witness = keystore.witness().unwrap();
    witness.doubts(&organisation("s"), &keyring).len()
}

#[test]
fn a_key_in_use_is_missed_whatever_is_left_of_its_keyring() {
    for loss in ["no mark", "new mark", "nothing"] {
        for left in ["all", "generated", "nothing"] {
            let fixture = fixture();
            if loss != "nothing" {
                fs::remove_dir_all(mark(&fixture)).unwrap();
            }
            let keyring = fixture.path("een/keyring.json");
            match left {
                "generated" => {
                    fs::copy(fixture.path("generated"), keyring).unwrap();
                }
                "nothing" => fs::remove_dir_all(fixture.path("een")).unwrap(),
                _ => {}
            }
            if loss == "new mark" {
                drop(fixture.keystore.writer().unwrap());
                fs::remove_file(fixture.path("audit.log")).unwrap();
            }
            let number = usize::from(left != "all");
            assert_eq!(lost(&fixture).len(), number, "{loss} {left}");
            assert_eq!(doubts(&fixture), number, "{loss} {left}");
        }
    }
}

#[test]
fn what_retires_is_given_up_though_no_keyring_has_it() {
    let fixture = fixture();
    let een = id("een");
    let away = fixture.path("away");
    fs::rename(fixture.path("een"), &away).unwrap();
    assert_eq!(lost(&fixture), ["een.nl of een"]);
    let generation = fixture.keystore.generation().unwrap();
    let mut writer = fixture.keystore.writer().unwrap();
    let retired = writer.retire(&een, None, &TIMING, second(30)).unwrap();
    assert_eq!((retired.changes.len(), retired.missing.len()), (0, 1));
    let again = writer.retire(&een, None, &TIMING, second(30)).unwrap();
    assert_eq!(again.missing, []);
    assert_eq!(fixture.keystore.generation().unwrap(), generation + 1);
    assert!(!fixture.path("een").exists());
    assert_eq!(lost(&fixture), [""; 0]);
    // It is back, and is given up all the same.
    fs::rename(away, fixture.path("een")).unwrap();
    assert_eq!(doubts(&fixture), 1);
    // The audit log alone knows it too.
    fs::remove_dir_all(mark(&fixture)).unwrap();
    fs::remove_dir_all(fixture.path("een")).unwrap();
    assert_eq!(lost(&fixture), [""; 0]);
}

#[test]
fn what_0_1_wrote_tells_of_no_key_in_use() {
    let fixture = fixture();
    let log = fs::read_to_string(fixture.path("audit.log")).unwrap();
    fs::write(fixture.path("audit.log"), log.replace("\"version\":2,", "")).unwrap();
    fs::remove_dir_all(mark(&fixture)).unwrap();
    let keyring = fixture.path("een/keyring.json");
    let json = fs::read_to_string(&keyring).unwrap();
    fs::write(&keyring, json.replace("\"version\": 3", "\"version\": 2")).unwrap();
    drop(fixture.keystore.writer().unwrap());
    let text = fs::read_to_string(mark(&fixture).join("mark.jsonl")).unwrap();
    assert!(!text.contains("in_use"), "{text}");
    // The first change of today tells it.
    let mut writer = fixture.keystore.writer().unwrap();
    writer.suspend(&id("een"), second(40)).unwrap();
    let text = fs::read_to_string(mark(&fixture).join("mark.jsonl")).unwrap();
    assert!(text.contains("\"what\":\"in_use\""), "{text}");
}
