//! What the organisation has to do, the most urgent first.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    About,
    catalogue::Catalogue,
    name::{called, shown},
};
use crate::{
    evidence::streams::{Class, Stream},
    ladder::{
        Action, Finding, Rung,
        holds::{Hold, HoldCode},
    },
    paper::Inlines,
};

/// So many senders of a domain are asked about.
const MOST: usize = 8;

/// By when something is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum When {
    /// Mail is lost, or someone can write in its name.
    Now,
    /// Within so many days.
    Within(i32),
    /// Before mail is refused.
    BeforeReject,
    /// After what is asked first.
    After,
    /// It is for us.
    Ours,
}

/// Until a record is published, or a question is answered, in days.
const ANSWER: When = When::Within(14);
/// Until a supplier has put something right, in days.
const RIGHT: When = When::Within(28);

/// A record that is to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Record {
    /// The names in the DNS under which it is to be.
    pub(super) names: Vec<String>,
    pub(super) value: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// Mail of these senders is lost.
    StepBack,
    /// Somebody signs with a key that nobody knows.
    Stranger,
    /// Mail passes that cannot be.
    ParkedPasses,
    /// A first record.
    First,
    /// One in the place of what receivers do not use.
    Broken,
    /// The next rung.
    Next(Rung),
    /// A fuller record on the same rung.
    Same,
    /// The record of a domain that never sends.
    Park,
    /// Who is this?
    Who,
    /// People write to these lists.
    List,
    /// Nobody knows who sends.
    WhoSends,
    /// The record of another domain, which is not ours, speaks for it.
    Elsewhere,
    /// Mail of these senders is not recognised.
    Failing,
    /// The same, from names below.
    Below,
    /// Forwarding breaks mail of these senders.
    SpfOnly,
    /// Nobody has said this year that nobody is missing.
    Whole,
    /// More senders than are named.
    More(usize),
}

/// A task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Task {
    /// The domains that it is about.
    pub(super) domains: Vec<String>,
    pub(super) what: What,
    pub(super) when: When,
    /// The senders that it is about, each with so many messages.
    pub(super) senders: Vec<(Inlines, u64)>,
    /// The messages that it is about, where it names no sender.
    pub(super) messages: u64,
    /// Whose a record is or a key, with its selector.
    pub(super) of: (String, String),
    pub(super) record: Option<Record>,
}

/// All tasks. Domains that need the same record are one task.
pub(super) fn tasks(all: &[About<'_>], catalogue: &'static Catalogue) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for about in all {
        for task in (Asking { about, catalogue }).all() {
            let same = tasks.iter_mut().find(|one| {
                task.record.is_some()
                    && one.what == task.what
                    && one.what != What::StepBack
                    && (one.record.as_ref()).map(|one| &one.value)
                        == task.record.as_ref().map(|one| &one.value)
            });
            match same {
                Some(one) => one.join(task),
                None => tasks.push(task),
            }
        }
    }
    tasks.sort_by_key(Task::rank);
    tasks
}

impl Task {
    fn join(&mut self, other: Self) {
        self.domains.extend(other.domains);
        if let (Some(one), Some(other)) = (&mut self.record, other.record) {
            for name in other.names {
                if !one.names.contains(&name) {
                    one.names.push(name);
                }
            }
        }
    }

    /// In which order they come.
    fn rank(&self) -> u8 {
        match (self.what, self.when) {
            (What::StepBack, _) => 0,
            (What::Stranger, _) => 1,
            (What::ParkedPasses, _) => 2,
            (What::Next(_), _) => 3,
            (What::First | What::Broken | What::Same, _) => 4,
            (What::Park, _) => 5,
            (
                What::Who | What::List | What::WhoSends | What::Elsewhere | What::Whole,
                When::Within(_),
            ) => 6,
            (_, When::Now | When::Within(_)) => 7,
            (_, When::BeforeReject) => 8,
            (_, When::After) => 9,
            (_, When::Ours) => 10,
        }
    }
}

struct Asking<'a> {
    about: &'a About<'a>,
    catalogue: &'static Catalogue,
}

impl Asking<'_> {
    fn all(&self) -> Vec<Task> {
        let mut tasks = self.findings();
        tasks.extend(self.advice());
        let mut holds: Vec<&Hold> = self.about.standing.holds.iter().collect();
        holds.retain(|hold| kind(hold.code).is_some());
        holds.sort_by_key(|hold| Reverse(hold.messages));
        let rest = holds.split_off(holds.len().min(MOST));
        for task in holds.into_iter().filter_map(|hold| self.hold(hold)) {
            let same = tasks.iter_mut().find(|one| {
                let is_named = !one.senders.is_empty() && !task.senders.is_empty();
                is_named && one.what == task.what && one.when == task.when
            });
            match same {
                Some(one) => one.senders.extend(task.senders),
                None => tasks.push(task),
            }
        }
        if !rest.is_empty() {
            let messages = rest.iter().map(|hold| hold.messages).sum();
            tasks.push(Task {
                messages,
                ..self.task(What::More(rest.len()), When::After)
            });
        }
        tasks
    }

    fn task(&self, what: What, when: When) -> Task {
        Task {
            domains: vec![self.about.domain.to_string()],
            what,
            when,
            senders: Vec::new(),
            messages: 0,
            of: (String::new(), String::new()),
            record: None,
        }
    }

    fn stream(&self, id: &str) -> Option<&Stream> {
        let mut streams = self.about.facts.streams.iter();
        streams.find(|stream| stream.id == id)
    }

    fn findings(&self) -> Vec<Task> {
        let facts = self.about.facts;
        let mut strangers: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut passing = Vec::new();
        for (finding, id) in &self.about.standing.findings {
            let id = id.as_deref().unwrap_or_default();
            match (finding, self.stream(id)) {
                (Finding::UnknownSelector, stream) => {
                    let of_id = id.strip_prefix("dkim:").and_then(|id| id.split_once('/'));
                    let seen = facts.unknown_selectors.iter();
                    let seen = seen.filter(|(_, stream)| *stream == id);
                    let seen = seen.map(|((domain, selector), _)| (&**domain, &**selector));
                    let is_one = stream.is_some_and(Stream::is_unknown_selector);
                    strangers.extend(seen.chain(of_id.filter(|_| is_one)));
                }
                (Finding::ParkedPasses, Some(stream)) if passing.len() < MOST => {
                    let passed = facts.lately(stream).aligned;
                    passing.push((called(stream, self.catalogue), passed));
                }
                _ => {}
            }
        }
        let strangers = strangers.into_iter().take(MOST);
        let mut tasks: Vec<Task> = strangers
            .map(|(domain, selector)| Task {
                of: (shown(domain), shown(selector)),
                ..self.task(What::Stranger, When::Now)
            })
            .collect();
        if !passing.is_empty() {
            tasks.push(Task {
                senders: passing,
                ..self.task(What::ParkedPasses, When::Now)
            });
        }
        tasks
    }

    /// The record that is to be published, if one is.
    fn advice(&self) -> Option<Task> {
        let standing = self.about.standing;
        let advice = &standing.advice;
        let (what, when) = match (advice.action, standing.step) {
            (Action::StepBack, _) => (What::StepBack, When::Now),
            (Action::Publish, _) if self.about.parked => (What::Park, ANSWER),
            (Action::Publish, None) if self.about.is_broken => (What::Broken, ANSWER),
            (Action::Publish, None) => (What::First, ANSWER),
            (Action::Publish, Some(step)) if step == advice.step => (What::Same, ANSWER),
            (Action::Publish, Some(_)) => (What::Next(advice.step), ANSWER),
            (Action::Ask | Action::Fix | Action::Wait | Action::Done, _) => return None,
        };
        let lost = standing.lost.iter().take(MOST);
        let lost = lost.filter_map(|(id, failed)| {
            let stream = self.stream(id)?;
            Some((called(stream, self.catalogue), *failed))
        });
        let record = Record {
            names: vec![format!("_dmarc.{}", self.about.record_of())],
            value: advice.record.clone()?,
        };
        Some(Task {
            senders: lost.collect(),
            record: Some(record),
            ..self.task(what, when)
        })
    }

    fn hold(&self, hold: &Hold) -> Option<Task> {
        let (what, usual) = kind(hold.code)?;
        let stream = hold.stream.as_deref().and_then(|id| self.stream(id));
        let rung = self.about.standing.step.unwrap_or(Rung::None);
        let is_due = hold.blocks <= rung.next().unwrap_or(rung);
        let when = if stream.is_some_and(|stream| stream.class == Class::Ours) {
            When::Ours
        } else if is_due {
            usual
        } else {
            When::BeforeReject
        };
        let name = stream.map(|stream| called(stream, self.catalogue));
        Some(Task {
            senders: name.map(|name| (name, hold.messages)).into_iter().collect(),
            messages: hold.messages,
            of: (self.about.owner.to_string(), String::new()),
            ..self.task(what, when)
        })
    }
}

/// What a hold asks for, if it asks for anything but time.
fn kind(code: HoldCode) -> Option<(What, When)> {
    match code {
        HoldCode::UnknownStream => Some((What::Who, ANSWER)),
        HoldCode::ListStream => Some((What::List, ANSWER)),
        HoldCode::NoLegitimateMail => Some((What::WhoSends, ANSWER)),
        HoldCode::RecordElsewhere => Some((What::Elsewhere, ANSWER)),
        HoldCode::FailingStream => Some((What::Failing, RIGHT)),
        HoldCode::SubdomainStream => Some((What::Below, RIGHT)),
        HoldCode::SpfOnlyStream => Some((What::SpfOnly, RIGHT)),
        HoldCode::Unconfirmed => Some((What::Whole, ANSWER)),
        HoldCode::UnknownRecord | HoldCode::NotEnoughDays | HoldCode::NoRecentReports => None,
    }
}
