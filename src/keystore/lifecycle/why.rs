//! Why a key stays where it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason for which a publication was left in its state when it was last looked at:
/// the word in the keyring and in lists.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No server shows a record.
    NotSeen,
    /// Some servers show the record and others do not.
    SeenPartly,
    /// A server shows another key, a second record, or one that cannot be read.
    SeenWrong,
    /// The record is there with an empty `p=`, which revokes the key.
    SeenRevoked,
    /// A server that counts could not be asked: nothing is concluded.
    Unreachable,
    /// Seen everywhere, and not for long enough yet.
    Settling,
    /// The last check was too long ago, or lies in the future, so that no time counts.
    Clock,
    /// Seen everywhere, and it signs.
    Signing,
    /// A later key took its place before it was ever used.
    Superseded,
    /// The configuration does not have the domain, or not the algorithm.
    NotConfigured,
    /// Its record must stay for mail that is still on its way.
    Draining,
    /// Its record went while mail that needs it may still be on its way.
    GoneEarly,
    /// Its record may be given up, and is not yet.
    AwaitingWithdrawal,
    /// Its record has an empty `p=` and may be taken away.
    AwaitingRemoval,
    /// Nothing is left to be done.
    Done,
}

impl Why {
    /// The word in the keyring and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSeen => "not_seen",
            Self::SeenPartly => "seen_partly",
            Self::SeenWrong => "seen_wrong",
            Self::SeenRevoked => "seen_revoked",
            Self::Unreachable => "unreachable",
            Self::Settling => "settling",
            Self::Clock => "clock",
            Self::Signing => "signing",
            Self::Superseded => "superseded",
            Self::NotConfigured => "not_configured",
            Self::Draining => "draining",
            Self::GoneEarly => "gone_early",
            Self::AwaitingWithdrawal => "awaiting_withdrawal",
            Self::AwaitingRemoval => "awaiting_removal",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
