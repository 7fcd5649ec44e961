//! Organisations against listeners: who is bound to a sender whose mail no listener takes for
//! outbound. Mail is signed only if it is outbound and the organisation lets its sender pass.

use std::{fmt::Write, path::Path, sync::Arc};

use ipnet::IpNet;

use super::{
    problem::{Fault, Report, Site},
    settings::{ListenerSettings, Outbound},
};
use crate::organisation::{Organisation, Senders, remainder};

/// A warning for each binding in the files of `folder` that lets nobody pass, or not all of
/// whom it names.
pub(super) fn check(
    organisations: &[Arc<Organisation>],
    listeners: &[ListenerSettings],
    folder: &Path,
    report: &Report,
) {
    let Some(reach) = Reach::of(listeners) else {
        return;
    };
    for organisation in organisations {
        let Some(senders) = &organisation.senders else {
            continue;
        };
        let faults = [
            ("networks", reach.fault_of_networks(senders)),
            ("auth", reach.fault_of_logins(senders)),
        ];
        for (key, fault) in faults {
            if let Some(fault) = fault {
                let file = folder.join(format!("{}.toml", organisation.id));
                report.warning(&Site::file(&file).child("senders").child(key), fault);
            }
        }
    }
}

/// Whose mail is outbound on one listener or another.
struct Reach {
    /// Everybody's who logged in.
    logins: bool,
    networks: Vec<IpNet>,
}

impl Reach {
    /// None if one of them takes all mail.
    fn of(listeners: &[ListenerSettings]) -> Option<Self> {
        let mut reach = Self {
            logins: false,
            networks: Vec::new(),
        };
        for listener in listeners {
            match &listener.outbound {
                Outbound::All => return None,
                Outbound::Rule {
                    authenticated,
                    networks,
                    without_address: _,
                } => {
                    reach.logins |= authenticated;
                    reach.networks.extend(networks);
                }
            }
        }
        reach.networks.sort_unstable();
        reach.networks.dedup();
        Some(reach)
    }

    fn fault_of_networks(&self, senders: &Senders) -> Option<Fault> {
        let networks = senders.networks.iter();
        let outside: Vec<IpNet> = networks.flat_map(|one| self.outside(*one)).collect();
        if outside.is_empty() {
            return None;
        }
        let unless = if self.logins {
            ", unless the client logged in"
        } else {
            ""
        };
        let outside = list(&outside);
        Some(Fault::new(
            format!("no listener takes mail from {outside} for outbound{unless}: it is not signed"),
            "add the network to the outbound rule of its listener in zegel.toml and restart, or \
             take it out here",
        ))
    }

    /// What of a network no listener takes for outbound.
    fn outside(&self, network: IpNet) -> Vec<IpNet> {
        let outside = remainder(network, &self.networks);
        // This host comes from 127.0.0.1: who lists that has all that is used of 127.0.0.0/8.
        let usual = IpNet::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let is_loopback = network.addr().is_loopback() && network.contains(&usual);
        if is_loopback && !outside.iter().any(|one| one.contains(&usual)) {
            return Vec::new();
        }
        outside
    }

    fn fault_of_logins(&self, senders: &Senders) -> Option<Fault> {
        if self.logins || senders.auth.is_empty() {
            return None;
        }
        Some(Fault::new(
            format!(
                "no listener takes mail for outbound because its client logged in: these logins \
                 count only for clients in {}",
                list(&self.networks)
            ),
            "set authenticated = true in the outbound rule of their listener in zegel.toml and \
             restart, or take them out here",
        ))
    }
}

/// The first of them, and how many more there are.
fn list(networks: &[IpNet]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = networks
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    let mut text = shown.join(", ");
    if networks.len() > SHOWN {
        // Writing to a text does not fail.
        let _ = write!(text, " and {} more", networks.len() - SHOWN);
    }
    text
}
