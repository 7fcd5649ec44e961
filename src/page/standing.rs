//! How an organisation stands: its keys by state, and the most urgent of what is to be done.

use jiff::Timestamp;

use crate::{
    keys::{KeyEntry, Publication, Situation, State, Urgency, What, Why},
    names::{DomainName, Selector},
};

/// The most urgent step of an organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Headline {
    pub(super) domain: DomainName,
    /// None where there is no key yet.
    pub(super) key: Option<(Selector, What)>,
    pub(super) when: Option<Timestamp>,
}

/// What the list says of one organisation. Small: there may be 100,000 of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Standing {
    /// Pairs of key and domain by state, in the order of [`STATES`].
    pub(super) states: [u32; STATES.len()],
    pub(super) urgency: Urgency,
    pub(super) headline: Option<Box<Headline>>,
    /// How many other steps are as urgent.
    pub(super) others: u32,
    /// What the DNS last showed, of the worst key; none when all is as it should be.
    pub(super) finding: Option<Why>,
    /// When the DNS was last looked at.
    pub(super) checked: Option<Timestamp>,
    /// The keyring can't be read, and why.
    pub(super) problem: Option<Box<str>>,
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
            urgency: Urgency::Now,
            problem: Some(problem.into()),
            ..Self::default()
        }
    }

    pub(super) fn of(situation: &Situation<'_>) -> Self {
        let mut standing = Self::default();
        for entry in situation.keyring.keys() {
            for (domain, publication) in &entry.publications {
                standing.add(situation, entry, (domain, publication));
            }
        }
        for domain in situation.domains {
            if !situation.has_candidate(domain) {
                let headline = Headline {
                    domain: domain.clone(),
                    key: None,
                    when: None,
                };
                standing.step(Urgency::Now, headline);
            }
        }
        standing
    }

    fn add(
        &mut self,
        situation: &Situation<'_>,
        entry: &KeyEntry,
        (domain, publication): (&DomainName, &Publication),
    ) {
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
        let step = situation.next_step(entry, domain);
        if step.urgency == Urgency::Well {
            return;
        }
        let headline = Headline {
            domain: domain.clone(),
            key: Some((entry.selector.clone(), step.what)),
            when: step.when,
        };
        self.step(step.urgency, headline);
    }

    fn step(&mut self, urgency: Urgency, headline: Headline) {
        if urgency < self.urgency {
            self.urgency = urgency;
            self.headline = Some(Box::new(headline));
            self.others = 0;
        } else if urgency == self.urgency {
            self.others += 1;
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
