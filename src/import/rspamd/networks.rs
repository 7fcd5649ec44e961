//! Which clients' mail is outbound.

use ipnet::IpNet;

use super::{Module, map};
use crate::import::{
    finding::{Code, Finding},
    setup::Setup,
};

/// `local_addrs` of rspamd as it comes, and loopback.
const LOCAL: [&str; 8] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fd00::/8",
    "fe80::/10",
];

pub(super) fn read(module: &Module<'_>, setup: &mut Setup) {
    let mut networks: Vec<IpNet> = Vec::new();
    if module.is_on("sign_local", true) {
        networks.extend(LOCAL.iter().filter_map(|text| text.parse::<IpNet>().ok()));
        let found = "sign_local: mail from private addresses is outbound (local_addrs)";
        let done = "the addresses that rspamd comes with were put into `networks` of the \
                    listener: take out those that are not yours, and add those that you added";
        setup
            .findings
            .push(Finding::new(Code::DroppedOption, found, done));
    }
    if let Some(item) = module.get("sign_networks") {
        let entries = map::entries(module, item, &mut setup.findings);
        for entry in entries.unwrap_or_default() {
            let network = entry.key.parse::<IpNet>().map(|network| network.trunc());
            match network.or_else(|_| entry.key.parse().map(|one: std::net::IpAddr| one.into())) {
                Ok(network) => networks.push(network),
                Err(_) => setup.findings.push(Finding::at(
                    Code::ClientName,
                    &entry.place,
                    format!("{:?} is neither an address nor a network", entry.key),
                    "it was left out; name its addresses in `networks` of the listener",
                )),
            }
        }
    }
    networks.sort_unstable();
    networks.dedup();
    setup.hints.networks = Some(networks);
}
