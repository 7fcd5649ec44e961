//! What one answer means for a key.

use std::time::Duration;

use super::{
    exchange::Silence,
    finding::{Code, shown},
    observation::{Link, Outcome, ServerAnswer},
    resolver::Text,
};
use crate::dkim::{
    key::PublicKey,
    partly_read::{PartlyRead, partly_read},
    record::{Record, RecordError},
};

/// What one answer means for the key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum View {
    Ours {
        ttl: Duration,
        testing: bool,
        blanks: bool,
    },
    Revoked {
        ttl: Duration,
    },
    Absent,
    Wrong(Code, String),
    /// The answer is that of the servers of another name.
    Elsewhere {
        ttl: Duration,
    },
    /// Who did not answer, and counts.
    Unknown,
    /// Who did not answer, and does not count.
    Ignored,
}

pub(super) fn view(link: &Link, answer: &ServerAnswer, key: &PublicKey) -> View {
    match &answer.outcome {
        Outcome::Texts { texts, ttl } => view_of_texts(texts, *ttl, key),
        Outcome::Alias { ttl, .. } => View::Elsewhere { ttl: *ttl },
        Outcome::NoSuchName | Outcome::NoText => View::Absent,
        outcome if does_not_count(link, answer, outcome) => View::Ignored,
        _ => View::Unknown,
    }
}

/// A server that nobody can ask, since its name has no address; and an address that this
/// host has no route to or does not ask, when the same server answered at another.
fn does_not_count(link: &Link, answer: &ServerAnswer, outcome: &Outcome) -> bool {
    let mut definite = link
        .answers
        .iter()
        .filter(|other| other.outcome.is_definite());
    match outcome {
        Outcome::NoAddress => definite.next().is_some(),
        Outcome::Silent(Silence::NoRoute | Silence::PassedOver(_)) => {
            definite.any(|other| other.server == answer.server)
        }
        _ => false,
    }
}

pub(super) fn view_of_texts(texts: &[Text], ttl: Duration, key: &PublicKey) -> View {
    let [text] = texts else {
        return View::Wrong(Code::TwoRecords, listed(texts));
    };
    let text = text.joined();
    match Record::parse(&text) {
        Ok(record) if record.public_key == *key => match partly_read(&text, key) {
            None => View::Ours {
                ttl,
                testing: record.flags.testing,
                blanks: value_of_p(&text).is_some_and(|value| value.contains(char::is_whitespace)),
            },
            // A receiver whose verifier does not read it takes our mail for forged.
            Some(reason) => {
                let code = match reason {
                    PartlyRead::Special('"' | '\\') => Code::Quoting,
                    _ => Code::PartlyRead,
                };
                View::Wrong(code, format!("{}: {reason}", shown(&text)))
            }
        },
        Ok(_) => View::Wrong(Code::Mismatch, shown(&text)),
        Err(RecordError::Revoked) => View::Revoked { ttl },
        Err(error) => {
            let code = code_of(&text, &error, key);
            View::Wrong(code, format!("{}: {error}", shown(&text)))
        }
    }
}

fn code_of(text: &str, error: &RecordError, key: &PublicKey) -> Code {
    match error {
        RecordError::TooShort { .. } | RecordError::TooLong { .. } | RecordError::LargeExponent => {
            Code::Weak
        }
        _ if text.contains(['"', '\\']) => Code::Quoting,
        _ if is_cut(text, &key.record()) => Code::Truncated,
        _ => Code::Malformed,
    }
}

/// Whether the key, or all of the record, is the begin of what it should be.
fn is_cut(text: &str, record: &str) -> bool {
    let is_begin = |seen: &str, whole: &str| {
        let (seen, whole) = (compact(seen), compact(whole));
        !seen.is_empty() && seen.len() < whole.len() && whole.starts_with(&seen)
    };
    match (value_of_p(text), value_of_p(record)) {
        (Some(seen), Some(whole)) => is_begin(seen, whole),
        _ => is_begin(text, record),
    }
}

fn compact(text: &str) -> String {
    text.split_whitespace().collect()
}

fn value_of_p(text: &str) -> Option<&str> {
    text.split(';').find_map(|tag| {
        let (name, value) = tag.split_once('=')?;
        (name.trim() == "p").then_some(value.trim())
    })
}

pub(super) fn listed(texts: &[Text]) -> String {
    const MOST: usize = 3;
    let shown: Vec<_> = texts
        .iter()
        .take(MOST)
        .map(|text| shown(&text.joined()))
        .collect();
    match texts.len() {
        1 => shown.concat(),
        count => format!("{count} records: {}", shown.join(" | ")),
    }
}
