//! The sockets: of all kinds, several at once, replaced only where nobody is there any more.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;

use std::net::TcpListener;

use super::support::milter::{Connection, Offer, Peer};
use super::support::port::Port;
use super::support::signatures::PublicKeys;
use super::support::zegel::Zegel;
use super::{assert_signed, orgs, ours, refusal, refusal_by, send, wait_until};

/// A listener for all mail.
fn listener(name: &str, socket: &str, more: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\nsocket = \"{socket}\"\noutbound = \"all\"\n{more}\n")
}

#[test]
fn socket_files_have_their_mode_and_group() {
    let group = || {
        let text = fs::read_to_string("/etc/group").expect("groups");
        let line = text.lines().find(|line| line.starts_with("postfix:"));
        let number = line.expect("run tests/install-packages").split(':').nth(2);
        number.expect("a number").parse::<u32>().expect("a number")
    };
    let sockets = [
        listener(
            "open",
            "unix:{folder}/a.sock",
            "mode = \"0660\"\ngroup = \"postfix\"",
        ),
        listener("own", "unix:{folder}/b.sock", "mode = \"0600\""),
        listener("usual", "unix:{folder}/c.sock", ""),
    ];
    let mut zegel = Zegel::with_settings(&orgs(), &sockets.concat());
    let own = fs::metadata(zegel.path("keys")).expect("a folder").gid();
    for (name, mode, group) in [
        ("a.sock", 0o660, group()),
        ("b.sock", 0o600, own),
        ("c.sock", 0o660, own),
    ] {
        let found = fs::metadata(zegel.path(name)).expect("a socket");
        assert!(found.file_type().is_socket());
        assert_eq!(
            (found.mode() & 0o7777, found.gid()),
            (mode, group),
            "{name}"
        );
    }
    assert!(zegel.terminate().success());
    for name in ["a.sock", "b.sock", "c.sock"] {
        assert!(!zegel.path(name).exists(), "{name}");
    }
}

#[test]
fn listeners_of_all_kinds_serve_at_once() {
    let (four, six) = (Port::free(), Port::free());
    let addresses = [
        ("file", "unix:{folder}/a.sock".to_owned()),
        ("four", format!("inet:127.0.0.1:{}", four.number())),
        ("six", format!("inet:[::1]:{}", six.number())),
    ];
    let settings: Vec<String> = addresses
        .iter()
        .map(|(name, address)| listener(name, address, ""))
        .collect();
    let mut zegel = Zegel::with_settings(&orgs(), &settings.concat());
    let keys = PublicKeys::of(&zegel.keystore());
    let folder = zegel.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    for (times, (name, address)) in (1..).zip(&addresses) {
        let address = address.replace("{folder}", folder);
        for _ in 0..times {
            assert_signed(&keys, &send(&address));
        }
        let signed = format!("zegel_messages_total{{listener=\"{name}\",result=\"signed\"}}");
        assert_eq!(zegel.counter(&signed), times);
    }
    assert!(zegel.terminate().success());
    for (_, address) in &addresses {
        let address = address.replace("{folder}", folder);
        assert!(Connection::try_open(&address).is_err(), "{address}");
    }
}

/// What a killed process left is replaced.
#[test]
fn a_stale_socket_file_is_replaced() {
    let mut zegel = Zegel::start(&orgs());
    let keys = PublicKeys::of(&zegel.keystore());
    assert_signed(&keys, &send(&zegel.milter()));
    zegel.signal("KILL");
    assert!(!zegel.wait().success());
    assert!(zegel.socket().exists());
    assert!(Connection::try_open(&zegel.milter()).is_err());
    zegel.launch();
    assert_signed(&keys, &send(&zegel.milter()));
    assert!(zegel.terminate().success());
    assert!(!zegel.socket().exists());
}

/// What is no socket is left alone, and the signer waits until it is gone.
#[test]
fn another_file_is_not_replaced() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = PublicKeys::of(&zegel.keystore());
    fs::write(zegel.socket(), "precious").expect("a file");
    let expected = format!(
        "listener relay: {} exists and is not a socket; remove it, or choose another path",
        zegel.socket().display()
    );
    assert_eq!(zegel.launch_unready(&[]), expected);
    assert!(zegel.log().contains(&expected), "{}", zegel.log());
    assert_eq!(
        fs::read_to_string(zegel.socket()).expect("the file"),
        "precious"
    );
    fs::remove_file(zegel.socket()).expect("the file");
    wait_until("it serves", || zegel.why_unready().is_none());
    assert_signed(&keys, &send(&zegel.milter()));
}

#[test]
fn a_second_instance_waits_until_the_first_has_ended() {
    let port = Port::free();
    let mut first = Zegel::with_settings(
        &orgs(),
        &[
            listener("file", "unix:{folder}/relay.sock", ""),
            listener("four", &format!("inet:127.0.0.1:{}", port.number()), ""),
        ]
        .concat(),
    );
    let keys = PublicKeys::of(&first.keystore());
    let path = first.socket().display().to_string();
    let mut seconds = Vec::new();
    for (socket, expected) in [
        (
            format!("unix:{path}"),
            format!(
                "listener relay: another process listens on {path}; stop it, or choose another path"
            ),
        ),
        (
            format!("inet:127.0.0.1:{}", port.number()),
            format!(
                "listener relay: cannot listen on 127.0.0.1:{}: Address already in use (os error 98); \
                 choose another port, or stop the program that has this one",
                port.number()
            ),
        ),
    ] {
        let mut second = Zegel::prepared(&orgs(), &listener("relay", &socket, ""));
        assert_eq!(second.launch_unready(&[]), expected);
        // The first does not notice.
        assert_signed(&keys, &send(&first.milter()));
        seconds.push((second, socket));
    }
    assert!(first.terminate().success());
    for (second, socket) in &seconds {
        wait_until("it takes over", || second.why_unready().is_none());
        assert_signed(&PublicKeys::of(&second.keystore()), &send(socket));
    }
}

/// A signer that gets these sockets, by name, in the way of sd_listen_fds(3).
fn launch_with_sockets(zegel: &mut Zegel, sockets: &[(&str, &dyn AsRawFd)]) {
    zegel.launch_by(&["bash", "-c", &activation(sockets), "activate"]);
}

/// A script that becomes its arguments, with these sockets in the places for them.
fn activation(sockets: &[(&str, &dyn AsRawFd)]) -> String {
    // In two steps, in case that one has the number that another is to have.
    let aside = sockets.iter().zip(200..).map(|((_, socket), aside)| {
        let socket = socket.as_raw_fd();
        format!("exec {aside}<&{socket} {socket}<&-; ")
    });
    let placed = (3..).zip(200..).take(sockets.len());
    let placed = placed.map(|(place, aside)| format!("exec {place}<&{aside} {aside}<&-; "));
    let redirections: String = aside.chain(placed).collect();
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    format!(
        "{redirections}export LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={}; exec \"$@\"",
        sockets.len(),
        names.join(":")
    )
}

/// Lets children have the socket.
fn keep_across_exec(socket: &impl std::os::fd::AsFd) {
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).expect("an open socket");
}

/// Sockets of the system: a restart refuses no connection.
#[test]
fn inherited_sockets_outlive_a_restart() {
    let settings = [
        listener("second", "fd:second", ""),
        listener("first", "fd:first", ""),
        listener("own", "unix:{folder}/own.sock", ""),
    ];
    let mut zegel = Zegel::prepared(&orgs(), &settings.concat());
    let keys = PublicKeys::of(&zegel.keystore());
    let path = zegel.path("first.sock");
    let first = UnixListener::bind(&path).expect("a socket");
    let second = TcpListener::bind("127.0.0.1:0").expect("a socket");
    keep_across_exec(&first);
    keep_across_exec(&second);
    let sockets: [(&str, &dyn AsRawFd); 2] = [("first", &first), ("second", &second)];
    let addresses = [
        format!("unix:{}", path.display()),
        format!("inet:{}", second.local_addr().expect("an address")),
    ];
    launch_with_sockets(&mut zegel, &sockets);
    for address in &addresses {
        assert_signed(&keys, &send(address));
    }
    for round in 0..3 {
        assert!(zegel.terminate().success());
        assert!(path.exists(), "it is not ours to remove");
        // Nobody is there, and yet nobody is sent away.
        let mut waiting: Vec<Connection> = addresses
            .iter()
            .map(|address| Connection::open(address))
            .collect();
        launch_with_sockets(&mut zegel, &sockets);
        for connection in &mut waiting {
            connection.negotiate(Offer::POSTFIX).expect("an agreement");
            connection.greet(&Peer::local());
            assert_signed(&keys, &connection.send_message(&ours()));
        }
        for name in ["first", "second"] {
            let signed = format!("zegel_messages_total{{listener=\"{name}\",result=\"signed\"}}");
            assert_eq!(zegel.counter(&signed), 1, "round {round}");
        }
    }
}

/// Systemd decides of which kind `fd:` is, and the rule for users must not be lost on the way.
#[test]
fn an_inherited_tcp_socket_has_no_users() {
    let users = "allow_users = [\"root\"]";
    let zegel = Zegel::prepared(&orgs(), &listener("relay", "fd:relay", users));
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    keep_across_exec(&socket);
    let (status, text) = refusal_by(
        &zegel,
        &["bash", "-c", &activation(&[("relay", &socket)]), "activate"],
    );
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("systemd passed on a TCP socket"), "{text}");
}

#[test]
fn a_socket_that_was_not_passed_on_is_named() {
    let zegel = Zegel::prepared(&orgs(), &listener("relay", "fd:relay", ""));
    let (status, text) = refusal(&zegel, &[]);
    assert_eq!(status, Some(78), "{text}");
    let expected = "zegel: listener relay: no socket named relay was passed on by systemd; \
                    start zegel.socket with FileDescriptorName=relay, or give the listener a path";
    assert!(text.contains(expected), "{text}");
}
