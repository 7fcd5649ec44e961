//! A private key that may enter a keyring.

use zeroize::Zeroizing;

use crate::dkim::{
    PublicKey,
    key::{self, Algorithm, KeyError, SigningKey},
    pem_of_bare_key,
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
    /// As [`SigningKey::from_pem`], and [`KeyError::BeyondVerifiers`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::new(pem, Origin::Elsewhere)
    }

    /// Takes a key from elsewhere, in any form that another signer reads: PEM, DER, or base64 of
    /// DER or of an Ed25519 seed ([`pem_of_bare_key`]).
    ///
    /// # Errors
    /// As [`NewKey::from_pem`].
    pub fn from_any_form(octets: &[u8]) -> Result<Self, KeyError> {
        match pem_of_bare_key(octets)? {
            Some(pem) => Self::from_pem(pem.as_bytes()),
            None => Self::from_pem(octets),
        }
    }

    fn new(pem: &[u8], origin: Origin) -> Result<Self, KeyError> {
        let public_key = SigningKey::from_pem(pem)?.public_key().clone();
        // What is in a keystore already signs on.
        public_key.check_verifiers_take_it()?;
        Ok(Self {
            public_key,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_verifiers_need_not_take_is_refused_and_one_that_is_there_signs_on() {
        let pem = include_bytes!("../../tests/fixtures/keys/unsafe-rsa5120-pkcs8.pem");
        let refused = NewKey::from_pem(pem).err();
        match SigningKey::from_pem(pem) {
            Ok(_) => assert_eq!(refused, Some(KeyError::BeyondVerifiers { bits: 5120 })),
            // ring takes no private key of more than 4096 bits.
            Err(error) => assert_eq!(refused, Some(error)),
        }
        for bits in [4097, 5120, 8192] {
            let refused = NewKey::generate(Algorithm::RsaSha256, bits).err();
            assert_eq!(refused, Some(KeyError::UnsupportedSize { bits }));
        }
        let usual = include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-pkcs8.pem");
        assert!(NewKey::from_pem(usual).is_ok());
    }
}
