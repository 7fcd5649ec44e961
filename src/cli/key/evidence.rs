//! Letting a key sign on what the DNS shows now: one look of what the keeper does all day.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{activate, say_taken_up};
use crate::{
    cli::{
        failure::Failure,
        look::{KeyRecord, Seen, look},
        output::{Output, complain},
        status::Status,
    },
    config::{Settings, situation},
    dns::Finding,
    keys::{Change, Event, ForbiddenStep, KeyEntry, Keyring, Moment, Sight, State, What},
    keystore::{Keystore, KeystoreError, Target},
    names::DomainName,
    organisation::Organisation,
    words::Language,
};

/// Looks for the record in the domains of `target`, writes down what was seen, and lets the
/// key sign where it is due.
pub(super) fn activate(
    keystore: &Keystore,
    (settings, organisation): (&Settings, &Organisation),
    target: &Target<'_>,
    output: &mut Output,
) -> Result<Status, Failure> {
    let keyring = keystore.read_keyring(target.organisation)?;
    let entry = entry(&keyring, target)?;
    refuse_former(entry, target)?;
    let seen = look(
        &settings.keeper.resolvers,
        records(keystore, target, entry)?,
    )?;
    let now = Timestamp::now();
    let mut writer = keystore.writer()?;
    if target
        .domains
        .iter()
        .any(|domain| entry.state(domain).is_none())
    {
        writer.add_domains(target, now)?;
    }
    // Under the lock: what it was like right before.
    let before = keystore.read_keyring(target.organisation)?;
    let timing = settings.timing();
    let sight = |selector: &_, domain: &_| match seen.get(domain) {
        Some(seen) if selector == target.selector => seen.sight,
        _ => Sight::Unknown,
    };
    let plan = situation(organisation, &before, &timing).plan(Moment::steady(now), sight);
    let changes: Vec<Change> = plan
        .changes
        .into_iter()
        .filter(|change| is_asked_for(change, target, &seen))
        .collect();
    let unusable = writer.apply(target.organisation, &changes, now)?;
    drop(writer);
    for problem in &unusable {
        complain(problem);
    }
    let after = keystore.read_keyring(target.organisation)?;
    let outcome = Outcome {
        target,
        before: &before,
        after: &after,
        seen: &seen,
    };
    Ok(outcome.tell((settings, organisation), output))
}

fn entry<'a>(keyring: &'a Keyring, target: &Target<'_>) -> Result<&'a KeyEntry, Failure> {
    let unknown = || KeystoreError::UnknownKey {
        organisation: target.organisation.clone(),
        selector: target.selector.clone(),
    };
    Ok(keyring.key(target.selector).ok_or_else(unknown)?)
}

/// A key that signed once, or was given up, never comes back.
fn refuse_former(entry: &KeyEntry, target: &Target<'_>) -> Result<(), Failure> {
    for domain in target.domains {
        if let Some(from @ (State::Draining | State::Withdrawn | State::Revoked)) =
            entry.state(domain)
        {
            let to = State::Active;
            return Err(KeystoreError::Step {
                selector: target.selector.clone(),
                domain: domain.clone(),
                step: ForbiddenStep { from, to },
            }
            .into());
        }
    }
    Ok(())
}

/// Where it does not sign yet.
fn records(
    keystore: &Keystore,
    target: &Target<'_>,
    entry: &KeyEntry,
) -> Result<Vec<KeyRecord>, Failure> {
    let key = keystore
        .load_key(target.organisation, entry)
        .map_err(KeystoreError::UnusableKey)?;
    let waiting = target.domains.iter();
    let waiting = waiting.filter(|domain| entry.state(domain) != Some(State::Active));
    Ok(waiting
        .map(|domain| KeyRecord {
            selector: target.selector.clone(),
            domain: domain.clone(),
            public_key: key.public_key().clone(),
        })
        .collect())
}

/// What is due for other keys is left to the keeper: nobody has looked at them.
fn is_asked_for(change: &Change, target: &Target<'_>, seen: &HashMap<DomainName, Seen>) -> bool {
    let key = match &change.event {
        Event::Draining { successor } => successor,
        _ => &change.selector,
    };
    key == target.selector && seen.contains_key(&change.domain)
}

/// What has come of it.
struct Outcome<'a> {
    target: &'a Target<'a>,
    before: &'a Keyring,
    after: &'a Keyring,
    seen: &'a HashMap<DomainName, Seen>,
}

impl Outcome<'_> {
    fn tell(&self, place: (&Settings, &Organisation), output: &mut Output) -> Status {
        let selector = self.target.selector;
        let signs = |domain: &&DomainName| {
            let entry = self.after.key(selector);
            entry.and_then(|entry| entry.state(domain)) == Some(State::Active)
        };
        let (active, waiting): (Vec<_>, Vec<_>) = self.target.domains.iter().partition(signs);
        for domain in &active {
            activate::print(self.before, (selector, domain), output);
        }
        if active.iter().any(|domain| self.seen.contains_key(*domain)) {
            say_taken_up(output);
        }
        for domain in &waiting {
            self.complain(place, domain);
        }
        if waiting.is_empty() {
            return Status::Good;
        }
        complain(
            "The keeper goes on looking, and activates it by itself. If you have seen the record \
             on every name server, say so with --assume-published: the key then signs on your \
             word, which is written in the audit log; were the record missing, receivers would \
             find the signatures broken.",
        );
        Status::Finding
    }

    /// Why it does not sign there yet, and what that waits for.
    fn complain(&self, (settings, organisation): (&Settings, &Organisation), domain: &DomainName) {
        let selector = self.target.selector;
        let timing = settings.timing();
        let Some(entry) = self.after.key(selector) else {
            return;
        };
        let next = situation(organisation, self.after, &timing).next_step(entry, domain);
        let reason = match (&next.what, next.when) {
            (What::Activate, Some(when)) => format!(
                "its record is seen everywhere, and must have been for long enough: it may sign \
                 from {when:.0} on, when it is looked at again"
            ),
            (what, _) => format!("next: {what}"),
        };
        complain(format_args!(
            "{domain}: {selector} was not activated; {reason}"
        ));
        let findings = self.seen.get(domain).map(|seen| seen.findings.iter());
        for finding in findings.into_iter().flatten() {
            complain_of(finding);
        }
    }
}

fn complain_of(finding: &Finding) {
    let Finding { name, seen, .. } = finding;
    complain(format_args!(
        "{}: {name}: seen: {seen}. {}",
        finding.code.as_str(),
        finding.advice(Language::English)
    ));
}
