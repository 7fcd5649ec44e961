//! A name server (NSD) on a loopback address, port 53.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, create_dir_all};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::{GUARD, Supervised, program, read_lossy};
use super::{open_folder, require_root};

const NSD: &str = "/usr/sbin/nsd";
const NSD_CONTROL: &str = "/usr/sbin/nsd-control";
/// How long a reload or a transfer may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The TTL of what has no other, and of negative answers, unless a test says other.
pub const TTL: u32 = 60;

/// A network 127.a.b.0/24 that no other test uses, in this process or another, while this lives.
#[derive(Debug)]
pub struct Network {
    octets: [u8; 2],
    _lock: File,
}

impl Network {
    /// Locks one.
    pub fn free() -> Self {
        let folder = std::env::temp_dir().join("zegel-testbed-networks");
        create_dir_all(&folder).expect("a folder for locks below the temporary folder");
        let start = std::process::id();
        for step in 0..10_000 {
            let number = (start + step) % 10_000;
            // From 127.100.0.0 on: away from what systems use.
            let octet = |value: u32| u8::try_from(value).expect("below 256");
            let octets = [octet(100 + number / 100), octet(number % 100)];
            let lock = File::create(folder.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() {
                return Self {
                    octets,
                    _lock: lock,
                };
            }
        }
        panic!("no free network on the loopback interface");
    }

    /// The address with this last octet.
    pub fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.octets[0], self.octets[1], last)
    }
}

/// Where a name server has its zones from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Files that the test writes.
    Files,
    /// A transfer from there.
    Primary(Ipv4Addr),
}

/// One NSD. Stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    process: RefCell<Option<Supervised>>,
    folder: tempfile::TempDir,
    address: Ipv4Addr,
    serial: Cell<u32>,
    /// Of each zone that was set here.
    serials: RefCell<BTreeMap<String, u32>>,
    ttl: Cell<u32>,
}

impl NameServer {
    /// Starts one without zones and waits until it can be controlled.
    pub fn start(address: Ipv4Addr, source: Source) -> Self {
        require_root();
        let folder = open_folder("nsd");
        let text = nsd_conf(folder.path(), address, source);
        fs::write(folder.path().join("nsd.conf"), text).expect("nsd.conf");
        let server = Self {
            process: RefCell::new(None),
            folder,
            address,
            serial: Cell::new(1),
            serials: RefCell::default(),
            ttl: Cell::new(TTL),
        };
        server.resume();
        server
    }

    /// Its address, on port 53.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Ends the process until [`NameServer::resume`].
    pub fn pause(&self) {
        self.process.take();
    }

    /// Starts the process again. Zones from files are there; what was transferred has to be
    /// transferred again.
    pub fn resume(&self) {
        let configuration = self.folder.path().join("nsd.conf");
        let script = format!(
            "{GUARD} guard 'kill \"$daemon\"' {} -d -c \"$0\"",
            program(NSD)
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(&configuration);
        let output = self.folder.path().join("output");
        let mut process = Supervised::start("NSD", command, &output);
        let log = self.folder.path().join("nsd.log");
        process.wait_until(
            "nsd-control answers",
            || read_lossy(&log),
            || self.control(&["status"]).is_ok(),
        );
        self.process.replace(Some(process));
    }

    /// The TTL in seconds of the zones that are set from now on, and of negative answers.
    pub fn set_ttl(&self, ttl: u32) {
        self.ttl.set(ttl);
    }

    /// Serves the zone with these records below a SOA of its own. A zone that was there before
    /// is replaced.
    pub fn set_zone(&self, zone: &str, records: &str) {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        fs::write(self.zone_file(zone), self.zone_text(zone, records)).expect("a zone file");
        self.add(zone);
        self.control(&["reload", zone]).expect("a reload");
        self.wait_for_serial(zone, serial);
        self.serials.borrow_mut().insert(zone.to_owned(), serial);
    }

    /// The serial number of a zone that was set here. Not to be asked for: for a moment after a
    /// reload the process before it answers too, with the number before.
    pub fn serial_of(&self, zone: &str) -> u32 {
        self.serials.borrow()[zone]
    }

    /// Serves all these zones at once, in addition to those that are there.
    pub fn set_zones(&self, zones: &[(String, String)]) {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        for (zone, records) in zones {
            fs::write(self.zone_file(zone), self.zone_text(zone, records)).expect("a zone file");
        }
        // nsd-control reads no answer before its last line is sent: more of them, and both
        // wait for ever.
        for zones in zones.chunks(200) {
            self.add_all(zones);
        }
        for (zone, _) in zones {
            self.wait_for_serial(zone, serial);
            self.serials.borrow_mut().insert(zone.clone(), serial);
        }
    }

    /// Serves these zones, which it has, with other records.
    pub fn replace_zones(&self, zones: &[(String, String)]) {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        for (zone, records) in zones {
            fs::write(self.zone_file(zone), self.zone_text(zone, records)).expect("a zone file");
        }
        self.control(&["reload"]).expect("a reload");
        for (zone, _) in zones {
            self.wait_for_serial(zone, serial);
            self.serials.borrow_mut().insert(zone.clone(), serial);
        }
    }

    fn add_all(&self, zones: &[(String, String)]) {
        let mut list = String::new();
        for (zone, _) in zones {
            writeln!(list, "{zone} usual").expect("a string takes everything");
        }
        let file = self.folder.path().join("new-zones");
        fs::write(&file, list).expect("a list of zones");
        let status = Command::new(program(NSD_CONTROL))
            .arg("-c")
            .arg(self.folder.path().join("nsd.conf"))
            .arg("addzones")
            .stdin(File::open(&file).expect("the list of zones"))
            .stdout(File::create(self.folder.path().join("addzones.log")).expect("a log"))
            .status();
        assert!(status.expect("nsd-control").success(), "{}", self.log());
    }

    fn zone_text(&self, zone: &str, records: &str) -> String {
        let (serial, ttl) = (self.serial.get(), self.ttl.get());
        format!(
            "$ORIGIN {}\n$TTL {ttl}\n@ SOA ns1.name-server.example. hostmaster.example. {serial} 86400 86400 864000 {ttl}\n{records}\n",
            absolute(zone)
        )
    }

    /// How many questions came in since the start.
    pub fn questions(&self) -> u64 {
        let statistics = self.control(&["stats_noreset"]).expect("statistics");
        counter(&statistics, "num.queries")
    }

    /// Serves the zone without having it: answers SERVFAIL.
    pub fn break_zone(&self, zone: &str) {
        fs::remove_file(self.zone_file(zone)).ok();
        self.control(&["delzone", zone]).ok();
        self.add(zone);
    }

    /// Takes the zone from the primary, where it has this serial number.
    pub fn transfer(&self, zone: &str, serial: u32) {
        self.add(zone);
        let deadline = Instant::now() + LIMIT;
        while !self.serves(zone, serial) {
            assert!(
                Instant::now() < deadline,
                "{zone} does not come: {}",
                self.log()
            );
            self.control(&["force_transfer", zone]).expect("a transfer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn add(&self, zone: &str) {
        // Known already: good.
        self.control(&["addzone", zone, "usual"]).ok();
    }

    fn wait_for_serial(&self, zone: &str, serial: u32) {
        let deadline = Instant::now() + LIMIT;
        while !self.serves(zone, serial) {
            assert!(
                Instant::now() < deadline,
                "{zone} is not served: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn serves(&self, zone: &str, serial: u32) -> bool {
        // A primary says nothing of serial numbers: ask for the SOA.
        soa_serial(self.address, zone) == Some(serial)
    }

    fn zone_file(&self, zone: &str) -> PathBuf {
        self.folder
            .path()
            .join("zones")
            .join(format!("{zone}.zone"))
    }

    fn control(&self, arguments: &[&str]) -> Result<String, String> {
        let configuration = self.folder.path().join("nsd.conf");
        run(program(NSD_CONTROL), &configuration, arguments)
    }

    fn log(&self) -> String {
        read_lossy(&self.folder.path().join("nsd.log"))
    }
}

/// The number behind `NAME=` in the statistics of a server.
pub(super) fn counter(statistics: &str, name: &str) -> u64 {
    let value = statistics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value
        .and_then(|value| value.parse().ok())
        .expect("a counter")
}

fn absolute(zone: &str) -> String {
    format!("{}.", zone.trim_end_matches('.'))
}

/// What a control program says, as an error when it says no.
pub(super) fn run(
    program: &str,
    configuration: &Path,
    arguments: &[&str],
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("-c").arg(configuration).args(arguments);
    let output = command.output().expect("a control program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let success = output.status.success();
    if success { Ok(text) } else { Err(text) }
}

fn nsd_conf(folder: &Path, address: Ipv4Addr, source: Source) -> String {
    create_dir_all(folder.join("zones")).expect("a folder");
    let transfers = match source {
        Source::Files => "provide-xfr: 127.0.0.0/8 NOKEY".to_owned(),
        Source::Primary(primary) => format!("request-xfr: AXFR {primary} NOKEY"),
    };
    format!(
        r#"server:
    ip-address: {address}
    port: 53
    server-count: 1
    username: ""
    chroot: ""
    database: ""
    zonesdir: "{folder}/zones"
    zonelistfile: "{folder}/zone.list"
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    logfile: "{folder}/nsd.log"
    xfrd-reload-timeout: 0
remote-control:
    control-enable: yes
    control-interface: "{folder}/control"
pattern:
    name: usual
    zonefile: "%s.zone"
    {transfers}
"#,
        folder = folder.display()
    )
}

/// The serial number that a server shows, by one question of a few octets.
pub fn soa_serial(address: Ipv4Addr, zone: &str) -> Option<u32> {
    const SOA: u16 = 6;
    let mut query = vec![0x5a, 0x47, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.').filter(|label| !label.is_empty()) {
        query.push(u8::try_from(label.len()).ok()?);
        query.extend(label.as_bytes());
    }
    query.extend([0]);
    query.extend(SOA.to_be_bytes());
    query.extend(1_u16.to_be_bytes());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    socket.connect((address, 53)).ok()?;
    socket.send(&query).ok()?;
    let mut answer = [0; 1232];
    let length = socket.recv(&mut answer).ok()?;
    let answer = &answer[..length];
    // One record in the answer section; the numbers are the 20 octets after its two names.
    if answer.get(6..8)? != [0, 1] {
        return None;
    }
    let name_end = query.len();
    let record = answer.get(name_end..)?;
    let data_begin = name_end + name_length(record)? + 10;
    let first = name_length(answer.get(data_begin..)?)?;
    let second = name_length(answer.get(data_begin + first..)?)?;
    let serial = answer.get(data_begin + first + second..)?.get(..4)?;
    Some(u32::from_be_bytes(serial.try_into().ok()?))
}

/// The octets that a name takes, compressed or not.
pub fn name_length(octets: &[u8]) -> Option<usize> {
    let mut position = 0;
    loop {
        match octets.get(position)? {
            0 => return Some(position + 1),
            pointer if *pointer >= 0xc0 => return Some(position + 2),
            length => position += usize::from(*length) + 1,
        }
    }
}
