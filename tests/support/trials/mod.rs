//! What every mail server goes through, with the signer as its milter.

pub mod absent;
pub mod outages;
pub mod policies;
pub mod senders;

use std::fs;

use crate::support::arrivals::{
    Sent, assert_all_right, assert_broken, assert_only_added, assert_verified,
};
use crate::support::corpus::{self, SECRETS};
use crate::support::sink::Received;
use crate::support::smtp::Client;
use crate::support::stage::{Mta, Stage, Tally, Way, signatures_of};
use crate::support::trials::senders::long_letter;
use crate::support::zegel::Zegel;

/// Every specimen by these ways in: signed twice, once or not at all, by its author.
pub fn corpus(stage: &Stage<impl Mta>, ways: &[Way]) {
    let specimens = corpus::specimens();
    let mut tally = Tally::default();
    let mut sent = Vec::new();
    for &way in ways {
        let authors = [
            "jan@voorbeeld.example",
            "Jan@DUBBEL.example",
            "jan@onbekend.example",
        ];
        let mut messages = Vec::new();
        for specimen in &specimens {
            messages.extend(authors.map(|author| specimen.message(way.name(), author)));
        }
        stage.carry(way, &messages);
        for (message, author) in messages.into_iter().zip(authors.into_iter().cycle()) {
            let signatures = signatures_of(author);
            count(&mut tally, way, &signatures);
            sent.push(Sent {
                message,
                signatures,
            });
        }
    }
    let arrivals = stage.arrivals(sent);
    assert_all_right(&arrivals, &stage.zegel.records());
    assert_inner_signatures(&arrivals);
    tally.assert_counted(&stage.zegel);
    assert_discreet(&stage.zegel);
}

/// Letters of all the world in addresses, names and text (RFC 6531 and RFC 6532); in the envelope
/// only where the server takes them there.
pub fn international(stage: &Stage<impl Mta>) {
    let keywords = Client::connect(stage.mta.relay_port()).ehlo("client.example");
    let offered = keywords.lines.iter().any(|keyword| keyword == "SMTPUTF8");
    let (mut tally, mut sent) = (Tally::default(), Vec::new());
    for specimen in &corpus::international() {
        for author in [
            "jän@voorbeeld.example",
            "jan@bücher.example",
            "jan@onbekend-é.example",
        ] {
            let signatures = signatures_of(author);
            count(&mut tally, Way::Relay, &signatures);
            let mut message = specimen.message("relay", author);
            if !offered {
                "jan@testbed.example".clone_into(&mut message.from);
                message = message.parameters("BODY=8BITMIME");
            }
            sent.push(Sent {
                message,
                signatures,
            });
        }
    }
    let messages: Vec<_> = sent.iter().map(|sent| sent.message.clone()).collect();
    stage.carry(Way::Relay, &messages);
    assert_all_right(&stage.arrivals(sent), &stage.zegel.records());
    tally.assert_counted(&stage.zegel);
}

/// Lines that are too long are broken by the server behind the signer, and the signature with
/// them. The counters say so beforehand, and the policy can refuse such mail.
pub fn long_lines(stage: &Stage<impl Mta>, too_long: usize) {
    let mut tally = Tally::default();
    let sent = vec![
        long_letter("long-line", 10, too_long),
        long_letter("just-right", 998 - "Subject: ".len(), 998),
    ];
    for sent in &sent {
        count(&mut tally, Way::Relay, &sent.signatures);
    }
    tally.hazard("voorbeeld", "long_line");
    let messages: Vec<_> = sent.iter().map(|sent| sent.message.clone()).collect();
    stage.carry(Way::Relay, &messages);
    let arrivals = stage.arrivals(sent);
    let (sent, received) = &arrivals[0];
    assert!(
        !received.contains(&"y".repeat(too_long)),
        "{:?}",
        sent.message.to
    );
    assert_broken(received, &stage.zegel.records());
    assert_all_right(&arrivals[1..], &stage.zegel.records());
    tally.assert_counted(&stage.zegel);

    stage.reload("[policy]\nhazard = \"reject\"");
    let mut client = Client::greeted(stage.mta.relay_port());
    let refused = client.send(&long_letter("refused", 10, 1_500).message);
    let reply = refused.verdict();
    assert_eq!(reply.code, 550);
    assert!(
        reply
            .text()
            .starts_with("5.7.1 Message cannot be signed (hazard)"),
        "{reply:?}"
    );
}

/// A message that has been signed already passes the milter once more, with fields that somebody
/// added above: its signatures are enough.
pub fn signed_already(stage: &Stage<impl Mta>) {
    let (mut tally, mut sent, mut again) = (Tally::default(), Vec::new(), Vec::new());
    for author in ["jan@voorbeeld.example", "jan@dubbel.example"] {
        let signatures = signatures_of(author);
        count(&mut tally, Way::Relay, &signatures);
        let message = senders::letter(author, &format!("first-{author}").replace('@', "-"));
        sent.push(Sent {
            message,
            signatures,
        });
    }
    let messages: Vec<_> = sent.iter().map(|sent| sent.message.clone()).collect();
    stage.carry(Way::Relay, &messages);
    let first = stage.arrivals(sent);
    stage.sink.clear();
    for (sent, received) in first {
        tally.message("relay", "unsigned");
        let (_, selector) = &sent.signatures[0];
        let organisation = selector.split('-').next().unwrap_or_default();
        tally.unsigned(organisation, "already_signed");
        let mut message = sent.message.clone();
        message.bytes = [b"X-Filter: clean\r\n", received.bytes.as_slice()].concat();
        again.push((sent, message));
    }
    let messages: Vec<_> = again.iter().map(|(_, message)| message.clone()).collect();
    stage.carry(Way::Relay, &messages);
    let unsigned = again.iter().map(|(_, message)| Sent {
        message: message.clone(),
        signatures: Vec::new(),
    });
    let second = stage.arrivals(unsigned.collect());
    for (sent, received) in &second {
        assert_only_added(received, &sent.message.bytes, 0);
    }
    let signed = again.into_iter().map(|(sent, _)| sent);
    let signed: Vec<_> = signed
        .zip(second.into_iter().map(|(_, received)| received))
        .collect();
    assert_verified(&signed, &stage.zegel.records());
    tally.assert_counted(&stage.zegel);
}

/// Counts a message that only its author decides on.
pub fn count(tally: &mut Tally, way: Way, signatures: &[(String, String)]) {
    if signatures.is_empty() {
        tally.message(way.listener(), "unsigned");
        tally.unsigned("", "unknown_domain");
        return;
    }
    tally.message(way.listener(), "signed");
    for (_, selector) in signatures {
        match selector.rsplit_once('-') {
            Some((organisation, "rsa")) => tally.signed(organisation, "rsa-sha256"),
            Some((organisation, _)) => tally.signed(organisation, "ed25519-sha256"),
            None => panic!("{selector} names no organisation"),
        }
    }
}

/// What somebody else has signed is intact for those who look at that.
fn assert_inner_signatures(arrivals: &[(Sent, Received)]) {
    let signed: Vec<_> = (arrivals.iter())
        .filter(|(sent, _)| sent.message.to[0].contains("-smime-"))
        .collect();
    assert!(!signed.is_empty());
    for (sent, received) in signed {
        assert!(
            corpus::smime_is_intact(&received.bytes),
            "{:?}",
            sent.message.to
        );
    }
}

/// Nothing of a message and nothing of a key is in the log or on the pages.
pub fn assert_discreet(zegel: &Zegel) {
    let public = zegel.log() + &zegel.metrics();
    let organisations = fs::read_dir(zegel.path("keys")).expect("the keystore");
    let folders = organisations.filter_map(|entry| fs::read_dir(entry.ok()?.path()).ok());
    let keys: Vec<String> = folders
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter(|text| text.contains("PRIVATE KEY"))
        .collect();
    assert!(!keys.is_empty(), "a keystore without keys proves nothing");
    let lines = keys
        .iter()
        .flat_map(|key| key.lines())
        .filter(|line| line.len() > 40);
    for secret in SECRETS.into_iter().chain(lines) {
        assert!(
            !public.contains(secret),
            "{secret:?} is in the log or the metrics:\n{public}"
        );
    }
}
