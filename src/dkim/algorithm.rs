//! The algorithms of keys and their sizes, and why something is no key of them.

use std::str::FromStr;

use serde::Deserialize;

use crate::crypto::der::DerError;
use crate::words::words;

words! {
    /// The signature algorithms (RFC 6376 §3.3, RFC 8463 §3), by their words in `a=`. There is
    /// no `rsa-sha1`.
    #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Algorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        #[serde(rename = "rsa-sha256")]
        RsaSha256 = "rsa-sha256",
        /// Ed25519 over the SHA-256 (RFC 8463 §3).
        #[serde(rename = "ed25519-sha256")]
        Ed25519Sha256 = "ed25519-sha256",
    }
}

impl Algorithm {
    /// The word in `k=` of the record.
    pub fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::named(text).ok_or(UnknownAlgorithm)
    }
}

/// The word is not the name of an [`Algorithm`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the algorithm must be rsa-sha256 or ed25519-sha256")]
pub struct UnknownAlgorithm;

/// The shortest RSA key that signs, in bits (RFC 8301 §3.2 recommends it).
pub const MINIMAL_RSA_BITS: usize = 2048;

/// The sizes that a new RSA key may have, in bits; the first is the usual one, which the
/// guidance asks for: verifiers are slow or fail with more.
pub const NEW_RSA_BITS: [usize; 3] = [MINIMAL_RSA_BITS, 3072, 4096];

/// The longest RSA key that every verifier must take, in bits (RFC 8301 §3.2); OpenDKIM answers
/// `permerror` to a longer one.
pub const LONGEST_VERIFIED_RSA_BITS: usize = 4096;

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
    /// As it lies in a keystore with a sealing key.
    #[error(
        "it is a sealed key, which opens in its keystore alone: `zegel key export ORG SELECTOR` \
         gives it out in the clear"
    )]
    Sealed,
    /// Two octets for each letter.
    #[error("it is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8 FILE >NEWFILE`")]
    Utf16,
    /// `\n` in two letters, as in JSON or in a variable of a shell.
    #[error(
        "its line breaks are written as \\n: write real ones, with `printf '%b' \"$(cat FILE)\" >NEWFILE`"
    )]
    EscapedBreaks,
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
    /// A public exponent of more than 33 bits.
    #[error(
        "the RSA key has a public exponent over 2^33, which some verifiers refuse: make a new key"
    )]
    LargeExponent,
    /// Over [`MAXIMAL_RSA_BITS`].
    #[error("the RSA key has {bits} bits; at most {MAXIMAL_RSA_BITS} are possible")]
    TooLong {
        /// The size of the modulus.
        bits: usize,
    },
    /// Over [`LONGEST_VERIFIED_RSA_BITS`], and new.
    #[error(
        "the RSA key has {bits} bits; verifiers need not take more than \
         {LONGEST_VERIFIED_RSA_BITS} (RFC 8301 §3.2), and some refuse its signatures: make a new key"
    )]
    BeyondVerifiers {
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
