//! Many keys at once, as an import brings them.
//!
//! [`Writer::add`] waits for the disk several times for each key. Here the disk is waited
//! for a few times for all of them together, between the same steps in the same order: key
//! files, audit log, keyrings, generation. So a crash leaves no more than it does there: key
//! files that no keyring names, which the next attempt with the same keys takes over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{KeystoreError, Target, writer::Writer};
use crate::{
    keys::{self, NewKey, Revision, Timing},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// The most keys that are added in one go: their folders are all open meanwhile.
pub const BATCH: usize = 256;

/// A key that is to be added with others.
#[derive(Clone, Copy)]
pub struct Addition<'a> {
    /// For which domains, and under which selector.
    pub target: Target<'a>,
    /// The key.
    pub key: &'a NewKey,
    /// For which of the domains it signs at once, on the operator's word that its record is
    /// in the DNS.
    pub signs_for: &'a [DomainName],
}

/// A new key that gets the next free selector of its organisation.
#[derive(Clone, Copy)]
pub struct NextKey<'a> {
    /// Whose it is.
    pub organisation: &'a Organisation,
    /// For which domains.
    pub domains: &'a [DomainName],
    /// The key.
    pub key: &'a NewKey,
}

impl Writer {
    /// Adds up to [`BATCH`] new keys as [`Writer::add_next`] would, and gives their selectors;
    /// what is refused is in the answer, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Writer::add_all`].
    pub fn add_all_next(
        &mut self,
        keys: &[NextKey<'_>],
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Vec<Result<Selector, KeystoreError>>, KeystoreError> {
        // Of keys that are not in the keyrings yet.
        let mut given: BTreeMap<&OrganisationId, BTreeSet<Selector>> = BTreeMap::new();
        let mut selectors = Vec::with_capacity(keys.len());
        for one in keys {
            let occupied = given.entry(&one.organisation.id).or_default();
            let selector = self.next_free(one.organisation, one.domains, occupied, now);
            occupied.extend(selector.iter().cloned());
            selectors.push(selector);
        }
        let chosen = keys.iter().zip(&selectors);
        let additions: Vec<Addition<'_>> = chosen
            .filter_map(|(one, selector)| {
                let target = Target {
                    organisation: &one.organisation.id,
                    selector: selector.as_ref().ok()?,
                    domains: one.domains,
                };
                Some(Addition {
                    target,
                    key: one.key,
                    signs_for: &[],
                })
            })
            .collect();
        let mut answers = self.add_all(&additions, timing, now)?.into_iter();
        let mut with_answer = |selector: Selector| match answers.next() {
            Some(Err(error)) => Err(error),
            _ => Ok(selector),
        };
        Ok(selectors
            .into_iter()
            .map(|selector| selector.and_then(&mut with_answer))
            .collect())
    }

    /// Adds up to [`BATCH`] keys; those that are refused are in the answer, in the order of
    /// `additions`, with the reasons that [`Writer::add`] has.
    ///
    /// # Errors
    /// When writing fails; some of the organisations may be changed then, each as a whole.
    pub fn add_all(
        &mut self,
        additions: &[Addition<'_>],
        timing: &Timing,
        now: Timestamp,
    ) -> Result<Vec<Result<(), KeystoreError>>, KeystoreError> {
        let mut revisions = BTreeMap::new();
        let mut answers = Vec::with_capacity(additions.len());
        for addition in additions {
            answers.push(self.enter_batched(addition, &mut revisions, timing, now));
        }
        let revisions: Vec<Revision<'_>> = revisions.into_values().collect();
        if !revisions.is_empty() {
            self.commit_all(&revisions, now)?;
        }
        Ok(answers)
    }

    /// Writes the key file, and enters the key into the revision of its organisation.
    fn enter_batched<'a>(
        &mut self,
        addition: &Addition<'a>,
        revisions: &mut BTreeMap<&'a OrganisationId, Revision<'a>>,
        timing: &Timing,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let Addition {
            target,
            key,
            signs_for,
        } = addition;
        let mut revision = match revisions.get(target.organisation) {
            Some(revision) => revision.clone(),
            None => self.revision(target.organisation)?,
        };
        self.enter(&mut revision, target, key, now)?;
        let changes = keys::activate(&revision.after, target.selector, signs_for, timing, now)
            .map_err(|error| target.refused(error))?;
        revision
            .change(&changes)
            .map_err(|refused| KeystoreError::not_changed(target.organisation, refused))?;
        self.put_key_file(&revision, target.selector, key)?;
        self.note_known(target, key);
        revisions.insert(target.organisation, revision);
        Ok(())
    }
}
