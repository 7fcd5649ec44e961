//! What is done with a message that is not signed, and the reason for it.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Why a message was not signed: the metric label, the word in the log and in `explain`.
    ///
    /// Closed on purpose: every unsigned message has exactly one of these.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    pub enum Refusal {
        /// The listener's rule says that this is not outbound mail.
        NotOutbound = "not_outbound",
        /// No organisation has the From domain.
        UnknownDomain = "unknown_domain",
        /// The From domain never sends mail.
        ParkedDomain = "parked_domain",
        /// There is no From field.
        FromMissing = "from_missing",
        /// There are several From fields.
        FromRepeated = "from_repeated",
        /// The From field names several mailboxes, or a group.
        FromSeveralMailboxes = "from_several_mailboxes",
        /// The From field is not what RFC 5322 and RFC 6532 allow.
        FromUnparsable = "from_unparsable",
        /// The organisation does not allow this sender to use its domains.
        UnauthorisedSender = "unauthorised_sender",
        /// The operator has suspended the organisation.
        Suspended = "suspended",
        /// The organisation has no key in use for this domain yet.
        AwaitingKey = "awaiting_key",
        /// A valid signature of ours is already there.
        AlreadySigned = "already_signed",
        /// Signing was tried and failed.
        SigningFailure = "signing_failure",
        /// The message is larger or slower than `[limits]` allows.
        LimitExceeded = "limit_exceeded",
        /// The message holds what breaks signatures on their way, and the policy refuses it.
        Hazard = "hazard",
    }
}

words! {
    /// What the MTA is told of a message that was not signed.
    #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
    #[serde(rename_all = "lowercase")]
    pub enum Action {
        /// Let it pass as it came.
        Accept = "accept",
        /// 451 4.7.1: try again later.
        Tempfail = "tempfail",
        /// 550 5.7.1.
        Reject = "reject",
    }
}

/// The `[policy]` table: one action for each kind of refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Policy {
    /// For [`Refusal::UnknownDomain`].
    pub unknown_domain: Action,
    /// For the four `From…` refusals.
    pub bad_from: Action,
    /// For [`Refusal::UnauthorisedSender`].
    pub unauthorised_sender: Action,
    /// For [`Refusal::Suspended`].
    pub suspended: Action,
    /// For [`Refusal::AwaitingKey`].
    pub awaiting_key: Action,
    /// For [`Refusal::ParkedDomain`].
    pub parked_domain: Action,
    /// For [`Refusal::SigningFailure`] and [`Refusal::LimitExceeded`].
    pub signing_failure: Action,
    /// For messages with hazards: `accept` signs them all the same, the others refuse them.
    pub hazard: Action,
}

impl Policy {
    /// What is done with a message that was not signed for this reason.
    pub fn action(&self, refusal: Refusal) -> Action {
        match refusal {
            Refusal::NotOutbound | Refusal::AlreadySigned => Action::Accept,
            Refusal::UnknownDomain => self.unknown_domain,
            Refusal::ParkedDomain => self.parked_domain,
            Refusal::FromMissing
            | Refusal::FromRepeated
            | Refusal::FromSeveralMailboxes
            | Refusal::FromUnparsable => self.bad_from,
            Refusal::UnauthorisedSender => self.unauthorised_sender,
            Refusal::Suspended => self.suspended,
            Refusal::AwaitingKey => self.awaiting_key,
            Refusal::SigningFailure | Refusal::LimitExceeded => self.signing_failure,
            Refusal::Hazard => self.hazard,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unknown_domain: Action::Accept,
            bad_from: Action::Accept,
            unauthorised_sender: Action::Accept,
            suspended: Action::Tempfail,
            awaiting_key: Action::Accept,
            parked_domain: Action::Accept,
            signing_failure: Action::Tempfail,
            hazard: Action::Accept,
        }
    }
}
