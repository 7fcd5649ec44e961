//! The key record (RFC 6376 §3.6.1): the text of the TXT at `SELECTOR._domainkey.DOMAIN`.
//!
//! Read strictly: what some verifiers would forgive is an error here, and each error says what
//! is wrong. What RFC 6376 allows is read, also where some verifiers do not read it: see
//! [`partly_read`](super::partly_read).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    algorithm::{Algorithm, KeyError},
    public_key::PublicKey,
    tags::{BLANK, TagError, TagList},
};
use crate::crypto::der::{self, DerError, PublicParts};

/// The tags with a meaning (RFC 6376 §3.6.1, and `g=` of RFC 4871).
const KNOWN_TAGS: [&str; 8] = ["v", "g", "h", "k", "n", "p", "s", "t"];

/// A record that holds a key with which e-mail can be verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// From `k=` and `p=`.
    pub public_key: PublicKey,
    /// From `t=`.
    pub flags: Flags,
}

/// The flags in `t=` (RFC 6376 §3.6.1); unknown ones are ignored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// `y`: the domain is testing, and receivers may act as if nothing were signed.
    pub testing: bool,
    /// `s`: the domain of `i=` must be that of `d=`.
    pub strict: bool,
}

/// Why no key can be had from a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// Nothing but white space.
    #[error("the record is empty")]
    Empty,
    /// Not `name=value` (RFC 6376 §3.2); this piece.
    #[error("{0:?} is not a tag of the form name=value")]
    NotATag(String),
    /// A tag that is there twice makes the whole list invalid (RFC 6376 §3.2).
    #[error("the tag {0}= is there more than once")]
    RepeatedTag(String),
    /// `v=` must come first, if it is there.
    #[error("v= is not the first tag")]
    VersionNotFirst,
    /// `v=` with another value than `DKIM1`, exactly so.
    #[error("v={0} is not DKIM1")]
    Version(String),
    /// `h=` without `sha256`.
    #[error("h={0} does not allow sha256")]
    Hash(String),
    /// `s=` with neither `*` nor `email`.
    #[error("s={0} does not allow e-mail")]
    Service(String),
    /// `k=` with neither `rsa` nor `ed25519`.
    #[error("k={0} is neither rsa nor ed25519")]
    KeyType(String),
    /// No `p=`.
    #[error("there is no p=: the record holds no key")]
    NoKey,
    /// An empty `p=` beside a tag in capitals, which some verifiers take for one in small letters.
    #[error("p= is empty, and {0}= beside it is in capitals")]
    Capitals(String),
    /// An empty `p=`.
    #[error("the key is revoked: p= is empty")]
    Revoked,
    /// `p=` is not base64.
    #[error("p= is not base64: it may have been cut or altered when it was copied")]
    Base64,
    /// `p=` is base64, but not of the key that `k=` announces.
    #[error("p= does not hold a key for k={0}")]
    Malformed(&'static str),
    /// An RSA key of less than 1024 bits (RFC 8301 §3.2).
    #[error("the RSA key has {bits} bits, which is too short for verifiers")]
    TooShort {
        /// The size of the modulus.
        bits: usize,
    },
    /// An RSA key with a public exponent of more than 33 bits.
    #[error("the RSA key has a public exponent over 2^33, which some verifiers refuse")]
    LargeExponent,
    /// An RSA key of more than 8192 bits.
    #[error("the RSA key has {bits} bits, which is too long for verifiers")]
    TooLong {
        /// The size of the modulus.
        bits: usize,
    },
}

impl Record {
    /// Reads the text of a record: all strings of one TXT, joined without anything
    /// between them (RFC 6376 §3.6.2.2).
    ///
    /// # Errors
    /// The first reason why verifiers find no key in it.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        if text.trim_matches(BLANK).is_empty() {
            return Err(RecordError::Empty);
        }
        let tags = TagList::parse(text).map_err(|error| match error {
            TagError::Malformed(piece) => RecordError::NotATag(excerpt(&piece)),
            TagError::Repeated(name) => RecordError::RepeatedTag(excerpt(&name)),
        })?;
        if let Some(version) = tags.value("v") {
            if tags.first() != Some("v") {
                return Err(RecordError::VersionNotFirst);
            }
            if version != "DKIM1" {
                return Err(RecordError::Version(excerpt(version)));
            }
        }
        let hashes = tags.value("h");
        if hashes.is_some_and(|list| !holds(list, &["sha256"])) {
            return Err(RecordError::Hash(excerpt(hashes.unwrap_or_default())));
        }
        let services = tags.value("s");
        if services.is_some_and(|list| !holds(list, &["*", "email"])) {
            return Err(RecordError::Service(excerpt(services.unwrap_or_default())));
        }
        let algorithm = match tags.value("k") {
            None | Some("rsa") => Algorithm::RsaSha256,
            Some("ed25519") => Algorithm::Ed25519Sha256,
            Some(other) => return Err(RecordError::KeyType(excerpt(other))),
        };
        let flags = tags.value("t").unwrap_or_default();
        let key = tags.compact("p").ok_or(RecordError::NoKey)?;
        if key.is_empty()
            && let Some(name) = capitals(&tags)
        {
            // Some verifiers find a key in P=: this is not revoked.
            return Err(RecordError::Capitals(excerpt(&name)));
        }
        Ok(Self {
            public_key: public_key(algorithm, &key)?,
            flags: Flags {
                testing: holds(flags, &["y"]),
                strict: holds(flags, &["s"]),
            },
        })
    }
}

impl PublicKey {
    /// Reads the text of a key record: all strings of one TXT, joined.
    ///
    /// # Errors
    /// Every way in which verifiers would find no key in it; see [`RecordError`].
    pub fn from_record(text: &str) -> Result<Self, RecordError> {
        Record::parse(text).map(|record| record.public_key)
    }
}

/// The first tag that has a meaning once it is written in small letters, and not as it is.
pub(super) fn capitals(tags: &TagList<'_>) -> Option<String> {
    tags.names()
        .find(|name| {
            let small = name.to_ascii_lowercase();
            small != **name && KNOWN_TAGS.contains(&small.as_str())
        })
        .map(str::to_owned)
}

/// Whether a colon-separated list holds one of `wanted`.
fn holds(list: &str, wanted: &[&str]) -> bool {
    list.split(':')
        .any(|item| wanted.contains(&item.trim_matches(BLANK)))
}

fn public_key(algorithm: Algorithm, text: &str) -> Result<PublicKey, RecordError> {
    if text.is_empty() {
        return Err(RecordError::Revoked);
    }
    let octets = STANDARD.decode(text).map_err(|_| RecordError::Base64)?;
    let key = match algorithm {
        Algorithm::RsaSha256 => rsa_public_key(&octets),
        Algorithm::Ed25519Sha256 => PublicKey::from_ed25519(&octets),
    };
    key.map_err(|error| match error {
        KeyError::TooShort { bits } => RecordError::TooShort { bits },
        KeyError::TooLong { bits } => RecordError::TooLong { bits },
        KeyError::LargeExponent => RecordError::LargeExponent,
        _ => RecordError::Malformed(algorithm.key_type()),
    })
}

/// RFC 6376 §3.6.1 speaks of an RSAPublicKey, and its example, with all the world, has a
/// SubjectPublicKeyInfo; verifiers read both.
fn rsa_public_key(octets: &[u8]) -> Result<PublicKey, KeyError> {
    let parts = match der::read_spki(octets) {
        Err(DerError::Malformed) => der::read_rsa_public(octets)?,
        other => other?,
    };
    match parts {
        PublicParts::Rsa { pkcs1, .. } => PublicKey::from_rsa(pkcs1),
        PublicParts::Ed25519(_) => Err(KeyError::Malformed),
    }
}

/// As much of a text from DNS as belongs in a message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 60;
    let mut excerpt: String = text
        .chars()
        .take(CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CHARACTERS).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
