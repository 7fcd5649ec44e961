//! Looks that commands ask for: which are waited for, and which the look under way answers.

use std::collections::{HashMap, HashSet};

use crate::{keystore::LookRequest, names::OrganisationId};

/// The requests that are known.
#[derive(Debug, Default)]
pub(super) struct Requests {
    known: HashSet<LookRequest>,
    /// Those that the next look at an organisation answers.
    waiting: HashMap<OrganisationId, Vec<LookRequest>>,
}

impl Requests {
    /// Takes those that are there now, of organisations that are looked at. Gives the
    /// organisations of those that are new.
    pub(super) fn notice(
        &mut self,
        there: Vec<LookRequest>,
        is_looked_at: impl Fn(&OrganisationId) -> bool,
    ) -> Vec<OrganisationId> {
        let there: HashSet<LookRequest> = there.into_iter().collect();
        // A command that waits no longer takes its own away.
        self.known.retain(|request| there.contains(request));
        let mut new = Vec::new();
        for request in there {
            let id = request.organisation();
            if is_looked_at(id) && self.known.insert(request.clone()) {
                new.push(id.clone());
                let waiting = self.waiting.entry(id.clone()).or_default();
                waiting.push(request);
            }
        }
        new
    }

    /// What a look answers that begins now.
    pub(super) fn begin(&mut self, id: &OrganisationId) -> Vec<LookRequest> {
        self.waiting.remove(id).unwrap_or_default()
    }

    /// That look was broken off: the next one answers them.
    pub(super) fn put_back(&mut self, requests: Vec<LookRequest>) {
        for request in requests {
            let id = request.organisation().clone();
            self.waiting.entry(id).or_default().push(request);
        }
    }
}
