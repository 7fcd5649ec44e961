//! How things stand with an organisation: one value, which every surface shows.
//!
//! ```text
//! keyring (what the keeper saw) ──> Judgement::of ──┐
//! signer (what became of mail) ──> SignerFacts ─────┴─> Judgement ──> page, status, list, …
//! ```
//!
//! It looks at no file, no clock and no DNS. A surface that can't ask the signer passes none,
//! and says so itself: what is not live may then have mail.

mod alarms;
mod climbing;
mod news;
mod sentences;
mod sightings;
mod signer;
mod told;

use std::time::Duration;

pub use self::{
    climbing::{Advised, Hold},
    news::{Heard, KeyNews, News},
    signer::facts,
    told::{Sentences, SignerReport, Told, ToldMatter},
};
use crate::{
    dns::Code,
    keys::{Actor, Delegations, KeyEntry, Situation, Way, What},
    keystore::{ReplaySeen, StrangeKey},
    names::{DomainName, OrganisationId, Selector},
    observe::status::SignerFacts,
    organisation::{Action, Organisation, Policy},
    words::{Language, Level},
};
use jiff::Timestamp;

/// For so long nobody may have looked at the DNS before someone should know.
const LOOK_IS_OLD: Duration = Duration::from_hours(6);

/// How things stand with one organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// The worst of the matters.
    pub level: Level,
    /// All that is not well, the worst first.
    pub matters: Vec<Matter>,
}

/// Something about an organisation that is not well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matter {
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub fact: Fact,
    /// Which domain it is about; none: the organisation.
    pub domain: Option<DomainName>,
    /// Which key, if it is about one.
    pub selector: Option<Selector>,
    /// Since when it is so, as far as that is known.
    pub since: Option<Timestamp>,
    /// When it was last seen so.
    pub seen: Option<Timestamp>,
    /// Who saw it.
    pub seen_by: Witness,
    /// When it comes by itself, if that is a matter of time.
    pub when: Option<Timestamp>,
    /// By when someone must have acted, if that is known.
    pub due: Option<Timestamp>,
    /// Who has to act.
    pub actor: Actor,
}

/// Who saw how things stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Witness {
    /// The keeper, in the DNS.
    Keeper,
    /// The signer, on mail.
    Signer,
    /// The files of the keystore say it.
    Keystore,
}

/// What is so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fact {
    /// Of a key and its record; what comes next says which.
    Step(What),
    /// No key signs for the domain, or is to.
    NoKey,
    /// The keyring can't be read; why, for the operator.
    Keyring(String),
    /// A key in use can't be used; why, for the operator.
    KeyRefused(String),
    /// The operator has suspended the organisation.
    Suspended,
    /// It leaves at the operator's word, and signs until then.
    Leaving,
    /// It has left at the operator's word: nothing signs any more.
    Left,
    /// Which of it leaves can't be read; why, for the operator.
    Departures(String),
    /// A key is in use for longer than it should be.
    Overdue,
    /// Nobody has looked at the DNS for too long.
    NotLooked,
    /// The domain is to be handed over to the operator in this way, and nobody knows to where.
    NoTarget(Way),
    /// Something holds a domain on its rung of DMARC.
    Held(Hold),
    /// Another DMARC record should be there.
    Advised(Advised),
    /// By reports, mail passes with a key in a zone of ours that nobody knows.
    UnknownSelector(StrangeKey),
    /// By reports, far more mail passes with a key of ours than was signed with it.
    Replay(ReplaySeen),
    /// SPF or DMARC of a domain is missing or wrong.
    Policy {
        /// What is wrong.
        code: Code,
        /// Where, as a domain name.
        name: String,
        /// What should be there, or what the record should have.
        expected: String,
    },
}

impl Fact {
    /// The word for programs, which never changes.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Step(what) => what.as_str(),
            Self::NoKey => "no_key",
            Self::Keyring(_) => "keyring_unreadable",
            Self::KeyRefused(_) => "key_refused",
            Self::Suspended => "suspended",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Departures(_) => "leaving_unreadable",
            Self::Overdue => "rotation_overdue",
            Self::NotLooked => "not_looked",
            Self::NoTarget(_) => "delegation_without_target",
            Self::Held(hold) => climbing::word(hold.code),
            Self::Advised(advised) if advised.is_step_back => "dmarc.step_back",
            Self::Advised(_) => "dmarc.publish",
            Self::UnknownSelector(_) => alarms::UNKNOWN_SELECTOR,
            Self::Replay(_) => alarms::REPLAY,
            Self::Policy { code, .. } => code.as_str(),
        }
    }
}

impl Witness {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Signer => "signer",
            Self::Keystore => "keystore",
        }
    }
}

impl Judgement {
    /// As far as the keyring tells, at this time. What the signer says comes with
    /// [`Judgement::heard`].
    pub fn of(situation: &Situation<'_>, policy: Policy, now: Timestamp) -> Self {
        let mut judgement = Self::default();
        if let Some(since) = situation.keyring.suspended() {
            judgement.add(Matter {
                since: Some(since),
                ..Matter::new(
                    level_of(policy.suspended),
                    Fact::Suspended,
                    Witness::Keystore,
                )
            });
        }
        judgement.add_departures(situation);
        for entry in situation.keyring.keys() {
            for domain in entry.publications.keys() {
                judgement.add_key(situation, entry, domain, now);
            }
        }
        for domain in situation.domains.iter().chain(situation.incoming) {
            if situation.sends_from(domain) && !situation.has_candidate(domain) {
                judgement.add(Matter {
                    domain: Some(domain.clone()),
                    actor: Actor::Keeper,
                    ..Matter::new(
                        situation.without_key(domain),
                        Fact::NoKey,
                        Witness::Keystore,
                    )
                });
            }
        }
        judgement.add_targets(situation.delegated.wanted);
        judgement.sort();
        judgement
    }

    /// Of an organisation whose keyring can't be read. A signer that runs goes on with what it
    /// has; one that starts puts mail off.
    pub fn unreadable(problem: &str) -> Self {
        let mut judgement = Self::default();
        judgement.add(Matter::new(
            Level::Act,
            Fact::Keyring(problem.to_owned()),
            Witness::Keystore,
        ));
        judgement
    }

    /// With what the signer says.
    pub fn heard(mut self, organisation: &Organisation, facts: &SignerFacts) -> Self {
        let policy = &organisation.policy;
        if facts.sends_without_key {
            let level = level_of(policy.awaiting_key);
            for matter in &mut self.matters {
                if matter.level == Level::NotLive {
                    matter.level = level;
                }
            }
        }
        for (domain, why) in &facts.put_off {
            let level = level_of(policy.signing_failure);
            self.add(Matter {
                domain: domain.parse().ok(),
                ..Matter::new(level, Fact::KeyRefused(why.clone()), Witness::Signer)
            });
        }
        self.sort();
        self
    }

    /// With the fact that nobody has looked at the DNS since then, if that is too long ago. What
    /// was found in reports too long ago says no more that a policy may be stricter.
    pub fn looked(mut self, checked: Option<Timestamp>, every: Duration, now: Timestamp) -> Self {
        let allowed = LOOK_IS_OLD.max(every * 3);
        let is_old = |checked: &Timestamp| {
            Duration::try_from(now.duration_since(*checked)).is_ok_and(|age| age > allowed)
        };
        self.matters.retain(|one| !climbing::is_outdated(one, now));
        if let Some(checked) = checked.filter(is_old) {
            self.add(Matter {
                since: Some(checked),
                seen: Some(checked),
                ..Matter::new(Level::Act, Fact::NotLooked, Witness::Keystore)
            });
        }
        self.sort();
        self
    }

    /// The worst matter; none if all is well.
    pub fn worst(&self) -> Option<&Matter> {
        self.matters.first()
    }

    /// How many others are as bad as the worst.
    pub fn others(&self) -> usize {
        let as_bad = self.matters.iter().filter(|one| one.level == self.level);
        as_bad.count().saturating_sub(1)
    }

    /// The other levels that mail suffers from, the worst first. The worst of all decides on the
    /// place in a list, but with a stolen key mail may leave unsigned besides.
    pub fn also_urgent(&self) -> Vec<Level> {
        let levels = self.matters.iter().map(|one| one.level);
        let mut levels: Vec<Level> = levels
            .filter(|level| level.is_urgent() && *level != self.level)
            .collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    /// How a domain stands by itself.
    pub fn of_domain(&self, domain: &DomainName) -> Level {
        let matters = self.matters.iter();
        let its = matters.filter(|one| one.domain.as_ref().is_none_or(|one| one == domain));
        its.map(|one| one.level).min().unwrap_or_default()
    }

    /// How a key stands in a domain.
    pub fn of_key(&self, selector: &Selector, domain: &DomainName) -> Level {
        let is_its = |one: &&Matter| {
            one.selector.as_ref() == Some(selector) && one.domain.as_ref() == Some(domain)
        };
        let levels = self.matters.iter().filter(is_its).map(|one| one.level);
        levels.min().unwrap_or_default()
    }

    /// What leaves, and what has left though its file is still there.
    fn add_departures(&mut self, situation: &Situation<'_>) {
        if let Some(problem) = situation.keyring.departures_problem() {
            let fact = Fact::Departures(problem.to_owned());
            self.add(Matter::new(Level::Act, fact, Witness::Keystore));
        }
        let departures = situation.keyring.departures();
        let domains = departures.domains();
        let domains = domains.filter(|(domain, _)| situation.domains.contains(domain));
        let domains = domains.map(|(domain, departure)| (Some(domain), departure));
        let whole = departures.given(None).map(|departure| (None, departure));
        for (domain, departure) in whole.into_iter().chain(domains) {
            let is_about = |one: &DomainName| domain.is_none_or(|domain| domain == one);
            let matter = |level, fact, actor| Matter {
                domain: domain.cloned(),
                actor,
                ..Matter::new(level, fact, Witness::Keystore)
            };
            self.add(match departure.ended {
                None => Matter {
                    since: Some(departure.since),
                    when: Some(departure.until),
                    ..matter(Level::Waits, Fact::Leaving, Actor::Keeper)
                },
                // As long as records are needed, or to go, that is what has to be done.
                Some(ended) if situation.has_task(is_about) => Matter {
                    since: Some(ended),
                    ..matter(Level::Waits, Fact::Left, Actor::Keeper)
                },
                Some(ended) => Matter {
                    since: Some(ended),
                    ..matter(Level::Act, Fact::Left, Actor::Operator)
                },
            });
        }
    }

    /// Whether a domain has left at the operator's word, and its grace is over.
    pub fn has_left(&self, domain: &DomainName) -> bool {
        let mut left = self.matters.iter().filter(|one| one.fact == Fact::Left);
        left.any(|one| one.domain.as_ref().is_none_or(|one| one == domain))
    }

    fn add_key(
        &mut self,
        situation: &Situation<'_>,
        entry: &KeyEntry,
        domain: &DomainName,
        now: Timestamp,
    ) {
        let Some(publication) = entry.publications.get(domain) else {
            return;
        };
        let step = situation.next_step(entry, domain);
        // Nobody has looked yet: it is what the keyring says.
        let seen_by = match publication.checked {
            Some(_) => Witness::Keeper,
            None => Witness::Keystore,
        };
        let matter = |level, fact| Matter {
            domain: Some(domain.clone()),
            selector: Some(entry.selector.clone()),
            seen: publication.checked,
            ..Matter::new(level, fact, seen_by)
        };
        if step.level != Level::Well {
            // What was seen until then is missing since then.
            let gone = publication
                .seen_last
                .filter(|_| step.level == Level::Unverifiable);
            self.add(Matter {
                actor: step.actor(),
                since: Some(gone.unwrap_or(publication.since)),
                when: step.when,
                due: step.due,
                ..matter(step.level, Fact::Step(step.what))
            });
        }
        let overdue = publication.overdue_at(situation.timing);
        let is_to_rotate = situation.keyring.departure(domain).is_none();
        if is_to_rotate && overdue.is_some_and(|overdue| overdue <= now) {
            self.add(Matter {
                since: Some(publication.since),
                ..matter(Level::Act, Fact::Overdue)
            });
        }
    }

    fn add_targets(&mut self, wanted: &Delegations) {
        for (domain, way) in &wanted.ways {
            if !wanted.has_target(*way) {
                self.add(Matter {
                    domain: Some(domain.clone()),
                    ..Matter::new(Level::Act, Fact::NoTarget(*way), Witness::Keystore)
                });
            }
        }
    }

    fn add(&mut self, matter: Matter) {
        self.matters.push(matter);
    }

    fn sort(&mut self) {
        // What is equal stays in its order: that of the keyring.
        self.matters.sort_by_key(|matter| matter.level);
        self.level = self.worst().map_or(Level::Well, |worst| worst.level);
    }
}

impl Matter {
    fn new(level: Level, fact: Fact, seen_by: Witness) -> Self {
        Self {
            level,
            fact,
            domain: None,
            selector: None,
            since: None,
            seen: None,
            seen_by,
            when: None,
            due: None,
            actor: Actor::Operator,
        }
    }

    /// What is so and what is to be done, in one or two sentences; what is typed stands between
    /// backquotes. `organisation` is whose it is.
    pub fn sentence(&self, organisation: &OrganisationId, language: Language) -> String {
        sentences::sentence(self, organisation, language)
    }
}

/// What is in records and in names that others chose, so that nothing in it looks typed.
fn harmless(text: &str) -> String {
    let shown = |character: char| match character {
        '`' => '\'',
        other if other.is_control() => ' ',
        other => other,
    };
    text.chars().map(shown).collect()
}

/// Mail that is not signed, by what is done with it.
fn level_of(action: Action) -> Level {
    match action {
        Action::Accept => Level::Unsigned,
        // What comes back to its sender is no better than what waits.
        Action::Tempfail | Action::Reject => Level::Tempfailed,
    }
}

#[cfg(test)]
mod tests;
