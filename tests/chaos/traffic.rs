//! Clients that send at a steady rate and try again what was put off, as an MTA does.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::support::smtp::{Client, Message};
use super::support::trials::senders::letter;

const CLIENTS: u32 = 16;
/// All clients together, at most: a slow machine carries less.
const MESSAGES_A_SECOND: u32 = 200;
/// A connection is for so many.
const MESSAGES_OF_A_CONNECTION: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_millis(400);
/// Then the client gives up.
const TRIES: u32 = 200;
/// Who writes, and how many signatures that gets; the third is nobody's organisation.
pub(super) const AUTHORS: [(&str, usize); 4] = [
    ("jan@voorbeeld.example", 1),
    ("piet@dubbel.example", 2),
    ("vreemd@elders.example", 0),
    ("els@voorbeeld.example", 1),
];

/// How an attempt to hand over a message ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// 250.
    Taken,
    /// 4xx, and the client tries again.
    PutOff,
    /// 421 or a closed connection before the end of the message: it tries again.
    Closed,
    /// 5xx: the client gives up.
    Refused,
    /// The connection was closed instead of an answer to the end of the message: nobody knows.
    Unknown,
}

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The recipient, of one message only.
    pub(super) to: String,
    /// The signatures that it must get.
    pub(super) signatures: usize,
    pub(super) answer: Answer,
    /// What was done to the signer when the answer came.
    pub(super) phase: usize,
    /// Whether it was tried too often.
    pub(super) given_up: bool,
}

/// What the clients share.
#[derive(Default)]
pub(super) struct Traffic {
    over: AtomicBool,
    phase: AtomicUsize,
    attempts: Mutex<Vec<Attempt>>,
}

/// Lets the clients end, also when the test fails.
pub(super) struct Stop<'a>(&'a Traffic);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

struct Letter {
    message: Message,
    signatures: usize,
    tries: u32,
    due: Instant,
}

impl Traffic {
    /// Starts the clients; they begin no new message when the value given is dropped.
    pub(super) fn start<'s>(&'s self, scope: &'s Scope<'s, '_>, port: u16) -> Stop<'s> {
        for client in 0..CLIENTS {
            scope.spawn(move || self.send_on(port, client));
        }
        Stop(self)
    }

    /// What is done to the signer from now on.
    pub(super) fn enter(&self, phase: usize) {
        self.phase.store(phase, Ordering::SeqCst);
    }

    /// All of them, when the clients have ended.
    pub(super) fn attempts(self) -> Vec<Attempt> {
        self.attempts.into_inner().expect("no client panics")
    }

    fn send_on(&self, port: u16, client: u32) {
        let pace = Duration::from_secs(1) * CLIENTS / MESSAGES_A_SECOND;
        let mut next = Instant::now() + pace * client / CLIENTS;
        let mut waiting: VecDeque<Letter> = VecDeque::new();
        let mut connection = Connection::new(port);
        let mut number = 0;
        loop {
            let now = Instant::now();
            let over = self.over.load(Ordering::SeqCst);
            let mut letter = if waiting.front().is_some_and(|letter| letter.due <= now) {
                waiting.pop_front().expect("it is there")
            } else if !over && next <= now {
                number += 1;
                // What could not be sent in time is not made up for.
                next = (next + pace).max(now);
                write(client, number)
            } else if over && waiting.is_empty() {
                return connection.close();
            } else {
                thread::sleep(Duration::from_millis(3));
                continue;
            };
            let answer = connection.send(&letter.message);
            letter.tries += 1;
            letter.due = Instant::now() + RETRY_AFTER;
            let again = matches!(answer, Answer::PutOff | Answer::Closed);
            let attempt = Attempt {
                to: letter.message.to[0].clone(),
                signatures: letter.signatures,
                answer,
                phase: self.phase.load(Ordering::SeqCst),
                given_up: again && letter.tries == TRIES,
            };
            if again && !attempt.given_up {
                waiting.push_back(letter);
            }
            self.attempts
                .lock()
                .expect("no client panics")
                .push(attempt);
        }
    }
}

fn write(client: u32, number: u32) -> Letter {
    let (author, signatures) = AUTHORS[(client + number) as usize % AUTHORS.len()];
    let mut message = letter(author, &format!("chaos-{client}-{number}"));
    // Some are large enough that things happen in the middle of them.
    let lines = match number % 100 {
        0 => 8_000,
        50 | 75 => 800,
        _ => 40,
    };
    let line = b"a line of text that goes on\r\n";
    message.bytes.extend_from_slice(&line.repeat(lines));
    Letter {
        message,
        signatures,
        tries: 0,
        due: Instant::now(),
    }
}

/// Opened when it is needed, and anew after every trouble.
struct Connection {
    port: u16,
    open: Option<Client>,
    used: u32,
}

impl Connection {
    fn new(port: u16) -> Self {
        Self {
            port,
            open: None,
            used: 0,
        }
    }

    fn send(&mut self, message: &Message) -> Answer {
        if self.used == MESSAGES_OF_A_CONNECTION {
            self.close();
        }
        let mut client = match self.open.take() {
            Some(client) => client,
            None => match self.greeted() {
                Ok(client) => client,
                Err(answer) => return answer,
            },
        };
        self.used += 1;
        let delivery = client.send(message);
        let code = delivery.verdict().code;
        match code {
            250 => self.open = Some(client),
            0 => {}
            _ => {
                client.quit();
            }
        }
        match code {
            0 if delivery.end.is_some() => Answer::Unknown,
            _ => answer(code),
        }
    }

    fn greeted(&mut self) -> Result<Client, Answer> {
        self.used = 0;
        let mut client = Client::connect(self.port);
        let code = match client.greeting().code {
            220 => client.ehlo("client.example").code,
            other => other,
        };
        if code == 250 {
            Ok(client)
        } else {
            Err(answer(code))
        }
    }

    fn close(&mut self) {
        self.used = 0;
        if let Some(client) = self.open.take() {
            client.quit();
        }
    }
}

fn answer(code: u16) -> Answer {
    match code {
        250 => Answer::Taken,
        0 | 421 => Answer::Closed,
        400..=499 => Answer::PutOff,
        500..=599 => Answer::Refused,
        _ => panic!("an answer that no SMTP server gives: {code}"),
    }
}
