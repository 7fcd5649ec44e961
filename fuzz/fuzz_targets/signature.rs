//! Messages with signatures of strangers: what counts as right is right by the rules as they
//! are written, too.
//!
//! Input: a message.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zegel::dkim::{
    Algorithm, Claims, FIELD_NAME, Field, HeaderSection, Message, ParsedSignature, PublicKey,
    SigningKey,
};
use zegel_fuzz::verify;

/// In the middle of the life of the signatures in the corpus.
const NOW: u64 = 1_600_000_000;

static KEYS: LazyLock<[PublicKey; 2]> = LazyLock::new(|| {
    let keys: [&[u8]; 2] = [
        include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem"),
        include_bytes!("../../tests/fixtures/keys/unsafe-rfc8463-v1.pem"),
    ];
    keys.map(|pem| {
        let key = SigningKey::from_pem(pem).expect("a key of the tests");
        key.public_key().clone()
    })
});

fuzz_target!(|input: &[u8]| {
    let Ok(Message { header, body }) = Message::parse(input) else {
        return;
    };
    for (place, field) in header.fields().enumerate() {
        if field.is(FIELD_NAME) {
            check(&header, place, field, body);
        }
    }
});

fn check(header: &HeaderSection, place: usize, field: Field<'_>, body: &[u8]) {
    let claims = Claims::read(field.value);
    let Ok(signature) = ParsedSignature::parse(field.name, field.value) else {
        return;
    };
    assert_eq!(claims.domain.as_ref(), Some(&signature.domain));
    assert_eq!(claims.selector.as_ref(), Some(&signature.selector));
    assert_eq!(
        claims.algorithm.as_deref(),
        Some(signature.algorithm.as_str())
    );
    let is_from = |name: &String| name.eq_ignore_ascii_case("from");
    assert!(signature.names.iter().any(is_from));
    assert!(
        signature
            .identity_domain
            .as_str()
            .ends_with(signature.domain.as_str())
    );

    let mut hasher = signature.body_hasher();
    hasher.update(body);
    let body_hash = hasher.finish();
    for key in &*KEYS {
        let verified = signature.verify(header, &body_hash, key, NOW).is_ok();
        let in_time = signature
            .expiration
            .is_none_or(|expiration| expiration >= NOW);
        let fits = signature.algorithm == key.algorithm() && in_time;
        // Of fields that are the same to the letter it does not matter which one is meant.
        let first = header.fields().position(|other| other == field);
        let expected = verify::holds(header, first.unwrap_or(place), body, key);
        assert_eq!(verified, fits && expected == Some(true), "{key:?}");
        if key.algorithm() == Algorithm::RsaSha256 && verified {
            assert!(key.bits() >= 1024);
        }
    }
}
