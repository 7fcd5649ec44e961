//! The private keys that sign, and how they are made and read.

use std::fmt;

use zeroize::Zeroizing;

use super::pem::{self, Pem};
pub use super::{
    algorithm::{
        Algorithm, KeyError, LONGEST_VERIFIED_RSA_BITS, MAXIMAL_RSA_BITS, MINIMAL_RSA_BITS,
        NEW_RSA_BITS, UnknownAlgorithm,
    },
    public_key::{Fingerprint, PublicKey},
};
use crate::crypto::{
    self, PrivateKey, Refused,
    der::{self, PrivateParts},
};

/// The cryptography library could not sign; it says no more than this.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature could not be made: {0}")]
pub struct SigningError(String);

/// A private key that is ready to sign. Its public half is derived from it, and it has
/// shown once that its signatures verify.
pub struct SigningKey {
    private: PrivateKey,
    public: PublicKey,
}

impl SigningKey {
    /// Reads a PKCS#8 or PKCS#1 key, and tries it.
    ///
    /// # Errors
    /// Every way in which a file is not an RSA key of at least 2048 bits or an Ed25519
    /// key, alone and unencrypted; see [`KeyError`].
    pub fn from_pem(octets: &[u8]) -> Result<Self, KeyError> {
        let block = pem::read(octets)?;
        let key = Self::from_parts(&private_parts(&block)?)?;
        key.self_test()?;
        Ok(key)
    }

    fn from_parts(parts: &PrivateParts<'_>) -> Result<Self, KeyError> {
        let rejected = |Refused(reason)| KeyError::Rejected(reason);
        match *parts {
            PrivateParts::Rsa { bits, .. } if bits < MINIMAL_RSA_BITS => {
                Err(KeyError::TooShort { bits })
            }
            PrivateParts::Rsa { bits, .. } if bits > MAXIMAL_RSA_BITS => {
                Err(KeyError::TooLong { bits })
            }
            PrivateParts::Rsa { pkcs1, .. } => {
                let private = PrivateKey::rsa(pkcs1).map_err(rejected)?;
                let public = PublicKey::from_rsa(private.public_half())?;
                Ok(Self { private, public })
            }
            PrivateParts::Ed25519 { seed, public_half } => {
                let private = PrivateKey::ed25519(seed).map_err(rejected)?;
                if public_half.is_some_and(|half| half != private.public_half()) {
                    return Err(KeyError::HalvesDiffer);
                }
                let public = PublicKey::from_ed25519(private.public_half())?;
                Ok(Self { private, public })
            }
        }
    }

    /// Signs and verifies once: numbers that do not belong together are found here, and
    /// not by the receivers of mail.
    fn self_test(&self) -> Result<(), KeyError> {
        const PROBE: &[u8] = b"zegel self-test";
        let signature = self.sign(PROBE).map_err(|_| KeyError::SelfTest)?;
        if self.public.verify(PROBE, &signature) {
            Ok(())
        } else {
            Err(KeyError::SelfTest)
        }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public half, derived from the private one.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `data`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 §3.3.1), or
    /// Ed25519 over the SHA-256 of `data` (RFC 8463 §3).
    ///
    /// # Errors
    /// When the cryptography library fails, which it does not with a key that was read.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.private
            .sign(data)
            .map_err(|Refused(reason)| SigningError(reason))
    }

    /// The octets of each of its signatures.
    pub fn signature_len(&self) -> usize {
        self.private.signature_len()
    }
}

impl PublicKey {
    /// Reads a PUBLIC KEY or RSA PUBLIC KEY, or takes the public half of a private key.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`]; a public RSA key may have 1024 bits.
    pub fn from_pem(octets: &[u8]) -> Result<Self, KeyError> {
        let block = pem::read(octets)?;
        match block.label {
            "PUBLIC KEY" => Self::from_subject_public_key_info(&block.der),
            "RSA PUBLIC KEY" => Self::from_rsa(&block.der),
            _ => SigningKey::from_pem(octets).map(|key| key.public_key().clone()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("fingerprint", &self.public.fingerprint())
            .finish_non_exhaustive()
    }
}

/// What a PEM block holds, if it is a private key in the clear.
fn private_parts<'a>(block: &'a Pem<'_>) -> Result<PrivateParts<'a>, KeyError> {
    match block.label {
        "PRIVATE KEY" => Ok(der::read_pkcs8(&block.der)?),
        "RSA PRIVATE KEY" => Ok(der::read_pkcs1(&block.der)?),
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::PublicOnly),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Err(KeyError::Certificate),
        "EC PRIVATE KEY" => {
            let name = "an elliptic curve (EC)".to_owned();
            Err(KeyError::UnsupportedAlgorithm(name))
        }
        other => Err(KeyError::Label(other.to_owned())),
    }
}

/// The same key in the one form in which keys are kept: PKCS#8 version 1, PEM with LF,
/// without attributes.
///
/// # Errors
/// As [`SigningKey::from_pem`], but for what only shows when the key is used.
pub fn normalise_pem(octets: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let block = pem::read(octets)?;
    let wrapped = match private_parts(&block)? {
        PrivateParts::Rsa { pkcs1, .. } => crypto::wrap_rsa(pkcs1),
        PrivateParts::Ed25519 { seed, .. } => crypto::wrap_ed25519(seed),
    };
    wrapped.map_err(|Refused(reason)| KeyError::Rejected(reason))
}

/// Makes a private key: PKCS#8 PEM with LF. `rsa_bits`, one of
/// [`NEW_RSA_BITS`], counts only for RSA. An RSA key takes
/// a good part of a second, with `ring` now and then several.
///
/// # Errors
/// [`KeyError::UnsupportedSize`], or [`KeyError::Generation`] when the system fails.
pub fn generate_pem(algorithm: Algorithm, rsa_bits: usize) -> Result<Zeroizing<String>, KeyError> {
    let made = match algorithm {
        Algorithm::RsaSha256 if !NEW_RSA_BITS.contains(&rsa_bits) => {
            return Err(KeyError::UnsupportedSize { bits: rsa_bits });
        }
        Algorithm::RsaSha256 => crypto::rsa_pkcs8_pem(rsa_bits),
        Algorithm::Ed25519Sha256 => crypto::ed25519_pkcs8_pem(),
    };
    made.map_err(|Refused(reason)| KeyError::Generation(reason))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
