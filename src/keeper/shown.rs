//! What the page shows of streams and selectors: the largest of each, so that no report makes a file
//! grow without end.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    evidence::{
        selectors::Seen,
        streams::{Counted, Stream, Window},
    },
    keystore::{
        Largest, ReplaySeen, SelectorSeen, Senders, SendingStream, StreamPage, StreamPages,
    },
    ladder::facts::Replay,
    sending::date,
};

/// So many networks, signatures, names and reporters of a stream are shown of each.
const MOST: usize = 20;
/// So many selectors of a domain.
const SELECTORS: usize = 100;
/// So many streams of an organisation have a page.
const PAGES: usize = 200;

/// One stream in the list.
pub(super) fn shown(stream: &Stream) -> SendingStream {
    SendingStream {
        id: stream.id.clone(),
        class: stream.class.as_str().to_owned(),
        name: stream.label.clone(),
        messages: stream.messages,
        aligned: stream.aligned,
        rejected: stream.rejected,
        weeks: stream.weeks.clone(),
        has_page: true,
    }
}

/// All that is told of one.
pub(super) fn page(stream: &Stream, window: Window) -> StreamPage {
    let mut signatures: Counted<(String, String, String)> = Counted::new();
    for (signed, messages) in &stream.dkim {
        let result = signed.outcome.as_str().to_owned();
        let one = (signed.domain.clone(), signed.selector.clone(), result);
        *signatures.entry(one).or_default() += messages;
    }
    let mut checks: Counted<(String, String)> = Counted::new();
    for (checked, messages) in &stream.spf {
        let one = (checked.domain.clone(), checked.outcome.as_str().to_owned());
        *checks.entry(one).or_default() += messages;
    }
    let reporters = stream.reporters.iter().map(|one| (one.clone(), 0));
    StreamPage {
        stream: shown(stream),
        named: stream.named,
        changed: stream.changed.map(|changed| changed.to_string()),
        owner: stream.owner.clone(),
        rule: stream.rule,
        dkim_aligned: stream.dkim_aligned,
        spf_aligned: stream.spf_aligned,
        spf_only: stream.spf_only,
        quarantined: stream.quarantined,
        first_seen: date(stream.first_seen),
        last_seen: date(stream.last_seen),
        by_week: stream.by_week(window),
        networks: largest(stream.by_network()),
        signatures: largest(signatures),
        checks: largest(checks),
        names: largest(stream.header_from.clone()),
        reporters: largest(reporters.collect()),
    }
}

fn largest<Of: Ord>(counted: Counted<Of>) -> Largest<Of> {
    let mut most: Vec<(Of, u64)> = counted.into_iter().collect();
    most.sort_by_key(|(_, messages)| Reverse(*messages));
    let others = most.len().saturating_sub(MOST);
    most.truncate(MOST);
    Largest { most, others }
}

/// Of an organisation with many domains, each has fewer pages, and the last ones none.
pub(super) fn bound(senders: &mut Senders, pages: &mut StreamPages) {
    let each = (PAGES / pages.domains.len().max(1)).max(1);
    let mut left = PAGES;
    for (domain, streams) in &mut pages.domains {
        streams.truncate(each.min(left));
        left -= streams.len();
        let listed = senders.domains.get_mut(domain).into_iter();
        let listed = listed.flat_map(|found| &mut found.streams);
        for stream in listed.skip(streams.len()) {
            stream.has_page = false;
        }
    }
    pages.domains.retain(|_, streams| !streams.is_empty());
}

/// Our selectors that anybody reports, those with the most messages.
pub(super) fn selectors(seen: &BTreeMap<(String, String), Seen>) -> Vec<SelectorSeen> {
    let told = seen.iter().filter_map(|((domain, selector), seen)| {
        Some(SelectorSeen {
            domain: domain.parse().ok()?,
            selector: selector.parse().ok()?,
            messages: seen.messages,
            passed: seen.passed,
            last_seen: seen.last_passed.map(date),
        })
    });
    let mut told: Vec<SelectorSeen> = told.collect();
    told.sort_by_key(|one| Reverse(one.messages));
    told.truncate(SELECTORS);
    told
}

/// Our selectors with which far more mail passes than was signed, those with the most of it.
pub(super) fn replays(found: &BTreeMap<String, Replay>) -> Vec<ReplaySeen> {
    let told = found.iter().filter_map(|(selector, replay)| {
        Some(ReplaySeen {
            selector: selector.parse().ok()?,
            from: date(replay.from),
            to: date(replay.to),
            passed: replay.passed,
            signed: replay.signed,
        })
    });
    let mut told: Vec<ReplaySeen> = told.collect();
    told.sort_by_key(|one| Reverse(one.passed.saturating_sub(one.signed)));
    told.truncate(MOST);
    told
}
