//! Which selectors are free. A selector belongs to one key for ever: whoever saw mail or a record
//! with it must not meet another key there.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};

use super::{Keystore, Target, files::Folder, mark::Mark, problem::KeystoreError};
use crate::{
    names::{DomainName, OrganisationId, Selector},
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

    /// Another organisation that has or had a key with this selector in one of these domains:
    /// there is one record of that name, whoever's the domain is now. By the mark, or where that
    /// does not tell of all keys, by the keyrings.
    ///
    /// # Errors
    /// When the keystore or a keyring cannot be read.
    pub fn taken(
        &self,
        target: &Target<'_>,
    ) -> Result<Option<(OrganisationId, DomainName)>, KeystoreError> {
        let mark = self.mark.read().ok().flatten();
        let generation = self.generation()?;
        if let Some(mark) = mark.filter(|mark| mark.generation() == generation) {
            return Ok(mark.shares(target.organisation, target.selector, target.domains));
        }
        for other in self.organisations()? {
            if other == *target.organisation || !self.key_path(&other, target.selector).exists() {
                continue;
            }
            let keyring = self.read_keyring(&other)?;
            let theirs = keyring.key(target.selector);
            let mut domains = target.domains.iter();
            let is_theirs =
                |domain: &&DomainName| theirs.is_some_and(|key| key.state(domain).is_some());
            if let Some(domain) = domains.find(is_theirs) {
                return Ok(Some((other, domain.clone())));
            }
        }
        Ok(None)
    }

    /// Whether mark or audit log tell of a key with this selector.
    pub(super) fn had_selector(
        &self,
        root: &Folder,
        organisation: &OrganisationId,
        selector: &Selector,
    ) -> bool {
        match self.mark.read() {
            Ok(Some(mark)) => mark.names(organisation, selector),
            _ => Mark::of_audit(root).names(organisation, selector),
        }
    }
}
