//! How far a domain has come on the ladder of DMARC: what reports prove, joined with the record that
//! the keeper last saw. And its numbers, for the metrics.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    evidence::streams::Class,
    keystore::{Climbing, DomainSighting, Held, Sightings},
    ladder::{
        Action, Rung, Standing, Subject, advise,
        facts::Facts,
        holds::{Hold, HoldCode},
        record::Published,
        words::{Next, advice, hold},
    },
    names::{DomainName, OrganisationId},
    observe::metrics::keeper::{ClassFigures, DomainFigures},
    sending::{Ours, date},
};

/// The metrics count the mail of so many whole days: today is not over.
const COUNTED_DAYS: i32 = 7;

/// None if nobody knows which record it has, or if another domain's speaks for it.
pub(super) fn climbing(
    facts: &mut Facts,
    ours: &Ours<'_>,
    sightings: &Sightings,
    domain: &DomainName,
    (parked, reports): (bool, Option<&str>),
    now: Timestamp,
) -> Option<Climbing> {
    let sighting = sightings.domains.get(domain)?;
    let owner = sighting.dmarc_owner.as_deref();
    let texts = sighting.dmarc.as_ref()?;
    if owner.is_some_and(|owner| owner != domain.as_str()) {
        return None;
    }
    let below = facts.names_below(domain.as_str());
    let published = Published::new(texts);
    let subject = Subject {
        parked,
        published: Some(&published),
        reports,
    };
    let mut advised = |nonexistent| {
        facts.nonexistent = nonexistent;
        advise(facts, subject, ours.thresholds())
    };
    let missing = missing(&below, sighting);
    let standing = if missing.is_some() {
        advised(missing)
    } else {
        // A record without a new `np` is right whatever the DNS says of them.
        let standing = advised(None);
        // Mail that may be lost is said to be: one look too many is better than one too few.
        let answers = [BTreeSet::new(), below].map(|missing| advised(Some(missing)));
        let is_back = |one: &Standing| one.advice.action == Action::StepBack;
        answers.into_iter().find(is_back).unwrap_or(standing)
    };
    let found = Found {
        standing: &standing,
        domain,
        published: published.text.as_deref(),
        before: (sightings.climbed.get(domain)).and_then(|one| one.climbing.as_ref()),
        now,
    };
    Some(found.told(facts.today))
}

/// Which of the names below are not in the DNS; none if that is not known of each.
fn missing(below: &BTreeSet<String>, sighting: &DomainSighting) -> Option<BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    for name in below {
        if !*sighting.below.get(name)? {
            missing.insert(name.clone());
        }
    }
    Some(missing)
}

/// What was found of a domain.
struct Found<'a> {
    standing: &'a Standing,
    domain: &'a DomainName,
    published: Option<&'a str>,
    /// The time before: what is as it was then is so since then.
    before: Option<&'a Climbing>,
    now: Timestamp,
}

impl Found<'_> {
    fn told(&self, today: i32) -> Climbing {
        let Self {
            standing, domain, ..
        } = self;
        let advised = &standing.advice;
        let may_come = advised.days > 0 && advised.action != Action::StepBack;
        let (action, to) = (advised.action.to_string(), advised.step.to_string());
        let as_before = (self.before).filter(|before| before.action == action && before.to == to);
        Climbing {
            step: standing.step.map(|step| step.to_string()),
            published: self.published.map(str::to_owned),
            since: standing.since.map(date),
            acting_since: as_before.map_or(self.now, |before| before.acting_since),
            action,
            to,
            lost: standing.lost.iter().map(|(_, failed)| failed).sum(),
            text: advice(&Next {
                standing,
                owner: domain,
                is_below: false,
                published: self.published,
            }),
            name: format!("_dmarc.{domain}"),
            record: advised.record.clone(),
            not_before: may_come.then(|| date(today + i32::from(advised.days))),
            holds: standing.holds.iter().map(|one| self.held(one)).collect(),
        }
    }

    fn held(&self, held: &Hold) -> Held {
        let (text, command) = hold(held, self.domain, self.domain);
        let next = self.standing.step.and_then(Rung::next);
        let next = next.or(self.standing.step);
        Held {
            code: held.code.to_string(),
            text,
            command,
            is_next: next.is_none_or(|next| held.code.is_against(next)),
            stream: held.stream.clone(),
            name: held.name.clone(),
            messages: held.messages,
            days: held.days,
            since: self.held_since(held),
        }
    }

    fn held_since(&self, held: &Hold) -> Timestamp {
        // Each rung has days of its own.
        let is_of_rung = held.code == HoldCode::NotEnoughDays;
        let step = self.standing.step.map(Rung::as_str);
        let before = self.before;
        let before = before.filter(|before| !is_of_rung || before.step.as_deref() == step);
        let mut holds = before.into_iter().flat_map(|before| &before.holds);
        let same = holds.find(|one| one.code == held.code.as_str() && one.stream == held.stream);
        same.map_or(self.now, |one| one.since)
    }
}

/// What the metrics say of a domain.
pub(super) fn figures(
    facts: &Facts,
    climbing: Option<&Climbing>,
    (organisation, domain): (&OrganisationId, &DomainName),
) -> DomainFigures {
    let mut figures = DomainFigures {
        organisation: organisation.to_string(),
        domain: domain.to_string(),
        ..DomainFigures::default()
    };
    for stream in &facts.streams {
        let days = stream.days.range(facts.today - COUNTED_DAYS..facts.today);
        let mut of_stream = ClassFigures::default();
        for (_, day) in days {
            of_stream.aligned += day.aligned;
            of_stream.failed += day.messages.saturating_sub(day.aligned);
            of_stream.rejected += day.rejected;
        }
        if of_stream == ClassFigures::default() {
            continue;
        }
        if stream.class == Class::Unknown {
            figures.unknown_streams += 1;
        }
        let sums = figures.classes.entry(stream.class.as_str()).or_default();
        sums.aligned = sums.aligned.saturating_add(of_stream.aligned);
        sums.failed = sums.failed.saturating_add(of_stream.failed);
        sums.rejected = sums.rejected.saturating_add(of_stream.rejected);
    }
    if let Some(climbing) = climbing {
        figures.rung.clone_from(&climbing.step);
        figures.action = Some(climbing.action.clone());
        let mut holds: BTreeMap<String, u64> = BTreeMap::new();
        for held in &climbing.holds {
            *holds.entry(held.code.clone()).or_default() += 1;
        }
        figures.holds = holds;
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::streams::{OfDay, Stream},
        ladder::Advice,
    };

    fn stream(id: &str, class: Class, days: &[(i32, u64, u64)]) -> Stream {
        let mut stream = Stream::made(id, class);
        for (day, messages, aligned) in days {
            let of_day = OfDay {
                messages: *messages,
                aligned: *aligned,
                rejected: messages - aligned,
                ..OfDay::default()
            };
            stream.days.insert(*day, of_day);
        }
        stream
    }

    fn standing(step: Rung, action: Action, codes: &[HoldCode]) -> Standing {
        let held = |code: &HoldCode| Hold {
            code: *code,
            blocks: Rung::Quarantine,
            stream: Some("via:a.nl".to_owned()),
            name: None,
            messages: 20,
            days: 7,
        };
        Standing {
            step: Some(step),
            since: None,
            holds: codes.iter().map(held).collect(),
            advice: Advice {
                action,
                step,
                record: None,
                days: 0,
            },
            findings: Vec::new(),
            lost: Vec::new(),
        }
    }

    #[test]
    fn what_is_as_it_was_is_so_since_then() {
        let domain: DomainName = "een.nl".parse().unwrap();
        let told = |standing: &Standing, before: Option<&Climbing>, hour: i64| {
            let found = Found {
                standing,
                domain: &domain,
                published: None,
                before,
                now: Timestamp::from_second(hour * 3600).unwrap(),
            };
            found.told(100)
        };
        let since = |climbing: &Climbing| -> Vec<i64> {
            let holds = climbing.holds.iter().map(|one| one.since);
            let all = [climbing.acting_since].into_iter().chain(holds);
            all.map(|since| since.as_second() / 3600).collect()
        };
        let (days, asks, fails) = (
            HoldCode::NotEnoughDays,
            HoldCode::UnknownStream,
            HoldCode::FailingStream,
        );
        let first = told(&standing(Rung::None, Action::Ask, &[days, asks]), None, 1);
        assert_eq!(since(&first), [1, 1, 1]);
        let same = standing(Rung::None, Action::Ask, &[days, asks, fails]);
        assert_eq!(since(&told(&same, Some(&first), 2)), [1, 1, 1, 2]);
        // Another rung has days of its own, and what is to be done there is something else.
        let up = standing(Rung::QuarantineTest, Action::Ask, &[days, asks]);
        let up = told(&up, Some(&first), 3);
        assert_eq!(since(&up), [3, 3, 1]);
        // What was over in between begins anew.
        let over = told(
            &standing(Rung::QuarantineTest, Action::Wait, &[days]),
            Some(&up),
            4,
        );
        let again = standing(Rung::QuarantineTest, Action::Ask, &[days, asks]);
        assert_eq!(since(&told(&again, Some(&over), 5)), [5, 3, 5]);
        // What stands against a later rung only is told apart.
        let list = standing(Rung::None, Action::Publish, &[HoldCode::ListStream]);
        assert!(!told(&list, None, 1).holds[0].is_next);
        let list = standing(Rung::Reject, Action::Ask, &[HoldCode::ListStream]);
        assert!(told(&list, None, 1).holds[0].is_next);
    }

    #[test]
    fn the_metrics_count_the_last_seven_whole_days() {
        let days = [(92, 1000, 0), (93, 10, 9), (99, 5, 5), (100, 1000, 0)];
        let old = [(50, 1000, 0), (100, 1000, 0)];
        let facts = Facts {
            today: 100,
            streams: vec![
                stream("ours", Class::Ours, &days),
                stream("via:a.nl", Class::Known, &[(94, 7, 7)]),
                stream("via:b.nl", Class::Known, &[(95, 3, 1)]),
                stream("via:c.nl", Class::Unknown, &[(95, 1, 0)]),
                stream("via:d.nl", Class::Unknown, &old),
            ],
            ..Facts::default()
        };
        let names = ("een".parse().unwrap(), "een.nl".parse().unwrap());
        let mut figures = figures(&facts, None, (&names.0, &names.1));
        let class = |aligned, failed, rejected| ClassFigures {
            aligned,
            failed,
            rejected,
        };
        let expected = [
            ("known", class(8, 2, 2)),
            ("ours", class(14, 1, 1)),
            ("unknown", class(0, 1, 1)),
        ];
        assert_eq!(std::mem::take(&mut figures.classes), expected.into());
        let rest = DomainFigures {
            organisation: "een".to_owned(),
            domain: "een.nl".to_owned(),
            unknown_streams: 1,
            ..DomainFigures::default()
        };
        assert_eq!(figures, rest);
    }
}
