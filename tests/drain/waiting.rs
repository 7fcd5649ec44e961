//! What the signer lacks at its start and may still come: it serves without it, puts off mail of
//! ours alone, says what is missing, and goes on by itself when that is there.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use super::support::port::Port;
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};
use super::{assert_signed, orgs, send, wait_until};

/// Something that keeps the keystore from being read, and how that passes.
struct Cause {
    name: &'static str,
    begins: fn(&Path),
    ends: fn(&Path),
    /// What the reason names.
    says: &'static str,
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn away(keys: &Path) {
    fs::rename(keys, keys.with_file_name("away")).expect("a keystore");
}

fn back(keys: &Path) {
    fs::rename(keys.with_file_name("away"), keys).expect("a keystore");
}

fn generation_aside(keys: &Path) {
    fs::rename(keys.join("generation"), keys.with_file_name("aside")).expect("a generation");
}

const CAUSES: [Cause; 8] = [
    Cause {
        name: "not mounted: there is no folder",
        begins: away,
        ends: back,
        says: "keys",
    },
    Cause {
        name: "a file in the place of the folder",
        begins: |keys| {
            away(keys);
            fs::write(keys, "").expect("a file");
        },
        ends: |keys| {
            fs::remove_file(keys).expect("the file");
            back(keys);
        },
        says: "keys",
    },
    Cause {
        name: "a link that leads nowhere yet",
        begins: |keys| {
            away(keys);
            symlink(keys.with_file_name("mnt"), keys).expect("a link");
        },
        ends: |keys| {
            fs::rename(keys.with_file_name("away"), keys.with_file_name("mnt")).expect("a mount");
        },
        says: "keys",
    },
    Cause {
        name: "a folder in which others may write",
        begins: |keys| mode(keys, 0o777),
        ends: |keys| mode(keys, 0o700),
        says: "others can write",
    },
    Cause {
        name: "others may write in the folder above",
        begins: |keys| mode(keys.parent().expect("a folder"), 0o777),
        ends: |keys| mode(keys.parent().expect("a folder"), 0o755),
        says: "others can write",
    },
    Cause {
        name: "a generation that is no number",
        begins: |keys| {
            generation_aside(keys);
            fs::write(keys.join("generation"), "many\n").expect("a file");
            mode(&keys.join("generation"), 0o600);
        },
        ends: |keys| {
            let aside = keys.with_file_name("aside");
            fs::rename(aside, keys.join("generation")).expect("a generation");
        },
        says: "generation",
    },
    Cause {
        name: "a folder in the place of the generation",
        begins: |keys| {
            generation_aside(keys);
            fs::create_dir(keys.join("generation")).expect("a folder");
        },
        ends: |keys| {
            fs::remove_dir(keys.join("generation")).expect("the folder");
            let aside = keys.with_file_name("aside");
            fs::rename(aside, keys.join("generation")).expect("a generation");
        },
        says: "generation",
    },
    Cause {
        name: "a generation of someone else",
        begins: |keys| {
            std::os::unix::fs::chown(keys.join("generation"), Some(12345), None).expect("root");
        },
        ends: |keys| {
            std::os::unix::fs::chown(keys.join("generation"), Some(0), None).expect("root");
        },
        says: "generation",
    },
];

/// A message of this author to the signer, from this address.
fn deliver(zegel: &Zegel, from: &str, client: &str) -> Outcome {
    let text = format!("From: {from}\r\nSubject: one\r\n\r\nbody\r\n");
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::at(client));
    connection.send_message(&Message::parse(text.as_bytes()))
}

#[track_caller]
fn assert_put_off(outcome: &Outcome) {
    let Reply::Refuse(text) = &outcome.reply else {
        panic!("{outcome:?}");
    };
    assert!(
        text.starts_with("451 4.7.1 ") && text.contains("signing_failure"),
        "{text}"
    );
}

#[track_caller]
fn assert_untouched(outcome: &Outcome) {
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    assert!(outcome.inserted.is_empty(), "{outcome:?}");
}

#[test]
fn a_keystore_that_cannot_be_read_yet_is_waited_for_with_the_sockets_open() {
    thread::scope(|scope| {
        for cause in &CAUSES {
            scope.spawn(|| is_waited_for(cause));
        }
    });
}

fn is_waited_for(cause: &Cause) {
    let name = cause.name;
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = PublicKeys::of(&zegel.keystore());
    (cause.begins)(&zegel.path("keys"));
    let why = zegel.launch_unready(&[]);
    assert!(why.contains(cause.says), "{name}: {why}");
    assert!(zegel.log().contains(&why), "{name}: {}", zegel.log());
    assert_put_off(&send(&zegel.milter()));
    assert_untouched(&deliver(&zegel, "a@elsewhere.example", "127.0.0.1:40000"));
    (cause.ends)(&zegel.path("keys"));
    wait_until(name, || zegel.why_unready().is_none());
    assert_signed(&keys, &send(&zegel.milter()));
    zegel.wait_for_log("the keystore can be read now", 1);
    // It is said, and not again and again.
    let said = zegel
        .log()
        .matches("until the keystore can be read")
        .count();
    assert!((1..=3).contains(&said), "{name}: {}", zegel.log());
    assert!(zegel.terminate().success(), "{name}");
}

/// Only what has to be signed waits for a key: each reason stays what it is.
#[test]
fn while_the_keystore_is_away_other_mail_goes_by_its_policy() {
    let orgs = [
        Org::new("voorbeeld", &["voorbeeld.example"]).parked(&["parked.example"]),
        Org::new("mild", &["mild.example"]).more("[policy]\nsigning_failure = \"accept\"\n"),
        Org::new("strict", &["strict.example"]).more("[policy]\nsigning_failure = \"reject\"\n"),
        Org::new("bound", &["bound.example"])
            .more("[senders]\nauth = [\"crm\"]\n[policy]\nunauthorised_sender = \"reject\"\n"),
        // Nobody knows that it has none.
        Org::new("new", &["new.example"]).without_keys(),
    ];
    let mut zegel = Zegel::prepared(&orgs, "[policy]\nparked_domain = \"reject\"\n");
    away(&zegel.path("keys"));
    zegel.launch_unready(&[]);
    let local = "127.0.0.1:40000";
    for (from, client, expected) in [
        ("a@voorbeeld.example", local, "451 4.7.1 signing_failure"),
        ("a@new.example", local, "451 4.7.1 signing_failure"),
        ("a@strict.example", local, "550 5.7.1 signing_failure"),
        ("a@mild.example", local, ""),
        ("a@bound.example", local, "550 5.7.1 unauthorised_sender"),
        ("a@parked.example", local, "550 5.7.1 parked_domain"),
        ("a@voorbeeld.example", "192.0.2.1:40000", ""),
        ("a@elsewhere.example", local, ""),
        ("a@voorbeeld.example, b@mild.example", local, ""),
        ("nobody", local, ""),
    ] {
        let outcome = deliver(&zegel, from, client);
        if expected.is_empty() {
            assert_untouched(&outcome);
            continue;
        }
        let Reply::Refuse(text) = &outcome.reply else {
            panic!("{from}: {outcome:?}");
        };
        let is_in = |word: &str| text.contains(word);
        assert!(expected.split(' ').all(is_in), "{from}: {text}");
    }
    let failed = "zegel_unsigned_total{organisation=\"voorbeeld\",reason=\"signing_failure\"}";
    assert_eq!(zegel.counter(failed), 1);
    let answer = zegel.page("/").expect("the status page");
    assert!(answer.contains("200 OK"), "{answer}");
    let answer = zegel.page("/org/voorbeeld").expect("the page");
    assert!(answer.contains("the keystore can"), "{answer}");
}

/// What is configured meanwhile counts at once, and a mistake costs nothing.
#[test]
fn a_reload_while_the_keystore_is_away_is_taken() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    // It has no key that the mark could know of.
    zegel.add(&Org::new("later", &["later.example"]).without_keys());
    let file = zegel.path("orgs.d/later.toml");
    fs::rename(&file, zegel.path("later.toml")).expect("a file");
    away(&zegel.path("keys"));
    zegel.launch_unready(&[]);
    let local = "127.0.0.1:40000";
    assert_untouched(&deliver(&zegel, "a@later.example", local));
    fs::rename(zegel.path("later.toml"), &file).expect("a file");
    zegel.signal("HUP");
    zegel.wait_for_log("organisation later added", 1);
    assert_put_off(&deliver(&zegel, "a@later.example", local));
    let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
    fs::write(zegel.path("zegel.toml"), "[limits\n").expect("settings");
    zegel.signal("HUP");
    zegel.wait_for_log("reload failed", 1);
    assert_put_off(&deliver(&zegel, "a@later.example", local));
    fs::write(zegel.path("zegel.toml"), settings).expect("settings");
    back(&zegel.path("keys"));
    wait_until("it signs", || zegel.why_unready().is_none());
    // Now it is known that it has no key.
    assert_untouched(&deliver(&zegel, "a@later.example", local));
}

/// A start that waits is no start that hangs, and it ends when it is told to.
#[test]
fn a_signer_that_waits_is_ready_for_systemd_and_stops_at_once() {
    for (begins, settings) in [
        (away as fn(&Path), ""),
        (
            |_: &Path| {},
            "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/missing/relay.sock\"\n",
        ),
    ] {
        let mut zegel = Zegel::prepared(&orgs(), settings);
        begins(&zegel.path("keys"));
        let path = zegel.path("notify.sock");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let time = Some(Duration::from_secs(20));
        manager.set_read_timeout(time).expect("a timeout");
        let heard = |wanted: &str| {
            let mut message = [0; 4096];
            while let Ok(octets) = manager.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..octets]);
                if text.contains(wanted) {
                    return true;
                }
            }
            false
        };
        let variable = format!("NOTIFY_SOCKET={}", path.display());
        let why = zegel.launch_unready(&["env", &variable, "WATCHDOG_USEC=16000000"]);
        assert!(heard("READY=1"), "{why}");
        for _ in 0..3 {
            assert!(heard("WATCHDOG=1"), "{why}");
        }
        assert!(zegel.terminate().success(), "{why}");
    }
}

/// One address that is not there keeps no other from being served.
#[test]
fn a_socket_that_cannot_be_had_yet_is_waited_for_while_the_others_serve() {
    let listener = |name: &str, socket: &str| {
        format!("[[listener]]\nname = \"{name}\"\nsocket = \"{socket}\"\noutbound = \"all\"\n")
    };
    let port = Port::free();
    let taken = TcpListener::bind(("127.0.0.1", port.number())).expect("the port");
    let tcp = format!("inet:127.0.0.1:{}", port.number());
    let settings = [
        listener("usual", "unix:{folder}/usual.sock"),
        listener("folder", "unix:{folder}/later/folder.sock"),
        listener("taken", &tcp),
    ];
    let mut zegel = Zegel::prepared(&orgs(), &settings.concat());
    let keys = PublicKeys::of(&zegel.keystore());
    let why = zegel.launch_unready(&[]);
    assert!(
        why.starts_with("listener folder: cannot listen on"),
        "{why}"
    );
    assert_signed(&keys, &send(&zegel.milter_of("usual")));
    fs::create_dir(zegel.path("later")).expect("a folder");
    wait_until("the folder is there", || {
        zegel
            .why_unready()
            .is_some_and(|why| why.starts_with("listener taken: "))
    });
    assert_signed(&keys, &send(&zegel.milter_of("later/folder")));
    drop(taken);
    wait_until("the port is free", || zegel.why_unready().is_none());
    assert_signed(&keys, &send(&tcp));
    assert!(zegel.terminate().success());
    assert!(!zegel.path("later/folder.sock").exists());
}

/// The pages are for those who look on.
#[test]
fn mail_does_not_wait_for_the_address_of_the_pages() {
    let mut zegel = Zegel::prepared(&orgs(), "");
    let keys = PublicKeys::of(&zegel.keystore());
    let taken = TcpListener::bind(zegel.http_address()).expect("the port");
    let zegel_socket = zegel.milter();
    thread::scope(|scope| {
        let launched = scope.spawn(|| zegel.launch());
        wait_until("it signs", || Connection::try_open(&zegel_socket).is_ok());
        assert_signed(&keys, &send(&zegel_socket));
        drop(taken);
        launched.join().expect("its pages are there");
    });
    assert!(
        zegel.log().contains("http.listen: cannot listen on"),
        "{}",
        zegel.log()
    );
}
