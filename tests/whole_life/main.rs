//! The whole life of keys, with everything real: the signer and the keeper, a primary and a
//! secondary name server, a resolver, administrators who do what the hand-over pack says, and
//! mail that never stops. Each message is verified when it is signed and after it was in a
//! queue, with the records as they are then. Days are seconds, by configuration.

#[path = "../support/mod.rs"]
mod support;

mod administrator;
mod life;
mod stream;

use std::thread;
use std::time::Duration;

use zegel::keys::State;
use zegel::keys::Why;

use life::{Life, Stage};

const ORGANISATION: &str = "life";
const ALFA: &str = "alfa.example";
const BETA: &str = "beta.example";
/// Each is a zone of its own.
const DOMAINS: [&str; 2] = [ALFA, BETA];
/// Of records and of negative answers, in seconds.
const TTL: u32 = 2;
const SETTLE: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(7);
/// How old a key is when its successor is made: `rotate_every` less `lead_time`.
const SUCCESSOR_AGE: Duration = Duration::from_secs(12);
/// How long messages are in a queue: with the time in which the signer takes notice of
/// another key (some 2 seconds), less than `DRAIN`.
const QUEUE: Duration = Duration::from_secs(4);
/// Long enough for several rounds of the keeper.
const ROUNDS: Duration = Duration::from_secs(4);

fn settings(resolver: std::net::SocketAddr, http: u16) -> String {
    format!(
        "[keeper]\nlocal_servers = true\nresolvers = [\"{resolver}\"]\nhttp = \"127.0.0.1:{http}\"\n\
         check_every = \"1s\"\nsettle = \"{}s\"\ndrain = \"{}s\"\n\
         rotate_every = \"45s\"\nlead_time = \"{}s\"\n",
        SETTLE.as_secs(),
        DRAIN.as_secs(),
        45 - SUCCESSOR_AGE.as_secs()
    )
}

#[test]
fn keys_live_and_mail_is_always_verifiable() {
    let mut stage = Stage::start();
    stage.play(|life| {
        let first = first_key(life);
        let second = succession_with_obstacles(life, &first);
        withdrawal(life, &first, &second);
        let third = rotation_without_a_resolver(life, &second);
        mistake(life, &third);
        life.stream.stop();
    });
    stage.assert_history();
}

/// The key is made, and signs for each domain when that one's servers all show it.
fn first_key(life: &mut Life<'_>) -> String {
    let first = life.wait_for_key(0);
    life.wait_for("the keeper finds nothing", |life| {
        let finding = |domain| {
            let labels = format!("organisation=\"{ORGANISATION}\",domain=\"{domain}\"");
            format!("zegel_dns_finding{{{labels},code=\"dkim.missing\"}} 1")
        };
        DOMAINS
            .iter()
            .all(|domain| life.keeper.shows(&finding(domain)))
    });
    for domain in DOMAINS {
        assert_eq!(life.administrator.task(domain, &first), "add");
        life.administrator.follow(domain);
    }
    // The secondary lags.
    life.wait_for("one of two shows it", |life| {
        let is_partly = |domain: &&str| life.why(&first, domain) == Some(Why::SeenPartly);
        DOMAINS.iter().all(is_partly)
    });
    thread::sleep(ROUNDS);
    for domain in DOMAINS {
        assert_eq!(life.state(&first, domain), State::Generated);
        assert!(life.signers_of(domain).is_empty());
        let agreed = life.transfer(domain);
        life.wait_until_active(&first, domain, agreed);
        life.wait_for_signer(domain, &first);
    }
    life.assert_awaited_key();
    first
}

/// The successor comes by itself, and takes over for both domains at their own time, though
/// servers lag and fail and processes are replaced.
fn succession_with_obstacles(life: &mut Life<'_>, first: &str) -> String {
    let second = life.wait_for_key(1);
    life.assert_made_on_time(&second, first);
    for domain in DOMAINS {
        assert_eq!(life.administrator.task(domain, &second), "add");
        life.administrator.follow(domain);
    }
    let published = jiff::Timestamp::now();
    thread::sleep(ROUNDS / 2);
    assert!(life.keeper.restart("-TERM").success());
    thread::sleep(ROUNDS / 2);
    assert_eq!(life.signers_since(published), [first]);

    let agreed = life.transfer(ALFA);
    life.wait_for("all servers show it", |life| {
        life.state(&second, ALFA) == State::Published
    });
    life.without_secondary(|life| {
        life.wait_for("a server is missed", |life| {
            life.why(&second, ALFA) == Some(Why::Unreachable)
        });
        let frozen = life.states();
        thread::sleep(ROUNDS);
        assert_eq!(life.states(), frozen);
        assert_eq!(life.state(first, ALFA), State::Active);
        assert_eq!(life.state(&second, BETA), State::Generated);
    });
    // Its transfers when it came back have brought the other zone too.
    life.replace_signer();
    for domain in DOMAINS {
        life.wait_until_active(&second, domain, agreed);
    }
    life.refuse_second_keeper();
    for domain in DOMAINS {
        life.wait_for_signer(domain, &second);
    }
    second
}

/// The record of the key before stays until it is asked for, is emptied, and goes.
fn withdrawal(life: &mut Life<'_>, first: &str, second: &str) {
    for domain in DOMAINS {
        assert_eq!(life.state(first, domain), State::Draining);
        assert_eq!(life.administrator.task(domain, first), "keep");
    }
    life.keeper.restart("-KILL");
    for domain in DOMAINS {
        life.wait_for("the drain is over", |life| {
            life.administrator.task(domain, first) == "empty"
        });
        life.assert_drained(first, second, domain);
        life.administrator.follow(domain);
        life.transfer(domain);
    }
    for domain in DOMAINS {
        life.wait_for("it is seen to be empty", |life| {
            life.state(first, domain) == State::Withdrawn
        });
        assert_eq!(life.administrator.task(domain, first), "remove");
        life.administrator.follow(domain);
        life.transfer(domain);
    }
    for domain in DOMAINS {
        life.wait_for("it is seen to be gone", |life| {
            life.why(first, domain) == Some(Why::Done)
        });
        assert_eq!(life.administrator.task(domain, first), "");
    }
    // It was asked for: nothing was wrong.
    assert!(!life.keeper.log().contains("dkim.revoked"));
}

/// A second rotation, on its schedule; without a resolver nothing happens.
fn rotation_without_a_resolver(life: &mut Life<'_>, second: &str) -> String {
    let third = life.wait_for_key(2);
    life.assert_made_on_time(&third, second);
    let agreed = life.without_resolver(|life| {
        let before = life.states();
        let agreed = DOMAINS.map(|domain| {
            life.administrator.follow(domain);
            life.transfer(domain)
        });
        thread::sleep(ROUNDS);
        assert_eq!(life.states(), before);
        agreed
    });
    for (domain, agreed) in DOMAINS.into_iter().zip(agreed) {
        life.wait_until_active(&third, domain, agreed);
        life.wait_for_signer(domain, &third);
    }
    third
}

/// The record of the key that signs goes by mistake: it goes on signing, and an alarm is raised.
fn mistake(life: &mut Life<'_>, third: &str) {
    let labels = format!("organisation=\"{ORGANISATION}\",domain=\"{ALFA}\"");
    let alarm = format!("zegel_key_alarm{{{labels},kind=\"active_gone\"}} 1");
    assert!(!life.keeper.shows(&alarm));
    life.without_record(|life| {
        life.administrator.lose(ALFA, third);
        life.transfer(ALFA);
        life.wait_for("the alarm", |life| life.keeper.shows(&alarm));
        let alarmed = jiff::Timestamp::now();
        thread::sleep(ROUNDS);
        assert_eq!(life.signers_since(alarmed), [third]);
        assert_eq!(life.state(third, ALFA), State::Active);
        let log = life.keeper.log();
        assert_eq!(log.matches("alarm: active_gone").count(), 1, "{log}");
        assert_eq!(life.administrator.task(ALFA, third), "restore");
        life.administrator.restore(ALFA);
        life.transfer(ALFA);
    });
    life.wait_for("the end of the alarm", |life| !life.keeper.shows(&alarm));
}
