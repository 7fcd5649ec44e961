//! What to do next about the record of a domain.

use super::{
    Rung, Thresholds,
    facts::{Facts, is_legitimate},
    holds::{Asks, Hold, HoldCode, holds, lost},
    record::{Extras, Published, same, wish},
};
use crate::{
    dmarc::Wish,
    evidence::streams::{Class, Stream},
    words::words,
};

/// Days without legitimate mail from names that are not in the DNS, before `np=reject`.
const NONEXISTENT_DAYS: usize = 28;
/// A domain that never sends.
const PARKED: &str = "v=DMARC1; p=reject;";

words! {
    /// What someone has to do.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Action {
        /// Publish a weaker record at once: mail is lost.
        StepBack = "step_back",
        /// Publish the record.
        Publish = "publish",
        /// Say what a stream is.
        Ask = "ask",
        /// Have a stream put right.
        Fix = "fix",
        /// Nothing but time.
        Wait = "wait",
        /// Nothing.
        Done = "done",
    }
}

impl Action {
    /// Whether a human has something to do.
    pub fn is_due(self) -> bool {
        !matches!(self, Self::Wait | Self::Done)
    }
}

words! {
    /// What reports show beside what the ladder asks.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Finding {
        /// A signature passes with a key that is neither ours nor of a stream that someone named.
        UnknownSelector = "dkim.unknown_selector",
        /// Far more mail passes with a selector of ours than was signed with it. It is about the
        /// selector, and no stream.
        Replay = "dkim.replay",
        /// Mail passes in the name of a domain that never sends.
        ParkedPasses = "dmarc.parked_passes",
        /// Strict alignment would lose mail of this stream.
        NotStrict = "dmarc.not_strict",
        /// The record treats names below more gently than the domain.
        WeakSubdomains = "dmarc.weak_subdomains",
    }
}

/// What the advice is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whether the domain never sends.
    pub parked: bool,
    /// What is published; none if nobody can tell.
    pub published: Option<&'a Published>,
    /// Where reports are to go.
    pub reports: Option<&'a str>,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advice {
    /// The kind of it.
    pub action: Action,
    /// The rung of the record.
    pub step: Rung,
    /// What should be in the DNS now, also where it is there; none if nobody can tell what is.
    pub record: Option<String>,
    /// How many days it takes at least until the next rung.
    pub days: u16,
}

/// How a domain stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The rung that is published; none without a record that receivers use.
    pub step: Option<Rung>,
    /// Since when reports show it, in days since 1970.
    pub since: Option<i32>,
    /// What stands against the next rung.
    pub holds: Vec<Hold>,
    /// What to do.
    pub advice: Advice,
    /// What deserves attention, with the stream that it is about; of a replay, with the selector.
    pub findings: Vec<(Finding, Option<String>)>,
    /// Of a step back: the streams of which mail is lost, with the messages that failed.
    pub lost: Vec<(String, u64)>,
}

impl Standing {
    /// Nobody can tell what is published.
    fn unknown(findings: Vec<(Finding, Option<String>)>) -> Self {
        Self {
            step: None,
            since: None,
            holds: vec![Hold {
                code: HoldCode::UnknownRecord,
                blocks: Rung::QuarantineTest,
                stream: None,
                name: None,
                messages: 0,
                days: 0,
            }],
            advice: Advice {
                action: Action::Wait,
                step: Rung::None,
                record: None,
                days: 0,
            },
            findings,
            lost: Vec::new(),
        }
    }
}

/// The advice for a domain, from what reports prove and what is published.
pub fn advise(facts: &Facts, subject: Subject<'_>, thresholds: &Thresholds) -> Standing {
    let mut standing = Standing::unknown(findings(facts, subject.parked));
    let Some(published) = subject.published else {
        return standing;
    };
    standing.holds.clear();
    standing.step = published.rung();
    if subject.parked {
        standing.advice = parked(published, subject.reports);
        return standing;
    }
    let Some(rung) = standing.step else {
        standing.advice = Advice {
            action: Action::Publish,
            step: Rung::None,
            record: Some(published.on(Rung::None, Extras::default(), subject.reports)),
            days: 0,
        };
        return standing;
    };
    standing.since = facts.since(rung);
    standing.holds = holds(facts, rung, thresholds);
    let are_missing = (facts.nonexistent.as_ref()).is_some_and(|names| !names.is_empty());
    let lost = lost(
        facts,
        published.enforced() > Wish::None,
        published.enforced_below(are_missing) > Wish::None,
        thresholds,
    );
    standing.lost = lost
        .iter()
        .map(|(stream, failed)| (stream.id.clone(), *failed))
        .collect();
    let mut ladder = Ladder {
        facts,
        published,
        reports: subject.reports,
        thresholds,
        held: !standing.holds.is_empty(),
        findings: &mut standing.findings,
    };
    standing.advice = if lost.is_empty() {
        ladder.next(rung, &standing.holds)
    } else {
        ladder.back(rung)
    };
    standing
}

/// Whatever reports say: nobody sends.
fn parked(published: &Published, reports: Option<&str>) -> Advice {
    let record = match reports {
        Some(address) => format!("{PARKED} rua=mailto:{address}"),
        None => PARKED.to_owned(),
    };
    let is_there = published.rung() == Some(Rung::Reject)
        && published.subdomains().is_none()
        && published.is_plain()
        && !published.needs(&record, reports);
    // Whatever way it is written in.
    let kept = Extras {
        keeps_nonexistent: true,
        ..Extras::default()
    };
    let text = published.text.clone().unwrap_or_default();
    let there = if text.starts_with("v=DMARC1; p=") {
        text
    } else {
        published.on(Rung::Reject, kept, reports)
    };
    Advice {
        action: if is_there {
            Action::Done
        } else {
            Action::Publish
        },
        step: Rung::Reject,
        record: Some(if is_there { there } else { record }),
        days: 0,
    }
}

struct Ladder<'a> {
    facts: &'a Facts,
    published: &'a Published,
    reports: Option<&'a str>,
    thresholds: &'a Thresholds,
    /// Whether anything stands against something stricter.
    held: bool,
    findings: &'a mut Vec<(Finding, Option<String>)>,
}

impl Ladder<'_> {
    /// Mail is lost: down to where nobody enforces.
    fn back(&self, rung: Rung) -> Advice {
        let step = match rung {
            Rung::Reject => Rung::QuarantineTest,
            _ => Rung::None,
        };
        Advice {
            action: Action::StepBack,
            step,
            // Names below fare no worse than the domain.
            record: Some(self.published.on(step, Extras::default(), self.reports)),
            days: 0,
        }
    }

    fn next(&mut self, rung: Rung, holds: &[Hold]) -> Advice {
        let against = |next: Rung| holds.iter().filter(move |hold| hold.code.is_against(next));
        let waits = against(rung.next().unwrap_or(rung))
            .map(|hold| hold.days)
            .max()
            .unwrap_or_default();
        let stays = self.extras(rung, rung);
        let here = self.published.on(rung, stays, self.reports);
        // Without this, nothing else can be told: reports do not come, or a test is none.
        if self.published.needs(&here, self.reports) {
            return Advice {
                action: Action::Publish,
                step: rung,
                record: Some(here),
                days: waits,
            };
        }
        let asks = against(rung.next().unwrap_or(rung))
            .map(|hold| hold.code.asks())
            .max();
        let asked = match asks {
            Some(Asks::Ask) => Some(Action::Ask),
            Some(Asks::Fix) => Some(Action::Fix),
            Some(Asks::Wait) => Some(Action::Wait),
            None => None,
        };
        let action = match (asked, rung.next()) {
            (Some(asked), _) => asked,
            (None, Some(next)) => return self.up(rung, next),
            (None, None) if self.is_there(&here) => Action::Done,
            // Nothing else will bring what is new in it.
            (None, None) => Action::Publish,
        };
        Advice {
            action,
            step: rung,
            record: Some(here),
            days: waits,
        }
    }

    fn up(&mut self, rung: Rung, next: Rung) -> Advice {
        let extras = self.extras(rung, next);
        Advice {
            action: Action::Publish,
            step: next,
            record: Some(self.published.on(next, extras, self.reports)),
            days: 0,
        }
    }

    fn is_there(&self, record: &str) -> bool {
        let text = self.published.text.as_deref();
        text.is_some_and(|text| same(text, record))
    }

    /// What the record on `next` says beside its rung, coming from `rung`.
    fn extras(&mut self, rung: Rung, next: Rung) -> Extras {
        let facts = self.facts;
        let enough = facts.report_days.len() >= NONEXISTENT_DAYS;
        let none = facts
            .nonexistent
            .as_ref()
            .is_some_and(std::collections::BTreeSet::is_empty);
        Extras {
            subdomains: self.subdomains(rung, next),
            nonexistent: enough && none,
            keeps_nonexistent: true,
            strict: rung == Rung::Reject && next == rung && self.may_be_strict() && !self.held,
        }
    }

    /// The policy for names below stays stricter; a weaker one follows step by step once the
    /// domain itself has arrived.
    fn subdomains(&mut self, rung: Rung, next: Rung) -> Option<Wish> {
        let below = self.published.subdomains()?;
        let wished = wish(next);
        if below > wished {
            return Some(below);
        }
        if below == wished {
            return None;
        }
        self.findings.push((Finding::WeakSubdomains, None));
        let days = i32::from(self.thresholds.quarantine_days);
        let is_old = self
            .facts
            .since_both(rung, below)
            .is_some_and(|since| self.facts.today - since >= days);
        let is_clean = self.facts.streams.iter().all(|stream| {
            let lately = self.facts.lately(stream);
            let is_other = !is_legitimate(stream) && stream.class != Class::Unknown;
            let share = self.thresholds.aligned_share;
            is_other || !share.is_above(lately.below_aligned, lately.below)
        });
        let may_rise = rung == Rung::Reject
            && next == rung
            && is_old
            && is_clean
            && !self.held
            && self.facts.is_reported(self.thresholds.reporters);
        match below {
            Wish::None if may_rise => Some(Wish::Quarantine),
            _ if may_rise => None,
            below => Some(below),
        }
    }

    /// Whether every legitimate message of the last eight weeks would still pass.
    fn may_be_strict(&mut self) -> bool {
        if self.published.is_strict() {
            return false;
        }
        let against: Vec<&Stream> = self
            .facts
            .streams
            .iter()
            .filter(|stream| is_legitimate(stream) || stream.class == Class::Unknown)
            .filter(|stream| {
                let lately = self.facts.lately(stream);
                lately.aligned + lately.not_strict > lately.messages
            })
            .collect();
        for stream in &against {
            let about = Some(stream.id.clone());
            self.findings.push((Finding::NotStrict, about));
        }
        let has_mail = self.facts.legitimate().messages > 0;
        let is_reported = self.facts.is_reported(self.thresholds.reporters);
        let days = self.facts.days_under(Rung::Reject);
        against.is_empty() && has_mail && is_reported && i32::from(days) >= super::facts::DAYS
    }
}

fn findings(facts: &Facts, parked: bool) -> Vec<(Finding, Option<String>)> {
    let replays = facts.replays.keys();
    let replays = replays.map(|selector| (Finding::Replay, Some(selector.clone())));
    let mut findings: Vec<(Finding, Option<String>)> = replays.collect();
    for stream in &facts.streams {
        let about = || Some(stream.id.clone());
        let mut seen_in = facts.unknown_selectors.values();
        if stream.is_unknown_selector() || seen_in.any(|id| *id == stream.id) {
            findings.push((Finding::UnknownSelector, about()));
        }
        if parked && facts.lately(stream).aligned > 0 {
            findings.push((Finding::ParkedPasses, about()));
        }
    }
    findings
}
