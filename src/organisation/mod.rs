//! An organisation: its domains, who may send in its name, and what is done with mail
//! that cannot be signed for it.

mod policy;

pub use self::policy::{Action, Policy, Refusal};
