//! What the page shows of streams and selectors: the largest of each, so that no report makes a file
//! grow without end.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    evidence::{
        selectors::Seen,
        streams::{Counted, Stream, Window},
    },
    keystore::{
        Climbed, Largest, ReplaySeen, SelectorSeen, Senders, SendingStream, StrangeKey, StreamPage,
        StreamPages,
    },
    ladder::facts::Replay,
    names::DomainName,
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
/// What was so the time before is so since then.
pub(super) fn replays(
    found: &BTreeMap<String, Replay>,
    before: Option<&Climbed>,
    now: Timestamp,
) -> Vec<ReplaySeen> {
    let known = |selector: &str| {
        let mut known = before.into_iter().flat_map(|before| &before.replays);
        known.find(|one| one.selector.as_str() == selector)
    };
    let told = found.iter().filter_map(|(selector, replay)| {
        let since = known(selector).and_then(|known| known.since);
        Some(ReplaySeen {
            selector: selector.parse().ok()?,
            since: since.or(Some(now)),
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

/// Keys that nobody knows, one for each selector, so that each is told once. What was so the time
/// before is so since then.
pub(super) fn strange_keys(
    found: &BTreeMap<(String, String), String>,
    under: &DomainName,
    before: Option<&Climbed>,
    now: Timestamp,
) -> Vec<StrangeKey> {
    let mut told: BTreeMap<&str, StrangeKey> = BTreeMap::new();
    for ((domain, selector), stream) in found {
        let mut known = before.into_iter().flat_map(|one| &one.unknown_selectors);
        let known = known.find(|one| one.selector == *selector);
        let key = || StrangeKey {
            domain: domain.clone(),
            selector: selector.clone(),
            stream: stream.clone(),
            under: under.clone(),
            since: known.map_or(now, |known| known.since),
        };
        told.entry(selector).or_insert_with(key);
    }
    // Those that are known stay, so that none comes and goes.
    let mut told: Vec<StrangeKey> = told.into_values().collect();
    told.sort_by_key(|one| one.since);
    told.truncate(MOST);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_again_is_so_since_it_was_found_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let under: DomainName = "een.example".parse().unwrap();
        let key = |domain: &str, selector: &str| {
            let name = (domain.to_owned(), selector.to_owned());
            (name, format!("dkim:{domain}/{selector}"))
        };
        let replay = Replay {
            from: 1,
            to: 2,
            passed: 9_000,
            signed: 10,
        };
        let told = |found: Vec<_>, before: Option<&Climbed>, now: i64| Climbed {
            found: at(now),
            climbing: None,
            unknown_selectors: strange_keys(&found.into_iter().collect(), &under, before, at(now)),
            replays: replays(&[("s1".to_owned(), replay)].into(), before, at(now)),
        };
        let since = |told: &Climbed| -> Vec<(String, i64)> {
            let keys = told.unknown_selectors.iter();
            keys.map(|one| (one.selector.clone(), one.since.as_second()))
                .collect()
        };
        let first = told(vec![key("een.example", "b")], None, 1);
        // The same selector in a name below is told once.
        let found = vec![
            key("een.example", "a"),
            key("een.example", "b"),
            key("sub.een.example", "b"),
        ];
        let second = told(found, Some(&first), 2);
        assert_eq!(since(&second), [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert_eq!(second.replays[0].since, Some(at(1)));
        // However many are made up, those that are known stay.
        let many = (0..100).map(|number| key("een.example", &format!("0{number}")));
        let found = many.chain([key("een.example", "a"), key("een.example", "b")]);
        let third = told(found.collect(), Some(&second), 3);
        assert_eq!(third.unknown_selectors.len(), MOST);
        assert_eq!(since(&third)[..2], since(&second)[..]);
    }
}
