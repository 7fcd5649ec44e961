//! The example messages of the standards and the records of their keys.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this module"
)]

use std::{fs, path::Path};

use zegel::dkim::{
    FIELD_NAME, Field, HeaderSection, Message, ParsedSignature, PublicKey, VerificationError,
};

/// The record of RFC 6376 appendix C, `brisbane._domainkey.example.com`.
pub const RFC_6376_RSA: &str = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9\
    ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac\
    2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

/// The record of RFC 8463 appendix A.2, `brisbane._domainkey.football.example.com`.
pub const RFC_8463_ED25519: &str =
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// The record of RFC 8463 appendix A.2, `test._domainkey.football.example.com`.
pub const RFC_8463_RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzW\
    RiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx\
    j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

/// A file of `tests/fixtures`.
pub fn fixture(path: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(path)).expect("a fixture")
}

/// The DKIM-Signature fields, from the top.
pub fn signature_fields(header: &HeaderSection) -> Vec<Field<'_>> {
    header.fields().filter(|f| f.is(FIELD_NAME)).collect()
}

/// What Zegel says of each signature of a message, from the top.
pub fn verify(
    message: &[u8],
    now: u64,
    key: impl Fn(&ParsedSignature) -> Option<PublicKey>,
) -> Vec<Result<(), VerificationError>> {
    let message = Message::parse(message).expect("a message");
    signature_fields(&message.header)
        .iter()
        .map(|field| {
            let signature = ParsedSignature::parse(field.name, field.value)?;
            let key = key(&signature).ok_or(VerificationError::TagInvalid("s"))?;
            let mut hasher = signature.body_hasher();
            hasher.update(message.body);
            signature.verify(&message.header, &hasher.finish(), &key, now)
        })
        .collect()
}
