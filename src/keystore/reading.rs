//! Reading keyrings and keys.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{
    KEY_SUFFIX, KEYRING, Keystore,
    audit::AuditLog,
    climbing::AllClimbed,
    deadlines, departures,
    files::{Folder, Secrecy},
    folder_in, key_file,
    problem::{KeyProblem, KeyRefusal, KeystoreError},
    senders::{self, Senders},
    sightings::{self, Sightings},
};
use crate::{
    dkim::{
        PublicKey,
        key::{Algorithm, SigningKey},
    },
    files::Stamp,
    keys::{KeyEntry, KeyIdentity, Keyring, State},
    names::{DomainName, OrganisationId, Selector},
};

/// A key that can sign.
#[derive(Clone, Debug)]
pub struct Key {
    /// What the keyring says of it.
    pub entry: KeyEntry,
    /// Its private half.
    pub signing_key: Arc<SigningKey>,
}

/// The keys of one organisation, without their private halves.
#[derive(Clone, Debug)]
pub struct PublicKeys {
    /// What is known of them.
    pub keyring: Keyring,
    /// The public halves that were asked for.
    pub public: BTreeMap<Selector, PublicKey>,
    /// What the keeper saw beside their states.
    pub sightings: Sightings,
    /// What it found in DMARC reports.
    pub senders: Senders,
}

/// The keys of an organisation, as far as they can be used.
#[derive(Debug, Default)]
pub struct OrganisationKeys {
    /// Those that can, in whatever state.
    pub keys: Vec<Key>,
    /// Those that the keyring names and that cannot be used.
    pub refused: Vec<KeyProblem>,
    /// Key files that the keyring does not name.
    pub warnings: Vec<KeyProblem>,
}

impl OrganisationKeys {
    /// The key that signs for `domain` with `algorithm`.
    pub fn active_key(&self, domain: &DomainName, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| {
            key.entry.algorithm == algorithm && key.entry.state(domain) == Some(State::Active)
        })
    }
}

/// A keystore whose folder was opened and examined once, for the keyrings of many
/// organisations one after the other.
#[derive(Debug)]
pub struct View(Folder);

/// By what a keyring is known to be as it was read; also one that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyringStamp(Option<Stamp>);

/// By what the sightings of an organisation are known to be as they were read: the stamp of each of
/// their files, also of one that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SightingsStamp([StateStamp; 2]);

/// Of a file of the keeper; also of one that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct StateStamp(Option<Stamp>);

impl Keystore {
    /// Opens the keystore for the reading of many keyrings.
    ///
    /// # Errors
    /// When its folder is not there, or is unsafe.
    pub fn view(&self) -> Result<View, KeystoreError> {
        Ok(View(self.root()?))
    }

    /// What is known of the keys of an organisation, without reading a private key. An
    /// organisation without a folder has an empty keyring.
    ///
    /// # Errors
    /// When the folder or the keyring is unsafe, or is not a keyring; the organisation's
    /// earlier keys should then go on being used.
    pub fn read_keyring(&self, organisation: &OrganisationId) -> Result<Keyring, KeystoreError> {
        match self.folder(organisation)? {
            Some(folder) => read_keyring(&folder),
            None => Ok(Keyring::default()),
        }
    }

    /// The private key of one entry of an organisation's keyring.
    ///
    /// # Errors
    /// When its file is missing, unreadable, unsafe, not a key, or another key.
    pub fn load_key(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
    ) -> Result<SigningKey, Box<KeyProblem>> {
        let (key, _) = self.read_key(organisation, &entry.identity())?;
        Ok(key)
    }

    /// The public half of one entry of an organisation's keyring: from there, or from the
    /// private key if a zegel of 0.1 wrote the keyring.
    ///
    /// # Errors
    /// As [`Keystore::load_key`], where the private key has to be read.
    pub fn public_key(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
    ) -> Result<PublicKey, Box<KeyProblem>> {
        match &entry.public_key {
            Some(known) => Ok(known.clone()),
            None => Ok(self.load_key(organisation, entry)?.public_key().clone()),
        }
    }

    /// What is known of the keys of an organisation, with the public halves of those that
    /// are wanted.
    ///
    /// # Errors
    /// As [`Keystore::read_keyring`] and [`Keystore::public_key`].
    pub fn read_public_keys(
        &self,
        organisation: &OrganisationId,
        wanted: impl Fn(&KeyEntry) -> bool,
    ) -> Result<PublicKeys, KeystoreError> {
        let keyring = self.read_keyring(organisation)?;
        let mut public = BTreeMap::new();
        for entry in keyring.keys().iter().filter(|entry| wanted(entry)) {
            let key = self.public_key(organisation, entry);
            public.insert(
                entry.selector.clone(),
                key.map_err(KeystoreError::UnusableKey)?,
            );
        }
        // What can't be read says nothing.
        let sightings = self.sightings(organisation).unwrap_or_default();
        let senders = self.senders(organisation).unwrap_or_default();
        Ok(PublicKeys {
            keyring,
            public,
            sightings,
            senders,
        })
    }

    /// The private key of this identity, and the stamp of its file from before it was read
    /// (none when the file has only just changed).
    ///
    /// # Errors
    /// As [`Keystore::load_key`].
    pub fn read_key(
        &self,
        organisation: &OrganisationId,
        identity: &KeyIdentity,
    ) -> Result<(SigningKey, Option<Stamp>), Box<KeyProblem>> {
        self.folder(organisation)
            .map_err(|error| match error {
                KeystoreError::File(error) => KeyRefusal::File(error),
                _ => KeyRefusal::Missing,
            })
            .and_then(|folder| {
                let folder = folder.ok_or(KeyRefusal::Missing)?;
                self.load_from(&folder, organisation, identity)
            })
            .map_err(|refusal| Box::new(self.problem(organisation, &identity.selector, refusal)))
    }

    /// The stamp of the file of a private key as it is now, if there is one.
    pub fn key_stamp(&self, organisation: &OrganisationId, selector: &Selector) -> Option<Stamp> {
        let path = self.key_path(organisation, selector);
        Some(Stamp::from(&rustix::fs::lstat(path).ok()?))
    }

    /// All keys of an organisation, with their private halves.
    ///
    /// # Errors
    /// As [`Keystore::read_keyring`]. What is wrong with one key is in the answer.
    pub fn load_organisation(
        &self,
        organisation: &OrganisationId,
    ) -> Result<OrganisationKeys, KeystoreError> {
        let mut found = OrganisationKeys::default();
        let Some(folder) = self.folder(organisation)? else {
            return Ok(found);
        };
        // Before the keyring: what is added from now on is in both.
        let names = folder.names()?;
        let keyring = read_keyring(&folder)?;
        for entry in keyring.keys() {
            match self.load_from(&folder, organisation, &entry.identity()) {
                Ok((key, _)) => found.keys.push(Key {
                    entry: entry.clone(),
                    signing_key: Arc::new(key),
                }),
                Err(refusal) => {
                    let problem = self.problem(organisation, &entry.selector, refusal);
                    found.refused.push(problem);
                }
            }
        }
        let stems = names
            .iter()
            .filter_map(|name| name.strip_suffix(KEY_SUFFIX));
        for selector in stems.filter_map(|stem| stem.parse().ok()) {
            if keyring.key(&selector).is_none() {
                let problem = self.problem(organisation, &selector, KeyRefusal::NotInKeyring);
                found.warnings.push(problem);
            }
        }
        Ok(found)
    }
}

impl View {
    /// As [`Keystore::read_keyring`], with the stamp that the file had before; none when it
    /// has only just changed, so that it must be read again the next time.
    ///
    /// # Errors
    /// As [`Keystore::read_keyring`].
    pub fn read_keyring(
        &self,
        organisation: &OrganisationId,
    ) -> Result<(Keyring, Option<KeyringStamp>), KeystoreError> {
        let missing = || (Keyring::default(), Some(KeyringStamp(None)));
        let Some(folder) = folder_in(&self.0, organisation)? else {
            return Ok(missing());
        };
        let Some((json, file)) = folder.read_stamped(KEYRING, Secrecy::State)? else {
            return Ok(missing());
        };
        let keyring = parse_keyring(&folder, &json)?;
        let stamp = file.settled.map(|stamp| KeyringStamp(Some(stamp)));
        Ok((keyring, stamp))
    }

    /// Whether the keyring is still as it was read: one look, and no reading. Whoever may
    /// write in the folder is looked at when something in it is read.
    pub fn is_unchanged(&self, organisation: &OrganisationId, stamp: &KeyringStamp) -> bool {
        let name = format!("{organisation}/{KEYRING}");
        self.0.has_stamp(&name, stamp.0)
    }

    /// As [`Keystore::sightings`], with the stamps that the files had before; none when one has only
    /// just changed, so that they must be read again the next time.
    ///
    /// # Errors
    /// As [`Keystore::sightings`].
    pub fn sightings(
        &self,
        organisation: &OrganisationId,
    ) -> Result<(Sightings, Option<SightingsStamp>), KeystoreError> {
        let (mut seen, dns): (Sightings, _) = self.state(sightings::FOLDER, organisation)?;
        // What can't be read says nothing, and harms no other.
        let climbed = self.state(senders::FOLDER, organisation);
        let (climbed, reports): (AllClimbed, _) = climbed.unwrap_or_default();
        seen.climbed = climbed.domains;
        let stamp = dns.zip(reports);
        Ok((
            seen,
            stamp.map(|(dns, reports)| SightingsStamp([dns, reports])),
        ))
    }

    /// What a folder of the keeper has about an organisation, with the stamp of the file; empty if
    /// there is none, or if it is of a kind that this version can't read.
    fn state<T: Default + DeserializeOwned>(
        &self,
        folder: &str,
        organisation: &OrganisationId,
    ) -> Result<(T, Option<StateStamp>), KeystoreError> {
        let missing = || (T::default(), Some(StateStamp(None)));
        let Some(folder) = self.0.child(folder)? else {
            return Ok(missing());
        };
        let name = sightings::file(organisation);
        let Some((json, read)) = folder.read_stamped(&name, Secrecy::State)? else {
            return Ok(missing());
        };
        let seen = serde_json::from_slice(&json).unwrap_or_default();
        let stamp = read.settled.map(|stamp| StateStamp(Some(stamp)));
        Ok((seen, stamp))
    }

    /// As [`Keystore::senders`].
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn senders(&self, organisation: &OrganisationId) -> Result<Senders, KeystoreError> {
        let Some(folder) = self.0.child(senders::FOLDER)? else {
            return Ok(Senders::default());
        };
        let read = folder.read(&sightings::file(organisation), Secrecy::State)?;
        Ok(read.map_or_else(Senders::default, |json| {
            serde_json::from_slice(&json).unwrap_or_default()
        }))
    }

    /// Whether the sightings are still as they were read: two looks, and no reading.
    pub fn has_same_sightings(
        &self,
        organisation: &OrganisationId,
        stamp: &SightingsStamp,
    ) -> bool {
        let file = sightings::file(organisation);
        let folders = [sightings::FOLDER, senders::FOLDER];
        let mut all = folders.iter().zip(&stamp.0);
        all.all(|(folder, stamp)| self.0.has_stamp(&format!("{folder}/{file}"), stamp.0))
    }
}

pub(super) fn read_keyring(folder: &Folder) -> Result<Keyring, KeystoreError> {
    let json = folder.read(KEYRING, Secrecy::State)?;
    json.map_or_else(
        || Ok(Keyring::default()),
        |json| parse_keyring(folder, &json),
    )
}

fn parse_keyring(folder: &Folder, json: &[u8]) -> Result<Keyring, KeystoreError> {
    let parsed = Keyring::parse(json).map_err(|problem| KeystoreError::Keyring {
        place: folder.place(KEYRING),
        problem,
    });
    parsed.map(|mut keyring| {
        deadlines::complete(folder, &mut keyring);
        departures::complete(folder, &mut keyring);
        keyring
    })
}

impl Keystore {
    fn load_from(
        &self,
        folder: &Folder,
        organisation: &OrganisationId,
        identity: &KeyIdentity,
    ) -> Result<(SigningKey, Option<Stamp>), KeyRefusal> {
        let (content, file) = folder
            .read_stamped(&key_file(&identity.selector), Secrecy::Secret)
            .map_err(KeyRefusal::File)?
            .ok_or(KeyRefusal::Missing)?;
        let (_, key) = self.checked(organisation, identity, content)?;
        Ok((key, file.settled))
    }

    /// What is in a key file, opened if it is sealed, and the key of this identity in it.
    pub(super) fn checked(
        &self,
        organisation: &OrganisationId,
        identity: &KeyIdentity,
        content: Zeroizing<Vec<u8>>,
    ) -> Result<(Zeroizing<Vec<u8>>, SigningKey), KeyRefusal> {
        let pem = self.opened(organisation, identity, content)?;
        let key = SigningKey::from_pem(&pem).map_err(KeyRefusal::Key)?;
        let found = key.public_key().fingerprint();
        if found != identity.fingerprint || key.algorithm() != identity.algorithm {
            return Err(KeyRefusal::OtherKey {
                expected: identity.fingerprint,
                found,
            });
        }
        Ok((pem, key))
    }

    /// The private key of an entry in the clear (PKCS#8, PEM), to be taken elsewhere. The audit
    /// log tells of it first.
    ///
    /// # Errors
    /// As [`Keystore::load_key`], and when the audit log can't be written.
    pub fn export_key(
        &self,
        organisation: &OrganisationId,
        entry: &KeyEntry,
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let unusable = |refusal| {
            let problem = self.problem(organisation, &entry.selector, refusal);
            KeystoreError::UnusableKey(Box::new(problem))
        };
        let writer = self.writer_of([organisation], [])?;
        let folder = self.folder(organisation)?;
        let folder = folder.ok_or_else(|| unusable(KeyRefusal::Missing))?;
        let content = folder.read(&key_file(&entry.selector), Secrecy::Secret)?;
        let content = content.ok_or_else(|| unusable(KeyRefusal::Missing))?;
        let checked = self.checked(organisation, &entry.identity(), content);
        let (pem, _) = checked.map_err(unusable)?;
        let domains: Vec<DomainName> = entry.publications.keys().cloned().collect();
        let place = (organisation, &entry.selector);
        AuditLog::open(self, &writer.root)?.note_export(place, &domains, now)?;
        Ok(pem)
    }
}
