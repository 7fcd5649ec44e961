//! The zones of those who are slow, endless or broken, by intention or not.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::SELECTOR;
use super::strangers::{Manner, Stranger, Tcp};
use super::support::name_world::{World, WrittenZone};

const SILENT: u8 = 64;
const FIRST_SILENT: u8 = 100;
const LATE: u8 = 170;
const TRICKLE: u8 = 171;
const MUTE: u8 = 172;
const REFUSED: u8 = 173;
const FORGED: u8 = 174;
/// Longer than the first answer of a server is waited for.
const DELAY: Duration = Duration::from_secs(3);

/// An organisation that has nothing but such zones.
pub(super) struct Hostile {
    pub(super) id: &'static str,
    pub(super) domains: Vec<String>,
    zones: Vec<WrittenZone>,
}

impl Hostile {
    fn new(id: &'static str, domains: usize, zones: Vec<WrittenZone>) -> Self {
        let names = zones.iter().take(domains).map(|zone| zone.name.clone());
        Self {
            id,
            domains: names.collect(),
            zones,
        }
    }
}

/// Sets the zones, and gives the organisations and the servers.
pub(super) fn hostile(world: &World) -> (Vec<Hostile>, Vec<Stranger>) {
    let primary = world.primary.address();
    let served = |id, last| Hostile::new(id, 1, vec![served_by(id, world.address(last))]);
    let hostile = vec![
        Hostile::new("chain", 1, chain(world)),
        Hostile::new("crowd", 4, crowd(world)),
        Hostile::new("mob", 1, vec![mob(primary)]),
        served("silent", FIRST_SILENT),
        served("late", LATE),
        served("trickle", TRICKLE),
        served("mute", MUTE),
        served("refused", REFUSED),
        served("forged", FORGED),
        Hostile::new(
            "named",
            1,
            vec![named_by(
                "named",
                "ns.late.example.",
                "@ NS ns.late.example.\n",
            )],
        ),
        Hostile::new(
            "nowhere",
            1,
            vec![named_by("nowhere", "ns.nothing.example.", "")],
        ),
        Hostile::new(
            "ring",
            1,
            vec![
                named_by("ring", "ns.ring-back.example.", ""),
                named_by("ring-back", "ns.ring.example.", ""),
            ],
        ),
        // The secondary has no such zone.
        Hostile::new(
            "lame",
            1,
            vec![served_by("lame", world.secondary.address())],
        ),
    ];
    let zones: Vec<_> = hostile.iter().flat_map(|one| one.zones.clone()).collect();
    world.set_written(&zones);
    let start = |(last, manner)| Stranger::start(world.address(last), primary, manner);
    let silent = (0..SILENT).map(|number| (FIRST_SILENT + number, Manner::Silent));
    let others = [
        (LATE, Manner::Late(DELAY)),
        (TRICKLE, Manner::Truncated(Tcp::Trickle)),
        (MUTE, Manner::Truncated(Tcp::Mute)),
        (REFUSED, Manner::Truncated(Tcp::Refused)),
        (FORGED, Manner::Forged),
    ];
    (hostile, silent.chain(others).map(start).collect())
}

/// Four zones that lead from one to the next, each with one server that answers and 16 addresses
/// that do not.
fn chain(world: &World) -> Vec<WrittenZone> {
    let primary = world.primary.address();
    let zone = |number: u8| {
        let mut zone = served_by(&format!("chain{number}"), primary);
        zone.records.push_str("@ NS many\n");
        for place in 0..16 {
            let address = world.address(FIRST_SILENT + 16 * number + place);
            writeln!(zone.records, "many A {address}").expect("a string takes everything");
        }
        let next = format!("{SELECTOR}._domainkey.chain{}.example.", number + 1);
        if number < 3 {
            let alias = format!("{SELECTOR}._domainkey CNAME {next}\n");
            zone.records.push_str(&alias);
        }
        zone
    };
    (0..4).map(zone).collect()
}

/// Four zones that each name the silent addresses by 13 names, and one server that answers.
fn crowd(world: &World) -> Vec<WrittenZone> {
    let zone = |number: u8| {
        let mut zone = served_by(&format!("crowd{number}"), world.primary.address());
        for host in 0..13 {
            writeln!(zone.records, "@ NS host{host}").expect("a string takes everything");
            for place in 0..5 {
                let address = world.address(FIRST_SILENT + (5 * host + place) % SILENT);
                let line = format!("host{host} A {address}\n");
                zone.records.push_str(&line);
            }
        }
        zone
    };
    (0..4).map(zone).collect()
}

/// A zone with 200 name servers, all of them good.
fn mob(primary: Ipv4Addr) -> WrittenZone {
    let mut zone = served_by("mob", primary);
    for number in 0..200 {
        let lines = format!("@ NS host{number}\nhost{number} A {primary}\n");
        zone.records.push_str(&lines);
    }
    zone
}

/// A zone with its one server at this address.
fn served_by(name: &str, address: Ipv4Addr) -> WrittenZone {
    let name = format!("{name}.example");
    WrittenZone {
        delegation: format!("{name}. NS ns1.{name}.\nns1.{name}. A {address}\n"),
        // The other name is for another zone.
        records: format!("@ NS ns1\nns1 A {address}\nns A {address}\n"),
        name,
    }
}

/// A zone with its one server under a name elsewhere.
fn named_by(name: &str, server: &str, records: &str) -> WrittenZone {
    let name = format!("{name}.example");
    WrittenZone {
        delegation: format!("{name}. NS {server}\n"),
        records: records.to_owned(),
        name,
    }
}
