//! A change of a keyring, in one step as far as others can see.
//!
//! ```text
//!  .tmp-generation, .tmp-keyring.json, audit.log      what needs room on the disk
//!  .tmp-keyring.json -> keyring.json                  the change
//!  .tmp-generation   -> generation                    the word to the signer
//! ```
//!
//! If the process dies before the second line, nothing has changed, though the audit log may
//! tell of it: never is anything changed that it does not tell. If it dies before the third,
//! the next writer says the word.

use jiff::Timestamp;

use super::{
    GENERATION, KEYRING, Keystore,
    audit::{AuditLog, Entry, Told},
    files::{Folder, Prepared},
    problem::KeystoreError,
};
use crate::keys::Keyring;

/// Who hears of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Announcement {
    /// The signer, by the generation.
    Signer,
    /// Nobody: what signs is as before.
    Nobody,
}

/// Written and not yet made. If it is dropped, all is as it was.
#[must_use]
pub(super) struct PreparedChange<'a> {
    root: &'a Folder,
    folder: &'a Folder,
    generation: Option<Prepared<'a>>,
    keyring: Prepared<'a>,
    told: Option<Told>,
}

/// Made, and perhaps not yet announced.
#[must_use]
pub(super) struct MadeChange<'a> {
    root: &'a Folder,
    folder: &'a Folder,
    generation: Option<Prepared<'a>>,
}

impl<'a> PreparedChange<'a> {
    /// Writes everything that takes room.
    pub(super) fn new(
        (keystore, root): (&Keystore, &'a Folder),
        (folder, keyring): (&'a Folder, &Keyring),
        announcement: Announcement,
        (entries, now): (&[Entry<'_>], Timestamp),
    ) -> Result<Self, KeystoreError> {
        let generation = match announcement {
            Announcement::Nobody => None,
            Announcement::Signer => {
                let next = format!("{}\n", keystore.generation()?.saturating_add(1));
                Some(root.prepare(GENERATION, next.as_bytes())?)
            }
        };
        let json = keyring
            .to_json()
            .map_err(|problem| KeystoreError::Keyring {
                path: folder.path(KEYRING),
                problem,
            })?;
        let keyring = folder.prepare(KEYRING, &json)?;
        let told = if entries.is_empty() {
            None
        } else {
            Some(AuditLog::open(root)?.append(entries, now)?)
        };
        Ok(Self {
            root,
            folder,
            generation,
            keyring,
            told,
        })
    }

    /// Makes the change. If that fails, all is as it was.
    pub(super) fn make(mut self) -> Result<MadeChange<'a>, KeystoreError> {
        self.keyring.rename()?;
        if let Some(told) = self.told {
            told.keep();
        }
        Ok(MadeChange {
            root: self.root,
            folder: self.folder,
            generation: self.generation,
        })
    }
}

impl MadeChange<'_> {
    /// Tells the signer. What fails here, the next writer does.
    pub(super) fn announce(self) -> Result<(), KeystoreError> {
        let synced = self.folder.sync();
        if let Some(mut generation) = self.generation {
            generation.keep();
            generation.rename()?;
            self.root.sync()?;
        }
        Ok(synced?)
    }
}

/// Says the word that a process that died may owe to the signer.
pub(super) fn announce_left_over(keystore: &Keystore, root: &Folder) -> Result<(), KeystoreError> {
    let Some(text) = root.left_over(GENERATION)? else {
        return Ok(());
    };
    // One that is cut off was never followed by a change, and is replaced by the next one.
    let whole = text.strip_suffix(b"\n");
    let next = whole.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    if next.is_some_and(|next| next > 0) && next > Some(keystore.generation()?) {
        root.take_over(GENERATION)?.rename()?;
        root.sync()?;
    }
    Ok(())
}
