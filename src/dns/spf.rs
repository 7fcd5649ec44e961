//! SPF records as text (RFC 7208 §4.5, §5): what allows our relays, and a record with that. Pure.

use std::net::IpAddr;

use crate::config::Settings;

/// What a customer's SPF record must have so that our relays may send.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RelayPart {
    /// What the operator has customers add, such as `include:_spf.relay.example`.
    pub terms: Option<String>,
    /// The addresses that the relays send from.
    pub addresses: Vec<IpAddr>,
}

impl RelayPart {
    /// As the operator has configured it.
    pub fn of(settings: &Settings) -> Self {
        Self {
            terms: settings.handover.spf.clone(),
            addresses: settings.keeper.relay_addresses.clone(),
        }
    }

    /// The terms to add, as they are written in a record; none if the operator has configured
    /// neither.
    pub fn written(&self) -> Option<String> {
        let addresses = || {
            let all: Vec<String> = self.addresses.iter().copied().map(mechanism).collect();
            (!all.is_empty()).then(|| all.join(" "))
        };
        self.terms.clone().or_else(addresses)
    }

    /// Whether a record has the operator's terms, or each address by itself.
    pub fn is_in(&self, record: &str) -> bool {
        let has = |term: &str| terms(record).any(|known| is_same(known, term));
        self.written().is_some_and(|part| part.split(' ').all(has))
    }
}

/// The record with these terms before its end. Those that it has already are not added again, a
/// weaker form of them goes, and what would deny them is put behind.
pub fn with_part(record: &str, part: &str) -> String {
    let wanted: Vec<&str> = part.split_ascii_whitespace().collect();
    let is_wanted = |term: &&str| wanted.iter().any(|one| is_same(term, one));
    let is_weaker = |term: &&str| {
        wanted
            .iter()
            .any(|one| mechanism_of(term) == mechanism_of(one))
    };
    let known: Vec<&str> = terms(record)
        .filter(|term| is_wanted(term) || !is_weaker(term))
        .collect();
    let (end, others): (Vec<&str>, Vec<&str>) = known.iter().partition(|term| ends(term));
    let lacks = |term: &&&str| !known.iter().any(|known| is_same(known, term));
    let new = wanted.iter().filter(lacks).copied();
    let all: Vec<&str> = others.into_iter().chain(new).chain(end).collect();
    format!("v=spf1 {}", all.join(" "))
}

/// A first record: others that send for the domain may not be known yet, so it fails softly.
pub fn first(part: &str) -> String {
    format!("v=spf1 {part} ~all")
}

/// One record that allows what these allow, and denies no more than any of them; none if one of
/// them leads elsewhere.
pub fn joined(records: &[String]) -> Option<String> {
    let (one, others) = records.split_first()?;
    let leads = |record: &String| terms(record).any(|term| !is_all(term) && ends(term));
    if records.iter().any(leads) {
        return None;
    }
    let join = |joined: String, other: &String| {
        let allowing: Vec<&str> = terms(other).filter(|term| !ends(term)).collect();
        with_part(&joined, &allowing.join(" "))
    };
    let joined = others.iter().fold(one.clone(), join);
    let softest = records.iter().flat_map(|record| terms(record));
    let softest = softest
        .filter(|term| is_all(term))
        .min_by_key(|term| hardness(term));
    let allowing = terms(&joined).filter(|term| !is_all(term)).chain(softest);
    Some(format!("v=spf1 {}", allowing.collect::<Vec<_>>().join(" ")))
}

/// What is so where nothing in a record matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// `-all` or `~all`
    Denies,
    /// `?all` or `+all`, or nothing is said.
    Open,
    /// The record of this domain tells, by `redirect=`.
    Elsewhere(String),
}

/// How a record ends; with an `all`, `redirect=` says nothing (RFC 7208 §6.1).
pub(super) fn end(record: &str) -> End {
    let redirect = || {
        terms(record).find_map(|term| {
            let (name, domain) = term.split_once('=')?;
            let domain = domain.trim_end_matches('.').to_ascii_lowercase();
            name.eq_ignore_ascii_case("redirect").then_some(domain)
        })
    };
    match terms(record).find(|term| is_all(term)) {
        Some(all) if all.starts_with(['-', '~']) => End::Denies,
        Some(_) => End::Open,
        None => redirect().map_or(End::Open, End::Elsewhere),
    }
}

/// How much an `all` denies.
fn hardness(all: &str) -> usize {
    let qualifiers = ['+', '?', '~', '-'];
    let first = all.chars().next();
    qualifiers
        .iter()
        .position(|one| Some(*one) == first)
        .unwrap_or_default()
}

/// What comes after the version.
fn terms(record: &str) -> impl Iterator<Item = &str> {
    record.split_ascii_whitespace().skip(1)
}

/// Whether it belongs at the end: `all`, and modifiers.
fn ends(term: &str) -> bool {
    let lower = term.to_ascii_lowercase();
    is_all(term) || lower.starts_with("redirect=") || lower.starts_with("exp=")
}

fn is_all(term: &str) -> bool {
    let term = term.trim_start_matches(['+', '-', '~', '?']);
    term.eq_ignore_ascii_case("all")
}

/// `+` is what stands there without it.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |term: &str| term.strip_prefix('+').unwrap_or(term).to_ascii_lowercase();
    plain(one) == plain(other)
}

/// A term without its qualifier.
fn mechanism_of(term: &str) -> String {
    term.trim_start_matches(['+', '-', '~', '?'])
        .to_ascii_lowercase()
}

/// An address as a term.
pub(super) fn mechanism(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("ip4:{address}"),
        IpAddr::V6(address) => format!("ip6:{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_comes_before_what_denies() {
        let part = "include:_spf.relay.example";
        for (before, after) in [
            (
                "v=spf1 mx -all",
                "v=spf1 mx include:_spf.relay.example -all",
            ),
            ("v=spf1", "v=spf1 include:_spf.relay.example"),
            (
                "v=spf1 redirect=_spf.host.example",
                "v=spf1 include:_spf.relay.example redirect=_spf.host.example",
            ),
            (
                "V=SPF1  a  ?ALL exp=why.example",
                "v=spf1 a include:_spf.relay.example ?ALL exp=why.example",
            ),
            // All before the rest: nothing behind it counts.
            (
                "v=spf1 -all mx",
                "v=spf1 mx include:_spf.relay.example -all",
            ),
            (
                "v=spf1 +INCLUDE:_spf.relay.example ~all",
                "v=spf1 +INCLUDE:_spf.relay.example ~all",
            ),
            // A weaker one first would be what counts.
            (
                "v=spf1 ?include:_spf.relay.example mx -all",
                "v=spf1 mx include:_spf.relay.example -all",
            ),
        ] {
            assert_eq!(with_part(before, part), after, "{before}");
        }
    }

    #[test]
    fn several_records_become_one_that_allows_as_much() {
        let joined = |records: &[&str]| {
            let records: Vec<String> = records.iter().map(|&one| one.to_owned()).collect();
            joined(&records)
        };
        let two = ["v=spf1 mx -all", "v=spf1 include:a.example mx ~all"];
        // In whatever order they come, and it denies no more than one of them did.
        assert_eq!(joined(&two).unwrap(), "v=spf1 mx include:a.example ~all");
        assert_eq!(
            joined(&[two[1], two[0]]).unwrap(),
            "v=spf1 include:a.example mx ~all"
        );
        assert_eq!(
            joined(&["v=spf1 mx -all", "v=spf1 redirect=b.example"]),
            None
        );
        assert_eq!(joined(&[]), None);
    }

    #[test]
    fn a_part_is_there_or_it_is_not() {
        let part = |terms: Option<&str>, addresses: &[&str]| RelayPart {
            terms: terms.map(str::to_owned),
            addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        };
        let included = part(Some("include:_spf.relay.example"), &["192.0.2.1"]);
        assert!(included.is_in("v=spf1 include:_SPF.relay.example -all"));
        assert!(!included.is_in("v=spf1 ip4:192.0.2.1 -all"));
        assert!(!included.is_in("v=spf1 -include:_spf.relay.example"));
        let addresses = part(None, &["192.0.2.1", "2001:db8::1"]);
        assert_eq!(
            addresses.written().unwrap(),
            "ip4:192.0.2.1 ip6:2001:db8::1"
        );
        assert!(!addresses.is_in("v=spf1 ip4:192.0.2.1 -all"));
        assert!(part(None, &[]).written().is_none());
        assert!(!part(None, &[]).is_in("v=spf1 -all"));
    }
}
