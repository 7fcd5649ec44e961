//! The cryptography: the only place that names `aws-lc-rs`, `ring` and `rsa`.
//!
//! The two backends have the same interface as far as it is used here; which of them
//! is compiled in is decided by the cargo feature of the same name. With both (as in
//! `--all-features`), aws-lc-rs does the work.

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs as backend;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use ring as backend;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("zegel needs a cryptography backend: enable the feature `aws-lc-rs` or `ring`");

pub(super) use self::backend::digest;
