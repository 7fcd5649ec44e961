//! How far domains have come on the ladder of DMARC, as the keeper found it in reports.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::names::{DomainName, Selector};

/// How far a domain has come, as `zegel dmarc status` says it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Climbing {
    /// The word for the rung it stands on; none without a record.
    pub step: Option<String>,
    /// The record that was published then; none if there was none that receivers use.
    #[serde(default)]
    pub published: Option<String>,
    /// Since when reports show it.
    pub since: Option<Date>,
    /// The word for what someone has to do.
    pub action: String,
    /// Since when the keeper finds that.
    pub acting_since: Timestamp,
    /// The same in a sentence.
    pub text: String,
    /// The word for the rung of the record.
    pub to: String,
    /// Of a step back: legitimate messages that failed in the last days.
    pub lost: u64,
    /// The name of the record that should be there.
    pub name: String,
    /// That record; none if nobody can tell.
    pub record: Option<String>,
    /// The first day on which the next rung may come.
    pub not_before: Option<Date>,
    /// What holds it, the most messages of each word first.
    pub holds: Vec<Held>,
}

/// What holds a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// The word for it; a later version may have others.
    pub code: String,
    /// A sentence.
    pub text: String,
    /// A command, if one answers it.
    pub command: Option<String>,
    /// Whether it stands against the next rung, or only against a later one.
    pub is_next: bool,
    /// The id of the stream that it is about.
    pub stream: Option<String>,
    /// What that is called.
    pub name: Option<String>,
    /// The messages that it is about.
    pub messages: u64,
    /// The days that are missing.
    pub days: u16,
    /// Since when the keeper finds it.
    pub since: Timestamp,
}

/// A key in a zone of ours with which mail passes: it is not ours, and not of a sender that the
/// operator has named.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StrangeKey {
    /// The domain in the signature: that of the policy or one below it, as reporters wrote it.
    pub domain: String,
    /// The selector, as reporters wrote it.
    pub selector: String,
    /// The id of the stream in which it was seen.
    pub stream: String,
    /// The domain under whose policy the mail fell.
    pub under: DomainName,
    /// Since when the keeper finds it.
    pub since: Timestamp,
}

/// Mail that passes with a selector of ours, and that was not signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReplaySeen {
    /// Which.
    pub selector: Selector,
    /// The first of the days, UTC.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// Messages of these days that passed with it, by reports.
    pub passed: u64,
    /// Signatures of it that were made then, on the two days before or on the one after.
    pub signed: u64,
    /// Since when the keeper finds it; none in a file of an older version.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// How far one domain has come, and when that was found out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Climbed {
    /// When it was found out.
    pub found: Timestamp,
    /// None if nobody knows which record it has.
    #[serde(default)]
    pub climbing: Option<Climbing>,
    /// Keys in its zone that sign, and that nobody knows.
    #[serde(default)]
    pub unknown_selectors: Vec<StrangeKey>,
    /// Its selectors with which far more mail passes than was signed.
    #[serde(default)]
    pub replays: Vec<ReplaySeen>,
}

/// Of the same file, what tells how an organisation stands.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AllClimbed {
    #[serde(default)]
    pub(super) domains: BTreeMap<DomainName, Climbed>,
}

#[cfg(test)]
impl StrangeKey {
    /// With the selector `old2019`.
    pub(crate) fn of(domain: &str, now: Timestamp) -> Self {
        Self {
            domain: domain.to_owned(),
            selector: "old2019".to_owned(),
            stream: format!("dkim:{domain}/old2019"),
            under: domain.parse().unwrap(),
            since: now,
        }
    }
}

#[cfg(test)]
impl ReplaySeen {
    /// On one day.
    pub(crate) fn of(selector: &str, day: Date, now: Timestamp) -> Self {
        Self {
            selector: selector.parse().unwrap(),
            from: day,
            to: day,
            passed: 32_100,
            signed: 4_000,
            since: Some(now),
        }
    }
}

#[cfg(test)]
impl Climbing {
    /// With a record for `quarantine`, on the way from `none`.
    pub(crate) fn of(action: &str, holds: &[Held], now: Timestamp) -> Self {
        Self {
            step: Some("none".to_owned()),
            published: None,
            since: None,
            action: action.to_owned(),
            acting_since: now,
            text: "publish this record: it is time".to_owned(),
            to: "quarantine_test".to_owned(),
            lost: 12,
            name: "_dmarc.een.example".to_owned(),
            record: Some("v=DMARC1; p=quarantine; t=y; pct=0".to_owned()),
            not_before: None,
            holds: holds.to_vec(),
        }
    }
}

#[cfg(test)]
impl Held {
    /// By one stream.
    pub(crate) fn of(code: &str, now: Timestamp) -> Self {
        Self {
            code: code.to_owned(),
            text: "via:dienst.example sent 20 messages".to_owned(),
            command: Some("zegel report name een.example via:dienst.example".to_owned()),
            is_next: true,
            stream: Some("via:dienst.example".to_owned()),
            name: None,
            messages: 20,
            days: 7,
            since: now,
        }
    }
}
