//! Organisations that change on the disk: nobody has to tell the signer.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use zegel::dkim::Algorithm;

use super::support::milter::{Connection, Message, Offer, Outcome, Peer, Reply};
use super::support::zegel::{Org, Zegel};

/// Six seconds, and what a busy machine needs beside.
const TAKES: Duration = Duration::from_secs(15);

fn send(zegel: &Zegel, domain: &str) -> Outcome {
    let text = format!("From: a@{domain}\r\nSubject: one\r\n\r\nbody\r\n");
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(&Message::parse(text.as_bytes()));
    connection.quit();
    outcome
}

fn is_signed(zegel: &Zegel, domain: &str) -> bool {
    let outcome = send(zegel, domain);
    outcome.reply == Reply::Accept && !outcome.inserted.is_empty()
}

/// Sends mail until it is so.
#[track_caller]
fn wait_until(zegel: &Zegel, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TAKES, "{}", zegel.log());
        thread::sleep(Duration::from_millis(100));
    }
}

fn newer_since(zegel: &Zegel) -> Option<u64> {
    let page = zegel.page("/status.json").expect("a page");
    let (_, body) = page.split_once("\r\n\r\n").expect("a body");
    let status: serde_json::Value = serde_json::from_str(body).expect("JSON");
    status["figures"]["configuration_newer_since"].as_u64()
}

#[test]
fn a_new_organisation_signs_without_a_signal() {
    let zegel = Zegel::start(&[Org::new("alfa", &["alfa.example"])]);
    let beta = Org::new("beta", &["beta.example"]);
    zegel.add_key(&beta, "beta-rsa", Algorithm::RsaSha256);
    // Put off, from when this signer knows of a key in use of which no file says for whom it is.
    assert!(!is_signed(&zegel, "beta.example"));
    // Somebody has zegel.toml half edited; that waits for a reload, and no organisation for it.
    let settings = fs::read_to_string(zegel.path("zegel.toml")).expect("settings");
    fs::write(zegel.path("zegel.toml"), format!("{settings}[limits")).expect("settings");
    zegel.add(&beta);
    wait_until(&zegel, || is_signed(&zegel, "beta.example"));
    assert!(newer_since(&zegel).is_some());
    // But for the key that nobody seemed to own.
    let log = zegel.log();
    let mut errors = log.lines().filter(|line| line.contains("ERROR"));
    assert!(errors.all(|line| line.contains("beta.example")), "{log}");
    fs::write(zegel.path("zegel.toml"), settings).expect("settings");
    wait_until(&zegel, || newer_since(&zegel).is_none());
}

/// A domain goes from one file and comes in another, in the worse order and in the better one.
#[test]
fn a_domain_that_moves_is_signed_all_the_time() {
    let (alfa, beta) = (["alfa.example", "moves.example"], ["beta.example"]);
    let zegel = Zegel::start(&[Org::new("alfa", &alfa), Org::new("beta", &beta)]);
    let with_both = Org::new("beta", &["beta.example", "moves.example"]);
    zegel.add_key(&with_both, "beta-second", Algorithm::RsaSha256);
    let signer = || {
        let outcome = send(&zegel, "moves.example");
        let field = String::from_utf8_lossy(&outcome.inserted[0].value).into_owned();
        assert!(field.contains("d=moves.example"), "{field}");
        field.contains("s=beta-second")
    };
    assert!(!signer());
    // In no file: it is lost, and signs on.
    zegel.add(&Org::new("alfa", &["alfa.example"]));
    let lost = "moves.example of alfa is in no file any more";
    wait_until(&zegel, || !signer() && zegel.log().contains(lost));
    zegel.add(&with_both);
    wait_until(&zegel, signer);
    // In both files: that is complained of, once, and nothing changes.
    zegel.add(&Org::new("alfa", &alfa));
    let twice = "moves.example is also in domains of";
    wait_until(&zegel, || signer() && zegel.log().contains(twice));
    zegel.add(&Org::new("gamma", &["gamma.example"]).without_keys());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(signer());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(zegel.log().matches(twice).count(), 1, "{}", zegel.log());
    assert!(newer_since(&zegel).is_some());
    zegel.add(&Org::new("alfa", &["alfa.example"]));
    wait_until(&zegel, || signer() && newer_since(&zegel).is_none());
}

/// A file that nobody can use harms its own organisation, and not even that while the signer runs.
#[test]
fn a_mistake_concerns_its_own_organisation() {
    let alfa = Org::new("alfa", &["alfa.example"]);
    let mut zegel = Zegel::start(&[alfa.clone(), Org::new("beta", &["beta.example"])]);
    let gamma = Org::new("gamma", &["gamma.example"]);
    zegel.add_key(&gamma, "gamma-rsa", Algorithm::RsaSha256);
    zegel.add(&alfa.more("domians = []"));
    // Beta has it.
    zegel.add(&Org::new("gamma", &["gamma.example", "beta.example"]));
    wait_until(&zegel, || is_signed(&zegel, "gamma.example"));
    for domain in ["alfa.example", "beta.example"] {
        assert!(is_signed(&zegel, domain), "{domain}");
    }
    assert!(newer_since(&zegel).is_some());
    let log = zegel.log();
    for text in [
        "domians: unknown key; did you mean domains?",
        "alfa stays as it was until its file is corrected",
        "beta.example stays with beta until one file has it",
    ] {
        assert_eq!(log.matches(text).count(), 1, "{text}\n{log}");
    }
    // At a start nobody knows what alfa's file said, and the keys tell whose domain it is.
    assert!(zegel.terminate().success());
    zegel.launch();
    assert!(is_signed(&zegel, "beta.example"));
    assert!(is_signed(&zegel, "gamma.example"));
    let text = b"From: a@alfa.example\r\nSubject: one\r\n\r\nbody\r\n";
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::local());
    let outcome = connection.send_message(&Message::parse(text));
    assert_ne!(outcome.reply, Reply::Accept, "{outcome:?}");
    connection.quit();
    let text = "alfa is left out until its file is corrected";
    assert_eq!(zegel.log().matches(text).count(), 1, "{}", zegel.log());
    zegel.add(&Org::new("alfa", &["alfa.example"]));
    zegel.signal("HUP");
    wait_until(&zegel, || {
        zegel
            .log()
            .contains("keys of alfa.example: unusable -> alfa-rsa")
    });
    assert!(is_signed(&zegel, "alfa.example"));
}

/// A key that was refused is tried again every minute.
#[test]
fn a_key_file_that_was_mended_signs_without_a_signal() {
    let mut zegel = Zegel::prepared(&[Org::new("alfa", &["alfa.example"])], "");
    let (key, away) = (zegel.path("keys/alfa/alfa-rsa.pem"), zegel.path("away.pem"));
    fs::rename(&key, &away).expect("a key");
    zegel.launch();
    let answer = |zegel: &Zegel| send(zegel, "alfa.example").reply;
    assert_ne!(answer(&zegel), Reply::Accept);
    fs::rename(&away, &key).expect("the key");
    let begun = Instant::now();
    while answer(&zegel) != Reply::Accept {
        assert!(
            begun.elapsed() < 4 * Duration::from_mins(1),
            "{}",
            zegel.log()
        );
        thread::sleep(Duration::from_millis(500));
    }
    assert!(is_signed(&zegel, "alfa.example"));
}
