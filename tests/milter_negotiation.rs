//! Whatever an MTA offers, the result is right: signed where that is possible, tempfailed where
//! a signature is owed and cannot be, and otherwise untouched. Nothing is ever asked for that was
//! not offered.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use support::milter::{Command, Connection, LEADING_SPACE, Message, Offer, Outcome, Peer, Reply};
use support::signatures::PublicKeys;
use support::verifiers::assert_all_pass;
use support::zegel::{Org, Zegel};

const ADD_HEADER: u32 = 0x1;
const REQUEST_MACROS: u32 = 0x100;
const NOREPLY_BODY: u32 = 0x8_0000;
/// What has a meaning in version 6, without the sizes that only milters ask for.
const ALL_PROTOCOL: u32 = 0x1f_ffff;
const ALL_ACTIONS: u32 = 0x1ff;

/// Blanks behind the colon of every kind: none, one, two, TAB, a fold, nothing but them.
const OURS: &str = "From:A <a@voorbeeld.example>\r\nTo:  b@elsewhere.example\r\n\
    Subject: one\r\n\ttwo  three \r\nDate:\tFri, 21 Nov 1997 09:55:06 -0600\r\n\
    Reply-To:\r\n a@voorbeeld.example\r\nCc: \r\nMessage-ID: <1@voorbeeld.example>\r\n\r\n\
    first \r\n\r\n  second\tline\r\n\r\n";
const THEIRS: &str = "From: a@unknown.example\r\nSubject:  x\r\n\r\nbody\r\n";

/// A signer and what is known of its configuration.
struct Bench {
    zegel: Zegel,
    keys: PublicKeys,
    canonicalization: &'static str,
}

impl Bench {
    fn new(canonicalization: &'static str) -> Self {
        let settings = format!("[signing]\ncanonicalization = \"{canonicalization}\"\n");
        let orgs = [Org::new("voorbeeld", &["voorbeeld.example"])];
        let zegel = Zegel::with_settings(&orgs, &settings);
        let keys = PublicKeys::of(&zegel.keystore());
        Self {
            zegel,
            keys,
            canonicalization,
        }
    }

    /// A whole session after this offer; gives the message as the MTA would send it on.
    fn session(&self, offer: Offer) -> Option<Vec<u8>> {
        let mut connection = negotiated(&self.zegel, offer);
        let greeted = connection.greet(&Peer::local());
        assert!(greeted.goes_on(), "{offer:x?}: {greeted:?}");
        let ours = Message::parse(OURS.as_bytes());
        let first = connection.send_message(&ours);
        let signed = self.judge(offer, &ours, &first);
        let theirs = connection.send_message(&Message::parse(THEIRS.as_bytes()));
        assert_untouched(offer, &theirs);
        // Without ABORT in between, as Sendmail does it.
        for _ in 0..2 {
            let outcome = connection.transact(&ours);
            self.judge(offer, &ours, &outcome);
        }
        assert_no_further_reply(connection);
        signed
    }

    /// Holds the outcome of a message of ours against what was offered.
    fn judge(&self, offer: Offer, message: &Message, outcome: &Outcome) -> Option<Vec<u8>> {
        let context = format!("{offer:x?}: {outcome:x?}");
        if offer.actions & ADD_HEADER == 0 {
            assert_tempfailed(outcome, &context);
            return None;
        }
        assert_eq!(outcome.reply, Reply::Accept, "{context}");
        assert_eq!(outcome.at, Command::EndOfMessage, "{context}");
        assert!(outcome.other.is_empty(), "{context}");
        assert_eq!(outcome.inserted.len(), 1, "{context}");
        let inserted = &outcome.inserted[0];
        assert_eq!(inserted.index, Some(0), "{context}");
        assert_eq!(inserted.name, "DKIM-Signature", "{context}");
        assert!(!inserted.value.contains(&b'\r'), "{context}");
        assert_eq!(
            inserted.value.starts_with(b" v=1"),
            offer.protocol & LEADING_SPACE != 0,
            "{context}"
        );
        let signed = outcome.apply(message);
        let signatures = self.keys.verify(&signed);
        let signatures = signatures.unwrap_or_else(|error| panic!("{error}\n{context}"));
        let expected = if offer.protocol & LEADING_SPACE == 0 {
            // The MTA keeps a blank to itself, so nobody knows the fields as they are.
            let (_, body) = self.canonicalization.split_once('/').expect("two");
            format!("relaxed/{body}")
        } else {
            self.canonicalization.to_owned()
        };
        assert_eq!(signatures.len(), 1, "{context}");
        assert_eq!(
            signatures[0].canonicalisation.to_string(),
            expected,
            "{context}"
        );
        assert_eq!(signatures[0].domain.as_str(), "voorbeeld.example");
        Some(signed)
    }
}

/// An agreement within what was offered.
fn negotiated(zegel: &Zegel, offer: Offer) -> Connection {
    let mut connection = Connection::open(&zegel.milter());
    let agreed = connection.negotiate(offer);
    let agreed = agreed.unwrap_or_else(|reply| panic!("no agreement on {offer:x?}: {reply:?}"));
    assert_eq!(agreed.version, offer.version.min(6));
    assert_eq!(agreed.actions & !offer.actions, 0, "{agreed:x?} {offer:x?}");
    assert_eq!(
        agreed.protocol & !offer.protocol,
        0,
        "{agreed:x?} {offer:x?}"
    );
    assert!(
        agreed.actions & REQUEST_MACROS != 0 || connection.requested_macros().is_empty(),
        "macros were asked for, though {offer:x?} allows no such wish"
    );
    connection
}

fn assert_tempfailed(outcome: &Outcome, context: &str) {
    assert!(outcome.inserted.is_empty(), "{context}");
    let refused = matches!(&outcome.reply, Reply::Refuse(text) if text.starts_with("451 4.7.1 "));
    assert!(refused, "{context}");
}

fn assert_untouched(offer: Offer, outcome: &Outcome) {
    let untouched = outcome.inserted.is_empty() && outcome.other.is_empty();
    assert!(
        untouched && outcome.reply == Reply::Accept,
        "{offer:x?}: {outcome:x?}"
    );
}

/// Ends the session and makes sure that no reply was left unread.
fn assert_no_further_reply(mut connection: Connection) {
    connection.write_frame(Command::Quit, b"");
    let rest = connection.read_frame();
    assert!(matches!(rest, Ok(None)), "{rest:?}");
}

/// Every version with masks that have a meaning: none, all, the oldest ones, and each bit alone
/// as well as each bit missing.
fn systematic_offers() -> Vec<Offer> {
    let single = |all: u32| {
        let bits = (0..32)
            .map(|bit| 1 << bit)
            .filter(move |bit| all & bit != 0);
        bits.flat_map(move |bit| [bit, all & !bit])
    };
    let actions: Vec<u32> = [0, 0x0f, 0x3f, ALL_ACTIONS, u32::MAX, 1 << 31]
        .into_iter()
        .chain(single(ALL_ACTIONS))
        .collect();
    let protocols: Vec<u32> = [0, 0x3f, 0x7f, 0x17f, 0x37f, u32::MAX, 1 << 31]
        .into_iter()
        .chain(single(ALL_PROTOCOL))
        .collect();
    let mut offers = Vec::new();
    for version in 2..=7 {
        let with = |(actions, protocol)| Offer {
            version,
            actions,
            protocol,
        };
        offers.extend(actions.iter().map(|&actions| with((actions, ALL_PROTOCOL))));
        offers.extend(protocols.iter().map(|&protocol| with((0x3f, protocol))));
        offers.push(with((0, 0)));
        offers.push(Offer::version(version));
    }
    offers
}

fn every_offer_is_met(canonicalization: &'static str) {
    let bench = Bench::new(canonicalization);
    let offers = systematic_offers();
    let signed: Vec<Vec<u8>> = offers
        .iter()
        .filter_map(|&offer| bench.session(offer))
        .collect();
    assert!(signed.len() > offers.len() / 2);
    let sample: Vec<Vec<u8>> = signed.iter().step_by(9).cloned().collect();
    assert_all_pass(&sample, &bench.zegel.records(), 1);
}

#[test]
fn every_offer_is_met_with_relaxed_canonicalisation() {
    every_offer_is_met("relaxed/relaxed");
}

#[test]
fn every_offer_is_met_with_simple_canonicalisation() {
    every_offer_is_met("simple/simple");
}

#[test]
fn any_masks_are_met() {
    let bench = Bench::new("simple/relaxed");
    let offers =
        (2_u32..=9, any::<u32>(), any::<u32>()).prop_map(|(version, actions, protocol)| Offer {
            version,
            actions,
            protocol,
        });
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&offers, |offer| {
        bench.session(offer);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn version_one_is_declined_and_counted() {
    let bench = Bench::new("relaxed/relaxed");
    for version in [0, 1] {
        let mut connection = Connection::open(&bench.zegel.milter());
        let offer = Offer {
            version,
            ..Offer::POSTFIX
        };
        assert_eq!(connection.negotiate(offer), Err(Reply::Closed));
    }
    assert!(bench.session(Offer::POSTFIX).is_some());
    let errors = "zegel_protocol_errors_total{listener=\"relay\"}";
    assert_eq!(bench.zegel.counter(errors), 2);
}

#[test]
fn what_cannot_be_inserted_does_not_count_as_signed() {
    let bench = Bench::new("relaxed/relaxed");
    let offer = Offer {
        actions: ALL_ACTIONS & !ADD_HEADER,
        ..Offer::POSTFIX
    };
    assert_eq!(bench.session(offer), None);
    let count = |result: &str| {
        let series = format!("zegel_messages_total{{listener=\"relay\",result=\"{result}\"}}");
        bench.zegel.counter(&series)
    };
    assert_eq!(
        [count("signed"), count("tempfailed"), count("unsigned")],
        [0, 3, 1]
    );
    assert!(bench.zegel.log().contains("does not allow header fields"));
}

/// The end of the message carries the last part of the body, or all of it.
#[test]
fn data_in_the_end_of_message_is_signed() {
    let bench = Bench::new("relaxed/simple");
    let body = "line one\r\nline two  \r\n\r\nlast\r\n".repeat(5_000);
    let text = format!("From: a@voorbeeld.example\r\nSubject: x\r\n\r\n{body}");
    let whole = Message::parse(text.as_bytes()).chunk(30_000);
    let offers = [
        Offer::POSTFIX,
        Offer::POSTFIX.without(NOREPLY_BODY),
        Offer::version(6).without(u32::MAX),
        Offer::version(2),
    ];
    for offer in offers {
        for in_the_end in [1, 2, 7, 65_535, body.len() - 1, body.len()] {
            let mut connection = negotiated(&bench.zegel, offer);
            connection.greet(&Peer::local());
            for _ in 0..2 {
                let mut shown = whole.clone();
                let data = shown.body.split_off(body.len() - in_the_end);
                let outcome = connection.transact_with(&shown, &data);
                bench.judge(offer, &whole, &outcome);
            }
            // Exactly one final reply: the next one answers the next message.
            let theirs = connection.send_message(&Message::parse(THEIRS.as_bytes()));
            assert_untouched(offer, &theirs);
            assert_no_further_reply(connection);
        }
    }
}

/// A milter that answers what it promised not to answer would be read out of step from then on.
#[test]
fn what_was_promised_not_to_be_answered_is_not() {
    let bench = Bench::new("relaxed/relaxed");
    let mut connection = negotiated(&bench.zegel, Offer::POSTFIX);
    connection.set_timeout(Duration::from_millis(300));
    connection.greet(&Peer::local());
    connection.show(&Message::parse(OURS.as_bytes()));
    let silence = connection.read_frame();
    assert!(silence.is_err(), "{silence:?}");
}
