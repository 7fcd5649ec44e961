//! RFC 8301: no SHA-1, no short RSA keys.

#[path = "support/standards.rs"]
mod standards;

use zegel::dkim::{
    Algorithm, KeyError, Message, ParsedSignature, PublicKey, SigningKey, VerificationError,
    key::generate_pem, record::RecordError,
};

use standards::{RFC_6376_RSA, fixture, signature_fields};

/// A modulus of 768 bits.
const RSA_768: &str = "MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAK9YN/yLLZER95lbVFz9Oc548zKU3xv2pp7BOuWNMYERpr\
    /fiupIy/rhbbelb9ZwQj5l0nDKZ9ydzx5DqMbv5EAYJJt9B5+9/eFLy7+Nf4u9AQ8NlO01M7AEfjtluTg3KwIDAQAB";
/// A modulus of 1023 bits.
const RSA_1023: &str = "MIGeMA0GCSqGSIb3DQEBAQUAA4GMADCBiAKBgHM9W40D4KuMOl0PRIjopVY3pSb+FpcugudkheB/\
    LDLTTCJssr9n6V/O/RztL5eGirypD4JuvQDFlb/oAGy6Smsl6okE5jHwlWn3dQhmGETIszDFBcXzp1B0dDmaaiI2gKI3w\
    govucQWLieO4yaMcG9HM7kQUvtSLry00kvDzgZnAgMBAAE=";

#[test]
fn a_signature_with_sha1_is_refused() {
    assert!("rsa-sha1".parse::<Algorithm>().is_err());
    let bytes = fixture("messages/rfc6376.eml");
    let text = String::from_utf8(bytes)
        .unwrap()
        .replacen("a=rsa-sha256", "a=rsa-sha1", 1);
    let message = Message::parse(text.as_bytes()).unwrap();
    let field = signature_fields(&message.header)[0];
    assert_eq!(
        ParsedSignature::parse(field.name, field.value).err(),
        Some(VerificationError::TagInvalid("a"))
    );
}

#[test]
fn no_word_of_ours_is_sha1() {
    for algorithm in Algorithm::ALL {
        assert!(algorithm.as_str().ends_with("-sha256"));
    }
}

#[test]
fn a_record_for_sha1_alone_holds_no_key() {
    let record =
        |hashes: &str| PublicKey::from_record(&format!("h={hashes}; {}", &RFC_6376_RSA[9..]));
    let refused = |hashes: &str| Err(RecordError::Hash(hashes.to_owned()));
    assert_eq!(record("sha1"), refused("sha1"));
    assert!(record("sha1:sha256").is_ok());
    assert!(record("sha256").is_ok());
}

#[test]
fn a_key_of_less_than_2048_bits_does_not_sign() {
    for file in [
        "keys/unsafe-rsa1024-pkcs1.pem",
        "keys/unsafe-rsa1024-pkcs8.pem",
    ] {
        let refused = SigningKey::from_pem(&fixture(file)).err();
        assert_eq!(refused, Some(KeyError::TooShort { bits: 1024 }), "{file}");
    }
    assert!(SigningKey::from_pem(&fixture("keys/unsafe-rsa2048-pkcs8.pem")).is_ok());
    for bits in [512, 1024, 2047] {
        let refused = generate_pem(Algorithm::RsaSha256, bits).err();
        assert_eq!(refused, Some(KeyError::UnsupportedSize { bits }));
    }
}

#[test]
fn a_key_of_less_than_1024_bits_does_not_verify() {
    for (key, bits) in [(RSA_768, 768), (RSA_1023, 1023)] {
        let refused = PublicKey::from_record(&format!("v=DKIM1; k=rsa; p={key}"));
        assert_eq!(refused, Err(RecordError::TooShort { bits }));
    }
    let shortest = PublicKey::from_record(RFC_6376_RSA).unwrap();
    assert_eq!(shortest.bits(), 1024);
}
