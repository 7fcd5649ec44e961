//! Who sent in the name of a domain in a month, beside the month before.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
};

use super::{catalogue::Catalogue, month::Month, name::called};
use crate::{
    evidence::streams::{Class, OfDay, Stream},
    ladder::{
        Rung,
        facts::{Facts, is_legitimate, sum},
    },
    paper::Inlines,
};

/// So many senders of a domain have a row of their own.
pub(super) const MOST_SENDERS: usize = 10;
/// So many new ones are named.
pub(super) const MOST_NEW: usize = 5;

/// What a sender is to the organisation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    /// Our relays, or someone who is known.
    Own,
    /// Nobody has said who it is.
    Unknown,
    /// A mailing list.
    List,
}

/// A sender.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) name: Inlines,
    pub(super) kind: Kind,
    /// In the month, and in the one before.
    pub(super) now: OfDay,
    pub(super) before: OfDay,
    /// Whether it was first seen in the month.
    is_new: bool,
}

/// All mail in the name of a domain in a month.
#[derive(Clone, Debug, Default)]
pub(super) struct Mail {
    /// Whether reports tell of the month, and of the one before.
    pub(super) is_reported: bool,
    pub(super) was_reported: bool,
    /// Whether nothing was reported before this month.
    pub(super) is_first: bool,
    /// The largest first; those who sent nothing in the month are left out.
    pub(super) senders: Vec<Sender>,
    /// How many more there are, and what they sent.
    pub(super) others: (usize, OfDay, OfDay),
    /// What receivers or their users sent on.
    pub(super) forwarded: (OfDay, OfDay),
    /// What only pretended, in the month and in the one before.
    pub(super) abuse: (OfDay, OfDay),
    /// All of [`Kind::Own`].
    pub(super) own: (OfDay, OfDay),
    /// The names of new senders, the largest first, and how many more there are.
    pub(super) new: (Vec<Inlines>, usize),
    /// Which rung reports showed last in the month, and in the one before.
    pub(super) rungs: (Option<Rung>, Option<Rung>),
}

impl Mail {
    /// Of a domain whose policy the facts are about.
    pub(super) fn new(facts: &Facts, month: Month, catalogue: &Catalogue) -> Self {
        let (now, before) = (month.days(), month.previous().days());
        let both = |stream: &Stream| (facts.within(stream, now), facts.within(stream, before));
        let of = |fits: &dyn Fn(&Stream) -> bool| {
            let streams = facts.streams.iter().filter(|stream| fits(stream));
            let (now, before): (Vec<_>, Vec<_>) = streams.map(both).unzip();
            (sum(now.iter()), sum(before.iter()))
        };
        let reported = |from: i32, to: i32| facts.report_days.range(from..=to).next().is_some();
        let mut senders = senders(facts, month, catalogue);
        let new: Vec<Inlines> = (senders.iter())
            .filter(|sender| sender.is_new)
            .map(|sender| sender.name.clone())
            .collect();
        let others = senders.split_off(senders.len().min(MOST_SENDERS));
        let more_new = new.len().saturating_sub(MOST_NEW);
        Self {
            is_reported: reported(now.from, now.to),
            was_reported: reported(before.from, before.to),
            is_first: facts
                .report_days
                .first()
                .is_some_and(|day| *day >= now.from),
            others: (
                others.len(),
                sum(others.iter().map(|sender| &sender.now)),
                sum(others.iter().map(|sender| &sender.before)),
            ),
            senders,
            forwarded: of(&|stream| stream.class == Class::Forwarding),
            abuse: of(&|stream| stream.class == Class::Abuse),
            own: of(&is_legitimate),
            new: (new.into_iter().take(MOST_NEW).collect(), more_new),
            rungs: (facts.rung_within(now), facts.rung_within(before)),
        }
    }

    /// Everything of a domain that never sends.
    pub(super) fn all(&self) -> (OfDay, OfDay) {
        let pairs = self
            .senders
            .iter()
            .map(|sender| (sender.now, sender.before));
        let rest = [(self.others.1, self.others.2), self.forwarded, self.abuse];
        let (now, before): (Vec<_>, Vec<_>) = pairs.chain(rest).unzip();
        (sum(now.iter()), sum(before.iter()))
    }
}

/// The largest first. Streams with one label are one sender.
fn senders(facts: &Facts, month: Month, catalogue: &Catalogue) -> Vec<Sender> {
    let (now, before) = (month.days(), month.previous().days());
    let mut senders: BTreeMap<(Inlines, Kind), Sender> = BTreeMap::new();
    for stream in &facts.streams {
        let kind = match stream.class {
            Class::Ours | Class::Known => Kind::Own,
            Class::Unknown => Kind::Unknown,
            Class::List => Kind::List,
            Class::Forwarding | Class::Abuse => continue,
        };
        let sender = Sender {
            name: called(stream, catalogue),
            kind,
            now: facts.within(stream, now),
            before: facts.within(stream, before),
            is_new: (now.from..=now.to).contains(&stream.first_seen),
        };
        match senders.entry((sender.name.clone(), kind)) {
            Entry::Occupied(mut known) => {
                let one = known.get_mut();
                one.now = sum([one.now, sender.now].iter());
                one.before = sum([one.before, sender.before].iter());
                one.is_new &= sender.is_new;
            }
            Entry::Vacant(new) => drop(new.insert(sender)),
        }
    }
    let mut senders: Vec<Sender> = senders.into_values().collect();
    senders.retain(|sender| sender.now.messages > 0);
    senders.sort_by_key(|sender| (Reverse(sender.now.messages), sender.kind));
    senders
}
