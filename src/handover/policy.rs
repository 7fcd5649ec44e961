//! SPF and DMARC of a domain: what is there, and the record that should be.

use super::{
    Handover,
    ladder::LadderPack,
    record::{Data, ResourceRecord},
};
use crate::{
    dns::{Code, FIRST_DMARC, PARKED_DMARC, RelayPart, first, joined, with_part},
    keys::Task,
    keystore::{DomainSighting, FindingSeen},
    names::DomainName,
    words::words,
};

words! {
    /// What a policy says.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum PolicyKind {
        /// Who may send for the domain (RFC 7208).
        Spf = "spf",
        /// What is done with mail that only pretends to come from it (RFC 9989).
        Dmarc = "dmarc",
    }
}

/// What is to be done about one policy of a domain.
#[derive(Clone, Debug)]
pub struct PolicyPack {
    /// Which.
    pub kind: PolicyKind,
    /// Add, mend or keep.
    pub task: Task,
    /// The whole name of the record, without trailing dot.
    pub name: String,
    /// The records that are there; none if nobody has looked yet.
    pub seen: Option<Vec<String>>,
    /// What is wrong with them.
    pub problem: Option<Code>,
    /// What the record must have so that our relays may send; none for DMARC, or if the operator
    /// has configured nothing.
    pub part: Option<String>,
    /// The record as it should be, as far as that can be told.
    pub record: Option<ResourceRecord>,
    /// Where the domain stands, if reports tell; none for SPF.
    pub ladder: Option<LadderPack>,
}

impl Handover<'_> {
    /// Both, as far as there is something to say.
    pub(super) fn policies(&self, domain: &DomainName) -> Vec<PolicyPack> {
        let sighting = self.sightings.domains.get(domain);
        let both = [self.spf(domain, sighting), self.dmarc(domain, sighting)];
        both.into_iter().flatten().collect()
    }

    /// Which policies of a domain that never sends are not as they should be, by what was seen.
    pub(super) fn asked_of_parked(&self, domain: &DomainName) -> Vec<(PolicyKind, Task)> {
        let Some(sighting) = self.sightings.domains.get(domain) else {
            return Vec::new();
        };
        let has_to_wait = self.waits_for(domain).is_some();
        let kinds = [
            (PolicyKind::Spf, "spf.", &sighting.spf),
            (PolicyKind::Dmarc, "dmarc.", &sighting.dmarc),
        ];
        let asked = kinds.into_iter().filter_map(|(kind, code, seen)| {
            let seen = seen.as_deref();
            let ladder = seen.filter(|_| kind == PolicyKind::Dmarc);
            let ladder = ladder.and_then(|seen| Some(self.ladder(domain, seen)?.task(seen)));
            let is_there = seen.is_some_and(|seen| !seen.is_empty());
            let task = if is_there { Task::Mend } else { Task::Add };
            match ladder {
                _ if kind == PolicyKind::Dmarc && has_to_wait => None,
                Some(Task::Keep) => None,
                Some(task) => Some((kind, task)),
                None => problem(sighting, code).map(|_| (kind, task)),
            }
        });
        asked.collect()
    }

    /// The DMARC record of a domain that never sends; none as long as it would refuse the mail of
    /// one below it.
    pub(super) fn dmarc_of_parked(&self, domain: &DomainName) -> Option<ResourceRecord> {
        if self.waits_for(domain).is_some() {
            return None;
        }
        let sighting = self.sightings.domains.get(domain);
        let seen = sighting.and_then(|sighting| sighting.dmarc.as_deref());
        let ladder = seen.and_then(|seen| self.ladder(domain, seen));
        let value = ladder.map_or_else(|| PARKED_DMARC.to_owned(), |ladder| ladder.record);
        let name = format!("_dmarc.{domain}");
        Some(ResourceRecord::new(name, Data::Text(value)))
    }

    /// Of a domain that never sends: one below it that does, and that has no record of its own as
    /// far as the keeper has seen.
    pub(super) fn waits_for(&self, domain: &DomainName) -> Option<&DomainName> {
        self.below.waits_for(domain, self.sightings, self.now)
    }

    fn spf(&self, domain: &DomainName, sighting: Option<&DomainSighting>) -> Option<PolicyPack> {
        let part = RelayPart::of(self.settings).written();
        let seen = sighting.and_then(|sighting| sighting.spf.clone());
        let problem = sighting.and_then(|sighting| problem(sighting, "spf."));
        let (task, value) = match (seen.as_deref(), problem) {
            (None, _) => {
                // Without either there is nothing to say.
                part.as_ref()?;
                (Task::Add, None)
            }
            (Some([]), _) => (Task::Add, part.as_deref().map(first)),
            (Some([one]), Some((Code::SpfRelay, missing))) => {
                let terms = self.settings.handover.spf.as_deref();
                let needed = terms.unwrap_or(&missing.expected);
                (Task::Mend, Some(with_part(one, needed)))
            }
            (Some([_]), Some((Code::SpfBroken, _))) => (Task::Mend, None),
            (Some([_]), _) => (Task::Keep, None),
            (Some(several), _) => {
                let all = joined(several);
                let with = |all: String| match &part {
                    Some(part) => with_part(&all, part),
                    None => all,
                };
                (Task::Mend, all.map(with))
            }
        };
        Some(PolicyPack {
            kind: PolicyKind::Spf,
            task,
            name: domain.to_string(),
            seen,
            problem: problem.map(|(code, _)| code),
            part,
            ladder: None,
            record: value.map(|value| ResourceRecord::new(domain.to_string(), Data::Text(value))),
        })
    }

    /// What the ladder advises, where reports tell. Without them a domain that sends begins with
    /// `p=none`: more waits for their evidence.
    fn dmarc(&self, domain: &DomainName, sighting: Option<&DomainSighting>) -> Option<PolicyPack> {
        let rua = self.settings.report_address();
        let mut seen = sighting.and_then(|sighting| sighting.dmarc.clone());
        let mut owner = sighting.and_then(|sighting| sighting.dmarc_owner.as_deref());
        let mut parked = self.organisation.parked.iter();
        let is_under_parked = sighting.is_some_and(|sighting| sighting.is_under_parked);
        if is_under_parked || parked.any(|above| owner == Some(above.as_str())) {
            // That record would refuse its mail.
            (seen, owner) = (Some(Vec::new()), None);
        }
        let name = format!("_dmarc.{domain}");
        let is_seen = seen.is_some();
        let problem = sighting.and_then(|sighting| problem(sighting, "dmarc."));
        let task = match (seen.as_deref(), problem) {
            (None, _) => {
                rua?;
                Task::Add
            }
            (Some([]), _) => Task::Add,
            (Some([_]), Some((Code::DmarcMalformed, _))) => Task::Mend,
            (Some([_]), _) => Task::Keep,
            (Some(_), _) => Task::Mend,
        };
        let value = match rua {
            Some(rua) => format!("{FIRST_DMARC}; rua=mailto:{rua}"),
            None => FIRST_DMARC.to_owned(),
        };
        let record = ResourceRecord::new(name.clone(), Data::Text(value));
        let mut pack = PolicyPack {
            kind: PolicyKind::Dmarc,
            // One that speaks for the domain may be that of a domain above it.
            name: match owner {
                Some(owner) if task != Task::Add => format!("_dmarc.{owner}"),
                _ => name,
            },
            task,
            problem: problem.map(|(code, _)| code),
            part: None,
            // Before anyone has looked, a stricter record may be there.
            record: (task == Task::Add && is_seen).then_some(record),
            ladder: self.ladder(domain, seen.as_deref().unwrap_or_default()),
            seen,
        };
        if let (Some(ladder), Some(seen)) = (&pack.ladder, &pack.seen) {
            let value = Data::Text(ladder.record.clone());
            pack.task = ladder.task(seen);
            pack.name.clone_from(&ladder.name);
            pack.record = Some(ResourceRecord::new(ladder.name.clone(), value));
        }
        Some(pack)
    }
}

/// What is wrong, with what was seen: the keeper keeps only what asks for a change.
fn problem<'a>(sighting: &'a DomainSighting, kind: &str) -> Option<(Code, &'a FindingSeen)> {
    let findings = sighting.findings.iter();
    let mut known = findings.filter_map(|one| Some((Code::named(&one.code)?, one)));
    known.find(|(code, _)| code.as_str().starts_with(kind))
}
