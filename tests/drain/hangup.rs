//! SIGHUP at a bad moment: the signer and the keeper live on.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::process::read_lossy;
use super::support::zegel::Zegel;
use super::{orgs, wait_until};

/// A process and what it tells the service manager.
struct Process {
    child: Child,
    manager: UnixDatagram,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(zegel: &Zegel, command: &str) -> Self {
        let path = zegel.path("notify.sock");
        let _ = fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).expect("a socket");
        manager.set_nonblocking(true).expect("a socket");
        let log = fs::File::create(zegel.path("hangup.output")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_zegel"))
            .args([command, "--config"])
            .arg(zegel.path("zegel.toml"))
            .env("NOTIFY_SOCKET", &path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a process");
        Self { child, manager }
    }

    fn hang_up(&self) {
        let id = i32::try_from(self.child.id()).expect("a process");
        let id = Pid::from_raw(id).expect("not 0");
        kill_process(id, Signal::HUP).expect("it lives");
    }

    /// Whether it has said that it is ready since this was asked.
    fn is_ready(&self) -> bool {
        let mut message = [0; 1024];
        let octets = self.manager.recv(&mut message).unwrap_or_default();
        message[..octets].starts_with(b"READY=1")
    }

    #[track_caller]
    fn assert_lives(&mut self, log: &Path) {
        let ended = self.child.try_wait().expect("a status");
        assert!(ended.is_none(), "{ended:?}: {}", read_lossy(log));
    }

    /// Waits until SIGHUP has a handler. Until then the process has not come to its `main`, or
    /// hardly: the kernel and the loader have it, and nothing of ours can help.
    fn has_handler(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(&status).expect("a process that lives");
            let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = u64::from_str_radix(caught.unwrap_or("0").trim(), 16).expect("a mask");
            // SIGHUP is number 1.
            if caught & 1 != 0 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no handler");
        }
    }
}

/// `zegel.toml` of a signer and a keeper without DNS.
fn prepared() -> Zegel {
    let zegel = Zegel::prepared(&orgs(), "[keeper]\nresolvers = [\"127.0.0.1:1\"]\n");
    // Takes a moment to read.
    for number in 0..300 {
        let text = format!("name = \"{number}\"\ndomains = [\"d{number}.example\"]\n");
        fs::write(zegel.path(&format!("orgs.d/many-{number}.toml")), text).expect("a file");
    }
    zegel
}

#[test]
fn hangups_while_signer_and_keeper_start_are_survived() {
    for command in ["run", "keeper"] {
        for _ in 0..5 {
            let zegel = prepared();
            let log = zegel.path("hangup.output");
            let mut process = Process::start(&zegel, command);
            process.has_handler();
            assert!(!process.is_ready(), "{command}: the test came too late");
            let begun = Instant::now();
            while !process.is_ready() {
                process.hang_up();
                process.assert_lives(&log);
                assert!(begun.elapsed() < Duration::from_secs(30), "{command}");
                thread::sleep(Duration::from_millis(1));
            }
            for _ in 0..20 {
                process.hang_up();
                thread::sleep(Duration::from_millis(1));
            }
            process.assert_lives(&log);
        }
    }
}

/// The configuration changed behind the back of the start: it counts.
#[test]
fn a_hangup_during_the_start_is_one_reload_after_it() {
    let zegel = prepared();
    let log = zegel.path("hangup.output");
    let mut process = Process::start(&zegel, "run");
    process.has_handler();
    for _ in 0..5 {
        process.hang_up();
    }
    wait_until("ready", || process.is_ready());
    let reloads = || zegel.metric("zegel_reload_total{result=\"ok\"}");
    wait_until("reloaded", || reloads() >= 1.0);
    thread::sleep(Duration::from_millis(300));
    assert!((reloads() - 1.0).abs() < 0.1, "{}", zegel.metrics());
    process.assert_lives(&log);
}
