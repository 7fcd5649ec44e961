//! A report rolled up: what is kept of its rows. Pure.

use std::net::IpAddr;

use crate::report::{Flags, Identity, Outcome, Report, Row};

/// Seconds of a day. Days are UTC, counted from 1 January 1970.
pub const DAY: i64 = 86_400;
/// A report that is longer is spread over its days.
const ONE_DAY: i64 = 36 * 3_600;
/// Days that a report may be spread over; a longer one counts on its last day.
const DAYS: i64 = 31;
/// Facts by day of one report: more are not spread.
const SPREAD: usize = 500_000;

/// What is added to the [`Flags`] of a row, where they have no bits.
pub mod extra {
    /// The address is one of the operator's relays.
    pub const RELAY: u16 = 1 << 12;
    /// The report was longer than 31 days: nobody knows which day it is.
    pub const LONG: u16 = 1 << 13;
}

/// Rows that agree in everything that is kept, with the sum of their messages.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fact {
    /// Of the From domain, in the words of the report.
    pub from: u32,
    /// In the identities of the report.
    pub identity: u32,
    /// Those of the row, and those of [`extra`].
    pub flags: u16,
    /// Who sent.
    pub address: IpAddr,
    /// How many messages.
    pub messages: u64,
}

/// A report rolled up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rollup {
    /// The facts, sorted, each once.
    pub facts: Vec<Fact>,
    /// The days it is about, and which part of its messages is on each: see [`Rollup::spread`].
    pub days: Vec<i32>,
}

impl Rollup {
    /// Rolls up the rows for which `kept` holds; `relay` tells the operator's own addresses.
    pub fn new(
        report: &Report,
        kept: impl Fn(&Row) -> bool,
        relay: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let (days, long) = days(report.begin, report.end);
        let fact = |row: &Row| Fact {
            from: row.from,
            identity: row.identity,
            flags: row.flags.bits()
                | if relay(row.address) { extra::RELAY } else { 0 }
                | if long { extra::LONG } else { 0 },
            address: row.address,
            messages: u64::from(row.count),
        };
        let mut facts: Vec<Fact> = report
            .rows
            .rows
            .iter()
            .filter(|row| kept(row))
            .map(fact)
            .collect();
        facts.sort_unstable();
        facts.dedup_by(|later, earlier| {
            let same = Fact {
                messages: 0,
                ..*later
            } == Fact {
                messages: 0,
                ..*earlier
            };
            if same {
                earlier.messages += later.messages;
            }
            same
        });
        let mut rollup = Self { facts, days };
        if rollup.facts.len() * rollup.days.len() > SPREAD {
            rollup.days.drain(..rollup.days.len() - 1);
            for fact in &mut rollup.facts {
                fact.flags |= extra::LONG;
            }
        }
        rollup
    }

    /// All messages.
    pub fn messages(&self) -> u64 {
        self.facts.iter().map(|fact| fact.messages).sum()
    }

    /// Messages by day, as [`spread`].
    pub fn spread(&self, messages: u64) -> impl Iterator<Item = (i32, u64)> + '_ {
        spread(&self.days, messages)
    }
}

/// Messages over days: whole ones, the same number on each, and what is left on the last.
pub fn spread(days: &[i32], messages: u64) -> impl Iterator<Item = (i32, u64)> + '_ {
    let number = days.len().max(1) as u64;
    let each = messages / number;
    let last = messages - each * (number - 1);
    let end = days.len().saturating_sub(1);
    days.iter()
        .enumerate()
        .map(move |(place, day)| (*day, if place == end { last } else { each }))
        .filter(|(_, messages)| *messages > 0)
}

/// The days of a report, and whether it is too long to tell.
fn days(begin: i64, end: i64) -> (Vec<i32>, bool) {
    let day = |second: i64| i32::try_from(second.div_euclid(DAY)).unwrap_or(i32::MAX);
    if end - begin <= ONE_DAY {
        // Some reporters end with the first second of the next day.
        return (vec![day(begin + (end - begin) / 2)], false);
    }
    let last = (end - 1).max(begin);
    if end - begin > DAYS * DAY {
        return (vec![day(last)], true);
    }
    ((day(begin)..=day(last)).collect(), false)
}

/// The network of an address: a /24, or a /48 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            IpAddr::from([first, second, third, 0])
        }
        IpAddr::V6(address) => {
            let [first, second, third, ..] = address.segments();
            IpAddr::from([first, second, third, 0, 0, 0, 0, 0])
        }
    }
}

/// Whether the network of a row is part of what it is known by: nothing but SPF speaks for it.
pub fn known_by_network(flags: Flags, identity: &Identity) -> bool {
    flags.spf_aligned()
        && !identity
            .signatures
            .iter()
            .any(|signature| signature.outcome == Outcome::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(begin: i64, end: i64, messages: u64) -> Vec<(i32, u64)> {
        let (days, _) = days(begin, end);
        Rollup {
            facts: Vec::new(),
            days,
        }
        .spread(messages)
        .collect()
    }

    #[test]
    fn a_report_of_a_day_is_on_that_day() {
        assert_eq!(spread(0, DAY - 1, 7), [(0, 7)]);
        assert_eq!(spread(0, DAY, 7), [(0, 7)]);
        assert_eq!(spread(DAY - 3_600, 2 * DAY - 3_600, 7), [(1, 7)]);
    }

    #[test]
    fn a_longer_one_is_spread_and_no_message_is_lost() {
        assert_eq!(spread(0, 3 * DAY, 11), [(0, 3), (1, 3), (2, 5)]);
        assert_eq!(spread(0, 3 * DAY - 1, 2), [(2, 2)]);
        assert_eq!(spread(0, 40 * DAY, 5), [(39, 5)]);
        assert!(days(0, 40 * DAY).1 && !days(0, 30 * DAY).1);
        assert_eq!(spread(0, 0, 1), [(0, 1)]);
    }

    #[test]
    fn networks_are_what_one_party_has() {
        for (address, expected) in [
            ("192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2::3", "2001:db8:1::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }
}
