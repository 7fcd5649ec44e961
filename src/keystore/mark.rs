//! What is known of a keystore outside of its folder: which keystore it was, its generation,
//! the keys that it had, and those that were given up.
//!
//! A backup that is put back, or another disk that is mounted, brings an older state of the
//! keystore. By itself it says nothing of what happened since. The mark does: it is in a folder
//! that a backup of the keystore does not bring back, `[keystore] mark`.
//!
//! It is written after a change was announced, so it is never ahead of the keystore; a crash in
//! between leaves it behind, and the next writer brings it up to date. If it can't be written,
//! that is a warning and holds up nothing.
//!
//! `mark.jsonl` has one JSON line for each thing that happened. It grows with every change, and
//! is written anew when most of it is no longer needed. A line that can't be read, such as one
//! that was cut off, is passed over.

mod about;
mod file;
mod in_use;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::in_use::{Missing, marked_in_use};
pub(super) use self::{about::About, file::MarkFile};
use super::identity::KeystoreId;
use crate::{
    dkim::key::Fingerprint,
    files,
    keys::{KeyEntry, KeyIdentity, Keyring, Publication, Revocation},
    names::{DomainName, OrganisationId, Selector},
};

/// So many lines are no reason to write the mark anew.
const SPARE_LINES: usize = 1000;

/// What is known beside the keyrings; see the module.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    id: Option<KeystoreId>,
    generation: u64,
    restored: Option<Timestamp>,
    organisations: HashMap<OrganisationId, Vec<MarkedKey>>,
    /// Who has or had a key for a domain: most often one organisation.
    holders: HashMap<DomainName, Vec<OrganisationId>>,
    /// In the file.
    lines: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct MarkedKey {
    selector: Selector,
    /// None where only the audit log tells of the key.
    fingerprint: Option<Fingerprint>,
    /// What it was made for, and what became of it there.
    domains: Vec<(DomainName, Course)>,
}

/// How far a key has come for a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Course {
    /// It was made; nobody tells that it signed.
    Made,
    InUse,
    GivenUp(GivenUp),
}

/// When and why a key was given up for a domain.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct GivenUp {
    pub(super) time: Timestamp,
    /// Others may have it.
    pub(super) is_compromised: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Line {
    /// Which keystore it is.
    Keystore { id: KeystoreId },
    /// A key was made, or is to sign for more domains.
    Key {
        organisation: OrganisationId,
        selector: Selector,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        domains: Vec<DomainName>,
    },
    /// A key signs for these domains.
    InUse {
        organisation: OrganisationId,
        selector: Selector,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        domains: Vec<DomainName>,
    },
    /// A key drains, was withdrawn or was revoked.
    GivenUp {
        time: Timestamp,
        organisation: OrganisationId,
        selector: Selector,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        domains: Vec<DomainName>,
        /// Others may have it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compromised: bool,
    },
    /// An older keystore, or another one, was found in the place of the one that was there.
    Restored { time: Timestamp },
    /// All changes up to this generation are told above.
    Generation { number: u64 },
}

/// How a keystore compares with its mark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    /// They tell the same.
    Current,
    /// The mark lacks the last changes.
    Behind,
    /// The keystore lacks changes that there were, or it is another one.
    Earlier,
}

impl Mark {
    /// Since when each active key has to be seen again in the DNS, after an older keystore was
    /// put back.
    pub fn restored(&self) -> Option<Timestamp> {
        self.restored
    }

    pub(super) fn id(&self) -> Option<&KeystoreId> {
        self.id.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn compare(&self, id: Option<&KeystoreId>, generation: u64) -> Comparison {
        let is_other = self.id.is_some() && id.is_some() && self.id.as_ref() != id;
        if is_other || generation < self.generation {
            Comparison::Earlier
        } else if generation > self.generation || self.id.is_none() {
            Comparison::Behind
        } else {
            Comparison::Current
        }
    }

    /// When a key was given up for a domain for which the keyring says otherwise. None if the
    /// keyring came to that later.
    pub(super) fn gave_up(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
        domain: &DomainName,
    ) -> Option<GivenUp> {
        let publication = entry.publications.get(domain)?;
        let keys = self.organisations.get(organisation)?.iter();
        keys.filter(|key| key.is(&entry.selector, Some(entry.fingerprint)))
            .filter_map(|key| key.given_up(domain))
            .max()
            .filter(|given_up| publication.since <= given_up.time)
    }

    /// Whether a key is given up for a domain by now.
    pub(super) fn has_given_up(
        &self,
        organisation: &OrganisationId,
        key: &KeyIdentity,
        domain: &DomainName,
    ) -> bool {
        let mut keys = self.keys(organisation);
        keys.any(|one| {
            one.is(&key.selector, Some(key.fingerprint)) && one.given_up(domain).is_some()
        })
    }

    /// Whether the organisation had a key with this selector.
    pub(super) fn names(&self, organisation: &OrganisationId, selector: &Selector) -> bool {
        let mut keys = self.keys(organisation);
        keys.any(|key| key.selector == *selector)
    }

    /// Whether the organisation had this key under this selector, and has not given it up.
    pub(super) fn has(
        &self,
        organisation: &OrganisationId,
        selector: &Selector,
        fingerprint: Fingerprint,
    ) -> bool {
        let mut keys = self
            .keys(organisation)
            .filter(|key| key.selector == *selector);
        keys.all(|key| {
            key.fingerprint == Some(fingerprint)
                && key.domains.iter().all(|(_, course)| course.end().is_none())
        })
    }

    /// Another organisation than this one that had a key with this selector in one of the
    /// domains, and in which.
    pub(super) fn shares(
        &self,
        organisation: &OrganisationId,
        selector: &Selector,
        domains: &[DomainName],
    ) -> Option<(OrganisationId, DomainName)> {
        domains.iter().find_map(|domain| {
            let mut others = self.holders.get(domain)?.iter();
            let other = others.find(|other| {
                let mut keys = self.keys(other);
                *other != organisation
                    && keys.any(|key| key.selector == *selector && key.is_for(domain))
            })?;
            Some((other.clone(), domain.clone()))
        })
    }

    /// Each key whose private half may be known to others by now, or must not come back.
    pub(super) fn given_up_keys(
        &self,
    ) -> impl Iterator<Item = (Fingerprint, &OrganisationId, &Selector)> {
        self.organisations.iter().flat_map(|(organisation, keys)| {
            let given_up = keys
                .iter()
                .filter(|key| key.domains.iter().any(|(_, course)| course.end().is_some()));
            given_up.filter_map(move |key| Some((key.fingerprint?, organisation, &key.selector)))
        })
    }

    /// Who has or had a key for the domain.
    pub(super) fn holders(&self, domain: &DomainName) -> &[OrganisationId] {
        self.holders.get(domain).map_or(&[], Vec::as_slice)
    }

    /// Who has or had one of the keys of these organisations, and is none of them.
    pub(super) fn sharing(
        &self,
        organisations: &BTreeSet<OrganisationId>,
    ) -> BTreeSet<OrganisationId> {
        let own = organisations.iter().flat_map(|one| self.keys(one));
        let keys: HashSet<Fingerprint> = own.filter_map(|key| key.fingerprint).collect();
        let others = self.organisations.iter();
        let others = others.filter(|(id, theirs)| {
            let mut theirs = theirs.iter().filter_map(|key| key.fingerprint);
            !organisations.contains(*id) && theirs.any(|key| keys.contains(&key))
        });
        others.map(|(id, _)| id.clone()).collect()
    }

    fn keys(&self, organisation: &OrganisationId) -> impl Iterator<Item = &MarkedKey> {
        self.organisations.get(organisation).into_iter().flatten()
    }

    /// Takes in what the lines of a file say.
    fn read(&mut self, text: &[u8]) {
        /// At a time: they take far more memory than their text.
        const LINES: usize = 16 * 1024;
        let lines = text.split(|octet| *octet == b'\n');
        let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
        self.lines += lines.len();
        for lines in lines.chunks(LINES) {
            // One may be cut off, or a later zegel wrote it.
            let read = files::each(lines, |line| serde_json::from_slice(line).ok());
            read.into_iter().flatten().for_each(|line| self.take(line));
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Keystore { id } => self.id = Some(id),
            Line::Generation { number } => self.generation = number,
            Line::Restored { time } => self.restored = Some(time),
            Line::Key {
                organisation,
                selector,
                fingerprint,
                domains,
            } => self.note((organisation, selector, fingerprint), domains, Course::Made),
            Line::InUse {
                organisation,
                selector,
                fingerprint,
                domains,
            } => self.note(
                (organisation, selector, fingerprint),
                domains,
                Course::InUse,
            ),
            Line::GivenUp {
                time,
                organisation,
                selector,
                fingerprint,
                domains,
                compromised,
            } => {
                let given_up = GivenUp {
                    time,
                    is_compromised: compromised,
                };
                let key = (organisation, selector, fingerprint);
                self.note(key, domains, Course::GivenUp(given_up));
            }
        }
    }

    fn note(
        &mut self,
        (organisation, selector, fingerprint): (OrganisationId, Selector, Option<Fingerprint>),
        domains: Vec<DomainName>,
        course: Course,
    ) {
        self.hold(&organisation, &domains);
        let key = self.key(organisation, selector, fingerprint);
        for domain in domains {
            // A keyring that is older does not know that it is in use.
            if course != Course::Made || key.course(&domain) != Some(Course::InUse) {
                key.set(domain, course);
            }
        }
    }

    fn hold(&mut self, organisation: &OrganisationId, domains: &[DomainName]) {
        for domain in domains {
            let holders = self.holders.entry(domain.clone()).or_default();
            if !holders.contains(organisation) {
                holders.push(organisation.clone());
            }
        }
    }

    fn key(
        &mut self,
        organisation: OrganisationId,
        selector: Selector,
        fingerprint: Option<Fingerprint>,
    ) -> &mut MarkedKey {
        let keys = self.organisations.entry(organisation).or_default();
        let known = keys
            .iter()
            .position(|key| key.selector == selector && key.fingerprint == fingerprint);
        let place = known.unwrap_or_else(|| {
            keys.push(MarkedKey {
                selector,
                fingerprint,
                domains: Vec::new(),
            });
            keys.len() - 1
        });
        &mut keys[place]
    }

    /// All that is known, in as few lines as it takes.
    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .id
            .clone()
            .map(|id| Line::Keystore { id })
            .into_iter()
            .collect();
        for (organisation, keys) in &self.organisations {
            for key in keys {
                lines.extend(key.lines(organisation));
            }
        }
        lines.extend(self.restored.map(|time| Line::Restored { time }));
        lines.push(Line::Generation {
            number: self.generation,
        });
        lines
    }

    /// Whether most of the file tells what is no longer needed.
    fn is_lengthy(&self) -> bool {
        let needed: usize = self.organisations.values().map(|keys| 3 * keys.len()).sum();
        self.lines > 2 * needed + SPARE_LINES
    }
}

impl MarkedKey {
    fn is(&self, selector: &Selector, fingerprint: Option<Fingerprint>) -> bool {
        self.selector == *selector
            && (self.fingerprint.is_none() || self.fingerprint == fingerprint)
    }

    fn is_for(&self, domain: &DomainName) -> bool {
        self.domains.iter().any(|(name, _)| name == domain)
    }

    fn course(&self, domain: &DomainName) -> Option<Course> {
        let found = self.domains.iter().find(|(name, _)| name == domain);
        found.map(|(_, course)| *course)
    }

    fn given_up(&self, domain: &DomainName) -> Option<GivenUp> {
        self.course(domain)?.end()
    }

    fn set(&mut self, domain: DomainName, course: Course) {
        match self.domains.iter_mut().find(|(name, _)| *name == domain) {
            Some((_, known)) => *known = course,
            None => self.domains.push((domain, course)),
        }
    }

    fn lines(&self, organisation: &OrganisationId) -> Vec<Line> {
        let mut lines = vec![Line::Key {
            organisation: organisation.clone(),
            selector: self.selector.clone(),
            fingerprint: self.fingerprint,
            domains: self.domains.iter().map(|(name, _)| name.clone()).collect(),
        }];
        let alike = |course| {
            let alike = self.domains.iter().filter(move |(_, one)| *one == course);
            alike.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let in_use = alike(Course::InUse);
        if !in_use.is_empty() {
            lines.push(Line::InUse {
                organisation: organisation.clone(),
                selector: self.selector.clone(),
                fingerprint: self.fingerprint,
                domains: in_use,
            });
        }
        let ends = self.domains.iter().filter_map(|(_, course)| course.end());
        let mut ends: Vec<GivenUp> = ends.collect();
        ends.sort_unstable();
        ends.dedup();
        for end in ends {
            lines.push(Line::GivenUp {
                time: end.time,
                organisation: organisation.clone(),
                selector: self.selector.clone(),
                fingerprint: self.fingerprint,
                domains: alike(Course::GivenUp(end)),
                compromised: end.is_compromised,
            });
        }
        lines
    }
}

impl Course {
    fn end(self) -> Option<GivenUp> {
        match self {
            Self::GivenUp(end) => Some(end),
            Self::Made | Self::InUse => None,
        }
    }
}

/// What is to be told of the keys of an organisation that have changed.
fn news(organisation: &OrganisationId, before: &Keyring, after: &Keyring) -> Vec<Line> {
    let mut lines = Vec::new();
    for key in after.keys() {
        let known = before.key(&key.selector);
        let mut made = Vec::new();
        let mut ends: BTreeMap<GivenUp, Vec<DomainName>> = BTreeMap::new();
        for (domain, publication) in &key.publications {
            let before = known.and_then(|known| known.publications.get(domain));
            match (end_of(publication), before.map(end_of)) {
                (None, None | Some(Some(_))) => made.push(domain.clone()),
                (None, Some(None)) => {}
                (Some(end), Some(Some(known))) if end.is_compromised == known.is_compromised => {}
                (Some(end), _) => ends.entry(end).or_default().push(domain.clone()),
            }
        }
        if known.is_none() || !made.is_empty() {
            lines.push(Line::Key {
                organisation: organisation.clone(),
                selector: key.selector.clone(),
                fingerprint: Some(key.fingerprint),
                domains: made,
            });
        }
        lines.extend(in_use::line(organisation, before, key));
        lines.extend(ends.into_iter().map(|(end, domains)| Line::GivenUp {
            time: end.time,
            organisation: organisation.clone(),
            selector: key.selector.clone(),
            fingerprint: Some(key.fingerprint),
            domains,
            compromised: end.is_compromised,
        }));
    }
    lines
}

fn end_of(publication: &Publication) -> Option<GivenUp> {
    publication.state.is_given_up().then_some(GivenUp {
        time: publication.since,
        is_compromised: publication.revocation == Some(Revocation::Compromised),
    })
}
