//! Looks at the DNS that commands ask the running keeper for. Each is a file in a folder that
//! only the owner of the keystore and root can write, so nobody else can ask; the keeper removes
//! it after a look that began when the file was there.

use super::{Keystore, KeystoreError, files::Folder};
use crate::names::OrganisationId;

/// No organisation has a dot in its name.
const FOLDER: &str = "keeper.look";

/// A wish for a look at an organisation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct LookRequest {
    organisation: OrganisationId,
    name: String,
}

impl LookRequest {
    /// Who is to be looked at.
    pub fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// From the name of its file, `ORGANISATION.PROCESS`.
    fn named(name: String) -> Option<Self> {
        let (organisation, _) = name.split_once('.')?;
        let organisation = organisation.parse().ok()?;
        Some(Self { organisation, name })
    }
}

impl Keystore {
    /// Makes the place for requests: a keeper runs that sees to them.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn accept_look_requests(&self) -> Result<(), KeystoreError> {
        self.root()?.child_or_new(FOLDER)?;
        Ok(())
    }

    /// Asks the running keeper for a look; none if it is of a version that can't be asked.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn request_look(
        &self,
        organisation: &OrganisationId,
    ) -> Result<Option<LookRequest>, KeystoreError> {
        let Some(folder) = self.requests()? else {
            return Ok(None);
        };
        let name = format!("{organisation}.{}", std::process::id());
        folder.lock_file(&name)?;
        Ok(LookRequest::named(name))
    }

    /// The requests that nobody has answered.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn look_requests(&self) -> Result<Vec<LookRequest>, KeystoreError> {
        let Some(folder) = self.requests()? else {
            return Ok(Vec::new());
        };
        let names = folder.names()?;
        Ok(names.into_iter().filter_map(LookRequest::named).collect())
    }

    /// Whether the look was made that this asks for.
    ///
    /// # Errors
    /// When the keystore can't be read.
    pub fn is_answered(&self, request: &LookRequest) -> Result<bool, KeystoreError> {
        Ok(self
            .requests()?
            .is_none_or(|folder| !folder.has(&request.name)))
    }

    /// The look was made, or nobody waits for it any more.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn answer(&self, request: &LookRequest) -> Result<(), KeystoreError> {
        if let Some(folder) = self.requests()? {
            folder.remove(&request.name)?;
        }
        Ok(())
    }

    fn requests(&self) -> Result<Option<Folder>, KeystoreError> {
        Ok(self.root()?.child(FOLDER)?)
    }
}
