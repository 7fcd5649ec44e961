//! `keyring.json`: what is read is written as it was, in today's version, and no keyring makes
//! the keeper stumble, whatever times are in it.
//!
//! Input: what the DNS shows of each key in turn, as many octets as a NUL comes behind; then
//! the file.
#![no_main]

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use zegel::{
    dkim::Algorithm,
    keys::{Clock, Delegated, Keyring, Moment, Reported, Sight, Situation, Timing},
    names::DomainName,
};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&octet| octet == 0).unwrap_or(0);
    let (sights, json) = input.split_at(end);
    let json = json.strip_prefix(b"\0").unwrap_or(json);
    let Ok(keyring) = Keyring::parse(json) else {
        return;
    };
    let written = reread(&keyring);
    assert_eq!(written.keys(), keyring.keys());
    assert_eq!(written.suspended(), keyring.suspended());
    assert_eq!(reread(&written), written);

    let domains: BTreeSet<&DomainName> = keyring
        .keys()
        .iter()
        .flat_map(|key| key.publications.keys())
        .collect();
    let domains: Vec<DomainName> = domains.into_iter().take(8).cloned().collect();
    let hours = Duration::from_hours;
    let timing = Timing {
        check_every: hours(1),
        settle: Duration::from_mins(10),
        drain: hours(7 * 24),
        longest_expiry: hours(14 * 24),
        rotate_every: hours(26 * 7 * 24),
        lead_time: hours(30 * 24),
    };
    let now = Timestamp::new(1_790_000_000, 0).expect("a time");
    let place = Cell::new(0);
    let sight = |_: &_, _: &_| {
        let octet = sights.get(place.get()).copied().unwrap_or_default();
        place.set(place.get() + 1);
        sight(octet)
    };
    let clock = [Clock::Steady, Clock::Jumped][sights.len() % 2];
    let situation = Situation {
        keyring: &keyring,
        domains: &domains,
        incoming: &[],
        delegated: Delegated::default(),
        reported: Reported::default(),
        away: &[],
        algorithms: &Algorithm::ALL,
        timing: &timing,
    };
    let plan = situation.plan(Moment { now, clock }, sight);

    let mut next = written;
    if let Err((change, refusal)) = next.apply(&plan.changes) {
        panic!("the plan itself is refused: {refusal} ({change:?})");
    }
    assert_eq!(reread(&next), next);
    for domain in &domains {
        for algorithm in Algorithm::ALL {
            let signed = keyring.active_key(domain, algorithm).is_some();
            let signs = next.active_key(domain, algorithm).is_some();
            assert!(signs || !signed, "{domain} is left without a key");
        }
    }
});

fn reread(keyring: &Keyring) -> Keyring {
    let json = keyring.to_json().expect("what was read can be written");
    Keyring::parse(&json).expect("what was written can be read")
}

fn sight(octet: u8) -> Sight {
    let ttl = Duration::from_secs(1 << (octet >> 3));
    match octet & 7 {
        0 => Sight::Unknown,
        1 => Sight::Absent { negative_ttl: ttl },
        2 => Sight::RevokedEverywhere,
        3 => Sight::Partly,
        4 => Sight::Wrong,
        _ => Sight::Everywhere {
            ttl,
            negative_ttl: ttl,
        },
    }
}
