//! A quarter of reports about fourteen parties, made up and always the same, from the XML that
//! reporters send to the streams. What each message really is, is known: so it can be said how
//! much of it the rules tell right.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    super::{Incoming, Rollup, Store},
    made::{Chance, Sent},
    *,
};
use crate::evidence::rollup::DAY;

const FIRST: i32 = 20_000;
const DAYS: i32 = 90;
const QUARTER: Window = Window {
    from: FIRST,
    to: FIRST + DAYS - 1,
};
/// A name below, for which our relays send too.
const BELOW: &str = "dienst.voorbeeld.nl";
const RELAYS: [&str; 2] = ["192.0.2.1", "2001:db8::25"];
/// Who reports, with their share of the mail in percent. The last two leave selectors out.
const REPORTERS: [(&str, u64); 8] = [
    ("google.com", 35),
    ("outlook.com", 25),
    ("ziggo.nl", 12),
    ("kpn.com", 9),
    ("gmx.net", 6),
    ("mimecast.org", 5),
    ("oud.example", 5),
    ("kaal.example", 3),
];
const WITH_SELECTORS: usize = 6;

/// What the parties send on a day, to all reporters together. Nothing of it says who reports.
fn sent(day: i32, chance: &mut Chance) -> Vec<Sent> {
    let is_workday = day % 7 < 5;
    let busy = |messages: u64| if is_workday { messages } else { messages / 5 };
    let mut sent = Vec::new();
    // 1. Our relays, for a domain and a name below it.
    for (address, share) in RELAYS.into_iter().zip([3, 1]) {
        for (from, messages) in [(FROM, 400), (BELOW, 40)] {
            let ours = Sent::new(Class::Ours, address, busy(messages * share)).from(from);
            sent.push(ours.signed(FROM, "s1", "pass").spf(FROM, "pass"));
        }
    }
    // 2. A newsletter, aligned by DKIM only, once a week.
    if day % 7 == 2 {
        for host in 0..4 {
            let address = format!("198.51.100.{}", 10 + host);
            let letter = Sent::new(Class::Unknown, address, 700);
            let letter = letter.signed(FROM, "nb", "pass");
            sent.push(letter.spf("bounce.nieuwsbrief.example", "pass"));
        }
    }
    // 3. Invoices, signed by another domain and not aligned.
    let invoices = Sent::new(Class::Unknown, "203.0.113.66", busy(120));
    let invoices = invoices.signed("factuursaas.nl", "fs", "pass");
    sent.push(invoices.spf("mail.factuursaas.nl", "pass"));
    // 4. A party with a name below.
    let below = Sent::new(Class::Unknown, "203.0.113.90", busy(60)).from("mail.voorbeeld.nl");
    let below = below.signed("mail.voorbeeld.nl", "crm", "pass");
    sent.push(below.spf("mail.voorbeeld.nl", "pass"));
    // 5. SPF alone: the scanner in the hall.
    sent.push(Sent::new(Class::Unknown, "203.0.114.7", busy(15)).spf(FROM, "pass"));
    sent.extend(forwarded(busy, chance));
    // 8. Mailing lists: one that the receiver knows, one that it does not.
    let list = Sent::new(Class::List, "203.0.115.1", busy(12)).by_list();
    let list = list.signed(FROM, "s1", "fail");
    sent.push(list.signed("lijst.example", "l", "pass"));
    let list = Sent::new(Class::List, "203.0.115.9", busy(20)).signed(FROM, "s1", "fail");
    let list = list.signed("groepen.example", "g", "pass");
    sent.push(list.spf("groepen.example", "pass"));
    sent.extend(abuse(day, chance));
    // 10. A selector that is not ours, in DNS since long ago.
    let stranger = Sent::new(Class::Unknown, "203.0.116.5", busy(30));
    let stranger = stranger.signed(FROM, "oud2019", "pass");
    sent.push(stranger.spf("oudsysteem.example", "pass"));
    // 12. A party that the operator knows, and that moves on day 60.
    let address = if day < FIRST + 60 {
        "203.0.117.8"
    } else {
        "203.0.118.8"
    };
    let known = Sent::new(Class::Known, address, busy(50));
    sent.push(known.signed("salaris.example", "p", "pass"));
    sent
}

/// 6 and 7: mail of ours that somebody sends on, whole or broken, with a sender of theirs or ours.
fn forwarded(busy: impl Fn(u64) -> u64, chance: &mut Chance) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (place, forwarder) in [
        "alumni.example",
        "club.example",
        "post.example",
        "thuis.example",
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("198.51.101.{}", 4 * place + 1);
        let messages = busy(40 + chance.below(20));
        for (result, messages) in [("pass", messages), ("fail", messages / 4)] {
            let from = if place == 1 { BELOW } else { FROM };
            let one = Sent::new(Class::Forwarding, &*address, messages).from(from);
            let one = one.signed(FROM, "s1", result);
            sent.push(match place {
                0 => one.spf(FROM, "fail"),
                _ => one.spf(forwarder, "pass"),
            });
        }
    }
    sent
}

/// 9, 13 and 14: a botnet of 500 addresses; some of its names pass a check of their own; noise.
fn abuse(day: i32, chance: &mut Chance) -> Vec<Sent> {
    let mut sent = Vec::new();
    for _ in 0..60 {
        let bot = chance.below(500);
        let address = format!("100.64.{}.{}", bot / 250, bot % 250 + 1);
        let one = Sent::new(Class::Abuse, address, 1 + chance.below(9));
        sent.push(match chance.below(40) {
            0 => one.spf(format!("h{bot}-{day}.example"), "pass"),
            1 => one.signed(&format!("b{bot}-{day}.example"), "x", "pass"),
            2 => one.signed(FROM, "verzonnen", "fail").spf(FROM, "fail"),
            _ => one.spf(FROM, "softfail"),
        });
    }
    if chance.below(4) == 0 {
        let name = format!("klein{}.example", day % 11);
        let one = Sent::new(Class::Abuse, "100.65.1.1", 1 + chance.below(2));
        sent.push(one.signed(&name, "k", "pass"));
    }
    sent
}

/// The quarter: the text of each report with its reporter, and the messages of each class.
fn quarter() -> (Vec<(&'static str, String)>, BTreeMap<Class, u64>) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut truth = BTreeMap::new();
    let mut reports = Vec::new();
    for day in QUARTER.from..=QUARTER.to {
        let sent = sent(day, &mut chance);
        for (place, (reporter, share)) in REPORTERS.into_iter().enumerate() {
            let mut records = String::new();
            for one in &sent {
                // A part of each, and by chance one more of what is left.
                let whole = one.messages * share;
                let messages = whole / 100 + u64::from(chance.below(100) < whole % 100);
                if messages == 0 {
                    continue;
                }
                *truth.entry(one.truth.unwrap()).or_default() += messages;
                let part = Sent {
                    messages,
                    ..one.clone()
                };
                records += &part.record(place < WITH_SELECTORS, "quarantine");
            }
            if !records.is_empty() {
                reports.push((reporter, text(reporter, day, &records)));
            }
        }
    }
    (reports, truth)
}

fn text(reporter: &str, day: i32, records: &str) -> String {
    let begin = i64::from(day) * DAY;
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>{reporter}</org_name>\
         <email>dmarc@{reporter}</email><report_id>{day}</report_id><date_range><begin>{begin}\
         </begin><end>{}</end></date_range></report_metadata><policy_published><domain>{FROM}\
         </domain><p>none</p></policy_published>{records}</feedback>",
        begin + DAY - 1
    )
}

/// Reads these reports into the store.
fn ingest<'a>(store: &mut Store, reports: impl Iterator<Item = &'a (&'static str, String)>) {
    let relays: Vec<IpAddr> = RELAYS.map(|relay| relay.parse().unwrap()).into();
    store.begin().unwrap();
    for (reporter, text) in reports {
        let report = read(text, i64::from(QUARTER.to + 2) * DAY);
        let rollup = Rollup::new(&report, |_| true, |address| relays.contains(&address));
        let incoming = Incoming {
            reporter,
            report: &report,
            rollup: &rollup,
            authenticated: Some(true),
            today: QUARTER.to + 1,
        };
        store.add(incoming).unwrap();
    }
    store.commit().unwrap();
}

fn sort(store: &Store, window: Window) -> Vec<Stream> {
    let relays = RELAYS.map(|relay| relay.parse().unwrap());
    let evidence = store.evidence(FROM, usize::MAX, |_| true).unwrap();
    streams(FROM, &evidence, &ours(), &relays, window, |_| true)
}

fn name_known(store: &mut Store, id: &str, window: Window) {
    let streams = sort(store, window);
    let stream = streams.iter().find(|stream| stream.id == id).unwrap();
    let name = Name {
        class: Class::Known,
        label: None,
        owner: None,
        networks: stream.main_networks(),
    };
    store.set_name(FROM, id, Some(&name), 0).unwrap();
}

fn by_class(streams: &[Stream]) -> BTreeMap<Class, u64> {
    let mut sums = BTreeMap::new();
    for stream in streams {
        *sums.entry(stream.class).or_default() += stream.messages;
    }
    sums
}

/// Everything that is said of the streams.
fn told(store: &Store) -> String {
    format!("{:#?}", sort(store, QUARTER))
}

#[test]
fn a_quarter_of_fourteen_parties_is_sorted_right() {
    let (reports, mut truth) = quarter();
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let moves = reports.len() * 60 / 90;
    ingest(&mut store, reports[..moves].iter());
    let before = Window {
        to: FIRST + 59,
        ..QUARTER
    };
    name_known(&mut store, "via:salaris.example", before);
    ingest(&mut store, reports[moves..].iter());

    let streams = sort(&store, QUARTER);
    let table: Vec<String> = streams
        .iter()
        .map(|one| format!("{} {} {} {}", one.rule, one.class, one.id, one.messages))
        .collect();
    let table = table.join("\n");
    assert!(streams.len() <= 25, "{}\n{table}", streams.len());
    let all: u64 = truth.values().sum();
    let sum: u64 = streams.iter().map(|stream| stream.messages).sum();
    assert_eq!(sum, all, "{table}");
    let weeks: u64 = streams.iter().flat_map(|stream| &stream.weeks).sum();
    assert_eq!(weeks, all, "{table}");

    // By From domain they are the same streams, and add up too.
    let evidence = store.evidence(FROM, usize::MAX, |_| true).unwrap();
    let by_from = [FROM, BELOW, "mail.voorbeeld.nl"].map(|from| {
        let relays = RELAYS.map(|relay| relay.parse().unwrap());
        let part = super::streams(FROM, &evidence, &ours(), &relays, QUARTER, |name| {
            name == from
        });
        assert!(
            part.iter()
                .all(|one| streams.iter().any(|whole| whole.id == one.id))
        );
        part.iter().map(|stream| stream.messages).sum::<u64>()
    });
    assert_eq!(by_from.iter().sum::<u64>(), all, "{by_from:?}");

    // What was known moved, and is to be looked at again.
    let payroll = streams.iter().find(|one| one.id == "via:salaris.example");
    let payroll = payroll.unwrap();
    assert_eq!(
        (payroll.class, payroll.changed),
        (Class::Unknown, Some(Changed::Network))
    );
    let unmoved = sort(&store, before);
    let unmoved = unmoved.iter().find(|one| one.id == payroll.id).unwrap();
    assert_eq!(unmoved.class, Class::Known);
    let known = truth.remove(&Class::Known).unwrap();
    *truth.entry(Class::Unknown).or_default() += known;

    let found = by_class(&streams);
    for (class, messages) in &truth {
        let told = found.get(class).copied().unwrap_or_default();
        let wrong = told.abs_diff(*messages);
        assert!(
            wrong * 100 <= messages * 3,
            "{class}: {told} of {messages}\n{table}"
        );
    }
    assert_eq!(found.len(), truth.len(), "{table}");
    // The operator looks again, and says the same.
    name_known(&mut store, "via:salaris.example", QUARTER);
    let again = sort(&store, QUARTER);
    let again = again.iter().find(|one| one.id == payroll.id).unwrap();
    assert_eq!((again.class, again.changed), (Class::Known, None));
}

#[test]
fn the_order_of_a_month_and_its_doubles_change_nothing() {
    let (mut reports, _) = quarter();
    reports.truncate(30 * REPORTERS.len());
    let stores = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let mut first = Store::open(stores[0].path()).unwrap();
    ingest(&mut first, reports.iter());
    let mut other = Store::open(stores[1].path()).unwrap();
    let mut mixed: Vec<&(&str, String)> = reports.iter().chain(&reports).collect();
    let mut chance = Chance(7);
    for place in (1..mixed.len()).rev() {
        let with = usize::try_from(chance.below(place as u64 + 1)).unwrap();
        mixed.swap(place, with);
    }
    ingest(&mut other, mixed.into_iter());
    assert_eq!(told(&first), told(&other));
}
