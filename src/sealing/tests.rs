use super::{sealed::seal_with_salt, *};
use crate::{
    dkim::{Algorithm, Fingerprint, SigningKey},
    names::{OrganisationId, Selector},
};

const KEYSTORE: &str = "00112233445566778899aabbccddeeff";
const PEM: &[u8] = include_bytes!("../../tests/fixtures/keys/unsafe-ed25519-v1.pem");
const RSA: &[u8] = include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem");

struct Place {
    organisation: OrganisationId,
    selector: Selector,
    fingerprint: Fingerprint,
}

impl Place {
    fn of(organisation: &str, selector: &str, pem: &[u8]) -> Self {
        let key = SigningKey::from_pem(pem).unwrap();
        Self {
            organisation: organisation.parse().unwrap(),
            selector: selector.parse().unwrap(),
            fingerprint: key.public_key().fingerprint(),
        }
    }

    fn bound(&self) -> Bound<'_> {
        Bound {
            keystore: KEYSTORE,
            organisation: &self.organisation,
            selector: &self.selector,
            algorithm: Algorithm::Ed25519Sha256,
            fingerprint: self.fingerprint,
        }
    }
}

fn keys(keys: [SealingKey; 2]) -> SealingKeys {
    SealingKeys::new(keys.into())
}

fn new_key() -> SealingKey {
    SealingKey::generate().unwrap()
}

#[test]
fn what_is_sealed_opens_in_its_place() {
    let (first, second) = (new_key(), new_key());
    let place = Place::of("een", "s1", PEM);
    let texts = [
        seal(&first, &place.bound(), PEM).unwrap(),
        seal(&second, &place.bound(), PEM).unwrap(),
        seal(&first, &place.bound(), PEM).unwrap(),
    ];
    // A salt of its own each time.
    assert_ne!(texts[0], texts[2]);
    for text in &texts {
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(!text.contains("PRIVATE KEY"));
    }
    let ids = [first.id(), second.id(), first.id()];
    let all = keys([first, second]);
    for (text, id) in texts.iter().zip(ids) {
        let first_line = format!("zegel-sealed-key 1 sealing-key={id}\n");
        assert!(text.starts_with(&first_line), "{text}");
        assert_eq!(sealed_by(text.as_bytes()), SealedBy::Key(id));
        let opened = open(&all, &place.bound(), text.as_bytes()).unwrap();
        assert_eq!(opened.as_slice(), PEM);
    }
}

#[test]
fn a_bit_that_is_changed_anywhere_is_refused() {
    let key = new_key();
    let place = Place::of("een", "s1", PEM);
    let file = seal(&key, &place.bound(), PEM).unwrap().into_bytes();
    let all = SealingKeys::new(vec![key]);
    for octet in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[octet] ^= 1 << bit;
            let opened = open(&all, &place.bound(), &changed);
            assert!(opened.is_err(), "bit {bit} of octet {octet}");
        }
    }
    for end in 0..file.len() {
        assert!(open(&all, &place.bound(), &file[..end]).is_err(), "{end}");
    }
    for more in [b"\n".as_slice(), b" ", b"AAAA\n", b"AAAA", b"\0"] {
        let longer = [file.as_slice(), more].concat();
        let error = open(&all, &place.bound(), &longer).unwrap_err();
        assert_eq!(error, SealedProblem::Malformed, "{more:?}");
    }
    assert!(open(&all, &place.bound(), &file).is_ok());
}

#[test]
fn another_place_is_refused() {
    let key = new_key();
    let place = Place::of("een", "s1", PEM);
    let file = seal(&key, &place.bound(), PEM).unwrap();
    let all = SealingKeys::new(vec![key]);
    let bound = place.bound();
    let (organisation, selector) = ("twee".parse().unwrap(), "s2".parse().unwrap());
    let rfc8463 = include_bytes!("../../tests/fixtures/keys/unsafe-rfc8463-v1.pem");
    let others = [
        Bound {
            keystore: "ffeeddccbbaa99887766554433221100",
            ..bound
        },
        Bound {
            organisation: &organisation,
            ..bound
        },
        Bound {
            selector: &selector,
            ..bound
        },
        Bound {
            algorithm: Algorithm::RsaSha256,
            ..bound
        },
        Bound {
            fingerprint: Place::of("een", "s1", rfc8463).fingerprint,
            ..bound
        },
    ];
    for other in others {
        let error = open(&all, &other, file.as_bytes()).unwrap_err();
        assert_eq!(error, SealedProblem::DoesNotOpen, "{other:?}");
    }
}

#[test]
fn another_sealing_key_is_named() {
    let (key, other) = (new_key(), new_key());
    let place = Place::of("een", "s1", PEM);
    let file = seal(&key, &place.bound(), PEM).unwrap();
    let (wanted, there) = (key.id(), other.id());
    let error = |keys: Vec<SealingKey>| {
        let keys = SealingKeys::new(keys);
        open(&keys, &place.bound(), file.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let said = error(vec![other]);
    assert!(
        said.contains(&format!(
            "sealing key {wanted}, and [keystore] sealing_keys has {there}:"
        )),
        "{said}"
    );
    assert!(error(Vec::new()).contains("sealing_keys has none:"));
    let forged = file.replace(&wanted.to_string(), &there.to_string());
    let all = keys([
        key,
        SealingKey::parse(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
    ]);
    assert!(matches!(
        open(&all, &place.bound(), forged.as_bytes()),
        Err(SealedProblem::NoSuchKey { .. })
    ));
}

#[test]
fn other_versions_are_told_from_rubbish() {
    let all = SealingKeys::default();
    let place = Place::of("een", "s1", PEM);
    let refused = |file: &[u8]| open(&all, &place.bound(), file).unwrap_err();
    assert_eq!(
        refused(b"zegel-sealed-key 2 by=x\nAAAA\n"),
        SealedProblem::Later
    );
    for file in [
        b"zegel-sealed-key ".as_slice(),
        b"zegel-sealed-key x",
        b"zegel-sealed-key 1 sealing-key=0123456789ABCDEF\nAAAA\n",
        b"zegel-sealed-key 1 sealing-key=0123456789abcde\nAAAA\n",
        b"zegel-sealed-key 1 sealing-key=0123456789abcdef",
        b"zegel-sealed-key 1 sealing-key=0123456789abcdef\nAAAA",
        b"zegel-sealed-key 1 sealing-key=0123456789abcdef\r\nAAAA\r\n",
        b"zegel-sealed-key 1 sealing-key=0123456789abcdef\n!\n",
        b"-----BEGIN PRIVATE KEY-----",
        b"",
    ] {
        assert_eq!(refused(file), SealedProblem::Malformed, "{file:?}");
    }
}

#[test]
fn a_sealing_key_is_one_line_of_base64() {
    let key = new_key();
    let text = key.to_text();
    assert_eq!(text.len(), 45);
    assert_eq!(SealingKey::parse(text.as_bytes()).unwrap().id(), key.id());
    assert_ne!(new_key().id(), key.id());
    // What a program leaves out at the end, or adds.
    let bare = text.trim();
    for form in [
        bare.to_owned(),
        format!("{bare}\r\n"),
        format!("\n {bare}\n"),
    ] {
        assert_eq!(SealingKey::parse(form.as_bytes()).unwrap().id(), key.id());
    }
    let problem = |text: &[u8]| SealingKey::parse(text).unwrap_err();
    assert_eq!(problem(b""), SealingKeyProblem::Empty);
    assert_eq!(problem(b" \n"), SealingKeyProblem::Empty);
    for length in 1..43 {
        let cut = &bare.as_bytes()[..length];
        assert_eq!(problem(cut), SealingKeyProblem::Cut, "{length}");
        assert!(problem(cut).may_pass());
    }
    for wrong in [
        format!("{bare}{bare}"),
        format!("{bare}A"),
        format!("-{}", &bare[1..]),
        "key".repeat(30),
        "-----BEGIN PRIVATE KEY-----\n".to_owned(),
        "hunter2!".to_owned(),
    ] {
        assert_eq!(problem(wrong.as_bytes()), SealingKeyProblem::Malformed);
        assert!(!problem(wrong.as_bytes()).may_pass());
    }
    // Nothing of it is in what a log could say.
    assert!(!format!("{key:?}").contains(&bare[..8]));
}

/// What one backend sealed, the other opens: the file is as it is in the repository, and this runs
/// with both.
#[test]
fn each_backend_opens_what_the_other_sealed() {
    let key = include_bytes!("../../tests/fixtures/sealed/unsafe-sealing.key");
    let file = include_bytes!("../../tests/fixtures/sealed/unsafe-rsa2048.pem");
    let place = Place::of("gemeente", "s2026a", RSA);
    let bound = Bound {
        algorithm: Algorithm::RsaSha256,
        ..place.bound()
    };
    let key = SealingKey::parse(key).unwrap();
    // The same octets from the same salt, so what is sealed here today opens there, too.
    let again = seal_with_salt(&key, &bound, RSA, &[7; 32]).unwrap();
    assert_eq!(again.as_bytes(), file);
    let opened = open(&SealingKeys::new(vec![key]), &bound, file).unwrap();
    assert_eq!(opened.as_slice(), RSA);
}
