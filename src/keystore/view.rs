//! The keyrings of many organisations, one after the other: the folder of the keystore is
//! opened and examined once for all of them.

use super::{
    KEYRING, Keystore,
    files::{Folder, Secrecy},
    folder_in,
    problem::KeystoreError,
    reading::parse_keyring,
};
use crate::{files::Stamp, keys::Keyring, names::OrganisationId};

/// A keystore with its folder open.
#[derive(Debug)]
pub struct View(Folder);

/// By what a keyring is known to be as it was read; also one that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyringStamp(Option<Stamp>);

impl Keystore {
    /// Opens the keystore for the reading of many keyrings.
    ///
    /// # Errors
    /// When its folder is not there, or is unsafe.
    pub fn view(&self) -> Result<View, KeystoreError> {
        Ok(View(self.root()?))
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
}
