//! Selectors: what reports say of each key that signs in the name of a domain. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    identity::Signed,
    rollup::extra,
    streams::{Evidence, NEW, Stream, Window},
    suffix::organisational,
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
    let signed = signatures(evidence);
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

/// What each identity of the evidence is signed with, and whether that passes. A message may have
/// several signatures of one selector: it counts once.
fn signatures(evidence: &Evidence) -> Vec<BTreeMap<(&str, &str), bool>> {
    let known = evidence.identities.iter();
    known
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
        .collect()
}

/// Messages of one day that passed with a selector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// By reporters who are believed: see [`Evidence::newcomers`].
    pub messages: u64,
    /// By reporters whose first report came in four weeks before that day, or earlier. What is
    /// said of one who began to report is doubted even where all others did so too.
    pub settled: u64,
}

/// By domain and selector, and by day in days since 1970.
pub type PassedByDay = BTreeMap<(String, String), BTreeMap<i32, Passed>>;

/// How many messages of each of these days passed with selectors of ours. What is too long to tell
/// its days is left out.
pub fn passed(
    evidence: &Evidence,
    window: Window,
    ours: &BTreeSet<(String, String)>,
) -> PassedByDay {
    let signed = signatures(evidence);
    let newcomers = evidence.newcomers();
    let mut first: HashMap<&str, i32> = HashMap::new();
    for (reporter, day) in &evidence.first_received {
        let known = first.entry(organisational(reporter)).or_insert(*day);
        *known = (*day).min(*known);
    }
    let is_settled = |reporter: &str, day: i32| {
        let first = first.get(organisational(reporter));
        first.is_some_and(|first| day >= first.saturating_add(NEW))
    };
    let mut passed: BTreeMap<(&str, &str), BTreeMap<i32, Passed>> = BTreeMap::new();
    for line in evidence.lines.iter().filter(|line| window.has(line.day)) {
        let (reporter, day) = (&*line.reporter, line.day);
        if line.flags & extra::LONG != 0 || newcomers.doubts(reporter, day) {
            continue;
        }
        let is_settled = is_settled(reporter, day);
        for (name, passes) in signed.get(line.identity).into_iter().flatten() {
            if !passes {
                continue;
            }
            let of_day = passed.entry(*name).or_default().entry(day).or_default();
            of_day.messages = of_day.messages.saturating_add(line.messages);
            if is_settled {
                of_day.settled = of_day.settled.saturating_add(line.messages);
            }
        }
    }
    passed
        .into_iter()
        .map(|((domain, selector), days)| ((domain.to_owned(), selector.to_owned()), days))
        .filter(|(name, _)| ours.contains(name))
        .collect()
}

/// Keys in a zone of ours that sign and that nobody knows, each by domain and selector, with the
/// stream in which it was seen: not ours, and not of a stream that was named. A signature of
/// somebody else beside it hides nothing.
pub fn unknown_selectors(
    policy_domain: &str,
    evidence: &Evidence,
    streams: &[Stream],
    ours: &BTreeSet<(String, String)>,
) -> BTreeMap<(String, String), String> {
    let doubtful: BTreeSet<&str> = (streams.iter())
        .filter(|stream| stream.changed.is_some())
        .map(|stream| stream.id.as_str())
        .collect();
    let is_settled = |id: &str| evidence.names.contains_key(id) && !doubtful.contains(id);
    let is_unknown = |stream: &Stream, signed: &Signed| {
        let rest = signed.domain.strip_suffix(policy_domain);
        let is_of_zone = rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let id = format!("dkim:{}/{}", signed.domain, signed.selector);
        signed.outcome == Outcome::Pass
            && (is_of_zone || (stream.is_unknown_selector() && stream.id == id))
            // A reporter who leaves the selector out says nothing of the key.
            && !signed.selector.is_empty()
            && !ours.contains(&(signed.domain.clone(), signed.selector.clone()))
            && !is_settled(&id)
    };
    let others = streams.iter().filter(|stream| !is_settled(&stream.id));
    let mut unknown = BTreeMap::new();
    for stream in others {
        let signed = stream.dkim.keys();
        for signed in signed.filter(|signed| is_unknown(stream, signed)) {
            let key = (signed.domain.clone(), signed.selector.clone());
            unknown.entry(key).or_insert_with(|| stream.id.clone());
        }
    }
    unknown
}
