//! What is said of the keys of a period.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Period, Who,
    history::{Histories, History, Use},
    summary::Summary,
};
use crate::{
    dkim::{Algorithm, key::Fingerprint},
    keys::{KeyEntry, Keyring, State, Why},
    keystore::Recorded,
    names::{DomainName, OrganisationId, Selector},
};

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which days.
    pub period: Period,
    /// Only this organisation; none: all of them.
    pub organisation: Option<OrganisationId>,
    /// How long a key is meant to sign, in days, by the configuration that the report was made
    /// with.
    pub rotate_every_days: i64,
    /// The answer in short.
    pub summary: Summary,
    /// Those of which there is something to say.
    pub organisations: Vec<OrganisationReport>,
    /// What happened to the keystore as a whole, such as a backup that was restored.
    pub keystore: Vec<Done>,
    /// What it is made of, and what cannot be known.
    pub sources: Vec<String>,
}

/// Of one organisation.
#[derive(Clone, Debug, Serialize)]
pub struct OrganisationReport {
    /// Its id.
    pub organisation: OrganisationId,
    /// Keys that signed in the period, by their domains.
    pub keys: Vec<KeyReport>,
    /// Keys that took the place of others in the period.
    pub rotations: Vec<Rotation>,
    /// What was done in the period.
    pub events: Vec<Done>,
    /// When none of its mail was signed, at the operator's word.
    pub suspensions: Vec<Suspension>,
    /// Keys of which it is not known whether they signed.
    pub unknown: Vec<Unknown>,
    /// Events and times that are not listed, since there are too many.
    pub left_out: u64,
}

/// A key that signed for a domain.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// For which one.
    pub domain: DomainName,
    /// Its selector.
    pub selector: Selector,
    /// None where no keyring has the key any more; likewise the next two.
    pub algorithm: Option<Algorithm>,
    /// Of its public half.
    pub bits: Option<usize>,
    /// Of its public half.
    pub fingerprint: Option<Fingerprint>,
    /// When it was made, or imported.
    pub made: Option<Timestamp>,
    /// By whom, if the log tells.
    pub made_by: Option<Who>,
    /// Whether it was made elsewhere: its age is at least what is said.
    pub imported: bool,
    /// When it signed, as far as that touches the period.
    pub signed: Vec<Signed>,
    /// How long it had signed when it ended, or at the end of the period, in days.
    pub used_days: Option<i64>,
    /// Since it was made, at the same moment, in days.
    pub age_days: Option<i64>,
    /// Whether it signed for longer than a key is meant to.
    pub too_long: bool,
    /// Since when every server showed its record.
    pub record_first_seen: Option<Timestamp>,
    /// When they were last known to.
    pub record_last_seen: Option<Timestamp>,
    /// How often its record was lost before it signed.
    pub record_lost: u64,
    /// When its record was given up.
    pub withdrawn: Option<Done>,
    /// When it was revoked.
    pub revoked: Option<Done>,
    /// What is wrong with its record now; only if the period includes today.
    pub alarm: Option<Why>,
}

/// A time in which a key signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Signed {
    /// None if nothing tells.
    pub from: Option<Timestamp>,
    /// Who put it in use.
    pub by: Option<Who>,
    /// On the word of the operator that its record is in the DNS.
    pub assumed: bool,
    /// None if it signed on at the end of the period.
    pub until: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
}

/// How a key ended to sign.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ending {
    /// The word of the log.
    pub event: String,
    /// Who did it.
    pub by: Who,
}

/// A key that took the place of another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rotation {
    /// In which domain.
    pub domain: DomainName,
    /// The one before.
    pub from: Selector,
    /// The one after.
    pub to: Selector,
    /// When.
    pub time: Timestamp,
    /// How long the one before had signed, in days.
    pub after_days: Option<i64>,
    /// By whom.
    pub by: Option<Who>,
}

/// Something that was done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Done {
    /// When.
    pub time: Timestamp,
    /// The word of the log.
    pub event: String,
    /// With which key; none: all of them.
    pub selector: Option<Selector>,
    /// For which domains.
    pub domains: Vec<DomainName>,
    /// `assumed` on the operator's word that the record is in the DNS; `compromised` or `aborted`
    /// of a key that was revoked.
    pub word: Option<String>,
    /// Who did it.
    pub by: Who,
}

/// A time in which no mail of an organisation was signed, at the operator's word.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Suspension {
    /// Its beginning.
    pub from: Timestamp,
    /// Who began it.
    pub by: Who,
    /// None if it went on at the end of the period.
    pub until: Option<Timestamp>,
}

/// A key of which the log tells nothing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Unknown {
    /// In which domain.
    pub domain: DomainName,
    /// Its selector.
    pub selector: Selector,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Of its public half.
    pub bits: Option<usize>,
    /// Of its public half.
    pub fingerprint: Fingerprint,
    /// When it was made or imported, by its keyring.
    pub made: Timestamp,
}

impl Done {
    pub(super) fn of(line: &Recorded) -> Self {
        let revocation = line.publication.and_then(|one| one.revocation);
        let revocation = revocation.filter(|_| line.event == "revoked");
        let word = revocation.and_then(|word| serde_json::to_value(word).ok());
        let word = word.and_then(|word| word.as_str().map(str::to_owned));
        Self {
            time: line.time,
            event: line.event.clone(),
            selector: line.selector.clone(),
            domains: line.domains.clone(),
            word: word.or_else(|| line.evidence.clone()),
            by: Who::of(line),
        }
    }
}

/// Makes the report. `configured` are the organisations with the domains that they send from; they
/// are those of today, so they count only if the period includes it.
pub fn report<'a>(
    period: Period,
    organisation: Option<&OrganisationId>,
    histories: Histories,
    keyrings: &BTreeMap<OrganisationId, Keyring>,
    configured: impl IntoIterator<Item = (&'a OrganisationId, &'a [DomainName])>,
    rotate_every: Duration,
) -> Report {
    let sources = histories.sources(period);
    let keystore = histories.whole;
    let mut organisations = histories.organisations;
    // A key that the log does not tell of is there too.
    for id in keyrings.keys() {
        organisations.entry(id.clone()).or_default();
    }
    organisations.retain(|id, _| organisation.is_none_or(|only| only == id));
    let nothing = Keyring::default();
    let limit = i64::try_from(rotate_every.as_secs()).unwrap_or(i64::MAX);
    let all = organisations.into_iter().map(|(id, history)| {
        let keyring = keyrings.get(&id).unwrap_or(&nothing);
        let making = Making {
            period,
            keyring,
            limit,
        };
        making.organisation(id, history)
    });
    let organisations: Vec<OrganisationReport> = all.filter(|one| !one.is_empty()).collect();
    let only = |(id, _): &(&OrganisationId, &[DomainName])| {
        organisation.is_none_or(|organisation| organisation == *id)
    };
    let configured = configured.into_iter().filter(only);
    Report {
        summary: Summary::of(period, &organisations, keyrings, configured),
        period,
        organisation: organisation.cloned(),
        rotate_every_days: limit / DAY,
        organisations,
        keystore,
        sources,
    }
}

const DAY: i64 = 24 * 3600;

/// Whole days from one moment to another.
fn days(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).max(0) / DAY
}

/// The making of what is said of one organisation.
struct Making<'a> {
    period: Period,
    keyring: &'a Keyring,
    /// How long a key is meant to sign, in seconds.
    limit: i64,
}

impl Making<'_> {
    fn organisation(&self, id: OrganisationId, mut history: History) -> OrganisationReport {
        let unknown = self.unknown(&mut history);
        let mut keys = Vec::new();
        let mut rotations = Vec::new();
        for (domain, uses) in &history.uses {
            rotations.extend(self.rotations(domain, uses));
            let reports = uses
                .iter()
                .filter_map(|(selector, used)| self.key(domain, selector, used));
            keys.extend(reports);
        }
        let (begin, end) = (self.period.begin(), self.period.end());
        let touches = |one: &Suspension| one.until.is_none_or(|until| until > begin);
        history
            .suspensions
            .retain(|one| touches(one) && one.from < end);
        OrganisationReport {
            organisation: id,
            keys,
            rotations,
            events: history.events,
            suspensions: history.suspensions,
            unknown,
            left_out: history.left_out,
        }
    }

    /// Keys of the keyring that no line tells of. What the keyring says of today is put into the
    /// history, if the period includes that.
    fn unknown(&self, history: &mut History) -> Vec<Unknown> {
        let mut unknown = Vec::new();
        for entry in self.keyring.keys() {
            if entry.created >= self.period.end() {
                continue;
            }
            for (domain, publication) in &entry.publications {
                let uses = history.uses.entry(domain.clone()).or_default();
                let used = uses.entry(entry.selector.clone()).or_default();
                let is_told = used.made.is_some() || !used.signed.is_empty();
                if self.period.now.is_some() {
                    let first = [used.seen_first, publication.seen_since];
                    used.seen_first = first.into_iter().flatten().min();
                    used.seen_last = used.seen_last.max(publication.seen_last);
                    let signs = used.signed.last().is_some_and(|one| one.until.is_none());
                    if publication.state == State::Active && !signs {
                        used.signed.push(Signed {
                            from: Some(publication.since),
                            by: None,
                            assumed: publication.assumed,
                            until: None,
                            ending: None,
                        });
                        continue;
                    }
                }
                if !is_told {
                    unknown.push(Unknown {
                        domain: domain.clone(),
                        selector: entry.selector.clone(),
                        algorithm: entry.algorithm,
                        bits: bits(entry),
                        fingerprint: entry.fingerprint,
                        made: entry.created,
                    });
                }
            }
        }
        unknown
    }

    /// None if it did not sign in the period.
    fn key(&self, domain: &DomainName, selector: &Selector, used: &Use) -> Option<KeyReport> {
        let (begin, end) = (self.period.begin(), self.period.end());
        let touches = |one: &&Signed| {
            one.until.is_none_or(|until| until >= begin) && one.from.is_none_or(|from| from < end)
        };
        let signed: Vec<Signed> = used.signed.iter().filter(touches).cloned().collect();
        let last = signed.last()?;
        let entry = self.keyring.key(selector);
        let made = used.made.as_ref();
        let made_at = made
            .filter(|made| made.event != "added")
            .map(|made| made.time);
        let made_at = entry.map(|entry| entry.created).or(made_at);
        let ended = last.until.unwrap_or(end);
        let used_seconds = last.from.map(|from| ended.as_second() - from.as_second());
        Some(KeyReport {
            domain: domain.clone(),
            selector: selector.clone(),
            algorithm: entry.map(|entry| entry.algorithm),
            bits: entry.and_then(bits),
            fingerprint: entry.map(|entry| entry.fingerprint),
            made: made_at,
            made_by: made.map(|made| made.by.clone()),
            imported: made.is_some_and(|made| made.event == "imported"),
            used_days: last.from.map(|from| days(from, ended)),
            age_days: made_at.map(|made| days(made, ended)),
            too_long: used_seconds.is_some_and(|seconds| seconds > self.limit),
            record_first_seen: used.seen_first,
            record_last_seen: used.seen_last,
            record_lost: used.lost,
            withdrawn: used.withdrawn.clone(),
            revoked: used.revoked.clone(),
            alarm: self.alarm(entry, domain),
            signed,
        })
    }

    /// What is wrong with the record of a key that signs or drains, if today is asked for.
    fn alarm(&self, entry: Option<&KeyEntry>, domain: &DomainName) -> Option<Why> {
        let publication = entry?.publications.get(domain)?;
        let is_needed = matches!(publication.state, State::Active | State::Draining);
        let is_wrong = |why: &Why| {
            matches!(
                why,
                Why::NotSeen | Why::SeenPartly | Why::SeenWrong | Why::SeenRevoked | Why::GoneEarly
            )
        };
        let why = publication.why.filter(is_wrong);
        why.filter(|_| is_needed && self.period.now.is_some())
    }

    /// The keys of a domain that took each other's place in the period, by their algorithm.
    fn rotations(&self, domain: &DomainName, uses: &BTreeMap<Selector, Use>) -> Vec<Rotation> {
        let algorithm = |selector: &Selector| {
            let entry = self.keyring.key(selector);
            entry.map_or("", |entry| entry.algorithm.as_str())
        };
        let mut times: Vec<(&str, Timestamp, &Selector, &Signed)> = Vec::new();
        for (selector, used) in uses {
            for signed in &used.signed {
                let from = signed.from.unwrap_or(Timestamp::MIN);
                times.push((algorithm(selector), from, selector, signed));
            }
        }
        times.sort_by_key(|(algorithm, from, selector, _)| (*algorithm, *from, *selector));
        let pairs = times.windows(2).filter_map(|pair| {
            let [(before_kind, _, before, ended), (kind, time, after, begun)] = pair else {
                return None;
            };
            let is_in = *time >= self.period.begin() && *time < self.period.end();
            (before_kind == kind && before != after && is_in).then(|| Rotation {
                domain: domain.clone(),
                from: (*before).clone(),
                to: (*after).clone(),
                time: *time,
                after_days: ended.from.map(|from| days(from, *time)),
                by: begun.by.clone(),
            })
        });
        pairs.collect()
    }
}

fn bits(entry: &KeyEntry) -> Option<usize> {
    entry.public_key.as_ref().map(|key| key.bits())
}

impl OrganisationReport {
    fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.events.is_empty()
            && self.suspensions.is_empty()
            && self.unknown.is_empty()
    }
}

impl Histories {
    /// What the report is made of, and what cannot be known.
    fn sources(&self, period: Period) -> Vec<String> {
        let mut sources = vec![match self.first {
            Some(first) => format!(
                "Made from {} lines of the audit log, the first of {first:.0}, and from the \
                 keyrings. What happened before that line, or on another relay, is not known.",
                self.lines
            ),
            None => "The audit log is empty: nothing is known but what the keyrings say.".into(),
        }];
        let (unreadable, named) = &self.unreadable;
        if *unreadable > 0 {
            let named: Vec<String> = named.iter().map(u64::to_string).collect();
            let more = if *unreadable > 20 { ", …" } else { "" };
            sources.push(format!(
                "Lines of the audit log that can't be read, and are left out: {unreadable} (line \
                 {}{more}).",
                named.join(", ")
            ));
        }
        sources.push(
            "A key that was imported may be older, and may have signed before, elsewhere.".into(),
        );
        sources.push(if period.now.is_some() {
            "The log has a line when a key changes its state. When a record was last seen is taken \
             from the keyrings too. Of alarms, only those that stand now are listed: past ones are \
             in the log of the keeper."
                .into()
        } else {
            "The log has a line when a key changes its state: when a record was last seen is that \
             of the last such line in the period. Alarms are not in it: they are in the log of the \
             keeper. Which domains were configured then is not known, so none can be missing a \
             key."
                .into()
        });
        sources
    }
}
