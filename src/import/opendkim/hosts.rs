//! Lists of clients: what `dkimf_checkip` of OpenDKIM 2.11 finds in one.
//!
//! It asks for the address, and then for each network around it from the smallest to the whole
//! world, each with `!` before it first, and each as a text: only what is written exactly so
//! is found.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv6Net};

use crate::{
    import::{
        finding::Code,
        setup::Setup,
        table::{Comparison, DataSet, Entry},
    },
    organisation::{WrittenNetwork, remainder},
};

/// The name of this host is asked for before its addresses.
const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// In which order OpenDKIM asks for what is said of one network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Name,
    Address,
    AddressInBrackets,
    Network,
    NetworkInBrackets,
}

/// An entry that may be found.
struct Found {
    network: IpNet,
    rank: Rank,
    negated: bool,
}

/// What becomes of an entry.
enum Reading {
    Found(Found),
    /// Nobody is ever found by it, and why.
    Never(String),
    /// It may be the name of a client, or a pattern.
    Name,
}

/// The clients that are in a list, in networks that do not overlap. What is not taken is said.
pub(super) fn clients(list: &DataSet, setting: &str, setup: &mut Setup) -> Vec<IpNet> {
    let mut rules: BTreeMap<IpNet, (Rank, bool)> = BTreeMap::new();
    for entry in &list.entries {
        let founds = match read(entry, list.comparison) {
            Reading::Found(found) => vec![found],
            Reading::Name if entry.key.eq_ignore_ascii_case("localhost") => {
                let networks = LOCALHOST.map(IpNet::from).into_iter();
                let of_name = |network| Found {
                    network,
                    rank: Rank::Name,
                    negated: false,
                };
                networks.map(of_name).collect()
            }
            reading => {
                say_left_out(entry, &reading, setting, setup);
                continue;
            }
        };
        for Found {
            network,
            rank,
            negated,
        } in founds
        {
            // Of two at one place, the one with `!` is asked for first.
            let rule = (rank, !negated);
            let known = rules.entry(network).or_insert(rule);
            *known = (*known).min(rule);
        }
    }
    outcome(&rules)
}

/// An address is in the list if the smallest network around it is.
fn outcome(rules: &BTreeMap<IpNet, (Rank, bool)>) -> Vec<IpNet> {
    let has_negated = rules.values().any(|(_, taken)| !taken);
    let taken = rules.iter().filter(|(_, (_, taken))| *taken);
    let mut networks: Vec<IpNet> = Vec::new();
    for (network, _) in taken {
        if has_negated {
            let inside = |other: &&IpNet| *other != network && network.contains(*other);
            let others: Vec<IpNet> = rules.keys().filter(inside).copied().collect();
            networks.extend(remainder(*network, &others));
        } else {
            networks.push(*network);
        }
    }
    if has_negated {
        networks = IpNet::aggregate(&networks);
    }
    let mut networks = without_mapped(networks);
    networks.sort_unstable();
    networks.dedup();
    networks
}

/// A part of IPv6 around the addresses that are IPv4 in another form would be no network for
/// zegel.toml. No client has such an address.
fn without_mapped(networks: Vec<IpNet>) -> Vec<IpNet> {
    let Ok(mapped) = Ipv6Net::new(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96) else {
        return networks;
    };
    let mapped = [IpNet::from(mapped)];
    let is_odd = |network: &IpNet| network.prefix_len() > 0 && network.contains(&mapped[0]);
    let parts = networks.into_iter().map(|network| {
        if is_odd(&network) {
            remainder(network, &mapped)
        } else {
            vec![network]
        }
    });
    parts.flatten().collect()
}

fn read(entry: &Entry, comparison: Comparison) -> Reading {
    let (negated, text) = match entry.key.strip_prefix('!') {
        Some(text) => (true, text),
        None => (false, entry.key.as_str()),
    };
    if entry.indented {
        return Reading::Never("it begins with white space".to_owned());
    }
    let Ok(written) = text.parse::<WrittenNetwork>() else {
        return Reading::Name;
    };
    if comparison == Comparison::Wildcards && text.starts_with('[') {
        return Reading::Never("brackets mean something else in a refile:".to_owned());
    }
    let network = written.network();
    let forms = [
        (Rank::Address, network.addr().to_string()),
        (Rank::AddressInBrackets, format!("[{}]", network.addr())),
        (Rank::Network, network.to_string()),
        (
            Rank::NetworkInBrackets,
            format!("[{}]/{}", network.addr(), network.prefix_len()),
        ),
    ];
    let is_whole = network.prefix_len() == network.max_prefix_len();
    let mut forms = forms
        .iter()
        .filter(|(rank, _)| is_whole || *rank >= Rank::Network);
    match forms.find(|(_, form)| form.eq_ignore_ascii_case(text)) {
        Some((rank, _)) => Reading::Found(Found {
            network,
            rank: *rank,
            negated,
        }),
        None => Reading::Never(format!("OpenDKIM only looks for {network}")),
    }
}

fn say_left_out(entry: &Entry, reading: &Reading, setting: &str, setup: &mut Setup) {
    let Entry { key, place, .. } = entry;
    let (code, found, done) = match reading {
        Reading::Never(reason) => (
            Code::NeverMatches,
            format!("no client is ever like {key} in {setting}: {reason}"),
            "it was left out; if its clients are meant, name them in `networks` of the listener",
        ),
        _ if key.starts_with('!') => (
            Code::ClientName,
            format!("{key:?} in {setting} exempts a client by its name"),
            "it was left out, since Zegel goes by the address of a client; see that `networks` \
             of the listener holds none of its addresses",
        ),
        _ => (
            Code::ClientName,
            format!("{key:?} in {setting} is neither an address nor a network"),
            "it was left out, since Zegel goes by the address of a client; name its addresses in \
             `networks` of the listener",
        ),
    };
    setup.say(code, place, found, done);
}

/// What is in `networks`, and in none of the others.
pub(super) fn without(networks: &[IpNet], others: &[IpNet]) -> Vec<IpNet> {
    let rest = networks
        .iter()
        .flat_map(|network| remainder(*network, others));
    without_mapped(rest.collect())
}
