//! The signer: whether a message is signed and as whom, and the signatures.
//!
//! [`decision`] looks at the header section, [`signing`] at the whole message. Both are pure
//! but for a key that has to be read first. The milter, `zegel explain`, `zegel sign` and
//! `zegel check` all come through here, so that they say the same.

pub mod decision;
pub mod signing;
