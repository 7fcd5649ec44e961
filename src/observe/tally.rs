//! What became of mail on a day, by organisation and reason, added up from what signers say of
//! themselves; pure.
//!
//! A signer counts since its start. So a reading is kept of each, and what a later one has more is
//! what came in between. The counters of a signer that was started again began at 0, and so did
//! those of an organisation of which one has fallen. The readings stand beside the counts, to be written in one step with them:
//! nothing is counted twice, whatever is cut off.

use std::collections::{BTreeMap, HashMap};

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::status::{SignerFacts, SignerFigures, add_signatures};
use crate::organisation::Refusal;

/// The version of the files.
const VERSION: u32 = 1;
/// A reading that is older than this may tell of mail of another time than the day's.
const LATE: i64 = 5 * 60;
/// Of what is noted in a day; more would be of a signer that starts over and over.
const MOST_GAPS: usize = 500;

/// How many days are kept, with that of today. Days on which nothing was counted have no file.
pub const DAYS: i64 = 35;

/// A day of mail, as far as it was collected.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Day {
    version: u32,
    /// In UTC.
    pub day: Date,
    /// Until when it is collected: of the signers that answer.
    pub until: Timestamp,
    /// What became of mail, by the organisation; the id is empty for mail of none.
    pub organisations: BTreeMap<String, Counts>,
    /// What is not known for certain.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Signers that do not answer, and since when nothing is collected from them.
    #[serde(default)]
    pub silent: BTreeMap<String, Timestamp>,
    /// What each signer said last, by its address.
    signers: BTreeMap<String, Reading>,
}

/// A day of mail without the readings, which are as long again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct DaySummary {
    /// Until when it is collected.
    pub until: Timestamp,
    /// What is not known for certain.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    organisations: BTreeMap<String, Counts>,
}

/// What was signed on a day, and what of it is not known for certain.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct SignedDay {
    /// As in [`Day`].
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// As in [`Day`].
    #[serde(default)]
    pub silent: BTreeMap<String, Timestamp>,
    /// By the organisation.
    pub organisations: HashMap<String, SignedCounts>,
}

/// What was signed of one organisation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct SignedCounts {
    /// As in [`Counts`].
    pub signed: u64,
    /// As in [`Counts`].
    pub signed_by: BTreeMap<String, u64>,
}

/// Messages of one organisation. No message is in two of the maps.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Counts {
    /// That were signed.
    #[serde(skip_serializing_if = "is_zero")]
    pub signed: u64,
    /// Signatures by their selector; under the empty name those of which nobody told it. Empty in
    /// what was written before it was counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signed_by: BTreeMap<String, u64>,
    /// That left unsigned, by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unsigned: BTreeMap<String, u64>,
    /// That were put off (451), by the reason. One that comes again counts again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub put_off: BTreeMap<String, u64>,
    /// That were rejected (550), by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
}

/// A time of which the counts are not certain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// Of which signer.
    pub signer: String,
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What is not known.
    pub kind: GapKind,
}

/// What is not known of a time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The signer ended in it, and what it had counted since its beginning is lost.
    Lost,
    /// What it counted in it stands under the day of its end.
    Late,
}

/// What a signer said of itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Reading {
    /// When.
    at: Timestamp,
    /// When the signer began, in seconds since 1970.
    started: u64,
    /// As the signer counts, so that none of them ever falls: `unsigned` has all that was not
    /// signed, what was put off or rejected too.
    organisations: BTreeMap<String, Counts>,
    /// What was put off or rejected and is still to be taken from what comes to `unsigned`. The
    /// signer reads its counters one after the other, so one message may be in two readings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    owed: BTreeMap<String, BTreeMap<String, u64>>,
    /// What it knew of organisations, of those of which there was something to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, SignerFacts>,
}

/// Why the file of a day can't be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableDay {
    /// It is no such file.
    #[error("it can't be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later Zegel wrote it.
    #[error("it has version {0}, and this zegel knows {VERSION}: upgrade zegel")]
    Newer(u32),
}

impl Day {
    /// A day of which nothing is known, before any other.
    pub fn new(now: Timestamp) -> Self {
        Self {
            version: VERSION,
            day: day_of(now),
            until: now,
            organisations: BTreeMap::new(),
            gaps: Vec::new(),
            silent: BTreeMap::new(),
            signers: BTreeMap::new(),
        }
    }

    /// The day of this moment. `known` is the one in use, or one of a file whose day is yet to
    /// come; `stored` is the last of the files up to [`latest`].
    ///
    /// A clock that was wrong leaves a day that is far from this one. Then it goes on from
    /// `stored`, whose readings are older: what was counted under the wrong day is counted under
    /// this one. Of a signer that has no reading there, the one of the wrong day is as good.
    pub fn resume(known: Option<Self>, stored: Option<Self>, now: Timestamp) -> Self {
        let is_wrong = |known: &Self| {
            let is_older = |stored: &Self| known.day < stored.day;
            known.day > latest(now) || stored.as_ref().is_some_and(is_older)
        };
        let (wrong, right) = match known {
            Some(known) if is_wrong(&known) => (Some(known), stored),
            Some(known) => (None, Some(known)),
            None => (None, stored),
        };
        let mut day = right.unwrap_or_else(|| Self::new(now)).at(now);
        for (signer, mut reading) in wrong.into_iter().flat_map(|wrong| wrong.signers) {
            reading.at = reading.at.min(now);
            day.signers.entry(signer).or_insert(reading);
        }
        day
    }

    /// The day of this moment: this one, or one after it to which the readings go.
    #[must_use]
    fn at(self, now: Timestamp) -> Self {
        // A clock that was set back by a little opens no day that is over.
        if day_of(now) <= self.day {
            return self;
        }
        Self {
            silent: self.silent,
            signers: self.signers,
            ..Self::new(now)
        }
    }

    /// Reads the file of a day.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn parse(json: &[u8]) -> Result<Self, UnreadableDay> {
        parse(json)
    }

    /// What is written of it.
    ///
    /// # Errors
    /// None that anybody knows of.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Adds what a signer has counted since its last reading. Tells whether anything has changed
    /// that is to be written.
    pub fn add(&mut self, signer: &str, figures: &SignerFigures, now: Timestamp) -> bool {
        let mut reading = Reading {
            at: now,
            started: figures.started,
            organisations: raw(figures),
            owed: BTreeMap::new(),
            facts: facts(figures),
        };
        self.until = self.until.max(now);
        let was_silent = self.silent.remove(signer).is_some();
        let before = self.signers.get(signer).cloned();
        let is_same = before.as_ref().is_some_and(|before| {
            before.started == reading.started
                && before.organisations == reading.organisations
                && before.facts == reading.facts
        });
        if is_same {
            if let Some(known) = self.signers.get_mut(signer) {
                known.at = now;
            }
            return was_silent;
        }
        match self.note(signer, before.as_ref(), &reading) {
            Since::Never => {}
            Since::Start => self.count(&mut reading, None),
            Since::Reading => self.count(&mut reading, before.as_ref()),
        }
        self.signers.insert(signer.to_owned(), reading);
        true
    }

    /// Adds what a reading has more than the one before.
    fn count(&mut self, reading: &mut Reading, before: Option<&Reading>) {
        for (id, counts) in &reading.organisations {
            let known = before.and_then(|before| before.organisations.get(id));
            let known = known.filter(|known| !counts.has_fallen(known));
            let owed = before.filter(|_| known.is_some());
            let mut owed = owed
                .and_then(|before| before.owed.get(id).cloned())
                .unwrap_or_default();
            let mut more = counts.since(known.unwrap_or(&Counts::default()));
            more.keep_what_left(&mut owed);
            if more != Counts::default() {
                self.organisations.entry(id.clone()).or_default().add(&more);
            }
            if !owed.is_empty() {
                reading.owed.insert(id.clone(), owed);
            }
        }
    }

    /// Notes that a signer does not answer. Tells whether that is new.
    pub fn miss(&mut self, signer: &str, now: Timestamp) -> bool {
        if self.silent.contains_key(signer) {
            return false;
        }
        let last = self.signers.get(signer).map(|reading| reading.at);
        self.silent.insert(signer.to_owned(), last.unwrap_or(now));
        true
    }

    /// What the signers know of organisations beyond their keyrings, by the id: of all signers
    /// together, and of one that does not answer what it said last.
    pub fn facts(&self) -> BTreeMap<String, SignerFacts> {
        let mut all: BTreeMap<String, SignerFacts> = BTreeMap::new();
        for (id, known) in self.signers.values().flat_map(|reading| &reading.facts) {
            let facts = all.entry(id.clone()).or_default();
            facts.sends_without_key |= known.sends_without_key;
            for (domain, why) in &known.put_off {
                let first = || why.clone();
                facts.put_off.entry(domain.clone()).or_insert_with(first);
            }
        }
        all
    }

    /// Forgets the signers that nobody asks any more.
    pub fn retain(&mut self, is_asked: impl Fn(&str) -> bool) {
        self.silent.retain(|signer, _| is_asked(signer));
        self.signers.retain(|signer, _| is_asked(signer));
    }

    /// From when on a reading counts, and what is not known of it.
    fn note(&mut self, signer: &str, before: Option<&Reading>, reading: &Reading) -> Since {
        let began = time(reading.started);
        let (since, from) = match before {
            Some(before) if before.started == reading.started => (Since::Reading, before.at),
            Some(before) => {
                self.gap(signer, before.at, began, GapKind::Lost);
                (Since::Start, began)
            }
            None if day_of(began) == self.day => (Since::Start, began),
            // It may tell of months.
            None => {
                self.gap(signer, began, reading.at, GapKind::Lost);
                return Since::Never;
            }
        };
        let is_old = reading.at.as_second() - from.as_second() > LATE;
        // Of the same day it makes no difference.
        if is_old && day_of(from) != self.day {
            self.gap(signer, from, reading.at, GapKind::Late);
        }
        since
    }

    fn gap(&mut self, signer: &str, from: Timestamp, until: Timestamp, kind: GapKind) {
        if self.gaps.len() < MOST_GAPS && from < until {
            let signer = signer.to_owned();
            self.gaps.push(Gap {
                signer,
                from,
                until,
                kind,
            });
        }
    }
}

impl DaySummary {
    /// Reads the file of a day.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn parse(json: &[u8]) -> Result<Self, UnreadableDay> {
        parse(json)
    }

    /// The organisations with mail that was not signed.
    pub fn unsigned(self) -> HashMap<String, Counts> {
        let all = self.organisations.into_iter();
        all.filter(|(_, counts)| !counts.reasons().is_empty())
            .collect()
    }
}

impl SignedDay {
    /// Reads the file of a day.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn parse(json: &[u8]) -> Result<Self, UnreadableDay> {
        parse(json)
    }

    /// Whether all that happened was noted.
    pub fn has_all_gaps(&self) -> bool {
        self.gaps.len() < MOST_GAPS
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, UnreadableDay> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let head: Head = serde_json::from_slice(json)?;
    if head.version > VERSION {
        return Err(UnreadableDay::Newer(head.version));
    }
    Ok(serde_json::from_slice(json)?)
}

/// From when on the counters of a reading are new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Since {
    Reading,
    Start,
    Never,
}

impl Counts {
    /// Whether a counter is less than it was.
    fn has_fallen(&self, before: &Self) -> bool {
        let words = |after: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let mut before = before.iter();
            before.any(|(word, count)| after.get(word).copied().unwrap_or_default() < *count)
        };
        // Whether a signer tells selectors changes when its version does.
        let selectors = |before: &BTreeMap<String, u64>| {
            let mut named = before.iter().filter(|(selector, _)| !selector.is_empty());
            named.any(|(selector, count)| {
                self.signed_by.get(selector).copied().unwrap_or_default() < *count
            })
        };
        self.signed < before.signed
            || selectors(&before.signed_by)
            || words(&self.unsigned, &before.unsigned)
            || words(&self.put_off, &before.put_off)
            || words(&self.rejected, &before.rejected)
    }

    /// What has come since then.
    fn since(&self, before: &Self) -> Self {
        let words = |after: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let grown = after.iter().map(|(word, count)| {
                let known = before.get(word).copied().unwrap_or_default();
                (word.clone(), count.saturating_sub(known))
            });
            grown.filter(|(_, count)| *count > 0).collect()
        };
        let signed = self.signed.saturating_sub(before.signed);
        // Written by a version that did not count selectors: what came since is of none.
        let is_older = before.signed > 0 && before.signed_by.is_empty();
        let signed_by = if is_older {
            untold(signed)
        } else {
            words(&self.signed_by, &before.signed_by)
        };
        Self {
            signed,
            signed_by,
            unsigned: words(&self.unsigned, &before.unsigned),
            put_off: words(&self.put_off, &before.put_off),
            rejected: words(&self.rejected, &before.rejected),
        }
    }

    /// Takes what was put off or rejected from `unsigned`: it did not leave. What can't be taken
    /// yet is owed.
    fn keep_what_left(&mut self, owed: &mut BTreeMap<String, u64>) {
        for (word, count) in self.put_off.iter().chain(&self.rejected) {
            let sum = owed.entry(word.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        for (word, count) in &mut self.unsigned {
            if let Some(sum) = owed.get_mut(word) {
                let taken = (*count).min(*sum);
                *count -= taken;
                *sum -= taken;
            }
        }
        self.unsigned.retain(|_, count| *count > 0);
        owed.retain(|_, count| *count > 0);
    }

    /// Adds these.
    pub fn add(&mut self, more: &Self) {
        let words = |to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>| {
            for (word, count) in from {
                let sum = to.entry(word.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        };
        self.signed = self.signed.saturating_add(more.signed);
        for (selector, count) in &more.signed_by {
            add_signatures(&mut self.signed_by, selector, *count);
        }
        words(&mut self.unsigned, &more.unsigned);
        words(&mut self.put_off, &more.put_off);
        words(&mut self.rejected, &more.rejected);
    }

    /// The reasons, with what left unsigned, what was put off and what was rejected.
    pub fn reasons(&self) -> BTreeMap<&str, [u64; 3]> {
        let mut reasons: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        let maps = [&self.unsigned, &self.put_off, &self.rejected];
        for (place, map) in maps.into_iter().enumerate() {
            for (reason, count) in map {
                reasons.entry(reason).or_default()[place] = *count;
            }
        }
        reasons
    }
}

/// The UTC day of a moment.
pub fn day_of(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// The last day that may have mail: clocks differ. A later one is of a clock that was wrong.
pub fn latest(now: Timestamp) -> Date {
    day_of(now).saturating_add(Span::new().days(1))
}

fn time(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// As the signer counts. Who has counted nothing is left out, and so are those together that are
/// told one by one.
fn raw(figures: &SignerFigures) -> BTreeMap<String, Counts> {
    let counts = figures.each().map(|(id, figures)| {
        // A signer of an earlier version does not tell its selectors.
        let signed_by = if figures.signed_by.is_empty() {
            untold(figures.signed)
        } else {
            figures.signed_by.clone()
        };
        let counts = Counts {
            signed: figures.signed,
            signed_by,
            unsigned: figures.unsigned.clone(),
            put_off: figures.put_off.clone(),
            rejected: figures.rejected.clone(),
        };
        (id.clone(), counts)
    });
    counts
        .filter(|(_, counts)| *counts != Counts::default())
        .collect()
}

/// Signatures of which nobody knows the selector, if there are any.
fn untold(signatures: u64) -> BTreeMap<String, u64> {
    let some = (signatures > 0).then(|| (String::new(), signatures));
    some.into_iter().collect()
}

/// What a signer says that it knows of organisations. Whether they send without a key its
/// counters tell too: a signer without a status page says only those.
fn facts(figures: &SignerFigures) -> BTreeMap<String, SignerFacts> {
    let mut facts = figures.facts.clone();
    let awaiting = Refusal::AwaitingKey.as_str();
    for (id, counts) in figures.each() {
        if counts
            .unsigned
            .get(awaiting)
            .is_some_and(|count| *count > 0)
        {
            facts.entry(id.clone()).or_default().sends_without_key = true;
        }
    }
    facts
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
