//! The DNS: what every authoritative server of a zone shows, what resolvers show, and what
//! that says of a record. The one place that knows hickory.
//!
//! ```text
//! name ──> discovery ──> observation ──> judge ──> Sight + findings
//!          zone, servers  who said what   pure      for the keeper, `dns check`
//! ```
//!
//! Every question passes one [`Rate`]; a [`Round`] remembers zones and addresses, so that
//! thousands of domains at the same provider cost little more than their own records.

mod advice;
mod budget;
mod delegation;
mod discovery;
mod exchange;
mod finding;
mod judge;
mod lead;
mod measurement;
mod observation;
mod policy;
mod policy_judge;
mod reach;
mod report;
mod resolver;
mod round;
mod spf;
mod view;

pub use self::{
    advice::advise,
    budget::{
        Excess, ORGANISATION_TIME, RECORD_QUESTIONS, RECORD_TIME, ZONE_QUESTIONS, ZONE_TIME,
        longest_look,
    },
    delegation::Delegation,
    exchange::{Limits, Pace, Rate, Silence},
    finding::{Code, Finding},
    judge::{holds_record, judge, judge_unknown},
    measurement::Measurement,
    observation::{Link, Observation, Outcome, ResolverAnswer, ServerAnswer, ZoneSeen},
    policy::{MailPolicy, SpfVerdict},
    policy_judge::{FIRST_DMARC, NULL_MX, PARKED_DMARC, PARKED_SPF, judge_parked, judge_sending},
    reach::{Kind, Reach},
    report::shown_by_each,
    resolver::{DnsError, Resolver, Text},
    round::{Look, Observer, Round},
    spf::{RelayPart, first, joined, with_part},
};
