//! Which selectors are free. A selector belongs to one key for ever: whoever saw mail or a record
//! with it must not meet another key there.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Keystore,
    files::Folder,
    mark::{About, Mark},
    problem::KeystoreError,
};
use crate::{
    names::{OrganisationId, Selector},
    organisation::Organisation,
};

impl Keystore {
    /// The first selector of the organisation's template that neither its keyring, nor a key
    /// file, nor the mark, nor (where there is no mark) the audit log knows, and that is not
    /// among `occupied`.
    ///
    /// # Errors
    /// When the keyring cannot be read.
    pub fn next_selector(
        &self,
        organisation: &Organisation,
        occupied: &BTreeSet<Selector>,
        now: Timestamp,
    ) -> Result<Option<Selector>, KeystoreError> {
        let id = &organisation.id;
        let keyring = self.read_keyring(id)?;
        let root = self.root()?;
        Ok(organisation
            .selector
            .candidates(now.to_zoned(TimeZone::UTC).date())
            .filter(|selector| !occupied.contains(selector))
            .filter(|selector| keyring.key(selector).is_none())
            // A crash may leave a key file that no keyring names.
            .filter(|selector| !self.key_path(id, selector).exists())
            .find(|selector| !self.had_selector(&root, id, selector)))
    }

    /// Whether mark or audit log tell of a key with this selector.
    pub(super) fn had_selector(
        &self,
        root: &Folder,
        organisation: &OrganisationId,
        selector: &Selector,
    ) -> bool {
        match self.mark.read_about(&About::organisation(organisation)) {
            Ok(Some(mark)) => mark.names(organisation, selector),
            _ => Mark::of_audit(root).names(organisation, selector),
        }
    }
}
