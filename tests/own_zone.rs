//! Keys in the operator's own zone, from the first key to the end of its successor's
//! predecessor: the customer acts once, with CNAME records or a DNAME, and never again. What
//! changes is the operator's zone alone, which is at each step what `zegel dns zone` writes.
//! Mail never stops, and is verified as receivers do: at once and after it was in a queue,
//! through the names of the customer, at both name servers and by a resolver.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::keeper::{Keeper, command};
use support::milter::{Message, Reply, send};
use support::name_query::{Answer, texts};
use support::name_world::World;
use support::port::Port;
use support::signatures::PublicKeys;
use support::verifiers::{Records, assert_all_pass};
use support::zegel::{Org, Zegel};
use zegel::keys::{Keyring, State, Why};
use zegel::names::DomainName;

const OPERATOR: &str = "dkim.relay.example";
/// Each is an organisation with one domain, which is a zone, and the way to the operator's zone.
const CUSTOMERS: [(&str, &str, &str); 2] = [
    ("een", "een.example", "cname"),
    ("twee", "twee.example", "dname"),
];
const PATIENCE: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_secs(8);
/// How long messages are in a queue: with the time in which the signer takes notice of another
/// key, less than [`DRAIN`].
const QUEUE: Duration = Duration::from_secs(4);
const PACE: Duration = Duration::from_millis(100);
/// Receivers to whom the DNS gives no answer for now try again.
const TRIES: usize = 20;

/// With a TTL of a second: an old key drains for as long as its record may be in a cache.
fn short_lived(records: &str) -> String {
    records.replace(" 3600 IN ", " 1 IN ")
}

fn settings(resolver: SocketAddr, http: u16) -> String {
    format!(
        "[handover]\nzone = \"{OPERATOR}\"\n\
         [keeper]\nlocal_servers = true\nresolvers = [\"{resolver}\"]\nhttp = \"127.0.0.1:{http}\"\n\
         check_every = \"1s\"\nsettle = \"2s\"\ndrain = \"{}s\"\n",
        DRAIN.as_secs()
    )
}

/// A message that was signed.
#[derive(Clone, Debug)]
struct Signed {
    at: Instant,
    domain: &'static str,
    selector: String,
    message: Vec<u8>,
    /// Its record when it was sent.
    record: String,
}

/// Mail of all customers, and those who receive it.
struct Mail {
    milter: String,
    resolver: SocketAddr,
    signed: Mutex<Vec<Signed>>,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Mail {
    fn flow(&self) {
        let mut seen = 0;
        for number in 0_usize.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(PACE);
            let (_, domain, _) = CUSTOMERS[number % CUSTOMERS.len()];
            self.send(domain, number);
            let signed = self.signed();
            while let Some(one) = signed.get(seen).filter(|one| one.at.elapsed() >= QUEUE) {
                self.verify(one.domain, &one.selector, &one.message);
                seen += 1;
            }
        }
    }

    fn send(&self, domain: &'static str, number: usize) {
        let text = format!("From: a@{domain}\r\nSubject: {number}\r\n\r\nbody {number}\r\n");
        let message = Message::parse(text.as_bytes());
        let outcome = send(&self.milter, &message);
        if !matches!(outcome.reply, Reply::Continue | Reply::Accept) {
            return self.fail(format!("{number} of {domain}: {:?}", outcome.reply));
        }
        let Some(selector) = outcome.selector() else {
            let was_signed = self.signed().iter().any(|one| one.domain == domain);
            if was_signed {
                self.fail(format!("{number} of {domain} is not signed any more"));
            }
            return;
        };
        let message = outcome.apply(&message);
        if let Some(record) = self.verify(domain, &selector, &message) {
            let one = Signed {
                at: Instant::now(),
                domain,
                selector,
                message,
                record,
            };
            self.signed.lock().expect("messages").push(one);
        }
    }

    /// With what the customer's name leads to now, which it gives.
    fn verify(&self, domain: &str, selector: &str, message: &[u8]) -> Option<String> {
        let name = format!("{selector}._domainkey.{domain}");
        let mut answer = Answer::Unknown;
        for _ in 0..TRIES {
            answer = texts(self.resolver, &name);
            if answer != Answer::Unknown {
                break;
            }
            thread::sleep(PACE);
        }
        let verified = match &answer {
            Answer::Texts(texts) if texts.len() == 1 => {
                let keys = PublicKeys::of_record(domain, selector, &texts[0]);
                let verified = keys.and_then(|keys| keys.verify(message));
                verified.map(|_| texts[0].clone())
            }
            other => Err(format!("{other:?}")),
        };
        verified
            .map_err(|error| self.fail(format!("{name}: {error}")))
            .ok()
    }

    fn fail(&self, failure: String) {
        self.failures.lock().expect("failures").push(failure);
    }

    fn signed(&self) -> Vec<Signed> {
        self.signed.lock().expect("messages").clone()
    }

    #[track_caller]
    fn check(&self) {
        let failures = self.failures.lock().expect("failures");
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    /// The key with which the last message of a domain was signed.
    fn last(&self, domain: &str) -> Option<String> {
        let mut signed = self.signed().into_iter();
        signed
            .rfind(|one| one.domain == domain)
            .map(|one| one.selector)
    }

    /// One message of each key, with its record as it was then, by the verifiers of others.
    fn assert_others_verify(&self) {
        let mut seen = BTreeSet::new();
        for one in self.signed() {
            if seen.insert((one.domain, one.selector.clone())) {
                let mut records = Records::new();
                records.insert(one.domain, &one.selector, &one.record);
                assert_all_pass(&[one.message], &records, 1);
            }
        }
        assert_eq!(seen.len(), 2 * CUSTOMERS.len(), "{seen:?}");
    }
}

/// Lets the mail end, also when the test fails.
struct Stop<'a>(&'a Mail);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

struct Relay<'a> {
    world: &'a World,
    zegel: &'a Zegel,
    keeper: Keeper,
    mail: &'a Mail,
}

impl Relay<'_> {
    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            self.mail.check();
            assert!(
                begun.elapsed() < PATIENCE,
                "never: {what}\n{}\n{}",
                self.zone(),
                self.keeper.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{what}");
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = command(&self.zegel.path(""), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(arguments)).expect("JSON")
    }

    fn pack(&self, organisation: &str) -> Value {
        let arguments = ["dns", "records", organisation, "--format", "json"];
        self.json(&arguments)["domains"][0].clone()
    }

    /// What the customer does, once: all records that lead to the operator's zone.
    fn customer_acts(&self, organisation: &str, zone: &str) {
        let pack = self.pack(organisation);
        let list = |list: &str| pack[list].as_array().cloned().unwrap_or_default();
        let keys = list("keys").into_iter().map(|key| key["record"].clone());
        let lines: BTreeSet<String> = list("records")
            .into_iter()
            .chain(keys)
            .filter(|record| ["CNAME", "DNAME"].contains(&record["type"].as_str().unwrap_or("")))
            .map(|record| record["zone_line"].as_str().expect("a line").to_owned())
            .collect();
        assert!(!lines.is_empty(), "{pack}");
        let lines: Vec<String> = lines.into_iter().collect();
        let records = short_lived(&(lines.join("\n") + "\n"));
        self.world.set_both(zone, &records);
    }

    fn zone(&self) -> String {
        self.run(&["dns", "zone"])
    }

    /// Loads what `zegel dns zone` writes now.
    fn operator_loads(&self) {
        self.world.set_both(OPERATOR, &short_lived(&self.zone()));
    }

    fn keyring(&self, organisation: &str) -> Keyring {
        let id = organisation.parse().expect("an organisation");
        let keyring = self.zegel.keystore().read_keyring(&id);
        keyring.expect("a keyring at every moment")
    }

    /// The selector of the key that was made as this one.
    fn selector(&self, organisation: &str, number: usize) -> Option<String> {
        let keyring = self.keyring(organisation);
        keyring
            .keys()
            .get(number)
            .map(|key| key.selector.to_string())
    }

    /// How the key that was made as this one stands, and why.
    fn standing(&self, organisation: &str, number: usize) -> Option<(State, Option<Why>)> {
        let keyring = self.keyring(organisation);
        let mut publications = keyring.keys().get(number)?.publications.values();
        let one = publications.next()?;
        Some((one.state, one.why))
    }

    fn is(&self, number: usize, state: State) -> bool {
        CUSTOMERS.iter().all(|(id, ..)| {
            let standing = self.standing(id, number);
            standing.is_some_and(|(is, _)| is == state)
        })
    }

    /// Nobody is asked for anything about keys but the operator.
    fn assert_customers_rest(&self) {
        for (id, ..) in CUSTOMERS {
            let pack = self.pack(id);
            assert_eq!(pack["delegation"]["task"], "keep", "{pack}");
        }
        let waiting = self.json(&["org", "list", "--waiting", "--json"]);
        let list = waiting["waiting"].as_array().expect("a list");
        let asked = list.iter().filter(|one| one["asked"] != "policies");
        let asked: Vec<&Value> = asked.filter(|one| one["selector"].is_string()).collect();
        assert!(asked.is_empty(), "{asked:?}");
    }

    /// What the keeper says is to be done next, and by whom, about the key made as this one.
    fn next(&self, organisation: &str, number: usize) -> (String, String) {
        let selector = self.selector(organisation, number).expect("a key");
        let list = self.json(&["key", "list", organisation, "--json"]);
        let keys = list["keys"].as_array().expect("keys");
        let key = keys.iter().find(|key| key["selector"] == selector.as_str());
        let next = &key.expect("the key")["domains"][0]["next"];
        let word = |word: &str| next[word].as_str().unwrap_or_default().to_owned();
        (word("what"), word("actor"))
    }

    fn operator_has_to(&self, what: &str, number: usize) -> bool {
        CUSTOMERS.iter().all(|(id, ..)| {
            let next = self.next(id, number);
            (next.0.as_str(), next.1.as_str()) == (what, "operator")
        })
    }

    fn all_mail_is_signed_by(&self, number: usize) -> bool {
        CUSTOMERS
            .iter()
            .all(|(id, domain, _)| self.mail.last(domain) == self.selector(id, number))
    }
}

#[test]
fn a_key_is_rotated_without_the_customer() {
    let world = World::of_two_primaries();
    world.set_ttl(1);
    let http = Port::free();
    let orgs = CUSTOMERS.map(|(id, domain, way)| {
        let org = Org::new(id, &[domain]).without_keys();
        org.more(&format!("delegation = \"{way}\""))
    });
    let settings = settings(world.resolver.address(), http.number());
    let zegel = Zegel::with_settings(&orgs, &settings);
    for (_, zone, _) in CUSTOMERS {
        world.set_both(zone, "");
    }
    world.set_both(OPERATOR, "");
    let mail = Mail {
        milter: zegel.milter(),
        resolver: world.resolver.address(),
        signed: Mutex::default(),
        failures: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        scope.spawn(|| mail.flow());
        let _stop = Stop(&mail);
        let relay = Relay {
            keeper: Keeper::start(&zegel.path(""), &http),
            world: &world,
            zegel: &zegel,
            mail: &mail,
        };
        first_key(&relay);
        successor(&relay);
        old_key_leaves(&relay);
    });
    mail.check();
    mail.assert_others_verify();
}

/// Made by the keeper, and in use once the names of the customer lead to it.
fn first_key(relay: &Relay<'_>) {
    relay.wait_for("the first keys are made", |relay| {
        relay.is(0, State::Generated)
    });
    relay.operator_loads();
    for (id, zone, _) in CUSTOMERS {
        relay.customer_acts(id, zone);
    }
    relay.wait_for("the first keys sign", |relay| relay.is(0, State::Active));
    relay.wait_for("mail is signed", |relay| relay.all_mail_is_signed_by(0));
    relay.assert_customers_rest();
}

/// Only the operator's zone changes.
fn successor(relay: &Relay<'_>) {
    for (id, ..) in CUSTOMERS {
        relay.run(&["key", "roll", id]);
    }
    relay.wait_for("our zone lacks the second keys", |relay| {
        relay.operator_has_to("publish_record", 1)
    });
    relay.assert_customers_rest();
    // Nothing is taken into use that nobody can see.
    thread::sleep(Duration::from_secs(4));
    assert!(relay.is(1, State::Generated));
    assert!(relay.all_mail_is_signed_by(0));
    relay.operator_loads();
    relay.wait_for("the second keys sign", |relay| relay.is(1, State::Active));
    assert!(relay.is(0, State::Draining));
    relay.wait_for("mail is signed by them", |relay| {
        relay.all_mail_is_signed_by(1)
    });
    relay.assert_customers_rest();
}

/// Its record stays while mail needs it, is emptied, and goes, though the customer's names stay.
fn old_key_leaves(relay: &Relay<'_>) {
    // What is loaded meanwhile still has both.
    relay.operator_loads();
    relay.wait_for("no mail needs the first keys", |relay| {
        relay.operator_has_to("empty_record", 0)
    });
    relay.operator_loads();
    relay.wait_for("they are withdrawn", |relay| relay.is(0, State::Withdrawn));
    relay.wait_for("their records may go", |relay| {
        relay.operator_has_to("remove_record", 0)
    });
    relay.operator_loads();
    relay.wait_for("their records are gone", |relay| {
        CUSTOMERS
            .iter()
            .all(|(id, ..)| relay.standing(id, 0) == Some((State::Withdrawn, Some(Why::Done))))
    });
    let zone = relay.zone();
    for (id, domain, _) in CUSTOMERS {
        let old = relay.selector(id, 0).expect("a key");
        assert!(!zone.contains(&format!("{old}.{id}.")), "{zone}");
        let name = format!("{old}._domainkey.{domain}");
        assert_eq!(texts(relay.mail.resolver, &name), Answer::Nothing);
        let domain: DomainName = domain.parse().expect("a domain");
        let keyring = relay.keyring(id);
        assert_eq!(keyring.keys()[1].state(&domain), Some(State::Active));
    }
    relay.assert_customers_rest();
    let log = relay.keeper.log();
    assert!(!log.contains("alarm:"), "{log}");
}
