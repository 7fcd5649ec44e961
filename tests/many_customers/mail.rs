//! Mail of all customers all the time. Each message is verified at once, with the record that the
//! name server has then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::milter::{Connection, Message, Reply};
use super::support::name_query::{Answer, texts};
use super::support::signatures::PublicKeys;

const PACE: Duration = Duration::from_millis(10);
/// Messages to a connection.
const MESSAGES: usize = 100;

/// What became of the messages of a domain.
#[derive(Clone, Debug, Default)]
struct History {
    signed: usize,
    /// Of the last one that was signed.
    selector: Option<String>,
    /// When one was accepted without a signature after others were signed.
    unsigned: Vec<Instant>,
    put_off: Vec<Instant>,
}

pub(super) struct Mail {
    milter: String,
    server: SocketAddr,
    domains: Vec<String>,
    histories: Mutex<BTreeMap<String, History>>,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Lets the mail end, also when the test fails.
pub(super) struct Stop<'a>(&'a Mail);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

impl Mail {
    pub(super) fn new(milter: String, server: SocketAddr, domains: Vec<String>) -> Self {
        Self {
            milter,
            server,
            domains,
            histories: Mutex::default(),
            failures: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    pub(super) fn stop_at_the_end(&self) -> Stop<'_> {
        Stop(self)
    }

    /// One message after another, until it is told to stop.
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
            self.send_one(&mut open, &self.domains[number % self.domains.len()]);
            number += 1;
            if number.is_multiple_of(MESSAGES) {
                open.quit();
            } else {
                connection = Some(open);
            }
        }
    }

    fn send_one(&self, connection: &mut Connection, domain: &str) {
        let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\nbody\r\n");
        let message = Message::parse(text.as_bytes());
        let outcome = connection.send_message(&message);
        let selector = match &outcome.reply {
            Reply::Continue | Reply::Accept => outcome.selector(),
            reply => {
                let is_put_off = format!("{reply:?}").contains("451");
                if !is_put_off {
                    self.fail(format!("{domain}: {reply:?}"));
                }
                self.note(domain, |history| history.put_off.push(Instant::now()));
                return;
            }
        };
        if let Some(selector) = &selector {
            let name = format!("{selector}._domainkey.{domain}");
            let verified = match texts(self.server, &name) {
                Answer::Texts(texts) if texts.len() == 1 => {
                    PublicKeys::of_record(domain, selector, &texts[0])
                        .and_then(|keys| keys.verify(&outcome.apply(&message)).map(|_| ()))
                }
                other => Err(format!("{other:?}")),
            };
            if let Err(reason) = verified {
                self.fail(format!("{name}: {reason}"));
            }
        }
        self.note(domain, |history| match selector {
            Some(selector) => {
                history.signed += 1;
                history.selector = Some(selector);
            }
            None if history.signed > 0 => history.unsigned.push(Instant::now()),
            None => {}
        });
    }

    fn note(&self, domain: &str, note: impl FnOnce(&mut History)) {
        let mut histories = self.histories.lock().expect("histories");
        note(histories.entry(domain.to_owned()).or_default());
    }

    fn fail(&self, failure: String) {
        self.failures.lock().expect("failures").push(failure);
    }

    /// Panics if a message failed to verify.
    #[track_caller]
    pub(super) fn check(&self) {
        let failures = self.failures.lock().expect("failures").clone();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    /// Of the last message of a domain that was signed.
    pub(super) fn last_selector(&self, domain: &str) -> Option<String> {
        let histories = self.histories.lock().expect("histories");
        histories.get(domain)?.selector.clone()
    }

    /// Panics unless all that was sent is as it should be: no message failed to verify, each
    /// domain but one is signed, none left unsigned once it was live, but of who has left, and
    /// only the one without its key had to wait.
    #[track_caller]
    pub(super) fn check_history(&self, expected: &Expected) {
        self.check();
        let histories = self.histories.lock().expect("histories");
        let after = |(name, from): &(String, Instant), domain: &str, times: &[Instant]| {
            let may_be = |when: &Instant| name == domain && when >= from;
            assert!(
                times.iter().all(may_be),
                "{domain}: {:?}",
                histories[domain]
            );
        };
        for domain in &self.domains {
            let history = &histories[domain];
            let is_live = *domain != expected.never;
            assert_eq!(history.signed > 0, is_live, "{domain}: {history:?}");
            after(&expected.leaves, domain, &history.unsigned);
            after(&expected.waits, domain, &history.put_off);
        }
        let (left, _) = &expected.leaves;
        assert!(!histories[left].unsigned.is_empty(), "it has left");
    }
}

/// What may be otherwise than signed.
pub(super) struct Expected {
    pub(super) never: String,
    /// Unsigned from then on.
    pub(super) leaves: (String, Instant),
    /// Put off from then on, until it has its next key.
    pub(super) waits: (String, Instant),
}
