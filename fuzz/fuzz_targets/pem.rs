//! Key files. What is taken signs, and its signatures verify with its own record.
//!
//! Input: the label of the block (0: the rest is the whole file), what is in the block.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use zegel::dkim::{PublicKey, SigningKey, key::normalise_pem};
use zegel_fuzz::input;

const LABELS: [&str; 4] = [
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
];

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let form = input::octet(&mut rest);
    let file = match form
        .checked_sub(1)
        .and_then(|form| LABELS.get(usize::from(form)))
    {
        None => rest.to_vec(),
        Some(label) => {
            let base64 = STANDARD.encode(rest);
            format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").into_bytes()
        }
    };
    let public = PublicKey::from_pem(&file);
    let Ok(key) = SigningKey::from_pem(&file) else {
        if let Ok(public) = public {
            check_public(&public);
        }
        return;
    };
    assert_eq!(public.as_ref(), Ok(key.public_key()));
    check_public(key.public_key());
    let signature = key.sign(b"data").expect("it has signed before");
    assert!(key.public_key().verify(b"data", &signature));
    assert!(!key.public_key().verify(b"date", &signature));
    let normal = normalise_pem(&file).expect("a key that signs has a normal form");
    let again = SigningKey::from_pem(normal.as_bytes()).expect("the normal form is a key");
    assert_eq!(again.public_key(), key.public_key());
});

/// Its record holds it.
fn check_public(key: &PublicKey) {
    let read = PublicKey::from_record(&key.record());
    assert_eq!(read.as_ref(), Ok(key));
    assert!(!key.verify(b"data", b"no signature"));
}
