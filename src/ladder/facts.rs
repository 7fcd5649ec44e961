//! What reports prove about a domain, summed up for the ladder.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rung, record::reported};
use crate::{
    dmarc::Wish,
    evidence::{
        rollup::extra,
        streams::{Class, Evidence, Newcomers, OfDay, Policy, Stream, Window},
        suffix::organisational,
    },
};

/// Days of which the evidence counts: eight weeks.
pub const DAYS: i32 = 56;
/// Names below a domain that the DNS is asked for: with more, nobody knows which of them are there.
pub const MOST_NAMES: usize = 50;
/// The last days, in which reports must have come, and after which mail that fails is noticed.
pub(super) const LAST: i32 = 4;
/// Days in which a number of reporters must have reported.
const REPORTER_DAYS: i32 = 14;
/// With fewer messages in [`DAYS`], a domain is a small one: one reporter is enough, and days
/// between two reports count.
const SMALL: u64 = 100;

/// A record as it was seen: its rung, and the policy for names below.
type Seen = (Option<Rung>, Option<Wish>);

/// All of it, as of a day.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The day that counts as today, in days since 1970.
    pub today: i32,
    /// Everyone who ever sent in its name, as far as it is kept.
    pub streams: Vec<Stream>,
    /// The days that reports are about.
    pub report_days: BTreeSet<i32>,
    /// Who reported within [`DAYS`].
    pub reporters: BTreeSet<String>,
    /// Who reported within the last 14 days.
    pub recent_reporters: BTreeSet<String>,
    /// Reporters who are not believed yet.
    pub newcomers: Newcomers,
    /// The day on which the operator last said that all who send are known.
    pub confirmed: Option<i32>,
    /// The record as reporters saw it.
    pub policies: Vec<Policy>,
    /// Reports within [`DAYS`] that count.
    pub reports: u64,
    /// And those that do not, as nobody knows that they are real.
    pub ignored_reports: u64,
    /// Names below the domain that mail is from which may be legitimate, and that are not in the
    /// DNS; none if nobody knows.
    pub nonexistent: Option<BTreeSet<String>>,
    /// Keys in a zone of ours that sign and that nobody knows, by domain and selector, with the
    /// stream in which each was seen.
    pub unknown_selectors: BTreeMap<(String, String), String>,
    /// Selectors of ours with which far more mail passes than was signed.
    pub replays: BTreeMap<String, Replay>,
}

/// Mail that passes with a selector, and that was not signed: it was signed once and sent many
/// times, or somebody else has the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replay {
    /// The first of the days, in days since 1970.
    pub from: i32,
    /// The last.
    pub to: i32,
    /// Messages of these days that passed with it, by reports.
    pub passed: u64,
    /// Signatures of it that were made on these days, the two before and the one after.
    pub signed: u64,
}

impl Replay {
    /// Mail that passes on a day may have been signed so many days before.
    pub const BEFORE: i32 = 2;
    /// Or after, by the clock of its reporter.
    pub const AFTER: i32 = 1;
}

impl Facts {
    /// Of the evidence about a domain, with its streams.
    pub fn new(
        evidence: &Evidence,
        streams: Vec<Stream>,
        policies: Vec<Policy>,
        today: i32,
    ) -> Self {
        let mut facts = Self {
            today,
            streams,
            policies,
            ..Self::default()
        };
        // What is too long to tell its days proves nothing of a day.
        let lines = evidence.lines.iter();
        let newcomers = evidence.newcomers();
        let lines = lines.filter(|line| {
            let is_short = line.flags & extra::LONG == 0;
            line.day <= today && is_short && !newcomers.doubts(&line.reporter, line.day)
        });
        for line in lines {
            facts.report_days.insert(line.day);
            let reporters = [
                (DAYS, &mut facts.reporters),
                (REPORTER_DAYS, &mut facts.recent_reporters),
            ];
            for (days, reporters) in reporters {
                let reporter = organisational(&line.reporter);
                if line.day > today - days && !reporters.contains(reporter) {
                    reporters.insert(reporter.to_owned());
                }
            }
        }
        facts.policies.retain(|policy| policy.day <= today);
        facts.newcomers = newcomers;
        facts
    }

    /// The last day that a report is about.
    pub fn last_report(&self) -> Option<i32> {
        self.report_days.last().copied()
    }

    /// The messages of a stream on the days after `after`.
    pub fn of(&self, stream: &Stream, after: i32) -> OfDay {
        sum(stream
            .days
            .range(after.saturating_add(1)..=self.today)
            .map(|(_, day)| day))
    }

    /// Those of the days of a window.
    pub fn within(&self, stream: &Stream, window: Window) -> OfDay {
        let to = window.to.min(self.today);
        if window.from > to {
            return OfDay::default();
        }
        sum(stream.days.range(window.from..=to).map(|(_, day)| day))
    }

    /// The rung that most reporters saw on the last day of a window of which any tells.
    pub fn rung_within(&self, window: Window) -> Option<Rung> {
        let mut votes = self.votes();
        votes.retain(|day, _| (window.from..=window.to).contains(day));
        let (_, last) = votes.pop_last()?;
        let mut rungs: BTreeMap<Rung, u64> = BTreeMap::new();
        for ((rung, _), votes) in last {
            if let Some(rung) = rung {
                *rungs.entry(rung).or_default() += votes;
            }
        }
        let most = rungs.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(rung, _)| rung)
    }

    /// Those of the last [`DAYS`].
    pub fn lately(&self, stream: &Stream) -> OfDay {
        self.of(stream, self.today - DAYS)
    }

    /// All messages of the last [`DAYS`].
    pub fn messages(&self) -> u64 {
        self.streams
            .iter()
            .map(|stream| self.lately(stream).messages)
            .sum()
    }

    /// Of streams of ours and of known ones: the mail that must not be lost.
    pub fn legitimate(&self) -> OfDay {
        let streams = self.streams.iter().filter(|stream| is_legitimate(stream));
        let days: Vec<OfDay> = streams.map(|stream| self.lately(stream)).collect();
        sum(days.iter())
    }

    /// The names below the domain that mail is from which may be legitimate: all but abuse. More
    /// than [`MOST_NAMES`] of them are not asked for.
    pub fn names_below(&self, domain: &str) -> BTreeSet<String> {
        let streams = self.streams.iter();
        let streams = streams.filter(|stream| stream.class != Class::Abuse);
        let names = streams.flat_map(|stream| stream.header_from.keys());
        names.filter(|name| *name != domain).cloned().collect()
    }

    pub(super) fn is_small(&self) -> bool {
        self.messages() < SMALL
    }

    /// Whether reports still come.
    pub(super) fn is_reported(&self, reporters: u16) -> bool {
        let recent = self
            .last_report()
            .is_some_and(|day| day >= self.today - LAST);
        let needed = if self.is_small() {
            1
        } else {
            usize::from(reporters)
        };
        recent && self.recent_reporters.len() >= needed
    }

    /// Since when most reporters of each day saw this rung; none if they saw another on the last
    /// day. Each has one vote a day, however much he reports; a newcomer has none.
    pub fn since(&self, rung: Rung) -> Option<i32> {
        self.since_all(|seen, _| seen == Some(rung))
    }

    pub(super) fn since_both(&self, rung: Rung, below: Wish) -> Option<i32> {
        self.since_all(|seen, seen_below| seen == Some(rung) && seen_below == Some(below))
    }

    fn since_all(&self, fits: impl Fn(Option<Rung>, Option<Wish>) -> bool) -> Option<i32> {
        let votes = self.votes();
        let shown = votes.iter().rev().take_while(|(_, votes)| {
            let all: u64 = votes.values().sum();
            let fitting = votes
                .iter()
                .filter(|((rung, below), _)| fits(*rung, *below));
            fitting.map(|(_, votes)| votes).sum::<u64>() * 2 > all
        });
        shown.last().map(|(day, _)| *day)
    }

    /// How many reporters saw which record on each day. Each has one vote a day, however much he
    /// reports and by however many names; a newcomer has none.
    fn votes(&self) -> BTreeMap<i32, BTreeMap<Seen, u64>> {
        let mut votes: BTreeMap<i32, BTreeMap<Seen, u64>> = BTreeMap::new();
        let mut add = |day, seen, number| {
            *votes.entry(day).or_default().entry(seen).or_default() += number;
        };
        // Of one who saw several records on a day, the one of which he reported most counts.
        let mut most: BTreeMap<(i32, &str), (u64, Seen)> = BTreeMap::new();
        for policy in &self.policies {
            let seen = reported(policy);
            match &policy.reporter {
                None => add(policy.day, seen, policy.reports),
                Some(reporter) if self.newcomers.doubts(reporter, policy.day) => {}
                Some(reporter) => {
                    let one = (policy.reports, seen);
                    let known = most.entry((policy.day, organisational(reporter)));
                    let known = known.or_insert(one);
                    if one.0 > known.0 {
                        *known = one;
                    }
                }
            }
        }
        for ((day, _), (_, seen)) in most {
            add(day, seen, 1);
        }
        votes
    }

    /// Days of reports under a rung; of a small domain, the days between its reports count.
    pub fn days_under(&self, rung: Rung) -> u16 {
        let from = if rung == Rung::None {
            self.report_days.first().copied()
        } else {
            self.since(rung)
        };
        let Some(from) = from else {
            return 0;
        };
        let days: Vec<i32> = self.report_days.range(from..).copied().collect();
        let days = if self.is_small() {
            // A longer silence says that reports did not come, not that no mail was sent.
            let between = days.windows(2).map(|pair| match pair {
                [one, next] if next - one <= REPORTER_DAYS => next - one,
                _ => 1,
            });
            let first = i32::from(!days.is_empty());
            usize::try_from(first + between.sum::<i32>()).unwrap_or_default()
        } else {
            days.len()
        };
        u16::try_from(days).unwrap_or(u16::MAX)
    }
}

/// Whether a stream is mail that must not be lost.
pub fn is_legitimate(stream: &Stream) -> bool {
    matches!(stream.class, Class::Ours | Class::Known)
}

/// All of these days together.
pub fn sum<'a>(days: impl Iterator<Item = &'a OfDay>) -> OfDay {
    days.fold(OfDay::default(), |sum, day| OfDay {
        messages: sum.messages.saturating_add(day.messages),
        aligned: sum.aligned.saturating_add(day.aligned),
        spf_only: sum.spf_only.saturating_add(day.spf_only),
        not_strict: sum.not_strict.saturating_add(day.not_strict),
        quarantined: sum.quarantined.saturating_add(day.quarantined),
        rejected: sum.rejected.saturating_add(day.rejected),
        below: sum.below.saturating_add(day.below),
        below_aligned: sum.below_aligned.saturating_add(day.below_aligned),
        doubtful: sum.doubtful.saturating_add(day.doubtful),
        doubtful_below: sum.doubtful_below.saturating_add(day.doubtful_below),
    })
}
