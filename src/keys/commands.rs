//! What the operator does to keys: the changes that a command asks for, or why it is not
//! possible. They are written with [`crate::keystore::Writer::apply`]; for starting a
//! rotation see [`super::Situation::roll`].

use jiff::Timestamp;

use super::{
    keyring::{KeyEntry, Keyring},
    plan::{Change, Event},
    publication::{Publication, Revocation, State, Why, Withdrawal},
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
            changes.push(change((key, domain), after, Event::Revoked));
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
    (selector, domains): (&Selector, &[DomainName]),
    now: Timestamp,
) -> Result<Vec<Change>, CommandError> {
    let key = key(keyring, selector)?;
    let mut changes = Vec::new();
    for (domain, before) in publications(key, domains) {
        match before.state {
            State::Generated | State::Published => {
                let after = revoked(before, Revocation::Aborted, now);
                changes.push(change((key, domain), after, Event::Revoked));
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
    (selector, domains): (&Selector, &[DomainName]),
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
                    drain_until: before.drain_until,
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
                changes.push(change((key, domain), after, Event::WithdrawnByWord));
            }
            State::Withdrawn => {}
        }
    }
    not_empty(changes, selector)
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

fn change((key, domain): (&KeyEntry, &DomainName), after: Publication, event: Event) -> Change {
    Change {
        selector: key.selector.clone(),
        domain: domain.clone(),
        before: key.publications.get(domain).copied(),
        after,
        event,
    }
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
