//! The limits that were reached at a listener.

use prometheus_client::metrics::{counter::Counter, family::Family};

use super::listeners::Labels;

/// A bound of `[limits]`: the label `limit` of `zegel_limits_reached_total`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// A connection more than there may be.
    Connections,
    /// A connection was silent for too long between messages.
    Idle,
    /// A message had too little of it come, or its reply taken, in time; or it had no key or
    /// no turn to be signed, and was put off.
    Message,
    /// An SMTP client took too long between MAIL and its data: two hours, which is fixed.
    Envelope,
    /// The header section of a message is too large.
    HeaderBytes,
    /// The header section of a message has too many fields.
    HeaderFields,
    /// Too many commands without the end of a message.
    Commands,
    /// Too many octets of commands without the end of a message.
    CommandBytes,
}

impl Limit {
    /// All of them, each in the place of its number.
    const ALL: [Self; 8] = [
        Self::Connections,
        Self::Idle,
        Self::Message,
        Self::Envelope,
        Self::HeaderBytes,
        Self::HeaderFields,
        Self::Commands,
        Self::CommandBytes,
    ];

    /// The key in `[limits]`, where there is one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Idle => "idle",
            Self::Message => "message",
            Self::Envelope => "envelope",
            Self::HeaderBytes => "header_bytes",
            Self::HeaderFields => "header_fields",
            Self::Commands => "commands",
            Self::CommandBytes => "command_bytes",
        }
    }
}

/// How often each was reached at one listener.
#[derive(Debug)]
pub(super) struct LimitCounters([Counter; Limit::ALL.len()]);

impl LimitCounters {
    pub(super) fn resolve(family: &Family<Labels, Counter>, listener: &str) -> Self {
        Self(Limit::ALL.map(|limit| {
            family.get_or_create_owned(&vec![
                ("listener", listener.to_owned()),
                ("limit", limit.as_str().to_owned()),
            ])
        }))
    }

    pub(super) fn reached(&self, limit: Limit) {
        self.0[limit as usize].inc();
    }
}
