//! How a revision of keys reaches the disk: in one step, as far as others can see.
//!
//! ```text
//!  een/s1.pem                                         new keys, which nothing names yet
//!  .tmp-generation, .tmp-keyring.json, audit.log      what needs room on the disk
//!  .tmp-leaving.json -> leaving.json                  who leaves, if that changes
//!  .tmp-keyring.json -> keyring.json                  the change
//!  .tmp-generation   -> generation                    announces it to the signer
//!  PATH.mark/mark.jsonl                               tells of it outside of the folder
//! ```
//!
//! If the process dies before the third line, nothing has changed, though the audit log may
//! tell of it; before the fourth, what it tells of who leaves has: never is anything changed that it does not tell. If it dies before the last,
//! the next writer announces it. The keyring never names a key file that was not there before.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    GENERATION, KEYRING, Keystore,
    audit::{AuditLog, LEFT},
    departures,
    files::{Folder, Prepared, Secrecy},
    key_file,
    mark::Missing,
    problem::{KeyProblem, KeyRefusal, KeystoreError},
    writer::Writer,
};
use crate::{
    keys::{AuditEntry, KeyIdentity, Keyring, NewKey, Revision},
    names::{OrganisationId, Selector},
    sealing::sealed_by,
};

impl Writer {
    /// Commits a revision of the keyring as it is. Until the keyring is renamed all is as it
    /// was; what fails after that, the next writer does.
    pub(super) fn commit(
        &self,
        revision: &Revision<'_>,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        if revision.is_empty() {
            return Ok(());
        }
        // Before anything is written: a generation that cannot be read stops all.
        let next = revision
            .is_announced
            .then(|| self.next_generation())
            .transpose()?;
        let folder = self.root.child_or_new(revision.organisation.as_str())?;
        let mut key_files = Vec::with_capacity(revision.new_keys.len());
        for (selector, key) in &revision.new_keys {
            key_files.push(self.create_key_file(&folder, revision, selector, key)?);
        }
        let mut generation = None;
        if let Some(next) = next {
            generation = Some(self.root.prepare(GENERATION, next.as_bytes())?);
        }
        let mut keyring = folder.prepare(KEYRING, &json(&folder, revision)?)?;
        let departures = departures::prepare(&folder, revision)?;
        let mut told = None;
        if !revision.audit.is_empty() {
            told = Some(
                AuditLog::open(&self.keystore, &self.root)?
                    .append(std::slice::from_ref(revision), now)?,
            );
        }
        let mut is_changed = Ok(());
        if let Some(mut departures) = departures {
            is_changed = departures.rename();
        }
        is_changed.and_then(|()| keyring.rename())?;
        if let Some(told) = told {
            told.keep();
        }
        key_files.iter_mut().for_each(Prepared::keep);
        let synced = folder.sync();
        if let Some(mut generation) = generation {
            generation.keep();
            generation.rename()?;
            self.root.sync()?;
            self.tell_mark(std::slice::from_ref(revision));
        }
        Ok(synced?)
    }

    /// Commits the revisions of several organisations, whose key files are there already. The
    /// disk is waited for a few times for all of them together, between the same steps.
    pub(super) fn commit_all(
        &self,
        revisions: &[Revision<'_>],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        self.root.sync_file_system()?;
        let next = self.next_generation()?;
        let mut generation = self.root.prepare(GENERATION, next.as_bytes())?;
        let folders = revisions
            .iter()
            .map(|revision| {
                let name = revision.organisation.as_str();
                self.root.child_or_new_unsynced(name)
            })
            .collect::<Result<Vec<Folder>, _>>()?;
        let mut prepared = Vec::with_capacity(folders.len());
        for (folder, revision) in folders.iter().zip(revisions) {
            prepared.push(folder.prepare_unsynced(KEYRING, &json(folder, revision)?)?);
        }
        let told = AuditLog::open(&self.keystore, &self.root)?.append(revisions, now)?;
        self.root.sync_file_system()?;
        // From the first rename on something is changed, and the log tells of it.
        let mut told = Some(told);
        for keyring in &mut prepared {
            keyring.rename()?;
            if let Some(told) = told.take() {
                told.keep();
                generation.keep();
            }
        }
        self.root.sync_file_system()?;
        generation.rename()?;
        self.root.sync()?;
        self.tell_mark(revisions);
        Ok(())
    }

    /// Tells that keys are given up which are in no keyring.
    pub(super) fn give_up_missing(
        &self,
        organisation: &OrganisationId,
        missing: &[Missing],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut generation = self
            .root
            .prepare(GENERATION, self.next_generation()?.as_bytes())?;
        let mut revision = Revision::new(organisation, Keyring::default());
        revision.audit = missing.iter().map(left).collect();
        let log = AuditLog::open(&self.keystore, &self.root)?;
        let told = log.append(std::slice::from_ref(&revision), now)?;
        generation.keep();
        generation.rename()?;
        told.keep();
        self.root.sync()?;
        if let Ok(generation) = self.keystore.generation() {
            let keystore = &self.keystore;
            keystore.mark_ends(&self.root, organisation, (missing, now), generation);
        }
        Ok(())
    }

    /// Tells the mark what was announced. If it can't be told, the next writer makes it good.
    fn tell_mark(&self, revisions: &[Revision<'_>]) {
        if let Ok(generation) = self.keystore.generation() {
            self.keystore.mark_change(&self.root, revisions, generation);
        }
    }

    fn next_generation(&self) -> Result<String, KeystoreError> {
        Ok(format!(
            "{}\n",
            self.keystore.generation()?.saturating_add(1)
        ))
    }

    fn create_key_file<'a>(
        &self,
        folder: &'a Folder,
        revision: &Revision<'_>,
        selector: &Selector,
        key: &NewKey,
    ) -> Result<Prepared<'a>, KeystoreError> {
        let name = key_file(selector);
        folder.sweep()?;
        if folder.names()?.contains(&name) {
            return Err(self.in_the_way(revision, selector));
        }
        let text = self.lying_text(revision, selector, key)?;
        Ok(folder.create(&name, &text)?)
    }

    /// What is written into the file of a new key.
    fn lying_text(
        &self,
        revision: &Revision<'_>,
        selector: &Selector,
        key: &NewKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let public = key.public_key();
        let of_key = (public.algorithm(), public.fingerprint());
        let place = (revision.organisation, selector);
        self.keystore.lying_text(place, of_key, key.pem())
    }

    /// Writes a key file that a power cut may undo, unless the same is there from an attempt
    /// that was cut off.
    pub(super) fn put_key_file(
        &self,
        revision: &Revision<'_>,
        selector: &Selector,
        key: &NewKey,
    ) -> Result<(), KeystoreError> {
        let name = key_file(selector);
        let folder = self
            .root
            .child_or_new_unsynced(revision.organisation.as_str())?;
        if let Some(content) = folder.read(&name, Secrecy::Secret)? {
            let is_as_wanted = sealed_by(&content) == self.keystore.sealed_by_first()?;
            if !self.is_key(revision, selector, key, content) {
                return Err(self.in_the_way(revision, selector));
            }
            if is_as_wanted {
                return Ok(());
            }
        }
        let text = self.lying_text(revision, selector, key)?;
        Ok(folder.prepare_unsynced(&name, &text)?.rename()?)
    }

    /// Whether this is in a file, sealed or not.
    fn is_key(
        &self,
        revision: &Revision<'_>,
        selector: &Selector,
        key: &NewKey,
        content: Zeroizing<Vec<u8>>,
    ) -> bool {
        let identity = KeyIdentity {
            selector: selector.clone(),
            algorithm: key.public_key().algorithm(),
            fingerprint: key.public_key().fingerprint(),
        };
        let opened = self
            .keystore
            .opened(revision.organisation, &identity, content);
        opened.is_ok_and(|pem| pem.as_slice() == key.pem())
    }

    /// A key file that no keyring names is someone's.
    fn in_the_way(&self, revision: &Revision<'_>, selector: &Selector) -> KeystoreError {
        KeystoreError::UnusableKey(Box::new(KeyProblem {
            organisation: revision.organisation.clone(),
            selector: selector.clone(),
            path: self.keystore.key_path(revision.organisation, selector),
            refusal: KeyRefusal::NotInKeyring,
        }))
    }
}

fn left(missing: &Missing) -> AuditEntry {
    AuditEntry {
        selector: Some(missing.selector.clone()),
        domains: vec![missing.domain.clone()],
        event: LEFT,
        evidence: None,
        publication: None,
    }
}

fn json(folder: &Folder, revision: &Revision<'_>) -> Result<Vec<u8>, KeystoreError> {
    revision
        .after
        .to_json()
        .map_err(|problem| KeystoreError::Keyring {
            place: folder.place(KEYRING),
            problem,
        })
}

impl Keystore {
    /// Announces a change that a process made before it died.
    pub(super) fn announce_left_over(&self, root: &Folder) -> Result<(), KeystoreError> {
        let Some(text) = root.left_over(GENERATION)? else {
            return Ok(());
        };
        // One that is cut off was never followed by a change, and is replaced by the next one.
        let whole = text.strip_suffix(b"\n");
        let next = whole.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        if next.is_some_and(|next| next > 0) && next > Some(self.generation()?) {
            root.take_over(GENERATION)?.rename()?;
            root.sync()?;
        }
        Ok(())
    }
}
