//! Who changes the keystore, under its lock. What a change is, [`crate::keys`] says; how it
//! reaches the disk, `commit` does.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::{
    Keystore, Target, deadlines,
    files::Folder,
    known::Places,
    lock::{Lock, PATIENCE},
    mark::{About, Mark, Missing},
    problem::{KeyProblem, KeyRefusal, KeystoreError},
    witness::Doubt,
};
use crate::{
    dkim::key::Fingerprint,
    keys::{
        self, Change, Departure, Event, KeyEntry, Keyring, NewKey, Origin, Revision, State, Timing,
        WantedKey,
    },
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// What [`Writer::retire`] did.
#[derive(Debug)]
pub struct Retired {
    /// In the keyring.
    pub changes: Vec<Change>,
    /// What the keyring does not have, and is given up all the same.
    pub missing: Vec<Missing>,
}

/// The one who may change the keystore, until it is dropped. Others wait for a few
/// seconds at most, so nothing slow may be done meanwhile.
pub struct Writer {
    pub(super) keystore: Keystore,
    pub(super) root: Folder,
    /// Every key of every organisation; read when it is first needed, unless the last writer of
    /// this process has left it.
    known: Option<Places>,
    /// The keys that this writer has added.
    entered: HashSet<Fingerprint>,
    /// Those that were given up and are in no keyring; likewise.
    given_up: Option<HashMap<Fingerprint, (OrganisationId, Selector)>>,
    /// What the keyrings tell, where the mark does not tell of all keys; likewise.
    keyrings: Option<Mark>,
    /// Selectors at which the DNS shows a record of another key.
    occupied: BTreeSet<Selector>,
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(keystore: &Keystore) -> Result<Self, KeystoreError> {
        if keystore.follows {
            return Err(KeystoreError::Follows);
        }
        // Not even a lock is left in a folder that is no keystore.
        keystore.check_initialised()?;
        let root = keystore.root()?;
        let lock = Lock::of_writer(&root, PATIENCE)?;
        let id = keystore.id_for_writer(&root)?;
        keystore.announce_left_over(&root)?;
        keystore.follow_mark(&root, &id)?;
        Ok(Self {
            known: keystore.known.take(keystore.generation_stamp().ok()),
            keystore: keystore.clone(),
            root,
            entered: HashSet::new(),
            given_up: None,
            keyrings: None,
            occupied: BTreeSet::new(),
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
        for change in changes.iter().filter(|one| one.event == Event::Added) {
            self.check_not_taken(&Target {
                organisation,
                selector: &change.selector,
                domains: std::slice::from_ref(&change.domain),
            })?;
        }
        let mut revision = self.revision(organisation)?;
        let unusable = self.unusable(&revision, changes);
        revision
            .change(&usable(changes, &unusable))
            .map_err(|refused| KeystoreError::not_changed(organisation, refused))?;
        self.commit(&revision, now)?;
        // They may be for more domains now.
        self.keyrings = None;
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
    /// for them begins to drain, and what only mark or audit log know of is given up there.
    ///
    /// # Errors
    /// When its keyring cannot be read, and when writing fails.
    pub fn retire(
        &mut self,
        organisation: &OrganisationId,
        domain: Option<&DomainName>,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Retired, KeystoreError> {
        let keyring = self.keystore.read_keyring(organisation)?;
        let changes = keys::retire(&keyring, domain, timing, now);
        self.apply(organisation, &changes, now)?;
        let witness = self.keystore.witness_of(organisation)?;
        let missing = witness.missing_keys(organisation, &keyring, domain);
        self.give_up_missing(organisation, &missing, now)?;
        Ok(Retired { changes, missing })
    }

    /// Notes that a domain, or the organisation, leaves, or takes that back. The keys stay as they
    /// are.
    ///
    /// # Errors
    /// When its keyring cannot be read, and when writing fails.
    pub fn set_departure(
        &mut self,
        organisation: &OrganisationId,
        domain: Option<&DomainName>,
        departure: Option<Departure>,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut revision = self.revision(organisation)?;
        revision.depart(domain, departure);
        self.commit(&revision, now)
    }

    /// Notes which notices are over by now.
    ///
    /// # Errors
    /// As [`Writer::set_departure`].
    pub fn end_departures(
        &mut self,
        organisation: &OrganisationId,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut revision = self.revision(organisation)?;
        revision.end_departures(now);
        self.commit(&revision, now)
    }

    /// The records of these keys are to be there by then. What was said of keys that wait no more
    /// goes.
    ///
    /// # Errors
    /// When the keyring can't be read, or the file not written.
    pub fn set_deadline<'a>(
        &mut self,
        organisation: &OrganisationId,
        selectors: impl Iterator<Item = &'a Selector>,
        by: Timestamp,
    ) -> Result<(), KeystoreError> {
        let keyring = self.keystore.read_keyring(organisation)?;
        let folder = self.root.child_or_new(organisation.as_str())?;
        deadlines::set(&folder, &keyring, selectors, by)
    }

    /// What is wrong with the files of the keys that are to sign.
    fn unusable(&self, revision: &Revision<'_>, changes: &[Change]) -> Vec<KeyProblem> {
        let selectors: BTreeSet<&Selector> = changes
            .iter()
            .filter(|change| matches!(change.event, Event::Activated { .. } | Event::Returned))
            .map(|change| &change.selector)
            .collect();
        let given_up = |entry: &KeyEntry| {
            let mut changes = changes.iter();
            let time = changes.find_map(|change| {
                let wants = matches!(change.event, Event::Activated { .. });
                let is_it = wants && change.selector == entry.selector;
                let before = is_it.then_some(change.before).flatten()?;
                // The keyring itself knows what became of a key that drains.
                let is_known = before.state == State::Draining;
                (!is_known).then(|| self.gave_up(revision.organisation, entry, &change.domain))?
            })?;
            let refusal = KeyRefusal::GivenUp { time };
            let organisation = revision.organisation;
            Some(
                self.keystore
                    .problem(organisation, &entry.selector, refusal),
            )
        };
        selectors
            .into_iter()
            .filter_map(|selector| revision.after.key(selector))
            .filter_map(|entry| {
                let loaded = self.keystore.load_key(revision.organisation, entry);
                loaded
                    .err()
                    .map(|problem| *problem)
                    .or_else(|| given_up(entry))
            })
            .collect()
    }

    fn gave_up(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
        domain: &DomainName,
    ) -> Option<Timestamp> {
        let asked = About::organisation(organisation);
        let mark = self.keystore.mark.read_about(&asked).ok()??;
        let given_up = mark.gave_up(organisation, entry, domain)?;
        Some(given_up.time)
    }

    /// Gives none of these selectors to a new key: the DNS shows something there.
    pub fn avoid(&mut self, occupied: BTreeSet<Selector>) {
        self.occupied = occupied;
    }

    /// What an organisation lacks by the word of mark, audit log and key files.
    ///
    /// # Errors
    /// As [`Keystore::witness`].
    pub fn doubts(
        &self,
        organisation: &Organisation,
        keyring: &Keyring,
    ) -> Result<Vec<Doubt>, KeystoreError> {
        let witness = self.keystore.witness_of(&organisation.id)?;
        Ok(witness.doubts(organisation, keyring))
    }

    /// Since when each active key has to be seen again in the DNS, if an older keystore was put
    /// back: until then no step is taken in its organisation.
    pub fn restored(&self) -> Option<Timestamp> {
        self.keystore.mark.read_head().ok()??.restored()
    }

    /// Whether it is this very key that was there under this selector, so that it comes back.
    fn had_key(&self, target: &Target<'_>, fingerprint: Fingerprint) -> bool {
        let asked = About::organisation(target.organisation);
        let mark = self.keystore.mark.read_about(&asked).ok().flatten();
        mark.is_some_and(|mark| mark.has(target.organisation, target.selector, fingerprint))
    }

    /// Adds a new key for `domains`, under the first selector of the organisation's template
    /// that neither its keyring nor a key file has, that mark and audit log do not know, and that
    /// no other organisation has in these domains.
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
        let selector = self.next_free(organisation, domains, &BTreeSet::new(), now)?;
        let target = Target {
            organisation: &organisation.id,
            selector: &selector,
            domains,
        };
        self.add(&target, key, now)
    }

    /// The selector for the next key of these domains, which is none of `given`.
    ///
    /// # Errors
    /// When no selector is free, and when the keystore cannot be read.
    pub(super) fn next_free(
        &mut self,
        organisation: &Organisation,
        domains: &[DomainName],
        given: &BTreeSet<Selector>,
        now: Timestamp,
    ) -> Result<Selector, KeystoreError> {
        let id = &organisation.id;
        let mut occupied = &self.occupied | given;
        loop {
            let selector = self.keystore.next_selector(organisation, &occupied, now)?;
            let selector = selector.ok_or_else(|| KeystoreError::NoFreeSelector(id.clone()))?;
            let target = Target {
                organisation: id,
                selector: &selector,
                domains,
            };
            if self.taken(&target)?.is_none() {
                return Ok(selector);
            }
            occupied.insert(selector);
        }
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
        let fingerprint = key.public_key().fingerprint();
        let is_used = self
            .keystore
            .had_selector(&self.root, target.organisation, target.selector)
            && !self.had_key(target, fingerprint);
        if is_used || revision.after.key(target.selector).is_some() {
            return Err(KeystoreError::SelectorUsed {
                organisation: target.organisation.clone(),
                selector: target.selector.clone(),
            });
        }
        self.check_not_taken(target)?;
        if key.origin() == Origin::Elsewhere {
            self.check_unknown(fingerprint)?;
        }
        Ok(revision.add_key(target.selector, target.domains, key, now))
    }

    /// Remembers a key that has been added.
    pub(super) fn note_known(&mut self, target: &Target<'_>, key: &NewKey) {
        let fingerprint = key.public_key().fingerprint();
        self.entered.insert(fingerprint);
        if let Some(known) = &mut self.known {
            let place = (target.organisation.clone(), target.selector.clone());
            known.insert(fingerprint, place);
        }
        if let Some(keyrings) = &mut self.keyrings {
            keyrings.take_key(target, fingerprint);
        }
    }

    /// Another organisation that has or had a key with this selector in one of these domains:
    /// there is one record of that name, whoever's the domain is now. By the mark, or where that
    /// does not tell of all keys, by the keyrings.
    ///
    /// # Errors
    /// When the keystore cannot be read.
    pub fn taken(
        &mut self,
        target: &Target<'_>,
    ) -> Result<Option<(OrganisationId, DomainName)>, KeystoreError> {
        let shares =
            |mark: &Mark| mark.shares(target.organisation, target.selector, target.domains);
        let asked = About::keys_for(target.organisation, target.domains);
        let mark = self.keystore.mark.read_about(&asked).ok().flatten();
        let generation = self.keystore.generation()?;
        if let Some(mark) = mark.filter(|mark| mark.generation() == generation) {
            return Ok(shares(&mark));
        }
        let keystore = &self.keystore;
        let keyrings = self
            .keyrings
            .get_or_insert_with(|| keystore.mark_of_keyrings());
        Ok(shares(keyrings))
    }

    fn check_not_taken(&mut self, target: &Target<'_>) -> Result<(), KeystoreError> {
        match self.taken(target)? {
            None => Ok(()),
            Some((organisation, domain)) => Err(KeystoreError::SelectorTaken {
                organisation,
                selector: target.selector.clone(),
                domain,
            }),
        }
    }

    fn check_unknown(&mut self, fingerprint: Fingerprint) -> Result<(), KeystoreError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => self.keystore.fingerprints()?,
        };
        match self.known.insert(known).get(&fingerprint).cloned() {
            Some((organisation, selector)) if self.is_there(&organisation, fingerprint) => {
                Err(KeystoreError::KeyKnown {
                    organisation,
                    selector,
                })
            }
            _ => self.check_not_given_up(fingerprint),
        }
    }

    /// Whether an organisation still has a key that it had: somebody may have removed the keyring
    /// since it was read, or the key is yet to be written. What can't be read counts as there.
    fn is_there(&self, organisation: &OrganisationId, fingerprint: Fingerprint) -> bool {
        let has = |keyring: Keyring| {
            let mut keys = keyring.keys().iter();
            keys.any(|key| key.fingerprint == fingerprint)
        };
        self.entered.contains(&fingerprint)
            || self.keystore.read_keyring(organisation).map_or(true, has)
    }

    /// That a key does not come back which was given up.
    fn check_not_given_up(&mut self, fingerprint: Fingerprint) -> Result<(), KeystoreError> {
        match self.where_given_up(fingerprint) {
            None => Ok(()),
            Some((organisation, selector)) => Err(KeystoreError::KeyGivenUp {
                organisation,
                selector,
            }),
        }
    }

    fn where_given_up(&mut self, fingerprint: Fingerprint) -> Option<(OrganisationId, Selector)> {
        let mark = &self.keystore.mark;
        let place = |organisation: &OrganisationId, selector: &Selector| {
            (organisation.clone(), selector.clone())
        };
        if mark.is_part() {
            let mark = mark.read_about(&About::key(fingerprint)).ok()??;
            let mut keys = mark.given_up_keys();
            let found = keys.find(|(key, ..)| *key == fingerprint);
            return found.map(|(_, organisation, selector)| place(organisation, selector));
        }
        let known = self.given_up.get_or_insert_with(|| {
            let mark = mark.read().ok().flatten();
            let keys = mark.iter().flat_map(|mark| mark.given_up_keys());
            keys.map(|(key, organisation, selector)| (key, place(organisation, selector)))
                .collect()
        });
        known.get(&fingerprint).cloned()
    }
}

/// Leaves what it knows to the next writer of this process, while nobody else can write: an import
/// takes the lock for every few hundred keys, and would read all keyrings each time.
impl Drop for Writer {
    fn drop(&mut self) {
        if let (Some(known), Ok(generation)) = (self.known.take(), self.keystore.generation_stamp())
        {
            self.keystore.known.leave(known, generation);
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
