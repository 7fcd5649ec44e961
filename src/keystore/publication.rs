//! What is known of one key in the DNS of one domain.
//!
//! ```text
//!  generated ──> published ──> active ──> draining ──> withdrawn
//!      │             │            │                        ▲
//!      └─────────────┴────────────┴── compromised: revoked ┘
//! ```

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a key is in its life, for one domain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made; nothing is known to be in DNS.
    Generated,
    /// Every authoritative server showed its record.
    Published,
    /// It signs. At most one key per domain and algorithm.
    Active,
    /// It signs no more; its record must stay until the last mail is verified.
    Draining,
    /// Its record may be given up, or is gone.
    Withdrawn,
    /// The operator gave it up at once.
    Revoked,
}

impl State {
    /// The word in the keyring and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Published => "published",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the drawing has an arrow from here to there. A key is revoked from any
    /// state, since it may turn out to be stolen when it is no longer used.
    pub fn leads_to(self, next: Self) -> bool {
        match (self, next) {
            (Self::Revoked, Self::Revoked) => false,
            (_, Self::Revoked)
            | (Self::Generated, Self::Published)
            | (Self::Published, Self::Active)
            | (Self::Active, Self::Draining)
            | (Self::Draining | Self::Revoked, Self::Withdrawn) => true,
            _ => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Why a key may sign for a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Evidence {
    /// The operator says that the record is in DNS (`--assume-published`).
    Assumed,
}

/// The state of a key for one domain, and since when.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Where it is.
    pub state: State,
    /// When it came there.
    pub since: Timestamp,
    /// It became active on [`Evidence::Assumed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
}

impl Publication {
    /// Of a key that was just made, or a domain that was just added.
    pub fn generated(now: Timestamp) -> Self {
        Self {
            state: State::Generated,
            since: now,
            assumed: false,
        }
    }

    /// Takes one step along the drawing.
    ///
    /// # Errors
    /// When there is no such arrow; nothing is changed then.
    pub fn advance(&mut self, next: State, now: Timestamp) -> Result<(), ForbiddenStep> {
        if !self.state.leads_to(next) {
            return Err(ForbiddenStep {
                from: self.state,
                to: next,
            });
        }
        self.state = next;
        self.since = now;
        Ok(())
    }

    /// Becomes active on this evidence; a key that is active already stays as it is.
    ///
    /// # Errors
    /// When it was active once, or was revoked; nothing is changed then.
    pub fn activate(&mut self, evidence: Evidence, now: Timestamp) -> Result<(), ForbiddenStep> {
        match (self.state, evidence) {
            (State::Active, _) => Ok(()),
            (State::Generated | State::Published, Evidence::Assumed) => {
                *self = Self {
                    state: State::Active,
                    since: now,
                    assumed: true,
                };
                Ok(())
            }
            (from, _) => Err(ForbiddenStep {
                from,
                to: State::Active,
            }),
        }
    }
}

/// A step that the life of a key does not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key that is {from} cannot become {to}")]
pub struct ForbiddenStep {
    /// Where it is.
    pub from: State,
    /// Where it was to go.
    pub to: State,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 6] = [
        State::Generated,
        State::Published,
        State::Active,
        State::Draining,
        State::Withdrawn,
        State::Revoked,
    ];

    fn publication(state: State) -> Publication {
        Publication {
            state,
            ..Publication::generated(Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn steps_are_those_of_the_drawing() {
        let arrows = |from: State| -> Vec<State> {
            ALL.into_iter().filter(|to| from.leads_to(*to)).collect()
        };
        assert_eq!(arrows(State::Generated), [State::Published, State::Revoked]);
        assert_eq!(arrows(State::Published), [State::Active, State::Revoked]);
        assert_eq!(arrows(State::Active), [State::Draining, State::Revoked]);
        assert_eq!(arrows(State::Draining), [State::Withdrawn, State::Revoked]);
        assert_eq!(arrows(State::Withdrawn), [State::Revoked]);
        assert_eq!(arrows(State::Revoked), [State::Withdrawn]);
    }

    #[test]
    fn a_forbidden_step_changes_nothing() {
        let now = Timestamp::from_second(1).unwrap();
        let mut withdrawn = publication(State::Withdrawn);
        assert!(withdrawn.advance(State::Active, now).is_err());
        assert_eq!(withdrawn, publication(State::Withdrawn));
        for state in [State::Draining, State::Withdrawn, State::Revoked] {
            let mut publication = publication(state);
            let before = publication;
            assert!(publication.activate(Evidence::Assumed, now).is_err());
            assert_eq!(publication, before);
        }
    }

    #[test]
    fn assumed_evidence_is_remembered() {
        let now = Timestamp::from_second(1).unwrap();
        let mut publication = publication(State::Generated);
        publication.activate(Evidence::Assumed, now).unwrap();
        let json = serde_json::to_string(&publication).unwrap();
        assert_eq!(
            json,
            r#"{"state":"active","since":"1970-01-01T00:00:01Z","assumed":true}"#
        );
        // A second time: nothing new, so not a new date either.
        let later = Timestamp::from_second(2).unwrap();
        publication.activate(Evidence::Assumed, later).unwrap();
        assert_eq!(publication.since, now);
    }
}
