//! The signer: whether a message is signed and as whom, and the signatures.
//!
//! [`decide`] looks at the header section, [`Work`] at the whole message. The milter,
//! `zegel explain`, `zegel sign` and `zegel check` all come through here, so that they say
//! the same. No disk is looked at but for keys that nobody has read yet
//! ([`PendingDecision::read_keys`]).

mod decision;
mod signing;

pub use self::{
    decision::{
        Circumstances, Decision, PendingDecision, Ruling, asked_domains, decide, exceeded_limit,
    },
    signing::{Body, Refused, Signed, Work},
};
