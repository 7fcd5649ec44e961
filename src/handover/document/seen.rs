//! What the keeper saw: SPF and DMARC, and what stands where the record of a key should be.

use super::{
    super::{
        catalogue::Catalogue,
        pack::{DomainPack, KeyPack},
        policy::{PolicyKind, PolicyPack},
    },
    Writer,
};
use crate::{
    dns::{Code, advise},
    keys::Task,
    paper::{Block, Inlines, code, fill, words},
    words::printable,
};

impl Writer<'_> {
    /// What stands there instead of the record, and what is wrong with it.
    pub(super) fn seen_of(&self, key: &KeyPack) -> Vec<(Inlines, Inlines)> {
        let catalogue = self.catalogue;
        let mut facts = Vec::new();
        let Some(sighting) = &key.sighting else {
            return facts;
        };
        for one in &sighting.findings {
            if !one.seen.is_empty() {
                facts.push((words(catalogue.there_now), code(&one.seen)));
            }
            let advice = advise(sighting, one, self.language);
            facts.extend(advice.map(|advice| (words(catalogue.what_is_wrong), words(advice))));
        }
        facts
    }

    /// SPF or DMARC: what is there, and what should be.
    pub(super) fn policy(&mut self, domain: &DomainPack, policy: &PolicyPack) {
        let catalogue = self.catalogue;
        let name = [("domain", domain.domain.as_str())];
        let (heading, what) = match policy.kind {
            PolicyKind::Spf => (catalogue.spf, catalogue.spf_what),
            PolicyKind::Dmarc => (catalogue.dmarc, catalogue.dmarc_what),
        };
        self.blocks.push(Block::Subsection(fill(heading, &name)));
        self.blocks
            .push(Block::Paragraph(policy_line(policy, catalogue)));
        if policy.task != Task::Keep {
            self.paragraph(what, &[]);
        }
        if policy.kind == PolicyKind::Spf {
            if policy.part.is_none() {
                self.paragraph(catalogue.spf_unconfigured, &[]);
            } else if policy.task != Task::Keep {
                self.paragraph(catalogue.spf_others, &[]);
            }
        }
        let mut facts: Vec<_> = match &policy.seen {
            None => vec![(
                words(catalogue.policy_now),
                words(catalogue.policy_not_looked),
            )],
            Some(seen) if seen.is_empty() => {
                vec![(words(catalogue.policy_now), words(catalogue.policy_none))]
            }
            Some(seen) => {
                let now = |text: &String| (words(catalogue.policy_now), code(printable(text)));
                seen.iter().map(now).collect()
            }
        };
        if let Some(part) = &policy.part {
            facts.push((words(catalogue.spf_part), code(part)));
        }
        if let Some(record) = &policy.record {
            facts.extend(self.place(domain, &policy.name));
            self.facts_of(facts, record);
        } else {
            facts.push(self.check("TXT", &policy.name));
            self.blocks.push(Block::Facts(facts));
        }
    }
}

/// What is to be done about a policy, in a line.
pub(in crate::handover) fn policy_line(policy: &PolicyPack, catalogue: &Catalogue) -> Inlines {
    let has_several = policy.seen.as_ref().is_some_and(|seen| seen.len() > 1);
    let sentence = match (policy.kind, policy.task) {
        (PolicyKind::Spf, Task::Add) if policy.seen.is_none() => catalogue.spf_see,
        (PolicyKind::Spf, Task::Add) => catalogue.spf_add,
        (PolicyKind::Spf, Task::Mend) if has_several => catalogue.spf_join,
        (PolicyKind::Spf, Task::Mend) if policy.problem == Some(Code::SpfBroken) => {
            catalogue.spf_broken
        }
        (PolicyKind::Spf, Task::Mend) => catalogue.spf_mend,
        (PolicyKind::Spf, _) => catalogue.spf_keep,
        (PolicyKind::Dmarc, Task::Add) if policy.seen.is_none() => catalogue.dmarc_see,
        (PolicyKind::Dmarc, Task::Add) => catalogue.dmarc_add,
        (PolicyKind::Dmarc, Task::Mend) if has_several => catalogue.dmarc_join,
        (PolicyKind::Dmarc, Task::Mend) => catalogue.dmarc_mend,
        (PolicyKind::Dmarc, _) => catalogue.dmarc_keep,
    };
    fill(sentence, &[("name", policy.name.as_str())])
}
