//! The private keys of all organisations, and what is known of them.
//!
//! ```text
//! <path>/keystore.id                made once: without it the folder is no keystore
//! <path>/generation                 a counter that grows with every change
//! <path>/lock                       held by the one who writes
//! <path>/orgs.lock                  held by the one who adds files to orgs.d
//! <path>/audit.log                  who changed what, and on whose word
//! <path>/keeper.look/<org>.<pid>    a command asks the keeper for a look
//! <path>/keeper.hooks/<org>.json    what programs were told, and what they are still to be told
//! <path>/keeper.seen/<org>.json     what the keeper last saw of policies and wrong records
//! <path>/keeper.senders/<org>.json  who sends in the names of its domains, by reports
//! <path>/keeper.senders/<org>.streams.json  all that is told of each of these
//! <path>/handed.over/<org>.json     which records were handed over, when and by whom
//! <path>/database.json              which state of a database the folder has
//! <path>/keeper.alarms              when alarms began and were over
//! <path>/keeper.counts/<day>.json what became of mail on that day
//! <path>/<org>/keyring.json         the keys, and their publications in DNS
//! <path>/<org>/deadlines.json       by when records are to be there, if the operator said so
//! <path>/<org>/leaving.json         until when it signs, if the operator said that it leaves
//! <path>/<org>/<selector>.pem       a private key, sealed or in the clear
//! <path>.mark/mark.jsonl            which keystore there was, and what it gave up
//! ```
//!
//! Reading needs no lock: every file is replaced in one step, and a key file is there
//! before the keyring that names it. What is wrong with one key or one organisation never
//! touches another.

mod alarms;
mod audit;
mod batch;
mod climbing;
mod commit;
mod copies;
mod counts;
mod deadlines;
mod departures;
mod files;
mod handed_over;
mod hooks;
mod identity;
mod known;
mod lock;
mod mark;
mod problem;
mod reading;
mod recorded;
mod requests;
mod resealing;
mod restoring;
mod sealing;
mod selectors;
mod senders;
mod sightings;
mod streams;
mod witness;
mod writer;

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

pub use self::{
    alarms::AlarmNews,
    batch::{Addition, BATCH, NextKey},
    climbing::{Climbed, Climbing, Held, ReplaySeen, StrangeKey},
    copies::{COPIES, CopyState, OrganisationCopy},
    counts::{CountsStamp, StampedCounts},
    handed_over::{HandOver, HandedOver, Told},
    identity::{KeystoreId, Standing},
    mark::{Mark, Missing, marked_in_use},
    problem::{
        FileError, FileProblem, KeyProblem, KeyRefusal, KeystoreError, SealingError,
        UnusedSealingKey,
    },
    reading::{Key, KeyringStamp, OrganisationKeys, PublicKeys, SightingsStamp, View},
    recorded::{Recorded, RecordedState},
    requests::LookRequest,
    resealing::{Lie, Resealed},
    restoring::Restored,
    sealing::{Lying, make_sealing_key},
    senders::{
        Coverage, Largest, SelectorSeen, Senders, SendersOf, SendingStream, StreamPage, StreamPages,
    },
    sightings::{DomainSighting, FindingSeen, KeySighting, Sightings},
    streams::StreamWord,
    witness::{Doubt, Lineage, Witness},
    writer::{Retired, Writer},
};
use self::{
    files::{Folder, Secrecy},
    known::{KnownKeys, Places},
    mark::MarkFile,
    sealing::Sealing,
};
use crate::{
    dkim::key::Algorithm,
    files::Stamp,
    keys::{Change, CommandError, KeyEntry, NewKey, Timing},
    names::{DomainName, OrganisationId, Selector},
};

const GENERATION: &str = "generation";
const KEYRING: &str = "keyring.json";
const KEY_SUFFIX: &str = ".pem";

/// A keystore on disk. Holds its path and what it read of its mark: each call reads what is
/// there.
#[derive(Clone, Debug)]
pub struct Keystore {
    path: Arc<Path>,
    mark: Arc<MarkFile>,
    /// Whose each key is, as the last writer left it.
    known: Arc<KnownKeys>,
    /// What its keys are sealed with.
    sealing: Arc<Sealing>,
    /// Who writes, for the audit log.
    by: Option<Arc<str>>,
    /// Whether it is a copy that only a database changes.
    follows: bool,
}

/// By what a keystore is known to be as it was read. The number alone would not do: a backup
/// that is restored, and a change after that, can come to the same one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GenerationStamp {
    number: u64,
    /// None where there is no file yet.
    file: Option<Stamp>,
}

impl GenerationStamp {
    /// The counter.
    pub fn number(self) -> u64 {
        self.number
    }
}

/// Held by the one keeper of a keystore. The kernel lets go of it when the process dies.
#[derive(Debug)]
pub struct KeeperLock {
    _lock: lock::Lock,
}

/// Held by the one who looks which files of organisations there are and adds some. It is here
/// since no other user can open what is in a keystore, and so hold it.
#[derive(Debug)]
pub struct OrganisationsLock {
    _lock: lock::Lock,
}

/// A key, and the domains for which something is to be done with it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Whose it is.
    pub organisation: &'a OrganisationId,
    /// Which one.
    pub selector: &'a Selector,
    /// For which domains.
    pub domains: &'a [DomainName],
}

impl Target<'_> {
    fn refused(&self, error: CommandError) -> KeystoreError {
        match error {
            CommandError::UnknownKey(selector) => KeystoreError::UnknownKey {
                organisation: self.organisation.clone(),
                selector,
            },
            other => KeystoreError::Command(other),
        }
    }
}

impl Keystore {
    /// Opens the keystore at `path`.
    ///
    /// # Errors
    /// When it is not there, or when others could change it or put another in its place.
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        let real = files::safe_path(path).map_err(|error| missing(path, error))?;
        // Not beside what a link leads to, if it can be helped: that may be what is replaced.
        let named = if path.file_name().is_some() {
            path
        } else {
            &real
        };
        let keystore = Self {
            mark: Arc::new(MarkFile::beside(named.components().as_path())),
            path: real.into(),
            known: Arc::default(),
            sealing: Arc::default(),
            by: None,
            follows: false,
        };
        keystore.root()?;
        Ok(keystore)
    }

    /// The same keystore, with its mark in this folder.
    #[must_use]
    pub fn with_mark(self, folder: &Path) -> Self {
        Self {
            mark: Arc::new(MarkFile::new(folder.to_owned())),
            ..self
        }
    }

    /// The same keystore for a command that is about these: of the mark only what has to do with
    /// them is read. A writer of it reads all the same.
    #[must_use]
    pub fn about(
        self,
        domains: &BTreeSet<DomainName>,
        organisations: &BTreeSet<OrganisationId>,
    ) -> Self {
        let about = mark::About {
            domains: domains.clone(),
            organisations: organisations.clone(),
            keys: BTreeSet::new(),
        };
        Self {
            mark: Arc::new(self.mark.about(about)),
            ..self
        }
    }

    /// The same keystore, for one that the audit log calls so: `keeper`, or words of a command.
    #[must_use]
    pub fn by(self, who: &str) -> Self {
        Self {
            by: Some(who.into()),
            ..self
        }
    }

    /// The same keystore, as a copy that only a database changes, or not.
    #[must_use]
    pub fn following(self, follows: bool) -> Self {
        Self { follows, ..self }
    }

    /// What was last found wrong with the mark, which is no reason to refuse anything.
    pub fn mark_problem(&self) -> Option<String> {
        self.mark.complaint()
    }

    /// Opens the keystore at `path`. Makes its folder if need be, with mode 0700, and makes it a
    /// keystore if it is empty; the folders above it must be there.
    ///
    /// # Errors
    /// As [`Keystore::open`] and [`Keystore::initialise`], and when the folder cannot be made.
    pub fn create(path: &Path) -> Result<Self, KeystoreError> {
        let keystore = Self::make(path)?;
        keystore.initialise()?;
        Ok(keystore)
    }

    /// Opens the keystore at `path`, and makes its folder if need be.
    ///
    /// # Errors
    /// As [`Keystore::open`], and when the folder cannot be made.
    pub fn make(path: &Path) -> Result<Self, KeystoreError> {
        files::make_folder(path).map_err(|error| missing(path, error))?;
        Self::open(path)
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folders that are its own, and the files of its sealing keys: what is in them concerns
    /// nobody else.
    pub fn places(&self) -> Vec<PathBuf> {
        let folders = [self.path.to_path_buf(), self.mark.folder().to_owned()];
        folders.into_iter().chain(self.sealing_files()).collect()
    }

    /// Where the private key with this selector is, or would be.
    pub fn key_path(&self, organisation: &OrganisationId, selector: &Selector) -> PathBuf {
        self.path
            .join(organisation.as_str())
            .join(key_file(selector))
    }

    /// The counter that grows with every change; 0 before the first one. One small read.
    ///
    /// # Errors
    /// When the file is unsafe or does not hold a number.
    pub fn generation(&self) -> Result<u64, KeystoreError> {
        Ok(self.generation_stamp()?.number)
    }

    /// The counter, and the file that it is in.
    ///
    /// # Errors
    /// As [`Keystore::generation`].
    pub fn generation_stamp(&self) -> Result<GenerationStamp, KeystoreError> {
        let root = self.root()?;
        let Some((text, file)) = root.read_stamped(GENERATION, Secrecy::State)? else {
            return Ok(GenerationStamp::default());
        };
        let number = std::str::from_utf8(&text).ok();
        let number = number.and_then(|text| text.trim_ascii().parse().ok());
        let number = number.ok_or_else(|| KeystoreError::Generation(root.path(GENERATION)))?;
        Ok(GenerationStamp {
            number,
            file: Some(file.stamp),
        })
    }

    /// The organisations that have a folder, sorted.
    ///
    /// # Errors
    /// When the folder of the keystore cannot be read.
    pub fn organisations(&self) -> Result<Vec<OrganisationId>, KeystoreError> {
        let names = self.root()?.names()?;
        let folder = |name: &String| self.path.join(name).is_dir();
        let ids = names.iter().filter(|name| folder(name));
        Ok(ids.filter_map(|name| name.parse().ok()).collect())
    }

    /// The organisations that have a folder here and are not among these.
    ///
    /// # Errors
    /// When the folder of the keystore cannot be read.
    pub fn without_file<'a>(
        &self,
        known: impl IntoIterator<Item = &'a OrganisationId>,
    ) -> Result<Vec<OrganisationId>, KeystoreError> {
        let known: HashSet<&str> = known.into_iter().map(OrganisationId::as_str).collect();
        let mut names = self.root()?.names()?;
        names.retain(|name| !known.contains(name.as_str()) && self.path.join(name).is_dir());
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Takes the lock of the keeper: there is one for a keystore, until this is dropped.
    ///
    /// # Errors
    /// When another keeper has it; the error says which, and since when.
    pub fn keep(&self, now: Timestamp) -> Result<KeeperLock, KeystoreError> {
        let lock = lock::Lock::of_keeper(&self.root()?, now)?;
        Ok(KeeperLock { _lock: lock })
    }

    /// Takes the lock for files of organisations, until it is dropped.
    ///
    /// # Errors
    /// When another process holds it for ten seconds; the error says which. When the folder is no
    /// keystore and has something else in it.
    pub fn lock_organisations(&self) -> Result<OrganisationsLock, KeystoreError> {
        let root = self.root()?;
        // Not even a lock is left in a folder that is meant for something else.
        self.check_not_foreign(&root)?;
        let lock = lock::Lock::of_organisations(&root)?;
        Ok(OrganisationsLock { _lock: lock })
    }

    /// Takes the lock, to change several things in one go.
    ///
    /// # Errors
    /// When another process holds the lock for more than a few seconds, and
    /// [`KeystoreError::Follows`].
    pub fn writer(&self) -> Result<Writer, KeystoreError> {
        if self.mark.is_part() {
            let whole = Self {
                mark: Arc::new(self.mark.whole()),
                ..self.clone()
            };
            return Writer::new(&whole);
        }
        Writer::new(self)
    }

    /// The same for a command that changes these organisations alone, which have these domains: it
    /// reads of the mark what has to do with them, and more only if it asks for more.
    ///
    /// # Errors
    /// As [`Keystore::writer`].
    pub fn writer_of<'a>(
        &self,
        organisations: impl IntoIterator<Item = &'a OrganisationId>,
        domains: impl IntoIterator<Item = &'a DomainName>,
    ) -> Result<Writer, KeystoreError> {
        let about = mark::About {
            domains: domains.into_iter().cloned().collect(),
            organisations: organisations.into_iter().cloned().collect(),
            keys: BTreeSet::new(),
        };
        Writer::new(&Self {
            mark: Arc::new(self.mark.likely_about(about)),
            ..self.clone()
        })
    }

    /// Makes a key of `algorithm` (of `rsa_bits`, if RSA) and adds it.
    ///
    /// # Errors
    /// As [`NewKey::generate`] and [`Writer::add`].
    pub fn generate(
        &self,
        target: &Target<'_>,
        algorithm: Algorithm,
        rsa_bits: usize,
        now: Timestamp,
    ) -> Result<KeyEntry, KeystoreError> {
        // Outside the lock: it takes long.
        let key = NewKey::generate(algorithm, rsa_bits)?;
        self.writer()?.add(target, &key, now)
    }

    /// Adds a key from elsewhere.
    ///
    /// # Errors
    /// As [`NewKey::from_pem`] and [`Writer::add`].
    pub fn import(
        &self,
        target: &Target<'_>,
        pem: &[u8],
        now: Timestamp,
    ) -> Result<KeyEntry, KeystoreError> {
        let key = NewKey::from_pem(pem)?;
        self.writer()?.add(target, &key, now)
    }

    /// As [`Writer::activate`].
    ///
    /// # Errors
    /// As [`Writer::activate`].
    pub fn activate(
        &self,
        target: &Target<'_>,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Vec<Change>, KeystoreError> {
        self.writer()?.activate(target, timing, now)
    }

    fn root(&self) -> Result<Folder, KeystoreError> {
        Ok(Folder::open(&self.path)?)
    }

    fn folder(&self, organisation: &OrganisationId) -> Result<Option<Folder>, KeystoreError> {
        folder_in(&self.root()?, organisation)
    }

    /// Whose each key is.
    fn fingerprints(&self) -> Result<Places, KeystoreError> {
        let mut known = Places::new();
        for organisation in self.organisations()? {
            for entry in self.read_keyring(&organisation)?.keys() {
                let place = (organisation.clone(), entry.selector.clone());
                known.insert(entry.fingerprint, place);
            }
        }
        Ok(known)
    }

    fn problem(
        &self,
        organisation: &OrganisationId,
        selector: &Selector,
        refusal: KeyRefusal,
    ) -> KeyProblem {
        KeyProblem {
            organisation: organisation.clone(),
            selector: selector.clone(),
            path: self.key_path(organisation, selector),
            refusal,
        }
    }
}

fn folder_in(
    root: &Folder,
    organisation: &OrganisationId,
) -> Result<Option<Folder>, KeystoreError> {
    if [GENERATION, lock::WRITER].contains(&organisation.as_str()) {
        return Err(KeystoreError::ReservedName(organisation.clone()));
    }
    Ok(root.child(organisation.as_str())?)
}

fn missing(path: &Path, error: FileError) -> KeystoreError {
    match error.problem {
        FileProblem::Missing => KeystoreError::NoKeystore(path.to_owned()),
        _ => error.into(),
    }
}

fn key_file(selector: &Selector) -> String {
    format!("{selector}{KEY_SUFFIX}")
}

#[cfg(test)]
mod tests;
