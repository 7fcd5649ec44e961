//! Everything real: name servers, Postfix, the signer; and the keeper's looks by a command.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use zegel::dkim::Algorithm::Ed25519Sha256;

use super::support::keeper::command;
use super::support::name_world::World;
use super::support::postfix::{Postfix, PostfixOptions};
use super::support::sink::Sink;
use super::support::smtp::{Client, Message};
use super::support::zegel::{Org, Zegel};

const PATIENCE: Duration = Duration::from_mins(1);

/// One relay with its customers, whose domains are `<org>.example`.
pub(super) struct Stage {
    world: World,
    zegel: Zegel,
    postfix: Postfix,
    _sink: Sink,
}

/// A customer whose only domain has its name; its key is short enough for one string.
fn org(name: &str) -> Org {
    Org::new(name, &[&domain(name)]).signing_by(Ed25519Sha256)
}

fn domain(name: &str) -> String {
    format!("{name}.example")
}

/// The record of the key of a customer, as a line of its zone.
pub(super) fn record(stage: &Stage, name: &str) -> String {
    let domain = domain(name);
    let keys = stage.json(&["dns", "records", name, "--format", "json"]);
    let keys = keys["domains"][0]["keys"].as_array().cloned();
    let records = keys.unwrap_or_default().into_iter().filter_map(|key| {
        let value = key["record"]["value"].as_str()?.to_owned();
        let owner = key["name"].as_str()?.strip_suffix(&format!(".{domain}"))?;
        Some(format!("{owner} TXT \"{value}\"\n"))
    });
    records.collect()
}

/// A zone with all that it should have.
pub(super) fn good(stage: &Stage, name: &str) -> String {
    format!(
        "{}@ TXT \"v=spf1 include:_spf.relay.example -all\"\n\
         _dmarc TXT \"v=DMARC1; p=none; rua=mailto:dmarc@{}\"\n",
        record(stage, name),
        domain(name)
    )
}

impl Stage {
    /// With these customers, each with a key in use.
    pub(super) fn start(names: &[&str]) -> Self {
        Self::start_with(names, |org| org)
    }

    /// With customers that are made by this.
    pub(super) fn start_with(names: &[&str], make: impl Fn(Org) -> Org) -> Self {
        let world = World::start();
        world.set_ttl(1);
        let orgs: Vec<Org> = names.iter().map(|name| make(org(name))).collect();
        let settings = format!(
            "[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nhttp = \"off\"\n\
             settle = \"1s\"\n[handover]\nspf = \"include:_spf.relay.example\"\n\
             rua = \"dmarc@relay.example\"\n",
            world.resolver.address()
        );
        let zegel = Zegel::with_settings(&orgs, &settings);
        let sink = Sink::start();
        let options = PostfixOptions::new(zegel.milter(), sink.port());
        Self {
            postfix: Postfix::start(&options.main_cf("smtpd_error_sleep_time = 0")),
            world,
            zegel,
            _sink: sink,
        }
    }

    /// One more customer, beside a signer that runs.
    pub(super) fn add(&self, name: &str) {
        self.zegel.add(&org(name));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.zegel.path(name)
    }

    /// What all name servers of a customer show.
    pub(super) fn set_zone(&self, name: &str, records: &str) {
        self.world.set_both(&domain(name), records);
    }

    /// The keeper's look.
    pub(super) fn look(&self, name: &str) {
        let output = command(&self.path(""), &["keeper", "look", name]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code < 2), "{said}");
    }

    /// One message of a customer through Postfix; the code of the reply to it.
    #[track_caller]
    pub(super) fn send(&self, name: &str) -> u16 {
        let from = format!("a@{}", domain(name));
        let text = format!("From: {from}\r\nSubject: s\r\n\r\nbody\r\n");
        let mut client = Client::greeted(self.postfix.relay_port());
        let message = Message::new(&from, "b@elsewhere.example", text);
        client.send(&message).verdict().code
    }

    /// What a command prints that ends with this status.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], status: i32) -> String {
        let output = command(&self.path(""), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command prints as JSON, whatever it ends with.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = command(&self.path(""), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    pub(super) fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    /// Of the signer.
    #[track_caller]
    pub(super) fn page(&self, path: &str) -> String {
        self.zegel.page(path).expect("a page")
    }

    /// A message that `zegel explain` reads.
    pub(super) fn message(&self, name: &str) -> String {
        let path = self.path("message.eml");
        let text = format!("From: a@{}\nSubject: s\n\nbody\n", domain(name));
        fs::write(&path, text).expect("a message");
        path.display().to_string()
    }

    #[track_caller]
    pub(super) fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "never: {what}\n{}",
                self.zegel.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}
