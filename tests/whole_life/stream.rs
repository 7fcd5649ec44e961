//! Mail that never stops, and those who receive it: at once, and again after it was in a queue.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::support::milter::{Connection, Message, Outcome, Reply};
use super::support::name_query::{Answer, texts};
use super::support::signatures::PublicKeys;
use super::support::verifiers::{Records, assert_all_pass};
use super::{DOMAINS, QUEUE};

const PACE: Duration = Duration::from_millis(50);
/// Messages to a connection.
const MESSAGES: usize = 40;
/// Receivers to whom the DNS gives no answer for now try again (RFC 6376 §6.1.2), so often.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);
/// Messages of each key and domain that others verify too.
const SAMPLES: usize = 3;

/// A message that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// When it was shown to the signer.
    pub(super) begun: Timestamp,
    /// When the signer was done with it.
    pub(super) ended: Timestamp,
    pub(super) domain: &'static str,
    /// Of its signature.
    pub(super) selector: Option<String>,
}

/// What the test has broken for now, so that nothing can be seen there.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) secondary: AtomicBool,
    pub(super) resolver: AtomicBool,
    /// The signer, which is being replaced.
    pub(super) signer: AtomicBool,
    /// The record of the key that signs: nobody can verify anything.
    pub(super) record: AtomicBool,
}

struct Queued {
    due: Instant,
    when: &'static str,
    tries: usize,
    domain: String,
    selector: String,
    message: Vec<u8>,
}

/// Messages of a key and domain, and the record that they were verified with.
type Samples = BTreeMap<(String, String), (String, Vec<Vec<u8>>)>;

pub(super) struct Stream {
    milter: String,
    /// Primary, secondary, resolver.
    servers: [SocketAddr; 3],
    pub(super) broken: Broken,
    sent: Mutex<Vec<Sent>>,
    queue: Mutex<Vec<Queued>>,
    samples: Mutex<Samples>,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Stream {
    pub(super) fn new(milter: String, servers: [SocketAddr; 3]) -> Self {
        Self {
            milter,
            servers,
            broken: Broken::default(),
            sent: Mutex::default(),
            queue: Mutex::default(),
            samples: Mutex::default(),
            failures: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Ends all that [`Stream::send`] and [`Stream::receive`] do.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Panics if anything was not as it must be.
    #[track_caller]
    pub(super) fn check(&self) {
        let failures = self.failures.lock().expect("failures").clone();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    /// All that was sent.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("messages").clone()
    }

    /// Panics unless dkimpy, Mail::DKIM and OpenDKIM take the samples, with the records as they
    /// were then. Gives the keys and domains.
    pub(super) fn have_samples_verified(&self) -> Vec<(String, String)> {
        let samples = self.samples.lock().expect("samples");
        for ((domain, selector), (record, messages)) in samples.iter() {
            let mut records = Records::new();
            records.insert(domain, selector, record);
            assert_all_pass(messages, &records, 1);
        }
        samples.keys().cloned().collect()
    }

    /// Shows one message after another to the signer; what cannot be shown is tried again, as
    /// an MTA does.
    pub(super) fn send(&self) {
        let mut connection = None;
        let mut number = 0;
        while !self.stop.load(Ordering::SeqCst) {
            thread::sleep(PACE);
            let Some(mut open) = connection
                .take()
                .or_else(|| Connection::of_postfix(&self.milter))
            else {
                continue;
            };
            if self.send_one(&mut open, number) {
                number += 1;
                if number % MESSAGES == 0 {
                    open.quit();
                } else {
                    connection = Some(open);
                }
            }
        }
    }

    /// False if nobody took it.
    fn send_one(&self, connection: &mut Connection, number: usize) -> bool {
        let domain = DOMAINS[number % DOMAINS.len()];
        let text = format!("From: a@{domain}\r\nSubject: {number}\r\n\r\nbody {number}\r\n");
        let message = Message::parse(text.as_bytes());
        let begun = Timestamp::now();
        let outcome = connection.send_message(&message);
        let selector = match outcome.reply {
            Reply::Continue | Reply::Accept => {
                let message = outcome.apply(&message);
                self.accepted(domain, &outcome, &message)
            }
            Reply::Closed => return false,
            Reply::Failed(_) if self.broken.signer.load(Ordering::SeqCst) => return false,
            ref other => {
                self.fail(format!("message {number} of {domain}: {other:?}"));
                return false;
            }
        };
        let sent = Sent {
            begun,
            ended: Timestamp::now(),
            domain,
            selector,
        };
        self.sent.lock().expect("messages").push(sent);
        true
    }

    /// Verifies it and puts it into the queue. Gives the selector if it is signed.
    fn accepted(&self, domain: &str, outcome: &Outcome, message: &[u8]) -> Option<String> {
        if outcome.inserted.is_empty() {
            return None;
        }
        let selector = outcome.selector().expect("a signature has s=");
        let delivered = |when, delay| Queued {
            due: Instant::now() + delay,
            when,
            tries: 0,
            domain: domain.to_owned(),
            selector: selector.clone(),
            message: message.to_vec(),
        };
        self.verify(delivered("when it was signed", Duration::ZERO));
        let queued = delivered("after the queue", QUEUE);
        self.queue.lock().expect("the queue").push(queued);
        Some(selector)
    }

    /// Verifies again what was in the queue for long enough.
    pub(super) fn receive(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            thread::sleep(PACE / 5);
            let now = Instant::now();
            let mut queue = self.queue.lock().expect("the queue");
            let due: Vec<Queued> = queue.extract_if(.., |queued| queued.due <= now).collect();
            drop(queue);
            for queued in due {
                self.verify(queued);
            }
        }
    }

    /// With the records as they are now, at both name servers and as the resolver has them.
    fn verify(&self, mut queued: Queued) {
        let name = format!("{}._domainkey.{}", queued.selector, queued.domain);
        for (server, address) in ["primary", "secondary", "resolver"]
            .iter()
            .zip(self.servers)
        {
            let answer = texts(address, &name);
            if self.is_broken(server) {
                continue;
            }
            let verified = match &answer {
                Answer::Texts(texts) if texts.len() == 1 => self.verify_by(&texts[0], &queued),
                Answer::Unknown if queued.tries < TRIES => {
                    queued.tries += 1;
                    queued.due = Instant::now() + PAUSE;
                    return self.queue.lock().expect("the queue").push(queued);
                }
                other => Err(format!("{other:?}")),
            };
            // It may have broken in between.
            if let (Err(reason), false) = (verified, self.is_broken(server)) {
                let (now, when) = (Timestamp::now(), queued.when);
                self.fail(format!("{now}: {when}: the {server}, {name}: {reason}"));
            }
        }
    }

    fn verify_by(&self, record: &str, queued: &Queued) -> Result<(), String> {
        let Queued {
            domain,
            selector,
            message,
            ..
        } = queued;
        PublicKeys::of_record(domain, selector, record)?.verify(message)?;
        self.sample(domain, selector, (record, message));
        Ok(())
    }

    fn is_broken(&self, server: &str) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        is_set(&self.broken.record)
            || match server {
                "secondary" => is_set(&self.broken.secondary),
                "resolver" => is_set(&self.broken.resolver),
                _ => false,
            }
    }

    fn sample(&self, domain: &str, selector: &str, (record, message): (&str, &[u8])) {
        let mut samples = self.samples.lock().expect("samples");
        let name = (domain.to_owned(), selector.to_owned());
        let (_, messages) = samples
            .entry(name)
            .or_insert_with(|| (record.to_owned(), Vec::new()));
        if messages.len() < SAMPLES && !messages.iter().any(|one| one == message) {
            messages.push(message.to_vec());
        }
    }

    fn fail(&self, text: String) {
        self.failures.lock().expect("failures").push(text);
    }
}
