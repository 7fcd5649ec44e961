//! What the operator does to keys: the changes that a command asks for, or why it is not
//! possible. They are written with [`crate::keystore::Writer::apply`]; for starting a
//! rotation see [`super::Situation::roll`].

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    change::{Change, Event},
    keyring::{KeyEntry, Keyring},
    publication::{ForbiddenStep, Publication, Revocation, State, Why, Withdrawal},
    timing::Timing,
};
use crate::names::{DomainName, Selector};

/// Whether a record may be given up before it is known that no mail needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insistence {
    /// Only when the keeper has asked for it.
    WhenDue,
    /// At the operator's word: mail on its way may become unverifiable.
    Force,
}

/// Why a command cannot be carried out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// No such key.
    #[error("there is no key with the selector {0}")]
    UnknownKey(Selector),
    /// The key is not there for any of the domains in question.
    #[error("{0} is not in a state in which this can be done, for any domain")]
    NothingToDo(Selector),
    /// Mail is signed with it.
    #[error(
        "{selector} signs for {domain}: start a rotation with `zegel key roll`, or revoke \
         the key if others have it"
    )]
    Signing {
        /// The key.
        selector: Selector,
        /// A domain for which it is active.
        domain: DomainName,
    },
    /// It never signed, so there is nothing to drain.
    #[error("{selector} never signed for {domain}: abort it instead")]
    NeverSigned {
        /// The key.
        selector: Selector,
        /// The domain.
        domain: DomainName,
    },
    /// It signed once or was given up, and never comes back.
    #[error("{selector}, for {domain}: {step}")]
    Former {
        /// The key.
        selector: Selector,
        /// The domain.
        domain: DomainName,
        /// The step that there is not.
        step: ForbiddenStep,
    },
    /// Mail on its way may need the record.
    #[error(
        "mail on its way may still need the record of {selector} in {domain}{}; wait, or \
         insist on it", until(*.drain_until)
    )]
    NotDrained {
        /// The key.
        selector: Selector,
        /// The domain.
        domain: DomainName,
        /// Until when, as far as is known.
        drain_until: Option<Timestamp>,
    },
}

fn until(drain_until: Option<Timestamp>) -> String {
    drain_until.map_or_else(String::new, |until| format!(" until {until:.0}"))
}

/// Lets a key sign for these domains on the operator's word that its record is there; the
/// key that signs now, if there is one, drains. Where it signs already, nothing changes.
///
/// # Errors
/// When there is no such key, and when it signed for one of the domains before or was given
/// up there.
pub fn activate(
    keyring: &Keyring,
    selector: &Selector,
    domains: &[DomainName],
    timing: &Timing,
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    refuse_former(key, domains)?;
    let mut changes = Vec::new();
    for domain in domains.iter().collect::<BTreeSet<_>>() {
        if key.state(domain) == Some(State::Active) {
            continue;
        }
        let active = keyring.active_key(domain, key.algorithm);
        if let Some((active, mut drained)) =
            active.and_then(|active| Some((active, *active.publications.get(domain)?)))
        {
            drained.drain(timing, now);
            // The clock of a command is held against no other: the keeper counts the drain anew
            // from its next look, as for a key that nobody has looked at.
            drained.checked = None;
            let successor = selector.clone();
            changes.push(Change::new(
                active,
                domain,
                drained,
                Event::Draining { successor },
            ));
        }
        let before = key.publications.get(domain).copied();
        let mut after = before.unwrap_or_else(|| Publication::generated(now));
        after.activate(now);
        after.assumed = true;
        let instead_of = active.map(|active| active.selector.clone());
        changes.push(Change::new(
            key,
            domain,
            after,
            Event::Activated { instead_of },
        ));
    }
    Ok(changes)
}

/// A key that signed once for one of these domains, or was given up there, never comes back.
///
/// # Errors
/// When it is so.
pub fn refuse_former(key: &KeyEntry, domains: &[DomainName]) -> Result<(), CommandError> {
    for domain in domains {
        if let Some(from @ (State::Draining | State::Withdrawn | State::Revoked)) =
            key.state(domain)
        {
            return Err(CommandError::Former {
                selector: key.selector.clone(),
                domain: domain.clone(),
                step: ForbiddenStep {
                    from,
                    to: State::Active,
                },
            });
        }
    }
    Ok(())
}

/// The key is for these domains too; nothing changes where it is so already.
///
/// # Errors
/// When there is no such key.
pub fn add_domains(
    keyring: &Keyring,
    selector: &Selector,
    domains: &[DomainName],
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    let domains: BTreeSet<&DomainName> = domains.iter().collect();
    Ok(domains
        .into_iter()
        .filter(|domain| !key.publications.contains_key(*domain))
        .map(|domain| Change::added(key, domain, now))
        .collect())
}

/// Gives up a key that others have, or may have, at once and for every domain, whatever
/// its state. Its domains may be left without a key: that is why it has a name of its own.
///
/// # Errors
/// When there is no such key, or it was revoked as compromised for every domain before.
pub fn revoke(
    keyring: &Keyring,
    selector: &Selector,
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    let mut changes = Vec::new();
    for (domain, before) in &key.publications {
        if before.revocation != Some(Revocation::Compromised) {
            let after = revoked(before, Revocation::Compromised, now);
            changes.push(Change::new(key, domain, after, Event::Revoked));
        }
    }
    not_empty(changes, selector)
}

/// Gives up a successor that never signed for these domains. If a rotation is due, another
/// one is made.
///
/// # Errors
/// When there is no such key, when it signs or signed for one of the domains, and when it
/// waits for none of them.
pub fn abort(
    keyring: &Keyring,
    selector: &Selector,
    domains: &[DomainName],
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    let mut changes = Vec::new();
    for (domain, before) in publications(key, domains) {
        match before.state {
            State::Generated | State::Published => {
                let after = revoked(before, Revocation::Aborted, now);
                changes.push(Change::new(key, domain, after, Event::Revoked));
            }
            State::Active => return Err(signing(selector, domain)),
            State::Draining | State::Withdrawn | State::Revoked => {}
        }
    }
    not_empty(changes, selector)
}

/// Takes the operator's word that the record of a key, for these domains, may be given up
/// or is gone.
///
/// # Errors
/// When there is no such key; when it signs for one of the domains, never did, or when
/// mail may still need its record and the operator does not insist.
pub fn withdraw(
    keyring: &Keyring,
    selector: &Selector,
    domains: &[DomainName],
    insistence: Insistence,
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    let mut changes = Vec::new();
    for (domain, before) in publications(key, domains) {
        // The time by itself is not enough: the clock may be wrong, and only the keeper,
        // which looks at it often, can tell.
        let due = before.withdrawal.is_some() || insistence == Insistence::Force;
        match before.state {
            State::Active => return Err(signing(selector, domain)),
            State::Generated | State::Published => {
                return Err(CommandError::NeverSigned {
                    selector: selector.clone(),
                    domain: domain.clone(),
                });
            }
            State::Draining if !due => {
                return Err(CommandError::NotDrained {
                    selector: selector.clone(),
                    domain: domain.clone(),
                    drain_until: before.kept_until(),
                });
            }
            State::Draining | State::Revoked => {
                let after = Publication {
                    state: State::Withdrawn,
                    since: now,
                    withdrawal: None,
                    why: Some(Why::Done),
                    ..*before
                };
                changes.push(Change::new(key, domain, after, Event::WithdrawnByWord));
            }
            State::Withdrawn => {}
        }
    }
    not_empty(changes, selector)
}

/// The organisation has this domain no more, or none if `None`: the keys that sign there begin
/// to drain. Those that never signed are left as they are.
pub fn retire(
    keyring: &Keyring,
    domain: Option<&DomainName>,
    timing: &Timing,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in keyring.keys() {
        let active = key
            .publications
            .iter()
            .filter(|(_, one)| one.state == State::Active)
            .filter(|(name, _)| domain.is_none_or(|domain| domain == *name));
        changes.extend(active.map(|(name, _)| Change::left(key, name, timing, now)));
    }
    changes
}

fn key<'a>(keyring: &'a Keyring, selector: &Selector) -> Result<&'a KeyEntry, CommandError> {
    let key = keyring.key(selector);
    key.ok_or_else(|| CommandError::UnknownKey(selector.clone()))
}

fn publications<'a>(
    key: &'a KeyEntry,
    domains: &[DomainName],
) -> impl Iterator<Item = (&'a DomainName, &'a Publication)> {
    let publications = key.publications.iter();
    publications.filter(|(domain, _)| domains.contains(domain))
}

fn revoked(before: &Publication, revocation: Revocation, now: Timestamp) -> Publication {
    let mut after = Publication {
        revocation: Some(revocation),
        withdrawal: Some(Withdrawal::Asked),
        why: Some(Why::AwaitingWithdrawal),
        ..*before
    };
    if before.state != State::Revoked {
        after.state = State::Revoked;
        after.since = now;
    }
    after
}

fn signing(selector: &Selector, domain: &DomainName) -> CommandError {
    CommandError::Signing {
        selector: selector.clone(),
        domain: domain.clone(),
    }
}

fn not_empty(changes: Vec<Change>, selector: &Selector) -> Result<Vec<Change>, CommandError> {
    if changes.is_empty() {
        return Err(CommandError::NothingToDo(selector.clone()));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        dkim::key::Algorithm,
        keys::{ChangeRefusal, Delegated, Evidence, Moment, Sight, Situation},
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const ALGORITHM: Algorithm = Algorithm::Ed25519Sha256;
    const TIMING: Timing = Timing {
        check_every: Duration::from_hours(1),
        settle: Duration::from_mins(10),
        drain: Duration::from_hours(5),
        longest_expiry: Duration::from_hours(2),
        rotate_every: Duration::from_hours(100),
        lead_time: Duration::from_hours(20),
    };
    const SEEN: Sight = Sight::Everywhere {
        ttl: Duration::from_hours(1),
        negative_ttl: Duration::from_mins(5),
    };

    fn domain() -> DomainName {
        "een.example".parse().unwrap()
    }

    fn selector(number: u8) -> Selector {
        format!("s{number}").parse().unwrap()
    }

    /// With a key for each of these states.
    fn keyring(states: &[State]) -> Keyring {
        let mut keyring = Keyring::default();
        for (number, state) in (1..).zip(states) {
            let publication = Publication {
                state: *state,
                ..Publication::generated(NOW)
            };
            let json = serde_json::json!({
                "selector": selector(number), "algorithm": ALGORITHM, "created": NOW,
                "fingerprint": format!("{number:064}"), "publications": {"een.example": publication},
            });
            keyring.add(serde_json::from_value(json).unwrap());
        }
        keyring
    }

    fn after(keyring: &Keyring, number: u8) -> Publication {
        keyring.key(&selector(number)).unwrap().publications["een.example"]
    }

    #[test]
    fn activation_by_word_and_by_planner_leave_equal_publications() {
        for others in [&[][..], &[State::Active], &[State::Active, State::Revoked]] {
            let states = [others, &[State::Generated]].concat();
            let number = u8::try_from(states.len()).unwrap();
            let mut planned = keyring(&states);
            let domains = [domain()];
            let mut now = NOW;
            let check = |keyring: &mut Keyring, now| {
                let situation = Situation {
                    keyring,
                    domains: &domains,
                    incoming: &[],
                    away: &[],
                    algorithms: &[ALGORITHM],
                    timing: &TIMING,
                    delegated: Delegated::default(),
                    reported: crate::keys::Reported::default(),
                };
                let plan = situation.plan(Moment::steady(now), |_, _| SEEN);
                keyring.apply(&plan.changes).unwrap();
            };
            // It is published, and seen for long enough the second time.
            check(&mut planned, now);
            now += Duration::from_mins(10);
            check(&mut planned, now);
            let mut told = keyring(&states);
            check(&mut told, NOW);
            let changes = activate(&told, &selector(number), &domains, &TIMING, now).unwrap();
            told.apply(&changes).unwrap();
            assert!(after(&told, number).assumed);
            // The last look was the planner's alone; what follows is the same.
            for (told, planned) in (1..=number).map(|key| (after(&told, key), after(&planned, key)))
            {
                let same = Publication {
                    assumed: told.assumed,
                    checked: told.checked,
                    seen_last: told.seen_last,
                    ..planned
                };
                assert_eq!(told, same, "{states:?}");
            }
        }
    }

    #[test]
    fn each_state_has_its_answer_to_an_activation_by_word() {
        for (state, expected) in [
            (State::Generated, Ok(1)),
            (State::Published, Ok(1)),
            (State::Active, Ok(0)),
            (State::Draining, Err(State::Draining)),
            (State::Withdrawn, Err(State::Withdrawn)),
            (State::Revoked, Err(State::Revoked)),
        ] {
            let keyring = keyring(&[state]);
            let changes = activate(&keyring, &selector(1), &[domain()], &TIMING, NOW);
            let answer = match changes {
                Ok(changes) => {
                    keyring.clone().apply(&changes).unwrap();
                    Ok(changes.len())
                }
                Err(CommandError::Former { step, .. }) => Err(step.from),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(answer, expected, "{state}");
        }
    }

    #[test]
    fn a_selector_that_is_not_there_is_an_error() {
        let unknown = Err(CommandError::UnknownKey(selector(9)));
        let (keyring, domains) = (keyring(&[State::Active]), [domain()]);
        assert_eq!(
            activate(&keyring, &selector(9), &domains, &TIMING, NOW),
            unknown
        );
        assert_eq!(add_domains(&keyring, &selector(9), &domains, NOW), unknown);
    }

    #[test]
    fn assumed_evidence_is_remembered_and_nothing_signs_without_any() {
        let mut keyring = keyring(&[State::Generated]);
        let changes = activate(&keyring, &selector(1), &[domain()], &TIMING, NOW).unwrap();
        let mut silent = changes.clone();
        silent[0].after.assumed = false;
        let (_, refusal) = keyring.apply(&silent).unwrap_err();
        assert!(matches!(refusal, ChangeRefusal::Step(_)), "{refusal}");
        assert_eq!(changes[0].evidence(), Some(Evidence::Assumed));
        keyring.apply(&changes).unwrap();
        assert_eq!(
            serde_json::to_string(&after(&keyring, 1)).unwrap(),
            r#"{"state":"active","since":"1970-01-01T00:00:00Z","assumed":true,"why":"signing"}"#
        );
        // A second time: nothing new, so not a new date either.
        let again = activate(&keyring, &selector(1), &[domain()], &TIMING, NOW);
        assert_eq!(again, Ok(Vec::new()));
    }
}
