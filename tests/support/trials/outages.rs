//! The signer ends while the mail server carries mail, and comes back.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::arrivals::{Sent, assert_all_right};
use crate::support::smtp::{Client, Message};
use crate::support::stage::{Mta, Stage, signatures_of};
use crate::support::trials::senders::letter;

/// How long the clients go on before, during and after the outage.
const WHILE: Duration = Duration::from_millis(1500);

/// How the signer ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// SIGTERM: messages in progress come to their end.
    Asked,
    /// SIGKILL.
    Killed,
}

/// What the clients share.
#[derive(Default)]
struct Traffic {
    over: AtomicBool,
    refused: AtomicUsize,
    accepted: Mutex<Vec<Sent>>,
}

/// Four clients send without a pause while the signer ends, and is gone, and starts anew: what
/// was taken arrives signed, what was refused does not arrive.
pub fn nothing_leaves_unsigned(stage: &mut Stage<impl Mta + Sync>, end: End) {
    let traffic = Traffic::default();
    let port = stage.mta.relay_port();
    let zegel = &mut stage.zegel;
    let during = thread::scope(|scope| {
        for client in 0..4 {
            let traffic = &traffic;
            scope.spawn(move || send_on(traffic, port, client));
        }
        thread::sleep(WHILE);
        match end {
            End::Asked => assert!(zegel.terminate().success(), "{}", zegel.log()),
            End::Killed => zegel.kill(),
        }
        let before = traffic.accepted.lock().expect("no client panics").len();
        let refused = traffic.refused.load(Ordering::SeqCst);
        thread::sleep(WHILE);
        let refused = traffic.refused.load(Ordering::SeqCst) - refused;
        let during = traffic.accepted.lock().expect("no client panics").len() - before;
        zegel.launch();
        thread::sleep(WHILE);
        traffic.over.store(true, Ordering::SeqCst);
        assert!(
            before > 0 && refused > 0,
            "{before} taken before, {refused} refused during"
        );
        during
    });
    // A client may learn of an end of message a moment after the signer has ended.
    assert!(during <= 4, "{during} messages were taken without a signer");
    let sent = traffic.accepted.into_inner().expect("no client panics");
    assert!(sent.len() > 8);
    let unique: HashSet<_> = sent.iter().map(|sent| sent.message.to[0].clone()).collect();
    assert_eq!(unique.len(), sent.len());
    assert_all_right(&stage.arrivals(sent), &stage.zegel.records());
}

/// Sends one message after the other, each once, on connections as long as they last.
fn send_on(traffic: &Traffic, port: u16, client: usize) {
    let authors = ["jan@voorbeeld.example", "piet@dubbel.example"];
    let mut number = 0;
    while !traffic.over.load(Ordering::SeqCst) {
        let Some(mut connection) = greeted(port) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        while !traffic.over.load(Ordering::SeqCst) {
            number += 1;
            let author = authors[number % 2];
            let message = large(letter(author, &format!("message-{client}-{number}")));
            match connection.send(&message).verdict().code {
                250 => {
                    let signatures = signatures_of(author);
                    let sent = Sent {
                        message,
                        signatures,
                    };
                    traffic
                        .accepted
                        .lock()
                        .expect("no client panics")
                        .push(sent);
                }
                code => {
                    assert!(code == 0 || (400..500).contains(&code), "{code}");
                    traffic.refused.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    break;
                }
            }
        }
    }
}

/// A connection, if the mail server takes one.
fn greeted(port: u16) -> Option<Client> {
    let mut client = Client::connect(port);
    (client.greeting().code == 220 && client.ehlo("client.example").code == 250).then_some(client)
}

/// Large enough that an end can come in the middle of it.
fn large(mut message: Message) -> Message {
    message
        .bytes
        .extend_from_slice(&b"a line of text that goes on\r\n".repeat(1_000));
    message
}
