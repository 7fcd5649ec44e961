//! DKIM itself (RFC 6376, RFC 8301, RFC 8463): pure functions over bytes. No tokio, no
//! files, no clock, no configuration.
//!
//! | to do | take |
//! |---|---|
//! | whose message is it | [`author_domain`] |
//! | which fields are signed | [`HeaderRules`] over a [`HeaderSection`] |
//! | the body, as it comes | [`BodyHasher`], [`BodyInspector`] |
//! | a signature | [`SignedContent`] and a [`Signatory`] with its [`SigningKey`] |
//! | is it right | [`ParsedSignature`] and a [`PublicKey`] |

mod algorithm;
mod author;
mod bare_key;
mod body;
mod canonicalisation;
mod delegation;
pub mod digest;
mod hazards;
mod header;
pub mod key;
mod message;
pub mod partly_read;
mod pem;
mod picker;
mod public_key;
pub mod record;
mod signature;
mod tags;
mod verification;

pub use self::{
    author::{AuthorRefusal, author_domain, named_domains},
    bare_key::pem_of_bare_key,
    body::{BodyCanonicaliser, BodyHasher},
    canonicalisation::{Canonicalisation, CanonicalisationPair, UnknownCanonicalisation},
    delegation::{Delegations, Way},
    hazards::{BodyInspector, Hazard, Hazards, allows_eight_bit},
    header::{Field, HeaderRules, HeaderSection, NEVER_SIGNED},
    key::{Algorithm, Fingerprint, KeyError, PublicKey, SigningError, SigningKey},
    message::{MalformedHeader, Message},
    signature::{FIELD_NAME, LeadingSpace, Signatory, SignatureField, SignedContent},
    tags::TagError,
    verification::{Claims, ParsedSignature, VerificationError, listed_names},
};
pub use crate::crypto::BACKEND;
