//! `observe = true`: everything is done as ever, and nothing is changed.

use super::support::milter::Offer;
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};
use super::{
    DOMAIN, Message, assert_signed, assert_untouched, count, greeted, greeted_with, ours, theirs,
};

const SETTINGS: &str = "
[policy]
unknown_domain = \"reject\"
[[listener]]
name = \"relay\"
socket = \"unix:{folder}/relay.sock\"
observe = true
[[listener]]
name = \"signing\"
socket = \"unix:{folder}/signing.sock\"
";

fn of(domain: &str) -> Message {
    Message::parse(format!("From: a@{domain}\r\nSubject: x\r\n\r\nsecret\r\n").as_bytes())
}

fn observed(zegel: &Zegel, result: &str) -> u64 {
    let series = format!("zegel_observed_total{{listener=\"relay\",result=\"{result}\"}}");
    zegel.counter(&series)
}

#[test]
fn a_listener_that_looks_on_changes_nothing_and_tells_what_it_would_have_done() {
    let orgs = [
        Org::new("voorbeeld", &[DOMAIN]).parked(&["parked.example"]),
        Org::new("lost", &["lost.example"]).with_lost_keys(),
    ];
    let zegel = Zegel::with_settings(&orgs, SETTINGS);
    let keys = PublicKeys::of(&zegel.keystore());
    let mut connection = greeted(&zegel);
    for message in [ours(), theirs(), of("lost.example"), of("parked.example")] {
        assert_untouched(&connection.send_message(&message));
    }
    connection.quit();
    // Where nothing could be added anyhow.
    let nothing = Offer {
        actions: 0,
        ..Offer::POSTFIX
    };
    let mut connection = greeted_with(&zegel, nothing);
    assert_untouched(&connection.send_message(&ours()));
    connection.quit();

    let expected = [
        ("signed", 2),
        ("rejected", 1),
        ("tempfailed", 1),
        ("unsigned", 1),
    ];
    for (result, number) in expected {
        assert_eq!(observed(&zegel, result), number, "{result}");
    }
    assert_eq!(observed(&zegel, "unverified"), 0);
    assert_eq!(count(&zegel, "messages observed"), 5);
    for result in ["signed", "unsigned", "tempfailed", "rejected"] {
        assert_eq!(count(&zegel, &format!("messages {result}")), 0, "{result}");
    }
    let log = zegel.log();
    for line in [
        "observed: would be signed",
        "observed: would be rejected",
        "unknown_domain",
    ] {
        assert!(log.contains(line), "no {line} in:\n{log}");
    }
    assert!(!log.contains("secret"), "{log}");

    // The other listener signs as ever.
    let mut connection =
        super::support::milter::Connection::negotiated(&zegel.milter_of("signing"), Offer::POSTFIX);
    connection.greet(&super::support::milter::Peer::local());
    assert_signed(&keys, &ours(), &connection.send_message(&ours()));
}
