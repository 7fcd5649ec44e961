//! What is due: changes, keys to be made, and alarms.

use super::{change::Change, new_key::NewKey};
use crate::{
    dkim::key::{Algorithm, KeyError, NEW_RSA_BITS},
    names::{DomainName, Selector},
};

/// What is due for one organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// To be written together, with [`crate::keystore::Writer::apply`].
    pub changes: Vec<Change>,
    /// Keys to be made, after that.
    pub wanted: Vec<WantedKey>,
    /// What someone should be told.
    pub alarms: Vec<Alarm>,
}

/// A key that is to be made. The selector is one that the organisation never had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedKey {
    /// Of what kind.
    pub algorithm: Algorithm,
    /// For which domains; never empty.
    pub domains: Vec<DomainName>,
}

impl WantedKey {
    /// Makes it, of the usual size. An RSA key takes a good part of a second.
    ///
    /// # Errors
    /// As [`NewKey::generate`].
    pub fn generate(&self) -> Result<NewKey, KeyError> {
        NewKey::generate(self.algorithm, NEW_RSA_BITS[0])
    }
}

/// Something that someone should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// Where.
    pub domain: DomainName,
    /// Of which kind of key.
    pub algorithm: Algorithm,
    /// Of which key; none when it is the lack of one.
    pub selector: Option<Selector>,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AlarmKind {
    /// A key that signs has no record, or one with an empty `p=`.
    ActiveGone,
    /// A key that signs has its record at some servers only.
    ActivePartly,
    /// A key that signs has a wrong record at a server at least.
    ActiveWrong,
    /// A record went before all mail that needs it was delivered.
    GoneEarly,
    /// A key is longer in use than it should be, and its successor is not ready.
    RotationOverdue,
    /// Others may have the key, and its record is still there: they can sign.
    CompromisedSeen,
    /// A domain that had a key has none, as the last one was revoked.
    NoActiveKey,
}

impl AlarmKind {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActiveGone => "active_gone",
            Self::ActivePartly => "active_partly",
            Self::ActiveWrong => "active_wrong",
            Self::GoneEarly => "gone_early",
            Self::RotationOverdue => "rotation_overdue",
            Self::CompromisedSeen => "compromised_seen",
            Self::NoActiveKey => "no_active_key",
        }
    }
}
