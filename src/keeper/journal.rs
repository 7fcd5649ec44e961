//! What the log says of organisations: what happens to them; and of what lasts, only that it
//! begins and that it ends.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use super::check::{Awaited, Checked};
use crate::{
    dns::{Code, Finding},
    keys::{Alarm, AlarmKind, Event},
    keystore::KeystoreError,
    names::{DomainName, OrganisationId, Selector},
    observe::logging::KEYS,
};

/// What was last said of each organisation.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<HashMap<OrganisationId, BTreeSet<Matter>>>);

/// Something that lasts from one check to the next.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Matter {
    Finding(Code, String),
    Alarm(AlarmKind, DomainName, Option<Selector>),
    Problem(String),
    /// Nothing could be concluded for it.
    Awaited(Awaited),
    /// It could not be looked at.
    Failure(String),
}

/// What has come up since the check before, and what is over.
#[derive(Debug, Default, Eq, PartialEq)]
struct News {
    begun: BTreeSet<Matter>,
    over: BTreeSet<Matter>,
}

impl Journal {
    /// After a check.
    pub(super) fn checked(&self, organisation: &OrganisationId, checked: &Checked) {
        log_events(organisation, checked);
        let news = self.news(organisation, matters(checked));
        for matter in &news.begun {
            match matter {
                Matter::Finding(..) => {
                    let mut findings = checked.findings.iter();
                    if let Some(finding) = findings.find(|one| Matter::of_finding(one) == *matter) {
                        log_finding(organisation, finding);
                    }
                }
                Matter::Alarm(kind, domain, selector) => tracing::error!(
                    target: KEYS,
                    organisation = organisation.as_str(),
                    domain = domain.as_str(),
                    selector = selector.as_ref().map_or("", Selector::as_str),
                    "alarm: {}",
                    kind.as_str()
                ),
                Matter::Awaited(awaited) => tracing::info!(
                    target: KEYS,
                    organisation = organisation.as_str(),
                    selector = awaited.selector.as_str(),
                    domain = awaited.domain.as_str(),
                    shown = awaited.shown.as_str(),
                    "still awaited in DNS"
                ),
                Matter::Problem(text) | Matter::Failure(text) => {
                    tracing::error!(target: KEYS, organisation = organisation.as_str(), "{text}");
                }
            }
        }
        for matter in &news.over {
            log_end(organisation, matter);
        }
    }

    /// After a check that could not be made, or not be written down.
    pub(super) fn failed(&self, organisation: &OrganisationId, error: &KeystoreError) {
        let failure = Matter::Failure(error.to_string());
        if self.is_new_failure(organisation, &failure) {
            tracing::error!(
                target: KEYS,
                organisation = organisation.as_str(),
                "nothing is changed for this organisation: {error}"
            );
        }
    }

    /// Forgets the organisations that are no more.
    pub(super) fn retain(&self, keep: impl Fn(&OrganisationId) -> bool) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|id, _| keep(id));
    }

    fn news(&self, organisation: &OrganisationId, now: BTreeSet<Matter>) -> News {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.remove(organisation).unwrap_or_default();
        let news = News {
            begun: now.difference(&before).cloned().collect(),
            over: before.difference(&now).cloned().collect(),
        };
        said.insert(organisation.clone(), now);
        news
    }

    /// Whether a failure is another than the last. What else lasts is not known now, so it stays
    /// as it was.
    fn is_new_failure(&self, organisation: &OrganisationId, failure: &Matter) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matters = said.entry(organisation.clone()).or_default();
        if matters.contains(failure) {
            return false;
        }
        matters.retain(|matter| !matches!(matter, Matter::Failure(_)));
        matters.insert(failure.clone())
    }
}

impl Matter {
    fn of_finding(finding: &Finding) -> Self {
        Self::Finding(finding.code, finding.name.clone())
    }

    fn of_alarm(alarm: &Alarm) -> Self {
        Self::Alarm(alarm.kind, alarm.domain.clone(), alarm.selector.clone())
    }
}

fn matters(checked: &Checked) -> BTreeSet<Matter> {
    let findings = checked.findings.iter().map(Matter::of_finding);
    let alarms = checked.alarms.iter().map(Matter::of_alarm);
    let problems = checked.problems.iter().cloned().map(Matter::Problem);
    let awaited = checked.awaited.iter().cloned().map(Matter::Awaited);
    findings
        .chain(alarms)
        .chain(problems)
        .chain(awaited)
        .collect()
}

fn log_events(organisation: &OrganisationId, checked: &Checked) {
    let organisation = organisation.as_str();
    let events = checked.changes.iter();
    for change in events.filter(|one| one.event != Event::Checked) {
        tracing::info!(
            target: KEYS,
            organisation,
            selector = change.selector.as_str(),
            domain = change.domain.as_str(),
            "key {}",
            change.event.as_str()
        );
    }
    for selector in &checked.made {
        tracing::info!(
            target: KEYS,
            organisation,
            selector = selector.as_str(),
            "a key was made: hand over its records with `zegel dns records {organisation}`"
        );
    }
}

fn log_finding(organisation: &OrganisationId, finding: &Finding) {
    tracing::warn!(
        target: KEYS,
        organisation = organisation.as_str(),
        code = finding.code.as_str(),
        name = finding.name.as_str(),
        seen = finding.seen.as_str(),
        expected = finding.expected.as_str(),
        "finding in DNS"
    );
}

fn log_end(organisation: &OrganisationId, matter: &Matter) {
    let organisation = organisation.as_str();
    match matter {
        Matter::Finding(code, name) => {
            let (code, name) = (code.as_str(), name.as_str());
            tracing::info!(target: KEYS, organisation, code, name, "no longer found in DNS");
        }
        Matter::Alarm(kind, domain, _) => {
            let domain = domain.as_str();
            tracing::info!(target: KEYS, organisation, domain, "end of alarm: {}", kind.as_str());
        }
        Matter::Problem(text) => {
            tracing::info!(target: KEYS, organisation, "no longer a problem: {text}");
        }
        // What comes of it is an event, or the next such line.
        Matter::Awaited(_) => {}
        Matter::Failure(_) => tracing::info!(target: KEYS, organisation, "looked at again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once() {
        let journal = Journal::default();
        let id: OrganisationId = "een".parse().unwrap();
        let set = |texts: &[&str]| -> BTreeSet<Matter> {
            let problem = |text: &&str| Matter::Problem((*text).to_owned());
            texts.iter().map(problem).collect()
        };
        let news = |begun: &[&str], over: &[&str]| News {
            begun: set(begun),
            over: set(over),
        };
        assert_eq!(journal.news(&id, set(&["a"])), news(&["a"], &[]));
        assert_eq!(journal.news(&id, set(&["a"])), News::default());
        assert_eq!(journal.news(&id, set(&["b"])), news(&["b"], &["a"]));
        journal.retain(|_| false);
        assert_eq!(journal.news(&id, set(&["b"])), news(&["b"], &[]));
    }

    #[test]
    fn a_failure_hides_nothing() {
        let journal = Journal::default();
        let id: OrganisationId = "een".parse().unwrap();
        let problem = || BTreeSet::from([Matter::Problem("a".to_owned())]);
        let failure = |text: &str| Matter::Failure(text.to_owned());
        journal.news(&id, problem());
        assert!(journal.is_new_failure(&id, &failure("full")));
        assert!(!journal.is_new_failure(&id, &failure("full")));
        assert!(journal.is_new_failure(&id, &failure("fuller")));
        let news = journal.news(&id, problem());
        assert_eq!(news.over, BTreeSet::from([failure("fuller")]));
        assert!(news.begun.is_empty());
    }
}
