use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;

/// What the signatures below are of.
const DATA: &[u8] = b"from:joe@football.example.com\r\n";

/// `openssl dgst -sha256 -sign unsafe-rsa2048-pkcs8.pem`.
const RSA_2048_BY_OPENSSL: &str = "gumMyfLnhUwq1z5y6V7bGPmiY2zpnmIwjoaIZh37ng34MbZr0jjXlJm5Ng5yvII18PLzpkA6swTmWeLlgY4vikWkCB13YpOzGF5faiCyHUxQg6BaOwP3QeI0yRAz6Y50FZf12X6iJ1bQIYt9SuDdd5XSw2sEQyFfcaeJwm7cTbqSYIb3QlAh58vf2HBW9/h82MZafgWgZVmU6PE/MQZVMtEGYhrAYVSlw4GaJ9eQNEb0HBUo1WqwgZVfU0ITp0O6uxrztmMAPNBWsh7cKg/obP5nRt4BGVRzOQGjXvvIZ1eNYHMhdoRnT3rcbU3c88zQ8wNyz6ZGZqROQkcbSFoL5w==";

/// `openssl dgst -sha256 -sign unsafe-rsa1024-pkcs8.pem`.
const RSA_1024_BY_OPENSSL: &str = "hqjcumACkuskT+3pnmUWWjJTbKBxYGaoJZj29DImOSaNvc8+5AXS1FaYn9qPqgtyYeiGHPymXXwC8oKzKTWwRsKT9D6J7GtOa3nvo20ze46ZV6mIU8KWvJmvFcv9umNqEsESkPOy/VJX4DxYUyD1559AZ0Citd20yDKGz9mLFAU=";

/// `openssl pkeyutl -sign -rawin` of the SHA-256, by unsafe-ed25519-v1.pem.
const ED25519_BY_OPENSSL: &str =
    "XmdZjdfu5c25aHk8QWsopSdkXtS3TsyVc7TwyWlu9gpkMZkUl68u/pC+1stm5rv6TPrmXwZ3cshiA0NwI2dnCQ==";

/// RFC 8463 appendix A.2.
const RFC_8463_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    fs::read(folder.join(format!("unsafe-{name}.pem"))).unwrap()
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_pem(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refusal(octets: &[u8]) -> KeyError {
    SigningKey::from_pem(octets).unwrap_err()
}

fn base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[test]
fn reads_every_form_and_its_signatures_verify() {
    for (name, algorithm, bits, length) in [
        ("rsa2048-pkcs8", Algorithm::RsaSha256, 2048, 256),
        ("rsa2048-pkcs1", Algorithm::RsaSha256, 2048, 256),
        ("rsa3072-pkcs8", Algorithm::RsaSha256, 3072, 384),
        ("rsa3072-pkcs1", Algorithm::RsaSha256, 3072, 384),
        ("ed25519-v1", Algorithm::Ed25519Sha256, 256, 64),
        ("rfc8463-v1", Algorithm::Ed25519Sha256, 256, 64),
        ("rfc8463-v2", Algorithm::Ed25519Sha256, 256, 64),
        ("rfc8463-v2-explicit", Algorithm::Ed25519Sha256, 256, 64),
    ] {
        let key = key(name);
        assert_eq!(key.algorithm(), algorithm, "{name}");
        assert_eq!(key.public_key().bits(), bits, "{name}");
        assert_eq!(key.signature_len(), length, "{name}");
        let mut signature = key.sign(DATA).unwrap();
        assert_eq!(signature.len(), length, "{name}");
        assert!(key.public_key().verify(DATA, &signature), "{name}");
        assert!(!key.public_key().verify(b"other", &signature), "{name}");
        assert!(!key.public_key().verify(DATA, &signature[1..]), "{name}");
        signature[length / 2] ^= 1;
        assert!(!key.public_key().verify(DATA, &signature), "{name}");
    }
}

#[test]
fn signs_as_openssl_does() {
    assert_eq!(
        key("rsa2048-pkcs8").sign(DATA).unwrap(),
        base64(RSA_2048_BY_OPENSSL)
    );
    assert_eq!(
        key("ed25519-v1").sign(DATA).unwrap(),
        base64(ED25519_BY_OPENSSL)
    );
}

#[test]
fn the_same_key_in_another_form_is_the_same_key() {
    for (one, other) in [
        ("rsa2048-pkcs8", "rsa2048-pkcs1"),
        ("rsa2048-pkcs8", "rsa2048-public"),
        ("rsa2048-pkcs8", "rsa2048-public-pkcs1"),
        ("rsa3072-pkcs8", "rsa3072-pkcs1"),
        ("ed25519-v1", "ed25519-public"),
        ("rfc8463-v1", "rfc8463-v2"),
    ] {
        let key = key(one);
        let public = PublicKey::from_pem(&fixture(other)).unwrap();
        assert_eq!(key.public_key(), &public, "{one} {other}");
        let fingerprint = public.fingerprint();
        assert_eq!(key.public_key().fingerprint(), fingerprint);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
}

#[test]
fn there_is_one_form_to_keep_keys_in() {
    for (one, other) in [
        ("rsa2048-pkcs1", "rsa2048-pkcs8"),
        ("rsa2048-pkcs8", "rsa2048-pkcs8"),
        ("rfc8463-v2", "rfc8463-v1"),
        ("rfc8463-v2-explicit", "rfc8463-v1"),
        ("ed25519-v1", "ed25519-v1"),
    ] {
        let normalised = normalise_pem(&fixture(one)).unwrap();
        assert_eq!(normalised.as_bytes(), fixture(other), "{one}");
    }
}

#[test]
fn the_public_half_is_that_of_openssl() {
    let text = String::from_utf8(fixture("rsa2048-public")).unwrap();
    let body: String = text.lines().filter(|line| !line.contains('-')).collect();
    let key = key("rsa2048-pkcs8");
    assert_eq!(key.public_key().subject_public_key_info(), base64(&body));
    assert_eq!(
        key.public_key().record(),
        format!("v=DKIM1; k=rsa; p={body}")
    );
}

#[test]
fn the_record_of_rfc_8463() {
    assert_eq!(
        key("rfc8463-v1").public_key().record(),
        format!("v=DKIM1; k=ed25519; p={RFC_8463_PUBLIC}")
    );
}

#[test]
fn verifies_but_does_not_sign_with_1024_bits() {
    let public = PublicKey::from_pem(&fixture("rsa1024-public")).unwrap();
    assert_eq!(public.bits(), 1024);
    assert!(public.verify(DATA, &base64(RSA_1024_BY_OPENSSL)));
    for name in ["rsa1024-pkcs1", "rsa1024-pkcs8"] {
        let error = refusal(&fixture(name));
        assert_eq!(error, KeyError::TooShort { bits: 1024 });
        assert!(error.to_string().contains("1024 bits"), "{error}");
    }
}

#[test]
fn refuses_other_files_by_name() {
    let elliptic = || KeyError::UnsupportedAlgorithm("an elliptic curve (EC)".into());
    for (name, expected) in [
        ("rsa2048-pkcs8-encrypted", KeyError::Encrypted),
        ("rsa2048-pkcs1-encrypted", KeyError::Encrypted),
        ("rsa2048-public", KeyError::PublicOnly),
        ("rsa2048-public-pkcs1", KeyError::PublicOnly),
        ("ed25519-public", KeyError::PublicOnly),
        ("certificate", KeyError::Certificate),
        ("ec-p256", elliptic()),
        ("ec-p256-sec1", elliptic()),
        (
            "rsa2048-pss",
            KeyError::UnsupportedAlgorithm("RSA-PSS".into()),
        ),
        ("rfc8463-v2-mismatch", KeyError::HalvesDiffer),
    ] {
        assert_eq!(refusal(&fixture(name)), expected, "{name}");
    }
}

#[test]
fn tolerates_what_editors_do() {
    let text = String::from_utf8(fixture("ed25519-v1")).unwrap();
    let crlf = text.replace('\n', "\r\n");
    for variant in [
        format!("\u{feff}{text}"),
        crlf.clone(),
        format!("\n \t\r\n{crlf}\r\n\r\n  "),
        text.trim_end().to_owned(),
        text.replace('\n', "  \n\t"),
    ] {
        assert!(
            SigningKey::from_pem(variant.as_bytes()).is_ok(),
            "{variant:?}"
        );
    }
}

#[test]
fn refuses_what_is_not_one_block() {
    let text = String::from_utf8(fixture("ed25519-v1")).unwrap();
    let rsa = String::from_utf8(fixture("rsa2048-pkcs8")).unwrap();
    let without_end = text.split("-----END").next().unwrap();
    for (variant, expected) in [
        (String::new(), KeyError::Empty),
        ("\u{feff} \r\n".to_owned(), KeyError::Empty),
        ("p=MIIB".to_owned(), KeyError::NotPem),
        (
            "zegel-sealed-key 1 sealing-key=0123456789abcdef\nAAAA\n".to_owned(),
            KeyError::Sealed,
        ),
        (format!("{text}{text}"), KeyError::Several),
        (
            format!("-----END PRIVATE KEY-----\n{text}"),
            KeyError::Truncated,
        ),
        (
            format!("{text}-----END PRIVATE KEY-----\n"),
            KeyError::Truncated,
        ),
        (text.replace('\n', "\\n"), KeyError::EscapedBreaks),
        (text.replace('\n', "\\r\\n"), KeyError::EscapedBreaks),
        (format!("{text}{rsa}"), KeyError::Several),
        (without_end.to_owned(), KeyError::Truncated),
        (format!("{without_end}{rsa}"), KeyError::Truncated),
        (
            text.replace("END PRIVATE", "END PUBLIC"),
            KeyError::Truncated,
        ),
        (text.replace("MC4C", "M!4C"), KeyError::Base64),
        (text.replace("MC4C", "C4C"), KeyError::Base64),
        (text.replace("MC4C", ""), KeyError::Malformed),
        (
            text.replace(" PRIVATE", " OPENSSH PRIVATE"),
            KeyError::Label("OPENSSH PRIVATE KEY".to_owned()),
        ),
        (" ".repeat(65_537), KeyError::TooLarge),
    ] {
        assert_eq!(refusal(variant.as_bytes()), expected, "{variant:.80}");
    }
    assert_eq!(refusal(b"\xff-----BEGIN "), KeyError::Truncated);
    assert_eq!(refusal(b"\xff\xfeMIIE"), KeyError::NotPem);
}

#[test]
fn text_around_the_block_is_no_matter() {
    let rsa = String::from_utf8(fixture("rsa2048-pkcs8")).unwrap();
    let bag = "Bag Attributes\n    friendlyName: mail\n    localKeyID: 01 02\n\
               Key Attributes: <No Attributes>\n";
    for variant in [
        format!("{bag}{rsa}").into_bytes(),
        format!("my key\n{rsa}").into_bytes(),
        format!("{rsa}\n; it is for example.com\n").into_bytes(),
        format!("Private-Key: (2048 bit, 2 primes)\nmodulus:\n    00:b5:1e\n{rsa}").into_bytes(),
        format!("\u{feff}# clé privée\r\n{}", rsa.replace('\n', "\r\n")).into_bytes(),
        // Latin-1, as some tools write friendlyName.
        [b"friendlyName: Sch\xfctz\n".as_slice(), rsa.as_bytes()].concat(),
        format!("key: |\n{}", rsa.replace('\n', "\n    ")).into_bytes(),
    ] {
        let key = SigningKey::from_pem(&variant);
        let text = String::from_utf8_lossy(&variant);
        assert!(key.is_ok(), "{key:?} {text:.120}");
        let normalised = normalise_pem(&variant).unwrap();
        assert_eq!(normalised.as_str(), rsa, "{text:.120}");
    }
}

#[test]
fn openssl_writes_text_around_its_keys() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem");
    let output = std::process::Command::new("openssl")
        .args(["pkey", "-text", "-in"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.stdout.windows(8).any(|text| text == b"modulus:"));
    let key = SigningKey::from_pem(&output.stdout).unwrap();
    assert_eq!(key.public_key(), self::key("rsa2048-pkcs8").public_key());
}

#[test]
fn lost_line_breaks_are_read_and_utf_16_is_called_by_its_name() {
    for name in ["rsa2048-pkcs8", "rsa2048-pkcs1", "ed25519-v1"] {
        let text = String::from_utf8(fixture(name)).unwrap();
        for variant in ["", " ", "\r", "\t", "\r\r\n"] {
            let variant = text.replace('\n', variant);
            let read = SigningKey::from_pem(variant.as_bytes());
            assert!(read.is_ok(), "{read:?} {variant:.80}");
        }
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for variant in [
            little.clone(),
            big.clone(),
            [b"\xff\xfe".as_slice(), &little].concat(),
            [b"\xfe\xff".as_slice(), &big].concat(),
        ] {
            assert_eq!(refusal(&variant), KeyError::Utf16, "{name}");
        }
    }
}

#[test]
fn every_cut_is_refused() {
    let octets = fixture("rsa2048-pkcs8");
    let end = octets.trim_ascii_end().len();
    for length in 0..end {
        refusal(&octets[..length]);
    }
}

#[test]
fn makes_keys_that_sign() {
    for (algorithm, bits) in [(Algorithm::RsaSha256, 2048), (Algorithm::Ed25519Sha256, 0)] {
        let pem = generate_pem(algorithm, bits).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let other = generate_pem(algorithm, bits).unwrap();
        let other = SigningKey::from_pem(other.as_bytes()).unwrap();
        assert_ne!(key.public_key(), other.public_key());
    }
    for bits in [0, 1024, 2047, 8192] {
        assert_eq!(
            generate_pem(Algorithm::RsaSha256, bits).err(),
            Some(KeyError::UnsupportedSize { bits })
        );
    }
}

#[test]
fn shows_nothing_of_the_private_half() {
    let key = key("rfc8463-v1");
    let fingerprint = key.public_key().fingerprint();
    let expected =
        format!("SigningKey {{ algorithm: Ed25519Sha256, fingerprint: {fingerprint}, .. }}");
    assert_eq!(format!("{key:?}"), expected);
}

#[test]
fn is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<SigningKey>();
    shared::<PublicKey>();
}

#[test]
fn words_of_algorithms() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        let json = serde_json::to_string(&algorithm).unwrap();
        assert_eq!(json, format!("\"{algorithm}\""));
        assert_eq!(serde_json::from_str::<Algorithm>(&json).unwrap(), algorithm);
    }
    assert_eq!("rsa-sha1".parse::<Algorithm>(), Err(UnknownAlgorithm));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A damaged key is refused, or the damage is where it changes nothing.
    #[test]
    fn damage_never_signs_wrongly(position in 28_usize..1700, replacement in proptest::char::range('A', 'z')) {
        let mut octets = fixture("rsa2048-pkcs8");
        let position = position % octets.len();
        octets[position] = u8::try_from(replacement).unwrap();
        if let Ok(damaged) = SigningKey::from_pem(&octets) {
            let signature = damaged.sign(DATA).unwrap();
            prop_assert!(damaged.public_key().verify(DATA, &signature));
        }
    }

    #[test]
    fn no_input_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SigningKey::from_pem(&octets);
        let _ = PublicKey::from_pem(&octets);
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "RSA PUBLIC KEY"] {
            let body = STANDARD.encode(&octets);
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            let _ = SigningKey::from_pem(pem.as_bytes());
            let _ = PublicKey::from_pem(pem.as_bytes());
        }
    }
}

/// What a type shows of itself with `{:?}` gets into a log one day.
#[test]
fn private_halves_do_not_show_themselves() {
    use std::marker::PhantomData;

    struct Type<T>(PhantomData<T>);
    trait Otherwise {
        const SHOWS: bool = false;
    }
    impl<T> Otherwise for Type<T> {}
    impl<T: fmt::Debug> Type<T> {
        const SHOWS: bool = true;
    }

    const { assert!(Type::<SigningKey>::SHOWS) };
    const { assert!(!Type::<PrivateKey>::SHOWS) };
    const { assert!(!Type::<PrivateParts<'_>>::SHOWS) };
    const { assert!(!Type::<Pem<'_>>::SHOWS) };
    const { assert!(!Type::<crate::keys::NewKey>::SHOWS) };
    for name in ["rsa2048-pkcs8", "ed25519-v1"] {
        let key = key(name);
        let shown = format!(
            "SigningKey {{ algorithm: {:?}, fingerprint: {:?}, .. }}",
            key.algorithm(),
            key.public_key().fingerprint()
        );
        assert_eq!(format!("{key:?}"), shown);
    }
}
