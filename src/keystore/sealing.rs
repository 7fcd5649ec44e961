//! Keys that lie sealed in the folder, and the files of the keys that seal them.
//!
//! The sealing keys are read when a private key is first opened or written: whoever opens none
//! gets along without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use zeroize::Zeroizing;

use super::{
    KEY_SUFFIX, Keystore,
    files::{Folder, Secrecy},
    identity::Standing,
    problem::{FileError, FileProblem, KeyRefusal, KeystoreError, SealingError, UnusedSealingKey},
};
use crate::{
    dkim::key::{Algorithm, Fingerprint},
    keys::KeyIdentity,
    names::{OrganisationId, Selector},
    sealing::{self, Bound, SealedBy, SealingKey, SealingKeyId, SealingKeys, sealed_by},
};

/// Where systemd puts the credentials of a unit (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const FILE_MODE: u32 = 0o600;

/// What the keys of a keystore are sealed with, for all copies of a [`Keystore`].
#[derive(Debug, Default)]
pub(super) struct Sealing {
    in_use: Mutex<InUse>,
    /// The id of the keystore, which never changes.
    id: OnceLock<String>,
}

/// The files of the sealing keys, and what was read of them.
#[derive(Debug, Default)]
struct InUse {
    files: Arc<[PathBuf]>,
    read: Option<ReadKeys>,
}

/// The sealing keys that were read.
#[derive(Clone, Debug)]
struct ReadKeys {
    keys: Arc<SealingKeys>,
    /// The files that were not there. Never the first one, which seals.
    missing: Vec<PathBuf>,
}

/// How many private keys lie how.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lying {
    /// In the clear.
    pub plain: usize,
    /// By the sealing key that each names.
    pub sealed: BTreeMap<SealingKeyId, usize>,
    /// In a way that this version does not know.
    pub unknown: usize,
}

impl Lying {
    fn count(&mut self, by: SealedBy) {
        match by {
            SealedBy::Nothing => self.plain += 1,
            SealedBy::Key(id) => *self.sealed.entry(id).or_default() += 1,
            SealedBy::Unknown => self.unknown += 1,
        }
    }
}

impl Keystore {
    /// The same keystore, whose keys are sealed with the first of these sealing keys and opened
    /// with all of them; with none, keys lie in the clear. A name without `/` is that of a
    /// credential of systemd. The files are read when a private key is first needed.
    #[must_use]
    pub fn sealed_by(self, files: &[PathBuf]) -> Self {
        let in_use = InUse {
            files: files.into(),
            read: None,
        };
        let sealing = Sealing {
            in_use: Mutex::new(in_use),
            id: OnceLock::new(),
        };
        Self {
            sealing: Arc::new(sealing),
            ..self
        }
    }

    /// The sealing keys. They are read once; what can't be read is tried again the next time. The
    /// file of one that only opens may be missing: what it seals is refused by itself.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub fn sealing_keys(&self) -> Result<Arc<SealingKeys>, SealingError> {
        Ok(self.read_keys()?.keys)
    }

    /// Has this keystore and its copies seal and open with these from now on, if they differ from
    /// those in use. Files of the same names are not read again: whoever brought them may have
    /// taken them away.
    ///
    /// # Errors
    /// When one of them can't be read, or a key is sealed with one that is in use and not among
    /// them. All stays as it was then.
    pub fn exchange_sealing_keys(&self, files: &[PathBuf]) -> Result<(), KeystoreError> {
        self.with_sealing_keys(files, || Ok(()))
    }

    /// The same, for as long as it takes to do this; they stay in use if that succeeds.
    ///
    /// # Errors
    /// As [`Keystore::exchange_sealing_keys`], and what `work` says.
    pub fn with_sealing_keys<T>(
        &self,
        files: &[PathBuf],
        work: impl FnOnce() -> Result<T, KeystoreError>,
    ) -> Result<T, KeystoreError> {
        if *self.in_use().files == *files {
            return work();
        }
        let others = self.clone().sealed_by(files);
        let unused = others.check_sealing()?;
        self.check_none_is_needed(&others)?;
        for file in &unused {
            tracing::warn!("{file}");
        }
        self.swap(&others);
        let result = work();
        if result.is_err() {
            self.swap(&others);
        }
        result
    }

    fn swap(&self, others: &Self) {
        mem::swap(&mut *self.in_use(), &mut *others.in_use());
    }

    /// That no key is sealed with a sealing key which the others do not have. One that is in memory
    /// would sign on, and not sign any more after the next start.
    fn check_none_is_needed(&self, others: &Self) -> Result<(), KeystoreError> {
        // Not read before: those that could be read opened nothing so far.
        let old = self.in_use().read.clone();
        let old = old.map(|read| read.keys.ids()).unwrap_or_default();
        let new = others.sealing_keys().map_err(KeystoreError::Sealing)?;
        let mut gone: BTreeSet<_> = old
            .into_iter()
            .filter(|id| new.get(*id).is_none())
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let lying = self.lying()?;
        gone.retain(|id| lying.sealed.contains_key(id));
        if gone.is_empty() {
            return Ok(());
        }
        Err(KeystoreError::Sealing(SealingError::StillNeeded(gone)))
    }

    fn read_keys(&self) -> Result<ReadKeys, SealingError> {
        let mut in_use = self.in_use();
        if let Some(known) = &in_use.read {
            return Ok(known.clone());
        }
        let mut keys = Vec::new();
        let mut missing = Vec::new();
        for (at, file) in in_use.files.iter().enumerate() {
            match self.read_sealing_key(file) {
                Ok(key) => keys.push(key),
                Err(SealingError::File(error)) if at > 0 && is_missing(&error) => {
                    missing.push(error.path);
                }
                Err(error) => return Err(error),
            }
        }
        let keys = Arc::new(SealingKeys::new(keys));
        let read = ReadKeys { keys, missing };
        in_use.read = Some(read.clone());
        Ok(read)
    }

    /// How keys that are written lie.
    pub(super) fn sealed_by_first(&self) -> Result<SealedBy, KeystoreError> {
        let keys = self.sealing_keys().map_err(KeystoreError::Sealing)?;
        let first = keys.first().map(|key| SealedBy::Key(key.id()));
        Ok(first.unwrap_or(SealedBy::Nothing))
    }

    fn in_use(&self) -> MutexGuard<'_, InUse> {
        let in_use = &self.sealing.in_use;
        in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sealing keys, for what this one has sealed. If it is none of those that were read, the
    /// files that were missing may be there by now.
    fn keys_for(&self, id: SealingKeyId) -> Result<Arc<SealingKeys>, SealingError> {
        let read = self.read_keys()?;
        if read.missing.is_empty() || read.keys.get(id).is_some() {
            return Ok(read.keys);
        }
        let files = Arc::clone(&self.in_use().files);
        let all = files.iter().map(|file| self.read_sealing_key(file));
        // What was read stays in use if one is still missing.
        let keys = Arc::new(SealingKeys::new(all.collect::<Result<_, _>>()?));
        let mut in_use = self.in_use();
        // A reload may have brought others meanwhile.
        if Arc::ptr_eq(&in_use.files, &files) {
            in_use.read = Some(ReadKeys {
                keys: Arc::clone(&keys),
                missing: Vec::new(),
            });
        }
        Ok(keys)
    }

    /// The files of the sealing keys, as far as it is known where they are, or would be.
    pub(super) fn sealing_files(&self) -> Vec<PathBuf> {
        let files = Arc::clone(&self.in_use().files);
        let place = |file: &PathBuf| {
            let (path, _) = resolved(file).ok()?;
            let late = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
            path.canonicalize().ok().or_else(late)
        };
        files.iter().filter_map(place).collect()
    }

    fn read_sealing_key(&self, file: &Path) -> Result<SealingKey, SealingError> {
        let (path, secrecy) = resolved(file)?;
        let like = self.root().map_err(|error| match error {
            KeystoreError::File(error) => SealingError::File(error),
            other => SealingError::System(other.to_string()),
        })?;
        let text = Folder::read_beside(&path, &like, secrecy);
        let text = text.map_err(|error| SealingError::of_file(&path, error))?;
        let key = SealingKey::parse(&text);
        key.map_err(|problem| SealingError::Key { path, problem })
    }

    /// That the sealing keys can be read, and that one of them is one that the keys of this
    /// keystore name, unless a key lies in the clear. Looks at the first lines of key files until
    /// one fits. If the file of a sealing key is missing, each key must name one that is there.
    /// Gives the files that are missing, of which the caller tells.
    ///
    /// # Errors
    /// [`KeystoreError::Sealing`], and when the folder can't be read.
    pub fn check_sealing(&self) -> Result<Vec<UnusedSealingKey>, KeystoreError> {
        let ReadKeys { keys, missing } = self.read_keys().map_err(KeystoreError::Sealing)?;
        let mut wanted = BTreeSet::new();
        let mut fits = false;
        self.each_key_file(|by| {
            match by {
                SealedBy::Key(id) if keys.get(id).is_none() => {
                    wanted.insert(id);
                }
                SealedBy::Unknown => {}
                SealedBy::Key(_) | SealedBy::Nothing => fits = true,
            }
            !fits || !missing.is_empty()
        })?;
        if let (false, Some(file)) = (wanted.is_empty(), missing.first()) {
            let error = FileError::new(file, FileProblem::Missing);
            return Err(KeystoreError::Sealing(SealingError::File(error)));
        }
        if fits || wanted.is_empty() {
            return Ok(missing.into_iter().map(UnusedSealingKey).collect());
        }
        let files = Arc::clone(&self.in_use().files);
        let there = files.iter().cloned().zip(keys.ids()).collect();
        Err(KeystoreError::Sealing(SealingError::NoneFits {
            wanted,
            there,
        }))
    }

    /// How many private keys lie how, by the first lines of their files, with what processes that
    /// died left half written. Of sealed ones those that a keyring names: the others are no keys any
    /// more. No sealing key is needed for that.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn lying(&self) -> Result<Lying, KeystoreError> {
        let mut lying = Lying::default();
        self.each_folder(|organisation, folder| {
            // One that can't be read names all of them, as far as anybody knows.
            let keyring = self.read_keyring(organisation).ok();
            let is_named = |file: &str| {
                let selector = file.strip_suffix(KEY_SUFFIX)?.parse().ok()?;
                Some(keyring.as_ref()?.key(&selector).is_some())
            };
            let names = folder.names()?.into_iter();
            for file in names.filter(|name| name.contains(KEY_SUFFIX)) {
                let Ok(Some(content)) = folder.read(&file, Secrecy::Secret) else {
                    continue;
                };
                let by = sealed_by(&content);
                if is_key_file(&file) {
                    if by == SealedBy::Nothing || is_named(&file) != Some(false) {
                        lying.count(by);
                    }
                } else if by == SealedBy::Nothing {
                    lying.count(by);
                }
            }
            Ok(true)
        })?;
        Ok(lying)
    }

    /// Looks at each key file that can be read, for as long as `look` wants more.
    fn each_key_file(&self, mut look: impl FnMut(SealedBy) -> bool) -> Result<(), KeystoreError> {
        self.each_folder(|_, folder| {
            let names = folder.names()?;
            let mut files = names.iter().filter(|name| is_key_file(name));
            Ok(files.all(|file| match folder.read(file, Secrecy::Secret) {
                Ok(Some(content)) => look(sealed_by(&content)),
                Ok(None) | Err(_) => true,
            }))
        })
    }

    /// Looks at the folder of each organisation that can be read, for as long as `look` wants more.
    fn each_folder(
        &self,
        mut look: impl FnMut(&OrganisationId, &Folder) -> Result<bool, KeystoreError>,
    ) -> Result<(), KeystoreError> {
        let root = self.root()?;
        for name in root.names()? {
            let Ok(organisation) = name.parse::<OrganisationId>() else {
                continue;
            };
            if let Ok(Some(folder)) = root.child(&name)
                && !look(&organisation, &folder)?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The PEM of a key file.
    pub(super) fn opened(
        &self,
        organisation: &OrganisationId,
        identity: &KeyIdentity,
        content: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyRefusal> {
        let keys = match sealed_by(&content) {
            SealedBy::Nothing => return Ok(content),
            SealedBy::Key(id) => self.keys_for(id),
            SealedBy::Unknown => self.sealing_keys(),
        };
        let keys = keys.map_err(KeyRefusal::Sealing)?;
        let keystore = self.id_of_sealed().map_err(|error| match error {
            // It may be of the moment.
            KeystoreError::File(error) => KeyRefusal::File(error),
            _ => KeyRefusal::NoId,
        })?;
        let place = (organisation, &identity.selector);
        let bound = bound(&keystore, place, identity.algorithm, identity.fingerprint);
        sealing::open(&keys, &bound, &content).map_err(KeyRefusal::Sealed)
    }

    /// What is written into the file of a key: sealed, if there is a sealing key.
    pub(super) fn lying_text(
        &self,
        place: (&OrganisationId, &Selector),
        (algorithm, fingerprint): (Algorithm, Fingerprint),
        pem: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let keys = self.sealing_keys().map_err(KeystoreError::Sealing)?;
        let Some(key) = keys.first() else {
            return Ok(Zeroizing::new(pem.to_vec()));
        };
        let failed = |reason| KeystoreError::Sealing(SealingError::System(reason));
        let keystore = self.id_of_sealed()?;
        let bound = bound(&keystore, place, algorithm, fingerprint);
        let sealed = sealing::seal(key, &bound, pem).map_err(failed)?;
        Ok(Zeroizing::new(sealed.into_bytes()))
    }

    /// The id that sealed keys are bound to. If the file is gone, the mark still knows it.
    fn id_of_sealed(&self) -> Result<String, KeystoreError> {
        if let Some(known) = self.sealing.id.get() {
            return Ok(known.clone());
        }
        match self.standing()? {
            Standing::Initialised(id) => {
                let id = self.sealing.id.get_or_init(|| id.to_string());
                Ok(id.clone())
            }
            Standing::WithoutId | Standing::Empty => {
                let known = self.marked_id().map(|id| id.to_string());
                known.ok_or_else(|| KeystoreError::IdIsMissing(self.path.to_path_buf()))
            }
        }
    }

    /// That no key is sealed for a keystore whose id is lost: with a new id none would open again.
    pub(super) fn check_id_is_not_needed(&self) -> Result<(), KeystoreError> {
        let mut is_needed = false;
        self.each_key_file(|by| {
            is_needed = by != SealedBy::Nothing;
            !is_needed
        })?;
        if is_needed {
            return Err(KeystoreError::IdIsMissing(self.path.to_path_buf()));
        }
        Ok(())
    }
}

fn is_missing(error: &FileError) -> bool {
    matches!(error.problem, FileProblem::Missing)
}

/// What is sealed with a key that a power cut takes is lost.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

pub(super) fn is_key_file(name: &str) -> bool {
    !name.starts_with('.') && name.ends_with(KEY_SUFFIX)
}

fn bound<'a>(
    keystore: &'a str,
    (organisation, selector): (&'a OrganisationId, &'a Selector),
    algorithm: Algorithm,
    fingerprint: Fingerprint,
) -> Bound<'a> {
    Bound {
        keystore,
        organisation,
        selector,
        algorithm,
        fingerprint,
    }
}

/// Where the file of a sealing key is, and by what rules it is read.
fn resolved(file: &Path) -> Result<(PathBuf, Secrecy), SealingError> {
    if file.components().count() > 1 || file.is_absolute() {
        return Ok((file.to_owned(), Secrecy::Secret));
    }
    let folder = env::var_os(CREDENTIALS).filter(|folder| !folder.is_empty());
    let folder = folder.ok_or_else(|| SealingError::NoCredentials(file.display().to_string()))?;
    Ok((Path::new(&folder).join(file), Secrecy::Credential))
}

/// Makes a sealing key and writes it into this file, which must not be there yet, with mode 0600.
/// Gives the id of the key.
///
/// # Errors
/// When the file is there, or can't be written.
pub fn make_sealing_key(path: &Path) -> Result<SealingKeyId, SealingError> {
    let of_key = |problem| SealingError::Key {
        path: path.to_owned(),
        problem,
    };
    let key = SealingKey::generate().map_err(of_key)?;
    let failed = |error| SealingError::File(FileError::io(path, error));
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(FILE_MODE);
    let mut file = options.open(path).map_err(failed)?;
    let written = file
        .write_all(key.to_text().as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    if let Err(error) = written {
        // It is ours, and no whole key.
        let _ = fs::remove_file(path);
        return Err(failed(error));
    }
    Ok(key.id())
}
