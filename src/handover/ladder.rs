//! The DMARC record that the ladder advises, as the keeper found it out of reports.

use super::{Handover, schedule::date};
use crate::{
    keys::Task,
    keystore::Climbing,
    ladder::{
        ADVICE_DAYS, Action, Rung,
        record::{Published, same},
    },
    names::DomainName,
};

/// Where a domain stands on the ladder of DMARC, and what comes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LadderPack {
    /// The rung that is published; none without a record that receivers use.
    pub step: Option<Rung>,
    /// What someone has to do.
    pub action: Action,
    /// The rung of the record.
    pub advised: Rung,
    /// Why, in English, as `zegel dmarc status` says it.
    pub text: String,
    /// Of a step back: how many legitimate messages were lost.
    pub lost: u64,
    /// Whether the record that is there says the same already.
    pub is_there: bool,
    /// The name of the record.
    pub(super) name: String,
    /// What should be in the DNS now.
    pub(super) record: String,
}

impl LadderPack {
    /// What that means for who looks after the DNS.
    pub(super) fn task(&self, seen: &[String]) -> Task {
        match self.action {
            Action::Publish | Action::StepBack if self.is_there => Task::Keep,
            Action::Publish | Action::StepBack if seen.is_empty() => Task::Add,
            Action::Publish | Action::StepBack => Task::Mend,
            // With these the DNS has to wait for someone else.
            Action::Ask | Action::Fix | Action::Wait | Action::Done => Task::Keep,
        }
    }
}

impl Handover<'_> {
    /// What reports prove of a domain, if they tell of these days, and of the records that were
    /// last seen there.
    pub(super) fn ladder(&self, domain: &DomainName, seen: &[String]) -> Option<LadderPack> {
        let known = self.senders.domains.get(domain)?;
        let age = date(self.now).since(known.to).ok()?.get_days();
        let climbing = known.climbing.as_ref().filter(|_| age <= ADVICE_DAYS)?;
        let published = Published::new(seen).text;
        let is_there = is_there(climbing, published.as_deref());
        // Of another record nobody has said what comes next.
        (is_there || published == climbing.published).then_some(())?;
        Some(LadderPack {
            step: climbing.step.as_deref().and_then(Rung::named),
            action: Action::named(&climbing.action)?,
            advised: Rung::named(&climbing.to)?,
            text: climbing.text.clone(),
            lost: climbing.lost,
            is_there,
            name: climbing.name.clone(),
            record: climbing.record.clone()?,
        })
    }
}

fn is_there(climbing: &Climbing, published: Option<&str>) -> bool {
    let both = published.zip(climbing.record.as_deref());
    both.is_some_and(|(published, record)| same(published, record))
}
