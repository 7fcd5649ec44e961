//! Lines for zone files. For the organisation's: the records as they must be, and in comments
//! what is to be done; names are absolute, and a line belongs to the zone that is named above
//! it. For the operator's: the keys of all organisations.

use super::{
    Handover, HandoverError,
    catalogue::Catalogue,
    delegation::target,
    document::{delegation_line, policy_line, task_line},
    pack::{DomainPack, DomainTasks, KeyPack, Pack},
    policy::PolicyPack,
    record::{Data, ResourceRecord},
};
use crate::{
    keys::{KeyEntry, Publication, State, Task, Withdrawal},
    names::DomainName,
    paper::{Inline, fill, plain},
};

pub(super) fn render(pack: &Pack, catalogue: &Catalogue) -> String {
    let mut zone = Zone(String::new());
    zone.comment(&fill(catalogue.title, &[("name", &pack.name)]));
    zone.comment(&[Inline::Text(catalogue.date(pack.date))]);
    for domain in &pack.domains {
        zone.domain(domain, pack, catalogue);
    }
    zone.0
}

struct Zone(String);

impl Zone {
    fn comment(&mut self, inlines: &[Inline]) {
        self.0.push_str(&["; ", &plain(inlines), "\n"].concat());
    }

    fn record(&mut self, record: &ResourceRecord) {
        self.0.push_str(&record.to_string());
        self.0.push('\n');
    }

    /// A line is added only where nothing is there that it would be beside.
    fn policy(&mut self, policy: &PolicyPack, catalogue: &Catalogue) {
        if policy.task == Task::Keep {
            return;
        }
        self.comment(&policy_line(policy, catalogue));
        let is_empty = policy.seen.as_ref().is_some_and(Vec::is_empty);
        if let Some(record) = &policy.record {
            if is_empty {
                self.record(record);
            } else {
                let lines = record.to_string();
                let lines = lines.lines().map(|line| format!("; {line}\n"));
                self.0.extend(lines);
            }
        }
    }

    fn domain(&mut self, domain: &DomainPack, pack: &Pack, catalogue: &Catalogue) {
        let name = domain.domain.as_str();
        self.0.push('\n');
        match &domain.tasks {
            DomainTasks::Sending {
                keys,
                coming,
                policies,
            } => {
                self.comment(&fill(catalogue.domain, &[("domain", name)]));
                if keys.is_empty() && coming.is_empty() && domain.delegation.is_none() {
                    self.comment(&fill(catalogue.no_keys, &[]));
                }
                self.handed_over(domain, catalogue);
                for key in keys.iter().filter(|key| !key.is_delegated) {
                    self.key(key, pack, catalogue);
                }
                if !coming.is_empty() {
                    self.comment(&fill(catalogue.coming, &[("domain", name)]));
                }
                for record in coming {
                    self.record(record);
                }
                for policy in policies {
                    self.policy(policy, catalogue);
                }
            }
            DomainTasks::Parked {
                records,
                waits_for,
                wildcards,
                remove,
                ..
            } => {
                self.comment(&fill(catalogue.parked_domain, &[("domain", name)]));
                if let Some(below) = waits_for {
                    let below = [("below", below.as_str())];
                    self.comment(&fill(catalogue.parked_waits, &below));
                }
                for record in records {
                    self.record(record);
                }
                self.comment(&fill(catalogue.parked_remove, &[("domain", name)]));
                for name in remove {
                    self.comment(&[Inline::Text(format!("  {name}."))]);
                }
                self.comment(&fill(catalogue.parked_wildcards, &[]));
                for record in wildcards {
                    self.0.push_str("; ");
                    self.record(record);
                }
            }
        }
    }

    fn handed_over(&mut self, domain: &DomainPack, catalogue: &Catalogue) {
        let Some(delegation) = &domain.delegation else {
            return;
        };
        if !delegation.is_asked {
            return self.comment(&fill(catalogue.delegation_done, &[]));
        }
        let name = domain.domain.as_str();
        if !delegation.records.is_empty() {
            self.comment(&delegation_line(name, delegation, catalogue));
            self.comment(&fill(catalogue.delegation_last, &[("domain", name)]));
        }
        for record in &delegation.records {
            self.record(record);
        }
    }

    fn key(&mut self, key: &KeyPack, pack: &Pack, catalogue: &Catalogue) {
        self.comment(&task_line(key, catalogue));
        if pack.delegation.is_some() && key.task == Task::Keep {
            self.comment(&fill(catalogue.delegated_keep, &[]));
        }
        if let Some(record) = &key.record {
            self.record(record);
        }
    }
}

/// The fragment of the operator's own zone that holds the keys of all organisations, to be
/// taken in with `$INCLUDE`: no SOA, no `$ORIGIN`, the serial is for the server.
///
/// The same keys give the same text, whatever the time: who finds it unchanged need not
/// reload.
///
/// # Errors
/// When a name would be too long, or the public half of a key is not known: rather no zone
/// than one that lacks the key of someone.
pub fn operator_zone(
    zone: &DomainName,
    handovers: &[Handover<'_>],
) -> Result<String, HandoverError> {
    let mut text = format!(
        "; DKIM keys for {zone}, written by `zegel dns zone`. Do not edit: take it in with\n\
         ; $INCLUDE, and raise the serial of the zone when it changes.\n"
    );
    for handover in handovers {
        let organisation = &handover.organisation.id;
        for entry in handover.keyring.keys() {
            let Some(data) = current(handover, entry)? else {
                continue;
            };
            let name = target(&entry.selector, organisation, zone)?;
            text.push_str(&ResourceRecord::new(name, data).to_string());
            text.push('\n');
        }
    }
    Ok(text)
}

/// The fragment of the zone `_domainkey.DOMAIN`, which the domain has delegated to the operator's
/// name servers, in the form of [`operator_zone`].
///
/// # Errors
/// When the public half of a key is not known.
pub fn domain_zone(domain: &DomainName, handover: &Handover<'_>) -> Result<String, HandoverError> {
    let mut text = format!(
        "; DKIM keys for _domainkey.{domain}, written by `zegel dns zone --domain {domain}`. Do\n\
         ; not edit: take it in with $INCLUDE, and raise the serial of the zone when it changes.\n"
    );
    for entry in handover.keyring.keys() {
        if entry.publications.contains_key(domain)
            && let Some(data) = current(handover, entry)?
        {
            let name = entry.selector.record_name(domain);
            text.push_str(&ResourceRecord::new(name, data).to_string());
            text.push('\n');
        }
    }
    Ok(text)
}

/// What the one record for all domains says: the key, as long as it is needed anywhere; that
/// it is revoked, once it is so anywhere, for then the key itself is in doubt; nothing, once
/// everybody has seen that it is empty.
fn current(handover: &Handover<'_>, entry: &KeyEntry) -> Result<Option<Data>, HandoverError> {
    let known = || entry.publications.values();
    let is_over = |one: &Publication| {
        one.state == State::Withdrawn
            && matches!(one.withdrawal, Some(Withdrawal::Emptied | Withdrawal::Gone))
    };
    if known().any(|one| one.state == State::Revoked) {
        Ok(Some(Data::empty(entry)))
    } else if known().any(Publication::holds_key) {
        Data::of_key(handover, entry).map(Some)
    } else {
        Ok((!known().all(is_over)).then(|| Data::empty(entry)))
    }
}
