//! The ASN.1 around keys: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) and SubjectPublicKeyInfo
//! (RFC 5280 §4.1.2.7), for RSA and Ed25519 (RFC 8410).

use rsa::{
    pkcs1::{RsaPrivateKey, RsaPublicKey, UintRef},
    pkcs8::{
        ObjectIdentifier,
        der::{
            self, Decode, Encode, Reader, SliceReader,
            asn1::{BitStringRef, OctetStringRef},
        },
        spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
    },
};

use super::ED25519_OCTETS;

/// RFC 8410 §3.
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Why octets are not a key that DKIM can use.
#[derive(Debug)]
pub(crate) enum DerError {
    /// Not the structure that it should be.
    Malformed,
    /// A key for something else than RSA with PKCS#1 v1.5 or Ed25519: its name.
    Algorithm(String),
    /// The public key beside the private one, where it should be.
    OddPublicHalf,
}

impl From<der::Error> for DerError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// What a private key consists of.
pub(crate) enum PrivateParts<'a> {
    /// An `RSAPrivateKey`, and the bits of its modulus.
    Rsa { pkcs1: &'a [u8], bits: usize },
    /// The seed, and the public half when the file has one.
    Ed25519 {
        seed: &'a [u8; ED25519_OCTETS],
        public_half: Option<&'a [u8]>,
    },
}

/// Reads a `PrivateKeyInfo` of version 1 or a `OneAsymmetricKey` of version 2.
pub(crate) fn read_pkcs8(octets: &[u8]) -> Result<PrivateParts<'_>, DerError> {
    let mut reader = SliceReader::new(octets)?;
    let (algorithm, private_key, rest) = reader.sequence(|fields| {
        let _version = u8::decode(fields)?;
        let algorithm = AlgorithmIdentifierRef::decode(fields)?;
        let private_key = OctetStringRef::decode(fields)?;
        let rest = fields.read_slice(fields.remaining_len())?;
        Ok((algorithm, private_key.as_bytes(), rest))
    })?;
    reader.finish(())?;
    match algorithm.oid {
        RSA => read_pkcs1(private_key),
        ED25519 => {
            let seed = OctetStringRef::from_der(private_key)?.as_bytes();
            Ok(PrivateParts::Ed25519 {
                seed: seed.try_into().map_err(|_| DerError::Malformed)?,
                public_half: ed25519_public_half(rest)?,
            })
        }
        other => Err(DerError::Algorithm(algorithm_name(other))),
    }
}

/// Reads an `RSAPrivateKey`.
pub(crate) fn read_pkcs1(octets: &[u8]) -> Result<PrivateParts<'_>, DerError> {
    let key = RsaPrivateKey::from_der(octets)?;
    Ok(PrivateParts::Rsa {
        pkcs1: octets,
        bits: bits(key.modulus),
    })
}

/// What a public key consists of.
pub(crate) enum PublicParts<'a> {
    /// An `RSAPublicKey`, and the bits of its modulus and of its exponent.
    Rsa {
        pkcs1: &'a [u8],
        bits: usize,
        exponent_bits: usize,
    },
    /// The 32 octets of RFC 8032.
    Ed25519(&'a [u8]),
}

/// Reads a SubjectPublicKeyInfo.
pub(crate) fn read_spki(octets: &[u8]) -> Result<PublicParts<'_>, DerError> {
    let info = SubjectPublicKeyInfoRef::from_der(octets)?;
    let key = info
        .subject_public_key
        .as_bytes()
        .ok_or(DerError::Malformed)?;
    match info.algorithm.oid {
        RSA => read_rsa_public(key),
        ED25519 if key.len() == ED25519_OCTETS => Ok(PublicParts::Ed25519(key)),
        ED25519 => Err(DerError::Malformed),
        other => Err(DerError::Algorithm(algorithm_name(other))),
    }
}

/// Reads an `RSAPublicKey`.
pub(crate) fn read_rsa_public(octets: &[u8]) -> Result<PublicParts<'_>, DerError> {
    let key = RsaPublicKey::from_der(octets)?;
    Ok(PublicParts::Rsa {
        pkcs1: octets,
        bits: bits(key.modulus),
        exponent_bits: bits(key.public_exponent),
    })
}

/// Writes the SubjectPublicKeyInfo of an `RSAPublicKey`.
pub(crate) fn rsa_spki(pkcs1: &[u8]) -> Result<Vec<u8>, DerError> {
    spki(rsa::pkcs1::ALGORITHM_ID, pkcs1)
}

/// Writes the SubjectPublicKeyInfo of an Ed25519 public key (RFC 8410 §4).
pub(crate) fn ed25519_spki(public_half: &[u8]) -> Result<Vec<u8>, DerError> {
    let algorithm = AlgorithmIdentifierRef {
        oid: ED25519,
        parameters: None,
    };
    spki(algorithm, public_half)
}

fn spki(algorithm: AlgorithmIdentifierRef<'_>, key: &[u8]) -> Result<Vec<u8>, DerError> {
    let info = SubjectPublicKeyInfoRef {
        algorithm,
        subject_public_key: BitStringRef::from_bytes(key)?,
    };
    Ok(info.to_der()?)
}

fn bits(number: UintRef<'_>) -> usize {
    let octets = number.as_bytes();
    let leading = octets.first().map_or(0, |first| first.leading_zeros());
    octets.len() * 8 - leading as usize
}

/// Finds `[1] publicKey` at the end of a `OneAsymmetricKey` (RFC 5958 §2).
///
/// Its tag is implicit; ring and older versions of other tools write an explicit one.
fn ed25519_public_half(rest: &[u8]) -> Result<Option<&[u8]>, DerError> {
    const IMPLICIT: &[u8] = &[0x81, 0x21, 0x00];
    const EXPLICIT: &[u8] = &[0xa1, 0x23, 0x03, 0x21, 0x00];
    let Some((before, key)) = rest.split_last_chunk::<ED25519_OCTETS>() else {
        return Ok(None);
    };
    if before.ends_with(IMPLICIT) || before.ends_with(EXPLICIT) {
        Ok(Some(key))
    } else if rest.first().is_some_and(|tag| *tag == 0xa0) {
        // Attributes only.
        Ok(None)
    } else {
        Err(DerError::OddPublicHalf)
    }
}

fn algorithm_name(oid: ObjectIdentifier) -> String {
    match oid {
        RSA_PSS => "RSA-PSS".to_owned(),
        ELLIPTIC_CURVE => "an elliptic curve (EC)".to_owned(),
        other => format!("algorithm {other}"),
    }
}
