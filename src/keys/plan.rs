//! What is due: changes, keys to be made, and alarms.

use super::publication::Publication;
use crate::{
    dkim::key::Algorithm,
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

/// A publication that changes. It is written only if it is still as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Of which key.
    pub selector: Selector,
    /// In which domain.
    pub domain: DomainName,
    /// As it was; none when the key is not known to the domain yet.
    pub before: Option<Publication>,
    /// As it is to be.
    pub after: Publication,
    /// What happens, for the audit log.
    pub event: Event,
}

impl Change {
    /// Whether the key comes into another state, and not only the evidence changes.
    pub fn moves(&self) -> bool {
        self.before
            .is_none_or(|before| before.state != self.after.state)
    }

    /// Whether the signer is to hear of it: of another state, and of a record that is given
    /// up, on which a draining key no longer stands in for its successor.
    pub fn is_announced(&self) -> bool {
        self.moves()
            || self
                .before
                .is_some_and(|before| before.withdrawal != self.after.withdrawal)
    }
}

/// What happens to a publication.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Looked at; it stays in its state.
    Checked,
    /// The domain is to get the record of a key that the organisation has.
    Added,
    /// Seen everywhere for the first time.
    Published,
    /// Not seen everywhere any more, before it was used.
    Unpublished,
    /// It signs from now on.
    Activated {
        /// In the place of this key.
        instead_of: Option<Selector>,
    },
    /// It signs no more.
    Draining {
        /// The key that took its place.
        successor: Selector,
    },
    /// No mail needs its record any more.
    WithdrawalAsked,
    /// Its record is empty or gone.
    Withdrawn,
    /// The operator says that its record may be given up, or is gone.
    WithdrawnByWord,
    /// Its record, empty before, is gone.
    RecordGone,
    /// The operator gave it up.
    Revoked,
}

impl Event {
    /// The word in the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Added => "added",
            Self::Published => "published",
            Self::Unpublished => "unpublished",
            Self::Activated { .. } => "activated",
            Self::Draining { .. } => "draining",
            Self::WithdrawalAsked => "withdrawal_asked",
            Self::Withdrawn => "withdrawn",
            Self::WithdrawnByWord => "withdrawn_by_word",
            Self::RecordGone => "record_gone",
            Self::Revoked => "revoked",
        }
    }
}

/// A key that is to be made. The selector is one that the organisation never had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedKey {
    /// Of what kind.
    pub algorithm: Algorithm,
    /// For which domains; never empty.
    pub domains: Vec<DomainName>,
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
