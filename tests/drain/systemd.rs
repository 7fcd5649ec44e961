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

#[test]
fn the_service_manager_is_told() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = PublicKeys::of(&zegel.keystore());
    let path = zegel.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    zegel.launch_by(&["env", &variable]);
    assert_eq!(next(&socket), "READY=1\n");
    // A reload that fails is over just the same.
    for settings in ["", "[limits\n"] {
        zegel.write_settings(settings);
        zegel.signal("HUP");
        let reloading = next(&socket);
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
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
