//! Sealed keys, and the files of sealing keys. What opens is what was sealed, in its place and
//! octet for octet as it was written; a true one that was changed or moved does not open.
//!
//! Input: what the rest is (0: a sealed key; 1: changes of a true one; 2: the place where a true one
//! is opened, in lines; 3: the file of a sealing key; more: a text that is sealed).
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zegel::{
    dkim::{Algorithm, Fingerprint, SigningKey},
    names::{OrganisationId, Selector},
    sealing::{Bound, SealedBy, SealedProblem, SealingKey, SealingKeys, open, seal, sealed_by},
};
use zegel_fuzz::input;

const SEALING_KEY: &[u8] = include_bytes!("../../tests/fixtures/sealed/unsafe-sealing.key");
const SEALED: &[u8] = include_bytes!("../../tests/fixtures/sealed/unsafe-rsa2048.pem");
const PLAIN: &[u8] = include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem");
const KEYSTORE: &str = "00112233445566778899aabbccddeeff";

/// Reading the key takes far longer than all else here.
static FINGERPRINT: LazyLock<Fingerprint> = LazyLock::new(|| {
    let key = SigningKey::from_pem(PLAIN).expect("a key of the tests");
    key.public_key().fingerprint()
});

/// The place of the true one, or another.
#[derive(Clone, PartialEq)]
struct Place {
    keystore: String,
    organisation: OrganisationId,
    selector: Selector,
    algorithm: Algorithm,
    fingerprint: Fingerprint,
}

impl Place {
    fn of_the_true_one() -> Self {
        Self {
            keystore: KEYSTORE.to_owned(),
            organisation: "gemeente".parse().expect("an id"),
            selector: "s2026a".parse().expect("a selector"),
            algorithm: Algorithm::RsaSha256,
            fingerprint: *FINGERPRINT,
        }
    }

    fn bound(&self) -> Bound<'_> {
        Bound {
            keystore: &self.keystore,
            organisation: &self.organisation,
            selector: &self.selector,
            algorithm: self.algorithm,
            fingerprint: self.fingerprint,
        }
    }
}

fn keys() -> SealingKeys {
    let key = SealingKey::parse(SEALING_KEY).expect("a sealing key of the tests");
    SealingKeys::new(vec![key])
}

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    match input::octet(&mut rest) {
        0 => check_file(rest),
        1 => check_file(&changed(rest)),
        2 => check_place(rest),
        3 => check_sealing_key(rest),
        _ => check_round(rest),
    }
});

/// Nobody here can seal another one with this key.
fn check_file(file: &[u8]) {
    let opened = open(&keys(), &Place::of_the_true_one().bound(), file);
    match (&opened, file == SEALED) {
        (Ok(text), true) => assert_eq!(text.as_slice(), PLAIN),
        (Err(_), false) => {}
        _ => panic!("{opened:?}"),
    }
    let none = open(
        &SealingKeys::default(),
        &Place::of_the_true_one().bound(),
        file,
    );
    let problem = none.expect_err("there is no key");
    assert_ne!(problem, SealedProblem::DoesNotOpen, "nothing was tried");
    assert!(!problem.to_string().is_empty());
    // The first line alone says how it lies.
    let first = file.split_inclusive(|&octet| octet == b'\n').next();
    assert_eq!(sealed_by(first.unwrap_or_default()), sealed_by(file));
}

/// The true one after so many changes: what is done, where (2 octets), with which octet.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut file = SEALED.to_vec();
    for change in changes.chunks_exact(4) {
        let length = file.len();
        let at = usize::from(u16::from_be_bytes([change[1], change[2]])) % (length + 1);
        match (change[0] % 4, file.get_mut(at)) {
            (0, Some(octet)) => *octet ^= change[3],
            (1, Some(octet)) => *octet = change[3],
            (2, Some(_)) => {
                file.remove(at);
            }
            (3, _) if length < 2 * SEALED.len() => file.insert(at, change[3]),
            _ => file.truncate(at),
        }
    }
    file
}

/// Four lines, each one that can't be read is that of the true one.
fn check_place(lines: &[u8]) {
    let true_one = Place::of_the_true_one();
    let mut place = true_one.clone();
    let text = String::from_utf8_lossy(lines);
    let mut lines = text.split('\n');
    if let Some(keystore) = lines.next() {
        keystore.clone_into(&mut place.keystore);
    }
    if let Some(organisation) = lines.next().and_then(|line| line.parse().ok()) {
        place.organisation = organisation;
    }
    if let Some(selector) = lines.next().and_then(|line| line.parse().ok()) {
        place.selector = selector;
    }
    if lines.next() == Some("ed25519-sha256") {
        place.algorithm = Algorithm::Ed25519Sha256;
    }
    let opened = open(&keys(), &place.bound(), SEALED);
    if place == true_one {
        assert_eq!(opened.expect("its place").as_slice(), PLAIN);
    } else {
        assert_eq!(opened.err(), Some(SealedProblem::DoesNotOpen));
    }
}

/// One text for one key, and what it seals it opens.
fn check_sealing_key(file: &[u8]) {
    let key = match SealingKey::parse(file) {
        Ok(key) => key,
        Err(problem) => {
            // The beginning of one is shorter than one.
            assert!(!problem.may_pass() || file.trim_ascii().len() < 44);
            return;
        }
    };
    let (id, text) = (key.id(), key.to_text());
    assert_eq!(text.trim_end().as_bytes(), file.trim_ascii());
    let again = SealingKey::parse(text.as_bytes()).expect("its own text");
    assert_eq!(again.id(), id);
    let place = Place::of_the_true_one();
    let sealed = seal(&key, &place.bound(), PLAIN).expect("it is sealed");
    let keys = SealingKeys::new(vec![again]);
    let opened = open(&keys, &place.bound(), sealed.as_bytes());
    assert_eq!(opened.expect("it opens").as_slice(), PLAIN);
}

/// Any text, of any length.
fn check_round(text: &[u8]) {
    let place = Place::of_the_true_one();
    let keys = keys();
    let key = keys.first().expect("the one");
    let sealed = seal(key, &place.bound(), text).expect("it is sealed");
    assert_eq!(sealed_by(sealed.as_bytes()), SealedBy::Key(key.id()));
    let opened = open(&keys, &place.bound(), sealed.as_bytes());
    assert_eq!(opened.expect("it opens").as_slice(), text);
    let cut = &sealed.as_bytes()[..sealed.len() - 1];
    assert!(open(&keys, &place.bound(), cut).is_err());
}
