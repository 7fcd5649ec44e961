//! A small internet of names on loopback addresses: a root, a primary and a secondary (NSD), and
//! a resolver (unbound) that starts at that root.
//!
//! ```text
//!   resolver 127.a.b.53 ──> root 127.a.b.3 ──> primary 127.a.b.1 ──AXFR──> secondary 127.a.b.2
//! ```
//!
//! Everything listens on port 53, as the world does. A secondary takes a zone from the primary
//! when [`World::transfer`] says so, and not before: nobody notifies it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::name_server::{NameServer, Network, Source, counter, run};
use super::process::{GUARD, Supervised, program, read_lossy};
use super::{open_folder, require_root};

const UNBOUND: &str = "/usr/sbin/unbound";
const UNBOUND_CONTROL: &str = "/usr/sbin/unbound-control";

/// One unbound. Stops when dropped.
#[derive(Debug)]
pub struct NameResolver {
    process: RefCell<Option<Supervised>>,
    folder: tempfile::TempDir,
    address: Ipv4Addr,
}

impl NameResolver {
    /// Starts one that begins every search at this root.
    pub fn start(address: Ipv4Addr, root: Ipv4Addr) -> Self {
        require_root();
        let folder = open_folder("unbound");
        let hints = format!(". 3600 NS a.root.\na.root. 3600 A {root}\n");
        fs::write(folder.path().join("root.hints"), hints).expect("root hints");
        let configuration = folder.path().join("unbound.conf");
        fs::write(&configuration, unbound_conf(folder.path(), address)).expect("unbound.conf");
        let resolver = Self {
            process: RefCell::new(None),
            folder,
            address,
        };
        resolver.resume();
        resolver
    }

    /// Ends the process until [`NameResolver::resume`].
    pub fn pause(&self) {
        self.process.take();
    }

    /// Starts the process again; what it knew is forgotten.
    pub fn resume(&self) {
        let configuration = self.folder.path().join("unbound.conf");
        let output = self.folder.path().join("output");
        let script = format!(
            "{GUARD} guard 'kill \"$daemon\"' {} -d -p -c \"$0\"",
            program(UNBOUND)
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(&configuration);
        let mut process = Supervised::start("unbound", command, &output);
        process.wait_until(
            "unbound-control answers",
            || read_lossy(&output),
            || run(program(UNBOUND_CONTROL), &configuration, &["status"]).is_ok(),
        );
        self.process.replace(Some(process));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.address, 53).into()
    }

    /// How many questions came in since the start.
    pub fn questions(&self) -> u64 {
        let configuration = self.folder.path().join("unbound.conf");
        let statistics = run(UNBOUND_CONTROL, &configuration, &["stats_noreset"]);
        counter(&statistics.expect("statistics"), "total.num.queries")
    }

    /// Forgets everything about the zone and all below it.
    pub fn flush(&self, zone: &str) {
        let configuration = self.folder.path().join("unbound.conf");
        for command in ["flush_zone", "flush_infra"] {
            let what = if command == "flush_infra" {
                "all"
            } else {
                zone
            };
            run(UNBOUND_CONTROL, &configuration, &[command, what]).expect("a flush");
        }
    }
}

/// A zone that need not be served where it is delegated to.
#[derive(Clone, Debug)]
pub struct WrittenZone {
    pub name: String,
    /// What the root has of it.
    pub delegation: String,
    /// What the zone has below its SOA; where this is empty, there is no zone.
    pub records: String,
}

/// All of it. Every zone that is set is delegated by the root to `ns1` and `ns2` in itself: the
/// primary and the secondary.
#[derive(Debug)]
pub struct World {
    pub primary: NameServer,
    pub secondary: NameServer,
    pub resolver: NameResolver,
    root: NameServer,
    delegations: RefCell<BTreeMap<String, String>>,
    network: Network,
}

impl World {
    /// A world in which the secondary has its zones from the primary.
    pub fn start() -> Self {
        let network = Network::free();
        let source = Source::Primary(network.address(1));
        Self::with(network, source)
    }

    /// A world in which both servers have what the test gives to each.
    pub fn of_two_primaries() -> Self {
        Self::with(Network::free(), Source::Files)
    }

    fn with(network: Network, source: Source) -> Self {
        let world = Self {
            primary: NameServer::start(network.address(1), Source::Files),
            secondary: NameServer::start(network.address(2), source),
            root: NameServer::start(network.address(3), Source::Files),
            resolver: NameResolver::start(network.address(53), network.address(3)),
            delegations: RefCell::default(),
            network,
        };
        world.write_root();
        world
    }

    /// An address of this world that nothing listens on.
    pub fn dead_address(&self) -> Ipv4Addr {
        self.network.address(99)
    }

    /// An address of this world for a server of the test's own, which takes octets from 100 on.
    pub fn address(&self, last: u8) -> Ipv4Addr {
        assert!(last >= 100, "taken by the servers of this world");
        self.network.address(last)
    }

    /// One more resolver, at the address with this last octet, that begins every search at the
    /// same root.
    pub fn another_resolver(&self, last: u8) -> NameResolver {
        NameResolver::start(self.network.address(last), self.root.address())
    }

    /// The TTL in seconds of the zones that are set from now on, and of negative answers.
    pub fn set_ttl(&self, ttl: u32) {
        self.primary.set_ttl(ttl);
        self.secondary.set_ttl(ttl);
    }

    /// The records that name both servers, for a zone that is set by hand.
    pub fn servers(&self) -> String {
        format!(
            "@ NS ns1\n@ NS ns2\nns1 A {}\nns2 A {}\n",
            self.primary.address(),
            self.secondary.address()
        )
    }

    /// Sets the zone on the primary alone; the records are in the form of zone files.
    pub fn set_zone(&self, zone: &str, records: &str) {
        self.delegate(zone);
        let records = format!("{}{records}", self.servers());
        self.primary.set_zone(zone, &records);
    }

    /// Brings the secondary up to the primary's serial number, and makes the resolver forget.
    pub fn transfer(&self, zone: &str) {
        let serial = self.primary.serial_of(zone);
        self.secondary.transfer(zone, serial);
        self.resolver.flush(zone);
    }

    /// Sets the zone on both, each by its own file.
    pub fn set_both(&self, zone: &str, records: &str) {
        self.set_zone(zone, records);
        let records = format!("{}{records}", self.servers());
        self.secondary.set_zone(zone, &records);
        self.resolver.flush(zone);
    }

    /// Sets many new zones on both at once.
    pub fn set_many(&self, zones: &[(String, String)]) {
        for (zone, _) in zones {
            let new = self.delegation(zone);
            self.delegations.borrow_mut().insert(zone.clone(), new);
        }
        self.write_root();
        let servers = self.servers();
        let with_servers =
            |(zone, records): &(String, String)| (zone.clone(), format!("{servers}{records}"));
        let zones: Vec<_> = zones.iter().map(with_servers).collect();
        self.primary.set_zones(&zones);
        self.secondary.set_zones(&zones);
        self.resolver.flush(".");
    }

    /// Sets zones anew on both that were set before.
    pub fn replace_many(&self, zones: &[(String, String)]) {
        let servers = self.servers();
        let with_servers =
            |(zone, records): &(String, String)| (zone.clone(), format!("{servers}{records}"));
        let zones: Vec<_> = zones.iter().map(with_servers).collect();
        self.primary.replace_zones(&zones);
        self.secondary.replace_zones(&zones);
        self.resolver.flush(".");
    }

    /// Sets these zones as they are written, on the primary alone.
    pub fn set_written(&self, zones: &[WrittenZone]) {
        let mut served = Vec::new();
        for zone in zones {
            let delegation = zone.delegation.clone();
            let mut known = self.delegations.borrow_mut();
            known.insert(zone.name.clone(), delegation);
            if !zone.records.is_empty() {
                served.push((zone.name.clone(), zone.records.clone()));
            }
        }
        self.write_root();
        self.primary.set_zones(&served);
        self.resolver.flush(".");
    }

    fn delegation(&self, zone: &str) -> String {
        format!(
            "{zone}. NS ns1.{zone}.\n{zone}. NS ns2.{zone}.\nns1.{zone}. A {}\nns2.{zone}. A {}\n",
            self.primary.address(),
            self.secondary.address()
        )
    }

    /// Lets the root name both servers for the zone.
    pub fn delegate(&self, zone: &str) {
        let new = self.delegation(zone);
        let known = self
            .delegations
            .borrow_mut()
            .insert(zone.to_owned(), new.clone());
        if known.as_ref() != Some(&new) {
            self.write_root();
            self.resolver.flush(".");
        }
    }

    fn write_root(&self) {
        let mut records = format!("@ NS a.root.\na.root. A {}\n", self.root.address());
        for delegation in self.delegations.borrow().values() {
            write!(records, "{delegation}").expect("a string takes everything");
        }
        self.root.set_zone(".", &records);
    }
}

fn unbound_conf(folder: &Path, address: Ipv4Addr) -> String {
    format!(
        r#"server:
    interface: {address}
    outgoing-interface: {address}
    port: 53
    num-threads: 1
    do-ip6: no
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "iterator"
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    root-hints: "{folder}/root.hints"
    infra-host-ttl: 1
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: "{folder}/control"
"#,
        folder = folder.display()
    )
}
