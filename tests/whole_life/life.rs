//! The stage, and what is looked at while it is played.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use zegel::keys::Why;
use zegel::keys::{KeyEntry, Keyring, Publication, State};
use zegel::names::{DomainName, OrganisationId};

use super::administrator::Administrator;
use super::stream::{Sent, Stream};
use super::support::keeper::{Keeper, command};
use super::support::name_world::World;
use super::support::port::Port;
use super::support::process::read_lossy;
use super::support::zegel::{Org, Zegel};
use super::{ALFA, DOMAINS, DRAIN, ORGANISATION, SETTLE, SUCCESSOR_AGE, TTL, settings};

const PATIENCE: Duration = Duration::from_secs(40);
/// How long the signer may take to notice another key.
const NOTICE: Duration = Duration::from_secs(5);

/// All that there is.
pub(super) struct Stage {
    world: World,
    zegel: Zegel,
    http: Port,
    stream: Stream,
}

/// The stage while it is played.
pub(super) struct Life<'a> {
    world: &'a World,
    zegel: &'a mut Zegel,
    pub(super) keeper: Keeper,
    pub(super) administrator: Administrator<'a>,
    pub(super) stream: &'a Stream,
}

/// Lets the threads of the stream end, also when the test fails.
struct Stop<'a>(&'a Stream);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Stage {
    /// Two zones without keys, and a signer that has none.
    pub(super) fn start() -> Self {
        let world = World::start();
        world.primary.set_ttl(TTL);
        let http = Port::free();
        let org = Org::new(ORGANISATION, &DOMAINS).without_keys();
        let settings = settings(world.resolver.address(), http.number());
        let zegel = Zegel::with_settings(&[org], &settings);
        let servers = [
            SocketAddr::from((world.primary.address(), 53)),
            SocketAddr::from((world.secondary.address(), 53)),
            world.resolver.address(),
        ];
        let stream = Stream::new(zegel.milter(), servers);
        Self {
            world,
            zegel,
            http,
            stream,
        }
    }

    /// With mail all the time.
    pub(super) fn play(&mut self, script: impl FnOnce(&mut Life<'_>)) {
        let Self {
            world,
            zegel,
            http,
            stream,
        } = self;
        let (world, stream): (&World, &Stream) = (world, stream);
        let folder = zegel.path("");
        thread::scope(|scope| {
            scope.spawn(|| stream.send());
            scope.spawn(|| stream.receive());
            let _stop = Stop(stream);
            let mut life = Life {
                administrator: Administrator::new(world, &folder, &DOMAINS),
                keeper: Keeper::start(&folder, http),
                world,
                zegel,
                stream,
            };
            script(&mut life);
        });
    }

    /// What is true of all messages, and of the whole life of the first key.
    pub(super) fn assert_history(&self) {
        self.stream.check();
        for domain in DOMAINS {
            let sent = self.stream.sent().into_iter();
            let sent = sent.filter(|sent| sent.domain == domain);
            let mut signed = sent.skip_while(|sent| sent.selector.is_none());
            assert!(signed.all(|sent| sent.selector.is_some()), "{domain}");
        }
        let samples = self.stream.have_samples_verified();
        assert_eq!(samples.len(), 3 * DOMAINS.len(), "{samples:?}");
        let log = read_lossy(&self.zegel.path("keys/audit.log"));
        let first = &samples[0].1;
        let events: Vec<String> = log
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .filter(|event: &serde_json::Value| {
                event["selector"] == first.as_str() && event["domains"].to_string().contains(ALFA)
            })
            .map(|event| event["event"].as_str().expect("a word").to_owned())
            .collect();
        let expected = [
            "generated",
            "published",
            "activated",
            "draining",
            "withdrawal_asked",
            "withdrawn",
            "record_gone",
        ];
        assert_eq!(events, expected, "{log}");
    }
}

impl Life<'_> {
    /// Until it is so; panics when that takes too long or anything goes wrong meanwhile.
    #[track_caller]
    pub(super) fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            self.stream.check();
            assert!(
                begun.elapsed() < PATIENCE,
                "never: {what}\n{:#?}\n{}",
                self.keyring(),
                self.keeper.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        // Where a run that fails has come to.
        eprintln!("{}: {what}", Timestamp::now());
    }

    fn keyring(&self) -> Keyring {
        let id: OrganisationId = ORGANISATION.parse().expect("an organisation");
        // It would not be read with two active keys for a domain.
        let keyring = self.zegel.keystore().read_keyring(&id);
        keyring.expect("a keyring at every moment")
    }

    fn key(&self, selector: &str) -> KeyEntry {
        let keyring = self.keyring();
        let selector = selector.parse().expect("a selector");
        keyring.key(&selector).expect("the key").clone()
    }

    fn publication(&self, selector: &str, domain: &str) -> Publication {
        let domain: DomainName = domain.parse().expect("a domain");
        self.key(selector).publications[&domain]
    }

    pub(super) fn state(&self, selector: &str, domain: &str) -> State {
        self.publication(selector, domain).state
    }

    pub(super) fn why(&self, selector: &str, domain: &str) -> Option<Why> {
        self.publication(selector, domain).why
    }

    /// Of all keys in all domains.
    pub(super) fn states(&self) -> Vec<(String, String, State)> {
        let keyring = self.keyring();
        let keys = keyring.keys().iter();
        keys.flat_map(|key| {
            key.publications.iter().map(|(domain, publication)| {
                let selector = key.selector.to_string();
                (selector, domain.to_string(), publication.state)
            })
        })
        .collect()
    }

    /// The selector of the key that is made as this one.
    pub(super) fn wait_for_key(&self, number: usize) -> String {
        self.wait_for(&format!("key {number} is made"), |life| {
            life.keyring().keys().len() > number
        });
        self.keyring().keys()[number].selector.to_string()
    }

    /// Lets the secondary have what the primary has; gives the time before it had.
    pub(super) fn transfer(&self, domain: &str) -> Timestamp {
        let before = Timestamp::now();
        self.administrator.transfer(domain);
        before
    }

    /// It signs once all servers agree and the wait is over, and not before.
    #[track_caller]
    pub(super) fn wait_until_active(&self, selector: &str, domain: &str, agreed: Timestamp) {
        self.wait_for(&format!("{selector} signs for {domain}"), |life| {
            life.state(selector, domain) == State::Active
        });
        let publication = self.publication(selector, domain);
        let active = publication.since;
        let waited = active.duration_since(agreed).unsigned_abs();
        assert!(
            active > agreed && waited >= SETTLE,
            "all agreed at {agreed}: {publication:?}\n{}",
            self.keeper.log()
        );
        let sent = self.stream.sent().into_iter();
        let mut early = sent.filter(|sent| sent.domain == domain && sent.ended < active);
        assert!(!early.any(|sent| is_signed_by(&sent, selector)));
    }

    /// The signer uses this key for the domain, and no other from then on.
    #[track_caller]
    pub(super) fn wait_for_signer(&self, domain: &str, selector: &str) {
        let last = |life: &Self| {
            let mut sent = life.stream.sent().into_iter();
            sent.rfind(|sent| sent.domain == domain)
        };
        self.wait_for(
            &format!("mail of {domain} is signed by {selector}"),
            |life| last(life).is_some_and(|sent| is_signed_by(&sent, selector)),
        );
        let publication = self.publication(selector, domain);
        assert_eq!(publication.state, State::Active);
        let mut sent = self.stream.sent().into_iter();
        let first = sent.find(|sent| sent.domain == domain && is_signed_by(sent, selector));
        let noticed = first.expect("the one just seen").begun;
        let notice = noticed.duration_since(publication.since).unsigned_abs();
        assert!(notice < NOTICE, "{notice:?}");
    }

    /// All that has signed for a domain so far.
    pub(super) fn signers_of(&self, domain: &str) -> BTreeSet<String> {
        let sent = self.stream.sent().into_iter();
        let sent = sent.filter(|sent| sent.domain == domain);
        sent.filter_map(|sent| sent.selector).collect()
    }

    /// All that has signed since then; panics if there is a message that is not signed.
    #[track_caller]
    pub(super) fn signers_since(&self, then: Timestamp) -> Vec<String> {
        let sent = self.stream.sent().into_iter();
        let signers: BTreeSet<Option<String>> = sent
            .filter(|sent| sent.begun >= then)
            .map(|sent| sent.selector)
            .collect();
        assert!(!signers.contains(&None), "{signers:?}");
        signers.into_iter().flatten().collect()
    }

    /// What was unsigned so far was counted.
    pub(super) fn assert_awaited_key(&self) {
        let sent = self.stream.sent().into_iter();
        let unsigned = sent.filter(|sent| sent.selector.is_none()).count() as u64;
        let labels = format!("organisation=\"{ORGANISATION}\",reason=\"awaiting_key\"");
        let counted = self
            .zegel
            .counter(&format!("zegel_unsigned_total{{{labels}}}"));
        assert!(unsigned > 50 && counted == unsigned, "{counted} {unsigned}");
    }

    /// It was made when the one before had the age for that.
    pub(super) fn assert_made_on_time(&self, selector: &str, before: &str) {
        let made = self.key(selector).created;
        let publications = self.key(before).publications.into_values();
        let since = publications.map(|publication| publication.since).min();
        let age = made.duration_since(since.expect("domains")).unsigned_abs();
        let late = age.checked_sub(SUCCESSOR_AGE).expect("not too early");
        assert!(late < Duration::from_secs(8), "{late:?}");
    }

    /// The record was not asked back before all mail was through.
    pub(super) fn assert_drained(&self, selector: &str, successor: &str, domain: &str) {
        let publication = self.publication(selector, domain);
        assert_eq!(publication.why, Some(Why::AwaitingWithdrawal));
        let drained = Timestamp::now().duration_since(self.publication(successor, domain).since);
        let least = DRAIN + Duration::from_secs(TTL.into());
        assert!(drained.unsigned_abs() >= least, "{drained:?}");
    }

    /// Ends the signer, lets mail wait for a while, and starts another one.
    pub(super) fn replace_signer(&mut self) {
        let flag = &self.stream.broken.signer;
        flag.store(true, Ordering::SeqCst);
        assert!(self.zegel.terminate().success());
        thread::sleep(Duration::from_secs(1));
        self.zegel.launch();
        flag.store(false, Ordering::SeqCst);
    }

    /// While the secondary does not answer; then it has all zones as the primary.
    pub(super) fn without_secondary(&self, script: impl FnOnce(&Self)) {
        let flag = &self.stream.broken.secondary;
        flag.store(true, Ordering::SeqCst);
        self.world.secondary.pause();
        script(self);
        self.world.secondary.resume();
        for domain in DOMAINS {
            self.transfer(domain);
        }
        flag.store(false, Ordering::SeqCst);
    }

    /// While the resolver does not answer.
    pub(super) fn without_resolver<T>(&self, script: impl FnOnce(&Self) -> T) -> T {
        let flag = &self.stream.broken.resolver;
        flag.store(true, Ordering::SeqCst);
        self.world.resolver.pause();
        let value = script(self);
        self.world.resolver.resume();
        flag.store(false, Ordering::SeqCst);
        value
    }

    /// While the record of the key that signs is not there.
    pub(super) fn without_record(&self, script: impl FnOnce(&Self)) {
        let flag = &self.stream.broken.record;
        flag.store(true, Ordering::SeqCst);
        script(self);
        // Until no cache holds that it is gone.
        thread::sleep(Duration::from_secs(u64::from(TTL) + 1));
        flag.store(false, Ordering::SeqCst);
    }

    /// A second one is told who has the keystore, and since when.
    pub(super) fn refuse_second_keeper(&self) {
        let output = command(&self.zegel.path(""), &["keeper", "--once"]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let owner = format!("the keeper, process {}, since 20", self.keeper.id());
        assert!(complaint.contains(&owner), "{complaint}");
        assert_eq!(output.status.code(), Some(1));
    }
}

fn is_signed_by(sent: &Sent, selector: &str) -> bool {
    sent.selector.as_deref() == Some(selector)
}
