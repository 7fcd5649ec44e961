//! One connection after another, and one message after another on them: nothing that one
//! sends touches the next, and nothing that a peer does harms another.

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod endless;
mod isolation;
mod limits;
mod load;
mod malformed;
mod memory;
mod observe;

use std::thread;
use std::time::{Duration, Instant};

use support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use support::signatures::PublicKeys;
use support::zegel::{Org, Zegel};

const DOMAIN: &str = "voorbeeld.example";

/// The usual organisation, with these limits.
fn start(limits: &str) -> (Zegel, PublicKeys) {
    let orgs = [Org::new("voorbeeld", &[DOMAIN])];
    let zegel = Zegel::with_settings(&orgs, &format!("[limits]\n{limits}\n"));
    let keys = PublicKeys::of(&zegel.keystore());
    (zegel, keys)
}

/// Waits until it is so, for 20 seconds at most.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A message of the usual organisation.
fn ours() -> Message {
    Message::parse(
        b"From: A <a@voorbeeld.example>\r\nTo: b@elsewhere.example\r\nSubject: one\r\n\r\nbody\r\n",
    )
}

/// A message of nobody that is known here.
fn theirs() -> Message {
    Message::parse(b"From: a@unknown.example\r\nSubject: two\r\n\r\nbody\r\n")
}

/// A connection on which messages can be sent, as Postfix makes it.
fn greeted(zegel: &Zegel) -> Connection {
    greeted_with(zegel, Offer::POSTFIX)
}

fn greeted_with(zegel: &Zegel, offer: Offer) -> Connection {
    let mut connection = Connection::negotiated(&zegel.milter(), offer);
    let reply = connection.greet(&Peer::local());
    assert!(reply.goes_on(), "{reply:?}");
    connection
}

/// Panics unless a message of ours was signed, rightly and once.
#[track_caller]
fn assert_signed(keys: &PublicKeys, message: &Message, outcome: &Outcome) {
    assert_eq!(outcome.reply, Reply::Accept, "{outcome:?}");
    let signers = keys.signers(&outcome.apply(message));
    let expected = (DOMAIN.to_owned(), "voorbeeld-rsa".to_owned());
    assert_eq!(signers, [expected], "{outcome:?}");
}

/// Panics unless a message was let through as it is.
#[track_caller]
fn assert_untouched(outcome: &Outcome) {
    let untouched = outcome.inserted.is_empty() && outcome.other.is_empty();
    assert!(untouched && outcome.reply == Reply::Accept, "{outcome:?}");
}

/// Panics unless a message was refused for now, for this reason.
#[track_caller]
fn assert_tempfailed(outcome: &Outcome, reason: &str) {
    let text = format!("451 4.7.1 Message cannot be signed ({reason}), try again later");
    assert!(outcome.inserted.is_empty(), "{outcome:?}");
    assert_eq!(outcome.reply, Reply::Refuse(text), "{outcome:?}");
}

/// A connection of its own: the signer is as well as ever.
#[track_caller]
fn assert_alive(zegel: &Zegel, keys: &PublicKeys) {
    let message = ours();
    let mut connection = greeted(zegel);
    let outcome = connection.send_message(&message);
    assert_signed(keys, &message, &outcome);
    connection.quit();
}

fn count(zegel: &Zegel, series: &str) -> u64 {
    let series = match series.strip_prefix("messages ") {
        Some(result) => {
            format!("zegel_messages_total{{listener=\"relay\",result=\"{result}\"}}")
        }
        None => format!("zegel_{series}{{listener=\"relay\"}}"),
    };
    zegel.counter(&series)
}

/// How often a limit was reached.
fn reached(zegel: &Zegel, limit: &str) -> u64 {
    zegel.counter(&format!(
        "zegel_limits_reached_total{{listener=\"relay\",limit=\"{limit}\"}}"
    ))
}
