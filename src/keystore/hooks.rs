//! What programs are still to be told of organisations: one file for each, whose content only the
//! keeper knows. The folder itself says that telling has begun.

use super::{
    Keystore, KeystoreError,
    files::{Folder, Secrecy},
};
use crate::names::OrganisationId;

/// No organisation has a dot in its name.
const FOLDER: &str = "keeper.hooks";

impl Keystore {
    /// Whether telling has begun, and with whom.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn hooks(&self) -> Result<Option<Vec<OrganisationId>>, KeystoreError> {
        let Some(folder) = self.root()?.child(FOLDER)? else {
            return Ok(None);
        };
        let names = folder.names()?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".json"));
        Ok(Some(ids.filter_map(|id| id.parse().ok()).collect()))
    }

    /// Telling has begun, though there may be nobody to tell of yet.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn begin_hooks(&self) -> Result<(), KeystoreError> {
        self.root()?.child_or_new(FOLDER)?;
        Ok(())
    }

    /// What is kept for an organisation; none if nothing is.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn hook(&self, organisation: &OrganisationId) -> Result<Option<Vec<u8>>, KeystoreError> {
        let Some(folder) = self.root()?.child(FOLDER)? else {
            return Ok(None);
        };
        let read = folder.read(&file(organisation), Secrecy::State)?;
        Ok(read.map(|content| content.to_vec()))
    }

    /// Keeps this for an organisation, down to the disk.
    ///
    /// # Errors
    /// When it can't be written; what was there is there still.
    pub fn keep_hook(
        &self,
        organisation: &OrganisationId,
        content: &[u8],
    ) -> Result<(), KeystoreError> {
        let folder: Folder = self.root()?.child_or_new(FOLDER)?;
        folder.prepare(&file(organisation), content)?.rename()?;
        folder.sync()?;
        Ok(())
    }
}

fn file(organisation: &OrganisationId) -> String {
    format!("{organisation}.json")
}
