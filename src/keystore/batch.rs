//! Many keys at once, as an import brings them.
//!
//! [`Writer::add`] waits for the disk several times for each key. Here the disk is waited
//! for a few times for all of them together, between the same steps in the same order: key
//! files, audit log, keyrings, generation. So a crash leaves no more than it does there: key
//! files that no keyring names, which the next attempt with the same keys takes over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    GENERATION, KEYRING, KeystoreError, Target,
    audit::{AuditLog, Entry},
    files::{Folder, Prepared, Secrecy},
    key_file,
    problem::{KeyProblem, KeyRefusal},
    writer::{NewKey, Writer, told},
};
use crate::{
    keys::{Evidence, KeyEntry, Keyring, Publication},
    names::{DomainName, OrganisationId},
};

/// The most keys that are added in one go: their folders are all open meanwhile.
pub const BATCH: usize = 256;

/// A key that is to be added with others.
#[derive(Clone, Copy)]
pub struct Addition<'a> {
    /// For which domains, and under which selector.
    pub target: Target<'a>,
    /// The key.
    pub key: &'a NewKey,
    /// For which of the domains it signs at once, on the operator's word that its record is
    /// in the DNS.
    pub signs_for: &'a [DomainName],
}

impl Writer {
    /// Adds up to [`BATCH`] keys; those that are refused are in the answer, in the order of
    /// `additions`, with the reasons that [`Writer::add`] has.
    ///
    /// # Errors
    /// When writing fails; some of the organisations may be changed then, each as a whole.
    pub fn add_all(
        &mut self,
        additions: &[Addition<'_>],
        now: Timestamp,
    ) -> Result<Vec<Result<(), KeystoreError>>, KeystoreError> {
        let mut keyrings = BTreeMap::new();
        let mut answers = Vec::with_capacity(additions.len());
        for addition in additions {
            answers.push(self.enter(addition, &mut keyrings, now));
        }
        let changed: BTreeSet<&OrganisationId> = additions
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_ok())
            .map(|(addition, _)| addition.target.organisation)
            .collect();
        if changed.is_empty() {
            return Ok(answers);
        }
        keyrings.retain(|organisation, _| changed.contains(organisation));
        let mut entries = Vec::new();
        for (addition, answer) in additions.iter().zip(&answers) {
            if answer.is_ok() {
                entries.extend(told_of(addition));
            }
        }
        self.make(&keyrings, &entries, now)?;
        Ok(answers)
    }

    /// Writes the key file, and enters the key into the keyring in memory.
    fn enter(
        &mut self,
        addition: &Addition<'_>,
        keyrings: &mut BTreeMap<OrganisationId, Keyring>,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let Target {
            organisation,
            selector,
            domains,
        } = addition.target;
        let mut keyring = match keyrings.get(organisation) {
            Some(keyring) => keyring.clone(),
            None => self.keystore.read_keyring(organisation)?,
        };
        if keyring.key(selector).is_some() {
            return Err(KeystoreError::SelectorUsed {
                organisation: organisation.clone(),
                selector: selector.clone(),
            });
        }
        self.check_unknown(addition.key.fingerprint())?;
        let publication = |domain| (domain, Publication::generated(now));
        keyring.add(KeyEntry {
            selector: selector.clone(),
            algorithm: addition.key.algorithm(),
            created: now,
            fingerprint: addition.key.fingerprint(),
            publications: domains.iter().cloned().map(publication).collect(),
        });
        for domain in addition.signs_for {
            keyring
                .activate((selector, domain), Evidence::Assumed, now)
                .map_err(|step| KeystoreError::Step {
                    selector: selector.clone(),
                    domain: domain.clone(),
                    step,
                })?;
        }
        let folder = self.root.child_or_new_unsynced(organisation.as_str())?;
        write_key_file(&folder, addition)?;
        self.note_known(addition);
        keyrings.insert(organisation.clone(), keyring);
        Ok(())
    }

    /// Remembers a key that is being added.
    fn note_known(&mut self, addition: &Addition<'_>) {
        if let Some(known) = &mut self.known {
            let Target {
                organisation,
                selector,
                ..
            } = addition.target;
            let place = (organisation.clone(), selector.clone());
            known.insert(addition.key.fingerprint(), place);
        }
    }

    fn make(
        &self,
        keyrings: &BTreeMap<OrganisationId, Keyring>,
        entries: &[Entry<'_>],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        self.root.sync_file_system()?;
        let next = self.keystore.generation()?.saturating_add(1);
        let mut generation = self
            .root
            .prepare(GENERATION, format!("{next}\n").as_bytes())?;
        let folders = keyrings
            .keys()
            .map(|organisation| self.root.child_or_new_unsynced(organisation.as_str()))
            .collect::<Result<Vec<Folder>, _>>()?;
        let mut prepared = Vec::with_capacity(folders.len());
        for (folder, keyring) in folders.iter().zip(keyrings.values()) {
            prepared.push(prepare_keyring(folder, keyring)?);
        }
        let told = AuditLog::open(&self.root)?.append(entries, now)?;
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
        Ok(self.root.sync()?)
    }
}

fn told_of<'a>(addition: &Addition<'a>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
    let signs = Target {
        domains: addition.signs_for,
        ..addition.target
    };
    let activated =
        (!signs.domains.is_empty()).then(|| told(&signs, "activated", Some(Evidence::Assumed)));
    std::iter::once(told(&addition.target, "imported", None)).chain(activated)
}

fn prepare_keyring<'a>(
    folder: &'a Folder,
    keyring: &Keyring,
) -> Result<Prepared<'a>, KeystoreError> {
    let json = keyring
        .to_json()
        .map_err(|problem| KeystoreError::Keyring {
            path: folder.path(KEYRING),
            problem,
        })?;
    Ok(folder.prepare_unsynced(KEYRING, &json)?)
}

/// Writes a key file, unless the same is there from an attempt that was cut off.
fn write_key_file(folder: &Folder, addition: &Addition<'_>) -> Result<(), KeystoreError> {
    let name = key_file(addition.target.selector);
    match folder.read(&name, Secrecy::Secret)? {
        Some(content) if content.as_slice() == addition.key.pem() => Ok(()),
        Some(_) => Err(KeystoreError::UnusableKey(Box::new(KeyProblem {
            organisation: addition.target.organisation.clone(),
            selector: addition.target.selector.clone(),
            path: folder.path(&name),
            refusal: KeyRefusal::NotInKeyring,
        }))),
        None => Ok(folder
            .prepare_unsynced(&name, addition.key.pem())?
            .rename()?),
    }
}
