//! What makes a folder a keystore: an id that is made once and never changes.
//!
//! A folder without one is what a mount that failed leaves behind, and nothing may be
//! concluded from what is not in it. A keystore that a zegel of 0.1 made has a `generation` and
//! no id; it gets one with the next change.

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use super::{
    GENERATION, KEYRING, Keystore, audit,
    files::{Folder, Secrecy},
    lock::{self, Lock, PATIENCE},
    problem::{FileError, KeystoreError},
};
use crate::names::OrganisationId;

/// The name has a dot, which no id of an organisation has.
pub(super) const NAME: &str = "keystore.id";
const OCTETS: usize = 16;

/// The id of a keystore: 32 hexadecimal digits, made at random.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeystoreId(String);

/// Whether a folder is a keystore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It has an id.
    Initialised(KeystoreId),
    /// It has keys and no id: a zegel of 0.1 made it, or it is an incomplete copy.
    WithoutId,
    /// Nothing in it says that it was ever a keystore.
    Empty,
}

impl KeystoreId {
    fn new() -> Result<Self, rustix::io::Errno> {
        let mut octets = [0; OCTETS];
        let mut filled = 0;
        while filled < OCTETS {
            filled += getrandom(&mut octets[filled..], GetRandomFlags::empty())?;
        }
        Ok(Self(format!("{:032x}", u128::from_be_bytes(octets))))
    }

    /// Reads 32 hexadecimal digits; white space around them does not matter.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_ascii();
        let is_digit = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        let is_id = text.len() == 2 * OCTETS && text.bytes().all(is_digit);
        is_id.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for KeystoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Keystore {
    /// Whether the folder is a keystore.
    ///
    /// # Errors
    /// When it cannot be read, or what is in `keystore.id` is not an id.
    pub fn standing(&self) -> Result<Standing, KeystoreError> {
        standing(&self.root()?)
    }

    /// That the folder is a keystore. Whoever only reads one, or makes keys by itself, looks at
    /// this first: a mount that failed leaves an empty folder.
    ///
    /// # Errors
    /// [`KeystoreError::NotInitialised`], or [`KeystoreError::EarlierThanMark`] if the mark says
    /// that there was one, and as [`Keystore::standing`].
    pub fn check_initialised(&self) -> Result<(), KeystoreError> {
        match self.standing()? {
            Standing::Empty => Err(self.nothing_there()),
            Standing::Initialised(_) | Standing::WithoutId => Ok(()),
        }
    }

    /// Makes a keystore of an empty folder. Gives whether that was needed.
    ///
    /// # Errors
    /// [`KeystoreError::EarlierThanMark`], [`KeystoreError::SomethingElse`], and when the id cannot
    /// be written.
    pub fn initialise(&self) -> Result<bool, KeystoreError> {
        let root = self.root()?;
        if standing(&root)? != Standing::Empty {
            return Ok(false);
        }
        if let error @ KeystoreError::EarlierThanMark { .. } = self.nothing_there() {
            return Err(error);
        }
        self.make_one(&root, None)
    }

    /// Makes of an empty folder another copy of the keystore with this id. Gives whether that was
    /// needed.
    ///
    /// # Errors
    /// [`KeystoreError::OtherKeystore`] if it is one with another id, or its mark is, and as
    /// [`Keystore::initialise`].
    pub fn initialise_as(&self, id: &KeystoreId) -> Result<bool, KeystoreError> {
        let root = self.root()?;
        let is_other = match standing(&root)? {
            Standing::Initialised(here) => here != *id,
            // Whose keys those are can't be told.
            Standing::WithoutId => true,
            Standing::Empty => self.marked_id().is_some_and(|here| here != *id),
        };
        if is_other {
            return Err(KeystoreError::OtherKeystore(self.path.to_path_buf()));
        }
        if standing(&root)? != Standing::Empty {
            return Ok(false);
        }
        self.make_one(&root, Some(id.clone()))
    }

    fn make_one(&self, root: &Folder, known: Option<KeystoreId>) -> Result<bool, KeystoreError> {
        self.check_not_foreign(root)?;
        let _lock = Lock::of_writer(root, PATIENCE)?;
        // Another process may have done it meanwhile.
        if standing(root)? != Standing::Empty {
            return Ok(false);
        }
        let id = write(root, known)?;
        self.follow_mark(root, &id)?;
        Ok(true)
    }

    /// That the folder is a keystore, or has nothing in it that is not ours.
    pub(super) fn check_not_foreign(&self, root: &Folder) -> Result<(), KeystoreError> {
        if standing(root)? != Standing::Empty {
            return Ok(());
        }
        match root.names()?.into_iter().find(|name| is_foreign(name)) {
            Some(name) => Err(KeystoreError::SomethingElse {
                path: self.path.to_path_buf(),
                name,
            }),
            None => Ok(()),
        }
    }

    /// The id of the keystore in this folder; an error if it has none and nothing else. Only
    /// under the lock: a keystore without an id gets one.
    pub(super) fn id_for_writer(&self, root: &Folder) -> Result<KeystoreId, KeystoreError> {
        match standing(root)? {
            Standing::Initialised(id) => Ok(id),
            // If the file is gone, the mark still knows which keystore it was.
            Standing::WithoutId => {
                let known = self.marked_id();
                if known.is_none() {
                    self.check_id_is_not_needed()?;
                }
                write(root, known)
            }
            Standing::Empty => Err(self.nothing_there()),
        }
    }

    /// That the folder is empty: never a keystore, or one no more.
    fn nothing_there(&self) -> KeystoreError {
        let path = self.path.to_path_buf();
        match self.marked_id() {
            Some(_) => KeystoreError::EarlierThanMark {
                path,
                mark: self.mark.path(),
            },
            None => KeystoreError::NotInitialised(path),
        }
    }

    pub(super) fn marked_id(&self) -> Option<KeystoreId> {
        // What is wrong with the mark is said by whoever goes on from here.
        self.mark.read_head().ok()??.id().cloned()
    }
}

fn standing(root: &Folder) -> Result<Standing, KeystoreError> {
    if let Some(text) = root.read(NAME, Secrecy::State)? {
        let id = KeystoreId::parse(&text);
        return id
            .map(Standing::Initialised)
            .ok_or_else(|| KeystoreError::NotAnId(root.path(NAME)));
    }
    let says_so = |name: &String| {
        [GENERATION, audit::NAME].contains(&name.as_str())
            || (name.parse::<OrganisationId>().is_ok() && root.has(&format!("{name}/{KEYRING}")))
    };
    if root.names()?.iter().any(says_so) {
        Ok(Standing::WithoutId)
    } else {
        Ok(Standing::Empty)
    }
}

/// Whether something of this name shows that the folder is meant for something else, so that
/// its path is a mistake. A new file system has `lost+found` and hidden folders, and a first
/// attempt that broke off leaves locks and an id that is not whole.
fn is_foreign(name: &str) -> bool {
    let is_ours = name.contains(NAME) || lock::NAMES.contains(&name);
    !is_ours && !name.starts_with('.') && name != "lost+found"
}

fn write(root: &Folder, known: Option<KeystoreId>) -> Result<KeystoreId, KeystoreError> {
    let path = root.path(NAME);
    let made = known.map_or_else(KeystoreId::new, Ok);
    let id = made.map_err(|error| FileError::io(&path, error.into()))?;
    root.create(NAME, format!("{id}\n").as_bytes())?.keep();
    Ok(id)
}
