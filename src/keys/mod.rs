//! The keys of one organisation, what is known of their records, and their life: what was
//! seen in DNS, and the time, give the steps that are due.
//!
//! Nothing here looks at DNS, a clock or a file. The rules that hold whatever happens:
//!
//! - a key signs only after its record was seen everywhere, at every check that could
//!   conclude anything, for [`Timing::settle_time`]; unless the operator assumes it;
//! - for a domain and an algorithm at most one key is active, and a key stops signing only
//!   when another takes its place in the same write, or when it is revoked;
//! - a record is given up only after [`Timing::drain_time`], and after receivers report no more
//!   that its key passes, for which it waits 60 days at most;
//! - a failure to look concludes nothing;
//! - time counts only between two checks that are not too far apart ([`Timing::patience`]):
//!   a clock that jumps takes no step.

mod change;
mod check;
mod commands;
mod delegation;
mod departure;
mod keyring;
mod new_key;
mod next_step;
mod pending;
mod plan;
mod publication;
mod reported;
mod restored;
mod revision;
mod situation;
mod successor;
mod timing;

use std::fmt;

pub use self::{
    change::{Change, ChangeRefusal, Event},
    check::Sight,
    commands::{
        CommandError, Insistence, abort, activate, add_domains, refuse_former, retire, revoke,
        withdraw,
    },
    delegation::{Delegated, Delegations, Lead, Way},
    departure::{Departure, Departures},
    keyring::{KeyEntry, KeyIdentity, Keyring, KeyringProblem},
    new_key::{NewKey, Origin},
    next_step::{Actor, NextStep, Task, What},
    pending::Pending,
    plan::{Alarm, AlarmKind, Plan},
    publication::{Evidence, ForbiddenStep, Publication, Revocation, State, Why, Withdrawal},
    reported::{LastPassed, Reported},
    restored::{give_up_again, unseen_since},
    revision::{AuditEntry, Revision},
    situation::Situation,
    successor::WantedKey,
    timing::{Clock, LONGEST_TTL, Moment, Timing, UNKNOWN_TTL},
};

/// Where something is kept, in words for a message: the path of a file, today.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place(String);

impl Place {
    /// What a message calls it.
    pub fn new(name: impl fmt::Display) -> Self {
        Self(name.to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod departure_tests;
#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod next_step_tests;
#[cfg(test)]
mod reported_tests;
