//! Zegel.

pub mod config;
pub mod dkim;
pub mod keystore;
pub mod names;
pub mod observe;
pub mod organisation;
