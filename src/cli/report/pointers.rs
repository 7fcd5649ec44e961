//! What addresses are called in the DNS, for an operator who asks.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use tokio::{runtime::Builder, task::JoinSet};

use crate::{
    cli::{failure::Failure, output::warn},
    config::KeeperSettings,
    dns::{DnsError, Resolver},
};

/// So many addresses are asked for, the largest first.
const MOST: usize = 10;

/// The names of the addresses with most messages, by the word of their owners: they prove nothing.
/// One without a name has none here.
pub(super) fn names(
    sources: &BTreeMap<IpAddr, u64>,
    settings: &KeeperSettings,
) -> Result<BTreeMap<IpAddr, Vec<String>>, Failure> {
    let mut addresses: Vec<(&IpAddr, &u64)> = sources.iter().collect();
    addresses.sort_by_key(|(_, messages)| Reverse(**messages));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the DNS cannot be asked: {error}")))?;
    runtime.block_on(async {
        let resolver = Resolver::new(&settings.resolvers)?;
        let mut asked = JoinSet::new();
        for (address, _) in addresses.into_iter().take(MOST) {
            let (address, resolver) = (*address, resolver.clone());
            asked.spawn(async move { (address, resolver.names(address).await) });
        }
        let mut found = BTreeMap::new();
        for (address, answer) in asked.join_all().await {
            match answer {
                Ok(names) => drop(found.insert(address, names)),
                Err(DnsError::NoRecord | DnsError::NoSuchName) => {}
                Err(error) => warn(format_args!("the name of {address}: {error}")),
            }
        }
        Ok(found)
    })
}
