//! What the service manager hears: sd_notify(3).

use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use super::support::milter::{Connection, Offer, Peer};
use super::support::signatures::PublicKeys;
use super::support::zegel::Zegel;
use super::{assert_signed, orgs, ours};

/// The next message to the service manager.
#[track_caller]
fn next(socket: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let octets = socket.recv(&mut message).expect("a message in time");
    String::from_utf8_lossy(&message[..octets]).into_owned()
}

/// A service manager, and the variable that leads to it.
fn manager(zegel: &Zegel) -> (UnixDatagram, String) {
    let path = zegel.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let time = Some(Duration::from_secs(10));
    socket.set_read_timeout(time).expect("a timeout");
    (socket, format!("NOTIFY_SOCKET={}", path.display()))
}

#[test]
fn the_service_manager_is_told() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = PublicKeys::of(&zegel.keystore());
    let (socket, variable) = manager(&zegel);
    zegel.launch_by(&["env", &variable]);
    assert_eq!(next(&socket), "READY=1\n");
    // A reload that fails is over just the same.
    for settings in ["", "[limits\n"] {
        zegel.write_settings(settings);
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let seconds = now.expect("a clock").tv_sec();
        let before = u64::try_from(seconds).expect("a time") * 1_000_000;
        zegel.signal("HUP");
        let reloading = next(&socket);
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let time: u64 = time
            .and_then(|time| time.trim_end().parse().ok())
            .unwrap_or_else(|| panic!("{reloading}"));
        // `Type=notify-reload` takes no word of a reload that is older than its signal.
        assert!(time >= before, "{time} {before}");
        assert_eq!(next(&socket), "READY=1\n");
    }
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    connection.show(&ours());
    thread::sleep(Duration::from_millis(100));
    zegel.signal("TERM");
    // While a message is still under way.
    assert_eq!(next(&socket), "STOPPING=1\n");
    assert_signed(&keys, &connection.finish(&ours()));
    assert!(zegel.wait().success());
}

/// The watchdog hears of the signer again and again, also while it reloads, and while the last
/// messages come to their end.
#[test]
fn the_watchdog_is_told_while_the_listeners_accept() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let (socket, variable) = manager(&zegel);
    zegel.launch_by(&["env", &variable, "WATCHDOG_USEC=400000"]);
    assert_eq!(next(&socket), "READY=1\n");
    let pings = |most: usize| (0..most).all(|_| next(&socket) == "WATCHDOG=1\n");
    assert!(pings(5));
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    connection.show(&ours());
    assert!(pings(5));
    zegel.signal("TERM");
    while next(&socket) != "STOPPING=1\n" {}
    assert!(pings(5));
    connection.finish(&ours());
    assert!(zegel.wait().success());
}

/// Without `WatchdogSec=`, or with that of another process, nobody waits for a word.
#[test]
fn a_watchdog_that_is_not_ours_is_not_told() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let (socket, variable) = manager(&zegel);
    zegel.launch_by(&["env", &variable, "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"]);
    assert_eq!(next(&socket), "READY=1\n");
    thread::sleep(Duration::from_millis(100));
    zegel.signal("TERM");
    assert_eq!(next(&socket), "STOPPING=1\n");
    assert!(zegel.wait().success());
}
