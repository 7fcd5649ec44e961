//! What RFC 6376 itself gives as examples and as values.

#[path = "support/standards.rs"]
mod standards;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use zegel::dkim::{
    BodyCanonicaliser, BodyHasher, Canonicalisation, Message, PublicKey, VerificationError,
};

use standards::{RFC_6376_RSA, fixture, verify};

/// RFC 6376 §3.4.5, the message of all three examples.
const EXAMPLE: &[u8] = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";

#[test]
fn appendix_a_verifies() {
    let results = verify(
        &fixture("messages/rfc6376.eml"),
        1_400_000_000,
        |signature| {
            assert_eq!(signature.domain.as_str(), "example.com");
            assert_eq!(signature.selector.as_str(), "brisbane");
            assert_eq!(signature.canonicalisation.to_string(), "simple/simple");
            assert_eq!(
                signature.names.join(":"),
                "Received:From:To:Subject:Date:Message-ID"
            );
            PublicKey::from_record(RFC_6376_RSA).ok()
        },
    );
    assert_eq!(results, [Ok(())]);
}

#[test]
fn appendix_a_with_one_octet_changed_does_not() {
    let text = String::from_utf8(fixture("messages/rfc6376.eml")).unwrap();
    for (from, to, expected) in [
        ("hungry", "hungri", VerificationError::BodyHash),
        ("dinner", "dinnes", VerificationError::Signature),
        (
            "\r\n      by submit",
            "\r\n     by submit",
            VerificationError::Signature,
        ),
        ("q=dns", "q= dns", VerificationError::Signature),
        ("b=AuUo", "b=AuUp", VerificationError::Signature),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let results = verify(changed.as_bytes(), 1_400_000_000, |_| {
            PublicKey::from_record(RFC_6376_RSA).ok()
        });
        assert_eq!(results, [Err(expected)], "{from}");
    }
}

#[test]
fn canonicalisation_examples() {
    let relaxed = (&b"a:X\r\nb:Y Z\r\n"[..], &b" C\r\nD E\r\n"[..]);
    let simple = (
        &b"A: X\r\nB : Y\t\r\n\tZ  \r\n"[..],
        &b" C \r\nD \t E\r\n"[..],
    );
    let message = Message::parse(EXAMPLE).unwrap();
    for (canonicalisation, (header, body)) in [
        (Canonicalisation::Relaxed, relaxed),
        (Canonicalisation::Simple, simple),
    ] {
        let mut fields = Vec::new();
        message
            .header
            .canonical_fields(["a", "b"], canonicalisation, &mut fields);
        assert_eq!(fields, header, "{canonicalisation}");
        assert_eq!(
            canonical_body(canonicalisation, message.body),
            body,
            "{canonicalisation}"
        );
    }
}

#[test]
fn hashes_of_an_empty_body() {
    for (canonicalisation, expected) in [
        // RFC 6376 §3.4.3
        (
            Canonicalisation::Simple,
            "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
        ),
        // RFC 6376 §3.4.4
        (
            Canonicalisation::Relaxed,
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ),
    ] {
        for body in [&b""[..], b"\r\n", b"\r\n\r\n\r\n"] {
            let mut hasher = BodyHasher::new(canonicalisation);
            hasher.update(body);
            assert_eq!(BASE64.encode(hasher.finish()), expected, "{body:?}");
        }
    }
}

fn canonical_body(canonicalisation: Canonicalisation, body: &[u8]) -> Vec<u8> {
    let mut canonicaliser = BodyCanonicaliser::new(canonicalisation);
    let mut output = Vec::new();
    let mut emit = |bytes: &[u8]| output.extend_from_slice(bytes);
    canonicaliser.update(body, &mut emit);
    canonicaliser.finish(&mut emit);
    output
}
