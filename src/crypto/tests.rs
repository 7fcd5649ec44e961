//! The backend against the `rsa` crate, which verifies here and never signs.

use rsa::{
    Pkcs1v15Sign, RsaPublicKey,
    pkcs1::DecodeRsaPublicKey,
    pkcs8::{DecodePrivateKey, PrivateKeyInfo, der::Decode},
};

use super::*;

/// `DigestInfo` of SHA-256 up to the hash (RFC 8017 §9.2 note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

#[test]
fn another_implementation_verifies_and_agrees_on_the_public_half() {
    let pem = rsa_pkcs8_pem(2048).unwrap();
    let other = rsa::RsaPrivateKey::from_pkcs8_pem(&pem).unwrap();
    let (_, document) = rsa::pkcs8::SecretDocument::from_pem(&pem).unwrap();
    let info = PrivateKeyInfo::from_der(document.as_bytes()).unwrap();
    let key = PrivateKey::rsa(info.private_key).unwrap();

    let public = RsaPublicKey::from_pkcs1_der(key.public_half()).unwrap();
    assert_eq!(public, other.to_public_key());
    let signature = key.sign(b"data").unwrap();
    let verifies = |data| {
        let digest_info = [
            SHA256_PREFIX.as_slice(),
            digest::digest(&digest::SHA256, data).as_ref(),
        ]
        .concat();
        public
            .verify(Pkcs1v15Sign::new_unprefixed(), &digest_info, &signature)
            .is_ok()
    };
    assert!(verifies(b"data"));
    assert!(!verifies(b"atad"));
}
