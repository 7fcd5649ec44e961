//! What is to be done, as facts: no language, no layout.

use std::{collections::BTreeSet, time::Duration};

use jiff::civil::Date;

use super::{
    Handover, HandoverError, Scope,
    delegation::{self, DelegationPack, steps, target},
    leaving::Farewell,
    policy::{PolicyKind, PolicyPack},
    record::{Data, Placement, ResourceRecord, TTL},
    schedule::{date, day_after},
};
use crate::{
    config,
    dkim::{Algorithm, Fingerprint, PublicKey},
    dns::PARKED_SPF,
    keys::{Delegated, KeyEntry, NextStep, Publication, Situation, Task, Way, What},
    keystore::KeySighting,
    names::{DomainName, OrganisationId, Selector},
    words::Level,
};

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
    /// The operator's zone, where CNAME records into it are asked for.
    pub delegation: Option<DomainName>,
    /// Who sends the pack, without control characters.
    pub sender: Option<String>,
    /// Where to ask, without control characters.
    pub questions: Option<String>,
    /// A sentence of the operator's own.
    pub note: Option<String>,
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
    /// What has to be known of one that leaves.
    pub farewell: Option<Farewell>,
    /// How its keys are handed over to the operator, if the organisation's file says so.
    pub delegation: Option<DelegationPack>,
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
        /// SPF and DMARC.
        policies: Vec<PolicyPack>,
    },
    /// It never sends mail.
    Parked {
        /// The records that say so.
        records: Vec<ResourceRecord>,
        /// A domain below it that sends and needs a DMARC record of its own first.
        waits_for: Option<DomainName>,
        /// The same for names below it: advice only.
        wildcards: Vec<ResourceRecord>,
        /// The names of DKIM records of former keys, which are to be removed.
        remove: Vec<String>,
        /// What the keeper last saw to be otherwise: to be added, or changed.
        asked: Vec<(PolicyKind, Task)>,
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
    /// What comes next, as the lists have it.
    pub next: What,
    /// What that means for the DNS administrator.
    pub task: Task,
    /// How things stand with it.
    pub level: Level,
    /// Whether another key signs for the domain with this algorithm until it can.
    pub follows_another: bool,
    /// Without delay: no mail is signed before, or the key may be in wrong hands.
    pub urgent: bool,
    /// Add: by when. Keep: until when at least (draining), or when the successor is
    /// expected (active). Empty: from when the record may be removed.
    pub date: Option<Date>,
    /// The record as it must be; none where it is to be removed, or in the CNAME variant
    /// to be left as it is.
    pub record: Option<ResourceRecord>,
    /// What the keeper saw that is wrong, where the record is to be put right.
    pub sighting: Option<KeySighting>,
    /// Whether its record is, or will be, in a zone of the operator, so that nothing has to be
    /// done about it.
    pub is_delegated: bool,
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
        let timing = self.settings.timing();
        let situation =
            config::situation(organisation, self.keyring, &organisation.parked, &timing);
        let situation = self.delegated(situation, scope);
        let wanted = |domain: &&DomainName| scope.domain.as_ref().is_none_or(|one| one == *domain);
        let mut domains = Vec::new();
        let keyed = organisation.domains.iter().chain(&organisation.incoming);
        for domain in keyed.filter(wanted) {
            domains.push(self.sending_pack(&situation, domain, scope)?);
        }
        for domain in organisation.parked.iter().filter(wanted) {
            let tasks = self.parked(&situation, domain);
            domains.push(self.domain_pack(domain, None, tasks));
        }
        for domain in self.former(&situation).into_iter().filter(wanted) {
            domains.push(self.sending_pack(&situation, domain, scope)?);
        }
        if let (Some(domain), true) = (&scope.domain, domains.is_empty()) {
            return Err(HandoverError::UnknownDomain(domain.clone()));
        }
        Ok(Pack {
            organisation: organisation.id.clone(),
            name: printable(&organisation.name),
            contact: organisation.contact.as_deref().map(printable),
            date: date(self.now),
            rotate_every: timing.rotate_every,
            lead_time: timing.lead_time,
            drain: timing.drain_time(Some(Duration::from_secs(TTL.into()))),
            delegation: alias_zone(scope, &domains),
            sender: self.settings.handover.sender.as_deref().map(printable),
            questions: self.settings.handover.contact.as_deref().map(printable),
            note: self.settings.handover.note.as_deref().map(printable),
            domains,
        })
    }

    /// Domains that the organisation has no more, with a record of its keys that is still spoken
    /// of.
    fn former(&self, situation: &Situation<'_>) -> BTreeSet<&DomainName> {
        let organisation = self.organisation;
        let is_former = |entry: &KeyEntry, domain: &DomainName| {
            let step = situation.next_step(entry, domain);
            !organisation.domains.contains(domain)
                && !organisation.incoming.contains(domain)
                && !organisation.parked.contains(domain)
                && step.task.is_some()
        };
        let keys = self.keyring.keys().iter();
        keys.flat_map(|entry| {
            let domains = entry.publications.keys();
            domains.filter(move |domain| is_former(entry, domain))
        })
        .collect()
    }

    /// With what was seen of delegations, where the organisation's file says which there are.
    fn delegated<'s>(&'s self, mut situation: Situation<'s>, scope: &Scope) -> Situation<'s> {
        if scope.delegation.is_some() {
            situation.delegated = Delegated::default();
        }
        situation.seen(&self.sightings.leads)
    }

    fn sending_pack(
        &self,
        situation: &Situation<'_>,
        domain: &DomainName,
        scope: &Scope,
    ) -> Result<DomainPack, HandoverError> {
        let way = situation.delegated.wanted.way(domain);
        let way = way.filter(|_| situation.sends_from(domain));
        let delegation = way.map(|way| {
            let steps = steps(situation, domain);
            DelegationPack::new(self, domain, (way, &steps))
        });
        let delegation = delegation.transpose()?;
        let aliases = delegation.as_ref().filter(|one| one.asks_for_aliases());
        let zone = scope.delegation.as_ref();
        let zone = zone.or_else(|| aliases.and_then(|one| one.zone.as_ref()));
        let tasks = self.sending(situation, domain, zone)?;
        Ok(self.domain_pack(domain, delegation, tasks))
    }

    fn domain_pack(
        &self,
        domain: &DomainName,
        delegation: Option<DelegationPack>,
        tasks: DomainTasks,
    ) -> DomainPack {
        let Self { organisation, .. } = self;
        let siblings = organisation.domains.iter().chain(&organisation.parked);
        DomainPack {
            domain: domain.clone(),
            siblings: siblings.cloned().collect(),
            farewell: self.farewell(domain),
            delegation,
            tasks,
        }
    }

    fn sending(
        &self,
        situation: &Situation<'_>,
        domain: &DomainName,
        delegation: Option<&DomainName>,
    ) -> Result<DomainTasks, HandoverError> {
        let mut keys = Vec::new();
        for entry in self.keyring.keys() {
            keys.extend(self.key(situation, domain, entry, delegation)?);
        }
        keys.sort_by_key(|key: &KeyPack| (!key.urgent, key.level, key.task));
        let coming = match delegation {
            None => Vec::new(),
            Some(zone) => delegation::coming(self, domain, zone)?,
        };
        // A domain that is here no more, or not yet, is not ours to advise on.
        let policies = if situation.sends_from(domain) && !situation.comes(domain) {
            self.policies(domain)
        } else {
            Vec::new()
        };
        Ok(DomainTasks::Sending {
            keys,
            coming,
            policies,
        })
    }

    /// In exactly the form that internet.nl's test of a domain without mail accepts.
    fn parked(&self, situation: &Situation<'_>, domain: &DomainName) -> DomainTasks {
        let text = |name: String, value: &str| ResourceRecord::new(name, Data::Text(value.into()));
        let null_mx = |name: String| ResourceRecord::new(name, Data::NullMx);
        let former = self.keyring.keys().iter().filter(|entry| {
            let step = situation.next_step(entry, domain);
            // As long as mail on its way needs it, a record stays.
            let stays = matches!(step.task, Some(Task::Keep | Task::Restore | Task::Mend));
            entry.publications.contains_key(domain) && !stays && step.what != What::Nothing
        });
        DomainTasks::Parked {
            records: [
                null_mx(domain.to_string()),
                text(domain.to_string(), PARKED_SPF),
            ]
            .into_iter()
            .chain(self.dmarc_of_parked(domain))
            .collect(),
            waits_for: self.waits_for(domain).cloned(),
            // DMARC finds the record of the domain above by itself (RFC 9989).
            // They would be for mail of whoever sends below and has no records yet.
            wildcards: if self.below.names(domain).is_empty() {
                vec![
                    null_mx(format!("*.{domain}")),
                    text(format!("*.{domain}"), PARKED_SPF),
                ]
            } else {
                Vec::new()
            },
            remove: former
                .map(|entry| entry.selector.record_name(domain))
                .collect(),
            asked: self.asked_of_parked(domain),
        }
    }

    /// Which day the pack names with this task.
    fn day(&self, task: Task, next: &NextStep) -> Option<Date> {
        let not_before_now = next.due.map(|due| due.max(self.now));
        match (task, &next.what) {
            (Task::Add | Task::Mend, _) => next.due.filter(|due| *due > self.now).map(date),
            (Task::Empty, _) => Some(day_after(not_before_now.unwrap_or(self.now))),
            (Task::Keep, What::KeepRecord | What::AwaitReports | What::MendClock) => {
                next.due.map(day_after)
            }
            (Task::Keep, _) => not_before_now.map(date),
            (Task::Restore | Task::Remove, _) => None,
        }
    }

    /// What is handed over about one key; none when nobody has to know of it any more.
    fn key(
        &self,
        situation: &Situation<'_>,
        domain: &DomainName,
        entry: &KeyEntry,
        delegation: Option<&DomainName>,
    ) -> Result<Option<KeyPack>, HandoverError> {
        let way = situation.delegated.wanted.way(domain);
        let next = situation.next_step(entry, domain);
        let (Some(publication), Some(mut task)) = (entry.publications.get(domain), next.task)
        else {
            return Ok(None);
        };
        let mut day = self.day(task, &next);
        // One record for all, or none at all.
        let is_delegated = next.is_delegated
            || next.what == What::Delegate && way.is_some_and(|way| way != Way::Cname);
        if is_delegated {
            (task, day) = (Task::Keep, None);
        }
        let delegation = delegation.filter(|_| way.is_none() || next.what == What::Delegate);
        let data = match (task, delegation) {
            _ if is_delegated => None,
            (Task::Add | Task::Mend | Task::Restore, Some(zone)) => {
                let id = &self.organisation.id;
                Some(Data::Alias(target(&entry.selector, id, zone)?))
            }
            // No CNAME can be beside a TXT (RFC 1034 §3.6.2): what is there already stays as it
            // is, and what is to go, goes whole.
            (Task::Empty, Some(_)) => {
                (task, day) = (Task::Remove, None);
                None
            }
            (_, Some(_)) | (Task::Remove, None) => None,
            (Task::Empty, None) => Some(Data::empty(entry)),
            (Task::Add | Task::Mend | Task::Restore | Task::Keep, None) => {
                Some(Data::of_key(self, entry)?)
            }
        };
        let active = self.keyring.active_key(domain, entry.algorithm);
        let is_wrong = matches!(task, Task::Mend | Task::Restore);
        let sighting = self.sightings.of_key(&entry.selector, domain);
        Ok(Some(KeyPack {
            sighting: sighting.filter(|_| is_wrong).cloned(),
            selector: entry.selector.clone(),
            algorithm: entry.algorithm,
            bits: self.public_keys.get(&entry.selector).map(PublicKey::bits),
            fingerprint: entry.fingerprint,
            publication: *publication,
            record: data.map(|data| ResourceRecord::new(entry.selector.record_name(domain), data)),
            name: entry.selector.record_name(domain),
            task,
            follows_another: active.is_some_and(|active| active.selector != entry.selector),
            urgent: !is_delegated && is_urgent(&next, task),
            is_delegated,
            level: next.level,
            date: day,
            next: next.what,
        }))
    }
}

/// Whether mail suffers until it is done, or others may have the key.
fn is_urgent(next: &NextStep, task: Task) -> bool {
    let is_first = next.level == Level::NotLive && matches!(task, Task::Add | Task::Mend);
    next.level.is_urgent() || is_first
}

/// The zone that CNAME records lead into, if any are asked for.
fn alias_zone(scope: &Scope, domains: &[DomainPack]) -> Option<DomainName> {
    let mut delegations = domains.iter().filter_map(|one| one.delegation.as_ref());
    let aliases = || delegations.find(|one| one.asks_for_aliases())?.zone.clone();
    scope.delegation.clone().or_else(aliases)
}

fn printable(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}
