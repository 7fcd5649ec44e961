//! How far a domain has come on the ladder of DMARC, for the page: what reports prove, joined with
//! the record that the keeper last saw.

use std::collections::BTreeSet;

use crate::{
    evidence::Store,
    keystore::{Climbing, Sightings},
    ladder::{
        Action, Standing, Subject, Thresholds, advise,
        record::Published,
        words::{Next, advice, hold},
    },
    names::DomainName,
    sending::{self, Ours, SendingError, date},
};

/// None if nobody knows which record it has, if another domain's speaks for it, or if it never sends
/// and one below it does: whether that one has a record of its own, `zegel dmarc status` asks.
pub(super) fn climbing(
    (store, ours): (&Store, &Ours<'_>),
    sightings: &Sightings,
    domain: &DomainName,
    (parked, reports): (bool, Option<&str>),
    today: i32,
) -> Result<Option<Climbing>, SendingError> {
    let Some(sighting) = sightings.domains.get(domain) else {
        return Ok(None);
    };
    let owner = sighting.dmarc_owner.as_deref();
    let Some(texts) = &sighting.dmarc else {
        return Ok(None);
    };
    if owner.is_some_and(|owner| owner != domain.as_str()) || (parked && ours.sends_below(domain)) {
        return Ok(None);
    }
    let mut facts = sending::climb(store, ours, domain, today)?.facts;
    let below = facts.names_below(domain.as_str());
    let published = Published::new(texts);
    let subject = Subject {
        parked,
        published: Some(&published),
        reports,
    };
    let mut advised = |nonexistent| {
        facts.nonexistent = nonexistent;
        advise(&facts, subject, &Thresholds::default())
    };
    let standing = if below.is_empty() {
        advised(Some(below))
    } else {
        // Whether they are in the DNS, `zegel dmarc status` asks. A record is told if no answer would
        // change it.
        let mut standing = advised(None);
        let mut answers = [BTreeSet::new(), below].into_iter();
        if answers.any(|missing| advised(Some(missing)).advice != standing.advice) {
            standing.advice.record = None;
        }
        standing
    };
    Ok(Some(told(
        &standing,
        domain,
        published.text.as_deref(),
        today,
    )))
}

fn told(standing: &Standing, domain: &DomainName, published: Option<&str>, today: i32) -> Climbing {
    let advised = &standing.advice;
    let may_come = advised.days > 0 && advised.action != Action::StepBack;
    let holds = standing.holds.iter().map(|one| {
        let (text, command) = hold(one, domain, domain);
        (one.code.to_string(), text, command)
    });
    Climbing {
        step: standing.step.map(|step| step.to_string()),
        published: published.map(str::to_owned),
        advised: Some(advised.step.to_string()),
        lost: standing.lost.iter().map(|(_, failed)| failed).sum(),
        since: standing.since.map(date),
        action: advised.action.to_string(),
        text: advice(&Next {
            standing,
            owner: domain,
            is_below: false,
            published,
        }),
        name: format!("_dmarc.{domain}"),
        record: advised.record.clone(),
        not_before: may_come.then(|| date(today + i32::from(advised.days))),
        holds: holds.collect(),
    }
}
