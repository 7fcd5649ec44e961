//! Restoring a backup on purpose.
//!
//! A backup does not know what happened since it was made; the mark does. What was given up
//! since is given up here too, before anything signs with it again.

use std::path::Path;

use jiff::Timestamp;

use super::{
    GENERATION, KEY_SUFFIX, KEYRING, Keystore,
    audit::{self, AuditLog},
    deadlines,
    files::{Folder, Secrecy},
    handed_over,
    identity::{self, Standing},
    problem::{FileError, FileProblem, KeystoreError},
    writer::Writer,
};
use crate::{
    keys::{Change, give_up_again},
    names::OrganisationId,
};

/// What a restored keystore is now.
#[derive(Debug)]
pub struct Restored {
    /// Its generation, higher than any before.
    pub generation: u64,
    /// What was given up since the backup was made, and is given up here now.
    pub given_up: Vec<(OrganisationId, Change)>,
    /// Organisations whose keyring could not be looked at or changed.
    pub failed: Vec<KeystoreError>,
}

impl Keystore {
    /// Copies a backup into this empty folder: key files and keyrings first, the generation
    /// last.
    ///
    /// # Errors
    /// When this folder is not empty, when the backup is not a keystore or others could have
    /// written in it, and when something can't be copied.
    pub fn copy_from(&self, backup: &Path) -> Result<(), KeystoreError> {
        if self.standing()? != Standing::Empty {
            return Err(KeystoreError::NotEmpty(self.path.to_path_buf()));
        }
        let source = Self::open(backup)?;
        match source.standing()? {
            // Nothing is written before that is certain.
            Standing::WithoutId if self.marked_id().is_none() => {
                source.check_id_is_not_needed()?;
            }
            Standing::Initialised(_) | Standing::WithoutId => {}
            Standing::Empty => {
                return Err(KeystoreError::NotInitialised(source.path.to_path_buf()));
            }
        }
        let (from, to) = (source.root()?, self.root()?);
        for organisation in source.organisations()? {
            let name = organisation.as_str();
            let Some(from) = from.child(name)? else {
                continue;
            };
            let to = to.child_or_new_unsynced(name)?;
            let names = from.names()?;
            for key_file in names.iter().filter(|name| name.ends_with(KEY_SUFFIX)) {
                copy(&from, &to, key_file, Secrecy::Secret)?;
            }
            copy(&from, &to, KEYRING, Secrecy::State)?;
            copy(&from, &to, deadlines::NAME, Secrecy::State)?;
        }
        if let Some(from) = from.child(handed_over::FOLDER)? {
            let to = to.child_or_new_unsynced(handed_over::FOLDER)?;
            let is_whole = |name: &&String| !name.starts_with('.');
            for name in from.names()?.iter().filter(is_whole) {
                copy(&from, &to, name, Secrecy::State)?;
            }
        }
        to.sync_file_system()?;
        copy(&from, &to, audit::NAME, Secrecy::Log)?;
        copy(&from, &to, identity::NAME, Secrecy::State)?;
        copy(&from, &to, GENERATION, Secrecy::State)?;
        to.sync_file_system()?;
        Ok(())
    }

    /// Takes this keystore for the one that is meant, older than its mark or not: what was given
    /// up since is given up here, and the generation becomes higher than any before.
    ///
    /// # Errors
    /// When it can't be locked, read or written as a whole. What is wrong with one organisation
    /// is in the answer.
    pub fn restore(&self, now: Timestamp) -> Result<Restored, KeystoreError> {
        let mut writer = self.writer()?;
        let mut restored = Restored {
            generation: 0,
            given_up: Vec::new(),
            failed: Vec::new(),
        };
        AuditLog::open(&writer.keystore, &writer.root)?.note("restored", now)?;
        for organisation in self.organisations()? {
            match writer.give_up_again(&organisation, now) {
                Ok(changes) => {
                    let changes = changes.into_iter();
                    let given_up = changes.map(|change| (organisation.clone(), change));
                    restored.given_up.extend(given_up);
                }
                Err(error) => restored.failed.push(error),
            }
        }
        restored.generation = self.generation()?;
        Ok(restored)
    }
}

impl Writer {
    fn give_up_again(
        &mut self,
        organisation: &OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<Change>, KeystoreError> {
        let Some(mark) = self.keystore.mark.read()? else {
            return Ok(Vec::new());
        };
        let mut revision = self.revision(organisation)?;
        let was_compromised = |entry: &_, domain: &_| {
            let given_up = mark.gave_up(organisation, entry, domain)?;
            Some(given_up.is_compromised)
        };
        let changes = give_up_again(&revision.before, was_compromised, now);
        drop(mark);
        if changes.is_empty() {
            return Ok(changes);
        }
        revision
            .change(&changes)
            .map_err(|refused| KeystoreError::not_changed(organisation, refused))?;
        self.commit(&revision, now)?;
        Ok(changes)
    }
}

fn copy(from: &Folder, to: &Folder, name: &str, secrecy: Secrecy) -> Result<(), FileError> {
    match from.read(name, secrecy)? {
        Some(content) => to.prepare_unsynced(name, &content)?.rename(),
        // Left at home by whoever copies a keystore to another relay.
        None if secrecy != Secrecy::Secret => Ok(()),
        None => Err(FileError::new(from.path(name), FileProblem::Missing)),
    }
}
