//! How an organisation stands: its keys by state, and the most urgent of what is to be done.

use jiff::Timestamp;

use crate::{
    keys::{KeyEntry, Keyring, Publication, Revocation, Situation, State, What, Why},
    names::{DomainName, Selector},
};

/// How urgent a next step is, the most urgent first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Urgency {
    /// Mail leaves unsigned, is not verified, or a key may be in wrong hands.
    Now,
    /// Somebody has something to do; mail is signed meanwhile.
    ToDo,
    /// It comes by itself.
    Waiting,
    /// Nothing, or only with the years.
    Well,
}

impl Urgency {
    pub(super) const ALL: [Self; 4] = [Self::Now, Self::ToDo, Self::Waiting, Self::Well];
}

/// The most urgent step of an organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Headline {
    pub(super) domain: DomainName,
    /// None where there is no key yet.
    pub(super) key: Option<(Selector, What)>,
    pub(super) when: Option<Timestamp>,
}

/// What the list says of one organisation. Small: there may be 100,000 of them.
#[derive(Clone, Debug, Eq, PartialEq)]
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
            states: [0; STATES.len()],
            urgency: Urgency::Now,
            headline: None,
            others: 0,
            finding: None,
            checked: None,
            problem: Some(problem.into()),
        }
    }

    pub(super) fn of(situation: &Situation<'_>) -> Self {
        let mut standing = Self {
            states: [0; STATES.len()],
            urgency: Urgency::Well,
            headline: None,
            others: 0,
            finding: None,
            checked: None,
            problem: None,
        };
        for entry in situation.keyring.keys() {
            for (domain, publication) in &entry.publications {
                standing.add(situation, entry, (domain, publication));
            }
        }
        for domain in situation.domains {
            if !has_candidate(situation.keyring, domain) {
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
        let urgency = urgency(&step.what, situation.keyring, (domain, publication));
        if urgency == Urgency::Well {
            return;
        }
        let headline = Headline {
            domain: domain.clone(),
            key: Some((entry.selector.clone(), step.what)),
            when: step.when,
        };
        self.step(urgency, headline);
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

/// How urgent the next step of a key is for one domain.
pub(super) fn urgency(
    what: &What,
    keyring: &Keyring,
    (domain, publication): (&DomainName, &Publication),
) -> Urgency {
    match what {
        What::RestoreRecord | What::RestoreDrainingRecord => Urgency::Now,
        What::PublishRecord | What::MendRecord | What::Unrevoke => {
            if publication.state == State::Active || !is_signed(keyring, domain) {
                Urgency::Now
            } else {
                Urgency::ToDo
            }
        }
        What::EmptyRecord if publication.state == State::Revoked => match publication.revocation {
            Some(Revocation::Aborted) => Urgency::ToDo,
            _ => Urgency::Now,
        },
        What::EmptyRecord | What::RemoveRecord | What::MendClock => Urgency::ToDo,
        What::Look | What::AwaitServers | What::Activate => Urgency::Waiting,
        What::MakeSuccessor
        | What::AwaitSuccessor(_)
        | What::KeepRecord
        | What::Configure
        | What::Forget
        | What::Nothing => Urgency::Well,
    }
}

/// Whether a key signs for the domain.
fn is_signed(keyring: &Keyring, domain: &DomainName) -> bool {
    let mut keys = keyring.keys().iter();
    keys.any(|key| key.state(domain) == Some(State::Active))
}

/// Whether a key signs for the domain or is to.
fn has_candidate(keyring: &Keyring, domain: &DomainName) -> bool {
    let is_candidate = |key: &KeyEntry| {
        let state = key.state(domain);
        matches!(
            state,
            Some(State::Generated | State::Published | State::Active)
        )
    };
    keyring.keys().iter().any(is_candidate)
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
