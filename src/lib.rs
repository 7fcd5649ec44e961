//! Zegel.

pub mod dkim;
pub mod keystore;
pub mod names;
pub mod organisation;
