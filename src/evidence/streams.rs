//! Streams: what each party sends in the name of a domain, as reports show it. Pure: from what is
//! kept, our selectors, the operator's words and the public suffix list.

mod placing;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use self::placing::{Placed, place};
use super::{
    identity::{Checked, KnownBy, Signed},
    rollup::{extra, network},
    suffix::organisational,
};
use crate::{
    report::{Disposition, Flags, Outcome},
    words::words,
};

/// The last days of a stream, of which it is asked whether its networks are still the same.
const RECENT: i32 = 14;
/// Days for which someone who begins to report is not believed; and days from when so many have
/// begun, within which others are believed at once.
pub(super) const NEW: i32 = 28;
const OTHERS: usize = 3;
/// With fewer messages in these days, nothing is said of that.
const ENOUGH: u64 = 20;
/// The networks of a stream are those that send so many percent of its messages: what is
/// forwarded comes from others.
const MOST: u64 = 90;

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
    /// The networks that sent most of it when this was said: see [`Stream::main_networks`].
    pub networks: BTreeSet<IpAddr>,
}

words! {
    /// Why the operator's word for a stream does not hold any more.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Changed {
        /// It was abuse, and is aligned now.
        Aligned = "aligned",
        /// It was known, and comes from other networks now.
        Network = "network",
    }
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
    /// The first day that is known of, in days since 1970.
    pub first: i32,
    /// The last.
    pub last: i32,
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
    /// The day on which the first report of each reporter came in.
    pub first_received: BTreeMap<String, i32>,
}

/// Who began to send reports of late, and from which day on each is believed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Newcomers(pub(crate) BTreeMap<String, i32>);

impl Newcomers {
    /// Whether a reporter is not believed yet in what he says of a day.
    pub fn doubts(&self, reporter: &str, day: i32) -> bool {
        self.0.get(reporter).is_some_and(|from| day < *from)
    }
}

impl Evidence {
    /// Whoever owns a domain can report what he likes, about whichever day, but cannot have done so
    /// before. So those with whom it began are believed, and each other one in what he says of the
    /// days after his first four weeks.
    pub fn newcomers(&self) -> Newcomers {
        let mut first: BTreeMap<&str, i32> = BTreeMap::new();
        for (reporter, day) in &self.first_received {
            let known = first.entry(organisational(reporter)).or_insert(*day);
            *known = (*day).min(*known);
        }
        let mut days: Vec<i32> = first.values().copied().collect();
        days.sort_unstable();
        let Some(founded) = days.get(OTHERS - 1) else {
            return Newcomers::default();
        };
        let newcomers = self.first_received.keys().filter_map(|reporter| {
            let day = *first.get(organisational(reporter))?;
            (day >= founded + NEW).then(|| (reporter.clone(), day + NEW))
        });
        Newcomers(newcomers.collect())
    }
}

/// A record as reporters saw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The day that the reports are about, in days since 1970.
    pub day: i32,
    /// Its tags, as far as reports tell: `p`, `sp`, `np`, `adkim`, `aspf`, `t`, `pct`.
    pub tags: BTreeMap<String, String>,
    /// How many reports say so.
    pub reports: u64,
    /// Who says so; none if that is forgotten: then each report stands for one of them.
    pub reporter: Option<String>,
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
    pub(super) fn has(self, day: i32) -> bool {
        (self.from..=self.to).contains(&day)
    }
}

/// Messages of one day, of reports of which is known what day they are about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OfDay {
    /// All.
    pub messages: u64,
    /// With DKIM or SPF aligned.
    pub aligned: u64,
    /// With SPF aligned and DKIM not.
    pub spf_only: u64,
    /// With nothing aligned if alignment were strict (RFC 9989 §4.4).
    pub not_strict: u64,
    /// Set aside by receivers.
    pub quarantined: u64,
    /// Refused by receivers.
    pub rejected: u64,
    /// From a name below the policy domain.
    pub below: u64,
    /// Of these, with DKIM or SPF aligned.
    pub below_aligned: u64,
    /// With nothing aligned, by the word of [`Newcomers`] alone.
    pub doubtful: u64,
    /// Of these, from a name below.
    pub doubtful_below: u64,
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
    /// Whether the operator has said what it is.
    pub named: bool,
    /// Why the operator's word for it does not hold; then it is unknown again.
    pub changed: Option<Changed>,
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
    pub days: BTreeMap<i32, OfDay>,
    /// Who reported it.
    pub reporters: BTreeSet<String>,
    /// The addresses, with their messages.
    pub sources: BTreeMap<IpAddr, u64>,
    /// The networks of its last 14 days.
    recent: BTreeSet<IpAddr>,
    /// The From domains.
    pub header_from: Counted<String>,
    /// The signatures.
    pub dkim: Counted<Signed>,
    /// The SPF checks.
    pub spf: Counted<Checked>,
    /// Messages by week of the window, the first first.
    pub weeks: Vec<u64>,
}

/// Sorts evidence into streams, the largest first.
///
/// The evidence is that of `policy_domain`. `ours` are our selectors with their domains, in lower
/// case; `relays` our addresses. `shown` tells by the From domain what is counted; all of it is
/// looked at to tell the streams apart.
pub fn streams(
    policy_domain: &str,
    evidence: &Evidence,
    ours: &BTreeSet<(String, String)>,
    relays: &[IpAddr],
    window: Window,
    shown: impl Fn(&str) -> bool,
) -> Vec<Stream> {
    let placed = place(evidence, ours);
    let lines: Vec<(&Line, &Placed)> = evidence
        .lines
        .iter()
        .zip(&placed)
        .filter(|(line, _)| line.day <= window.to && shown(&line.from))
        .collect();
    let newcomers = evidence.newcomers();
    let mut streams: BTreeMap<&str, Stream> = BTreeMap::new();
    for (line, placed) in &lines {
        let stream = streams
            .entry(&placed.id)
            .or_insert_with(|| Stream::new(placed, evidence.names.get(&placed.id), window));
        let identity = &evidence.identities[line.identity];
        let is_below = line.from != policy_domain;
        let is_new = newcomers.doubts(&line.reporter, line.day);
        stream.add(line, identity, (is_below, is_new), window);
    }
    add_sources(evidence, &lines, relays, window, &mut streams);
    let mut recent: HashMap<&str, u64> = HashMap::new();
    for (line, placed) in &lines {
        let stream = streams.get(&*placed.id);
        if stream.is_some_and(|stream| line.day > stream.last_seen - RECENT) {
            *recent.entry(&placed.id).or_default() += line.messages;
        }
    }
    for (id, stream) in &mut streams {
        if let Some(name) = evidence.names.get(*id) {
            stream.doubt(name, recent.get(id).copied().unwrap_or_default());
        }
    }
    let mut streams: Vec<Stream> = streams
        .into_values()
        .filter(|stream| stream.messages > 0)
        .collect();
    streams.sort_by(|one, other| {
        other
            .messages
            .cmp(&one.messages)
            .then_with(|| one.id.cmp(&other.id))
    });
    streams
}

/// Each address to the stream that has most of its identity's messages.
fn add_sources(
    evidence: &Evidence,
    lines: &[(&Line, &Placed)],
    relays: &[IpAddr],
    window: Window,
    streams: &mut BTreeMap<&str, Stream>,
) {
    let mut by_identity: HashMap<usize, HashMap<&Placed, u64>> = HashMap::new();
    for (line, placed) in lines {
        let messages = by_identity.entry(line.identity).or_default();
        *messages.entry(placed).or_default() += line.messages;
    }
    for source in &evidence.sources {
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
        if source.first <= window.to && source.last > stream.last_seen - RECENT {
            stream.recent.insert(network(source.address));
        }
    }
}

impl OfDay {
    fn add(&mut self, line: &Line, identity: &KnownBy, below: bool) {
        let flags = Flags::from_bits(line.flags);
        let from = line.from.as_str();
        let signed = &identity.signatures;
        let checked = &identity.spf;
        let is_strict = (flags.dkim_aligned()
            && (signed.iter()).any(|one| one.outcome == Outcome::Pass && one.domain == from))
            || (flags.spf_aligned()
                && (checked.iter()).any(|one| one.outcome == Outcome::Pass && one.domain == from));
        let add = |sum: &mut u64, is: bool| *sum += if is { line.messages } else { 0 };
        add(&mut self.messages, true);
        add(&mut self.aligned, flags.passed());
        add(
            &mut self.spf_only,
            flags.spf_aligned() && !flags.dkim_aligned(),
        );
        add(&mut self.not_strict, !is_strict);
        add(
            &mut self.quarantined,
            flags.disposition() == Disposition::Quarantine,
        );
        add(
            &mut self.rejected,
            flags.disposition() == Disposition::Reject,
        );
        add(&mut self.below, below);
        add(&mut self.below_aligned, below && flags.passed());
    }
}

impl Stream {
    fn new(placed: &Placed, name: Option<&Name>, window: Window) -> Self {
        let days = usize::try_from(window.to - window.from + 1).unwrap_or_default();
        Self {
            id: placed.id.clone(),
            class: name.map_or(placed.class(), |name| name.class),
            named: name.is_some(),
            changed: None,
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
            days: BTreeMap::new(),
            reporters: BTreeSet::new(),
            sources: BTreeMap::new(),
            recent: BTreeSet::new(),
            header_from: BTreeMap::new(),
            dkim: BTreeMap::new(),
            spf: BTreeMap::new(),
            weeks: vec![0; days.div_ceil(7)],
        }
    }

    /// Whether somebody signs in the name of the domain with a key that nobody knows: from the first
    /// message on, as its record is in a zone of ours.
    pub fn is_unknown_selector(&self) -> bool {
        // A reporter who leaves the selector out says nothing of the key.
        self.rule == 7 && self.class == Class::Unknown && !self.id.ends_with('/')
    }

    fn add(
        &mut self,
        line: &Line,
        identity: &KnownBy,
        (below, by_newcomer): (bool, bool),
        window: Window,
    ) {
        self.first_seen = self.first_seen.min(line.day);
        self.last_seen = self.last_seen.max(line.day);
        let day = self.days.entry(line.day).or_default();
        let passed = Flags::from_bits(line.flags).passed();
        // Praise of a newcomer must not hide what others see fail.
        if line.flags & extra::LONG == 0 && !(by_newcomer && passed) {
            day.add(line, identity, below);
            day.doubtful += if by_newcomer { line.messages } else { 0 };
            day.doubtful_below += if by_newcomer && below {
                line.messages
            } else {
                0
            };
        }
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

    /// What was named abuse and begins to be aligned is someone's after all; and what was known,
    /// and comes from none of the networks that it came from then, may be somebody else's.
    /// `recent` are the messages of its last 14 days.
    fn doubt(&mut self, name: &Name, recent: u64) {
        let moved = recent >= ENOUGH
            && !name.networks.is_empty()
            && !self.recent.is_empty()
            && self.recent.is_disjoint(&name.networks);
        self.changed = match name.class {
            Class::Abuse if self.rule != 9 && self.aligned > 0 => Some(Changed::Aligned),
            Class::Known if moved => Some(Changed::Network),
            _ => None,
        };
        if self.changed.is_some() {
            self.class = Class::Unknown;
        }
    }

    /// The networks that send nine in ten of its messages, by the addresses that are kept: each a
    /// /24, or a /48 of IPv6.
    pub fn main_networks(&self) -> BTreeSet<IpAddr> {
        let mut networks: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for (address, messages) in &self.sources {
            *networks.entry(network(*address)).or_default() += messages;
        }
        let all: u128 = networks.values().map(|one| u128::from(*one)).sum();
        let mut networks: Vec<(IpAddr, u64)> = networks.into_iter().collect();
        networks.sort_by_key(|(_, messages)| std::cmp::Reverse(*messages));
        let mut before: u128 = 0;
        networks
            .into_iter()
            .take_while(|(_, messages)| {
                let is_part = before * 100 < all * u128::from(MOST);
                before += u128::from(*messages);
                is_part
            })
            .map(|(network, _)| network)
            .collect()
    }

    /// The messages of its addresses by network: a /24, or a /48 of IPv6.
    pub fn by_network(&self) -> Counted<String> {
        let mut networks = Counted::new();
        for (address, messages) in &self.sources {
            let width = if address.is_ipv4() { 24 } else { 48 };
            let name = format!("{}/{width}", network(*address));
            *networks.entry(name).or_default() += messages;
        }
        networks
    }

    /// Messages by week of these days that were aligned, and that were not; of reports that tell
    /// the day.
    pub fn by_week(&self, window: Window) -> Vec<(u64, u64)> {
        let mut weeks = vec![(0_u64, 0_u64); self.weeks.len()];
        for (day, of_day) in self.days.iter().filter(|(day, _)| window.has(**day)) {
            let week = usize::try_from((day - window.from) / 7).unwrap_or_default();
            if let Some((aligned, failed)) = weeks.get_mut(week) {
                *aligned += of_day.aligned;
                *failed += of_day.messages.saturating_sub(of_day.aligned);
            }
        }
        weeks
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

#[cfg(test)]
impl Stream {
    /// One of which nothing is known but this.
    pub(crate) fn made(id: &str, class: Class) -> Self {
        let placed = Placed::new(7, id);
        let nothing = Window { from: 0, to: 0 };
        Self {
            class,
            ..Self::new(&placed, None, nothing)
        }
    }
}
