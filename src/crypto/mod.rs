//! The cryptography: the only place that names `aws-lc-rs`, `ring` and `rsa`.
//!
//! The two backends have the same interface as far as it is used here; which of them
//! is compiled in is decided by the cargo feature of the same name. With both (as in
//! `--all-features`), aws-lc-rs does the work.

pub(crate) mod der;
mod generate;
pub(crate) mod sealed;

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs as backend;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use ring as backend;

use self::backend::{
    rand::SystemRandom,
    signature::{self, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey},
};

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("zegel needs a cryptography backend: enable the feature `aws-lc-rs` or `ring`");

/// The name of the backend that is compiled in.
pub const BACKEND: &str = if cfg!(feature = "aws-lc-rs") {
    "aws-lc-rs"
} else {
    "ring"
};

pub(crate) use self::{
    backend::digest,
    generate::{ed25519_pkcs8_pem, rsa_pkcs8_pem, wrap_ed25519, wrap_rsa},
};

/// The octets of an Ed25519 public key or seed (RFC 8032 §5.1.5).
pub(crate) const ED25519_OCTETS: usize = 32;

/// The octets of an Ed25519 signature (RFC 8032 §5.1.6).
const ED25519_SIGNATURE_OCTETS: usize = 64;

/// The backend refuses, and says no more than this.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// A private key in the form that the backend signs with.
pub(crate) enum PrivateKey {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// From an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    pub(crate) fn rsa(pkcs1: &[u8]) -> Result<Self, Refused> {
        match RsaKeyPair::from_der(pkcs1) {
            Ok(pair) => Ok(Self::Rsa(pair)),
            Err(error) => Err(Refused(error.to_string())),
        }
    }

    /// From the 32 octets that RFC 8032 §5.1.5 calls the private key.
    pub(crate) fn ed25519(seed: &[u8; ED25519_OCTETS]) -> Result<Self, Refused> {
        match Ed25519KeyPair::from_seed_unchecked(seed) {
            Ok(pair) => Ok(Self::Ed25519(pair)),
            Err(error) => Err(Refused(error.to_string())),
        }
    }

    /// The public half: an `RSAPublicKey` (RFC 8017 appendix A.1.1), or the 32 octets.
    pub(crate) fn public_half(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    pub(crate) fn signature_len(&self) -> usize {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::Rsa(pair) => pair.public_modulus_len(),
            #[cfg(not(feature = "aws-lc-rs"))]
            Self::Rsa(pair) => pair.public().modulus_len(),
            Self::Ed25519(_) => ED25519_SIGNATURE_OCTETS,
        }
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 over `data`, or PureEdDSA over its SHA-256
    /// (RFC 8463 §3).
    pub(crate) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Rsa(pair) => {
                let mut octets = vec![0; self.signature_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    data,
                    &mut octets,
                )
                .map_err(|error| Refused(error.to_string()))?;
                Ok(octets)
            }
            Self::Ed25519(pair) => {
                let hash = digest::digest(&digest::SHA256, data);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// Whether `octets` is the signature of `data` by this `RSAPublicKey` of 1024 to 8192 bits.
pub(crate) fn verify_rsa(public_half: &[u8], data: &[u8], octets: &[u8]) -> bool {
    // RFC 8301 §3.2: verifiers must take 1024 bits; signers here start at 2048.
    let algorithm = &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    UnparsedPublicKey::new(algorithm, public_half)
        .verify(data, octets)
        .is_ok()
}

/// Whether `octets` is the signature of the SHA-256 of `data` (RFC 8463 §3).
pub(crate) fn verify_ed25519(public_half: &[u8], data: &[u8], octets: &[u8]) -> bool {
    let hash = digest::digest(&digest::SHA256, data);
    UnparsedPublicKey::new(&signature::ED25519, public_half)
        .verify(hash.as_ref(), octets)
        .is_ok()
}

#[cfg(test)]
mod tests;
