//! What an observation says of a key. Pure.

use std::time::Duration;

use super::{
    finding::{Code, Finding},
    observation::{Observation, Outcome},
    report::Report,
    resolver::Text,
    view::{View, listed, view},
};
use crate::{
    dkim::{
        key::PublicKey,
        record::{Record, RecordError},
    },
    keys::Sight,
    words::Severity,
};

/// How far the key can be seen, and everything that is to be said about its record.
pub fn judge(observation: &Observation, key: &PublicKey) -> (Sight, Vec<Finding>) {
    let mut report = Report::new(observation, key.record());
    let mut views = Vec::new();
    for link in &observation.links {
        if let Err(error) = &link.zone {
            views.push(View::Unknown);
            report.zone_not_found(link, error);
        }
        report.delegation(link);
        for answer in &link.answers {
            let view = view(link, answer, key);
            report.answer(observation, link, answer, &view);
            views.push(view);
        }
    }
    if observation.endless {
        views.push(View::Wrong(Code::AliasLoop, String::new()));
        report.alias_loop(observation);
    }
    report.disagreement(observation, key);
    let sight = sight(observation, &views);
    let sight = report.resolvers(observation, key, sight);
    (sight, report.findings)
}

/// The findings about a name whose selector is in no keyring: a key that somebody left, or
/// that somebody else signs with. The DNS cannot list selectors: only names that are asked
/// for are found.
pub fn judge_unknown(observation: &Observation) -> Vec<Finding> {
    let mut report = Report::new(observation, "no record".to_owned());
    for link in &observation.links {
        for answer in &link.answers {
            if let Outcome::Texts { texts, .. } = &answer.outcome {
                let is_revoked = |text: &Text| {
                    matches!(Record::parse(&text.joined()), Err(RecordError::Revoked))
                };
                if !texts.iter().all(is_revoked) {
                    let code = Code::UnknownSelector;
                    report.add(code, Severity::Warning, link, Some(answer), listed(texts));
                }
            }
        }
    }
    report.findings
}

/// Whether a server shows the record of a key, or of one that was revoked, at this name.
pub fn holds_record(observation: &Observation) -> bool {
    let is_record = |text: &Text| {
        matches!(
            Record::parse(&text.joined()),
            Ok(_) | Err(RecordError::Revoked)
        )
    };
    let mut answers = observation.links.iter().flat_map(|link| &link.answers);
    answers.any(|answer| match &answer.outcome {
        Outcome::Texts { texts, .. } => texts.iter().any(is_record),
        _ => false,
    })
}

/// What all views together say.
fn sight(observation: &Observation, views: &[View]) -> Sight {
    let (mut ours, mut revoked, mut absent, mut wrong) = (0, 0, 0, 0);
    let mut longest = Duration::ZERO;
    for view in views {
        match view {
            View::Ours { ttl, .. } => {
                ours += 1;
                longest = longest.max(*ttl);
            }
            View::Revoked { ttl } => {
                revoked += 1;
                longest = longest.max(*ttl);
            }
            View::Elsewhere { ttl } => longest = longest.max(*ttl),
            View::Absent => absent += 1,
            View::Wrong(..) => wrong += 1,
            View::Unknown => return Sight::Unknown,
            View::Ignored => {}
        }
    }
    let zones = observation
        .links
        .iter()
        .filter_map(|link| link.zone.as_ref().ok());
    let negative_ttl = zones
        .map(|zone| zone.negative_ttl)
        .max()
        .unwrap_or_default();
    match (ours, revoked, absent, wrong) {
        (0, 0, 0, 0) => Sight::Unknown,
        (_, 0, 0, 0) => Sight::Everywhere {
            ttl: longest,
            negative_ttl,
        },
        (0, _, 0, 0) => Sight::RevokedEverywhere,
        (0, 0, _, 0) => Sight::Absent { negative_ttl },
        (_, _, _, 0) => Sight::Partly,
        _ => Sight::Wrong,
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
