//! Who sends in the name of the domain in the year, and what. Nothing of it says who reports.

use std::collections::BTreeMap;

use super::{FIRST, Season};
use crate::evidence::{
    streams::Class,
    tests::{
        FROM,
        made::{Chance, Sent},
    },
};

/// A name below, for which our relays send too.
const BELOW: &str = "dienst.voorbeeld.nl";
/// The one that appointments are from, signed with the domain above: relaxed alignment only.
const APPOINTMENTS: &str = "afspraken.voorbeeld.nl";
pub(super) const RELAYS: [&str; 2] = ["192.0.2.1", "2001:db8::25"];
/// On this day a stranger signs for the first time with a key that is in the DNS.
pub(super) const STRANGER: i32 = FIRST + 21;
pub(super) const TAX_ADDRESS: &str = "203.0.119.3";
pub(super) const STRANGER_ADDRESS: &str = "203.0.116.5";
/// So long letters about tax are sent.
const SEASON: i32 = 60;

/// Who has to put a stream right.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner {
    Invoices,
    Partner,
    Tax,
}

impl Owner {
    /// By what the stream is called.
    pub(super) fn of(stream: &str) -> Option<Self> {
        Some(match stream {
            "via:factuursaas.nl" => Self::Invoices,
            "net:203.0.114.0/24" => Self::Partner,
            "via:aanslagen.example" => Self::Tax,
            _ => return None,
        })
    }

    /// The days that it takes.
    pub(super) fn takes(self) -> i32 {
        match self {
            Self::Invoices => 40,
            Self::Partner => 5,
            Self::Tax => 8,
        }
    }
}

/// What an operator finds out of a stream; none if nobody can tell.
pub(super) fn truth(stream: &str) -> Option<Class> {
    Some(match stream {
        "dkim:voorbeeld.nl/nb"
        | "dkim:voorbeeld.nl/afs"
        | "dkim:voorbeeld.nl/pt"
        | "dkim:voorbeeld.nl/ta"
        | "via:factuursaas.nl"
        | "via:aanslagen.example" => Class::Known,
        "via:opdringerig.example" => Class::Abuse,
        "list:lijst.example" | "list:groepen.example" => Class::List,
        "dkim:voorbeeld.nl/old2019" => return None,
        other => panic!("nobody knows {other}"),
    })
}

/// Those whose mail changes.
#[derive(Default)]
pub(super) struct Parties {
    /// Since when they do it right.
    pub(super) mended: BTreeMap<Owner, i32>,
    /// The first day of the letters about tax.
    pub(super) season: Option<i32>,
    /// Whether they are right from the first.
    pub(super) is_well: bool,
}

impl Parties {
    pub(super) fn new(season: Season, is_well: bool) -> Self {
        Self {
            season: match season {
                Season::OnDay(day) => Some(FIRST + day),
                Season::Never | Season::After(_) => None,
            },
            is_well,
            ..Self::default()
        }
    }

    fn is_mended(&self, owner: Owner, day: i32) -> bool {
        self.mended.get(&owner).is_some_and(|since| *since <= day)
    }

    /// What they send on a day, to all receivers together.
    pub(super) fn sent(&self, day: i32, chance: &mut Chance) -> Vec<Sent> {
        let busy = |messages: u64| {
            if day % 7 < 5 { messages } else { messages / 5 }
        };
        let mut sent = Vec::new();
        for (address, from, messages) in [
            (RELAYS[0], FROM, 900),
            (RELAYS[1], FROM, 300),
            (RELAYS[0], BELOW, 60),
        ] {
            let ours = Sent::new(Class::Ours, address, busy(messages)).from(from);
            sent.push(ours.signed(FROM, "s1", "pass").spf(FROM, "pass"));
        }
        if day % 7 == 2 {
            let letter = Sent::new(Class::Known, "198.51.100.10", 2_000);
            let letter = letter.signed(FROM, "nb", "pass");
            sent.push(letter.spf("bounce.nieuwsbrief.example", "pass"));
        }
        let appointments = Sent::new(Class::Known, "203.0.113.90", busy(60)).from(APPOINTMENTS);
        let appointments = appointments.signed(FROM, "afs", "pass");
        sent.push(appointments.spf("bounce.afspraak.example", "pass"));
        sent.extend(self.customers(day, &busy));
        sent.extend(forwarded(day, &busy, chance));
        sent.extend(abuse(day, chance));
        if day >= STRANGER {
            let messages = if day == STRANGER { 1 } else { busy(60) };
            let stranger = Sent::new(Class::Unknown, STRANGER_ADDRESS, messages);
            let stranger = stranger.signed(FROM, "old2019", "pass");
            sent.push(stranger.spf("oudsysteem.example", "pass"));
        }
        sent
    }

    /// Those whose mail fails, or may fail one day.
    fn customers(&self, day: i32, busy: &impl Fn(u64) -> u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut invoices = Sent::new(Class::Known, "203.0.113.66", busy(120));
        invoices = invoices.signed("factuursaas.nl", "fs", "pass");
        if self.is_mended(Owner::Invoices, day) {
            invoices = invoices.signed(FROM, "fs", "pass");
        }
        sent.push(invoices.spf("mail.factuursaas.nl", "pass"));
        // Nobody is asked who that is until it signs: by SPF alone it passes.
        let mut partner = Sent::new(Class::Unknown, "203.0.114.7", busy(40));
        if self.is_mended(Owner::Partner, day) {
            partner = Sent::new(Class::Known, partner.address, partner.messages);
            partner = partner.signed(FROM, "pt", "pass");
        }
        sent.push(partner.spf("post.voorbeeld.nl", "pass"));
        if self
            .season
            .is_some_and(|from| (from..from + SEASON).contains(&day))
        {
            // Nobody is asked who that is while all of it is right.
            let class = if self.is_well {
                Class::Unknown
            } else {
                Class::Known
            };
            let mut tax = Sent::new(class, TAX_ADDRESS, busy(200));
            tax = tax.signed("aanslagen.example", "ta", "pass");
            if self.is_well || self.is_mended(Owner::Tax, day) {
                tax = tax.signed(FROM, "ta", "pass");
            }
            sent.push(tax.spf("bounce.aanslagen.example", "pass"));
        }
        sent
    }
}

/// Mail of ours that somebody sends on, whole or broken, and mailing lists.
fn forwarded(day: i32, busy: &impl Fn(u64) -> u64, chance: &mut Chance) -> Vec<Sent> {
    let mut sent = Vec::new();
    let forwarders = [
        "alumni.example",
        "club.example",
        "post.example",
        "thuis.example",
        "werk.example",
        "school.example",
    ];
    let place = usize::try_from(day % 6).unwrap();
    let address = format!("198.51.101.{}", 4 * place + 1);
    let messages = busy(40 + chance.below(20));
    for (result, messages) in [("pass", messages), ("fail", messages / 4)] {
        let from = if place == 1 { BELOW } else { FROM };
        let one = Sent::new(Class::Forwarding, &*address, messages).from(from);
        let one = one.signed(FROM, "s1", result);
        sent.push(match place {
            0 => one.spf(FROM, "fail"),
            _ => one.spf(forwarders[place], "pass"),
        });
    }
    // One that the receiver knows, and one that it does not.
    let list = Sent::new(Class::List, "203.0.115.1", busy(12)).by_list();
    let list = list.signed(FROM, "s1", "fail");
    sent.push(list.signed("lijst.example", "l", "pass"));
    let list = Sent::new(Class::List, "203.0.115.9", busy(20)).signed(FROM, "s1", "fail");
    let list = list.signed("groepen.example", "g", "pass");
    sent.push(list.spf("groepen.example", "pass"));
    sent
}

/// A botnet of 500 addresses, some of whose names pass a check of their own; and somebody who
/// signs what he sends with a domain of his own, day after day.
fn abuse(day: i32, chance: &mut Chance) -> Vec<Sent> {
    let mut sent = Vec::new();
    for _ in 0..3 {
        let bot = chance.below(500);
        let address = format!("100.64.{}.{}", bot / 250, bot % 250 + 1);
        let one = Sent::new(Class::Abuse, address, 40 + chance.below(100));
        sent.push(match chance.below(20) {
            0 => one.spf(format!("h{bot}-{day}.example"), "pass"),
            1 => one.signed(&format!("b{bot}-{day}.example"), "x", "pass"),
            2 => one.signed(FROM, "verzonnen", "fail").spf(FROM, "fail"),
            _ => one.spf(FROM, "softfail"),
        });
    }
    let steady = Sent::new(Class::Abuse, "203.0.120.4", 30 + chance.below(30));
    sent.push(steady.signed("opdringerig.example", "o", "pass"));
    sent
}
