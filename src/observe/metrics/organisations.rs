//! The counters of each organisation, without a lock where messages pass.
//!
//! A snapshot takes the handles when it is built; a message then only adds to atomics.
//! With 100,000 organisations each possible series would be millions, so a series is
//! shown from its first event on, and the counters of what is rare are allocated then.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use crate::{names::OrganisationId, organisation::Refusal};

/// The counters of one organisation. A clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct OrganisationMetrics(Arc<Counters>);

impl OrganisationMetrics {
    /// One signature was added, with this algorithm as it is written in `a=`.
    pub fn signed(&self, algorithm: &'static str) {
        self.0.signed.get_or_init(Box::default).add(algorithm);
    }

    /// One message was not signed, for this reason.
    pub fn unsigned(&self, reason: Refusal) {
        let counts = self.0.unsigned.get_or_init(Box::default);
        if let Some(count) = counts.get(reason as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// One message held this hazard: a word of a fixed set, never text from a message.
    pub fn hazard(&self, hazard: &'static str) {
        self.0.hazards.get_or_init(Box::default).add(hazard);
    }
}

/// What became of the mail of an organisation since the start, in messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Those that were signed. One with signatures of two algorithms counts once.
    pub signed: u64,
    /// Those that were not, whatever the reason.
    pub unsigned: u64,
}

/// The reasons that a message can have before its organisation is known.
const WITHOUT_ORGANISATION: [Refusal; 7] = [
    Refusal::NotOutbound,
    Refusal::UnknownDomain,
    Refusal::FromMissing,
    Refusal::FromRepeated,
    Refusal::FromSeveralMailboxes,
    Refusal::FromUnparsable,
    Refusal::LimitExceeded,
];

/// Algorithms of signatures (RFC 8301, RFC 8463).
const ALGORITHMS: usize = 2;
/// More than there are hazards.
const HAZARDS: usize = 16;

#[derive(Debug)]
struct Counters {
    /// The label; none for messages without an organisation.
    organisation: Option<OrganisationId>,
    signed: OnceLock<Box<Words<ALGORITHMS>>>,
    /// In the order of [`Refusal::ALL`].
    unsigned: OnceLock<Box<[AtomicU64; Refusal::ALL.len()]>>,
    hazards: OnceLock<Box<Words<HAZARDS>>>,
}

impl Counters {
    fn new(organisation: Option<OrganisationId>) -> Arc<Self> {
        Arc::new(Self {
            organisation,
            signed: OnceLock::new(),
            unsigned: OnceLock::new(),
            hazards: OnceLock::new(),
        })
    }

    fn label(&self) -> &str {
        self.organisation
            .as_ref()
            .map_or("", OrganisationId::as_str)
    }

    fn signed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.signed.get().into_iter().flat_map(|words| words.all())
    }

    /// The counters of these reasons that are to be shown.
    fn unsigned(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.unsigned.get().into_iter().flat_map(|counts| &**counts);
        let named = Refusal::ALL.into_iter().zip(counts);
        let always =
            |reason: &Refusal| self.organisation.is_none() && WITHOUT_ORGANISATION.contains(reason);
        named
            .map(|(reason, count)| (reason, count.load(Relaxed)))
            .filter(move |(reason, count)| *count > 0 || always(reason))
            .map(|(reason, count)| (reason.as_str(), count))
    }

    fn totals(&self) -> Totals {
        Totals {
            // A message has one signature of each algorithm at most.
            signed: self.signed().map(|(_, count)| count).max().unwrap_or(0),
            unsigned: self.unsigned().map(|(_, count)| count).sum(),
        }
    }

    fn hazards(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.hazards.get().into_iter().flat_map(|words| words.all())
    }
}

/// A counter for each of at most `N` words, which take their places as they come.
#[derive(Debug)]
struct Words<const N: usize> {
    places: [(OnceLock<&'static str>, AtomicU64); N],
    /// What came when all places were taken.
    others: AtomicU64,
}

impl<const N: usize> Words<N> {
    fn add(&self, word: &'static str) {
        let place = self
            .places
            .iter()
            .find(|(name, _)| *name.get_or_init(|| word) == word);
        let count = place.map_or(&self.others, |(_, count)| count);
        count.fetch_add(1, Relaxed);
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let places = self.places.iter();
        let named = places.filter_map(|(name, count)| Some((*name.get()?, count.load(Relaxed))));
        let others = Some(("other", self.others.load(Relaxed))).filter(|(_, count)| *count > 0);
        named.chain(others)
    }
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| Default::default()),
            others: AtomicU64::new(0),
        }
    }
}

/// All organisations that have counters.
#[derive(Debug)]
pub(super) struct Table {
    by_id: RwLock<BTreeMap<OrganisationId, Arc<Counters>>>,
    none: Arc<Counters>,
}

impl Table {
    pub(super) fn new() -> Self {
        let none = Counters::new(None);
        // Allocated at once: some of its series are shown from the start.
        none.unsigned.get_or_init(Box::default);
        Self {
            by_id: RwLock::default(),
            none,
        }
    }

    pub(super) fn organisation(&self, id: &OrganisationId) -> OrganisationMetrics {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = by_id.get(id) {
            return OrganisationMetrics(Arc::clone(counters));
        }
        let counters = Counters::new(Some(id.clone()));
        by_id.insert(id.clone(), Arc::clone(&counters));
        OrganisationMetrics(counters)
    }

    pub(super) fn without_organisation(&self) -> OrganisationMetrics {
        OrganisationMetrics(Arc::clone(&self.none))
    }

    pub(super) fn retain(&self, keep: impl Fn(&OrganisationId) -> bool) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|id, _| keep(id));
    }

    pub(super) fn totals(&self) -> Vec<(OrganisationId, Totals)> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let totals = by_id.iter().map(|(id, counters)| (id, counters.totals()));
        let busy = totals.filter(|(_, totals)| *totals != Totals::default());
        busy.map(|(id, totals)| (id.clone(), totals)).collect()
    }

    pub(super) fn reasons(&self, id: &OrganisationId) -> Vec<(&'static str, u64)> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let counters = by_id.get(id).into_iter();
        counters.flat_map(|counters| counters.unsigned()).collect()
    }

    /// A copy, so that a scrape holds no lock while it writes megabytes.
    fn all(&self) -> Vec<Arc<Counters>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let named = by_id.values().map(Arc::clone);
        [Arc::clone(&self.none)].into_iter().chain(named).collect()
    }
}

/// Writes the table at each scrape.
#[derive(Debug)]
pub(super) struct OrganisationCollector(pub(super) Arc<Table>);

impl Collector for OrganisationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.all();
        Group {
            name: "signed",
            help: "Signatures added",
            label: "algorithm",
        }
        .encode(&mut encoder, &all, Counters::signed)?;
        Group {
            name: "unsigned",
            help: "Messages that were not signed",
            label: "reason",
        }
        .encode(&mut encoder, &all, Counters::unsigned)?;
        Group {
            name: "hazards",
            help: "Messages that held what breaks signatures on their way",
            label: "hazard",
        }
        .encode(&mut encoder, &all, Counters::hazards)
    }
}

/// The counters of one name, labelled with the organisation and one word.
struct Group {
    name: &'static str,
    help: &'static str,
    label: &'static str,
}

impl Group {
    fn encode<'a, Series>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        all: &'a [Arc<Counters>],
        series: impl Fn(&'a Counters) -> Series,
    ) -> fmt::Result
    where
        Series: Iterator<Item = (&'static str, u64)>,
    {
        let mut metric =
            encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
        for counters in all {
            for (word, count) in series(counters) {
                let labels = [("organisation", counters.label()), (self.label, word)];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_refusal_is_its_place() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
        }
    }

    #[test]
    fn words_beyond_the_places_are_counted_together() {
        let words = Words::<2>::default();
        for word in ["a", "b", "c", "a", "d"] {
            words.add(word);
        }
        let all: Vec<_> = words.all().collect();
        assert_eq!(all, [("a", 2), ("b", 1), ("other", 2)]);
    }

    #[test]
    fn an_organisation_without_events_is_small() {
        assert!(size_of::<Counters>() <= 64);
    }
}
