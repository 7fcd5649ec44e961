//! SPF and DMARC of a domain that sends: what is there, and the record that should be.

use super::{
    Handover,
    record::{Data, ResourceRecord},
};
use crate::{
    dns::{Code, FIRST_DMARC, RelayPart, first, joined, with_part},
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
        let kinds = [
            (PolicyKind::Spf, "spf.", &sighting.spf),
            (PolicyKind::Dmarc, "dmarc.", &sighting.dmarc),
        ];
        let asked = kinds.into_iter().filter_map(|(kind, code, seen)| {
            problem(sighting, code)?;
            let is_there = seen.as_ref().is_some_and(|seen| !seen.is_empty());
            Some((kind, if is_there { Task::Mend } else { Task::Add }))
        });
        asked.collect()
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
            record: value.map(|value| ResourceRecord::new(domain.to_string(), Data::Text(value))),
        })
    }

    /// A domain that sends begins with `p=none`: more waits for the evidence of reports.
    fn dmarc(&self, domain: &DomainName, sighting: Option<&DomainSighting>) -> Option<PolicyPack> {
        let rua = self.settings.report_address();
        let seen = sighting.and_then(|sighting| sighting.dmarc.clone());
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
        Some(PolicyPack {
            kind: PolicyKind::Dmarc,
            // One that speaks for the domain may be that of a domain above it.
            name: match sighting.and_then(|sighting| sighting.dmarc_owner.as_ref()) {
                Some(owner) if task != Task::Add => format!("_dmarc.{owner}"),
                _ => name,
            },
            task,
            seen,
            problem: problem.map(|(code, _)| code),
            part: None,
            // Before anyone has looked, a stricter record may be there.
            record: (task == Task::Add && is_seen).then_some(record),
        })
    }
}

/// What is wrong, with what was seen: the keeper keeps only what asks for a change.
fn problem<'a>(sighting: &'a DomainSighting, kind: &str) -> Option<(Code, &'a FindingSeen)> {
    let findings = sighting.findings.iter();
    let mut known = findings.filter_map(|one| Some((Code::named(&one.code)?, one)));
    known.find(|(code, _)| code.as_str().starts_with(kind))
}
