//! How often each good organisation is looked at, as its keyring shows.

use jiff::Timestamp;
use zegel::keys::State;
use zegel::keystore::Keystore;
use zegel::names::OrganisationId;

use super::Member;

/// A keystore, and what it has shown so far.
pub(super) struct Watch {
    keystore: Keystore,
    seen: Vec<Seen>,
}

struct Seen {
    id: OrganisationId,
    last: Option<Timestamp>,
    looks: usize,
    /// Looks, the one that put the key into use included.
    until_in_use: Option<usize>,
}

/// Of all organisations together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// Since [`Watch::begin`].
    pub(super) looks: usize,
    /// The same of the one with the fewest.
    pub(super) fewest: usize,
    pub(super) looks_until_in_use: usize,
}

impl Watch {
    pub(super) fn new(keystore: Keystore, members: &[Member]) -> Self {
        let seen = |member: &Member| Seen {
            id: member.id.parse().expect("an id"),
            last: None,
            looks: 0,
            until_in_use: None,
        };
        let seen = members.iter().map(seen).collect();
        Self { keystore, seen }
    }

    /// To be called more often than the keeper looks.
    pub(super) fn look(&mut self) {
        for seen in &mut self.seen {
            let keyring = self.keystore.read_keyring(&seen.id).expect("a keyring");
            let mut publications = keyring.keys()[0].publications.values();
            let publication = publications.next().expect("its one domain");
            if publication.checked != seen.last {
                seen.last = publication.checked;
                seen.looks += 1;
            }
            if publication.state == State::Active && seen.until_in_use.is_none() {
                seen.until_in_use = Some(seen.looks);
            }
        }
    }

    pub(super) fn are_in_use(&self) -> bool {
        self.seen.iter().all(|seen| seen.until_in_use.is_some())
    }

    /// Counts from now on.
    pub(super) fn begin(&mut self) {
        for seen in &mut self.seen {
            seen.looks = 0;
        }
    }

    fn fewest(&self) -> usize {
        let looks = self.seen.iter().map(|seen| seen.looks);
        looks.min().unwrap_or_default()
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            looks: self.seen.iter().map(|seen| seen.looks).sum(),
            fewest: self.fewest(),
            looks_until_in_use: self.seen.iter().filter_map(|seen| seen.until_in_use).sum(),
        }
    }
}
