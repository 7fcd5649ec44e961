//! What is said of the keys of a period: made from histories and keyrings.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    history::{Histories, History, Use},
    period::Period,
    summary::summary,
    told::{KeyReport, OrganisationReport, Report, Rotation, Signed, Suspension, Unknown},
    words::join,
};
use crate::{
    dkim::PublicKey,
    keys::{KeyEntry, Keyring, State, Why},
    names::{DomainName, OrganisationId, Selector},
};

/// Makes the report. `configured` are the organisations with the domains that they send from; they
/// are those of today, so they count only if the period includes it. `unreadable` are those whose
/// keyring is there and can't be read.
pub fn report<'a>(
    period: Period,
    organisation: Option<&OrganisationId>,
    histories: Histories,
    keyrings: &BTreeMap<OrganisationId, Keyring>,
    unreadable: &[OrganisationId],
    configured: impl IntoIterator<Item = (&'a OrganisationId, &'a [DomainName])>,
    rotate_every: Duration,
) -> Report {
    let sources = histories.sources(period, unreadable);
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
        summary: summary(
            period,
            &organisations,
            organisation.is_none(),
            keyrings,
            unreadable,
            configured,
        ),
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
            alarms_standing: history.standing.len(),
            events: history.take_events(),
            counted: history.counted,
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
                let keys = history.uses.entry(domain.clone()).or_default();
                let used = keys.entry(entry.selector.clone()).or_default();
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
    entry.public_key.as_ref().map(PublicKey::bits)
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
    fn sources(&self, period: Period, without: &[OrganisationId]) -> Vec<String> {
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
        if !without.is_empty() {
            sources.push(format!(
                "Keyrings that can't be read: {}. Keys of these are missing, or have no length and \
                 no fingerprint, and nobody can tell whether others use them too.",
                join(without)
            ));
        }
        sources.push(
            "A key that was imported may be older, and may have signed before, elsewhere.".into(),
        );
        sources.push(if period.now.is_some() {
            "The log has a line when a key changes its state. When a record was last seen is taken \
             from the keyrings too."
                .into()
        } else {
            "The log has a line when a key changes its state: when a record was last seen is that \
             of the last such line in the period. Which domains were configured then is not known, \
             so none can be missing a key."
                .into()
        });
        sources.push(
            "Alarms are those that the keeper has written down. A keeper of before this report \
             existed wrote them to its log only."
                .into(),
        );
        sources
    }
}
