//! What of DMARC reports somebody should look at.

use super::{ALERTS, duration};
use crate::{
    cli::judging::Judgements,
    observe::status::{ReplayedSelector, ReportFigures, UnknownSelectors, WeakerSelector},
};

/// Reports come every day, from some receivers every week. As in the alert.
const REPORTS_ARE_MISSING: u64 = 7 * 24 * 3600;
/// Where none came for so long, none are expected any more: an archive was read once.
const REPORTS_HAVE_ENDED: u64 = 60 * 24 * 3600;
/// The words of a judgement for the same.
const UNKNOWN: &str = "dkim.unknown_selector";
const REPLAY: &str = "dkim.replay";
/// So many domains are named in one line.
const NAMED: usize = 5;

/// Of keys that sign in our names by DMARC reports, and that nobody knows.
fn of_unknown_selectors(unknown: &[&UnknownSelectors], attention: &mut Vec<String>) {
    let all: u64 = unknown.iter().map(|one| one.number).sum();
    let named = unknown.iter().take(NAMED).map(|one| one.domain.as_str());
    let named: Vec<&str> = named.collect();
    if all == 0 {
        return;
    }
    let more = match unknown.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    attention.push(format!(
        "somebody else has a key in the zone of {}{more}, by DMARC reports (unknown selectors: \
         {all}): see ZegelUnknownSelector in {ALERTS}",
        named.join(", ")
    ));
}

/// Of new keys whose mail passes less often than that of the ones before.
fn of_weaker_selectors(weaker: &[WeakerSelector], attention: &mut Vec<String>) {
    for one in weaker.iter().take(NAMED) {
        let WeakerSelector {
            domain,
            selector,
            before,
            ..
        } = one;
        let new = percent(one.passed, one.messages);
        let old = percent(one.before_passed, one.before_messages);
        attention.push(format!(
            "mail of {domain} with the new key {selector} passes less often ({new} of {}) than with \
             {before} ({old} of {}), by DMARC reports: see ZegelNewKeyPassesLess in {ALERTS}",
            one.messages, one.before_messages
        ));
    }
    if weaker.len() > NAMED {
        let more = weaker.len() - NAMED;
        attention.push(format!(
            "{more} more new keys pass less often: see ZegelNewKeyPassesLess in {ALERTS}"
        ));
    }
}

/// Of keys of ours with which far more mail passes than was signed.
fn of_replayed_selectors(replayed: &[&ReplayedSelector], attention: &mut Vec<String>) {
    for one in replayed.iter().take(NAMED) {
        attention.push(format!(
            "more mail passes with the key {} of {} than was signed with it ({} messages in a week, \
             by DMARC reports, and {} signatures): see ZegelDkimReplay in {ALERTS}",
            one.selector, one.domain, one.passed, one.signed
        ));
    }
    if replayed.len() > NAMED {
        let more = replayed.len() - NAMED;
        attention.push(format!(
            "more mail passes than was signed with {more} more keys: see ZegelDkimReplay in {ALERTS}"
        ));
    }
}

/// Rounded down.
fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// Whether how an organisation stands tells it of a domain.
fn is_told(judgements: &Judgements, what: &str, organisation: &str, domain: &str) -> bool {
    let told = judgements.get(organisation).into_iter();
    let mut matters = told.flat_map(|told| &told.matters);
    matters.any(|one| one.what == what && one.domain().is_some_and(|one| one.as_str() == domain))
}

/// Of those who read DMARC reports; what a judgement tells is not said again.
pub(super) fn of_reports(
    reports: &ReportFigures,
    judgements: &Judgements,
    now: u64,
    attention: &mut Vec<String>,
) {
    if let Some(problem) = &reports.problem {
        attention.push(format!(
            "the keeper can't read the store of DMARC reports: {problem}; see [reports] state in \
             zegel.toml: the user of the keeper has to be in the group of that folder"
        ));
    }
    let is_new = |what: &str, organisation: &str, domain: &str| {
        !is_told(judgements, what, organisation, domain)
    };
    let unknown = reports.unknown_selectors.iter();
    let unknown = unknown.filter(|one| is_new(UNKNOWN, &one.organisation, &one.domain));
    of_unknown_selectors(&unknown.collect::<Vec<_>>(), attention);
    let replayed = reports.replayed_selectors.iter();
    let replayed = replayed.filter(|one| is_new(REPLAY, &one.organisation, &one.domain));
    of_replayed_selectors(&replayed.collect::<Vec<_>>(), attention);
    of_weaker_selectors(&reports.weaker_selectors, attention);
    let missing = reports.latest.iter().filter(|one| {
        let age = now.saturating_sub(one.end);
        (REPORTS_ARE_MISSING..REPORTS_HAVE_ENDED).contains(&age)
    });
    let mut missing: Vec<&str> = missing.map(|one| one.domain.as_str()).collect();
    if missing.is_empty() {
        return;
    }
    let number = missing.len();
    missing.truncate(NAMED);
    let more = match number - missing.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    attention.push(format!(
        "no DMARC report for {} about {}{more}: see ZegelReportsMissing in {ALERTS}",
        duration(REPORTS_ARE_MISSING),
        missing.join(", ")
    ));
}
