//! The public half of a key: what is in DNS, and what signatures are verified with.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    algorithm::{Algorithm, KeyError, LONGEST_VERIFIED_RSA_BITS, MAXIMAL_RSA_BITS},
    digest::sha256,
};
use crate::crypto::{
    self,
    der::{self, PublicParts},
};

/// The shortest RSA key that a signature is verified with, in bits (RFC 8301 §3.2).
const MINIMAL_VERIFIED_RSA_BITS: usize = 1024;

/// Both cryptographic libraries, and so mail-auth and others that use them, go no further.
const MOST_EXPONENT_BITS: usize = 33;

/// A public key. Two are equal when they verify the same signatures.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct PublicKey {
    algorithm: Algorithm,
    bits: usize,
    /// SubjectPublicKeyInfo, DER.
    spki: Box<[u8]>,
    /// `RSAPublicKey`, DER, or the 32 octets of Ed25519: what the backends verify with.
    half: Box<[u8]>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// When it is none, or that of a key which no signature is verified with.
    pub fn from_subject_public_key_info(octets: &[u8]) -> Result<Self, KeyError> {
        match der::read_spki(octets)? {
            PublicParts::Rsa { pkcs1, .. } => Self::from_rsa(pkcs1),
            PublicParts::Ed25519(half) => Self::from_ed25519(half),
        }
    }

    /// From an `RSAPublicKey`.
    pub(super) fn from_rsa(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let parts = der::read_rsa_public(pkcs1)?;
        let PublicParts::Rsa {
            bits,
            exponent_bits,
            ..
        } = parts
        else {
            return Err(KeyError::Malformed);
        };
        if exponent_bits > MOST_EXPONENT_BITS {
            return Err(KeyError::LargeExponent);
        }
        if bits < MINIMAL_VERIFIED_RSA_BITS {
            return Err(KeyError::TooShort { bits });
        }
        if bits > MAXIMAL_RSA_BITS {
            return Err(KeyError::TooLong { bits });
        }
        Ok(Self {
            algorithm: Algorithm::RsaSha256,
            bits,
            spki: der::rsa_spki(pkcs1)?.into(),
            half: pkcs1.into(),
        })
    }

    /// From the 32 octets.
    pub(super) fn from_ed25519(half: &[u8]) -> Result<Self, KeyError> {
        if half.len() != crypto::ED25519_OCTETS {
            return Err(KeyError::Malformed);
        }
        Ok(Self {
            algorithm: Algorithm::Ed25519Sha256,
            bits: 8 * crypto::ED25519_OCTETS,
            spki: der::ed25519_spki(half)?.into(),
            half: half.into(),
        })
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bits of an RSA modulus; 256 for Ed25519.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Whether verifiers must take it, by its length (RFC 8301 §3.2).
    ///
    /// # Errors
    /// [`KeyError::BeyondVerifiers`].
    pub fn check_verifiers_take_it(&self) -> Result<(), KeyError> {
        if self.bits > LONGEST_VERIFIED_RSA_BITS {
            return Err(KeyError::BeyondVerifiers { bits: self.bits });
        }
        Ok(())
    }

    /// The SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7, RFC 8410 §4).
    pub fn subject_public_key_info(&self) -> &[u8] {
        &self.spki
    }

    /// The text of its record: SubjectPublicKeyInfo for RSA (RFC 6376 §3.6.1 as all
    /// verifiers read it), the 32 octets for Ed25519 (RFC 8463 §4.2).
    ///
    /// Longer than the 255 octets of one string in a TXT record when it is RSA.
    pub fn record(&self) -> String {
        let octets = match self.algorithm {
            Algorithm::RsaSha256 => &self.spki,
            Algorithm::Ed25519Sha256 => &self.half,
        };
        let key_type = self.algorithm.key_type();
        format!("v=DKIM1; k={key_type}; p={}", STANDARD.encode(octets))
    }

    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(sha256(&self.spki))
    }

    /// Whether `signature` is one of `data` by the private half; `data` as for
    /// [`SigningKey::sign`](super::key::SigningKey::sign).
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::RsaSha256 => crypto::verify_rsa(&self.half, data, signature),
            Algorithm::Ed25519Sha256 => crypto::verify_ed25519(&self.half, data, signature),
        }
    }
}

/// Its SubjectPublicKeyInfo in base64.
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.spki))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let octets = STANDARD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)?;
        Self::from_subject_public_key_info(&octets).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PublicKey")
            .field("algorithm", &self.algorithm)
            .field("bits", &self.bits)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

/// The SHA-256 of a SubjectPublicKeyInfo, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The 32 octets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let digits = text.as_bytes();
        // from_str_radix takes a sign.
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAFingerprint);
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAFingerprint)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| NotAFingerprint)?;
        }
        Ok(Self(octets))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
