//! SIGTERM and SIGINT under load: every message whose MAIL was answered gets its final reply.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::milter::{Command, Connection, Offer, Outcome, Peer};
use super::support::signatures::PublicKeys;
use super::support::zegel::Zegel;
use super::{assert_signed, orgs, ours, wait_until};

/// MAIL is answered, so that it is known that the signer has read it.
const NOREPLY_MAIL: u32 = 0x4000;
const DRAIN_TIME: Duration = Duration::from_secs(25);

/// What the clients of a test have in common.
struct Load<'a> {
    address: String,
    keys: &'a PublicKeys,
    /// From then on a connection may be closed or refused, where no message is under way.
    stopping: AtomicBool,
    /// Messages whose MAIL was answered, and those of them that were signed.
    begun: AtomicUsize,
    signed: AtomicUsize,
}

impl<'a> Load<'a> {
    fn new(zegel: &Zegel, keys: &'a PublicKeys) -> Self {
        Self {
            address: zegel.milter(),
            keys,
            stopping: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            signed: AtomicUsize::new(0),
        }
    }

    /// Sends messages until the signer is gone, waiting so long within each of them.
    fn send_all(&self, offer: Offer, pause: Duration) {
        while let Some(mut connection) = self.connect(offer) {
            for _ in 0..10 {
                let Some(outcome) = self.send(&mut connection, pause) else {
                    break;
                };
                assert_signed(self.keys, &outcome);
                self.signed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// A connection, unless the signer stops.
    fn connect(&self, offer: Offer) -> Option<Connection> {
        let connect = || {
            let mut connection = Connection::try_open(&self.address).ok()?;
            connection.negotiate(offer.without(NOREPLY_MAIL)).ok()?;
            let is_greeted = connection.greet(&Peer::local()).goes_on();
            is_greeted.then_some(connection)
        };
        let connection = connect();
        self.allow_end(connection.is_none(), "no connection");
        connection
    }

    fn send(&self, connection: &mut Connection, pause: Duration) -> Option<Outcome> {
        let message = ours();
        let events = connection.events(&message);
        let part = pause / u32::try_from(events.len()).expect("a few");
        for (command, data) in events {
            let reply = connection.step(command, &data, &message.macros);
            if command == Command::Mail {
                self.allow_end(!reply.goes_on(), "no message begins");
                if !reply.goes_on() {
                    return None;
                }
                self.begun.fetch_add(1, Ordering::SeqCst);
            }
            assert!(
                reply.goes_on(),
                "a message was cut at {command:?}: {reply:?}"
            );
            thread::sleep(part);
        }
        let outcome = connection.finish(&message);
        connection.abort();
        Some(outcome)
    }

    fn allow_end(&self, is_end: bool, what: &str) {
        let stopping = self.stopping.load(Ordering::SeqCst);
        assert!(stopping || !is_end, "{what}, though nobody said so");
    }
}

/// A connection without a message is closed at once.
fn assert_closed_soon(mut connection: Connection) {
    connection.set_timeout(Duration::from_secs(2));
    let end = connection.read_frame();
    assert!(matches!(end, Ok(None)), "{end:?}");
}

/// Nobody new is let in, and whoever asks is told.
fn assert_draining(zegel: &Zegel) {
    wait_until("the socket is gone", || !zegel.socket().exists());
    assert!(Connection::try_open(&zegel.milter()).is_err());
    let ready = zegel.page("/health/ready").expect("a page");
    let is_said = ready.contains("503 ") && ready.contains("not ready: draining");
    assert!(is_said, "{ready}");
    let live = zegel.page("/health/live").expect("a page");
    assert!(live.contains("200 OK"), "{live}");
}

fn no_message_is_cut(signal: &str) {
    let mut zegel = Zegel::start(&orgs());
    let keys = PublicKeys::of(&zegel.keystore());
    let load = Load::new(&zegel, &keys);
    let signalled = thread::scope(|scope| {
        for number in 0..8 {
            let offer = if number % 2 == 0 {
                Offer::POSTFIX
            } else {
                Offer::version(6).without(u32::MAX)
            };
            let pause = Duration::from_millis(600 + 200 * number);
            let load = &load;
            scope.spawn(move || load.send_all(offer, pause));
        }
        let idle = Connection::open(&load.address);
        let greeted = load.connect(Offer::POSTFIX).expect("a connection");
        wait_until("some are signed", || {
            load.signed.load(Ordering::SeqCst) > 10
        });
        load.stopping.store(true, Ordering::SeqCst);
        zegel.signal(signal);
        let signalled = Instant::now();
        assert_closed_soon(idle);
        assert_closed_soon(greeted);
        assert_draining(&zegel);
        assert!(signalled.elapsed() < Duration::from_secs(1));
        let open = load.begun.load(Ordering::SeqCst) - load.signed.load(Ordering::SeqCst);
        assert!(open > 3, "{open} messages are too few for a test");
        signalled
    });
    assert!(zegel.wait().success());
    // The longest message, and a margin for the busy machine.
    assert!(
        signalled.elapsed() < Duration::from_secs(8),
        "{:?}",
        signalled.elapsed()
    );
    assert_eq!(load.begun.into_inner(), load.signed.into_inner());
    let log = zegel.log();
    assert!(
        log.contains("draining: no new connections") && log.contains("stopped"),
        "{log}"
    );
    assert!(!log.contains("are cut"), "{log}");
}

#[test]
fn no_message_is_cut_by_sigterm() {
    no_message_is_cut("TERM");
}

#[test]
fn no_message_is_cut_by_sigint() {
    no_message_is_cut("INT");
}

/// Messages so short that many begin in the very moment of the signal.
#[test]
fn no_message_is_cut_that_begins_with_the_signal() {
    let mut zegel = Zegel::prepared(&orgs(), "[log]\nfilter = \"warn\"\n");
    let keys = PublicKeys::of(&zegel.keystore());
    for round in 0..25 {
        zegel.launch();
        let load = Load::new(&zegel, &keys);
        thread::scope(|scope| {
            for _ in 0..=round % 8 {
                scope.spawn(|| load.send_all(Offer::POSTFIX, Duration::ZERO));
            }
            wait_until("some are signed", || {
                load.signed.load(Ordering::SeqCst) > 20
            });
            load.stopping.store(true, Ordering::SeqCst);
            zegel.signal("TERM");
        });
        assert!(zegel.wait().success());
        assert_eq!(load.begun.into_inner(), load.signed.into_inner());
    }
}

/// A peer that never comes to an end, and one that does not read: after 25 seconds it is enough.
#[test]
fn what_never_ends_is_cut() {
    let mut zegel = Zegel::start(&orgs());
    let keys = PublicKeys::of(&zegel.keystore());
    let load = Load::new(&zegel, &keys);
    let mut endless = load.connect(Offer::POSTFIX).expect("a connection");
    endless.show(&ours());
    let offer = Offer::version(6).without(u32::MAX);
    let mut deaf = load.connect(offer).expect("a connection");
    deaf.set_write_timeout(Duration::from_secs(1));
    deaf.write_raw(b"\0\0\0\x05M<a>\0\0\0\0\x05R<a>\0\0\0\0\x01T");
    while deaf.try_write_frame(Command::Header, b"X\0x\0").is_ok() {}
    zegel.signal("TERM");
    let signalled = Instant::now();
    endless.set_timeout(DRAIN_TIME + Duration::from_secs(5));
    assert!(matches!(endless.read_frame(), Ok(None)));
    let took = signalled.elapsed();
    let slack = Duration::from_secs(3);
    assert!(
        took + slack > DRAIN_TIME && took < DRAIN_TIME + slack,
        "{took:?}"
    );
    assert!(zegel.wait().success());
    assert!(signalled.elapsed() < DRAIN_TIME + slack);
    assert!(zegel.log().contains("messages in progress are cut"));
}
