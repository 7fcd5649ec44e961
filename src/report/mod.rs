//! DMARC aggregate reports, from the octets of a file to rows. It reads what is given to it, and
//! nothing else: no store, no network, no keys.
//!
//! ```text
//!  file ──> packed ──> gzip, zip ──> packed …
//!             ├──────> mailbox ────> message ──> packed …
//!             └──────> text ──> xml ──> feedback ──> Report
//! ```
//!
//! [`packed`] tells what something is by its first octets, and opens it; [`text`] makes UTF-8 of
//! a document and keeps its comments away; [`xml`] follows its elements; [`feedback`] makes the
//! report. Everything is input of strangers: each layer is bounded by [`Limits`], and a report
//! that cannot be read is refused with a [`Reason`] and harms no other.

mod authentication;
mod feedback;
mod found;
mod mailbox;
mod message;
mod packed;
mod refusal;
mod row;
mod text;
mod xml;

#[cfg(test)]
mod tests;

pub use found::{Found, Place, Sink};
pub use packed::Reading;
pub use refusal::{Limits, Reason, Refusal};
pub use row::{
    Disposition, Flags, Form, Identities, Identity, Mended, Outcome, Override, Places, Policy,
    Report, Row, Rows, Signature, Spf, Words,
};
