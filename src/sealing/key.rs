//! The keys that seal other keys.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::crypto::{Refused, sealed};

const OCTETS: usize = 32;
/// The base64 of a key.
const TEXT_OCTETS: usize = 44;
const ID_OCTETS: usize = 8;
const ID_INFO: &[u8] = b"zegel sealing key id 1";

/// By what a sealing key is known: 16 lower-case hexadecimal digits that are derived from it, and
/// tell nothing of it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct SealingKeyId([u8; ID_OCTETS]);

impl SealingKeyId {
    /// The octets of its text.
    pub(super) const DIGITS: usize = 2 * ID_OCTETS;

    /// From its 16 digits.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let is_digit = |octet: &u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(octet);
        if digits.len() != Self::DIGITS || !digits.iter().all(is_digit) {
            return None;
        }
        let number = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for SealingKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SealingKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for SealingKeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why octets are no sealing key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealingKeyProblem {
    /// There is nothing.
    #[error("the file is empty")]
    Empty,
    /// It is the beginning of one: somebody is writing it, or was.
    #[error("the file has only the beginning of a sealing key")]
    Cut,
    /// It is something else.
    #[error(
        "this is no sealing key, which is 32 random octets as base64 in one line: make one with \
         `zegel keystore sealing-key FILE`"
    )]
    Malformed,
    /// The system gave no random octets, or the cryptography library failed.
    #[error("{0}")]
    System(String),
}

impl SealingKeyProblem {
    /// Whether the rest may be written yet.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Empty | Self::Cut)
    }
}

/// 32 random octets that seal private keys.
pub struct SealingKey {
    octets: Zeroizing<[u8; OCTETS]>,
    id: SealingKeyId,
}

impl SealingKey {
    /// Makes one.
    ///
    /// # Errors
    /// [`SealingKeyProblem::System`].
    pub fn generate() -> Result<Self, SealingKeyProblem> {
        Self::new(sealed::random().map_err(of_system)?)
    }

    /// Reads a file that holds one: base64 in one line. Space around it does not count.
    ///
    /// # Errors
    /// [`SealingKeyProblem`].
    pub fn parse(text: &[u8]) -> Result<Self, SealingKeyProblem> {
        let text = text.trim_ascii();
        let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/".contains(octet);
        if text.is_empty() {
            return Err(SealingKeyProblem::Empty);
        }
        if text.len() < TEXT_OCTETS && text.iter().all(is_base64) {
            return Err(SealingKeyProblem::Cut);
        }
        let mut decoded = Zeroizing::new([0; OCTETS + 1]);
        match STANDARD.decode_slice(text, decoded.as_mut()) {
            Ok(OCTETS) => {}
            _ => return Err(SealingKeyProblem::Malformed),
        }
        let mut octets = Zeroizing::new([0; OCTETS]);
        octets.copy_from_slice(decoded.get(..OCTETS).ok_or(SealingKeyProblem::Malformed)?);
        Self::new(octets)
    }

    fn new(octets: Zeroizing<[u8; OCTETS]>) -> Result<Self, SealingKeyProblem> {
        let id = sealed::derive(octets.as_ref(), b"", ID_INFO).map_err(of_system)?;
        Ok(Self {
            octets,
            id: SealingKeyId(*id),
        })
    }

    /// What is in its file: one line.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Room for all of it from the start: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(TEXT_OCTETS + 1));
        STANDARD.encode_string(self.octets.as_ref(), &mut text);
        text.push('\n');
        text
    }

    /// By what it is known.
    pub fn id(&self) -> SealingKeyId {
        self.id
    }

    /// The AES key and the nonce for one private key.
    pub(super) fn derive(
        &self,
        salt: &[u8],
        info: &[u8],
    ) -> Result<Zeroizing<[u8; sealed::ONE_TIME_OCTETS]>, Refused> {
        sealed::derive(self.octets.as_ref(), salt, info)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SealingKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn of_system(Refused(reason): Refused) -> SealingKeyProblem {
    SealingKeyProblem::System(reason)
}

/// The sealing keys of a keystore: the first one seals, all of them open. With none, keys lie in
/// the clear.
#[derive(Debug, Default)]
pub struct SealingKeys(Vec<SealingKey>);

impl SealingKeys {
    /// These.
    pub fn new(keys: Vec<SealingKey>) -> Self {
        Self(keys)
    }

    /// The one that seals.
    pub fn first(&self) -> Option<&SealingKey> {
        self.0.first()
    }

    /// The one of this id.
    pub fn get(&self, id: SealingKeyId) -> Option<&SealingKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Their ids, in their order.
    pub fn ids(&self) -> Vec<SealingKeyId> {
        self.0.iter().map(SealingKey::id).collect()
    }
}
