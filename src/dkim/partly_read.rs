//! Key records that RFC 6376 allows and that some common verifiers find no key in, or that
//! they take for something else. `tests/interoperability/record_shapes.rs` asks them.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    algorithm::Algorithm,
    public_key::PublicKey,
    record::{capitals, excerpt},
    tags::{BLANK, TagList},
};

/// OpenDKIM's buffer for a record.
const MOST_OCTETS: usize = 1024;

/// Why only some verifiers read a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PartlyRead {
    /// `p=` holds an RSAPublicKey (PKCS#1), which RFC 6376 §3.6.1 speaks of.
    #[error(
        "p= holds a bare RSAPublicKey (PKCS#1): most verifiers read only a SubjectPublicKeyInfo"
    )]
    BareRsa,
    /// The algorithm in a SubjectPublicKeyInfo has no NULL behind it (RFC 3279 §2.3.1).
    #[error("p= holds an RSA key without the NULL behind its algorithm: dkimpy does not read it")]
    OddKeyInfo,
    /// Blanks within `h=`.
    #[error("h={0} has blanks between its names: Mail::DKIM does not know them then")]
    Hashes(String),
    /// `s=` with a list.
    #[error("s={0} is a list: dkimpy reads only email or * alone")]
    Services(String),
    /// `g=`, which RFC 6376 has dropped, with something else than `*`.
    #[error("g={0}: Mail::DKIM obeys this tag, though RFC 6376 has dropped it")]
    Granularity(String),
    /// A tag with a meaning, in capitals: others must ignore it (RFC 6376 §3.2).
    #[error("{0}= is in capitals: some verifiers take it for the tag in small letters")]
    Capitals(String),
    /// Something else than printable ASCII and blanks.
    #[error("{0:?} is not ASCII: OpenDKIM reads none of such a record")]
    NotAscii(char),
    /// What begins a quoted text, a comment or an escape elsewhere in mail.
    #[error(
        "{0} is in it: some verifiers take that for the begin of a quoted text, a comment or an escape"
    )]
    Special(char),
    /// A longer record than OpenDKIM has room for, not because of its key.
    #[error("it has {0} octets: OpenDKIM reads only the first {MOST_OCTETS}")]
    TooLong(usize),
}

/// The first reason why some verifiers do not read `text` as [`Record::parse`] reads it;
/// `key` is what that has found.
///
/// [`Record::parse`]: super::record::Record::parse
pub fn partly_read(text: &str, key: &PublicKey) -> Option<PartlyRead> {
    let tags = TagList::parse(text).ok()?;
    if let Some(odd) = text.chars().find(|c| !c.is_ascii()) {
        return Some(PartlyRead::NotAscii(odd));
    }
    if let Some(special) = text.chars().find(|c| r#"\"'()"#.contains(*c)) {
        return Some(PartlyRead::Special(special));
    }
    if let Some(name) = capitals(&tags) {
        return Some(PartlyRead::Capitals(name));
    }
    if let Some(list) = tags.value("h").filter(|list| list.contains(BLANK)) {
        return Some(PartlyRead::Hashes(excerpt(list)));
    }
    if let Some(list) = tags
        .value("s")
        .filter(|list| !["*", "email"].contains(list))
    {
        return Some(PartlyRead::Services(excerpt(list)));
    }
    if let Some(pattern) = tags.value("g").filter(|pattern| *pattern != "*") {
        return Some(PartlyRead::Granularity(excerpt(pattern)));
    }
    // A key that OpenDKIM does not take at all is reported as such.
    if text.len() > MOST_OCTETS && key.check_verifiers_take_it().is_ok() {
        return Some(PartlyRead::TooLong(text.len()));
    }
    key_info(&tags, key)
}

/// Whether `p=` is written as the key itself writes it.
fn key_info(tags: &TagList<'_>, key: &PublicKey) -> Option<PartlyRead> {
    if key.algorithm() != Algorithm::RsaSha256 {
        return None;
    }
    let octets = STANDARD.decode(tags.compact("p")?).ok()?;
    if octets == key.subject_public_key_info() {
        None
    } else if PublicKey::from_subject_public_key_info(&octets).is_ok() {
        Some(PartlyRead::OddKeyInfo)
    } else {
        Some(PartlyRead::BareRsa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::record::{Record, RecordError};

    const P: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn reason(tag: &str) -> Option<PartlyRead> {
        let text = format!("v=DKIM1; k=ed25519; {tag}; p={P}");
        let record = Record::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        partly_read(&text, &record.public_key)
    }

    #[test]
    fn each_reason_has_its_name() {
        for (tag, expected) in [
            (
                "h=sha1 : sha256",
                PartlyRead::Hashes("sha1 : sha256".into()),
            ),
            (
                "s=email:tlsrpt",
                PartlyRead::Services("email:tlsrpt".into()),
            ),
            ("g=jan", PartlyRead::Granularity("jan".into())),
            ("g=", PartlyRead::Granularity(String::new())),
            ("P=", PartlyRead::Capitals("P".into())),
            ("V=DKIM2", PartlyRead::Capitals("V".into())),
            ("n=ë", PartlyRead::NotAscii('ë')),
            ("n=it's", PartlyRead::Special('\'')),
            ("n=a\\b", PartlyRead::Special('\\')),
        ] {
            assert_eq!(reason(tag), Some(expected), "{tag}");
        }
        let long = format!("n={}", "x".repeat(MOST_OCTETS));
        assert!(matches!(reason(&long), Some(PartlyRead::TooLong(_))));
        for tag in ["h=sha1:sha256", "s= * ", "g=*", "n=a note", "t=s : y"] {
            assert_eq!(reason(tag), None, "{tag}");
        }
    }

    /// Some verifiers find a key in `P=`.
    #[test]
    fn a_key_in_capitals_is_not_revoked() {
        let text = format!("v=DKIM1; k=ed25519; p=; P={P}");
        let expected = Err(RecordError::Capitals("P".to_owned()));
        assert_eq!(Record::parse(&text), expected);
        let revoked = Record::parse("v=DKIM1; k=ed25519; n=none; p=");
        assert_eq!(revoked, Err(RecordError::Revoked));
    }
}
