//! The counters of each organisation, without a lock where messages pass.
//!
//! A snapshot takes the handles when it is built; a message then only adds to atomics.
//! With 100,000 organisations each possible series would be millions, so a series is
//! shown from its first event on, and the counters of what is rare are allocated then.
//!
//! At most `[http] organisations` of them have series of their own, so that a page and the
//! Prometheus that reads it stay of a size. Who does is decided once, by its first event, and
//! holds until the organisation or the process ends. The others are summed as [`OTHER`]. Nobody
//! moves to or from there meanwhile: `rate()` would take that for mail.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::{
    Metrics,
    counters::{Reasons, Signatures, Words, count, counted},
    forecasts::Forecasts,
    listeners::Forecast,
};
use crate::{
    names::{OrganisationId, Selector},
    observe::status::{OrganisationFigures, add_signatures},
    organisation::{Action, Refusal},
};

/// The label of organisations that have no series of their own.
pub const OTHER: &str = "other";

/// Whether an organisation may have series of its own: one that is called [`OTHER`] would
/// have those of all others.
pub(super) fn may_be_own(organisation: &OrganisationId) -> bool {
    organisation.as_str() != OTHER
}

/// The counters of one organisation. A clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct OrganisationMetrics(Arc<Entry>);

impl OrganisationMetrics {
    /// One signature was added, with this selector, and this algorithm as it is written in
    /// `a=`.
    pub fn signed(&self, selector: &Selector, algorithm: &'static str) {
        for counters in self.0.counters().all() {
            // The selectors of others together are as many as they are.
            let is_one = matches!(counters.label, Label::Organisation(..) | Label::Beyond(..));
            counters.signed.add(is_one.then_some(selector), algorithm);
        }
    }

    /// One message was signed, with however many signatures.
    pub fn signed_message(&self) {
        self.0.signed.fetch_add(1, Relaxed);
    }

    /// One message was not signed, for this reason.
    pub fn unsigned(&self, reason: Refusal) {
        self.0.unsigned.fetch_add(1, Relaxed);
        for counters in self.0.counters().all() {
            count(&counters.unsigned, reason);
        }
    }

    /// One message that was not signed did not pass either, if that is what was done with it.
    pub fn kept_back(&self, reason: Refusal, action: Action) {
        if action != Action::Accept {
            self.0.kept_back.fetch_add(1, Relaxed);
        }
        for counters in self.0.counters().all() {
            match action {
                Action::Accept => {}
                Action::Tempfail => count(&counters.put_off, reason),
                Action::Reject => count(&counters.rejected, reason),
            }
        }
    }

    /// What would have become of one message, on a listener that only looks on, and why it would
    /// not be signed, if it would not.
    pub fn observed(&self, forecast: Forecast, reason: Option<Refusal>) {
        for counters in self.0.counters().all() {
            let forecasts = counters.forecasts.get_or_init(Box::default);
            forecasts.add(forecast, reason);
        }
    }

    /// One message held this hazard: a word of a fixed set, never text from a message.
    pub fn hazard(&self, hazard: &'static str) {
        let counters = self.0.counters().shown();
        counters.hazards.get_or_init(Box::default).add(hazard);
    }
}

/// What became of the mail of an organisation since the start, in messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Those that were signed. One with signatures of two algorithms counts once.
    pub signed: u64,
    /// Those that were not, whatever the reason.
    pub unsigned: u64,
    /// Of those, how many did not pass either: they were put off or rejected.
    pub kept_back: u64,
}

impl Totals {
    /// Those that left without a signature.
    pub fn left(self) -> u64 {
        self.unsigned.saturating_sub(self.kept_back)
    }
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

/// More than there are hazards.
const HAZARDS: usize = 16;

/// An organisation; its counters are there from its first event on.
#[derive(Debug)]
struct Entry {
    /// None for messages without an organisation.
    organisation: Option<OrganisationId>,
    /// Its own, or those of all that have none of their own.
    counters: OnceLock<Arc<Counters>>,
    places: Arc<Places>,
    /// Messages, whoever has series of its own: for the status page.
    signed: AtomicU64,
    unsigned: AtomicU64,
    kept_back: AtomicU64,
}

impl Entry {
    fn new(organisation: Option<OrganisationId>, places: &Arc<Places>) -> Self {
        Self {
            organisation,
            counters: OnceLock::new(),
            places: Arc::clone(places),
            signed: AtomicU64::new(0),
            unsigned: AtomicU64::new(0),
            kept_back: AtomicU64::new(0),
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            signed: self.signed.load(Relaxed),
            unsigned: self.unsigned.load(Relaxed),
            kept_back: self.kept_back.load(Relaxed),
        }
    }

    fn counters(&self) -> &Counters {
        let first = || Places::counters(&self.places, self.organisation.as_ref());
        self.counters.get_or_init(first)
    }
}

/// How many organisations have series of their own, and where the others are counted.
#[derive(Debug)]
struct Places {
    most: usize,
    taken: AtomicUsize,
    other: Arc<Counters>,
}

impl Places {
    /// The counters of an organisation that has its first event: its own, if there is a place.
    fn counters(this: &Arc<Self>, organisation: Option<&OrganisationId>) -> Arc<Counters> {
        let own = organisation.filter(|id| may_be_own(id));
        let one_more = |taken| (taken < this.most).then_some(taken + 1);
        match own {
            Some(id) if this.taken.fetch_update(Relaxed, Relaxed, one_more).is_ok() => {
                let place = Place(Arc::clone(this));
                Counters::new(Label::Organisation(id.clone(), place))
            }
            _ => match organisation {
                Some(id) => Counters::new(Label::Beyond(id.clone(), Arc::clone(&this.other))),
                None => Arc::clone(&this.other),
            },
        }
    }
}

/// One of the places. It is free again when nobody counts there any more.
#[derive(Debug)]
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

/// The label `organisation`.
#[derive(Debug)]
enum Label {
    /// Messages without an organisation: empty.
    None,
    /// Organisations without series of their own, together.
    Other,
    /// One of those: its reasons and selectors are told, and its series are those of the others.
    Beyond(OrganisationId, Arc<Counters>),
    /// One with its own.
    Organisation(
        OrganisationId,
        #[expect(dead_code, reason = "held, not read")] Place,
    ),
}

#[derive(Debug)]
pub(super) struct Counters {
    label: Label,
    signed: Signatures,
    unsigned: OnceLock<Reasons>,
    /// Those of them that were put off, and those that were rejected.
    put_off: OnceLock<Reasons>,
    rejected: OnceLock<Reasons>,
    hazards: OnceLock<Box<Words<HAZARDS>>>,
    forecasts: OnceLock<Box<Forecasts>>,
}

impl Counters {
    fn new(label: Label) -> Arc<Self> {
        Arc::new(Self {
            label,
            signed: Signatures::default(),
            unsigned: OnceLock::new(),
            put_off: OnceLock::new(),
            rejected: OnceLock::new(),
            hazards: OnceLock::new(),
            forecasts: OnceLock::new(),
        })
    }

    pub(super) fn label(&self) -> &str {
        match &self.label {
            Label::None => "",
            Label::Other => OTHER,
            Label::Organisation(id, _) | Label::Beyond(id, _) => id.as_str(),
        }
    }

    /// Those that are shown as series.
    fn shown(&self) -> &Self {
        match &self.label {
            Label::Beyond(_, others) => others,
            _ => self,
        }
    }

    /// Its own, and those that are shown where these are others.
    fn all(&self) -> impl Iterator<Item = &Self> {
        let others = match &self.label {
            Label::Beyond(_, others) => Some(&**others),
            _ => None,
        };
        [self].into_iter().chain(others)
    }

    /// The counters of these reasons that are to be shown.
    fn unsigned(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.unsigned.get().into_iter().flat_map(|counts| &**counts);
        let named = Refusal::ALL.into_iter().zip(counts);
        let is_none = matches!(self.label, Label::None);
        let always = move |reason: &Refusal| is_none && WITHOUT_ORGANISATION.contains(reason);
        named
            .map(|(reason, count)| (reason, count.load(Relaxed)))
            .filter(move |(reason, count)| *count > 0 || always(reason))
            .map(|(reason, count)| (reason.as_str(), count))
    }

    pub(super) fn hazards(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.hazards.get().into_iter().flat_map(|words| words.all())
    }

    /// Why messages would not have been signed, on listeners that only look on.
    fn would_be_unsigned(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let forecasts = self.forecasts.get().into_iter();
        forecasts.flat_map(|forecasts| forecasts.unsigned())
    }

    /// In messages. An organisation that signs twice has each message under both algorithms.
    pub(super) fn totals(&self) -> Totals {
        let of_algorithm = |algorithm| {
            let all = self.signed.all();
            let same = all.filter(move |(_, other, _)| *other == algorithm);
            same.map(|(_, _, count)| count).sum()
        };
        let algorithms = self.signed.all().map(|(_, algorithm, _)| algorithm);
        Totals {
            signed: algorithms.map(of_algorithm).max().unwrap_or(0),
            unsigned: self.unsigned().map(|(_, count)| count).sum(),
            kept_back: [&self.put_off, &self.rejected]
                .into_iter()
                .flat_map(counted)
                .map(|(_, count)| count)
                .sum(),
        }
    }

    /// Messages that could not be signed and should have been.
    pub(super) fn failures(&self) -> u64 {
        let failures = [Refusal::SigningFailure, Refusal::LimitExceeded].map(Refusal::as_str);
        let unsigned = self
            .unsigned()
            .filter(|(reason, _)| failures.contains(reason));
        unsigned.map(|(_, count)| count).sum()
    }

    pub(super) fn figures(&self) -> (String, OrganisationFigures) {
        let owned = |(word, count): (&str, u64)| (word.to_owned(), count);
        let signed = self.totals().signed;
        let mut signed_by = BTreeMap::new();
        // In the order of their first signatures, which never changes: no sum falls.
        for (selector, _, count) in self.signed.all().filter(|one| !one.0.is_empty()) {
            add_signatures(&mut signed_by, selector, count);
        }
        let figures = OrganisationFigures {
            signed,
            signed_by,
            unsigned: self.unsigned().map(owned).collect(),
            put_off: counted(&self.put_off).map(owned).collect(),
            rejected: counted(&self.rejected).map(owned).collect(),
            hazards: self.hazards().map(owned).collect(),
            observed: self
                .forecasts
                .get()
                .map(|forecasts| forecasts.figures())
                .unwrap_or_default(),
        };
        (self.label().to_owned(), figures)
    }
}

/// All organisations.
#[derive(Debug)]
pub(super) struct Table {
    by_id: RwLock<BTreeMap<OrganisationId, Arc<Entry>>>,
    none: Arc<Entry>,
    places: Arc<Places>,
}

impl Table {
    /// At most `series` organisations have series of their own.
    pub(super) fn new(series: usize) -> Self {
        let places = Arc::new(Places {
            most: series,
            taken: AtomicUsize::new(0),
            other: Counters::new(Label::Other),
        });
        let counters = Counters::new(Label::None);
        // Allocated at once: some of its series are shown from the start.
        counters.unsigned.get_or_init(Box::default);
        let none = Arc::new(Entry {
            counters: OnceLock::from(counters),
            ..Entry::new(None, &places)
        });
        Self {
            by_id: RwLock::default(),
            none,
            places,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<OrganisationId, Arc<Entry>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<OrganisationId, Arc<Entry>>> {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, so that a scrape holds no lock while it writes megabytes. Who has counted nothing
    /// is left out.
    pub(super) fn all(&self) -> Vec<Arc<Counters>> {
        let by_id = self.read();
        let entries = [&self.none].into_iter().chain(by_id.values());
        let with_events = entries.filter_map(|entry| entry.counters.get());
        let is_shown =
            |counters: &&Arc<Counters>| !matches!(counters.label, Label::Other | Label::Beyond(..));
        let own = with_events.filter(is_shown);
        let other = &self.places.other;
        let has_counted = other.totals() != Totals::default()
            || other.hazards().next().is_some()
            || other.forecasts.get().is_some();
        own.chain(has_counted.then_some(other))
            .map(Arc::clone)
            .collect()
    }

    /// Those without series of their own, each by itself.
    pub(super) fn beyond(&self) -> BTreeMap<String, OrganisationFigures> {
        let by_id = self.read();
        let entries = by_id.values().filter_map(|entry| {
            let counters = entry.counters.get()?;
            let is_beyond = matches!(counters.label, Label::Beyond(..));
            is_beyond.then(|| {
                // Signatures are counted before their message: they are never fewer here.
                let signed = entry.totals().signed;
                let (id, figures) = counters.figures();
                (id, OrganisationFigures { signed, ..figures })
            })
        });
        entries.collect()
    }
}

impl Metrics {
    /// The counters of this organisation: the same ones each time. Takes a lock, so it is
    /// for the building of a snapshot, not for each message.
    pub fn organisation(&self, id: &OrganisationId) -> OrganisationMetrics {
        let table = &self.0.organisations;
        let mut by_id = table.write();
        let new = || Arc::new(Entry::new(Some(id.clone()), &table.places));
        let entry = by_id.entry(id.clone()).or_insert_with(new);
        OrganisationMetrics(Arc::clone(entry))
    }

    /// The counters of messages that belong to no organisation: `organisation=""`.
    pub fn without_organisation(&self) -> OrganisationMetrics {
        OrganisationMetrics(Arc::clone(&self.0.organisations.none))
    }

    /// The organisations that had mail since the start, with what became of it. A copy, in no
    /// particular order.
    pub fn totals(&self) -> Vec<(OrganisationId, Totals)> {
        self.0
            .organisations
            .read()
            .iter()
            .map(|(id, entry)| (id, entry.totals()))
            .filter(|(_, totals)| *totals != Totals::default())
            .map(|(id, totals)| (id.clone(), totals))
            .collect()
    }

    /// Why mail of this organisation was not signed since the start, and how often.
    pub fn reasons(&self, id: &OrganisationId) -> Vec<(&'static str, u64)> {
        let by_id = self.0.organisations.read();
        by_id
            .get(id)
            .and_then(|entry| entry.counters.get())
            .filter(|counters| !matches!(counters.label, Label::Other))
            .map(|own| own.unsigned().collect())
            .unwrap_or_default()
    }

    /// Whether mail of this organisation was not signed since the start for want of a key.
    pub fn sends_without_key(&self, id: &OrganisationId) -> bool {
        let by_id = self.0.organisations.read();
        let counters = by_id.get(id).and_then(|entry| entry.counters.get());
        counters.is_some_and(|own| {
            let mut unsigned = own.unsigned();
            unsigned.any(|(reason, _)| reason == Refusal::AwaitingKey.as_str())
        })
    }

    /// Drops the series of organisations that are no more. A message that still holds the
    /// counters of one adds to what nobody sees. What those without series of their own have
    /// counted stays: a sum never falls.
    pub fn retain_organisations(&self, keep: impl Fn(&OrganisationId) -> bool) {
        self.0.organisations.write().retain(|id, _| keep(id));
    }
}

/// Writes the table at each scrape.
#[derive(Debug)]
pub(super) struct OrganisationCollector(pub(super) Arc<Table>);

impl Collector for OrganisationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.all();
        let name = "organisations_with_series";
        let help = "Organisations with series of their own, at most [http] organisations";
        let places = self.0.places.taken.load(Relaxed);
        let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(places).unwrap_or(i64::MAX)).encode(gauge)?;
        encode_signed(&mut encoder, &all)?;
        let help = "Messages that were not signed";
        encode_words(
            &mut encoder,
            "unsigned",
            help,
            "reason",
            &all,
            Counters::unsigned,
        )?;
        let help = "Messages that were only looked at and would not have been signed";
        encode_words(
            &mut encoder,
            "observed_unsigned",
            help,
            "reason",
            &all,
            Counters::would_be_unsigned,
        )?;
        let help = "Messages that held what breaks signatures on their way";
        encode_words(
            &mut encoder,
            "hazards",
            help,
            "hazard",
            &all,
            Counters::hazards,
        )
    }
}

fn encode_signed(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<Counters>]) -> fmt::Result {
    let help = "Signatures added";
    let mut metric = encoder.encode_descriptor("signed", help, None, MetricType::Counter)?;
    for counters in all {
        for (selector, algorithm, count) in counters.signed.all() {
            let labels = [
                ("organisation", counters.label()),
                ("selector", selector),
                ("algorithm", algorithm),
            ];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// The counters of one name, labelled with the organisation and one word.
fn encode_words<'a, Series: Iterator<Item = (&'static str, u64)>>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    all: &'a [Arc<Counters>],
    series: impl Fn(&'a Counters) -> Series,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for counters in all {
        for (word, count) in series(counters) {
            let labels = [("organisation", counters.label()), (label, word)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
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
    fn an_organisation_without_events_is_small() {
        assert!(size_of::<Entry>() <= 64);
    }
}
