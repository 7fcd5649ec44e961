//! The test bed proves itself, with OpenDKIM as the milter.

mod support;

use std::time::Duration;

use support::opendkim::OpenDkim;
use support::postfix::{HOST_NAME, Postfix, PostfixOptions};
use support::sendmail::{self, Sendmail, SendmailOptions};
use support::sink::Sink;
use support::smtp::{Client, Message};

const TIMEOUT: Duration = Duration::from_secs(20);

fn text(marker: &str) -> String {
    format!(
        "From: Alice <alice@{HOST_NAME}>\r\nTo: bob@elsewhere.example\r\nSubject: {marker}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{marker}@{HOST_NAME}>\r\n\r\n\
         .a dot, and {marker}\r\n"
    )
}

fn message(marker: &str) -> Message {
    let from = format!("alice@{HOST_NAME}");
    Message::new(&from, &format!("{marker}@elsewhere.example"), text(marker))
}

#[test]
fn postfix_signs_on_every_way_in() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(HOST_NAME));
    let postfix = Postfix::start(&PostfixOptions::new(milter.milter(), sink.port()));

    let mut client = Client::greeted(postfix.relay_port());
    client.send(&message("relayed")).expect_accepted();
    let mut client = Client::logged_in(postfix.submission_port(), "crm", "geheim");
    client.send(&message("submitted")).expect_accepted();
    let local = postfix.submit(&format!("alice@{HOST_NAME}"), text("local").replace("\r\n", "\n").as_bytes());
    assert!(local.status.success(), "{local:?}\n{}", postfix.log());

    for marker in ["relayed", "submitted", "local"] {
        let received = sink.find(&format!("Subject: {marker}"), TIMEOUT);
        assert_eq!(received.header("DKIM-Signature").len(), 1, "{received:?}\n{}", postfix.log());
        assert!(received.body().starts_with(b".a dot"));
    }
    assert_eq!(postfix.stop(), []);
}

#[test]
fn sendmail_signs_on_every_way_in() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(HOST_NAME));
    let sendmail = Sendmail::start(&SendmailOptions::new(milter.milter(), sink.port()));

    let mut client = Client::greeted(sendmail.relay_port());
    client.send(&message("relayed")).expect_accepted();
    let mut client = Client::logged_in(sendmail.submission_port(), "crm", "geheim");
    client.send(&message("submitted")).expect_accepted();
    let local = sendmail.submit(&format!("alice@{HOST_NAME}"), text("local").replace("\r\n", "\n").as_bytes());
    assert!(local.status.success(), "{local:?}\n{}", sendmail.log());

    for marker in ["relayed", "submitted", "local"] {
        let received = sink.find(&format!("Subject: {marker}"), TIMEOUT);
        assert_eq!(received.header("DKIM-Signature").len(), 1, "{received:?}\n{}", sendmail.log());
        assert!(received.body().starts_with(b".a dot"));
    }
    assert_eq!(sendmail.stop(), []);
}
