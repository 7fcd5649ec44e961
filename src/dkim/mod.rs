//! DKIM itself (RFC 6376, RFC 8301, RFC 8463): pure functions over bytes. No tokio, no
//! files, no clock, no configuration.

pub mod author;

pub use self::author::{AuthorRefusal, author_domain};
