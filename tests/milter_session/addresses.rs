//! Clients of which the MTA shows no address: their mail is outbound only where the listener
//! says so, and an address that can't be read is not taken for none.

use super::support::milter::{Connection, Message, Offer, Outcome, Peer, strings};
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};
use super::{assert_signed, assert_untouched, ours};

/// What an MTA shows of a client: all of CONNECT behind the host name.
const SHOWN: [(&str, &[u8], bool); 9] = [
    ("unknown", b"U", true),
    ("unknown, with a port", b"U\0\0\0", true),
    ("a unix socket", b"L\0\0/run/submit.sock\0", true),
    ("a unix socket without a name", b"L\0\0\0", true),
    ("an address that is none", b"4\0\x19unknown\0", false),
    ("an address without its end", b"4\0\x19127.0.0.1", false),
    ("no address where one should be", b"6\0\x19\0", false),
    ("an address of others", b"4\0\x19192.0.2.1\0", false),
    ("nothing at all", b"", false),
];

/// Three listeners: the usual rule, one that takes clients without an address, and all mail.
fn start() -> (Zegel, PublicKeys) {
    let listener = |name: &str, rule: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nsocket = \"unix:{{folder}}/{name}.sock\"\n\
             outbound = {rule}\n"
        )
    };
    let settings = [
        listener(
            "usual",
            "{ authenticated = true, networks = [\"127.0.0.0/8\"] }",
        ),
        listener("local", "{ without_address = true }"),
        listener("all", "\"all\""),
    ];
    let bound = "[senders]\nnetworks = [\"127.0.0.0/8\"]\nlisteners = [\"all\"]\n";
    let orgs = [
        Org::new("voorbeeld", &["voorbeeld.example"]),
        Org::new("bound", &["bound.example"]).more(bound),
    ];
    let zegel = Zegel::with_settings(&orgs, &settings.concat());
    let keys = PublicKeys::of(&zegel.keystore());
    (zegel, keys)
}

fn send(zegel: &Zegel, listener: &str, shown: &[u8], message: &Message) -> Outcome {
    let mut connection = Connection::negotiated(&zegel.milter_of(listener), Offer::POSTFIX);
    if !shown.is_empty() {
        let mut peer = Peer::local();
        peer.connect = Some([&strings([&b"localhost"[..]]), shown].concat());
        connection.greet(&peer);
    }
    connection.send_message(message)
}

#[test]
fn mail_without_the_address_of_its_client_is_outbound_where_the_listener_says_so() {
    let (zegel, keys) = start();
    for (what, shown, has_no_address) in SHOWN {
        let outcome = send(&zegel, "usual", shown, &ours());
        assert_untouched(&outcome);
        let outcome = send(&zegel, "local", shown, &ours());
        if has_no_address {
            assert_signed(&keys, &ours(), &outcome);
        } else {
            assert_untouched(&outcome);
        }
        // A login says who it is, wherever that one is; and all is all.
        let outcome = send(&zegel, "usual", shown, &ours().login("crm"));
        assert_signed(&keys, &ours(), &outcome);
        let outcome = send(&zegel, "all", shown, &ours());
        assert_signed(&keys, &ours(), &outcome);
        eprintln!("{what}: as it should be");
    }
}

/// What makes mail outbound gives nobody the domain of another.
#[test]
fn a_client_without_an_address_is_in_no_network_of_senders() {
    let (zegel, keys) = start();
    let message = Message::parse(b"From: a@bound.example\r\nSubject: one\r\n\r\nbody\r\n");
    assert_untouched(&send(&zegel, "local", b"U", &message));
    let refused = "zegel_unsigned_total{organisation=\"bound\",reason=\"unauthorised_sender\"}";
    assert_eq!(zegel.counter(refused), 1);
    let outcome = send(&zegel, "all", b"U", &message);
    let signers = keys.signers(&outcome.apply(&message));
    assert_eq!(signers.len(), 1, "{outcome:?}");
}

/// Once for each listener, and only of mail that would be signed otherwise.
#[test]
fn the_log_says_once_that_mail_of_ours_has_no_address() {
    let (zegel, _) = start();
    let theirs = super::theirs();
    let said = || zegel.log().matches("shows no address").count();
    send(&zegel, "usual", b"U", &theirs);
    send(&zegel, "usual", b"4\0\x19192.0.2.1\0", &ours());
    send(&zegel, "usual", b"4\0\x19unknown\0", &ours());
    send(&zegel, "local", b"U", &ours());
    send(&zegel, "all", b"U", &ours());
    assert_eq!(said(), 0, "{}", zegel.log());
    for _ in 0..3 {
        send(&zegel, "usual", b"L\0\0/run/x\0", &ours());
    }
    zegel.wait_for_log("shows no address", 1);
    send(&zegel, "usual", b"U", &ours());
    assert_eq!(said(), 1, "{}", zegel.log());
    assert!(zegel.log().contains("voorbeeld.example"), "{}", zegel.log());
}
