//! Sealing what lies in the clear or is sealed with another key, and the reverse.
//!
//! Each file is written anew beside its place and put there in one step, so that at every moment
//! there is a key that can be read. Breaking off does no harm: what was done stays, and the next
//! run does the rest. The generation stays: the keys are the same.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    KEY_SUFFIX, Keystore,
    audit::AuditLog,
    files::{Folder, Prepared, Secrecy},
    problem::{KeyProblem, KeyRefusal, KeystoreError, SealingError},
    sealing::is_key_file,
    writer::Writer,
};
use crate::{
    dkim::key,
    keys::Keyring,
    names::{OrganisationId, Selector},
    sealing::{SealedBy, SealedProblem, SealingKeyId, sealed_by},
};

/// So many organisations under one lock, whose folders are all open meanwhile.
const BATCH: usize = 64;

/// How keys are to lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lie {
    /// Sealed with the first sealing key.
    Sealed,
    /// In the clear.
    Plain,
}

/// What [`Keystore::reseal`] did.
#[derive(Debug, Default)]
pub struct Resealed {
    /// How many keys lie otherwise now.
    pub changed: usize,
    /// How many did so already.
    pub unchanged: usize,
    /// Keys that stay as they were, and why.
    pub failed: Vec<KeyProblem>,
    /// Organisations whose keyring or folder can't be read.
    pub unread: Vec<KeystoreError>,
}

/// How keys are to lie, as it is looked for in a file.
#[derive(Clone, Copy)]
struct Goal {
    lie: Lie,
    by: SealedBy,
}

/// The name of a file, and what is to be in it.
type NewText = (String, Zeroizing<Vec<u8>>);

/// A file that is to lie otherwise.
struct Rewritten {
    organisation: usize,
    name: String,
    text: Zeroizing<Vec<u8>>,
}

impl Keystore {
    /// Has every private key lie so. Holds the lock for a few organisations at a time; everything
    /// signs meanwhile.
    ///
    /// # Errors
    /// When there is no sealing key, or one can't be read; when the keystore can't be locked or
    /// written. What was done until then stays. What is wrong with one key is in the answer.
    pub fn reseal(&self, lie: Lie, now: Timestamp) -> Result<Resealed, KeystoreError> {
        let by = match (lie, self.sealed_by_first()?) {
            (Lie::Plain, _) => SealedBy::Nothing,
            (Lie::Sealed, SealedBy::Nothing) => {
                return Err(KeystoreError::Sealing(SealingError::NotConfigured));
            }
            (Lie::Sealed, by) => by,
        };
        let goal = Goal { lie, by };
        let mut resealed = Resealed::default();
        for organisations in self.organisations()?.chunks(BATCH) {
            self.writer()?
                .reseal(organisations, goal, &mut resealed, now)?;
        }
        Ok(resealed)
    }
}

impl Writer {
    fn reseal(
        &self,
        organisations: &[OrganisationId],
        goal: Goal,
        resealed: &mut Resealed,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut folders = Vec::with_capacity(organisations.len());
        let mut rewritten = Vec::new();
        for organisation in organisations {
            let folder = match self.root.child(organisation.as_str()) {
                Ok(Some(folder)) => folder,
                Ok(None) => continue,
                Err(error) => {
                    resealed.unread.push(error.into());
                    continue;
                }
            };
            match self.to_rewrite(organisation, &folder, goal, resealed) {
                Ok(files) => rewritten.extend(files.into_iter().map(|(name, text)| Rewritten {
                    organisation: folders.len(),
                    name,
                    text,
                })),
                Err(error) => resealed.unread.push(error),
            }
            folders.push(folder);
        }
        if rewritten.is_empty() {
            return Ok(());
        }
        let mut prepared: Vec<Prepared<'_>> = Vec::with_capacity(rewritten.len());
        for file in &rewritten {
            if let Some(folder) = folders.get(file.organisation) {
                prepared.push(folder.prepare_unsynced(&file.name, &file.text)?);
            }
        }
        self.root.sync_file_system()?;
        self.tell(goal, prepared.len(), now)?;
        for file in &mut prepared {
            file.rename()?;
            resealed.changed += 1;
        }
        Ok(self.root.sync_file_system()?)
    }

    /// The key files of an organisation that do not lie as they should, and what is to be in them.
    fn to_rewrite(
        &self,
        organisation: &OrganisationId,
        folder: &Folder,
        goal: Goal,
        resealed: &mut Resealed,
    ) -> Result<Vec<NewText>, KeystoreError> {
        // A run that was killed may have left a key in the clear beside its place.
        folder.sweep()?;
        let keyring = self.keystore.read_keyring(organisation)?;
        let mut files = Vec::new();
        for name in folder.names()?.into_iter().filter(|name| is_key_file(name)) {
            let Some(selector) = selector_of(&name) else {
                continue;
            };
            let refused = |refusal| self.keystore.problem(organisation, &selector, refusal);
            let content = match folder.read(&name, Secrecy::Secret) {
                Ok(Some(content)) => content,
                Ok(None) => continue,
                Err(error) => {
                    resealed.failed.push(refused(KeyRefusal::File(error)));
                    continue;
                }
            };
            if sealed_by(&content) == goal.by {
                resealed.unchanged += 1;
                continue;
            }
            match self.rewritten(organisation, &keyring, &selector, content, goal) {
                Ok(Ok(text)) => files.push((name, text)),
                Ok(Err(refusal)) => resealed.failed.push(refused(refusal)),
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// The text of a key file as it is to be, which was tried.
    fn rewritten(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        selector: &Selector,
        content: Zeroizing<Vec<u8>>,
        goal: Goal,
    ) -> Result<Result<Zeroizing<Vec<u8>>, KeyRefusal>, KeystoreError> {
        // A sealed key is bound to what its keyring says: without that nothing opens it again.
        let Some(entry) = keyring.key(selector) else {
            let is_plain = sealed_by(&content) == SealedBy::Nothing;
            return Ok(Err(if is_plain {
                KeyRefusal::NotInKeyring
            } else {
                KeyRefusal::SealedStray
            }));
        };
        let identity = entry.identity();
        let keystore = &self.keystore;
        let checked = keystore.checked(organisation, &identity, content);
        let pem = match checked {
            Ok((pem, _)) => pem,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if goal.lie == Lie::Plain {
            return Ok(Ok(pem));
        }
        let of_key = (identity.algorithm, identity.fingerprint);
        // Without comments, which someone may have put around it: a file has a bound.
        let pem = match key::normalise_pem(&pem) {
            Ok(pem) => pem,
            Err(error) => return Ok(Err(KeyRefusal::Key(error))),
        };
        let text = keystore.lying_text((organisation, selector), of_key, pem.as_bytes())?;
        let again = keystore.opened(organisation, &identity, text.clone());
        Ok(match again {
            Ok(opened) if opened.as_slice() == pem.as_bytes() => Ok(text),
            Ok(_) => Err(KeyRefusal::Sealed(SealedProblem::DoesNotOpen)),
            Err(refusal) => Err(refusal),
        })
    }

    fn tell(&self, goal: Goal, keys: usize, now: Timestamp) -> Result<(), KeystoreError> {
        let (event, by): (_, Option<SealingKeyId>) = match goal.by {
            SealedBy::Key(id) => ("sealed", Some(id)),
            SealedBy::Nothing | SealedBy::Unknown => ("unsealed", None),
        };
        AuditLog::open(&self.keystore, &self.root)?.note_of_keys(event, (keys, by), now)
    }
}

fn selector_of(name: &str) -> Option<Selector> {
    name.strip_suffix(KEY_SUFFIX)?.parse().ok()
}
