//! The configurations of other signers: what they say is read here, and a plan is made of the
//! organisations that Zegel would have for it.
//!
//! Nothing here writes, and files are reached through [`Files`] alone. Whatever cannot be
//! taken over, or means something else in Zegel, becomes a [`Finding`]: nothing is dropped
//! in silence.

mod finding;
mod headers;
pub mod opendkim;
mod plan;
pub mod rspamd;
mod setup;
mod signing_table;
mod table;
mod text;

#[cfg(test)]
mod tests;

use std::{io, path::Path};

pub use self::{
    finding::{Code, Finding, Place},
    plan::{KeyFacts, Plan, PlannedKey, PlannedOrganisation, Taken, plan},
    setup::{Hints, KeySource, Secret, Setup, Signing},
    text::{organisation_file, settings_file},
};

/// How the files of another signer are reached; in tests from memory.
pub trait Files {
    /// The text of a file, whatever is not UTF-8 in it replaced.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The names in a folder.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Whether there is a file.
    fn is_file(&self, path: &Path) -> bool;
}
