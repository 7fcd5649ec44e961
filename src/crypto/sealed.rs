//! What lies on a disk and is to say nothing to a thief: keys that are derived (HKDF, RFC 5869,
//! with SHA-256), and text that is encrypted and bound to its place (AES-256-GCM, NIST SP 800-38D).

use zeroize::Zeroizing;

use super::{
    Refused,
    backend::{
        aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
        hkdf::{HKDF_SHA256, KeyType, Salt},
        rand::{SecureRandom, SystemRandom},
    },
};

/// The octets of a key of AES-256.
const AES_OCTETS: usize = 32;

/// The octets of an AES key and of the nonce that it is used with, once.
pub(crate) const ONE_TIME_OCTETS: usize = AES_OCTETS + NONCE_LEN;

/// The octets that a sealed text has more than the text.
pub(crate) const TAG_OCTETS: usize = 16;

/// So many octets.
#[derive(Clone, Copy)]
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Octets that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Refused> {
    let mut octets = Zeroizing::new([0; N]);
    SystemRandom::new()
        .fill(octets.as_mut())
        .map_err(|error| Refused(error.to_string()))?;
    Ok(octets)
}

/// A key that is derived from another one: HKDF-SHA-256.
pub(crate) fn derive<const N: usize>(
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
) -> Result<Zeroizing<[u8; N]>, Refused> {
    let mut derived = Zeroizing::new([0; N]);
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], Length(N))
        .and_then(|key| key.fill(derived.as_mut()))
        .map_err(|error| Refused(error.to_string()))?;
    Ok(derived)
}

/// Encrypts `text` where it is, and gives the tag. The key must never have sealed anything.
pub(crate) fn seal(
    one_time: &[u8; ONE_TIME_OCTETS],
    bound_to: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_OCTETS], Refused> {
    let (key, nonce) = parts(one_time)?;
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(bound_to), text)
        .map_err(|error| Refused(error.to_string()))?;
    tag.as_ref()
        .try_into()
        .map_err(|_| Refused("a tag has 16 octets".to_owned()))
}

/// Decrypts `sealed`, with its tag behind it, where it is, and gives how long the text is. Nothing
/// of it may be used when it does not open.
pub(crate) fn open(
    one_time: &[u8; ONE_TIME_OCTETS],
    bound_to: &[u8],
    sealed: &mut [u8],
) -> Result<usize, Refused> {
    let (key, nonce) = parts(one_time)?;
    let text = key
        .open_in_place(nonce, Aad::from(bound_to), sealed)
        .map_err(|error| Refused(error.to_string()))?;
    Ok(text.len())
}

fn parts(one_time: &[u8; ONE_TIME_OCTETS]) -> Result<(LessSafeKey, Nonce), Refused> {
    let (key, nonce) = one_time.split_at(AES_OCTETS);
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|error| Refused(error.to_string()))?;
    let nonce =
        Nonce::try_assume_unique_for_key(nonce).map_err(|error| Refused(error.to_string()))?;
    Ok((LessSafeKey::new(key), nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 appendix A.1, the first octets.
    #[test]
    fn derives_what_the_standard_says() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let derived = derive::<42>(&[0x0b; 22], &salt, &info).unwrap();
        let first = [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43];
        assert_eq!(derived[..10], first);
        // Appendix A.3: neither salt nor info.
        let derived = derive::<42>(&[0x0b; 22], b"", b"").unwrap();
        let first = [0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f];
        assert_eq!(derived[..10], first);
    }

    #[test]
    fn opens_what_it_sealed_and_only_that() {
        let key = random::<ONE_TIME_OCTETS>().unwrap();
        let mut sealed = b"text".to_vec();
        let tag = seal(&key, b"place", &mut sealed).unwrap();
        assert_ne!(sealed, b"text");
        sealed.extend(tag);
        let mut opened = sealed.clone();
        assert_eq!(open(&key, b"place", &mut opened).unwrap(), 4);
        assert_eq!(&opened[..4], b"text");
        assert!(open(&key, b"other", &mut sealed.clone()).is_err());
        assert!(open(&random().unwrap(), b"place", &mut sealed).is_err());
        assert!(open(&key, b"place", &mut [0; 3]).is_err());
    }
}
