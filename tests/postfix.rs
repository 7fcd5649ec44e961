//! The signer behind a real Postfix: every message of a configured organisation arrives with a
//! signature that three verifiers accept, and every other one as it was.

mod support;

use std::time::Duration;

use support::postfix::{Postfix, PostfixOptions};
use support::sink::Sink;
use support::smtp::{Client, Message};
use support::verifiers::assert_all_pass;
use support::zegel::{Org, Zegel};

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn mail_is_signed_on_every_way_in() {
    let zegel = Zegel::start(&[Org::new("voorbeeld", &["voorbeeld.example"]).signing_twice()]);
    let sink = Sink::start();
    let postfix = Postfix::start(&PostfixOptions::new(zegel.milter(), sink.port()));
    let text =
        "From: A <a@voorbeeld.example>\r\nTo: b@elsewhere.example\r\nSubject: one\r\n\r\nx\r\n";
    let message = Message::new("a@voorbeeld.example", "b@elsewhere.example", text);
    let mut client = Client::greeted(postfix.relay_port());
    client.send(&message).expect_accepted();
    let received = sink.find("Subject: one", TIMEOUT);
    assert_all_pass(std::slice::from_ref(&received.bytes), &zegel.records(), 2);
}
