//! Selectors: what reports say of each key that signs in the name of a domain. Pure.

use std::collections::BTreeMap;

use super::{
    rollup::extra,
    streams::{Evidence, Window},
};
use crate::report::Outcome;

/// What reports say of a selector of a domain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Messages with a signature of it.
    pub messages: u64,
    /// Of these, with one that passed.
    pub passed: u64,
    /// The first day on which one passed, in days since 1970; none if none did on a known day.
    pub first_passed: Option<i32>,
    /// The last.
    pub last_passed: Option<i32>,
}

/// Each domain and selector that signed messages of these days, with what came of it. What a
/// reporter gave no selector is left out. A report that is too long to tell its days counts its
/// messages, and gives no day.
pub fn selectors(evidence: &Evidence, window: Window) -> BTreeMap<(String, String), Seen> {
    // A message may have several signatures of one selector: it counts once.
    let known = evidence.identities.iter();
    let signed: Vec<BTreeMap<(&str, &str), bool>> = known
        .map(|identity| {
            let mut signed = BTreeMap::new();
            for one in &identity.signatures {
                if !one.selector.is_empty() {
                    *signed.entry((&*one.domain, &*one.selector)).or_default() |=
                        one.outcome == Outcome::Pass;
                }
            }
            signed
        })
        .collect();
    let mut seen: BTreeMap<(&str, &str), Seen> = BTreeMap::new();
    for line in evidence.lines.iter().filter(|line| window.has(line.day)) {
        for (name, passes) in signed.get(line.identity).into_iter().flatten() {
            let seen = seen.entry(*name).or_default();
            seen.messages = seen.messages.saturating_add(line.messages);
            if !passes {
                continue;
            }
            seen.passed = seen.passed.saturating_add(line.messages);
            if line.flags & extra::LONG == 0 {
                let day = line.day;
                seen.first_passed = Some(seen.first_passed.map_or(day, |first| first.min(day)));
                seen.last_passed = Some(seen.last_passed.map_or(day, |last| last.max(day)));
            }
        }
    }
    seen.into_iter()
        .map(|((domain, selector), seen)| ((domain.to_owned(), selector.to_owned()), seen))
        .collect()
}
