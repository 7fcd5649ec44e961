//! The keys of one organisation, what is known of their records, and their life: what was
//! seen in DNS, and the time, give the steps that are due.
//!
//! Nothing here looks at DNS, a clock or a file. The rules that hold whatever happens:
//!
//! - a key signs only after its record was seen everywhere, at every check that could
//!   conclude anything, for [`Timing::settle_time`]; unless the operator assumes it;
//! - for a domain and an algorithm at most one key is active, and a key stops signing only
//!   when another takes its place in the same write, or when it is revoked;
//! - a record is given up only after [`Timing::drain_time`];
//! - a failure to look concludes nothing;
//! - time counts only between two checks that are not too far apart ([`Timing::patience`]):
//!   a clock that jumps takes no step.

mod check;
mod commands;
mod keyring;
mod next_step;
mod plan;
mod publication;
mod situation;
mod successor;
mod timing;

pub use self::{
    commands::{CommandError, Insistence, abort, revoke, withdraw},
    keyring::{ChangeRefusal, KeyEntry, KeyIdentity, Keyring, KeyringProblem},
    next_step::{NextStep, What},
    plan::{Alarm, AlarmKind, Change, Event, Plan, WantedKey},
    publication::{Evidence, ForbiddenStep, Publication, Revocation, State, Why, Withdrawal},
    situation::{Sight, Situation},
    timing::{Clock, LONGEST_TTL, Moment, Timing, UNKNOWN_TTL},
};
