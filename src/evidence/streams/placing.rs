//! Which stream a row is in: the rules. Pure.
//!
//! Each row is placed by itself first. What cannot be told of a row alone is then told by the
//! others: what a reporter means who leaves selectors out, what came by an unusual way, and what
//! is too small to be anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Class, Evidence, Line};
use crate::{
    evidence::{
        identity::{Checked, KnownBy, Signed},
        rollup::extra,
        suffix::{belong_together, organisational},
    },
    report::{Flags, Outcome, Override},
};

/// A stream of which nothing is aligned, that nobody has named and that is smaller than this, is
/// not told apart from abuse.
const FEW_DAYS: usize = 3;
const FEW_MESSAGES: u64 = 20;
/// An SPF domain with one in so many of a stream's messages is a usual one of it.
const USUAL: u64 = 10;

/// Which stream a line is in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Placed {
    /// The rule that says so.
    pub(super) rule: u8,
    /// The stream.
    pub(super) id: String,
}

impl Placed {
    pub(super) fn new(rule: u8, id: impl Into<String>) -> Self {
        Self {
            rule,
            id: id.into(),
        }
    }

    /// What a stream of this rule is before anybody has named it.
    pub(super) fn class(&self) -> Class {
        match self.rule {
            1 => Class::Ours,
            2 => Class::List,
            3 | 4 => Class::Forwarding,
            5..=8 => Class::Unknown,
            _ => Class::Abuse,
        }
    }
}

/// The place of each line. `ours` are our selectors with their domains.
pub(super) fn place(evidence: &Evidence, ours: &BTreeSet<(String, String)>) -> Vec<Placed> {
    let known = evidence
        .names
        .iter()
        .filter(|(_, name)| name.class == Class::Known);
    let sorter = Sorter {
        evidence,
        ours,
        known: known.map(|(id, _)| id.as_str()).collect(),
    };
    let mut placed: Vec<Placed> = evidence
        .lines
        .iter()
        .map(|line| sorter.place(line))
        .collect();
    let unselected = sorter.find_unselected(&placed);
    sorter.find_forwarded(&mut placed);
    for (line, found) in unselected {
        if let Some(place) = placed.get_mut(line) {
            *place = found;
        }
    }
    sorter.find_abuse(&mut placed);
    placed
}

struct Sorter<'a> {
    evidence: &'a Evidence,
    ours: &'a BTreeSet<(String, String)>,
    /// The ids of the streams that the operator knows.
    known: HashSet<&'a str>,
}

impl<'a> Sorter<'a> {
    fn identity(&self, line: &Line) -> &'a KnownBy {
        &self.evidence.identities[line.identity]
    }

    /// The first rule that fits.
    fn place(&self, line: &Line) -> Placed {
        let identity = self.identity(line);
        if line.flags & extra::RELAY != 0 {
            return Placed::new(1, "ours");
        }
        let from = line.from.as_str();
        let others = || passing(identity).filter(|one| !belong_together(&one.domain, from));
        // Whoever sends on may have signed too: what the operator knows comes first.
        let other = others()
            .find(|signed| self.known.contains(&*via(signed)))
            .or_else(|| others().next());
        let fails = identity
            .signatures
            .iter()
            .any(|signed| signed.outcome != Outcome::Pass && self.is_legitimate(signed, from));
        let spf = passed(identity);
        let by_list = Flags::from_bits(line.flags).has(Override::MailingList);
        if by_list || (fails && other.is_some()) {
            let by = other
                .map(|signed| &signed.domain)
                .or(spf.map(|checked| &checked.domain));
            let by = by.map_or("", |domain| organisational(domain));
            return Placed::new(2, format!("list:{by}"));
        }
        // Also of a name below the domain that signs.
        if passing(identity).any(|one| belong_together(&one.domain, from) && self.is_ours(one)) {
            return Placed::new(3, "forwarding");
        }
        if fails && passing(identity).next().is_none() {
            return Placed::new(4, "forwarding");
        }
        by_proof(line, identity, other, spf)
    }

    fn is_ours(&self, signed: &Signed) -> bool {
        // Without a selector nobody can tell by the signature alone.
        !signed.selector.is_empty()
            && self
                .ours
                .contains(&(signed.domain.clone(), signed.selector.clone()))
    }

    /// Whether a signature is one of ours, or of a stream that the operator knows.
    fn is_legitimate(&self, signed: &Signed, from: &str) -> bool {
        if signed.domain.is_empty() {
            return false;
        }
        let stream = if belong_together(&signed.domain, from) {
            by_selector(signed)
        } else {
            via(signed)
        };
        self.is_ours(signed) || self.known.contains(stream.as_str())
    }

    /// Of a stream that is known by its signature, what comes by an unusual way was forwarded.
    fn find_forwarded(&self, placed: &mut [Placed]) {
        let mut ways = Ways::default();
        for (line, placed) in self.evidence.lines.iter().zip(&*placed) {
            if let (7, Some(way)) = (placed.rule, passed_way(self.identity(line))) {
                ways.add(&placed.id, way, line.messages);
            }
        }
        let usual = ways.usual();
        for (line, placed) in self.evidence.lines.iter().zip(placed) {
            if placed.rule != 7 || Flags::from_bits(line.flags).spf_aligned() {
                continue;
            }
            if let Some(way) = passed_way(self.identity(line))
                && !usual.contains(&(placed.id.clone(), way.to_owned()))
            {
                *placed = Placed::new(3, "forwarding");
            }
        }
    }

    /// The lines of reporters who leave selectors out, as far as what other reporters say tells
    /// more of them: the number of the line, and its place.
    fn find_unselected(&self, placed: &[Placed]) -> Vec<(usize, Placed)> {
        let others = Others::new(self, placed);
        let lines = self.evidence.lines.iter().zip(placed).enumerate();
        lines
            .filter_map(|(number, (line, placed))| {
                let identity = self.identity(line);
                let found = match placed.rule {
                    7 => {
                        let signed = aligned(identity, &line.from)?;
                        (signed.selector.is_empty())
                            .then(|| others.signed(identity, &signed.domain))?
                    }
                    5 | 6 if others.breaks(identity) => others.broken(identity, placed),
                    _ => None,
                };
                Some((number, found?))
            })
            .collect()
    }

    /// Small streams of which nothing is aligned, and that nobody has named.
    fn find_abuse(&self, placed: &mut [Placed]) {
        // A stream may be known by several rules.
        let mut seen: HashMap<&str, (BTreeSet<i32>, u64, bool)> = HashMap::new();
        for (line, placed) in self.evidence.lines.iter().zip(&*placed) {
            let (days, messages, aligned) = seen.entry(&placed.id).or_default();
            days.insert(line.day);
            *messages += line.messages;
            *aligned |= Flags::from_bits(line.flags).passed();
        }
        let small: HashSet<String> = seen
            .into_iter()
            .filter(|(id, (days, messages, aligned))| {
                let is_small = days.len() < FEW_DAYS || *messages < FEW_MESSAGES;
                is_small && !aligned && !self.evidence.names.contains_key(*id)
            })
            .map(|(id, _)| id.to_owned())
            .collect();
        for placed in placed {
            if (5..=8).contains(&placed.rule) && small.contains(&placed.id) {
                *placed = Placed::new(9, "abuse");
            }
        }
    }
}

/// One fits, or several do and nobody knows which; and our own may have to be left out.
const FITTING: usize = 3;

/// What the rows of reporters who name selectors say about those that have none.
struct Others<'a> {
    /// Domains that sign for us, or for a stream that the operator knows.
    legitimate: HashSet<&'a str>,
    /// Signing domains with a selector that is not ours.
    foreign: HashSet<&'a str>,
    /// By the signing domain and an SPF domain: the streams of rule 7 for which that is usual, and
    /// our relays, which are `ours` with the signing domain behind it. The first [`FITTING`] of
    /// them: more do not fit better.
    fitting: HashMap<(&'a str, String), Vec<String>>,
    /// The usual SPF domains of what a domain signs, of reporters without selectors.
    unselected: HashSet<(String, String)>,
    /// The SPF domains of those who forward.
    forwarders: HashSet<&'a str>,
    /// The domains of mailing lists.
    lists: HashSet<&'a str>,
}

impl<'a> Others<'a> {
    fn new(sorter: &Sorter<'a>, placed: &'a [Placed]) -> Self {
        let known = sorter.known.iter();
        let known = known.filter_map(|id| Some(id.strip_prefix("dkim:")?.split_once('/')?.0));
        let ours = sorter.ours.iter().map(|(domain, _)| domain.as_str());
        let mut others = Self {
            legitimate: ours.chain(known).collect(),
            foreign: HashSet::new(),
            fitting: HashMap::new(),
            unselected: HashSet::new(),
            forwarders: HashSet::new(),
            lists: HashSet::new(),
        };
        let (mut ways, mut unselected) = (Ways::default(), Ways::default());
        let mut streams: BTreeMap<String, &str> = BTreeMap::new();
        for (line, placed) in sorter.evidence.lines.iter().zip(placed) {
            let identity = sorter.identity(line);
            let way = passed_way(identity);
            match placed.rule {
                2 => drop(others.lists.insert(placed.id.trim_start_matches("list:"))),
                3 | 4 => {
                    let foreign = way.filter(|way| !belong_together(way, &line.from));
                    others.forwarders.extend(foreign);
                }
                _ => {}
            }
            for signed in passing(identity) {
                if !belong_together(&signed.domain, &line.from) {
                    continue;
                }
                let domain = signed.domain.as_str();
                if signed.selector.is_empty() {
                    unselected.add(domain, way.unwrap_or_default(), line.messages);
                    continue;
                }
                let id = match placed.rule {
                    1 if sorter.is_ours(signed) => our_stream(domain),
                    7 => placed.id.clone(),
                    _ => continue,
                };
                if placed.rule == 7 {
                    others.foreign.insert(domain);
                }
                if let Some(way) = way {
                    ways.add(&id, way, line.messages);
                }
                streams.insert(id, domain);
            }
        }
        others.fitting = fitting(&streams, ways);
        others.unselected = unselected.usual();
        others
    }

    /// Whose a passing signature of this domain is.
    fn signed(&self, identity: &KnownBy, domain: &str) -> Option<Placed> {
        let forwarding = || Placed::new(3, "forwarding");
        if self.legitimate.contains(domain) && !self.foreign.contains(domain) {
            // Nobody but us signs with it.
            return Some(forwarding());
        }
        let way = checked_way(identity).unwrap_or_default();
        let passes = passed_way(identity).is_some();
        let fitting = self.fitting.get(&(domain, way.to_owned()));
        let mut fitting = fitting
            .into_iter()
            .flatten()
            // Nobody who forwards is in our SPF record.
            .filter(|id| !passes || **id != our_stream(domain));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) if *id == our_stream(domain) => Some(forwarding()),
            (Some(id), None) => Some(Placed::new(7, id.clone())),
            // Each of them sends from where SPF passes: whichever it is, somebody sent it on.
            (Some(_), Some(_)) if !passes => Some(forwarding()),
            (None, _) if passes && !belong_together(way, domain) => {
                let usual = (domain.to_owned(), way.to_owned());
                (!self.unselected.contains(&usual)).then(forwarding)
            }
            _ => None,
        }
    }

    /// Whether a signature without a selector fails that may be one of ours.
    fn breaks(&self, identity: &KnownBy) -> bool {
        identity.signatures.iter().any(|signed| {
            signed.outcome != Outcome::Pass
                && signed.selector.is_empty()
                && self.legitimate.contains(&*signed.domain)
        })
    }

    /// The same list, or the same forwarder, as in the reports of others.
    fn broken(&self, identity: &KnownBy, placed: &Placed) -> Option<Placed> {
        let by = placed.id.trim_start_matches("via:");
        if placed.rule == 5 {
            let is_list = self.lists.contains(by);
            return is_list.then(|| Placed::new(2, format!("list:{by}")));
        }
        let way = passed_way(identity)?;
        (self.forwarders.contains(way)).then(|| Placed::new(4, "forwarding"))
    }
}

/// By the signing domain of a stream and an SPF domain that is usual for it, the first of them.
fn fitting<'a>(
    streams: &BTreeMap<String, &'a str>,
    ways: Ways<'_>,
) -> HashMap<(&'a str, String), Vec<String>> {
    let mut usual: HashMap<String, BTreeSet<String>> = HashMap::new();
    for (id, way) in ways.usual() {
        usual.entry(id).or_default().insert(way);
    }
    let mut found: HashMap<(&str, String), Vec<String>> = HashMap::new();
    for (id, domain) in streams {
        for way in usual.remove(id).into_iter().flatten() {
            let fitting = found.entry((*domain, way)).or_default();
            if fitting.len() < FITTING {
                fitting.push(id.clone());
            }
        }
    }
    found
}

/// By which SPF domains the messages of each stream come.
#[derive(Default)]
struct Ways<'a>(HashMap<String, HashMap<&'a str, u64>>);

impl<'a> Ways<'a> {
    fn add(&mut self, id: &str, way: &'a str, messages: u64) {
        let ways = match self.0.get_mut(id) {
            Some(ways) => ways,
            None => self.0.entry(id.to_owned()).or_default(),
        };
        *ways.entry(way).or_default() += messages;
    }

    fn usual(self) -> HashSet<(String, String)> {
        let mut usual = HashSet::new();
        for (id, ways) in self.0 {
            let all: u64 = ways.values().sum();
            let large = ways
                .into_iter()
                .filter(|(_, messages)| messages.saturating_mul(USUAL) >= all);
            usual.extend(large.map(|(way, _)| (id.clone(), way.to_owned())));
        }
        usual
    }
}

/// Rules 5 to 9: who the messages prove to be from. `other` is a passing signature of another
/// organisation, `spf` a check that passed.
fn by_proof(
    line: &Line,
    identity: &KnownBy,
    other: Option<&Signed>,
    spf: Option<&Checked>,
) -> Placed {
    let from = line.from.as_str();
    if let Some(signed) = other {
        return Placed::new(5, via(signed));
    }
    match (aligned(identity, from), spf) {
        (None, Some(checked)) if !belong_together(&checked.domain, from) => {
            Placed::new(6, format!("via:{}", organisational(&checked.domain)))
        }
        // Some reporters leave the selector out.
        (Some(signed), _) => Placed::new(7, by_selector(signed)),
        (None, _) if Flags::from_bits(line.flags).spf_aligned() => {
            let width = if line.network.contains(':') { 48 } else { 24 };
            Placed::new(8, format!("net:{}/{width}", line.network))
        }
        (None, _) => Placed::new(9, "abuse"),
    }
}

fn passing(identity: &KnownBy) -> impl Iterator<Item = &Signed> {
    let signatures = identity.signatures.iter();
    signatures.filter(|signed| signed.outcome == Outcome::Pass)
}

fn aligned<'a>(identity: &'a KnownBy, from: &str) -> Option<&'a Signed> {
    passing(identity).find(|signed| belong_together(&signed.domain, from))
}

fn passed(identity: &KnownBy) -> Option<&Checked> {
    let mut checks = identity.spf.iter();
    checks.find(|checked| checked.outcome == Outcome::Pass && !checked.domain.is_empty())
}

/// By whom it came, of an SPF check that passed.
fn passed_way(identity: &KnownBy) -> Option<&str> {
    passed(identity).map(|checked| organisational(&checked.domain))
}

/// By whom it came, or would have if nobody had sent it on.
fn checked_way(identity: &KnownBy) -> Option<&str> {
    let first = identity
        .spf
        .iter()
        .find(|checked| !checked.domain.is_empty());
    passed(identity)
        .or(first)
        .map(|checked| organisational(&checked.domain))
}

fn via(signed: &Signed) -> String {
    format!("via:{}", organisational(&signed.domain))
}

fn by_selector(signed: &Signed) -> String {
    format!("dkim:{}/{}", signed.domain, signed.selector)
}

/// No id of a stream: what our relays sign with this domain.
fn our_stream(domain: &str) -> String {
    format!("ours {domain}")
}
