//! Which organisations have series of their own: at most `[http] organisations`, so that a page
//! and the Prometheus that reads it stay of a size. The others are summed as [`OTHER`].
//!
//! Whoever has a place keeps it until the organisation or the process ends. Nobody moves to
//! or from [`OTHER`] meanwhile: `rate()` would take that for mail.

use crate::names::OrganisationId;

/// The label of organisations that have no series of their own.
pub const OTHER: &str = "other";

/// Whether an organisation may have series of its own: one that is called [`OTHER`] would
/// have those of all others.
pub(super) fn may_be_own(organisation: &OrganisationId) -> bool {
    organisation.as_str() != OTHER
}
