//! The keys are under guard: nothing of them is in a core, in the log, or in the memory of the
//! signer where it need not be; and the signer works inside the restrictions of its unit.

#[path = "../support/mod.rs"]
mod support;

mod credential;
mod dumps;
mod memory;
mod mount;
mod sandbox;

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use support::signatures::PublicKeys;
use support::zegel::{Org, Zegel};

/// An account that owns nothing: `nobody` of Debian.
const NOBODY: u32 = 65_534;

fn orgs() -> [Org; 2] {
    [
        Org::new("voorbeeld", &["voorbeeld.example"]).signing_twice(),
        Org::new("ander", &["ander.example"]).without_keys(),
    ]
}

/// The usual listener, where a process without rights can have it: in `{folder}/run`.
const LISTENER: &str = "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/run/relay.sock\"\n\
                        outbound = { authenticated = true, networks = [\"127.0.0.0/8\"] }\n";

/// A signer that `nobody` can run, with the keystore and a folder `run` of its own.
fn of_nobody(settings: &str) -> Zegel {
    support::require_root();
    let zegel = Zegel::prepared(&orgs(), &format!("{settings}\n{LISTENER}"));
    fs::create_dir(zegel.path("run")).expect("a folder for sockets");
    give(&zegel.path("run"), NOBODY);
    give(&zegel.path("keys"), NOBODY);
    zegel
}

/// The options of setpriv for `nobody`.
const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// Changes the owner of everything below.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("an owner");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            give(&entry.expect("an entry").path(), user);
        }
    }
}

fn ours(subject: &str) -> Message {
    let text = format!("From: a@voorbeeld.example\r\nSubject: {subject}\r\n\r\nline\r\n");
    Message::parse(text.as_bytes())
}

/// Has so many messages signed on one connection, by both keys.
#[track_caller]
fn sign(zegel: &Zegel, messages: usize) {
    let keys = PublicKeys::of(&zegel.keystore());
    let address = format!("unix:{}", zegel.path("run/relay.sock").display());
    let mut connection = Connection::negotiated(&address, Offer::POSTFIX);
    assert!(connection.greet(&Peer::local()).goes_on());
    for number in 0..messages {
        let message = ours(&number.to_string());
        let outcome: Outcome = connection.send_message(&message);
        assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
        assert_eq!(keys.signers(&outcome.apply(&message)).len(), 2);
    }
    connection.quit();
}
