//! What has no problem in itself, and would still leave mail unsigned: a reload refuses it.

use std::fs;

use super::support::milter::{Connection, Message, Offer, Peer, Reply};
use super::support::zegel::{Org, Zegel};

/// Panics unless a message of ours is signed.
#[track_caller]
fn assert_signs(zegel: &Zegel) {
    let text = b"From: a@alfa.example\r\nSubject: one\r\n\r\nbody\r\n";
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(&Message::parse(text));
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    assert_eq!(outcome.inserted.len(), 1, "{outcome:?}");
    connection.quit();
}

#[test]
fn organisations_that_are_gone_all_at_once() {
    let zegel = Zegel::start(&[Org::new("alfa", &["alfa.example"])]);
    fs::rename(zegel.path("orgs.d"), zegel.path("elsewhere")).expect("a folder");
    zegel.signal("HUP");
    zegel.wait_for_log("there are no organisations any more", 1);
    assert_signs(&zegel);
    fs::create_dir(zegel.path("orgs.d")).expect("a folder");
    zegel.signal("HUP");
    zegel.wait_for_log("there are no organisations any more", 2);
    assert_signs(&zegel);
    fs::remove_dir(zegel.path("orgs.d")).expect("an empty folder");
    fs::rename(zegel.path("elsewhere"), zegel.path("orgs.d")).expect("a folder");
    zegel.signal("HUP");
    zegel.wait_for_log("organisations=1 generation", 1);
    assert_signs(&zegel);
    assert_eq!(
        zegel
            .metric("zegel_reload_total{result=\"failed\"}")
            .to_string(),
        "2"
    );
}

#[test]
fn a_listener_that_this_process_does_not_have() {
    let bound = Org::new("alfa", &["alfa.example"]).more("[senders]\nlisteners = [\"relay\"]");
    let zegel = Zegel::start(&[bound]);
    assert_signs(&zegel);
    zegel.write_settings(
        "[[listener]]\nname = \"outgoing\"\nsocket = \"unix:{folder}/outgoing.sock\"\n",
    );
    let renamed = Org::new("alfa", &["alfa.example"]).more("[senders]\nlisteners = [\"outgoing\"]");
    zegel.add(&renamed);
    zegel.add(&Org::new("beta", &["beta.example"]));
    zegel.signal("HUP");
    zegel.wait_for_log(
        "the signer that runs does not have the listener \"outgoing\"; restart it",
        1,
    );
    zegel.wait_for_log("alfa stays as it was until its file is corrected", 1);
    // All else is taken up.
    zegel.wait_for_log("organisations=2 generation", 1);
    assert_signs(&zegel);
}

/// Whatever took the keystore away may have brought another one back.
#[test]
fn a_keystore_that_was_away_is_read_again() {
    let zegel = Zegel::start(&[Org::new("alfa", &["alfa.example"])]);
    let reloaded = "organisations=1 generation";
    // Its key is read with the first message.
    assert_signs(&zegel);
    fs::rename(zegel.path("keys"), zegel.path("elsewhere")).expect("a folder");
    zegel.wait_for_log("the keystore can't be looked at", 1);
    assert_signs(&zegel);
    fs::rename(zegel.path("elsewhere"), zegel.path("keys")).expect("a folder");
    zegel.wait_for_log(reloaded, 1);
    // The same number in another file, as a backup brings it back.
    let file = zegel.path("keys/generation");
    let restored = zegel.path("keys/restored");
    fs::copy(&file, &restored).expect("a file");
    fs::rename(&restored, &file).expect("a rename");
    zegel.wait_for_log(reloaded, 2);
    assert_signs(&zegel);
}
