//! What is to be done, as facts: no language, no layout.

use std::time::Duration;

use jiff::{Timestamp, civil::Date};

use super::{
    Handover, HandoverError, Scope, delegation,
    record::{Data, Placement, ResourceRecord},
    schedule::{after, date, day_after, needed_for},
};
use crate::{
    dkim::{Algorithm, Fingerprint},
    dns::{PARKED_DMARC, PARKED_SPF},
    keys::{KeyEntry, Publication, State, Withdrawal},
    names::{DomainName, OrganisationId, Selector},
    words::words,
};

/// How long a withdrawn key is still named, after its record was to be removed.
const HISTORY: Duration = Duration::from_hours(365 * 24);

/// All that is handed over to one organisation.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Its name for people, without control characters.
    pub name: String,
    /// Who looks after its DNS, without control characters.
    pub contact: Option<String>,
    /// The day for which it is made (UTC, as all dates in it).
    pub date: Date,
    /// How long a key serves.
    pub rotate_every: Duration,
    /// How long before that its successor is handed over.
    pub lead_time: Duration,
    /// How long the record of a former key is needed: queues and expiry of signatures.
    pub drain: Duration,
    /// The operator's zone, in the CNAME variant.
    pub delegation: Option<DomainName>,
    /// In the order of the configuration, the parked ones last.
    pub domains: Vec<DomainPack>,
}

/// What is handed over for one domain.
#[derive(Clone, Debug)]
pub struct DomainPack {
    /// In A-labels.
    pub domain: DomainName,
    /// All domains of the organisation, to find the zone with.
    siblings: Vec<DomainName>,
    /// What is to be done.
    pub tasks: DomainTasks,
}

/// The two kinds of domains.
#[derive(Clone, Debug)]
pub enum DomainTasks {
    /// It sends mail.
    Sending {
        /// The most urgent first.
        keys: Vec<KeyPack>,
        /// In the CNAME variant: the names of the keys to come.
        coming: Vec<ResourceRecord>,
    },
    /// It never sends mail.
    Parked {
        /// The records that say so.
        records: Vec<ResourceRecord>,
        /// The same for names below it: advice only.
        wildcards: Vec<ResourceRecord>,
        /// The names of DKIM records of former keys, which are to be removed.
        remove: Vec<String>,
    },
}

/// What is to be done about one key.
#[derive(Clone, Debug)]
pub struct KeyPack {
    /// Its selector.
    pub selector: Selector,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its size, where its public half is known.
    pub bits: Option<usize>,
    /// Of its public half.
    pub fingerprint: Fingerprint,
    /// Where it is in its life for this domain, and since when.
    pub publication: Publication,
    /// The whole name of its record, without trailing dot.
    pub name: String,
    /// What to do.
    pub task: Task,
    /// Whether another key signs for the domain with this algorithm until it can.
    pub follows_another: bool,
    /// Whether there is a key already that is to follow it.
    pub has_successor: bool,
    /// Without delay: no mail is signed before, or the key may be in wrong hands.
    pub urgent: bool,
    /// Add: by when. Keep: until when at least (draining), or when the successor is
    /// expected (active). Empty: from when the record may be removed.
    pub date: Option<Date>,
    /// The record as it must be; none where it is to be removed, or in the CNAME variant
    /// to be left as it is.
    pub record: Option<ResourceRecord>,
}

words! {
    /// What a DNS administrator does with a record.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub enum Task {
        /// Make it, beside those that are there.
        Add = "add",
        /// Give it an empty `p=` (RFC 6376 §3.6.1: the key is revoked).
        Empty = "empty",
        /// Leave it.
        Keep = "keep",
        /// Take it away.
        Remove = "remove",
    }
}

impl DomainPack {
    /// Where a record of this domain may be kept, the likely zone first.
    pub fn placements(&self, name: &str) -> Vec<Placement> {
        Placement::of(name, &self.domain, &self.siblings)
    }
}

impl Pack {
    /// Whether one of its sending domains has a key.
    pub(super) fn has_keys(&self) -> bool {
        self.domains.iter().any(
            |domain| matches!(&domain.tasks, DomainTasks::Sending { keys, .. } if !keys.is_empty()),
        )
    }
}

impl Handover<'_> {
    /// Finds out what is to be done.
    ///
    /// # Errors
    /// When the public half of a key is not known whose record must be written, when
    /// `scope` names a domain that the organisation does not have, or when a name in the
    /// zone of the CNAME variant would be too long.
    pub fn pack(&self, scope: &Scope) -> Result<Pack, HandoverError> {
        let organisation = self.organisation;
        let wanted = |domain: &&DomainName| scope.domain.as_ref().is_none_or(|one| one == *domain);
        let mut domains = Vec::new();
        for domain in organisation.domains.iter().filter(wanted) {
            let tasks = self.sending(domain, scope.delegation.as_ref())?;
            domains.push(self.domain_pack(domain, tasks));
        }
        for domain in organisation.parked.iter().filter(wanted) {
            domains.push(self.domain_pack(domain, self.parked(domain)));
        }
        if let (Some(domain), true) = (&scope.domain, domains.is_empty()) {
            return Err(HandoverError::UnknownDomain(domain.clone()));
        }
        let keeper = &self.settings.keeper;
        Ok(Pack {
            organisation: organisation.id.clone(),
            name: printable(&organisation.name),
            contact: organisation.contact.as_deref().map(printable),
            date: date(self.now),
            rotate_every: keeper.rotate_every,
            lead_time: keeper.lead_time,
            drain: needed_for(self.settings),
            delegation: scope.delegation.clone(),
            domains,
        })
    }

    fn domain_pack(&self, domain: &DomainName, tasks: DomainTasks) -> DomainPack {
        let Self { organisation, .. } = self;
        let siblings = organisation.domains.iter().chain(&organisation.parked);
        DomainPack {
            domain: domain.clone(),
            siblings: siblings.cloned().collect(),
            tasks,
        }
    }

    fn sending(
        &self,
        domain: &DomainName,
        delegation: Option<&DomainName>,
    ) -> Result<DomainTasks, HandoverError> {
        let mut keys = Vec::new();
        for entry in self.keyring.keys() {
            let Some(publication) = entry.publications.get(domain) else {
                continue;
            };
            let key = Subject {
                handover: self,
                domain,
                entry,
                publication: *publication,
            };
            keys.extend(match delegation {
                None => key.in_full()?,
                Some(zone) => key.delegated(zone)?,
            });
        }
        keys.sort_by_key(|key: &KeyPack| (!key.urgent, key.task));
        let coming = match delegation {
            None => Vec::new(),
            Some(zone) => delegation::coming(self, domain, zone)?,
        };
        Ok(DomainTasks::Sending { keys, coming })
    }

    /// In exactly the form that internet.nl's test of a domain without mail accepts.
    fn parked(&self, domain: &DomainName) -> DomainTasks {
        let text = |name: String, value: &str| ResourceRecord::new(name, Data::Text(value.into()));
        let null_mx = |name: String| ResourceRecord::new(name, Data::NullMx);
        let former = self.keyring.keys().iter().filter(|entry| {
            let publication = entry.publications.get(domain);
            publication.is_some_and(|publication| !self.is_history(publication))
        });
        DomainTasks::Parked {
            records: vec![
                null_mx(domain.to_string()),
                text(domain.to_string(), PARKED_SPF),
                text(format!("_dmarc.{domain}"), PARKED_DMARC),
            ],
            // DMARC finds the record of the domain above by itself (RFC 9989).
            wildcards: vec![
                null_mx(format!("*.{domain}")),
                text(format!("*.{domain}"), PARKED_SPF),
            ],
            remove: former
                .map(|entry| entry.selector.record_name(domain))
                .collect(),
        }
    }

    /// The time after which a key that came into this state is needed by no mail any more.
    fn needed_until(&self, publication: &Publication) -> Timestamp {
        after(publication.since, needed_for(self.settings))
    }

    fn is_history(&self, publication: &Publication) -> bool {
        let is_gone = publication.withdrawal == Some(Withdrawal::Gone);
        let is_old = || after(self.needed_until(publication), HISTORY) < self.now;
        publication.state == State::Withdrawn && (is_gone || is_old())
    }
}

/// One key in one domain.
struct Subject<'a> {
    handover: &'a Handover<'a>,
    domain: &'a DomainName,
    entry: &'a KeyEntry,
    publication: Publication,
}

impl Subject<'_> {
    /// The variant in which the customer's zone holds the key itself.
    fn in_full(&self) -> Result<Option<KeyPack>, HandoverError> {
        let mut pack = self.plan();
        pack.record = match pack.task {
            Task::Add | Task::Keep => Some(record_of(self.handover, self.entry)?),
            Task::Empty => Some(empty_record(self.entry)),
            Task::Remove => None,
        }
        .map(|data| ResourceRecord::new(pack.name.clone(), data));
        Ok((!self.handover.is_history(&self.publication)).then_some(pack))
    }

    /// The variant with a CNAME. What is there already stays as it is, since no CNAME can be
    /// beside a TXT (RFC 1034 §3.6.2); what is to go, goes whole.
    fn delegated(&self, zone: &DomainName) -> Result<Option<KeyPack>, HandoverError> {
        let mut pack = self.plan();
        if pack.task == Task::Empty {
            pack.task = Task::Remove;
            pack.date = None;
        }
        if pack.task == Task::Add {
            let target = delegation::target(&pack.selector, &self.handover.organisation.id, zone)?;
            pack.record = Some(ResourceRecord::new(pack.name.clone(), Data::Alias(target)));
        }
        Ok((!self.handover.is_history(&self.publication)).then_some(pack))
    }

    fn plan(&self) -> KeyPack {
        let (task, urgent, date) = self.task();
        let bits = self.handover.public_keys.get(&self.entry.selector);
        KeyPack {
            selector: self.entry.selector.clone(),
            algorithm: self.entry.algorithm,
            bits: bits.map(crate::dkim::PublicKey::bits),
            fingerprint: self.entry.fingerprint,
            publication: self.publication,
            name: self.entry.selector.record_name(self.domain),
            task,
            follows_another: self.active_before().is_some(),
            has_successor: self.has_successor(),
            urgent,
            date,
            record: None,
        }
    }

    fn task(&self) -> (Task, bool, Option<Date>) {
        let now = self.handover.now;
        let gone = self.handover.needed_until(&self.publication);
        let revoked = self.publication.state == State::Revoked;
        match self.publication.state {
            State::Generated => {
                let due = self.successor_due().filter(|due| *due > now);
                (Task::Add, due.is_none(), due.map(date))
            }
            State::Published => (Task::Keep, false, None),
            State::Active => {
                let keeper = &self.handover.settings.keeper;
                let life = keeper.rotate_every.saturating_sub(keeper.lead_time);
                let successor = after(self.publication.since, life).max(now);
                (Task::Keep, false, Some(date(successor)))
            }
            // The keeper looked at it until no mail needed the record any more.
            State::Draining if self.publication.withdrawal.is_some() => {
                (Task::Empty, false, Some(day_after(now)))
            }
            State::Draining => {
                let until = self.publication.drain_until.unwrap_or(gone);
                (Task::Keep, false, Some(day_after(until)))
            }
            State::Withdrawn if self.publication.withdrawal == Some(Withdrawal::Emptied) => {
                (Task::Remove, false, None)
            }
            State::Withdrawn | State::Revoked if gone > now => {
                (Task::Empty, revoked, Some(day_after(gone)))
            }
            State::Withdrawn | State::Revoked => (Task::Remove, revoked, None),
        }
    }

    /// The key that signs now with this algorithm, if it is another one.
    fn active_before(&self) -> Option<&KeyEntry> {
        let keyring = self.handover.keyring;
        let active = keyring.active_key(self.domain, self.entry.algorithm)?;
        (active.selector != self.entry.selector).then_some(active)
    }

    fn has_successor(&self) -> bool {
        let coming = [Some(State::Generated), Some(State::Published)];
        self.publication.state == State::Active
            && self.handover.keyring.keys().iter().any(|other| {
                other.algorithm == self.entry.algorithm
                    && coming.contains(&other.state(self.domain))
            })
    }

    /// When the key that this one follows has served its time.
    fn successor_due(&self) -> Option<Timestamp> {
        let since = self.active_before()?.publications.get(self.domain)?.since;
        Some(after(since, self.handover.settings.keeper.rotate_every))
    }
}

/// The value of the record of a key.
pub(super) fn record_of(handover: &Handover<'_>, entry: &KeyEntry) -> Result<Data, HandoverError> {
    let key = handover.public_keys.get(&entry.selector);
    let key = key.filter(|key| key.fingerprint() == entry.fingerprint);
    key.map(|key| Data::Text(key.record()))
        .ok_or_else(|| HandoverError::NoPublicKey(entry.selector.clone()))
}

/// The value of a record that says that its key is revoked (RFC 6376 §3.6.1).
pub(super) fn empty_record(entry: &KeyEntry) -> Data {
    Data::Text(format!("v=DKIM1; k={}; p=", entry.algorithm.key_type()))
}

fn printable(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}
