//! DKIM itself (RFC 6376, RFC 8301, RFC 8463): pure functions over bytes. No tokio, no
//! files, no clock, no configuration.

mod author;
mod crypto;
pub mod digest;
pub mod key;
mod pem;
mod public_key;
pub mod record;

pub use self::author::{AuthorRefusal, author_domain};
