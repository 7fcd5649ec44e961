//! What the keeper saw: SPF and DMARC, and what stands where the record of a key should be.

use super::{
    super::{
        catalogue::Catalogue,
        ladder::LadderPack,
        pack::{DomainPack, KeyPack},
        policy::{PolicyKind, PolicyPack},
    },
    Writer,
};
use crate::{
    dns::{Code, advise},
    keys::Task,
    ladder::{Action, Rung},
    paper::{Block, Inline, Inlines, code, fill, words},
    words::printable,
};

impl Writer<'_> {
    /// Why this record, and what it means.
    fn ladder(&mut self, ladder: &LadderPack, task: Task) {
        let catalogue = self.catalogue;
        let lost = ladder.lost.to_string();
        let why = match (ladder.action, task) {
            (Action::Publish | Action::StepBack, Task::Keep) => None,
            (Action::StepBack, _) => Some(catalogue.dmarc_lost),
            (Action::Publish, _) if ladder.step == Some(ladder.advised) => {
                Some(catalogue.dmarc_lacks)
            }
            // The first record waits for no report.
            (Action::Publish, _) if ladder.step.is_none() => Some(catalogue.dmarc_what),
            (Action::Publish, _) => Some(catalogue.dmarc_proved),
            (Action::Ask | Action::Fix, _) => Some(catalogue.dmarc_held),
            (Action::Wait, _) => Some(catalogue.dmarc_waits),
            (Action::Done, _) => Some(catalogue.dmarc_done),
        };
        if let Some(why) = why {
            self.paragraph(why, &[("lost", &lost)]);
        }
        if task == Task::Keep {
            if !ladder.is_there {
                self.paragraph(catalogue.dmarc_says_more, &[]);
            }
            return;
        }
        let means = match ladder.advised {
            // That is in what was said already.
            Rung::None if ladder.step.is_none() => return,
            Rung::None => catalogue.rung_none,
            Rung::QuarantineTest => catalogue.rung_quarantine_test,
            Rung::Quarantine => catalogue.rung_quarantine,
            Rung::RejectTest => catalogue.rung_reject_test,
            Rung::Reject => catalogue.rung_reject,
        };
        self.paragraph(means, &[]);
    }

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
        let line = policy_line(policy, catalogue);
        let is_urgent = policy.ladder.as_ref();
        let is_urgent = is_urgent.is_some_and(|one| one.action == Action::StepBack);
        self.blocks.push(if is_urgent && policy.task != Task::Keep {
            Block::Urgent(line)
        } else {
            Block::Paragraph(line)
        });
        match &policy.ladder {
            Some(ladder) => self.ladder(ladder, policy.task),
            None if policy.task != Task::Keep => self.paragraph(what, &[]),
            None => {}
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
        if let Some(ladder) = &policy.ladder {
            facts.push((words(catalogue.dmarc_rung), rung_of(ladder)));
        }
        // What is there already is not to be entered once more.
        let is_there = policy.ladder.as_ref().is_some_and(|one| one.is_there);
        if let Some(record) = policy.record.as_ref().filter(|_| !is_there) {
            facts.extend(self.place(domain, &policy.name));
            self.facts_of(facts, record);
        } else {
            facts.push(self.check("TXT", &policy.name));
            self.blocks.push(Block::Facts(facts));
        }
    }
}

/// Which rung of how many.
fn rung_of(ladder: &LadderPack) -> Inlines {
    let place = Rung::ALL.iter().position(|rung| *rung == ladder.advised);
    let place = place.unwrap_or_default() + 1;
    let mut inlines = code(ladder.advised.as_str());
    inlines.push(Inline::Text(format!(" ({place}/{})", Rung::ALL.len())));
    inlines
}

/// What is to be done about a DMARC record that reports tell of.
fn ladder_line(ladder: &LadderPack, task: Task, catalogue: &Catalogue) -> &'static str {
    match (ladder.action, task) {
        (_, Task::Add) => catalogue.dmarc_add,
        (_, Task::Keep) => catalogue.dmarc_keep,
        (Action::StepBack, _) => catalogue.dmarc_back,
        _ if ladder.step == Some(ladder.advised) => catalogue.dmarc_complete,
        _ if ladder.step.is_none() => catalogue.dmarc_mend,
        _ => catalogue.dmarc_up,
    }
}

/// What is to be done about a policy, in a line.
pub(in crate::handover) fn policy_line(policy: &PolicyPack, catalogue: &Catalogue) -> Inlines {
    if let Some(ladder) = policy.ladder.as_ref().filter(|_| policy.record.is_some()) {
        let sentence = ladder_line(ladder, policy.task, catalogue);
        let values = [
            ("name", policy.name.as_str()),
            ("rung", ladder.advised.as_str()),
        ];
        return fill(sentence, &values);
    }
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
