//! One signature after the other: is it right, and is it the author's?

use std::collections::HashMap;

use serde::Serialize;

use super::keys::{KeySource, NoKey};
use crate::{
    dkim::{
        Canonicalisation, Claims, FIELD_NAME, Field, Message, ParsedSignature, VerificationError,
    },
    names::{DomainName, Selector},
};

/// What became of one DKIM-Signature field.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checked {
    pub(super) result: Outcome,
    pub(super) reason: Option<String>,
    pub(super) domain: Option<DomainName>,
    pub(super) selector: Option<Selector>,
    pub(super) algorithm: Option<String>,
    /// Of the key.
    pub(super) bits: Option<usize>,
    /// Whether `d=` is exactly the From domain.
    pub(super) aligned: bool,
    /// Whether the record says `t=y`.
    pub(super) testing: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Pass,
    #[default]
    Fail,
    /// The DNS gave no answer.
    Unknown,
    /// The command line gives no key for it.
    Skipped,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

/// Checks all, from top to bottom. `now` is in seconds since 1970.
pub(super) fn check(
    message: &Message<'_>,
    source: &KeySource,
    (author, now): (Option<&DomainName>, u64),
) -> Vec<Checked> {
    let mut hashes = BodyHashes::default();
    let fields = message.header.fields().filter(|field| field.is(FIELD_NAME));
    fields
        .map(|field| {
            let mut checked = claimed(field, author);
            match ParsedSignature::parse(field.name, field.value) {
                Err(error) => checked.reason = Some(error.to_string()),
                Ok(signature) => {
                    let body_hash = hashes.of(message.body, &signature);
                    checked.verify((message, &body_hash), &signature, (source, now));
                }
            }
            checked
        })
        .collect()
}

fn claimed(field: Field<'_>, author: Option<&DomainName>) -> Checked {
    let claims = Claims::read(field.value);
    Checked {
        aligned: author.is_some() && author == claims.domain.as_ref(),
        domain: claims.domain,
        selector: claims.selector,
        algorithm: claims.algorithm,
        ..Checked::default()
    }
}

impl Checked {
    fn verify(
        &mut self,
        (message, body_hash): (&Message<'_>, &[u8; 32]),
        signature: &ParsedSignature,
        (source, now): (&KeySource, u64),
    ) {
        let records = match source.find(signature) {
            Ok(records) => records,
            Err(why) => {
                let (result, reason) = match why {
                    NoKey::NotGiven => (
                        Outcome::Skipped,
                        "no key of its algorithm was given".to_owned(),
                    ),
                    NoKey::Temporary(reason) => (Outcome::Unknown, reason),
                    NoKey::Permanent(reason) => (Outcome::Fail, reason),
                };
                (self.result, self.reason) = (result, Some(reason));
                return;
            }
        };
        for record in records {
            let key = &record.public_key;
            self.bits = Some(key.bits());
            self.testing = record.flags.testing;
            let verified = signature.verify(&message.header, body_hash, key, now);
            self.reason = verified.as_ref().err().map(VerificationError::to_string);
            if verified.is_ok() {
                self.result = Outcome::Pass;
                return;
            }
        }
    }
}

/// The hash of the body for each canonicalisation, made when it is first needed.
#[derive(Default)]
struct BodyHashes(HashMap<Canonicalisation, [u8; 32]>);

impl BodyHashes {
    fn of(&mut self, body: &[u8], signature: &ParsedSignature) -> [u8; 32] {
        *self
            .0
            .entry(signature.body_canonicalisation())
            .or_insert_with(|| {
                let mut hasher = signature.body_hasher();
                hasher.update(body);
                hasher.finish()
            })
    }
}
