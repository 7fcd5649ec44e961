//! Changes to the keystore, under its lock, each in the order key file, keyring,
//! generation: whatever a crash leaves behind, the keyring never names a key file that
//! was not there before it. What needs room on the disk is written before anything changes.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    Keystore, Target,
    audit::Entry,
    change::{Announcement, PreparedChange, announce_left_over},
    files::{Folder, Prepared},
    key_file,
    lock::{Lock, PATIENCE},
    problem::{KeyProblem, KeyRefusal, KeystoreError},
};
use crate::{
    dkim::key::{self, Algorithm, Fingerprint, SigningKey},
    keys::{Change, Event, Evidence, KeyEntry, Keyring, Publication},
    names::{DomainName, OrganisationId, Selector},
};

/// A private key that may enter the keystore.
pub struct NewKey {
    pem: Zeroizing<String>,
    algorithm: Algorithm,
    fingerprint: Fingerprint,
    origin: Origin,
}

/// A key that was just made is nobody else's: there is no need to look.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Origin {
    Here,
    Elsewhere,
}

impl NewKey {
    /// Makes a key; see [`key::generate_pem`] for the sizes and the time that it takes.
    ///
    /// # Errors
    /// As [`key::generate_pem`].
    pub fn generate(algorithm: Algorithm, rsa_bits: usize) -> Result<Self, KeystoreError> {
        let pem = key::generate_pem(algorithm, rsa_bits)?;
        Self::new(pem.as_bytes(), Origin::Here)
    }

    /// Takes a key from elsewhere, in any form that [`SigningKey::from_pem`] reads.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeystoreError> {
        Self::new(pem, Origin::Elsewhere)
    }

    fn new(pem: &[u8], origin: Origin) -> Result<Self, KeystoreError> {
        let key = SigningKey::from_pem(pem)?;
        Ok(Self {
            pem: key::normalise_pem(pem)?,
            algorithm: key.algorithm(),
            fingerprint: key.public_key().fingerprint(),
            origin,
        })
    }

    /// Which key it is.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}

/// The one who may change the keystore, until it is dropped. Others wait for a few
/// seconds at most, so nothing slow may be done meanwhile.
pub struct Writer {
    pub(super) keystore: Keystore,
    pub(super) root: Folder,
    /// Every key of every organisation; read when it is first needed.
    pub(super) known: Option<HashMap<Fingerprint, (OrganisationId, Selector)>>,
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(keystore: &Keystore) -> Result<Self, KeystoreError> {
        let root = keystore.root()?;
        let lock = Lock::of_writer(&root, PATIENCE)?;
        announce_left_over(keystore, &root)?;
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
        let (organisation, selector) = (target.organisation, target.selector);
        let mut keyring = self.keystore.read_keyring(organisation)?;
        if keyring.key(selector).is_some() {
            return Err(KeystoreError::SelectorUsed {
                organisation: organisation.clone(),
                selector: selector.clone(),
            });
        }
        if key.origin == Origin::Elsewhere {
            self.check_unknown(key.fingerprint)?;
        }
        let publication = |domain| (domain, Publication::generated(now));
        let entry = KeyEntry {
            selector: selector.clone(),
            algorithm: key.algorithm,
            created: now,
            fingerprint: key.fingerprint,
            publications: target.domains.iter().cloned().map(publication).collect(),
        };
        keyring.add(entry.clone());
        // Before anything is written: a generation that cannot be read stops all.
        self.keystore.generation()?;
        let event = match key.origin {
            Origin::Here => "generated",
            Origin::Elsewhere => "imported",
        };
        let folder = self.root.child_or_new(organisation.as_str())?;
        let mut key_file = write_key_file(&folder, target, key)?;
        let telling: (&[_], _) = (&[told(target, event, None)], now);
        let change = self.prepare((&folder, &keyring), Announcement::Signer, telling)?;
        let change = change.make()?;
        key_file.keep();
        change.announce()?;
        if let Some(known) = &mut self.known {
            known.insert(key.fingerprint, (organisation.clone(), selector.clone()));
        }
        Ok(entry)
    }

    /// Creates the publications, `generated`, that the key does not have for the domains
    /// of `target` yet.
    ///
    /// # Errors
    /// When there is no such key, or writing fails.
    pub fn add_domains(
        &mut self,
        target: &Target<'_>,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut keyring = self.keystore.read_keyring(target.organisation)?;
        if !keyring.add_domains(target.selector, target.domains, now) {
            return Err(target.unknown());
        }
        let entries = [told(target, "domains_added", None)];
        self.write(
            (target.organisation, &keyring),
            Announcement::Signer,
            (&entries, now),
        )
    }

    /// Makes the key sign for the domains of `target`; in the same write, the active key
    /// of the same algorithm of each of them starts draining.
    ///
    /// # Errors
    /// When there is no such key, its file cannot be used, or it was active before or
    /// revoked for one of the domains: nothing is changed then, for any of them.
    pub fn activate(
        &mut self,
        target: &Target<'_>,
        evidence: Evidence,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut keyring = self.keystore.read_keyring(target.organisation)?;
        let entry = keyring
            .key(target.selector)
            .ok_or_else(|| target.unknown())?;
        // A key that cannot sign must not take the place of one that can.
        self.keystore
            .load_key(target.organisation, entry)
            .map_err(KeystoreError::UnusableKey)?;
        keyring.add_domains(target.selector, target.domains, now);
        for domain in target.domains {
            keyring
                .activate((target.selector, domain), evidence, now)
                .map_err(|step| KeystoreError::Step {
                    selector: target.selector.clone(),
                    domain: domain.clone(),
                    step,
                })?;
        }
        let entries = [told(target, "activated", Some(evidence))];
        self.write(
            (target.organisation, &keyring),
            Announcement::Signer,
            (&entries, now),
        )
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
        let mut keyring = self.keystore.read_keyring(organisation)?;
        let unusable = self.unusable(organisation, &keyring, changes);
        let changes = usable(changes, &unusable);
        if changes.is_empty() {
            return Ok(unusable);
        }
        keyring
            .apply(&changes)
            .map_err(|(change, refusal)| KeystoreError::Change {
                organisation: organisation.clone(),
                selector: change.selector.clone(),
                domain: change.domain.clone(),
                refusal,
            })?;
        let entries: Vec<Entry<'_>> = changes
            .iter()
            .filter(|change| change.event != Event::Checked)
            .map(|change| told_of(organisation, change))
            .collect();
        let announcement = if changes.iter().any(Change::is_announced) {
            Announcement::Signer
        } else {
            Announcement::Nobody
        };
        self.write((organisation, &keyring), announcement, (&entries, now))?;
        Ok(unusable)
    }

    /// What is wrong with the files of the keys that are to sign.
    fn unusable(
        &self,
        organisation: &OrganisationId,
        keyring: &Keyring,
        changes: &[Change],
    ) -> Vec<KeyProblem> {
        let to_sign = |change: &&Change| matches!(change.event, Event::Activated { .. });
        let selectors = changes.iter().filter(to_sign);
        let selectors: BTreeSet<&Selector> = selectors.map(|change| &change.selector).collect();
        let entries = selectors.into_iter().filter_map(|name| keyring.key(name));
        entries
            .filter_map(|entry| self.keystore.load_key(organisation, entry).err())
            .map(|problem| *problem)
            .collect()
    }

    /// Adds a key that a plan wants, for those of its domains that have no successor in
    /// waiting by now; nothing when none is left.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn add_wanted(
        &mut self,
        target: &Target<'_>,
        key: &NewKey,
        now: Timestamp,
    ) -> Result<Option<KeyEntry>, KeystoreError> {
        let keyring = self.keystore.read_keyring(target.organisation)?;
        let waits = |domain: &&DomainName| keyring.waiting_key(domain, key.algorithm).is_none();
        let domains: Vec<DomainName> = target.domains.iter().filter(waits).cloned().collect();
        if domains.is_empty() {
            return Ok(None);
        }
        let target = Target {
            domains: &domains,
            ..*target
        };
        self.add(&target, key, now).map(Some)
    }

    fn write(
        &self,
        (organisation, keyring): (&OrganisationId, &Keyring),
        announcement: Announcement,
        telling: (&[Entry<'_>], Timestamp),
    ) -> Result<(), KeystoreError> {
        let folder = self.root.child_or_new(organisation.as_str())?;
        let change = self.prepare((&folder, keyring), announcement, telling)?;
        change.make()?.announce()
    }

    fn prepare<'a>(
        &'a self,
        place: (&'a Folder, &Keyring),
        announcement: Announcement,
        telling: (&[Entry<'_>], Timestamp),
    ) -> Result<PreparedChange<'a>, KeystoreError> {
        PreparedChange::new((&self.keystore, &self.root), place, announcement, telling)
    }

    pub(super) fn check_unknown(&mut self, fingerprint: Fingerprint) -> Result<(), KeystoreError> {
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

/// A change that the operator asked for.
pub(super) fn told<'a>(
    target: &Target<'a>,
    event: &'static str,
    evidence: Option<Evidence>,
) -> Entry<'a> {
    Entry {
        target: *target,
        event,
        evidence,
        publication: None,
    }
}

/// A change of a plan, with what was seen in DNS.
fn told_of<'a>(organisation: &'a OrganisationId, change: &'a Change) -> Entry<'a> {
    Entry {
        target: Target {
            organisation,
            selector: &change.selector,
            domains: std::slice::from_ref(&change.domain),
        },
        event: change.event.as_str(),
        evidence: None,
        publication: Some(change.after),
    }
}

/// The changes that do not depend on a key that cannot be used.
fn usable(changes: &[Change], unusable: &[KeyProblem]) -> Vec<Change> {
    let is_usable = |change: &&Change| {
        let selector = match &change.event {
            Event::Activated { .. } => &change.selector,
            Event::Draining { successor } => successor,
            _ => return true,
        };
        !unusable.iter().any(|problem| problem.selector == *selector)
    };
    changes.iter().filter(is_usable).cloned().collect()
}

fn write_key_file<'a>(
    folder: &'a Folder,
    target: &Target<'_>,
    key: &NewKey,
) -> Result<Prepared<'a>, KeystoreError> {
    let name = key_file(target.selector);
    folder.sweep()?;
    if folder.names()?.contains(&name) {
        return Err(KeystoreError::UnusableKey(Box::new(KeyProblem {
            organisation: target.organisation.clone(),
            selector: target.selector.clone(),
            path: folder.path(&name),
            refusal: KeyRefusal::NotInKeyring,
        })));
    }
    Ok(folder.create(&name, key.pem.as_bytes())?)
}
