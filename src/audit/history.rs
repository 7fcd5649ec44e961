//! What the audit log tells of each key, one line after another. What is kept of a key has a bound,
//! however long the log is.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::told::{Counted, Done, Ending, Signed, Suspension, Who};
use crate::{
    dkim::Algorithm,
    keys::State,
    keystore::Recorded,
    names::{DomainName, OrganisationId, Selector},
};

/// How often a key can begin to sign, and how often an organisation can be suspended; the rest is
/// counted.
const MOST_TIMES: usize = 50;
/// Events of one organisation that are listed; the rest is counted.
const MOST_EVENTS: usize = 5000;
/// Lines that can't be read and are named; the rest is counted.
const MOST_NAMED: usize = 20;
/// From this version on, a key that another one replaces has a line of its own.
const TELLS_ENDS: u32 = 2;

/// Events that say no more than how the DNS looked, which may be every hour.
const OBSERVATIONS: [&str; 3] = ["checked", "published", "unpublished"];

/// All that was told up to a moment.
#[derive(Debug)]
pub struct Histories {
    /// The first moment that does not count any more.
    end: Timestamp,
    /// The first moment of which events are listed.
    begin: Timestamp,
    /// Whether a line of after the end has come.
    is_over: bool,
    pub(super) organisations: BTreeMap<OrganisationId, History>,
    /// What is told of the keystore as a whole.
    pub(super) whole: Vec<Done>,
    /// When the first line was written.
    pub(super) first: Option<Timestamp>,
    /// Lines up to the end, that could be read.
    pub(super) lines: u64,
    /// Those that could not, and the numbers of the first of them.
    pub(super) unreadable: (u64, Vec<u64>),
}

/// What was told of one organisation.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) uses: BTreeMap<DomainName, BTreeMap<Selector, Use>>,
    pub(super) suspensions: Vec<Suspension>,
    pub(super) events: Vec<Done>,
    /// Of all events, those that had no room too.
    pub(super) counted: Counted,
    /// Alarms that began before the period and stood at its begin, by kind, domain and key.
    pub(super) standing: BTreeMap<(Option<String>, DomainName, Option<Selector>), Done>,
    /// Events and times that had no room.
    pub(super) left_out: u64,
}

/// What was told of a key in one domain.
#[derive(Debug, Default)]
pub(super) struct Use {
    pub(super) made: Option<Done>,
    pub(super) signed: Vec<Signed>,
    pub(super) seen_first: Option<Timestamp>,
    pub(super) seen_last: Option<Timestamp>,
    pub(super) withdrawn: Option<Done>,
    pub(super) revoked: Option<Done>,
    /// How often its record was no longer seen everywhere, before it was used.
    pub(super) lost: u64,
}

impl Histories {
    /// Of what is told before `end`; events are listed from `begin` on.
    pub fn new(begin: Timestamp, end: Timestamp) -> Self {
        Self {
            end,
            begin,
            is_over: false,
            organisations: BTreeMap::new(),
            whole: Vec::new(),
            first: None,
            lines: 0,
            unreadable: (0, Vec::new()),
        }
    }

    /// Takes the line with this number; none: it can't be read. `algorithm` tells that of a key.
    pub fn take(
        &mut self,
        number: u64,
        line: Option<Recorded>,
        algorithm: impl Fn(&OrganisationId, &Selector) -> Option<Algorithm>,
    ) {
        let Some(line) = line else {
            // What follows a line of later days was written later.
            if self.is_over {
                return;
            }
            self.unreadable.0 += 1;
            if self.unreadable.1.len() < MOST_NAMED {
                self.unreadable.1.push(number);
            }
            return;
        };
        self.first = Some(self.first.map_or(line.time, |first| first.min(line.time)));
        if line.time >= self.end {
            self.is_over = true;
            return;
        }
        self.lines += 1;
        let is_listed = line.time >= self.begin && !OBSERVATIONS.contains(&line.event.as_str());
        let Some(organisation) = &line.organisation else {
            if is_listed && self.whole.len() < MOST_EVENTS {
                self.whole.push(Done::of(&line));
            }
            return;
        };
        let history = self.organisations.entry(organisation.clone());
        let history = history.or_default();
        if is_listed {
            history.list(Done::of(&line));
        }
        let Some(selector) = &line.selector else {
            history.stand(&line);
            return;
        };
        let algorithm = |selector: &Selector| algorithm(organisation, selector);
        for domain in &line.domains {
            if line.event == "activated" && line.version < TELLS_ENDS {
                history.replace(domain, selector, &line, algorithm);
            }
            let keys = history.uses.entry(domain.clone()).or_default();
            let used = keys.entry(selector.clone()).or_default();
            history.left_out += u64::from(!used.take(&line));
        }
    }
}

impl Histories {
    /// Takes a line about an alarm.
    pub fn take_alarm(&mut self, line: &Recorded) {
        let Some(organisation) = line.organisation.as_ref() else {
            return;
        };
        if line.time >= self.end {
            return;
        }
        let history = self.organisations.entry(organisation.clone()).or_default();
        if line.time >= self.begin {
            history.list(Done::of(line));
        } else if let Some(begins) = line.alarm_begins() {
            history.stand_alarm(line, begins);
        }
    }
}

impl History {
    fn list(&mut self, event: Done) {
        self.counted.count(&event);
        if self.events.len() < MOST_EVENTS {
            self.events.push(event);
        } else {
            self.left_out += 1;
        }
    }

    /// An alarm of before the period.
    fn stand_alarm(&mut self, line: &Recorded, begins: bool) {
        for domain in &line.domains {
            let (kind, selector) = (line.evidence.clone(), line.selector.clone());
            let alarm = (kind, domain.clone(), selector);
            if begins {
                let done = Done {
                    domains: vec![domain.clone()],
                    ..Done::of(line)
                };
                self.standing.insert(alarm, done);
            } else {
                self.standing.remove(&alarm);
            }
        }
    }

    /// What is listed, by its time: alarms are told apart from the rest, and those that stood at
    /// the begin come first.
    pub(super) fn take_events(&mut self) -> Vec<Done> {
        let standing = std::mem::take(&mut self.standing).into_values();
        let mut events: Vec<Done> = standing.chain(self.events.drain(..)).collect();
        events.sort_by_key(|event| event.time);
        events
    }

    /// Suspended, or no more.
    fn stand(&mut self, line: &Recorded) {
        let has_room = self.suspensions.len() < MOST_TIMES;
        let open = self.suspensions.last_mut();
        let open = open.filter(|one| one.until.is_none());
        match (line.event.as_str(), open) {
            ("suspended", None) if has_room => self.suspensions.push(Suspension {
                from: line.time,
                by: Who::of(line),
                until: None,
            }),
            ("suspended", None) => self.left_out += 1,
            ("resumed", Some(open)) => open.until = Some(line.time),
            _ => {}
        }
    }

    /// In a line of 0.1 the end of the key before is not told.
    fn replace(
        &mut self,
        domain: &DomainName,
        selector: &Selector,
        line: &Recorded,
        algorithm: impl Fn(&Selector) -> Option<Algorithm>,
    ) {
        let own = algorithm(selector);
        for (other, used) in self.uses.get_mut(domain).into_iter().flatten() {
            let is_same_kind = algorithm(other).zip(own).is_none_or(|(a, b)| a == b);
            if other != selector && is_same_kind {
                used.end(line, "draining");
            }
        }
    }
}

impl Counted {
    fn count(&mut self, event: &Done) {
        match event.event.as_str() {
            "revoked" => drop(self.revoked.insert(event.selector.clone())),
            "withdrawn" | "withdrawn_by_word" => {
                self.withdrawn.insert(event.selector.clone());
            }
            "alarm" => self.alarms += 1,
            _ => {}
        }
        self.assumed += usize::from(event.word.as_deref() == Some("assumed"));
    }
}

impl Use {
    /// Tells whether there was room for it.
    fn take(&mut self, line: &Recorded) -> bool {
        self.see(line);
        match line.event.as_str() {
            "generated" | "imported" | "added" => {
                self.made.get_or_insert_with(|| Done::of(line));
            }
            "activated" | "returned" => return self.begin(line),
            "draining" | "left" => {
                self.end(line, &line.event);
            }
            "unpublished" => self.lost += 1,
            "withdrawn" | "withdrawn_by_word" => {
                self.end(line, &line.event);
                self.withdrawn.get_or_insert_with(|| Done::of(line));
            }
            "revoked" => {
                self.end(line, &line.event);
                self.revoked.get_or_insert_with(|| Done::of(line));
            }
            _ => {
                let state = line.publication.map(|publication| publication.state);
                if state.is_some_and(State::is_given_up) {
                    self.end(line, &line.event);
                }
            }
        }
        true
    }

    fn see(&mut self, line: &Recorded) {
        let Some(publication) = line.publication else {
            return;
        };
        let first = [self.seen_first, publication.seen_since];
        self.seen_first = first.into_iter().flatten().min();
        let last = [self.seen_last, publication.seen_last];
        self.seen_last = last.into_iter().flatten().max();
    }

    fn begin(&mut self, line: &Recorded) -> bool {
        if self.signed.last().is_some_and(|one| one.until.is_none()) {
            return true;
        }
        if self.signed.len() == MOST_TIMES {
            return false;
        }
        self.signed.push(Signed {
            from: Some(line.time),
            by: Some(Who::of(line)),
            assumed: line.evidence.as_deref() == Some("assumed"),
            until: None,
            ending: None,
        });
        true
    }

    /// It signs no more. A key that drains has signed, though nothing tells since when.
    fn end(&mut self, line: &Recorded, event: &str) {
        let ending = Ending {
            event: event.to_owned(),
            by: Who::of(line),
        };
        match self.signed.last_mut() {
            Some(open) if open.until.is_none() => {
                open.until = Some(line.time);
                open.ending = Some(ending);
            }
            None if event == "draining" && line.event == "draining" => self.signed.push(Signed {
                from: None,
                by: None,
                assumed: false,
                until: Some(line.time),
                ending: Some(ending),
            }),
            _ => {}
        }
    }
}
