//! The signer as a process: it starts on its sockets or says why not, tells the system how it
//! is, and when it is told to stop no message is cut.

#[path = "../support/mod.rs"]
mod support;

mod hangup;
mod load;
mod peers;
mod sockets;
mod start;
mod systemd;
mod waiting;

use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use support::process::read_lossy;
use support::signatures::PublicKeys;
use support::zegel::{Org, Zegel};

fn orgs() -> [Org; 1] {
    [Org::new("voorbeeld", &["voorbeeld.example"])]
}

fn ours() -> Message {
    Message::parse(b"From: a@voorbeeld.example\r\nSubject: one\r\n\r\nline 1\r\nline 2\r\n")
        .chunk(8)
}

/// Panics unless the message was signed once, and rightly.
#[track_caller]
fn assert_signed(keys: &PublicKeys, outcome: &Outcome) {
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    let signers = keys.signers(&outcome.apply(&ours()));
    assert_eq!(signers.len(), 1, "{outcome:?}");
}

/// Sends a message over this socket.
fn send(address: &str) -> Outcome {
    let mut connection = Connection::negotiated(address, Offer::POSTFIX);
    let reply = connection.greet(&Peer::local());
    assert!(reply.goes_on(), "{reply:?}");
    let outcome = connection.send_message(&ours());
    connection.quit();
    outcome
}

/// Waits until it is so, for 10 seconds at most.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a signer that is expected not to start: its exit status, and what it says.
fn refusal(zegel: &Zegel, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let settings: Vec<String> = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    refusal_by(zegel, &[&["env"], &settings[..]].concat())
}

/// The same with a program in front that becomes the signer.
fn refusal_by(zegel: &Zegel, prefix: &[&str]) -> (Option<i32>, String) {
    let output = zegel.path("refusal");
    let file = File::create(&output).expect("a file");
    let mut child = Command::new(prefix[0])
        .args(&prefix[1..])
        .args([env!("CARGO_BIN_EXE_zegel"), "run", "--config"])
        .arg(zegel.path("zegel.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .expect("the program runs");
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            return (status.code(), read_lossy(&output));
        }
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().expect("a child");
            panic!("it runs:\n{}", read_lossy(&output));
        }
        thread::sleep(Duration::from_millis(10));
    }
}
