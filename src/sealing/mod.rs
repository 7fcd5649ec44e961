//! Sealed keys: how a private key lies on a disk without saying anything to a thief. Pure.
//!
//! A sealing key is 32 random octets. It seals private keys one by one, each with a key that is
//! derived for it alone, and each bound to its place: a sealed key that is changed, or put
//! somewhere else, does not open. `docs/sealing.md` has the format in full.

mod key;
mod sealed;

pub use self::{
    key::{SealingKey, SealingKeyId, SealingKeyProblem, SealingKeys},
    sealed::{Bound, SealedBy, SealedProblem, open, seal, sealed_by},
};

#[cfg(test)]
mod tests;
