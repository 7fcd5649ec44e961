//! The configurations of other signers: what they say is read here, and a plan is made of the
//! organisations that Zegel would have for it.
//!
//! Nothing here writes, and files are reached through [`Files`] alone. Whatever cannot be
//! taken over, or means something else in Zegel, becomes a [`Finding`]: nothing is dropped
//! in silence.

mod files;
mod finding;
mod headers;
pub mod opendkim;
mod pattern;
mod plan;
pub mod rspamd;
mod setup;
mod signing_table;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use self::{
    files::Files,
    finding::{Code, Finding, Place},
    plan::{KeyFacts, Plan, PlannedKey, PlannedOrganisation, Taken, plan},
    setup::{Hints, KeySource, Secret, Setup, Signing},
    text::{organisation_file, settings_file},
};
