//! Streams: what each party sends in the name of a domain, as reports show it. Pure: from what is
//! kept, our selectors, the operator's words and the public suffix list.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use super::{
    identity::{Checked, KnownBy, Signed},
    rollup::{extra, network},
    suffix::{belong_together, organisational},
};
use crate::{
    report::{Disposition, Flags, Outcome, Override},
    words::words,
};

/// A stream of which nothing is aligned, that nobody has named and that is smaller than this, is
/// not told apart from abuse.
const FEW_DAYS: usize = 3;
const FEW_MESSAGES: u64 = 20;
/// An SPF domain with such a share of a stream's messages is a usual one of it.
const USUAL: u64 = 10;

words! {
    /// What a stream is.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Class {
        /// Sent by our relays.
        Ours = "ours",
        /// The operator knows the sender.
        Known = "known",
        /// Nobody has said who it is.
        Unknown = "unknown",
        /// Mailing lists.
        List = "list",
        /// Mail of a stream of ours or of a known one, sent on by someone else.
        Forwarding = "forwarding",
        /// Mail that nobody stands for.
        Abuse = "abuse",
    }
}

/// What the operator says of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    /// What it is: not [`Class::Ours`] or [`Class::Unknown`].
    pub class: Class,
    /// What it is called.
    pub label: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
}

/// Messages that agree in everything that is kept.
#[derive(Clone, Debug)]
pub struct Line {
    /// Days since 1970.
    pub day: i32,
    /// The From domain.
    pub from: String,
    /// Who reports.
    pub reporter: String,
    /// Place of what they are known by in [`Evidence::identities`].
    pub identity: usize,
    /// Flags of the row and of the rollup.
    pub flags: u16,
    /// The network, where nothing but SPF speaks for them; else empty.
    pub network: String,
    /// How many.
    pub messages: u64,
}

/// An address that sent messages of one identity.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Place in [`Evidence::identities`].
    pub identity: usize,
    /// The address.
    pub address: IpAddr,
    /// How many, ever.
    pub messages: u64,
}

/// What is kept about a domain.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What rows are known by.
    pub identities: Vec<KnownBy>,
    /// All that counts as evidence.
    pub lines: Vec<Line>,
    /// The addresses.
    pub sources: Vec<Source>,
    /// What the operator has said, by the id of the stream.
    pub names: BTreeMap<String, Name>,
}

/// Days, both of which count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// The first, in days since 1970.
    pub from: i32,
    /// The last.
    pub to: i32,
}

impl Window {
    fn has(self, day: i32) -> bool {
        (self.from..=self.to).contains(&day)
    }
}

/// Messages of a signature or an SPF check.
pub type Counted<Of> = BTreeMap<Of, u64>;

/// One stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Stable, so that a name sticks to it.
    pub id: String,
    /// What it is.
    pub class: Class,
    /// What the operator calls it.
    pub label: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// The rule that made it, 1 to 9.
    pub rule: u8,
    /// Messages in the window, as are the numbers below.
    pub messages: u64,
    /// Of these, with DKIM or SPF aligned.
    pub aligned: u64,
    /// With an aligned signature that passed.
    pub dkim_aligned: u64,
    /// With SPF passed and aligned.
    pub spf_aligned: u64,
    /// With SPF aligned and DKIM not.
    pub spf_only: u64,
    /// Set aside by receivers.
    pub quarantined: u64,
    /// Refused by receivers.
    pub rejected: u64,
    /// The first day that is kept of it.
    pub first_seen: i32,
    /// The last day.
    pub last_seen: i32,
    /// Days on which it was seen, ever.
    pub days: BTreeSet<i32>,
    /// Who reported it.
    pub reporters: BTreeSet<String>,
    /// The addresses, with their messages.
    pub sources: BTreeMap<IpAddr, u64>,
    /// The From domains.
    pub header_from: Counted<String>,
    /// The signatures.
    pub dkim: Counted<Signed>,
    /// The SPF checks.
    pub spf: Counted<Checked>,
    /// Messages by week of the window, the first first.
    pub weeks: Vec<u64>,
}

/// Which stream a line is in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Placed {
    rule: u8,
    id: String,
}

impl Placed {
    fn new(rule: u8, id: impl Into<String>) -> Self {
        Self {
            rule,
            id: id.into(),
        }
    }

    fn class(&self) -> Class {
        match self.rule {
            1 => Class::Ours,
            2 => Class::List,
            3 | 4 => Class::Forwarding,
            5..=8 => Class::Unknown,
            _ => Class::Abuse,
        }
    }
}

/// Sorts evidence into streams, the largest first.
///
/// `ours` are our selectors with their domains, in lower case; `relays` our addresses.
pub fn streams(
    evidence: &Evidence,
    ours: &BTreeSet<(String, String)>,
    relays: &[IpAddr],
    window: Window,
) -> Vec<Stream> {
    let sorter = Sorter {
        evidence,
        ours,
        known: evidence
            .names
            .iter()
            .filter(|(_, name)| name.class == Class::Known)
            .map(|(id, _)| id.as_str())
            .collect(),
    };
    let mut placed: Vec<Placed> = evidence
        .lines
        .iter()
        .map(|line| sorter.place(line))
        .collect();
    sorter.find_forwarded(&mut placed);
    sorter.find_abuse(&mut placed);
    let mut streams: BTreeMap<&str, Stream> = BTreeMap::new();
    for (line, placed) in evidence.lines.iter().zip(&placed) {
        let stream = streams
            .entry(&placed.id)
            .or_insert_with(|| Stream::new(placed, evidence.names.get(&placed.id), window));
        stream.add(line, &evidence.identities[line.identity], window);
    }
    sorter.add_sources(&placed, relays, &mut streams);
    let mut streams: Vec<Stream> = streams
        .into_values()
        .filter(|stream| stream.messages > 0)
        .collect();
    for stream in &mut streams {
        stream.believe();
    }
    streams.sort_by(|one, other| {
        other
            .messages
            .cmp(&one.messages)
            .then_with(|| one.id.cmp(&other.id))
    });
    streams
}

struct Sorter<'a> {
    evidence: &'a Evidence,
    ours: &'a BTreeSet<(String, String)>,
    /// The ids of the streams that the operator knows.
    known: HashSet<&'a str>,
}

impl Sorter<'_> {
    /// The first rule that fits.
    fn place(&self, line: &Line) -> Placed {
        let identity = &self.evidence.identities[line.identity];
        let flags = Flags::from_bits(line.flags);
        if line.flags & extra::RELAY != 0 {
            return Placed::new(1, "ours");
        }
        let from = line.from.as_str();
        let passing = |signed: &&Signed| signed.outcome == Outcome::Pass;
        let other = identity
            .signatures
            .iter()
            .filter(passing)
            .find(|signed| !belong_together(&signed.domain, from));
        let fails = identity
            .signatures
            .iter()
            .any(|signed| signed.outcome != Outcome::Pass && self.is_legitimate(signed, from));
        let spf = identity
            .spf
            .iter()
            .find(|checked| checked.outcome == Outcome::Pass && !checked.domain.is_empty());
        if flags.has(Override::MailingList) || (fails && other.is_some()) {
            let by = other
                .map(|signed| &signed.domain)
                .or(spf.map(|checked| &checked.domain));
            let by = by.map_or("", |domain| organisational(domain));
            return Placed::new(2, format!("list:{by}"));
        }
        if identity
            .signatures
            .iter()
            .filter(passing)
            .any(|signed| signed.domain == from && self.is_ours(signed))
        {
            return Placed::new(3, "forwarding");
        }
        if fails
            && !identity
                .signatures
                .iter()
                .any(|signed| signed.outcome == Outcome::Pass)
        {
            return Placed::new(4, "forwarding");
        }
        by_proof(line, identity, other, spf)
    }

    fn is_ours(&self, signed: &Signed) -> bool {
        // Without a selector nobody can tell.
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
            format!("dkim:{}/{}", signed.domain, signed.selector)
        } else {
            format!("via:{}", organisational(&signed.domain))
        };
        self.is_ours(signed) || self.known.contains(stream.as_str())
    }

    /// Of a stream that is known by its signature, what comes by an unusual way was forwarded.
    fn find_forwarded(&self, placed: &mut [Placed]) {
        let by = |line: &Line| {
            let spf = &self.evidence.identities[line.identity].spf;
            let passed = spf.iter().find(|checked| checked.outcome == Outcome::Pass);
            passed.map(|checked| organisational(&checked.domain).to_owned())
        };
        let mut ways: HashMap<&str, HashMap<String, u64>> = HashMap::new();
        for (line, placed) in self.evidence.lines.iter().zip(&*placed) {
            if let (7, Some(domain)) = (placed.rule, by(line)) {
                *ways
                    .entry(&placed.id)
                    .or_default()
                    .entry(domain)
                    .or_default() += line.messages;
            }
        }
        let usual: HashSet<(String, String)> = ways
            .iter()
            .flat_map(|(id, domains)| {
                let all: u64 = domains.values().sum();
                domains
                    .iter()
                    .filter(move |(_, messages)| **messages * USUAL >= all)
                    .map(|(domain, _)| ((*id).to_owned(), domain.clone()))
            })
            .collect();
        drop(ways);
        for (line, placed) in self.evidence.lines.iter().zip(placed) {
            if placed.rule != 7 || Flags::from_bits(line.flags).spf_aligned() {
                continue;
            }
            if let Some(domain) = by(line)
                && !usual.contains(&(placed.id.clone(), domain))
            {
                *placed = Placed::new(3, "forwarding");
            }
        }
    }

    /// Small streams of which nothing is aligned, and that nobody has named.
    fn find_abuse(&self, placed: &mut [Placed]) {
        let mut seen: HashMap<Placed, (BTreeSet<i32>, u64, bool)> = HashMap::new();
        for (line, placed) in self.evidence.lines.iter().zip(&*placed) {
            let (days, messages, aligned) = seen.entry(placed.clone()).or_default();
            days.insert(line.day);
            *messages += line.messages;
            *aligned |= Flags::from_bits(line.flags).passed();
        }
        for placed in placed {
            let Some((days, messages, aligned)) = seen.get(placed) else {
                continue;
            };
            let is_small = days.len() < FEW_DAYS || *messages < FEW_MESSAGES;
            let is_named = self.evidence.names.contains_key(&placed.id);
            if (5..=8).contains(&placed.rule) && is_small && !aligned && !is_named {
                *placed = Placed::new(9, "abuse");
            }
        }
    }

    /// Each address to the stream that has most of its identity's messages.
    fn add_sources(
        &self,
        placed: &[Placed],
        relays: &[IpAddr],
        streams: &mut BTreeMap<&str, Stream>,
    ) {
        let mut by_identity: HashMap<usize, HashMap<&Placed, u64>> = HashMap::new();
        for (line, placed) in self.evidence.lines.iter().zip(placed) {
            let messages = by_identity.entry(line.identity).or_default();
            *messages.entry(placed).or_default() += line.messages;
        }
        for source in &self.evidence.sources {
            let Some(candidates) = by_identity.get(&source.identity) else {
                continue;
            };
            let is_relay = relays.contains(&source.address);
            let width = if source.address.is_ipv4() { 24 } else { 48 };
            let of_network = format!("net:{}/{width}", network(source.address));
            let best = candidates
                .iter()
                .filter(|(placed, _)| (placed.rule == 1) == is_relay)
                .filter(|(placed, _)| placed.rule != 8 || placed.id == of_network)
                .max_by_key(|(placed, messages)| (**messages, std::cmp::Reverse(&placed.id)));
            let Some(stream) = best.and_then(|(placed, _)| streams.get_mut(&*placed.id)) else {
                continue;
            };
            *stream.sources.entry(source.address).or_default() += source.messages;
        }
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
        return Placed::new(5, format!("via:{}", organisational(&signed.domain)));
    }
    let aligned = identity
        .signatures
        .iter()
        .find(|signed| signed.outcome == Outcome::Pass && belong_together(&signed.domain, from));
    match (aligned, spf) {
        (None, Some(checked)) if !belong_together(&checked.domain, from) => {
            Placed::new(6, format!("via:{}", organisational(&checked.domain)))
        }
        // Some reporters leave the selector out.
        (Some(signed), _) => Placed::new(7, format!("dkim:{}/{}", signed.domain, signed.selector)),
        (None, _) if Flags::from_bits(line.flags).spf_aligned() => {
            let width = if line.network.contains(':') { 48 } else { 24 };
            Placed::new(8, format!("net:{}/{width}", line.network))
        }
        (None, _) => Placed::new(9, "abuse"),
    }
}

impl Stream {
    fn new(placed: &Placed, name: Option<&Name>, window: Window) -> Self {
        let days = usize::try_from(window.to - window.from + 1).unwrap_or_default();
        Self {
            id: placed.id.clone(),
            class: name.map_or(placed.class(), |name| name.class),
            label: name.and_then(|name| name.label.clone()),
            owner: name.and_then(|name| name.owner.clone()),
            rule: placed.rule,
            messages: 0,
            aligned: 0,
            dkim_aligned: 0,
            spf_aligned: 0,
            spf_only: 0,
            quarantined: 0,
            rejected: 0,
            first_seen: i32::MAX,
            last_seen: i32::MIN,
            days: BTreeSet::new(),
            reporters: BTreeSet::new(),
            sources: BTreeMap::new(),
            header_from: BTreeMap::new(),
            dkim: BTreeMap::new(),
            spf: BTreeMap::new(),
            weeks: vec![0; days.div_ceil(7)],
        }
    }

    fn add(&mut self, line: &Line, identity: &KnownBy, window: Window) {
        if line.day > window.to {
            return;
        }
        self.first_seen = self.first_seen.min(line.day);
        self.last_seen = self.last_seen.max(line.day);
        self.days.insert(line.day);
        if !window.has(line.day) {
            return;
        }
        let flags = Flags::from_bits(line.flags);
        let messages = line.messages;
        let add = |sum: &mut u64, is: bool| *sum += if is { messages } else { 0 };
        add(&mut self.messages, true);
        add(&mut self.aligned, flags.passed());
        add(&mut self.dkim_aligned, flags.dkim_aligned());
        add(&mut self.spf_aligned, flags.spf_aligned());
        add(
            &mut self.spf_only,
            flags.spf_aligned() && !flags.dkim_aligned(),
        );
        add(
            &mut self.quarantined,
            flags.disposition() == Disposition::Quarantine,
        );
        add(
            &mut self.rejected,
            flags.disposition() == Disposition::Reject,
        );
        self.reporters.insert(line.reporter.clone());
        *self.header_from.entry(line.from.clone()).or_default() += messages;
        for signed in &identity.signatures {
            *self.dkim.entry(signed.clone()).or_default() += messages;
        }
        for checked in &identity.spf {
            *self.spf.entry(checked.clone()).or_default() += messages;
        }
        let week = usize::try_from((line.day - window.from) / 7).unwrap_or_default();
        if let Some(week) = self.weeks.get_mut(week) {
            *week += messages;
        }
    }

    /// What was named abuse and begins to be aligned is someone's after all.
    fn believe(&mut self) {
        if self.rule != 9 && self.class == Class::Abuse && self.aligned > 0 {
            self.class = Class::Unknown;
        }
    }

    /// The networks of its addresses: for each /24, or /48 of IPv6, the smallest that holds them.
    pub fn networks(&self) -> Vec<String> {
        let mut groups: BTreeMap<IpAddr, Vec<u128>> = BTreeMap::new();
        for address in self.sources.keys() {
            let bits = match address {
                IpAddr::V4(address) => u128::from(u32::from(*address)),
                IpAddr::V6(address) => u128::from(*address),
            };
            groups.entry(network(*address)).or_default().push(bits);
        }
        groups
            .into_iter()
            .map(|(network, bits)| covering(network.is_ipv4(), &bits))
            .collect()
    }
}

/// The smallest network that holds these addresses.
fn covering(is_ipv4: bool, bits: &[u128]) -> String {
    let width: u32 = if is_ipv4 { 32 } else { 128 };
    let first = bits.first().copied().unwrap_or_default();
    let differing = bits.iter().fold(0, |all, one| all | (one ^ first));
    let free = 128 - differing.leading_zeros();
    let base = first
        .checked_shr(free)
        .unwrap_or(0)
        .checked_shl(free)
        .unwrap_or(0);
    let address = if is_ipv4 {
        IpAddr::from(u32::try_from(base).unwrap_or_default().to_be_bytes())
    } else {
        IpAddr::from(base.to_be_bytes())
    };
    format!("{address}/{}", width.saturating_sub(free))
}
