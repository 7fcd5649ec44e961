//! SHA-256, the only hash of DKIM that is left (RFC 8301 §3.1).

use crate::crypto::digest::{Context, SHA256, digest};

/// A SHA-256 in the making.
#[derive(Clone)]
pub struct Sha256(Context);

impl Sha256 {
    /// The hash of nothing so far.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes in the next octets. How the input is cut makes no difference.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The hash of all that was taken in.
    pub fn finish(self) -> [u8; 32] {
        array(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// The SHA-256 of `octets`.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    array(digest(&SHA256, octets).as_ref())
}

fn array(digest: &[u8]) -> [u8; 32] {
    digest.try_into().expect("a SHA-256 has 32 octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2 appendix B.1.
    const ABC: [u8; 32] = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22,
        0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00,
        0x15, 0xad,
    ];

    #[test]
    fn hashes_whole_and_in_pieces() {
        assert_eq!(sha256(b"abc"), ABC);
        let mut hash = Sha256::new();
        for piece in [b"a".as_slice(), b"", b"bc"] {
            hash.update(piece);
        }
        assert_eq!(hash.finish(), ABC);
        assert_eq!(Sha256::default().finish(), sha256(b""));
    }
}
