//! What is to change in the keys of one organisation: all that has to be known by the one who
//! commits it. Today that is the folder of a keystore.

use jiff::Timestamp;

use super::{
    change::{Change, ChangeRefusal, Event},
    departure::Departure,
    keyring::{KeyEntry, Keyring},
    new_key::{NewKey, Origin},
    publication::{Evidence, Publication},
};
use crate::names::{DomainName, OrganisationId, Selector};

/// What is to change. It is committed as a whole, or not at all.
#[derive(Clone)]
pub struct Revision<'a> {
    /// Whose keys.
    pub organisation: &'a OrganisationId,
    /// As it is; a commit that finds another keyring is none.
    pub before: Keyring,
    /// As it is to be.
    pub after: Keyring,
    /// Private keys, which have to be there before the keyring that names them.
    pub new_keys: Vec<(Selector, &'a NewKey)>,
    /// What is told of it.
    pub audit: Vec<AuditEntry>,
    /// Whether the signer is to hear of it.
    pub is_announced: bool,
}

/// What the audit log tells of one change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditEntry {
    /// Of which key; none of what is about all of them.
    pub selector: Option<Selector>,
    /// In which domains.
    pub domains: Vec<DomainName>,
    /// One word, such as `generated` or those of [`Event`].
    pub event: &'static str,
    /// Whose word it was done on, where it was someone's.
    pub evidence: Option<Evidence>,
    /// What was seen in DNS, and when, where that was the reason.
    pub publication: Option<Publication>,
}

impl<'a> Revision<'a> {
    /// Of which nothing has changed yet.
    pub fn new(organisation: &'a OrganisationId, keyring: Keyring) -> Self {
        Self {
            organisation,
            before: keyring.clone(),
            after: keyring,
            new_keys: Vec::new(),
            audit: Vec::new(),
            is_announced: false,
        }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Adds a key, `generated` for each of the domains. Its selector must be new.
    pub fn add_key(
        &mut self,
        selector: &Selector,
        domains: &[DomainName],
        key: &'a NewKey,
        now: Timestamp,
    ) -> KeyEntry {
        let publication = |domain| (domain, Publication::generated(now));
        let entry = KeyEntry {
            selector: selector.clone(),
            algorithm: key.public_key().algorithm(),
            created: now,
            fingerprint: key.public_key().fingerprint(),
            public_key: Some(key.public_key().clone()),
            publications: domains.iter().cloned().map(publication).collect(),
        };
        self.after.add(entry.clone());
        self.new_keys.push((selector.clone(), key));
        self.audit.push(AuditEntry {
            selector: Some(selector.clone()),
            domains: domains.to_vec(),
            event: match key.origin() {
                Origin::Here => "generated",
                Origin::Elsewhere => "imported",
            },
            evidence: None,
            publication: None,
        });
        self.is_announced = true;
        entry
    }

    /// Suspends the organisation, or ends that; nothing changes if it is so already. Its keys and
    /// their records stay as they are.
    pub fn suspend(&mut self, since: Option<Timestamp>) {
        if self.after.suspended.is_some() == since.is_some() {
            return;
        }
        self.after.suspended = since;
        self.audit.push(AuditEntry {
            selector: None,
            domains: Vec::new(),
            event: if since.is_some() {
                "suspended"
            } else {
                "resumed"
            },
            evidence: None,
            publication: None,
        });
        self.is_announced = true;
    }

    /// Gives notice that a domain, or the organisation, leaves, or takes that back.
    pub fn depart(&mut self, domain: Option<&DomainName>, departure: Option<Departure>) {
        if self.after.departures().given(domain) == departure {
            return;
        }
        self.after.departures.set(domain, departure);
        self.tell_departure(
            domain,
            if departure.is_some() {
                "leaving"
            } else {
                "stays"
            },
        );
    }

    /// Notes which notices are over by now.
    pub fn end_departures(&mut self, now: Timestamp) {
        let Some(ended) = self.after.departures().ended_by(now) else {
            return;
        };
        let before = std::mem::replace(&mut self.after.departures, ended);
        let after = self.after.departures.clone();
        let names = after.domains().map(|(domain, _)| Some(domain));
        for domain in names.chain([None]) {
            if before.given(domain) != after.given(domain) {
                self.tell_departure(domain, "grace_over");
            }
        }
    }

    fn tell_departure(&mut self, domain: Option<&DomainName>, event: &'static str) {
        self.audit.push(AuditEntry {
            selector: None,
            domains: domain.cloned().into_iter().collect(),
            event,
            evidence: None,
            publication: None,
        });
        self.is_announced = true;
    }

    /// Makes all of these changes, or none.
    ///
    /// # Errors
    /// As [`Keyring::apply`].
    pub fn change<'c>(&mut self, changes: &'c [Change]) -> Result<(), (&'c Change, ChangeRefusal)> {
        self.after.apply(changes)?;
        self.is_announced |= changes.iter().any(Change::is_announced);
        for change in changes {
            if change.event != Event::Checked {
                self.tell(change);
            }
        }
        Ok(())
    }

    /// A line for each change; what is done on someone's word is one line for all domains.
    fn tell(&mut self, change: &Change) {
        let evidence = change.evidence();
        let is_same = |told: &&mut AuditEntry| {
            evidence.is_some()
                && told.evidence == evidence
                && told.selector.as_ref() == Some(&change.selector)
        };
        if let Some(told) = self.audit.iter_mut().find(is_same) {
            told.domains.push(change.domain.clone());
            return;
        }
        self.audit.push(AuditEntry {
            selector: Some(change.selector.clone()),
            domains: vec![change.domain.clone()],
            event: change.event.as_str(),
            evidence,
            publication: evidence.is_none().then_some(change.after),
        });
    }
}
