//! What a snapshot has in common with the one before it: found without a look at all that
//! is the same.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use super::{Snapshot, keys::KeySet};
use crate::{names::OrganisationId, organisation::Organisation};

/// Finds organisations by their ids: fast when they are asked for in their order, as those
/// of the next snapshot are.
struct Finder<'a> {
    organisations: &'a [Arc<Organisation>],
    next: usize,
    by_id: OnceCell<HashMap<&'a OrganisationId, usize>>,
}

impl Finder<'_> {
    fn find(&mut self, id: &OrganisationId) -> Option<usize> {
        let is_next = |one: &Arc<Organisation>| one.id == *id;
        if !self.organisations.get(self.next).is_some_and(is_next) {
            let by_id = self.by_id.get_or_init(|| {
                let ids = self.organisations.iter().map(|one| &one.id);
                ids.zip(0..).collect()
            });
            self.next = *by_id.get(id)?;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// The places that the organisations had in the snapshot before.
pub(super) struct Places(Vec<Option<usize>>);

impl Places {
    pub(super) fn new(organisations: &[Arc<Organisation>], previous: Option<&Snapshot>) -> Self {
        let mut finder = Finder {
            organisations: previous.map_or(&[], Snapshot::organisations),
            next: 0,
            by_id: OnceCell::new(),
        };
        let places = organisations.iter().map(|one| finder.find(&one.id));
        Self(places.collect())
    }

    pub(super) fn of(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }

    /// What differs between the two: the places in the snapshot before, of what has gone or
    /// was otherwise, and then those in the next one.
    pub(super) fn differences(
        &self,
        previous: Option<&Snapshot>,
        (organisations, in_use): (&[Arc<Organisation>], &[Arc<KeySet>]),
    ) -> (Vec<usize>, Vec<usize>) {
        let mut old = vec![true; previous.map_or(0, |previous| previous.in_use.len())];
        let mut new = Vec::new();
        for (place, (organisation, set)) in organisations.iter().zip(in_use).enumerate() {
            let before = self.of(place).zip(previous).filter(|(before, previous)| {
                Arc::ptr_eq(&previous.organisations()[*before], organisation)
                    && Arc::ptr_eq(&previous.in_use[*before], set)
            });
            match before {
                Some((before, _)) => old[before] = false,
                None => new.push(place),
            }
        }
        let old = old.into_iter().enumerate();
        let old = old.filter_map(|(place, differs)| differs.then_some(place));
        (old.collect(), new)
    }

    /// Whether an organisation has gone.
    pub(super) fn has_lost(&self, previous: Option<&Snapshot>) -> bool {
        let found = self.0.iter().flatten().count();
        previous.is_some_and(|previous| found < previous.organisations().len())
    }
}
