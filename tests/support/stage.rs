//! A signer, a mail server in front of it and a sink behind that, with the same cast of
//! organisations for every server.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use super::arrivals::{self, Sent};
use super::logins::REALM;
use super::postfix::Postfix;
use super::sendmail::Sendmail;
use super::sink::{Received, Sink};
use super::smtp::{Client, Message};
use super::zegel::{Org, Zegel};

/// What the mail servers have in common.
pub trait Mta {
    /// Takes mail from 127.0.0.0/8 for anywhere; its milter is the listener `relay`.
    fn relay_port(&self) -> u16;
    /// Takes mail after a login; its milter is the listener `submission`.
    fn submission_port(&self) -> u16;
    /// `sendmail -t`.
    fn submit(&self, envelope_from: &str, message: &[u8]) -> Output;
}

impl Mta for Postfix {
    fn relay_port(&self) -> u16 {
        self.relay_port()
    }

    fn submission_port(&self) -> u16 {
        self.submission_port()
    }

    fn submit(&self, envelope_from: &str, message: &[u8]) -> Output {
        self.submit(envelope_from, message)
    }
}

impl Mta for Sendmail {
    fn relay_port(&self) -> u16 {
        self.relay_port()
    }

    fn submission_port(&self) -> u16 {
        self.submission_port()
    }

    fn submit(&self, envelope_from: &str, message: &[u8]) -> Output {
        self.submit(envelope_from, message)
    }
}

/// A way into a mail server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// SMTP from 127.0.0.1.
    Relay,
    /// SMTP with the login `crm`.
    Submission,
    /// `sendmail -t`, which comes in by the listener `relay`.
    Local,
}

impl Way {
    /// For recipients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Submission => "submission",
            Self::Local => "local",
        }
    }

    /// The listener that the milter connection comes in by.
    pub fn listener(self) -> &'static str {
        match self {
            Self::Relay | Self::Local => "relay",
            Self::Submission => "submission",
        }
    }
}

/// The two listeners of the signer; 127.0.0.8 and up are strangers.
const LISTENERS: &str = r#"
[[listener]]
name = "relay"
socket = "unix:{folder}/relay.sock"
group = "postfix"
outbound = { authenticated = false, networks = ["127.0.0.0/29"] }
[[listener]]
name = "submission"
socket = "unix:{folder}/submission.sock"
group = "postfix"
outbound = { authenticated = true, networks = [] }
"#;

/// The organisations that every trial has.
pub fn cast() -> Vec<Org> {
    vec![
        Org::new(
            "voorbeeld",
            &[
                "voorbeeld.example",
                "nieuws.voorbeeld.example",
                "bücher.example",
            ],
        )
        .parked(&["oud-voorbeeld.example"]),
        Org::new("dubbel", &["dubbel.example"]).signing_twice(),
        // Postfix shows the realm of Cyrus SASL, Sendmail does not.
        Org::new("login", &["login.example"])
            .more(&format!("[senders]\nauth = [\"crm\", \"crm@{REALM}\"]")),
        Org::new("netwerk", &["netwerk.example"]).more("[senders]\nnetworks = [\"127.0.0.2/32\"]"),
        Org::new("luister", &["luister.example"]).more("[senders]\nlisteners = [\"submission\"]"),
        Org::new("streng", &["streng.example"])
            .more("[senders]\nauth = [\"niemand\"]\n[policy]\nunauthorised_sender = \"reject\""),
        Org::new("sleutelloos", &["sleutelloos.example"]).without_keys(),
        Org::new("kapot", &["kapot.example"]).with_lost_keys(),
    ]
}

/// What becomes of mail of an author whom nothing but the From domain decides on.
pub fn signatures_of(author: &str) -> Vec<(String, String)> {
    let domain = author.rsplit('@').next().unwrap_or(author).to_lowercase();
    let by = |domain: &str, selector: &str| (domain.to_owned(), selector.to_owned());
    match domain.as_str() {
        "voorbeeld.example" | "nieuws.voorbeeld.example" => vec![by(&domain, "voorbeeld-rsa")],
        "bücher.example" => vec![by("xn--bcher-kva.example", "voorbeeld-rsa")],
        "dubbel.example" => vec![by(&domain, "dubbel-rsa"), by(&domain, "dubbel-ed25519")],
        _ => Vec::new(),
    }
}

/// See the module.
pub struct Stage<M> {
    /// The mail server, which is the first to end.
    pub mta: M,
    /// The signer.
    pub zegel: Zegel,
    /// Where all mail arrives.
    pub sink: Sink,
}

impl<M: Mta> Stage<M> {
    /// With further lines for `zegel.toml`.
    pub fn new(settings: &str, mta: impl FnOnce(&Zegel, &Sink) -> M) -> Self {
        let zegel = Zegel::with_settings(&cast(), &(LISTENERS.to_owned() + settings));
        let sink = Sink::start();
        let mta = mta(&zegel, &sink);
        Self { mta, zegel, sink }
    }

    /// Writes other settings and has the signer read them.
    pub fn reload(&self, settings: &str) {
        let reloads = || self.zegel.metric("zegel_reload_total{result=\"ok\"}");
        let before = reloads();
        let settings = LISTENERS.to_owned() + settings;
        self.zegel.write_settings(&settings);
        self.zegel.signal("HUP");
        wait_until("the settings are in use", || reloads() > before);
    }

    /// Hands messages over, all of which must be taken.
    pub fn carry(&self, way: Way, messages: &[Message]) {
        let mut client = match way {
            Way::Relay => Client::greeted(self.mta.relay_port()),
            Way::Submission => Client::logged_in(self.mta.submission_port(), "crm", "geheim"),
            Way::Local => return messages.iter().for_each(|message| self.submit(message)),
        };
        for message in messages {
            client.send(message).expect_accepted();
        }
        client.quit().expect(221);
    }

    fn submit(&self, message: &Message) {
        let text = super::corpus::replaced(&message.bytes, b"\r\n", b"\n");
        let output = self.mta.submit(&message.from, &text);
        assert!(output.status.success(), "{:?}: {output:?}", message.to);
    }

    /// Waits for what was sent, and gives each with what arrived of it.
    pub fn arrivals(&self, sent: Vec<Sent>) -> Vec<(Sent, Received)> {
        let received = arrivals::await_all(&self.sink, &sent);
        sent.into_iter().zip(received).collect()
    }
}

/// Waits for what must come soon. Panics when it does not.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the counters must say, series by series.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, f64>);

impl Tally {
    /// A message that was answered with this result on a listener.
    pub fn message(&mut self, listener: &str, result: &str) {
        self.add(format!(
            "zegel_messages_total{{listener=\"{listener}\",result=\"{result}\"}}"
        ));
    }

    /// A signature of an organisation, with the key that it has from the start.
    pub fn signed(&mut self, organisation: &str, algorithm: &str) {
        let key_type = algorithm.split('-').next().unwrap_or(algorithm);
        self.add(format!(
            "zegel_signed_total{{organisation=\"{organisation}\",\
             selector=\"{organisation}-{key_type}\",algorithm=\"{algorithm}\"}}"
        ));
    }

    /// A message that was not signed.
    pub fn unsigned(&mut self, organisation: &str, reason: &str) {
        self.add(format!(
            "zegel_unsigned_total{{organisation=\"{organisation}\",reason=\"{reason}\"}}"
        ));
    }

    /// A message with a hazard.
    pub fn hazard(&mut self, organisation: &str, hazard: &str) {
        self.add(format!(
            "zegel_hazards_total{{organisation=\"{organisation}\",hazard=\"{hazard}\"}}"
        ));
    }

    fn add(&mut self, series: String) {
        *self.0.entry(series).or_default() += 1.0;
    }

    /// Panics unless the signer counted exactly this.
    pub fn assert_counted(&self, zegel: &Zegel) {
        let families = ["messages", "signed", "unsigned", "hazards"];
        let page = zegel.metrics();
        let counted = page.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let wanted = |family| series.starts_with(&format!("zegel_{family}_total"));
            let value = value.parse::<f64>().ok().filter(|value| *value > 0.0)?;
            families
                .iter()
                .any(wanted)
                .then(|| (series.to_owned(), value))
        });
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), self.0);
    }
}
