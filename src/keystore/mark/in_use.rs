//! Which keys are in use by the mark, and are not in use by their keyrings.

use std::path::Path;

use jiff::Timestamp;

use super::{Course, Line, Mark, MarkFile, MarkedKey};
use crate::{
    dkim::key::Fingerprint,
    keys::{KeyEntry, Keyring, State},
    names::{DomainName, OrganisationId, Selector},
};

/// A key that was not given up for a domain, and that the keyring does not have there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    /// Of the key.
    pub selector: Selector,
    /// For which it was made.
    pub domain: DomainName,
    fingerprint: Option<Fingerprint>,
}

impl Mark {
    /// A key that was made for the domain, was not given up, and that the keyring does not have
    /// there, or not in use although it was. `is_behind` says that the keyring may know more.
    pub(in crate::keystore) fn lacking(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        domain: &DomainName,
        is_behind: bool,
    ) -> Option<&Selector> {
        let mut keys = self.keys(organisation);
        keys.find(|key| key.is_lacking(keyring, domain, is_behind))
            .map(|key| &key.selector)
    }

    /// Whether a key was in use for the domain, was not given up, and is not in use by the keyring.
    pub(in crate::keystore) fn lacks_in_use(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        domain: &DomainName,
        is_behind: bool,
    ) -> bool {
        let mut keys = self.keys(organisation);
        keys.any(|key| {
            key.course(domain) == Some(Course::InUse) && key.is_lacking(keyring, domain, is_behind)
        })
    }

    /// Each domain for which a key is in use, with the organisation that has the key.
    pub(in crate::keystore) fn in_use(
        &self,
    ) -> impl Iterator<Item = (&OrganisationId, &DomainName)> {
        self.organisations.iter().flat_map(|(organisation, keys)| {
            let domains = keys.iter().flat_map(|key| &key.domains);
            let in_use = domains.filter(|(_, course)| *course == Course::InUse);
            in_use.map(move |(domain, _)| (organisation, domain))
        })
    }

    /// Whether the organisation had keys for the domain, and has given up all of them.
    pub(in crate::keystore) fn has_ended(
        &self,
        organisation: &OrganisationId,
        domain: &DomainName,
    ) -> bool {
        let keys = self.keys(organisation);
        let mut courses = keys.filter_map(|key| key.course(domain)).peekable();
        courses.peek().is_some() && courses.all(|course| course.end().is_some())
    }

    /// The keys of an organisation that the keyring does not have, for this domain or for all.
    pub(in crate::keystore) fn missing(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        domain: Option<&DomainName>,
    ) -> Vec<Missing> {
        let keys = self.keys(organisation);
        let all = keys.flat_map(|key| key.domains.iter().map(move |(name, _)| (key, name)));
        all.filter(|(_, name)| domain.is_none_or(|domain| domain == *name))
            .filter(|(key, name)| key.is_lacking(keyring, name, false))
            .map(|(key, name)| Missing {
                selector: key.selector.clone(),
                domain: name.clone(),
                fingerprint: key.fingerprint,
            })
            .collect()
    }

    /// The domains that it knows of an organisation.
    pub(in crate::keystore) fn domains(
        &self,
        organisation: &OrganisationId,
    ) -> impl Iterator<Item = &DomainName> {
        let domains = self.keys(organisation).flat_map(|key| &key.domains);
        domains.map(|(domain, _)| domain)
    }

    /// Takes in that keys are in use of which only the audit log tells it.
    pub(super) fn take_in_use(&mut self, told: &Self) {
        for (organisation, keys) in &told.organisations {
            for key in keys {
                for (domain, _) in key.domains.iter().filter(|one| one.1 == Course::InUse) {
                    self.use_key(organisation, &key.selector, domain);
                }
            }
        }
    }

    fn use_key(&mut self, organisation: &OrganisationId, selector: &Selector, domain: &DomainName) {
        let Some(keys) = self.organisations.get_mut(organisation) else {
            return;
        };
        for key in keys.iter_mut().filter(|key| key.selector == *selector) {
            if matches!(key.course(domain), None | Some(Course::Made)) {
                key.set(domain.clone(), Course::InUse);
            }
        }
    }
}

/// Each domain for which a key is in use by the mark of a keystore that can't be read, with the
/// organisation that has the key. Nothing of a mark that can't be read either.
pub fn marked_in_use(keystore: &Path, mark: Option<&Path>) -> Vec<(OrganisationId, DomainName)> {
    let file = match mark {
        Some(folder) => MarkFile::new(folder.to_owned()),
        None => MarkFile::beside(keystore.components().as_path()),
    };
    let mark = file.read().ok().flatten().unwrap_or_default();
    let in_use = mark.in_use();
    in_use
        .map(|(id, domain)| (id.clone(), domain.clone()))
        .collect()
}

impl MarkedKey {
    /// Whether the keyring ought to have it for the domain, as far as it has come, and has not.
    fn is_lacking(&self, keyring: &Keyring, domain: &DomainName, is_behind: bool) -> bool {
        let course = self.course(domain);
        let is_such = |state: State| match state {
            State::Active | State::Withdrawn | State::Revoked => true,
            State::Generated | State::Published => course == Some(Course::Made),
            // It may have been back in use since.
            State::Draining => course == Some(Course::Made) || is_behind,
        };
        let mut entries = keyring.keys().iter();
        let has_ended = course.is_none_or(|course| course.end().is_some());
        !has_ended
            && !entries.any(|entry| {
                self.is(&entry.selector, Some(entry.fingerprint))
                    && entry.state(domain).is_some_and(is_such)
            })
    }
}

impl Missing {
    /// That it is given up now.
    pub(super) fn end(&self, organisation: &OrganisationId, now: Timestamp) -> Line {
        Line::GivenUp {
            time: now,
            organisation: organisation.clone(),
            selector: self.selector.clone(),
            fingerprint: self.fingerprint,
            domains: vec![self.domain.clone()],
            compromised: false,
        }
    }
}

/// That a key has come into use. What a zegel of 0.1 wrote says nothing: there, an organisation or
/// domain without a file was removed. It is told with the first change that is written today.
pub(super) fn line(
    organisation: &OrganisationId,
    before: &Keyring,
    key: &KeyEntry,
) -> Option<Line> {
    let known = before.key(&key.selector).filter(|_| !before.is_of_0_1());
    let is_active = |key: &KeyEntry, domain| key.state(domain) == Some(State::Active);
    let domains = key.publications.keys().filter(|domain| {
        is_active(key, domain) && !known.is_some_and(|known| is_active(known, domain))
    });
    let domains: Vec<DomainName> = domains.cloned().collect();
    (!domains.is_empty()).then(|| Line::InUse {
        organisation: organisation.clone(),
        selector: key.selector.clone(),
        fingerprint: Some(key.fingerprint),
        domains,
    })
}
