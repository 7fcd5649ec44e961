//! The example of RFC 8463 appendix A: both signatures verify, and the Ed25519 one is
//! made anew to the octet.

#[path = "support/standards.rs"]
mod standards;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use zegel::dkim::{
    BodyHasher, Canonicalisation, Message, ParsedSignature, PublicKey, SigningKey,
    VerificationError,
};

use standards::{RFC_8463_ED25519, RFC_8463_RSA, fixture, signature_fields, verify};

/// A day after `t=` of the example.
const NOW: u64 = 1_528_637_909 + 86_400;

#[test]
fn both_signatures_verify() {
    let results = verify(&fixture("messages/rfc8463.eml"), NOW, key);
    assert_eq!(results, [Ok(()), Ok(())]);
}

#[test]
fn the_key_of_one_does_not_verify_the_other() {
    let swapped = |signature: &ParsedSignature| {
        let record = match signature.selector.as_str() {
            "brisbane" => RFC_8463_RSA,
            _ => RFC_8463_ED25519,
        };
        PublicKey::from_record(record).ok()
    };
    let results = verify(&fixture("messages/rfc8463.eml"), NOW, swapped);
    let expected = Err(VerificationError::OtherAlgorithm);
    assert_eq!(results, [expected.clone(), expected]);
}

#[test]
fn a_second_field_of_a_name_that_is_listed_twice_breaks_both() {
    let expected = Err(VerificationError::Signature);
    for (name, results) in [
        ("From", [expected.clone(), expected.clone()]),
        ("Subject", [expected.clone(), expected.clone()]),
        ("Date", [expected.clone(), expected]),
        ("To", [Ok(()), Ok(())]),
    ] {
        let mut message = format!("{name}: x@example.org\r\n").into_bytes();
        message.extend(fixture("messages/rfc8463.eml"));
        assert_eq!(verify(&message, NOW, key), results, "{name}");
    }
}

#[test]
fn the_signature_is_made_anew_to_the_octet() {
    let bytes = fixture("messages/rfc8463.eml");
    let message = Message::parse(&bytes).unwrap();
    let field = signature_fields(&message.header)[0];
    let text = std::str::from_utf8(field.value).unwrap();
    let (unsigned, signature) = text.split_once(" b=").expect("b= is the last tag");
    let signature: String = signature.split_ascii_whitespace().collect();
    let (_, names) = text.split_once("h=").expect("an h= tag");
    let (names, _) = names.split_once(';').expect("a tag behind it");

    let mut data = Vec::new();
    let relaxed = Canonicalisation::Relaxed;
    message
        .header
        .canonical_fields(names.split(':').map(str::trim), relaxed, &mut data);
    relaxed.header_field(field.name, format!("{unsigned} b=").as_bytes(), &mut data);

    for file in ["keys/unsafe-rfc8463-v1.pem", "keys/unsafe-rfc8463-v2.pem"] {
        let key = SigningKey::from_pem(&fixture(file)).unwrap();
        assert_eq!(key.public_key().record(), RFC_8463_ED25519, "{file}");
        assert_eq!(BASE64.encode(key.sign(&data).unwrap()), signature, "{file}");
    }
}

#[test]
fn the_body_hash_is_that_of_the_example() {
    let bytes = fixture("messages/rfc8463.eml");
    let message = Message::parse(&bytes).unwrap();
    let mut hasher = BodyHasher::new(Canonicalisation::Relaxed);
    hasher.update(message.body);
    assert_eq!(
        BASE64.encode(hasher.finish()),
        "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    );
}

fn key(signature: &ParsedSignature) -> Option<PublicKey> {
    let record = match signature.selector.as_str() {
        "brisbane" => RFC_8463_ED25519,
        "test" => RFC_8463_RSA,
        _ => return None,
    };
    PublicKey::from_record(record).ok()
}
