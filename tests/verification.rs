//! What a DKIM-Signature may look like and what it may not (RFC 6376 §3.5 and §6.1): each
//! form is signed over exactly its own text, so that only the form decides.

#[path = "support/standards.rs"]
mod standards;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use zegel::{
    dkim::{
        Canonicalisation, HeaderSection, ParsedSignature, SigningKey, TagError, VerificationError,
        digest::sha256,
    },
    names::NameError,
};

use standards::{fixture, verify};

const NOW: u64 = 2_000_000_000;
const HEADER: &str = "From: a@example.com\r\nTo: b@example.org\r\nSubject:  Hello\r\n";
const BODY: &str = "Hello.\r\n";

#[test]
fn forms_that_are_right() {
    for value in [
        " v=1; a=A; c=simple/simple; d=example.com; s=s; h=from; bh=BH; b={B}",
        "v=1;a=A;c=relaxed/relaxed;d=example.com;s=s;h=from:to;bh=BH;b={B};",
        " v=1; a=A; d=EXAMPLE.com; s=S; h=From : To\r\n : Subject; bh=BH; b={B}; ",
        "\r\n\tb={B};\r\n\tbh=BH; h=from; s=s; d=example.com; a=A; v=1",
        " v=1; a=A; c=relaxed; d=example.com; s=s; h=from; bh=BH;\r\n b\t={\r\n\t B \r\n\t};t=1",
        " v=1; a=A; c=simple; d=example.com; s=s; h=from; bh=BH;\r\n b ={ B\r\n }; t = 1 ; x = 2000000000",
        // What looks like b= and is not.
        " v=1; a=A; d=example.com; s=s; h=from; rb=b=B; n=b=1 bh=2; B=b; b_=x; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from:x-b=:b=; z=From:b=3B|b=; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from; q=http/x : dns/txt; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from; i=@example.com; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from; i=a=40b@x.exam\r\n ple.com; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from:from:to:to:x:x; bh=BH; b={B}",
        " v=1; a=A; d=example.com; s=s; h=from; n=; zegel=é; bh=BH; b={B}",
    ] {
        assert_eq!(verdict("DKIM-Signature", value), Ok(()), "{value:?}");
    }
    let value = " v=1; a=A; c=relaxed/simple; d=example.com; s=s; h=from; bh=BH; b={B}";
    assert_eq!(verdict("dkim-signature", value), Ok(()));
    assert_eq!(verdict("DKIM-Signature \t", value), Ok(()));
    assert_eq!(
        verdict("DKIM-Signature \t", &value.replace("relaxed", "simple")),
        Ok(())
    );
}

#[test]
fn forms_that_are_wrong() {
    use VerificationError::{BodyLength, Expired, FromNotSigned, Name, TagInvalid, TagMissing};
    const RIGHT: &str = " v=1; a=A; d=example.com; s=s; h=from; t=5; bh=BH; b={B}";
    assert_eq!(verdict("DKIM-Signature", RIGHT), Ok(()));
    for (from, to, expected) in [
        (" v=1;", "", TagMissing("v")),
        ("v=1", "v=2", TagInvalid("v")),
        ("v=1", "v=1.0", TagInvalid("v")),
        ("a=A", "a=rsa-sha1", TagInvalid("a")),
        ("a=A;", "", TagMissing("a")),
        ("d=example.com;", "", TagMissing("d")),
        ("d=example.com", "d=", Name("d", NameError::Empty)),
        ("d=example.com", "d=a b", Name("d", NameError::Invalid)),
        ("s=s;", "", TagMissing("s")),
        ("s=s", "s=-", Name("s", NameError::Invalid)),
        ("h=from;", "", TagMissing("h")),
        ("h=from", "h=to:subject", FromNotSigned),
        ("h=from", "h=", FromNotSigned),
        ("h=from", "h=fro\r\n m", FromNotSigned),
        ("bh=BH; ", "", TagMissing("bh")),
        ("bh=BH", "bh=?", TagInvalid("bh")),
        (" b={B}", "", TagMissing("b")),
        ("t=5", "t=+5", TagInvalid("t")),
        ("t=5", "t=-5", TagInvalid("t")),
        ("t=5", "t=", TagInvalid("t")),
        ("t=5", "t=5; x=5", TagInvalid("x")),
        ("t=5", "t=5; x=4", TagInvalid("x")),
        ("t=5", "t=5; x=1999999999", Expired),
        ("t=5", "x=1999999999", Expired),
        ("t=5", "x=99999999999999999999", TagInvalid("x")),
        ("t=5", "l=8", BodyLength),
        ("t=5", "c=relaxed/", TagInvalid("c")),
        ("t=5", "c=nowsp", TagInvalid("c")),
        ("t=5", "q=http", TagInvalid("q")),
        ("t=5", "q=", TagInvalid("q")),
        ("t=5", "i=example.com", TagInvalid("i")),
        ("t=5", "i=@badexample.com", TagInvalid("i")),
        ("t=5", "i=@com", TagInvalid("i")),
        (
            "t=5",
            "t=5; t=5",
            VerificationError::Tags(TagError::Repeated("t".into())),
        ),
        (
            "t=5",
            "=5",
            VerificationError::Tags(TagError::Malformed("=5".into())),
        ),
        (
            "t=5",
            "5t=5",
            VerificationError::Tags(TagError::Malformed("5t=5".into())),
        ),
        (
            "t=5;",
            "t=5;;",
            VerificationError::Tags(TagError::Malformed(String::new())),
        ),
    ] {
        let value = RIGHT.replacen(from, to, 1);
        assert_ne!(value, RIGHT);
        assert_eq!(
            verdict("DKIM-Signature", &value),
            Err(expected),
            "{value:?}"
        );
    }
}

#[test]
fn the_identity_is_known_to_the_caller() {
    for (tag, expected) in [("", "example.com"), ("i=a@B.example.com;", "b.example.com")] {
        let value = format!("v=1; a=ed25519-sha256; d=example.com; s=s; h=from; {tag} bh=; b=");
        let signature = ParsedSignature::parse(b"DKIM-Signature", value.as_bytes()).unwrap();
        assert_eq!(signature.identity_domain.as_str(), expected);
    }
}

#[test]
fn a_signature_never_signs_itself_but_may_sign_others() {
    let other = "DKIM-Signature: v=1; d=example.org; b=x\r\n";
    // Listed more often than there are others.
    let value = " v=1; a=A; d=example.com; s=s; h=from:dkim-signature:dkim-signature; bh=BH; b={B}";
    let signed = |fields: &str| message("DKIM-Signature", value, &format!("{fields}{HEADER}"));
    assert_eq!(verdicts(&signed("")), [Ok(())]);
    assert_eq!(verdicts(&signed(other))[0], Ok(()));
    let changed = String::from_utf8(signed(other))
        .unwrap()
        .replacen("b=x", "b=y", 1);
    assert_eq!(
        verdicts(changed.as_bytes())[0],
        Err(VerificationError::Signature)
    );
}

fn verdict(name: &str, value: &str) -> Result<(), VerificationError> {
    let mut results = verdicts(&message(name, value, HEADER));
    assert_eq!(results.len(), 1);
    results.remove(0)
}

fn verdicts(message: &[u8]) -> Vec<Result<(), VerificationError>> {
    let public_key = key().public_key().clone();
    verify(message, NOW, |_| Some(public_key.clone()))
}

/// Signs `header` with this field. `A` and `BH` are filled in, and `B`; what stands in the
/// braces around that is not signed (RFC 6376 §3.7).
fn message(name: &str, value: &str, header: &str) -> Vec<u8> {
    let value = value
        .replace("a=A", "a=ed25519-sha256")
        .replace("BH", &BASE64.encode(sha256(BODY.as_bytes())));
    let (before, rest) = value.split_once('{').unwrap_or((&value, "}"));
    let (inside, behind) = rest.split_once('}').expect("the second brace");
    let canonicalisation = if value.contains("c=relaxed") {
        Canonicalisation::Relaxed
    } else {
        Canonicalisation::Simple
    };
    let mut section = HeaderSection::default();
    for field in header.split_terminator("\r\n") {
        let (name, value) = field.split_once(':').expect("a field");
        section.push(name.as_bytes(), value.as_bytes());
    }
    let names = value
        .split(';')
        .find_map(|tag| tag.trim().strip_prefix("h="));
    let names = names.unwrap_or_default().split(':').map(str::trim);
    let mut data = Vec::new();
    section.canonical_fields(names, canonicalisation, &mut data);
    let unsigned = [before, behind].concat();
    canonicalisation.header_field(name.as_bytes(), unsigned.as_bytes(), &mut data);
    let signature = BASE64.encode(key().sign(&data).expect("a signature"));
    let inside = inside.replace('B', &signature);
    format!("{name}:{before}{inside}{behind}\r\n{header}\r\n{BODY}").into_bytes()
}

fn key() -> SigningKey {
    SigningKey::from_pem(&fixture("keys/unsafe-ed25519-v1.pem")).expect("a key")
}
