use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::dkim::key::SigningKey;

const ED25519: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    fs::read(folder.join(format!("unsafe-{name}.pem"))).unwrap()
}

fn body(name: &str) -> String {
    let text = String::from_utf8(fixture(name)).unwrap();
    text.lines().filter(|line| !line.contains('-')).collect()
}

#[test]
fn what_is_written_is_read() {
    for name in ["rsa2048-pkcs8", "rsa3072-pkcs8", "ed25519-v1"] {
        let key = SigningKey::from_pem(&fixture(name)).unwrap();
        let record = key.public_key().record();
        let read = PublicKey::from_record(&record).unwrap();
        assert_eq!(&read, key.public_key(), "{name}");
        let signature = key.sign(b"data").unwrap();
        assert!(read.verify(b"data", &signature), "{name}");
    }
}

#[test]
fn reads_what_the_rfc_allows() {
    let expected = PublicKey::from_pem(&fixture("rsa2048-public")).unwrap();
    let spki = body("rsa2048-public");
    let folded = format!("{}\r\n\t {} {}", &spki[..9], &spki[9..80], &spki[80..]);
    for text in [
        format!("p={spki}"),
        format!("v=DKIM1;p={spki};"),
        format!(" v = DKIM1 ;\tk = rsa ; t = y : s ; h = sha1 : sha256 ; p = {spki} ; "),
        format!("v=DKIM1; s=email; n=a note, with = and ë; x-y=; p={spki}").replace("x-y", "x_y"),
        format!("v=DKIM1; s=tlsrpt:*; g=*; p={folded}"),
        format!("v=DKIM1; k=rsa; p={}", body("rsa2048-public-pkcs1")),
    ] {
        let record = Record::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(record.public_key, expected, "{text}");
    }
}

#[test]
fn reads_the_flags() {
    let flags = |text: &str| Record::parse(text).unwrap().flags;
    let plain = flags(&format!("k=ed25519; p={ED25519}"));
    assert_eq!(plain, Flags::default());
    let both = flags(&format!("k=ed25519; t=s:x:y; p={ED25519}"));
    assert!(both.testing && both.strict);
}

#[test]
fn a_1024_bit_key_is_read() {
    let text = format!("v=DKIM1; p={}", body("rsa1024-public"));
    assert_eq!(PublicKey::from_record(&text).unwrap().bits(), 1024);
}

#[test]
fn names_what_is_wrong() {
    let rsa = body("rsa2048-public");
    let short = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL0fZ+Wwv/Se1BtuDvcD7AEDSfdmzSjm\
        EQX1M3b3mJ6m5a2GqLaqAWXbYmN4T3m2e5n8Wd7dVJH4Q1K4h3X0l1UCAwEAAQ==";
    for (text, expected) in [
        (String::new(), RecordError::Empty),
        (" \t".into(), RecordError::Empty),
        ("v=DKIM1; k=rsa; p=".into(), RecordError::Revoked),
        ("v=DKIM1; p= ;".into(), RecordError::Revoked),
        ("v=DKIM1; k=rsa".into(), RecordError::NoKey),
        (
            format!("v=DKIM1\\; k=rsa\\; p={rsa}"),
            RecordError::Version("DKIM1\\".into()),
        ),
        (
            format!("v=dkim1; p={rsa}"),
            RecordError::Version("dkim1".into()),
        ),
        (
            format!("k=rsa; v=DKIM1; p={rsa}"),
            RecordError::VersionNotFirst,
        ),
        (
            format!("p={rsa}; p={rsa}"),
            RecordError::RepeatedTag("p".into()),
        ),
        (
            format!("v=DKIM1;; p={rsa}"),
            RecordError::NotATag(String::new()),
        ),
        (
            format!("\"v=DKIM1; p={rsa}\""),
            RecordError::NotATag("\"v=DKIM1".into()),
        ),
        (
            "v=spf1 -all".into(),
            RecordError::Version("spf1 -all".into()),
        ),
        ("some text".into(), RecordError::NotATag("some text".into())),
        (
            format!("k=RSA; p={rsa}"),
            RecordError::KeyType("RSA".into()),
        ),
        (
            format!("k=dsa; p={rsa}"),
            RecordError::KeyType("dsa".into()),
        ),
        (format!("h=sha1; p={rsa}"), RecordError::Hash("sha1".into())),
        (
            format!("s=tlsrpt; p={rsa}"),
            RecordError::Service("tlsrpt".into()),
        ),
        ("p=MIIB!".into(), RecordError::Base64),
        (format!("p={}", &rsa[..255]), RecordError::Base64),
        (format!("p={}", &rsa[..200]), RecordError::Malformed("rsa")),
        (
            format!("k=ed25519; p={rsa}"),
            RecordError::Malformed("ed25519"),
        ),
        (format!("k=rsa; p={ED25519}"), RecordError::Malformed("rsa")),
        (
            format!("k=ed25519; p={}", body("ed25519-public")),
            RecordError::Malformed("ed25519"),
        ),
        (
            format!("p={}", body("ed25519-public")),
            RecordError::Malformed("rsa"),
        ),
        (format!("p={short}"), RecordError::TooShort { bits: 512 }),
    ] {
        assert_eq!(Record::parse(&text), Err(expected), "{text}");
    }
}

#[test]
fn messages_are_short_and_printable() {
    let text = format!("v=DKIM1; k={}; p=AA==", "x\u{1}".repeat(50));
    let message = Record::parse(&text).unwrap_err().to_string();
    assert!(
        message.len() < 160 && !message.contains('\u{1}'),
        "{message}"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", tags in "([vkpths]=[ -~]{0,20};){0,6}") {
        let _ = Record::parse(&text);
        let _ = Record::parse(&tags);
    }
}
