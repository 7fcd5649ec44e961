//! Zegel.

pub mod dkim;
pub mod names;
pub mod organisation;
