//! Whose each key is, kept from one writer of a process to the next.
//!
//! With each key that comes, or goes to another organisation, the generation grows. So as long as
//! it is the one with which the last writer left off, no key has come that is not among these.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::GenerationStamp;
use crate::{
    dkim::key::Fingerprint,
    names::{OrganisationId, Selector},
};

/// Each key, and where it is.
pub(super) type Places = HashMap<Fingerprint, (OrganisationId, Selector)>;

/// See the module. Empty until a writer has asked for it.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(Mutex<Option<(Places, GenerationStamp)>>);

impl KnownKeys {
    /// What was left, if it is of this generation. It is gone then: its writer leaves it again.
    pub(super) fn take(&self, generation: Option<GenerationStamp>) -> Option<Places> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (places, of) = left.take()?;
        (Some(of) == generation).then_some(places)
    }

    /// Leaves it for the next writer.
    pub(super) fn leave(&self, places: Places, generation: GenerationStamp) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = Some((places, generation));
    }
}
