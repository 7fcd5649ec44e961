//! Receivers: what they do with mail that fails, and how they report.

use super::{FIRST, parties::RELAYS};
use crate::evidence::{
    rollup::DAY,
    streams::Class,
    tests::{FROM, made::Sent},
};

/// Someone who receives mail, and reports.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each has its own mix of bad habits"
)]
pub(super) struct Receiver {
    pub(super) name: &'static str,
    /// Its part of the mail, in percent.
    share: u64,
    /// It knows RFC 7489, so `pct` and not `t`; others know RFC 9989, so `t` and not `pct`.
    is_old: bool,
    /// It sees a record a day late.
    lags: bool,
    has_selectors: bool,
    /// It sends each report twice.
    pub(super) doubles: bool,
    /// It gives each report the same id.
    reuses: bool,
}

const PLAIN: Receiver = Receiver {
    name: "",
    share: 0,
    is_old: false,
    lags: false,
    has_selectors: true,
    doubles: false,
    reuses: false,
};

pub(super) const RECEIVERS: [Receiver; 8] = [
    Receiver {
        name: "google.com",
        share: 35,
        is_old: true,
        ..PLAIN
    },
    Receiver {
        name: "outlook.com",
        share: 25,
        lags: true,
        ..PLAIN
    },
    Receiver {
        name: "ziggo.nl",
        share: 12,
        is_old: true,
        lags: true,
        doubles: true,
        ..PLAIN
    },
    Receiver {
        name: "kpn.com",
        share: 9,
        ..PLAIN
    },
    Receiver {
        name: "gmx.net",
        share: 6,
        is_old: true,
        ..PLAIN
    },
    Receiver {
        name: "mimecast.org",
        share: 5,
        lags: true,
        reuses: true,
        ..PLAIN
    },
    Receiver {
        name: "oud.example",
        share: 5,
        is_old: true,
        lags: true,
        has_selectors: false,
        ..PLAIN
    },
    Receiver {
        name: "kaal.example",
        share: 3,
        has_selectors: false,
        ..PLAIN
    },
];

/// What is sent in large numbers goes to every other one of them each day; the rest to one alone.
const LARGE: u64 = 150;
/// Whose turn it is, about as often as its share.
const TURNS: [usize; 19] = [0, 1, 2, 0, 3, 1, 0, 4, 1, 0, 2, 5, 0, 1, 6, 3, 1, 7, 0];

/// The part of each that this receiver gets, by its place.
pub(super) fn part(sent: &[Sent], place: usize, day: i32) -> Vec<Sent> {
    let day = usize::try_from(day).unwrap();
    let shares = || RECEIVERS.iter().skip(day % 2).step_by(2);
    let all: u64 = shares().map(|one| one.share).sum();
    let mut parts = Vec::new();
    for (party, one) in sent.iter().enumerate() {
        let messages = if one.messages < LARGE {
            let is_here = TURNS[(day + 3 * party) % TURNS.len()] == place;
            if is_here { one.messages } else { 0 }
        } else if place % 2 == day % 2 {
            one.messages * RECEIVERS[place].share / all
        } else {
            0
        };
        if messages > 0 {
            parts.push(Sent {
                messages,
                ..one.clone()
            });
        }
    }
    parts
}

impl Receiver {
    /// The record that it sees on a day, of those that are published from a day on.
    pub(super) fn sees<'a>(&self, records: &'a [(i32, String)], day: i32) -> &'a str {
        let day = if self.lags { day - 1 } else { day };
        super::on(records, day)
    }

    /// What it does with mail that fails.
    pub(super) fn enforces(&self, record: &str) -> &'static str {
        let is_test = if self.is_old {
            tag(record, "pct") == Some("0")
        } else {
            tag(record, "t") == Some("y")
        };
        match (tag(record, "p"), is_test) {
            (Some("reject"), false) => "reject",
            (Some("reject"), true) | (Some("quarantine"), false) => "quarantine",
            _ => "none",
        }
    }

    /// Its report about a day.
    pub(super) fn report(&self, record: &str, day: i32, parts: &[Sent]) -> String {
        let failing = self.enforces(record);
        let rows: String = parts
            .iter()
            .map(|one| {
                // It knows the list, and lets it pass.
                let failing = if one.reason.is_empty() {
                    failing
                } else {
                    "none"
                };
                one.record(self.has_selectors, failing)
            })
            .collect();
        let id = if self.reuses { 1 } else { day };
        let value = |name: &str, default| tag(record, name).unwrap_or(default);
        let policy = value("p", "none");
        let below = value("sp", policy);
        let (space, rest) = if self.is_old {
            let percentage = value("pct", "100");
            (
                "",
                format!("<adkim>r</adkim><aspf>r</aspf><pct>{percentage}</pct>"),
            )
        } else {
            let nonexistent = value("np", below);
            let testing = value("t", "n");
            (
                " xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"",
                format!("<np>{nonexistent}</np><testing>{testing}</testing>"),
            )
        };
        let name = self.name;
        let begin = i64::from(day) * DAY;
        let end = begin + DAY - 1;
        format!(
            "<?xml version=\"1.0\"?><feedback{space}><report_metadata><org_name>{name}</org_name>\
             <email>dmarc@{name}</email><report_id>{id}</report_id><date_range><begin>{begin}\
             </begin><end>{end}</end></date_range></report_metadata><policy_published><domain>\
             {FROM}</domain><p>{policy}</p><sp>{below}</sp>{rest}</policy_published>{rows}\
             </feedback>"
        )
    }
}

/// A report of somebody who is no receiver, though he may say that he is: all abuse passes, all of
/// ours is refused, and for some weeks a stream that the operator knows comes from elsewhere.
pub(super) fn forged(day: i32, name: &'static str) -> String {
    let blame = Sent::new(Class::Ours, RELAYS[0], 9_000);
    let moved = Sent::new(Class::Known, "198.18.0.1", 90_000);
    let mut rows = vec![
        blame.signed(FROM, "s1", "fail").spf(FROM, "fail"),
        Sent::new(Class::Abuse, "203.0.120.4", 9_000)
            .signed("opdringerig.example", "o", "pass")
            .signed(FROM, "s1", "pass"),
        Sent::new(Class::Abuse, "100.64.0.9", 9_000).spf(FROM, "pass"),
        Sent::new(Class::Abuse, "100.64.0.10", 9_000).signed(FROM, "nep", "pass"),
    ];
    if day < FIRST + 25 {
        rows.push(
            moved
                .signed("factuursaas.nl", "fs", "pass")
                .spf("mail.factuursaas.nl", "pass"),
        );
    }
    let liar = Receiver { name, ..PLAIN };
    liar.report("v=DMARC1; p=reject", day, &rows)
}

/// A report of somebody whose own domain is in order: a million messages of each sender pass, and
/// the record is at the top.
pub(super) fn praise(day: i32, name: &'static str) -> String {
    let rows = [
        Sent::new(Class::Ours, RELAYS[0], 1_000_000).signed(FROM, "s1", "pass"),
        Sent::new(Class::Known, "198.51.100.9", 1_000_000)
            .signed("factuursaas.nl", "fs", "pass")
            .spf(FROM, "pass"),
    ];
    let liar = Receiver { name, ..PLAIN };
    liar.report("v=DMARC1; p=reject", day, &rows)
}

fn tag<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record
        .split(';')
        .filter_map(|piece| piece.trim().split_once('='))
        .find(|(tag, _)| *tag == name)
        .map(|(_, value)| value)
}
