//! The status page as a browser shows it, and as the signer serves it.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod served;
mod shown;
mod world;
