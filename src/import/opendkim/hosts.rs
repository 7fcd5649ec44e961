//! `InternalHosts`: the clients whose mail is outbound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::configuration::Configuration;
use crate::import::{
    files::Files,
    finding::{Code, Finding, Place},
    setup::Setup,
};

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

pub(super) fn read(configuration: &Configuration, files: &dyn Files, setup: &mut Setup) {
    let Some(setting) = configuration.get("InternalHosts") else {
        return;
    };
    let Some(set) = super::entries(setting, configuration, files, &mut setup.findings) else {
        return;
    };
    let mut networks = Vec::new();
    for entry in &set.entries {
        match host(&entry.key) {
            Some(found) => {
                warn_of_the_world(&found, &entry.place, &mut setup.findings);
                networks.extend(found);
            }
            None => setup.findings.push(Finding::at(
                Code::ClientName,
                &entry.place,
                format!(
                    "{:?} in {} is neither an address nor a network",
                    entry.key, setting.name
                ),
                "it was left out, since Zegel goes by the address of a client; name its \
                 addresses in `networks` of the listener",
            )),
        }
    }
    networks.sort_unstable();
    networks.dedup();
    setup.hints.networks = Some(networks);
}

/// An address, a network, or this host.
fn host(text: &str) -> Option<Vec<IpNet>> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(LOOPBACK.map(IpNet::from).to_vec());
    }
    let bare = text.replace(['[', ']'], "");
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(vec![address.to_canonical().into()]);
    }
    let network: IpNet = bare.parse().ok()?;
    Some(vec![network.trunc()])
}

fn warn_of_the_world(networks: &[IpNet], place: &Place, findings: &mut Vec<Finding>) {
    for network in networks.iter().filter(|network| network.prefix_len() == 0) {
        findings.push(Finding::at(
            Code::OpenNetworks,
            place,
            format!("by {network} all mail of the world is outbound"),
            "it was taken over as it is; if this MTA also takes mail from outside, name your \
             own networks instead, or use a listener of its own for outbound mail",
        ));
    }
}
