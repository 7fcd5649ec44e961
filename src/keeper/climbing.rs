//! How far a domain has come on the ladder of DMARC, for the page: what reports prove, joined with
//! the record that the keeper last saw.

use crate::{
    evidence::Store,
    keystore::{Climbing, Sightings},
    ladder::{
        Action, Standing, Subject, advise,
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
    // Whether names below are in the DNS, `zegel dmarc status` asks; without such mail it does not
    // matter.
    let is_settled = facts.names_below(domain.as_str()).is_empty();
    facts.nonexistent = is_settled.then(Default::default);
    let published = Published::new(texts);
    let subject = Subject {
        parked,
        published: Some(&published),
        reports,
    };
    let mut standing = advise(&facts, subject, &ours.thresholds);
    if !is_settled && !parked {
        standing.advice.record = None;
    }
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
