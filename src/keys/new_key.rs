//! A private key that may enter a keyring.

use zeroize::Zeroizing;

use crate::dkim::{
    PublicKey,
    key::{self, Algorithm, KeyError, SigningKey},
};

/// A private key that is in no keyring yet.
pub struct NewKey {
    pem: Zeroizing<String>,
    public_key: PublicKey,
    origin: Origin,
}

/// Where a key comes from: one that was just made here is nobody else's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// It was made for this.
    Here,
    /// Someone brought it in; others may have it too.
    Elsewhere,
}

impl NewKey {
    /// Makes a key; see [`key::generate_pem`] for the sizes and the time that it takes.
    ///
    /// # Errors
    /// As [`key::generate_pem`].
    pub fn generate(algorithm: Algorithm, rsa_bits: usize) -> Result<Self, KeyError> {
        let pem = key::generate_pem(algorithm, rsa_bits)?;
        Self::new(pem.as_bytes(), Origin::Here)
    }

    /// Takes a key from elsewhere, in any form that [`SigningKey::from_pem`] reads.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::new(pem, Origin::Elsewhere)
    }

    fn new(pem: &[u8], origin: Origin) -> Result<Self, KeyError> {
        Ok(Self {
            public_key: SigningKey::from_pem(pem)?.public_key().clone(),
            pem: key::normalise_pem(pem)?,
            origin,
        })
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What is kept of it: PKCS#8, PEM.
    pub fn pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}
