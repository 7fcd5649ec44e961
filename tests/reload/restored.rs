//! A keystore that is old or not whole, while the signer runs and when it starts.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use zegel::dkim::Algorithm;

use super::support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use super::support::zegel::{Org, Zegel};

fn send(zegel: &Zegel, domain: &str) -> Outcome {
    let text = format!("From: a@{domain}\r\nSubject: one\r\n\r\nbody\r\n");
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(&Message::parse(text.as_bytes()));
    connection.quit();
    outcome
}

#[track_caller]
fn assert_signs(zegel: &Zegel, domain: &str, selector: &str) {
    let outcome = send(zegel, domain);
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    assert_eq!(outcome.inserted.len(), 1, "{outcome:?}");
    let value = String::from_utf8_lossy(&outcome.inserted[0].value).into_owned();
    assert!(value.contains(&format!("s={selector};")), "{value}");
}

#[track_caller]
fn assert_put_off(zegel: &Zegel, domain: &str) {
    let outcome = send(zegel, domain);
    assert!(outcome.inserted.is_empty(), "{outcome:?}");
    let put_off = "451 4.7.1 Message cannot be signed (signing_failure), try again later";
    assert_eq!(
        outcome.reply,
        Reply::Refuse(put_off.to_owned()),
        "{outcome:?}"
    );
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp").success());
}

#[test]
fn an_older_keystore_that_is_put_back_brings_no_key_back() {
    let alfa = Org::new("alfa", &["alfa.example"]);
    let mut zegel = Zegel::start(std::slice::from_ref(&alfa));
    assert_signs(&zegel, "alfa.example", "alfa-rsa");
    copy(&zegel.path("keys"), &zegel.path("backup"));
    zegel.add_key(&alfa, "second-rsa", Algorithm::RsaSha256);
    zegel.wait_for_log("reloaded: keys of alfa.example", 1);
    assert_signs(&zegel, "alfa.example", "second-rsa");

    copy(&zegel.path("backup"), &zegel.path("keys"));
    zegel.wait_for_log("this is an older copy of the keystore", 1);
    assert_signs(&zegel, "alfa.example", "second-rsa");
    assert!(zegel.metric("zegel_key_problems") > 0.0);

    // As the keeper notices it.
    drop(zegel.keystore().writer().expect("a writer"));
    zegel.wait_for_log("until the DNS has shown each active key again", 1);
    assert_signs(&zegel, "alfa.example", "second-rsa");

    let restored = zegel
        .keystore()
        .restore(Timestamp::now())
        .expect("a keystore");
    assert_eq!(restored.given_up.len(), 1);
    zegel.wait_for_log("the keys as they were stay in use", 1);
    assert_signs(&zegel, "alfa.example", "second-rsa");

    // The key that was lost with the copy is missing at a start, and is not awaited.
    zegel.kill();
    zegel.launch();
    assert_put_off(&zegel, "alfa.example");
    zegel.add_key(&alfa, "third-rsa", Algorithm::RsaSha256);
    zegel.wait_for_log("reloaded: keys of alfa.example", 1);
    assert_signs(&zegel, "alfa.example", "third-rsa");
}

#[test]
fn what_is_missing_at_a_start_is_put_off_and_harms_nobody_else() {
    let orgs = [
        Org::new("alfa", &["alfa.example"]),
        Org::new("beta", &["beta.example"]),
        Org::new("gamma", &["gamma.example"]).without_keys(),
    ];
    let mut zegel = Zegel::prepared(&orgs, "");
    let alfa = zegel.path("keys/alfa");
    fs::rename(&alfa, zegel.path("elsewhere")).expect("a folder");
    zegel.launch();
    zegel.wait_for_log("alfa-rsa of alfa.example is not there", 1);
    assert_put_off(&zegel, "alfa.example");
    assert_signs(&zegel, "beta.example", "beta-rsa");
    // It never had one.
    let outcome = send(&zegel, "gamma.example");
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    assert!(outcome.inserted.is_empty(), "{outcome:?}");
    fs::rename(zegel.path("elsewhere"), &alfa).expect("a folder");
    zegel.signal("HUP");
    zegel.wait_for_log("reloaded: keys of alfa.example", 1);
    assert_signs(&zegel, "alfa.example", "alfa-rsa");
}
