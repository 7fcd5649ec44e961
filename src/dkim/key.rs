//! The private keys that sign, and how they are made and read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use super::public_key::{Fingerprint, PublicKey};
use super::{
    crypto::{
        self, PrivateKey, Refused,
        der::{self, DerError, PrivateParts},
    },
    pem::{self, Pem},
};

/// The signature algorithms (RFC 6376 §3.3, RFC 8463 §3). There is no `rsa-sha1`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-sha256")]
    RsaSha256,
    /// Ed25519 over the SHA-256 (RFC 8463 §3).
    #[serde(rename = "ed25519-sha256")]
    Ed25519Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::RsaSha256, Self::Ed25519Sha256];

    /// The word in `a=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The word in `k=` of the record.
    pub fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(UnknownAlgorithm)
    }
}

/// The word is not the name of an [`Algorithm`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the algorithm must be rsa-sha256 or ed25519-sha256")]
pub struct UnknownAlgorithm;

/// The shortest RSA key that signs, in bits (RFC 8301 §3.2 recommends it).
pub const MINIMAL_RSA_BITS: usize = 2048;

/// The longest RSA key that is read, in bits.
pub const MAXIMAL_RSA_BITS: usize = 8192;

/// Why a file is not a key that signs, or why none could be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Over 64 KiB.
    #[error("it is longer than 64 KiB, so it is not a key file")]
    TooLarge,
    /// No `-----BEGIN` anywhere.
    #[error("it is not PEM: there is no line -----BEGIN PRIVATE KEY-----")]
    NotPem,
    /// Something beside the block.
    #[error("there is text before or after the PEM block: leave only the block")]
    SurroundingText,
    /// More than one block.
    #[error("it holds several PEM blocks: put each key in a file of its own")]
    Several,
    /// The end is missing or is not that of the begin.
    #[error("it is cut off: the END line is missing or does not belong to the BEGIN line")]
    Truncated,
    /// What is between the lines is not base64.
    #[error("what is between the BEGIN and END lines is not base64")]
    Base64,
    /// Protected by a passphrase.
    #[error("it is encrypted: decrypt it with `openssl pkey -in FILE -out NEWFILE`")]
    Encrypted,
    /// The half that belongs in DNS.
    #[error("it holds only the public key; the private key is needed")]
    PublicOnly,
    /// An X.509 certificate.
    #[error("it holds a certificate; the private key is needed")]
    Certificate,
    /// Another kind of PEM.
    #[error("it holds a block {0:?}; a PRIVATE KEY or RSA PRIVATE KEY is needed")]
    Label(String),
    /// The ASN.1 is not that of a key.
    #[error("the key in it is damaged")]
    Malformed,
    /// A key that DKIM has no use for.
    #[error("the key is for {0}; DKIM knows RSA and Ed25519")]
    UnsupportedAlgorithm(String),
    /// Below [`MINIMAL_RSA_BITS`].
    #[error("the RSA key has {bits} bits; at least {MINIMAL_RSA_BITS} are needed: make a new key")]
    TooShort {
        /// The size of the modulus.
        bits: usize,
    },
    /// Over [`MAXIMAL_RSA_BITS`].
    #[error("the RSA key has {bits} bits; at most {MAXIMAL_RSA_BITS} are possible")]
    TooLong {
        /// The size of the modulus.
        bits: usize,
    },
    /// Neither 2048, 3072 nor 4096.
    #[error("a new RSA key has 2048, 3072 or 4096 bits, not {bits}")]
    UnsupportedSize {
        /// What was asked for.
        bits: usize,
    },
    /// The public key in the file is not that of the private key.
    #[error("the public key in it does not belong to the private key")]
    HalvesDiffer,
    /// The cryptography library refuses the numbers.
    #[error("the key is not usable ({0})")]
    Rejected(String),
    /// A signature by the key does not verify with it.
    #[error("the key is damaged: a signature made with it does not verify")]
    SelfTest,
    /// The system gave no random numbers, or the library failed.
    #[error("no key could be made ({0})")]
    Generation(String),
}

impl From<DerError> for KeyError {
    fn from(error: DerError) -> Self {
        match error {
            DerError::Malformed => Self::Malformed,
            DerError::OddPublicHalf => Self::HalvesDiffer,
            DerError::Algorithm(name) => Self::UnsupportedAlgorithm(name),
        }
    }
}

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

/// Makes a private key: PKCS#8 PEM with LF. `rsa_bits` (2048, 3072 or 4096) counts only
/// for RSA. An RSA key takes a good part of a second, and now and then several.
///
/// # Errors
/// [`KeyError::UnsupportedSize`], or [`KeyError::Generation`] when the system fails.
pub fn generate_pem(algorithm: Algorithm, rsa_bits: usize) -> Result<Zeroizing<String>, KeyError> {
    let made = match algorithm {
        Algorithm::RsaSha256 if !matches!(rsa_bits, 2048 | 3072 | 4096) => {
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
