//! The commands of docs/many-customers.md as they stand there, with real name servers, the keeper,
//! the signer, and mail all the time. With fewer customers than the page tells of, unless
//! `ZEGEL_CUSTOMERS=300` says otherwise.

#[path = "../support/mod.rs"]
mod support;

mod customers;
mod mail;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use customers::{Customers, asked, domain, id};
use mail::{Expected, Mail};
use support::keeper::Keeper;
use support::name_world::World;
use support::port::Port;
use support::zegel::Zegel;
use zegel::keys::State;

const PATIENCE: Duration = Duration::from_mins(5);
/// For which a customer that leaves is signed; also in the settings.
const GRACE: Duration = Duration::from_secs(10);
/// Longer than the signer takes to notice other keys.
const NOTICE: Duration = Duration::from_secs(5);

/// Of these the record is published with a mistake at first.
const WRONG: [usize; 3] = [1, 3, 5];
/// It never publishes anything.
const NEVER: usize = 7;

/// The blocks of the page, in order.
fn blocks() -> Vec<String> {
    let page = fs::read_to_string("docs/many-customers.md").expect("the page");
    let blocks = page.split("```sh\n").skip(1);
    let code = blocks.map(|block| block.split("```").next().unwrap_or_default());
    code.map(str::to_owned).collect()
}

struct Year<'a> {
    zegel: &'a Zegel,
    customers: &'a Customers<'a>,
    mail: &'a Mail,
    blocks: std::vec::IntoIter<String>,
}

impl Year<'_> {
    /// Runs the next block of the page.
    #[track_caller]
    fn next(&mut self, begins: &str) -> String {
        let block = self.blocks.next().expect("a block");
        assert!(block.starts_with(begins), "{block}");
        let binary = Path::new(env!("CARGO_BIN_EXE_zegel"));
        let path = format!(
            "{}:{}",
            binary.parent().expect("a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("bash")
            .args(["-euc", &block])
            .current_dir(self.zegel.path(""))
            .env("PATH", path)
            .env("ZEGEL_CONFIG", self.zegel.path("zegel.toml"))
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{said}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn state(&self, customer: usize) -> Vec<State> {
        let id = id(customer).parse().expect("an id");
        let keyring = self.zegel.keystore().read_keyring(&id).expect("a keyring");
        let domain = domain(customer).parse().expect("a domain");
        let keys = keyring.keys().iter();
        keys.filter_map(|key| key.state(&domain)).collect()
    }

    fn is_live(&self, customer: usize) -> bool {
        self.state(customer).contains(&State::Active)
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            self.mail.check();
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    #[track_caller]
    fn wait_until_signed(&self, customer: usize, selectors: &dyn Fn(&str) -> bool) {
        let domain = domain(customer);
        self.wait_for(&format!("{domain} is signed"), || {
            self.mail
                .last_selector(&domain)
                .is_some_and(|one| selectors(&one))
        });
    }
}

#[test]
fn a_year_with_many_customers() {
    let count =
        std::env::var("ZEGEL_CUSTOMERS").map_or(60, |count| count.parse().expect("a number"));
    let world = World::start();
    world.set_ttl(1);
    let http = Port::free();
    let settings = format!(
        "[keeper]\nlocal_servers = true\nresolvers = [\"{}\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"5s\"\nsettle = \"2s\"\ndrain = \"20s\"\nretire_grace = \"10s\"\n\
         [handover]\nspf = \"include:_spf.relay.example\"\nrua = \"dmarc@relay.example\"\n",
        world.resolver.address(),
        http.number()
    );
    let zegel = Zegel::with_settings(&[], &settings);
    let customers = Customers::new(&world, zegel.path("packs.json"), count);
    fs::write(zegel.path("customers.csv"), customers.sheet()).expect("the sheet");
    let primary = (world.primary.address(), 53).into();
    let mail = Mail::new(zegel.milter(), primary, (0..count).map(domain).collect());
    let _keeper = Keeper::start(&zegel.path(""), &http);
    thread::scope(|scope| {
        scope.spawn(|| mail.send());
        let _stop = mail.stop_at_the_end();
        let mut year = Year {
            zegel: &zegel,
            customers: &customers,
            mail: &mail,
            blocks: blocks().into_iter(),
        };
        onboard(&mut year, count);
        rotate(&mut year);
        move_and_merge(&mut year);
        let left = leave(&mut year);
        let emergency = steal(&mut year);
        assert_eq!(year.next("zegel org unsigned"), "");
        mail.check_history(&Expected {
            never: domain(NEVER),
            leaves: (domain(40), left + GRACE),
            waits: (domain(50), emergency),
        });
    });
}

/// Half of them publish at once, three of those wrongly; the others later, one never.
fn onboard(year: &mut Year<'_>, count: usize) {
    year.next("zegel org add");
    let prompt = |customer: usize| customer % 2 == 1 && customer != NEVER;
    year.customers
        .publish(year.zegel, &prompt, &|customer| WRONG.contains(&customer));
    let is_right = |customer: &usize| prompt(*customer) && !WRONG.contains(customer);
    year.wait_for("the prompt ones are live", || {
        (0..count)
            .filter(is_right)
            .all(|customer| year.is_live(customer))
    });
    // The sheet names the others, and what they have to do.
    year.wait_for("what is wrong was seen", || {
        WRONG.iter().all(|customer| {
            let step = asked(*customer, year.zegel);
            step.contains("mend_record")
        })
    });
    year.next("zegel org list --waiting");
    let remind = fs::read_to_string(year.zegel.path("remind.csv")).expect("the sheet");
    for customer in 0..count {
        let asked = remind
            .lines()
            .filter(|line| line.starts_with(&format!("{},", id(customer))))
            .filter(|line| line.contains("_record"))
            .count();
        let expected = usize::from(!is_right(&customer));
        assert_eq!(asked, expected, "{}\n{remind}", id(customer));
    }
    year.next("zegel dns records --all");
    year.customers
        .publish(year.zegel, &|customer| customer != NEVER, &|_| false);
    year.wait_for("all but one are live", || {
        (0..count).all(|customer| year.is_live(customer) == (customer != NEVER))
    });
    let last = (0..count).filter(|one| *one != NEVER);
    for customer in last {
        year.wait_until_signed(customer, &|_| true);
    }
}

fn rotate(year: &mut Year<'_>) {
    let before = year.mail.last_selector(&domain(10)).expect("it is signed");
    year.next("for customer in");
    year.customers
        .publish(year.zegel, &|customer| customer != NEVER, &|_| false);
    for customer in [10, 11, 12] {
        year.wait_for("the new key is live", || {
            year.state(customer) == [State::Draining, State::Active]
        });
    }
    year.wait_until_signed(10, &|selector| selector != before);
}

fn move_and_merge(year: &mut Year<'_>) {
    year.next("zegel org move");
    year.customers
        .publish(year.zegel, &|customer| customer != NEVER, &|_| false);
    year.next("zegel org move");
    assert!(!year.zegel.path("orgs.d/klant-030.toml").exists());
    year.wait_until_signed(20, &|selector| selector.starts_with("klant-021-"));
    year.wait_until_signed(30, &|selector| selector.starts_with("klant-031-"));
    // What is asked of the customers is the record of the old key, when it has drained.
    year.wait_for("the old key has drained", || {
        asked(20, year.zegel).contains("empty_record")
    });
}

/// Gives when notice was given.
fn leave(year: &mut Year<'_>) -> Instant {
    let begun = Instant::now();
    year.next("zegel org retire");
    let farewell = fs::read_to_string(year.zegel.path("farewell.txt")).expect("a text");
    assert!(
        farewell.contains("include:_spf.relay.example"),
        "{farewell}"
    );
    year.wait_for("its key has drained", || {
        let step = asked(40, year.zegel);
        step.contains("empty_record")
    });
    year.customers.publish_one(year.zegel, 40);
    year.wait_for("its record is empty", || {
        let step = asked(40, year.zegel);
        step.contains("remove_record")
    });
    begun
}

/// Gives when.
fn steal(year: &mut Year<'_>) -> Instant {
    let before = year.mail.last_selector(&domain(50)).expect("it is signed");
    let begun = Instant::now();
    year.next("zegel org suspend");
    // What the signer was about to sign then is verified before the record goes.
    thread::sleep(NOTICE);
    year.customers.publish_one(year.zegel, 50);
    year.wait_for("the new key is in use", || year.is_live(50));
    year.next("zegel org resume");
    year.wait_until_signed(50, &|selector| selector != before);
    begun
}
