//! A writer that reads of the mark only what it asks about keeps the same promises as one that
//! reads all of it.

use super::*;

fn new() -> NewKey {
    NewKey::generate(Algorithm::Ed25519Sha256, 0).unwrap()
}

/// `een` has `s` for een.nl, and `drie` has `s` and `s-2` for drie.nl, of which `s` is given up.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    for (organisation, selector, domain) in [
        ("een", "s", "een.nl"),
        ("drie", "s", "drie.nl"),
        ("drie", "s-2", "drie.nl"),
    ] {
        let (organisation, selector, names) =
            (id(organisation), name(selector), domains(&[domain]));
        let target = target(&organisation, &selector, &names);
        let mut writer = fixture.keystore.writer().unwrap();
        writer.add(&target, &new(), second(10)).unwrap();
        writer.activate(&target, &TIMING, second(20)).unwrap();
    }
    fixture
}

/// As a command opens it that is about this organisation, and nothing else.
fn writer(fixture: &Fixture, organisation: &str) -> Writer {
    let keystore = Keystore::open(fixture.keystore.path()).unwrap();
    keystore.writer_of([&id(organisation)], []).unwrap()
}

fn twee() -> Organisation {
    Organisation {
        id: id("twee"),
        ..organisation("s")
    }
}

fn mark(fixture: &Fixture) -> PathBuf {
    fixture.path("../keys.mark/mark.jsonl")
}

/// What the mark tells of all, whichever keys they are.
fn told(fixture: &Fixture) -> Vec<String> {
    let mark = fs::read_to_string(mark(fixture)).unwrap();
    let lines = mark.lines().filter(|line| !line.contains("generation"));
    let mut lines: Vec<String> = lines
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            for own in ["fingerprint", "id"] {
                line.as_object_mut().unwrap().remove(own);
            }
            line.to_string()
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// A writer that reads all, and one that reads a part, leave the same mark behind.
fn assert_same(change: impl Fn(&Fixture), write: impl Fn(&mut Writer)) {
    let told = [false, true].map(|is_part| {
        let fixture = fixture();
        change(&fixture);
        let mut writer = if is_part {
            writer(&fixture, "een")
        } else {
            Keystore::open(fixture.keystore.path())
                .unwrap()
                .writer()
                .unwrap()
        };
        write(&mut writer);
        told(&fixture)
    });
    assert!(told[0].iter().any(|line| line.contains("\"drie\"")));
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_selector_is_never_given_out_again() {
    let fixture = fixture();
    fs::remove_dir_all(fixture.path("een")).unwrap();
    fs::remove_file(fixture.path("audit.log")).unwrap();
    let mut writer = writer(&fixture, "een");
    let names = domains(&["een.nl"]);
    let made = writer.add_next(&organisation("s"), &names, &new(), second(30));
    assert_eq!(made.unwrap().selector.as_str(), "s-2");
    let (een, used) = (id("een"), name("s"));
    let refused = writer.add(&target(&een, &used, &names), &new(), second(30));
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, KeystoreError::SelectorUsed { .. }),
        "{refused}"
    );
    assert!(writer.keystore.mark.is_part());
}

/// Of a domain that the writer did not name when it began.
#[test]
fn a_selector_of_another_organisation_is_not_used_in_its_domains() {
    let fixture = fixture();
    let mut writer = writer(&fixture, "twee");
    let twee = twee();
    let mut made = |domain: &str| {
        let made = writer.add_next(&twee, &domains(&[domain]), &new(), second(30));
        made.unwrap().selector.to_string()
    };
    assert_eq!(made("twee.nl"), "s");
    assert_eq!(made("een.nl"), "s-2");
    assert_eq!(made("drie.nl"), "s-3");
    for (domain, holder) in [("een.nl", "een"), ("drie.nl", "drie")] {
        let (selector, names) = (name("s"), domains(&[domain]));
        let taken = writer.taken(&target(&twee.id, &selector, &names)).unwrap();
        assert_eq!(taken.unwrap().0.as_str(), holder);
    }
    assert!(writer.keystore.mark.is_part());
}

#[test]
fn a_key_that_was_given_up_does_not_come_back() {
    let fixture = fixture();
    let pem = fs::read(fixture.path("drie/s.pem")).unwrap();
    let (last, in_use) = (name("s-2"), new());
    fs::remove_dir_all(fixture.path("drie")).unwrap();
    let mut writer = writer(&fixture, "twee");
    let (twee, names) = (id("twee"), domains(&["twee.nl"]));
    // Another one first: what is known of one key says nothing of the next.
    let other = NewKey::from_pem(in_use.pem()).unwrap();
    writer
        .add(&target(&twee, &last, &names), &other, second(30))
        .unwrap();
    let given_up = NewKey::from_pem(&pem).unwrap();
    let selector = name("s-9");
    let refused = writer.add(&target(&twee, &selector, &names), &given_up, second(30));
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, KeystoreError::KeyGivenUp { .. }),
        "{refused}"
    );
    assert!(writer.keystore.mark.is_part());
}

#[test]
fn a_key_that_is_missing_is_in_doubt() {
    let fixture = fixture();
    fs::remove_dir_all(fixture.path("een")).unwrap();
    fs::remove_file(fixture.path("audit.log")).unwrap();
    let writer = writer(&fixture, "twee");
    let doubts = writer
        .doubts(&organisation("s"), &Keyring::default())
        .unwrap();
    assert_eq!(doubts.len(), 1);
    assert!(
        doubts[0].reason.contains("the mark tells of it"),
        "{doubts:?}"
    );
}

#[test]
fn nothing_is_lost_when_a_mark_that_is_behind_is_written_anew() {
    let lose = |fixture: &Fixture| {
        let text = fs::read_to_string(mark(fixture)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len() - 1;
        fs::write(mark(fixture), format!("{}\n", lines[..last].join("\n"))).unwrap();
        // What the keyrings would tell again is in the mark alone.
        for folder in ["een", "drie"] {
            fs::remove_dir_all(fixture.path(folder)).unwrap();
        }
    };
    assert_same(lose, |_| ());
}

#[test]
fn nothing_is_lost_when_a_long_mark_is_written_anew() {
    let lengthen = |fixture: &Fixture| {
        let text = fs::read(mark(fixture)).unwrap();
        let generation = fixture.keystore.generation().unwrap();
        let spare = format!("{{\"what\":\"generation\",\"number\":{generation}}}\n").repeat(1100);
        fs::write(mark(fixture), [&text[..], spare.as_bytes()].concat()).unwrap();
    };
    let suspend = |writer: &mut Writer| {
        writer.suspend(&id("een"), second(30)).unwrap();
        let mark = writer
            .keystore
            .path()
            .parent()
            .unwrap()
            .join("keys.mark/mark.jsonl");
        let lines = fs::read_to_string(mark).unwrap().lines().count();
        assert!(lines < 20, "{lines}");
    };
    assert_same(lengthen, suspend);
}
