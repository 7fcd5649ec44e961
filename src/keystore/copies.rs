//! What relays give to each other by way of a database: the keys of an organisation as they lie.
//!
//! A copy is taken into a folder between the same steps, in the same order, as any change: key
//! files, keyrings, generation. `database.json` says which state of the database the folder has;
//! it comes after the generation, so that a copy that breaks off is made again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    KEYRING, Keystore, KeystoreId, Standing, deadlines, departures,
    files::{Folder, Secrecy},
    key_file,
    problem::{KeyProblem, KeyRefusal, KeystoreError},
    reading::read_keyring,
    writer::Writer,
};
use crate::{
    keys::{AuditEntry, KeyEntry, Keyring, Revision, State},
    names::{OrganisationId, Selector},
    sealing::{SealedBy, sealed_by},
};

/// The most organisations that are taken in one go: their folders are all open meanwhile.
pub const COPIES: usize = 256;

const BESIDE: [&str; 2] = [departures::NAME, deadlines::NAME];
const STATE: &str = "database.json";
const VERSION: u32 = 1;
/// What the audit log of a working copy says of a change that came from elsewhere.
const EVENT: &str = "copied";

/// The keys of an organisation, as they lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrganisationCopy {
    /// Whose.
    pub organisation: OrganisationId,
    /// What is known of the keys.
    pub keyring: Keyring,
    /// The sealed private key of each that has a file.
    pub key_files: BTreeMap<Selector, Zeroizing<Vec<u8>>>,
    /// What lies beside the keyring, by the name of its file: who leaves, and by when records are
    /// to be there.
    pub beside: BTreeMap<String, String>,
}

impl OrganisationCopy {
    /// Whether both say the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.keyring.has_same_keys(&other.keyring)
            && self.key_files == other.key_files
            && self.beside == other.beside
    }
}

/// Which state of a database a folder has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CopyState {
    version: u32,
    /// The keystore that both are of.
    pub keystore: KeystoreId,
    /// Which life of the database the number is of.
    pub epoch: String,
    /// The number of the last change in the database that is in the folder.
    pub revision: u64,
    /// The generation that the folder had then: one that is higher tells of changes made here.
    pub generation: u64,
    /// Whether copies were being taken, which raises the generation too: whoever breaks off in the
    /// middle leaves this.
    #[serde(default)]
    pub is_taking: bool,
}

impl CopyState {
    /// The folder has this revision of an epoch, with this generation.
    pub fn new(keystore: KeystoreId, (epoch, revision): (String, u64), generation: u64) -> Self {
        Self {
            version: VERSION,
            keystore,
            epoch,
            revision,
            generation,
            is_taking: false,
        }
    }
}

impl Keystore {
    /// The keys of an organisation, to be given to others. An organisation without a folder has
    /// an empty copy.
    ///
    /// # Errors
    /// When the keyring or a key file can't be read, and [`KeystoreError::NotSealed`] if a private
    /// key lies in the clear: it is given to nobody.
    pub fn copy_of(
        &self,
        organisation: &OrganisationId,
    ) -> Result<OrganisationCopy, KeystoreError> {
        let mut copy = OrganisationCopy {
            organisation: organisation.clone(),
            keyring: Keyring::default(),
            key_files: BTreeMap::new(),
            beside: BTreeMap::new(),
        };
        let Some(folder) = self.folder(organisation)? else {
            return Ok(copy);
        };
        copy.keyring = read_keyring(&folder)?;
        for name in BESIDE {
            if let Some(text) = folder.read(name, Secrecy::State)? {
                let text = String::from_utf8_lossy(&text).into_owned();
                copy.beside.insert(name.to_owned(), text);
            }
        }
        for entry in copy.keyring.keys() {
            let content = folder.read(&key_file(&entry.selector), Secrecy::Secret)?;
            let Some(content) = content else {
                continue;
            };
            if sealed_by(&content) == SealedBy::Nothing {
                let path = self.key_path(organisation, &entry.selector);
                return Err(KeystoreError::NotSealed(path));
            }
            copy.key_files.insert(entry.selector.clone(), content);
        }
        Ok(copy)
    }

    /// Which state of a database this folder has; none if it never had one.
    ///
    /// # Errors
    /// When `database.json` can't be read, or is broken.
    pub fn copy_state(&self) -> Result<Option<CopyState>, KeystoreError> {
        let root = self.root()?;
        let Some(json) = root.read(STATE, Secrecy::State)? else {
            return Ok(None);
        };
        let state = serde_json::from_slice::<CopyState>(&json).ok();
        let state = state.filter(|state| state.version == VERSION);
        let broken = || KeystoreError::CopyState(root.path(STATE));
        state.map(Some).ok_or_else(broken)
    }
}

impl Writer {
    /// Takes up to [`COPIES`] copies of the keystore with this id into the folder. Gives what can't
    /// be taken, and why; those organisations stay as they are.
    ///
    /// # Errors
    /// When the folder is of another keystore, and when writing fails; some of the organisations
    /// may be changed then, each as a whole.
    pub fn take_copies(
        &mut self,
        id: &KeystoreId,
        copies: &[OrganisationCopy],
        now: Timestamp,
    ) -> Result<Vec<KeystoreError>, KeystoreError> {
        if self.keystore.standing()? != Standing::Initialised(id.clone()) {
            let path = self.keystore.path.to_path_buf();
            return Err(KeystoreError::OtherKeystore(path));
        }
        let mut revisions = Vec::with_capacity(copies.len());
        let mut refused = Vec::new();
        for copy in copies {
            match self.taken_copy(copy) {
                Ok(Some(revision)) => revisions.push(revision),
                Ok(None) => {}
                Err(error) => refused.push(error),
            }
        }
        if !revisions.is_empty() {
            self.commit_all(&revisions, now)?;
        }
        Ok(refused)
    }

    /// Notes which state of a database the folder has now.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn set_copy_state(&self, state: &CopyState) -> Result<(), KeystoreError> {
        self.root.prepare(STATE, &json(state))?.rename()?;
        Ok(self.root.sync()?)
    }

    /// Writes the key files, and gives what is to change in the keyring; nothing if all is there.
    fn taken_copy<'a>(
        &self,
        copy: &'a OrganisationCopy,
    ) -> Result<Option<Revision<'a>>, KeystoreError> {
        let organisation = &copy.organisation;
        let before = self.keystore.read_keyring(organisation)?;
        for entry in before.keys() {
            let same = copy.keyring.key(&entry.selector);
            if !same.is_some_and(|same| comes_after(same, entry)) {
                return Err(KeystoreError::UnusableKey(Box::new(KeyProblem {
                    organisation: organisation.clone(),
                    selector: entry.selector.clone(),
                    path: self.keystore.key_path(organisation, &entry.selector),
                    refusal: KeyRefusal::NotInDatabase,
                })));
            }
        }
        let root = &self.root;
        let folder = root.child_or_new_unsynced(organisation.as_str())?;
        let mut has_new_files = false;
        for (selector, text) in &copy.key_files {
            if let Some(entry) = copy.keyring.key(selector) {
                has_new_files |= self.put_copy(&folder, (organisation, entry), text)?;
            }
        }
        for name in BESIDE {
            if let Some(text) = copy.beside.get(name) {
                has_new_files |= put(&folder, name, text.as_bytes(), Secrecy::State)?;
            }
        }
        let mut revision = Revision::new(organisation, before);
        revision.after = copy.keyring.clone();
        let is_same = folder.has(KEYRING) && revision.before.has_same_keys(&revision.after);
        if is_same && !has_new_files {
            return Ok(None);
        }
        revision.is_announced = true;
        revision.audit.push(AuditEntry {
            selector: None,
            domains: Vec::new(),
            event: EVENT,
            evidence: None,
            publication: None,
        });
        Ok(Some(revision))
    }

    /// Writes a key file, unless it is there already. What takes the place of another one is a key
    /// that opens here.
    fn put_copy(
        &self,
        folder: &Folder,
        (organisation, entry): (&OrganisationId, &KeyEntry),
        text: &Zeroizing<Vec<u8>>,
    ) -> Result<bool, KeystoreError> {
        let name = key_file(&entry.selector);
        let refused = |refusal| {
            let problem = self
                .keystore
                .problem(organisation, &entry.selector, refusal);
            KeystoreError::UnusableKey(Box::new(problem))
        };
        if sealed_by(text) == SealedBy::Nothing {
            let path = self.keystore.key_path(organisation, &entry.selector);
            return Err(KeystoreError::NotSealed(path));
        }
        let there = folder.read(&name, Secrecy::Secret)?;
        if there.is_some_and(|there| there.as_slice() != text.as_slice()) {
            let checked = self
                .keystore
                .checked(organisation, &entry.identity(), text.clone());
            checked.map_err(refused)?;
        }
        put(folder, &name, text, Secrecy::Secret)
    }
}

fn json(state: &CopyState) -> Vec<u8> {
    let mut json =
        serde_json::to_vec_pretty(state).expect("an id and numbers do not fail to be serialised");
    json.push(b'\n');
    json
}

/// Whether it is the same key, as it was then or later.
fn comes_after(later: &KeyEntry, entry: &KeyEntry) -> bool {
    let mut publications = entry.publications.iter();
    later.fingerprint == entry.fingerprint
        && publications.all(|(domain, one)| {
            let state = later.state(domain);
            // A key whose record is given up never signs again.
            let is_given_up = one.withdrawal.is_some();
            state.is_some_and(|state| {
                one.state.may_become(state) && !(is_given_up && state == State::Active)
            })
        })
}

/// Writes a file, unless it is there already. Gives whether it did.
fn put(folder: &Folder, name: &str, text: &[u8], secrecy: Secrecy) -> Result<bool, KeystoreError> {
    let there = folder.read(name, secrecy)?;
    if there.is_some_and(|there| there.as_slice() == text) {
        return Ok(false);
    }
    folder.prepare_unsynced(name, text)?.rename()?;
    Ok(true)
}
