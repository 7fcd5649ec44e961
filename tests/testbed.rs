//! The test bed proves itself, with OpenDKIM as the milter.

mod support;

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use support::milter::{self, Connection, LEADING_SPACE, Offer, Peer, Reply};
use support::opendkim::OpenDkim;
use support::postfix::{Postfix, PostfixOptions};
use support::sendmail::{Sendmail, SendmailOptions};
use support::sink::{Received, Sink, SinkOptions};
use support::smtp::{Client, Message};
use support::verify;

const TIMEOUT: Duration = Duration::from_secs(20);
const DOMAIN: &str = "org.example";
const SENDER: &str = "alice@org.example";

fn text(marker: &str) -> String {
    format!(
        "From: Alice <{SENDER}>\r\nTo: {marker}@elsewhere.example\r\nSubject: {marker}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{marker}@{DOMAIN}>\r\n\r\n\
         .a dot, and {marker}\r\n"
    )
}

fn local_text(marker: &str) -> Vec<u8> {
    text(marker).replace("\r\n", "\n").into_bytes()
}

fn message(marker: &str) -> Message {
    Message::new(SENDER, &format!("{marker}@elsewhere.example"), text(marker))
}

/// One signature, good in the eyes of dkimpy.
#[track_caller]
fn assert_signed(received: &Received, milter: &OpenDkim) {
    assert_eq!(received.header("DKIM-Signature").len(), 1, "{received:?}");
    let verified = verify::dkimpy(&received.bytes, &[milter.record()]);
    assert_eq!(verified, Ok(()), "{}", received.bytes.escape_ascii());
}

#[test]
fn postfix_signs_on_every_way_in() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(DOMAIN));
    let postfix = Postfix::start(&PostfixOptions::new(milter.milter(), sink.port()));

    let mut client = Client::greeted(postfix.relay_port());
    client.send(&message("relayed")).expect_accepted();
    let mut client = Client::logged_in(postfix.submission_port(), "crm", "geheim");
    client.send(&message("submitted")).expect_accepted();
    let local = postfix.submit(SENDER, &local_text("local"));
    assert!(local.status.success(), "{local:?}");

    for marker in ["relayed", "submitted", "local"] {
        let received = sink.find(&format!("Subject: {marker}"), TIMEOUT);
        assert_signed(&received, &milter);
        assert!(received.body().starts_with(b".a dot"));
    }
    postfix.wait_for_empty_queue(TIMEOUT);
    let port = postfix.relay_port();
    assert_eq!(postfix.stop(), []);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn postfix_signs_its_bounces() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(DOMAIN));
    let options = PostfixOptions::new(milter.milter(), sink.port())
        .main_cf(&format!("myhostname = {DOMAIN}"));
    let postfix = Postfix::start(&options);

    let mut client = Client::greeted(postfix.relay_port());
    client.send(&message("reject-me")).expect_accepted();

    let bounce = sink.find(SENDER, TIMEOUT);
    assert_eq!((bounce.from.as_str(), bounce.recipients.len()), ("", 1));
    assert!(bounce.header("From")[0].contains(&format!("MAILER-DAEMON@{DOMAIN}")));
    assert_signed(&bounce, &milter);
    assert!(bounce.contains("550 5.1.1 No such user here"));
}

#[test]
fn postfix_keeps_its_doors_apart() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(DOMAIN));
    let postfix = Postfix::start(&PostfixOptions::new(milter.milter(), sink.port()));

    let mut anonymous = Client::greeted(postfix.submission_port());
    assert_eq!(anonymous.send(&message("anonymous")).verdict().code, 554);
    let mut stranger = Client::greeted(postfix.outside_port());
    assert_eq!(stranger.send(&message("stranger")).verdict().code, 554);
    let inside = Message::new(SENDER, "bob@inside.example", text("inbound"));
    stranger.send(&inside).expect_accepted();
    sink.find("Subject: inbound", TIMEOUT);

    let mut filter = Client::greeted(postfix.reinjection_port());
    filter.send(&message("reinjected")).expect_accepted();
    let received = sink.find("Subject: reinjected", TIMEOUT);
    assert!(received.header("DKIM-Signature").is_empty());

    let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, 2), postfix.relay_port());
    client.ehlo("second.example").expect(250);
    client
        .xclient("ADDR=198.51.100.7 NAME=outside.example")
        .expect(220);
    client.ehlo("third.example").expect(250);
    assert_eq!(client.send(&message("xclient")).verdict().code, 554);
    assert!(postfix.log().contains("connect from unknown[127.0.0.2]"));
}

#[test]
fn postfix_passes_any_bytes_of_many_messages() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(DOMAIN));
    let postfix = Postfix::start(&PostfixOptions::new(milter.milter(), sink.port()));
    let messages: Vec<_> = (0..20)
        .map(|number| {
            let marker = format!("pipelined-{number}");
            let long = "x".repeat(5_000 * number);
            let text = text(&marker).into_bytes();
            let bytes = [text.as_slice(), b"..\r\n.\xff\x00 ", long.as_bytes()].concat();
            Message::new(SENDER, &format!("{marker}@elsewhere.example"), bytes)
                .parameters("BODY=8BITMIME")
        })
        .collect();

    let mut client = Client::greeted(postfix.relay_port());
    for delivery in client.pipeline(&messages) {
        delivery.expect_accepted();
    }
    client.quit().expect(221);

    for received in sink.wait_for(20, TIMEOUT) {
        assert_eq!(received.header("DKIM-Signature").len(), 1);
        assert!(
            received.parameters.contains("BODY=8BITMIME"),
            "{}",
            received.parameters
        );
        assert!(
            received
                .bytes
                .windows(8)
                .any(|part| part == b"\r\n..\r\n.\xff")
        );
    }
}

#[test]
fn postfix_tempfails_without_its_milter_and_queues_without_its_next_hop() {
    let sink = Sink::with(SinkOptions {
        keywords: vec!["8BITMIME"],
    });
    let missing = Postfix::start(&PostfixOptions::new(
        "unix:/nonexistent/socket",
        sink.port(),
    ));
    let mut client = Client::greeted(missing.relay_port());
    assert_eq!(client.send(&message("lost")).verdict().code, 451);

    let milter = OpenDkim::start(DOMAIN);
    let postfix = Postfix::start(&PostfixOptions::new(milter.milter(), sink.port()));
    let mut client = Client::greeted(postfix.relay_port());
    client.send(&message("defer-me")).expect_accepted();
    let deferred = || {
        postfix
            .queue()
            .iter()
            .any(|entry| entry.contains("450 4.2.0 Not now"))
    };
    while !deferred() {
        std::thread::sleep(Duration::from_millis(50));
    }
    postfix.flush();
    assert!(sink.received().is_empty());
}

#[test]
fn sendmail_signs_on_every_way_in() {
    let (sink, milter) = (Sink::start(), OpenDkim::start(DOMAIN));
    let sendmail = Sendmail::start(&SendmailOptions::new(milter.milter(), sink.port()));

    let mut client = Client::greeted(sendmail.relay_port());
    client.send(&message("relayed")).expect_accepted();
    let mut anonymous = Client::greeted(sendmail.submission_port());
    assert_eq!(anonymous.send(&message("anonymous")).verdict().code, 530);
    let mut client = Client::logged_in(sendmail.submission_port(), "crm", "geheim");
    client.send(&message("submitted")).expect_accepted();
    let local = sendmail.submit(SENDER, &local_text("local"));
    assert!(local.status.success(), "{local:?}");

    for marker in ["relayed", "submitted", "local"] {
        let received = sink.find(&format!("Subject: {marker}"), TIMEOUT);
        assert_signed(&received, &milter);
        assert!(received.body().starts_with(b".a dot"));
    }
    let port = sendmail.relay_port();
    assert_eq!(sendmail.stop(), []);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn sendmail_tempfails_without_its_milter() {
    let sink = Sink::start();
    let sendmail = Sendmail::start(&SendmailOptions::new("inet:127.0.0.1:1", sink.port()));
    let mut client = Client::connect(sendmail.relay_port());
    let greeting = client.ehlo("client.example");
    assert!(greeting.is_positive(), "{greeting:?}");
    assert_eq!(client.send(&message("lost")).verdict().code, 451);
}

#[test]
fn the_milter_client_speaks_every_version() {
    let milter = OpenDkim::start(DOMAIN);
    for offer in [2, 3, 4, 6].map(Offer::version) {
        for offer in [offer, offer.without(LEADING_SPACE)] {
            let mut connection = Connection::negotiated(&milter.milter(), offer);
            assert!(connection.greet(&Peer::local()).goes_on());
            for marker in ["first", "second"] {
                let message = milter::Message::parse(text(marker).as_bytes()).chunk(3);
                let outcome = connection.send_message(&message);
                outcome.expect_accepted();
                assert_eq!(outcome.inserted.len(), 1, "{outcome:?}");
                let signed = outcome.apply(&message);
                assert_eq!(
                    verify::dkimpy(&signed, &[milter.record()]),
                    Ok(()),
                    "{offer:x?}"
                );
            }
            connection.quit();
        }
    }
}

#[test]
fn the_milter_client_may_send_nonsense() {
    let milter = OpenDkim::start(DOMAIN);
    let mut connection = Connection::open(&milter.milter());
    connection.write_raw(b"\0\0\0\x01Z");
    assert_eq!(connection.read_reply(), Reply::Closed);
}
