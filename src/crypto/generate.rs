//! New private keys, as PKCS#8 PEM.

use rsa::pkcs8::{
    LineEnding, PrivateKeyInfo, SecretDocument,
    der::{Encode, asn1::OctetStringRef},
    spki::AlgorithmIdentifierRef,
};
use zeroize::Zeroizing;

use super::{
    ED25519_OCTETS, Refused,
    backend::rand::{SecureRandom, SystemRandom},
    der::ED25519,
};

const LABEL: &str = "PRIVATE KEY";

/// An RSA key with the exponent 65537.
pub(crate) fn rsa_pkcs8_pem(bits: usize) -> Result<Zeroizing<String>, Refused> {
    let key = rsa_pkcs8(bits)?;
    key.to_pem(LABEL, LineEnding::LF)
        .map_err(|error| Refused(error.to_string()))
}

/// The backend makes it faster than `rsa`, and in a time that tells less of it.
#[cfg(feature = "aws-lc-rs")]
fn rsa_pkcs8(bits: usize) -> Result<SecretDocument, Refused> {
    use super::backend::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::{KeyPair, KeySize},
    };

    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return Err(Refused(format!("no RSA key of {bits} bits is made"))),
    };
    let failed = |error: super::backend::error::Unspecified| Refused(error.to_string());
    let pair = KeyPair::generate(size).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    SecretDocument::try_from(der.as_ref()).map_err(|error| Refused(error.to_string()))
}

/// `ring` makes no RSA keys.
#[cfg(not(feature = "aws-lc-rs"))]
fn rsa_pkcs8(bits: usize) -> Result<SecretDocument, Refused> {
    use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey, rand_core::OsRng};

    RsaPrivateKey::new(&mut OsRng, bits)
        .and_then(|key| Ok(key.to_pkcs8_der()?))
        .map_err(|error| Refused(error.to_string()))
}

/// An Ed25519 key in version 1 of PKCS#8 (RFC 8410 §7), which every tool reads.
pub(crate) fn ed25519_pkcs8_pem() -> Result<Zeroizing<String>, Refused> {
    let mut seed = Zeroizing::new([0; ED25519_OCTETS]);
    SystemRandom::new()
        .fill(seed.as_mut())
        .map_err(|error| Refused(error.to_string()))?;
    wrap_ed25519(&seed)
}

/// An `RSAPrivateKey` in PKCS#8.
pub(crate) fn wrap_rsa(pkcs1: &[u8]) -> Result<Zeroizing<String>, Refused> {
    encode(rsa::pkcs1::ALGORITHM_ID, pkcs1).map_err(|error| Refused(error.to_string()))
}

/// An Ed25519 seed in PKCS#8 version 1.
pub(crate) fn wrap_ed25519(seed: &[u8; ED25519_OCTETS]) -> Result<Zeroizing<String>, Refused> {
    encode_ed25519(seed).map_err(|error| Refused(error.to_string()))
}

fn encode_ed25519(seed: &[u8; ED25519_OCTETS]) -> rsa::pkcs8::Result<Zeroizing<String>> {
    let wrapped = Zeroizing::new(OctetStringRef::new(seed)?.to_der()?);
    let algorithm = AlgorithmIdentifierRef {
        oid: ED25519,
        parameters: None,
    };
    encode(algorithm, &wrapped)
}

fn encode(
    algorithm: AlgorithmIdentifierRef<'_>,
    private_key: &[u8],
) -> rsa::pkcs8::Result<Zeroizing<String>> {
    let info = PrivateKeyInfo::new(algorithm, private_key);
    let document = SecretDocument::try_from(&info)?;
    Ok(document.to_pem(LABEL, LineEnding::LF)?)
}
