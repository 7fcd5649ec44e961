//! Verification of a signature (RFC 6376 §6.1), over the same canonical form that signing
//! uses. Where the key comes from is the caller's business, and so is the time.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::{
    Algorithm, BodyHasher, Canonicalisation, CanonicalisationPair, Field, HeaderSection, PublicKey,
    picker::FieldPicker,
    tags::{BLANK, TagError, TagList},
};
use crate::names::{DomainName, NameError, Selector};

/// Why a DKIM-Signature does not count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerificationError {
    /// The field is not a tag list.
    #[error("the signature is malformed: {0}")]
    Tags(#[from] TagError),
    /// A tag that must be there is not.
    #[error("the signature has no {0}= tag")]
    TagMissing(&'static str),
    /// A tag holds what it may not hold.
    #[error("the {0}= tag is invalid")]
    TagInvalid(&'static str),
    /// `d=` or `s=` is no name.
    #[error("the {0}= tag is no valid name: {1}")]
    Name(&'static str, NameError),
    /// `h=` does not list From (RFC 6376 §6.1.1).
    #[error("the From field is not signed")]
    FromNotSigned,
    /// `l=` leaves a part of the body unsigned.
    #[error("l= leaves a part of the body unsigned")]
    BodyLength,
    /// The time in `x=` has passed.
    #[error("the signature has expired")]
    Expired,
    /// The key is for another algorithm.
    #[error("the key is for another algorithm than the signature")]
    OtherAlgorithm,
    /// The body is not the one that was signed.
    #[error("the body hash does not match")]
    BodyHash,
    /// The header fields are not those that were signed, or the key is another one.
    #[error("the signature does not match the header fields and the key")]
    Signature,
}

/// A DKIM-Signature field, parsed.
#[derive(Clone, Debug)]
pub struct ParsedSignature {
    /// `d=`
    pub domain: DomainName,
    /// `s=`
    pub selector: Selector,
    /// `a=`
    pub algorithm: Algorithm,
    /// `c=`
    pub canonicalisation: CanonicalisationPair,
    /// `t=`, in seconds since 1970.
    pub time: Option<u64>,
    /// `x=`, in seconds since 1970.
    pub expiration: Option<u64>,
    /// The domain of `i=`, or else that of `d=`. A record with `t=s` wants the two to be
    /// equal (RFC 6376 §3.6.1); that is for the caller to see, who has the record.
    pub identity_domain: DomainName,
    /// `h=`, in order and letters as listed.
    pub names: Vec<String>,
    body_hash: Vec<u8>,
    signature: Vec<u8>,
    /// The field as it came.
    name: Vec<u8>,
    value: Vec<u8>,
    /// The value of the field, that of `b=` taken out.
    unsigned_value: Vec<u8>,
}

impl ParsedSignature {
    /// Parses a DKIM-Signature field as it came, folds as CRLF.
    ///
    /// # Errors
    ///
    /// When the field breaks a rule of RFC 6376 §3.5 or §6.1.1.
    pub fn parse(name: &[u8], value: &[u8]) -> Result<Self, VerificationError> {
        let text = std::str::from_utf8(value).map_err(|_| VerificationError::TagInvalid("v"))?;
        let tags = Tags(TagList::parse(text)?);
        if tags.required("v")? != "1" {
            return Err(VerificationError::TagInvalid("v"));
        }
        if tags.0.value("l").is_some() {
            return Err(VerificationError::BodyLength);
        }
        tags.check_query()?;
        let domain: DomainName = tags.required_name("d")?;
        let (time, expiration) = tags.times()?;
        Ok(Self {
            identity_domain: tags.identity_domain(&domain)?,
            domain,
            selector: tags.required_name("s")?,
            algorithm: tags
                .required("a")?
                .parse()
                .map_err(|_| VerificationError::TagInvalid("a"))?,
            canonicalisation: tags
                .0
                .value("c")
                .unwrap_or("simple/simple")
                .parse()
                .map_err(|_| VerificationError::TagInvalid("c"))?,
            time,
            expiration,
            names: tags.signed_names()?,
            body_hash: tags.binary("bh")?,
            signature: tags.binary("b")?,
            name: name.to_vec(),
            value: value.to_vec(),
            unsigned_value: without_signature(text).into_bytes(),
        })
    }

    /// A hasher for the body that this signature is over.
    pub fn body_hasher(&self) -> BodyHasher {
        BodyHasher::new(self.canonicalisation.body)
    }

    /// How the body must be canonicalised.
    pub fn body_canonicalisation(&self) -> Canonicalisation {
        self.canonicalisation.body
    }

    /// Verifies. `now` is in seconds since 1970; `body_hash` comes from [`Self::body_hasher`].
    ///
    /// # Errors
    ///
    /// The first of the checks of RFC 6376 §6.1.3 that fails.
    pub fn verify(
        &self,
        header: &HeaderSection,
        body_hash: &[u8; 32],
        key: &PublicKey,
        now: u64,
    ) -> Result<(), VerificationError> {
        if self.expiration.is_some_and(|expiration| expiration < now) {
            return Err(VerificationError::Expired);
        }
        if key.algorithm() != self.algorithm {
            return Err(VerificationError::OtherAlgorithm);
        }
        if self.body_hash != body_hash {
            return Err(VerificationError::BodyHash);
        }
        let canonicalisation = self.canonicalisation.header;
        let mut data = Vec::with_capacity(header.octets() + self.unsigned_value.len());
        let own = Field {
            name: &self.name,
            value: &self.value,
        };
        FieldPicker::without(header, own).canonical_fields(
            self.names.iter().map(String::as_str),
            canonicalisation,
            &mut data,
        );
        canonicalisation.header_field(&self.name, &self.unsigned_value, &mut data);
        if key.verify(&data, &self.signature) {
            Ok(())
        } else {
            Err(VerificationError::Signature)
        }
    }
}

/// How many names `h=` has in the value of a DKIM-Signature field: looks for the marks between
/// them alone, as a stranger may list half a million.
pub fn listed_names(value: &[u8]) -> usize {
    let names = value.split(|&octet| octet == b';').find_map(|tag| {
        let (name, names) = tag.split_at(memchr::memchr(b'=', tag)?);
        (name.trim_ascii() == b"h").then_some(names)
    });
    names.map_or(0, |names| memchr::memchr_iter(b':', names).count() + 1)
}

/// What a DKIM-Signature field says of itself, right or wrong: to name one that
/// [`ParsedSignature::parse`] refuses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    /// `d=`, if that is a name.
    pub domain: Option<DomainName>,
    /// `s=`, if that is a name.
    pub selector: Option<Selector>,
    /// `a=`, whatever it is.
    pub algorithm: Option<String>,
}

impl Claims {
    /// Reads as much as can be read of the value of a field.
    pub fn read(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let Ok(tags) = TagList::parse(&text) else {
            return Self::default();
        };
        Self {
            domain: tags.value("d").and_then(|name| name.parse().ok()),
            selector: tags.value("s").and_then(|name| name.parse().ok()),
            algorithm: tags.value("a").map(str::to_owned),
        }
    }
}

/// The tags of a signature, and what RFC 6376 §3.5 and §6.1.1 ask of each.
struct Tags<'a>(TagList<'a>);

impl<'a> Tags<'a> {
    fn required(&self, tag: &'static str) -> Result<&'a str, VerificationError> {
        self.0.value(tag).ok_or(VerificationError::TagMissing(tag))
    }

    fn required_name<N>(&self, tag: &'static str) -> Result<N, VerificationError>
    where
        N: FromStr<Err = NameError>,
    {
        self.required(tag)?
            .parse()
            .map_err(|error| VerificationError::Name(tag, error))
    }

    fn binary(&self, tag: &'static str) -> Result<Vec<u8>, VerificationError> {
        let text = self.0.compact(tag);
        BASE64
            .decode(text.ok_or(VerificationError::TagMissing(tag))?)
            .map_err(|_| VerificationError::TagInvalid(tag))
    }

    /// `t=` and `x=`, of which the second is the later.
    fn times(&self) -> Result<(Option<u64>, Option<u64>), VerificationError> {
        let (time, expiration) = (self.seconds("t")?, self.seconds("x")?);
        let expired_before = time.zip(expiration).is_some_and(|(t, x)| x <= t);
        if expired_before {
            return Err(VerificationError::TagInvalid("x"));
        }
        Ok((time, expiration))
    }

    /// Digits only, without the sign that Rust would take.
    fn seconds(&self, tag: &'static str) -> Result<Option<u64>, VerificationError> {
        let Some(text) = self.0.value(tag) else {
            return Ok(None);
        };
        let digits = text.bytes().all(|octet| octet.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Some).ok_or(VerificationError::TagInvalid(tag))
    }

    /// `h=`, which must list From.
    fn signed_names(&self) -> Result<Vec<String>, VerificationError> {
        let names = self.required("h")?.split(':');
        let names: Vec<String> = names
            .map(|name| name.trim_matches(BLANK).to_owned())
            .collect();
        if names.iter().any(|name| name.eq_ignore_ascii_case("from")) {
            Ok(names)
        } else {
            Err(VerificationError::FromNotSigned)
        }
    }

    /// One way to fetch a key is known; others may be named beside it.
    fn check_query(&self) -> Result<(), VerificationError> {
        let is_known = |method: &str| method.trim_matches(BLANK) == "dns/txt";
        match self.0.value("q") {
            Some(methods) if !methods.split(':').any(is_known) => {
                Err(VerificationError::TagInvalid("q"))
            }
            _ => Ok(()),
        }
    }

    /// The domain of `i=`, which is that of `d=` or below it.
    fn identity_domain(&self, domain: &DomainName) -> Result<DomainName, VerificationError> {
        // Without the folds that it may hold.
        let Some(identity) = self.0.compact("i") else {
            return Ok(domain.clone());
        };
        let (_, text) = identity
            .rsplit_once('@')
            .ok_or(VerificationError::TagInvalid("i"))?;
        let found: DomainName = text
            .parse()
            .map_err(|error| VerificationError::Name("i", error))?;
        let front = found.as_str().strip_suffix(domain.as_str());
        if front.is_some_and(|front| front.is_empty() || front.ends_with('.')) {
            Ok(found)
        } else {
            Err(VerificationError::TagInvalid("i"))
        }
    }
}

/// The value with that of `b=` taken out, white space around it included (RFC 6376 §3.7).
fn without_signature(value: &str) -> String {
    let mut output = String::with_capacity(value.len());
    for (place, part) in value.split(';').enumerate() {
        if place > 0 {
            output.push(';');
        }
        match part.split_once('=') {
            Some((name, _)) if name.trim_matches(BLANK) == "b" => {
                output.push_str(name);
                output.push('=');
            }
            _ => output.push_str(part),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted() {
        for (value, names) in [
            ("", 0),
            ("v=1; h", 0),
            ("z=a:b:c; bh=d:e; i=h=f:g", 0),
            ("v=1; h=from; b=a", 1),
            ("v=1;\r\n\th\t=\r\n from : to\r\n\t:to:; b=a:b", 4),
        ] {
            assert_eq!(listed_names(value.as_bytes()), names, "{value:?}");
        }
    }
}
