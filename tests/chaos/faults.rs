//! What is done to the signer.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::stage::{Disk, first};
use super::support::milter::{Connection, Message, Offer, Peer};
use super::support::stage::wait_until;
use super::support::zegel::Zegel;

/// How long it is without what it needs, and how long it then has it again.
const WITHOUT: Duration = Duration::from_millis(1500);
const WITH: Duration = Duration::from_millis(700);
/// Longer than Postfix waits for a reply.
const STOPPED: Duration = Duration::from_secs(3);
/// Between the end of a process and the start of the next.
const GONE: Duration = Duration::from_millis(300);
/// What it is asked to hold while it may have no more memory: far more than what it has left.
const LARGE_MESSAGES: usize = 64;
const LARGE_FIELDS: usize = 16;
const LARGE_FIELD: usize = 60_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Nothing,
    Killed,
    Stopped,
    Restarted,
    Reloaded,
    WithoutDescriptors,
    WithoutMemory,
    OnAFullDisk,
}

impl Fault {
    pub(super) const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Killed,
        Self::Stopped,
        Self::Restarted,
        Self::Reloaded,
        Self::WithoutDescriptors,
        Self::WithoutMemory,
        Self::OnAFullDisk,
    ];
    /// Those in which it cannot answer for a while.
    pub(super) const OUTAGES: [Self; 5] = [
        Self::Killed,
        Self::Stopped,
        Self::Restarted,
        Self::WithoutDescriptors,
        Self::WithoutMemory,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "well",
            Self::Killed => "killed and started",
            Self::Stopped => "stopped for 3 s",
            Self::Restarted => "ended and started",
            Self::Reloaded => "reloaded, good and broken files",
            Self::WithoutDescriptors => "without file descriptors",
            Self::WithoutMemory => "without more memory",
            Self::OnAFullDisk => "on a full disk",
        }
    }

    /// Once at least, and again and again until that time. Gives what there is to say of it.
    pub(super) fn inflict(self, zegel: &mut Zegel, disk: &Disk, until: Instant) -> String {
        let (reloads, failures) = (counted(zegel, "ok"), counted(zegel, "failed"));
        let mut times = 0;
        let mut deaths = 0;
        while times == 0 || Instant::now() < until {
            times += 1;
            match self {
                Self::Nothing => thread::sleep(WITHOUT),
                Self::Killed => {
                    zegel.kill();
                    start_again(zegel);
                }
                Self::Stopped => {
                    zegel.signal("STOP");
                    thread::sleep(STOPPED);
                    zegel.signal("CONT");
                    thread::sleep(WITH);
                }
                Self::Restarted => {
                    let status = zegel.terminate();
                    assert!(status.success(), "{status}: {}", zegel.log());
                    start_again(zegel);
                }
                Self::Reloaded => reload(zegel, times),
                // Number 3 is the first that could be free.
                Self::WithoutDescriptors => starve(zegel, "nofile", "3", || {}),
                // It has more than that: nothing can be added. The address space would be no
                // limit, since the allocator has reserved much of it.
                Self::WithoutMemory => {
                    starve(zegel, "data", "1048576", || {
                        drop(begin_large_messages(zegel));
                    });
                    deaths += usize::from(revive(zegel));
                }
                Self::OnAFullDisk => {
                    disk.fill();
                    zegel.signal("HUP");
                    thread::sleep(WITHOUT);
                    disk.free();
                }
            }
            assert!(is_alive(zegel), "{}: {}", self.name(), zegel.log());
            wait_until("the signer is ready", || is_ready(zegel));
        }
        let reloads = counted(zegel, "ok").saturating_sub(reloads);
        let failures = counted(zegel, "failed").saturating_sub(failures);
        if self == Self::WithoutMemory {
            assert!(
                deaths > 0,
                "there was memory left for {LARGE_MESSAGES} large messages"
            );
        }
        match self {
            Self::Nothing => String::new(),
            Self::Reloaded => format!("{reloads} good reloads, {failures} broken ones"),
            Self::WithoutMemory => {
                let (times, deaths) = (how_often(times), how_often(deaths));
                format!("{times}; it ended {deaths}")
            }
            Self::WithoutDescriptors | Self::OnAFullDisk => {
                let times = how_often(times);
                format!("{times}; reloads: {reloads} good, {failures} failed")
            }
            Self::Killed | Self::Stopped | Self::Restarted => how_often(times),
        }
    }
}

fn how_often(times: usize) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{times} times"),
    }
}

fn start_again(zegel: &mut Zegel) {
    thread::sleep(GONE);
    zegel.launch();
    thread::sleep(WITH);
}

/// Without a resource for a while, in which it is also told to reload, and what else there is.
fn starve(zegel: &Zegel, resource: &str, limit: &str, meanwhile: impl FnOnce()) {
    let process = zegel.id().to_string();
    let prlimit = |arguments: &[&str]| {
        let output = Command::new("prlimit")
            .args(["--pid", &process])
            .args(arguments)
            .output()
            .expect("prlimit runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let option = format!("--{resource}");
    let before = prlimit(&[&option, "--raw", "--noheadings", "--output", "SOFT"]);
    assert!(!before.is_empty(), "the limit of {resource}");
    prlimit(&[&format!("{option}={limit}:")]);
    thread::sleep(WITHOUT / 2);
    if is_alive(zegel) {
        zegel.signal("HUP");
    }
    meanwhile();
    thread::sleep(WITHOUT / 2);
    // Nothing where it has ended.
    prlimit(&[&format!("{option}={before}:")]);
    thread::sleep(WITH);
}

/// Messages that have been begun and stay so, each with nearly as many octets of fields as are
/// allowed. Fewer when it ends over them.
fn begin_large_messages(zegel: &Zegel) -> Vec<Connection> {
    let field = format!("X-Large: {}\r\n", "x".repeat(LARGE_FIELD));
    let text = format!(
        "From: balie@voorbeeld.example\r\n{}\r\n",
        field.repeat(LARGE_FIELDS)
    );
    let message = Message::parse(text.as_bytes());
    let begin = || {
        let mut connection = Connection::try_open(&zegel.milter()).ok()?;
        connection.set_timeout(WITHOUT);
        connection.set_write_timeout(WITHOUT);
        connection.negotiate(Offer::POSTFIX).ok()?;
        connection.greet(&Peer::local());
        connection.show(&message);
        Some(connection)
    };
    (0..LARGE_MESSAGES).map_while(|_| begin()).collect()
}

/// Starts it if it has ended, as its service manager does. True if so.
fn revive(zegel: &mut Zegel) -> bool {
    let died = !is_alive(zegel);
    if died {
        zegel.wait();
        zegel.launch();
    }
    died
}

/// A change that is taken up, and one that is broken.
fn reload(zegel: &Zegel, times: usize) {
    const PAUSE: Duration = Duration::from_millis(150);
    let (settings, file) = (
        zegel.path("zegel.toml"),
        zegel.path("orgs.d/voorbeeld.toml"),
    );
    zegel.add(&first().more(&format!("# edition {times}")));
    zegel.signal("HUP");
    thread::sleep(PAUSE);
    let (path, text) = match times % 3 {
        0 => (settings, "[no settings"),
        1 => (
            file,
            "name = \"Voorbeeld\"\ndomains = [\"dubbel.example\"]\n",
        ),
        _ => (file, "domains = 7\n"),
    };
    let good = fs::read(&path).expect("a file that is good");
    fs::write(&path, text).expect("a file");
    zegel.signal("HUP");
    thread::sleep(PAUSE);
    fs::write(&path, good).expect("a file");
}

fn is_alive(zegel: &Zegel) -> bool {
    let status = fs::read_to_string(
        Path::new("/proc")
            .join(zegel.id().to_string())
            .join("status"),
    );
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn is_ready(zegel: &Zegel) -> bool {
    zegel
        .page("/health/ready")
        .is_some_and(|page| page.contains("200 OK"))
}

/// Reloads so far, of this process.
fn counted(zegel: &Zegel, result: &str) -> u64 {
    zegel.counter(&format!("zegel_reload_total{{result=\"{result}\"}}"))
}
