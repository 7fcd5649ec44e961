//! Clients that send without end, and know what may become of each message.

use std::iter::Sum;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::support::milter::{Command, Connection, Message, Offer, Outcome, Peer, Reply};
use super::worlds::{Stage, World};

/// A header field is answered, so that it is known when the signer took its snapshot.
const NOREPLY_HEADER: u32 = 0x80;
/// Messages to a connection.
const MESSAGES: usize = 50;

const DOMAINS: [&str; 5] = [
    "alfa.example",
    "beta.example",
    "extra.example",
    "gamma.example",
    "unknown.example",
];

/// How many messages ended how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) signed: usize,
    pub(super) accepted: usize,
    pub(super) tempfailed: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Signed(&'static str),
    Accepted,
    Tempfailed,
}

pub(super) struct Client<'a> {
    stage: &'a Stage,
    number: usize,
}

impl<'a> Client<'a> {
    pub(super) fn new(stage: &'a Stage, number: usize) -> Self {
        Self { stage, number }
    }

    /// Sends mail of all domains in turn; panics at the first one that ends as it must not.
    pub(super) fn send_until(&self, stop: &AtomicBool) -> Tally {
        let mut tally = Tally::default();
        while !stop.load(Ordering::Relaxed) {
            let offer = Offer::POSTFIX.without(NOREPLY_HEADER);
            let mut connection = Connection::negotiated(&self.stage.zegel.milter(), offer);
            connection.greet(&Peer::local());
            for number in 0..MESSAGES {
                let domain = DOMAINS[(number + self.number) % DOMAINS.len()];
                match self.send(&mut connection, domain) {
                    Ending::Signed(_) => tally.signed += 1,
                    Ending::Accepted => tally.accepted += 1,
                    Ending::Tempfailed => tally.tempfailed += 1,
                }
            }
            connection.quit();
        }
        tally
    }

    fn send(&self, connection: &mut Connection, domain: &str) -> Ending {
        let text = format!("From: a@{domain}\r\nSubject: x\r\n\r\nbody\r\n");
        let message = Message::parse(text.as_bytes());
        let confirmed = self.stage.confirmed();
        let mut worlds = Vec::new();
        for (command, data) in connection.events(&message) {
            let reply = connection.step(command, &data, &message.macros);
            assert!(reply.goes_on(), "{command:?}: {reply:?}");
            if command == Command::Header && worlds.is_empty() {
                worlds = self.stage.since(confirmed);
                // One of them has its messages outlast several reloads.
                let pause = if self.number == 3 { 100 } else { 3 };
                thread::sleep(Duration::from_millis(pause));
            }
        }
        let outcome = connection.finish(&message);
        connection.abort();
        let ending = self.ending(&message, &outcome);
        let allowed: Vec<Ending> = worlds
            .iter()
            .flat_map(|world| expected(*world, domain))
            .collect();
        assert!(
            allowed.contains(&ending),
            "{domain}: {ending:?}, none of {allowed:?}\n{outcome:?}\n{}",
            self.stage.zegel.log()
        );
        ending
    }

    fn ending(&self, message: &Message, outcome: &Outcome) -> Ending {
        let signers = self.stage.keys.signers(&outcome.apply(message));
        match (&outcome.reply, signers.as_slice()) {
            (Reply::Accept, []) => Ending::Accepted,
            (Reply::Refuse(text), []) if text.starts_with("451 4.7.1 ") => Ending::Tempfailed,
            (Reply::Accept, [(_, selector)]) => {
                let known = ["alfa-rsa", "alfa-second", "beta-rsa", "gamma-rsa"];
                let known = known.into_iter().find(|known| known == selector);
                Ending::Signed(known.expect("a key of ours"))
            }
            _ => panic!("{outcome:?}"),
        }
    }
}

fn expected(world: World, domain: &str) -> Vec<Ending> {
    let ending = match domain {
        "alfa.example" if world.second_key => Ending::Signed("alfa-second"),
        "alfa.example" => Ending::Signed("alfa-rsa"),
        "beta.example" | "extra.example" => Ending::Signed("beta-rsa"),
        "gamma.example" => Ending::Signed("gamma-rsa"),
        _ if world.second_settings => Ending::Tempfailed,
        _ => Ending::Accepted,
    };
    // In no file at the start, with a key in use: nobody knows yet who may send it. Once a file
    // has had it, it is signed, whatever becomes of the file.
    let is_lost = domain == "extra.example" && !world.second_settings;
    let unknown = is_lost.then_some(Ending::Tempfailed);
    [ending].into_iter().chain(unknown).collect()
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            signed: sum.signed + one.signed,
            accepted: sum.accepted + one.accepted,
            tempfailed: sum.tempfailed + one.tempfailed,
        })
    }
}
