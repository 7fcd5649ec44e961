//! What the list says of an organisation: its keys by state, what the DNS showed, and how things
//! stand.

use jiff::Timestamp;

use crate::{
    judgement::{Fact, Judgement},
    keys::{Publication, Situation, State, Why},
    keystore::Sightings,
    organisation::{Organisation, Policy},
};

/// What the list says of one organisation, from its keyring. Small: there may be 100,000 of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Standing {
    /// Pairs of key and domain by state, in the order of [`STATES`].
    pub(super) states: [u32; STATES.len()],
    /// What the signer says is still to be added.
    pub(super) judgement: Judgement,
    /// What the DNS last showed, of the worst key; none when all is as it should be.
    pub(super) finding: Option<Why>,
    /// Whether SPF or DMARC of a domain is missing or wrong.
    pub(super) has_wrong_policy: bool,
    /// When a key will have been in use for too long, though its keyring stays as it is.
    pub(super) overdue: Option<Timestamp>,
    /// When the DNS was last looked at.
    pub(super) checked: Option<Timestamp>,
}

/// The states that are shown, in the order of a life.
pub(super) const STATES: [State; 6] = [
    State::Active,
    State::Published,
    State::Generated,
    State::Draining,
    State::Revoked,
    State::Withdrawn,
];

impl Standing {
    /// Of a keyring that can't be read.
    pub(super) fn unknown(problem: &str) -> Self {
        Self {
            judgement: Judgement::unreadable(problem),
            ..Self::default()
        }
    }

    pub(super) fn of(situation: &Situation<'_>, policy: Policy, now: Timestamp) -> Self {
        let mut standing = Self {
            judgement: Judgement::of(situation, policy, now),
            ..Self::default()
        };
        for entry in situation.keyring.keys() {
            for publication in entry.publications.values() {
                standing.add(publication);
                let overdue = publication.overdue_at(situation.timing);
                let next = overdue.filter(|time| *time > now);
                standing.overdue = standing.overdue.into_iter().chain(next).min();
            }
        }
        standing
    }

    /// With what the keeper saw beside the keys.
    pub(super) fn saw(mut self, organisation: &Organisation, sightings: &Sightings) -> Self {
        self.judgement = self.judgement.saw(organisation, sightings);
        let mut matters = self.judgement.matters.iter();
        self.has_wrong_policy = matters.any(|one| matches!(one.fact, Fact::Policy { .. }));
        self
    }

    fn add(&mut self, publication: &Publication) {
        let place = STATES.iter().position(|state| *state == publication.state);
        if let Some(number) = place.and_then(|place| self.states.get_mut(place)) {
            *number += 1;
        }
        self.checked = self.checked.max(publication.checked);
        if let Some(why) = finding(publication) {
            let worst = self.finding.map_or(usize::MAX, severity);
            if severity(why) < worst {
                self.finding = Some(why);
            }
        }
    }
}

/// What the DNS showed, if that is not as it should be.
pub(super) fn finding(publication: &Publication) -> Option<Why> {
    publication
        .why
        .filter(|why| severity(*why) < FINDINGS.len())
}

/// What is a finding, the worst first.
const FINDINGS: [Why; 9] = [
    Why::SeenWrong,
    Why::SeenRevoked,
    Why::SeenPartly,
    Why::GoneEarly,
    Why::NotSeen,
    Why::Unreachable,
    Why::Clock,
    Why::AwaitingWithdrawal,
    Why::AwaitingRemoval,
];

fn severity(why: Why) -> usize {
    let place = FINDINGS.iter().position(|finding| *finding == why);
    place.unwrap_or(FINDINGS.len())
}
