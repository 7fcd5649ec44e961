//! Who changes the keystore, under its lock. What a change is, [`crate::keys`] says; how it
//! reaches the disk, `commit` does.

use std::collections::{BTreeSet, HashMap};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Keystore, Target,
    files::Folder,
    identity,
    lock::{Lock, PATIENCE},
    problem::{KeyProblem, KeystoreError},
};
use crate::{
    dkim::key::Fingerprint,
    keys::{self, Change, Event, KeyEntry, NewKey, Origin, Revision, Timing, WantedKey},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// The one who may change the keystore, until it is dropped. Others wait for a few
/// seconds at most, so nothing slow may be done meanwhile.
pub struct Writer {
    pub(super) keystore: Keystore,
    pub(super) root: Folder,
    /// Every key of every organisation; read when it is first needed.
    known: Option<HashMap<Fingerprint, (OrganisationId, Selector)>>,
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(keystore: &Keystore) -> Result<Self, KeystoreError> {
        let root = keystore.root()?;
        let lock = Lock::of_writer(&root, PATIENCE)?;
        identity::of_writer(&root)?;
        keystore.announce_left_over(&root)?;
        Ok(Self {
            keystore: keystore.clone(),
            root,
            known: None,
            _lock: lock,
        })
    }

    /// Adds a key, `generated` for each of the domains of `target`.
    ///
    /// # Errors
    /// When the selector was ever used in the organisation, when any organisation has the
    /// key already, when a key file of that name is there, or when writing fails. Nothing
    /// is changed then, unless the error is in the last step: the key may be there and not
    /// announced, which the next writer makes good.
    pub fn add(
        &mut self,
        target: &Target<'_>,
        key: &NewKey,
        now: Timestamp,
    ) -> Result<KeyEntry, KeystoreError> {
        let mut revision = self.revision(target.organisation)?;
        let entry = self.enter(&mut revision, target, key, now)?;
        self.commit(&revision, now)?;
        self.note_known(target, key);
        Ok(entry)
    }

    /// Lets the key sign for the domains of `target`, on the operator's word; see
    /// [`keys::activate`]. Gives what has changed.
    ///
    /// # Errors
    /// When there is no such key, its file cannot be used, or it signed before or was revoked
    /// for one of the domains: nothing is changed then, for any of them.
    pub fn activate(
        &mut self,
        target: &Target<'_>,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Vec<Change>, KeystoreError> {
        let keyring = self.keystore.read_keyring(target.organisation)?;
        let changes = keys::activate(&keyring, target.selector, target.domains, timing, now)
            .map_err(|error| target.refused(error))?;
        match self.apply(target.organisation, &changes, now)?.pop() {
            Some(problem) => Err(KeystoreError::UnusableKey(Box::new(problem))),
            None => Ok(changes),
        }
    }

    /// Writes all changes of a plan, or none; the generation grows if they change what
    /// signs, any other state, or which records are given up.
    ///
    /// A key whose file cannot be used does not take the place of one that can: what would
    /// make it active is left out, and its problem is in the answer.
    ///
    /// # Errors
    /// When the keyring was changed in the meantime ([`crate::keys::ChangeRefusal::Stale`]: make a new
    /// plan), when the changes break a rule of the life of keys, and when writing fails.
    pub fn apply(
        &mut self,
        organisation: &OrganisationId,
        changes: &[Change],
        now: Timestamp,
    ) -> Result<Vec<KeyProblem>, KeystoreError> {
        let mut revision = self.revision(organisation)?;
        let unusable = self.unusable(&revision, changes);
        revision
            .change(&usable(changes, &unusable))
            .map_err(|refused| KeystoreError::not_changed(organisation, refused))?;
        self.commit(&revision, now)?;
        Ok(unusable)
    }

    /// Has no mail of the organisation signed until [`Writer::resume`], and says since when. Its
    /// keys and their records stay.
    ///
    /// # Errors
    /// When its keyring cannot be read, and when writing fails.
    pub fn suspend(
        &mut self,
        organisation: &OrganisationId,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        self.set_suspended(organisation, Some(now), now)
    }

    /// Ends [`Writer::suspend`].
    ///
    /// # Errors
    /// As there.
    pub fn resume(
        &mut self,
        organisation: &OrganisationId,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        self.set_suspended(organisation, None, now)
    }

    fn set_suspended(
        &mut self,
        organisation: &OrganisationId,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut revision = self.revision(organisation)?;
        revision.suspend(since);
        self.commit(&revision, now)
    }

    /// The organisation has these domains no more, or none of its domains if `None`: what signs
    /// for them begins to drain. Gives what has changed.
    ///
    /// # Errors
    /// When its keyring cannot be read, and when writing fails.
    pub fn retire(
        &mut self,
        organisation: &OrganisationId,
        domain: Option<&DomainName>,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Vec<Change>, KeystoreError> {
        let keyring = self.keystore.read_keyring(organisation)?;
        let changes = keys::retire(&keyring, domain, timing, now);
        self.apply(organisation, &changes, now)?;
        Ok(changes)
    }

    /// What is wrong with the files of the keys that are to sign.
    fn unusable(&self, revision: &Revision<'_>, changes: &[Change]) -> Vec<KeyProblem> {
        let selectors: BTreeSet<&Selector> = changes
            .iter()
            .filter(|change| matches!(change.event, Event::Activated { .. } | Event::Returned))
            .map(|change| &change.selector)
            .collect();
        selectors
            .into_iter()
            .filter_map(|selector| revision.after.key(selector))
            .filter_map(|entry| self.keystore.load_key(revision.organisation, entry).err())
            .map(|problem| *problem)
            .collect()
    }

    /// Adds a new key for `domains`, under the first selector of the organisation's template
    /// that neither its keyring nor a key file has.
    ///
    /// # Errors
    /// As [`Writer::add`], and when no selector is free.
    pub fn add_next(
        &mut self,
        organisation: &Organisation,
        domains: &[DomainName],
        key: &NewKey,
        now: Timestamp,
    ) -> Result<KeyEntry, KeystoreError> {
        let id = &organisation.id;
        let keyring = self.keystore.read_keyring(id)?;
        let selector = organisation
            .selector
            .candidates(now.to_zoned(TimeZone::UTC).date())
            .filter(|selector| keyring.key(selector).is_none())
            // A crash may leave a key file that no keyring names.
            .find(|selector| !self.keystore.key_path(id, selector).exists())
            .ok_or_else(|| KeystoreError::NoFreeSelector(id.clone()))?;
        let target = Target {
            organisation: id,
            selector: &selector,
            domains,
        };
        self.add(&target, key, now)
    }

    /// Adds a key that a plan wants, for those of its domains that still have no successor in
    /// waiting; nothing when none is left.
    ///
    /// # Errors
    /// As [`Writer::add_next`].
    pub fn add_wanted(
        &mut self,
        organisation: &Organisation,
        wanted: &WantedKey,
        key: &NewKey,
        now: Timestamp,
    ) -> Result<Option<KeyEntry>, KeystoreError> {
        let keyring = self.keystore.read_keyring(&organisation.id)?;
        let domains: Vec<DomainName> = wanted
            .domains
            .iter()
            .filter(|domain| keyring.waiting_key(domain, wanted.algorithm).is_none())
            .cloned()
            .collect();
        if domains.is_empty() {
            return Ok(None);
        }
        self.add_next(organisation, &domains, key, now).map(Some)
    }

    /// The keys of an organisation as they are, to be changed. Public halves that a zegel of
    /// 0.1 did not write down come from the key files, where these can be used.
    pub(super) fn revision<'a>(
        &self,
        organisation: &'a OrganisationId,
    ) -> Result<Revision<'a>, KeystoreError> {
        let keyring = self.keystore.read_keyring(organisation)?;
        let mut revision = Revision::new(organisation, keyring);
        revision
            .after
            .complete(|entry| self.keystore.public_key(organisation, entry).ok());
        Ok(revision)
    }

    /// Adds a key to a revision, if its selector is new to the organisation and the key to all.
    pub(super) fn enter<'a>(
        &mut self,
        revision: &mut Revision<'a>,
        target: &Target<'_>,
        key: &'a NewKey,
        now: Timestamp,
    ) -> Result<KeyEntry, KeystoreError> {
        if revision.after.key(target.selector).is_some() {
            return Err(KeystoreError::SelectorUsed {
                organisation: target.organisation.clone(),
                selector: target.selector.clone(),
            });
        }
        if key.origin() == Origin::Elsewhere {
            self.check_unknown(key.public_key().fingerprint())?;
        }
        Ok(revision.add_key(target.selector, target.domains, key, now))
    }

    /// Remembers a key that has been added.
    pub(super) fn note_known(&mut self, target: &Target<'_>, key: &NewKey) {
        if let Some(known) = &mut self.known {
            let place = (target.organisation.clone(), target.selector.clone());
            known.insert(key.public_key().fingerprint(), place);
        }
    }

    fn check_unknown(&mut self, fingerprint: Fingerprint) -> Result<(), KeystoreError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => self.keystore.fingerprints()?,
        };
        match self.known.insert(known).get(&fingerprint).cloned() {
            None => Ok(()),
            Some((organisation, selector)) => Err(KeystoreError::KeyKnown {
                organisation,
                selector,
            }),
        }
    }
}

/// The changes that do not depend on a key that cannot be used.
fn usable(changes: &[Change], unusable: &[KeyProblem]) -> Vec<Change> {
    let is_usable = |change: &&Change| {
        let selector = match &change.event {
            Event::Activated { .. } | Event::Returned => &change.selector,
            Event::Draining { successor } => successor,
            _ => return true,
        };
        !unusable.iter().any(|problem| problem.selector == *selector)
    };
    changes.iter().filter(is_usable).cloned().collect()
}
