//! The signer behind a real Postfix: every message of a configured organisation arrives with
//! signatures that three verifiers accept, and every other one as it was.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use support::arrivals::{
    Sent, added_fields, assert_all_right, assert_broken, assert_only_added, assert_verified,
};
use support::corpus::replaced;
use support::postfix::{Postfix, PostfixOptions};
use support::sink::{Sink, SinkOptions};
use support::smtp::{Client, Message};
use support::stage::{Stage, Tally, Way, signatures_of, wait_until};
use support::trials::senders::{letter, long_letter};
use support::trials::{self, count, outages::End};
use support::zegel::Zegel;

const TIMEOUT: Duration = Duration::from_secs(20);

fn options(zegel: &Zegel, sink: &Sink) -> PostfixOptions {
    PostfixOptions::new(zegel.milter(), sink.port())
        .submission_milter(zegel.milter_of("submission"))
        .main_cf("smtpd_error_sleep_time = 0")
}

fn postfix(zegel: &Zegel, sink: &Sink) -> Postfix {
    Postfix::start(&options(zegel, sink))
}

/// What is in the log may be what matters.
const TRACE: &str = "[log]\nfilter = \"trace\"";

#[test]
fn mail_of_any_shape_by_any_way_in_is_signed_or_left_alone() {
    let ways = [Way::Relay, Way::Submission, Way::Local];
    trials::corpus(&Stage::new(TRACE, postfix), &ways);
}

#[test]
fn simple_canonicalisation_holds_as_well() {
    let settings = format!("[signing]\ncanonicalization = \"simple/simple\"\n{TRACE}");
    trials::corpus(&Stage::new(&settings, postfix), &[Way::Relay, Way::Local]);
}

#[test]
fn mail_in_letters_of_all_the_world_is_signed() {
    trials::international(&Stage::new("", postfix));
}

#[test]
fn each_reason_not_to_sign_concerns_one_message() {
    trials::policies::each_message_alone(&Stage::new("", postfix));
}

#[test]
fn organisations_are_bound_to_their_senders() {
    trials::senders::bound(&Stage::new("", postfix));
}

#[test]
fn sessions_of_two_logins_side_by_side_keep_apart() {
    trials::senders::interleaved(&Stage::new("", postfix));
}

#[test]
fn a_hundred_messages_on_one_connection_keep_apart() {
    trials::senders::pipelined(&Stage::new("", postfix));
}

#[test]
fn mail_that_comes_by_again_is_not_signed_again() {
    trials::signed_already(&Stage::new("", postfix));
}

#[test]
fn nothing_leaves_unsigned_when_the_signer_is_asked_to_end() {
    trials::outages::nothing_leaves_unsigned(&mut Stage::new("", postfix), End::Asked);
}

#[test]
fn nothing_leaves_unsigned_when_the_signer_is_killed() {
    trials::outages::nothing_leaves_unsigned(&mut Stage::new("", postfix), End::Killed);
}

/// Local mail is taken without the milter, and waits for it in the queue.
#[test]
fn local_mail_waits_for_the_signer() {
    let mut stage = Stage::new("", postfix);
    stage.zegel.kill();
    let message = letter("jan@dubbel.example", "waiting");
    stage.carry(Way::Local, std::slice::from_ref(&message));
    wait_until("Postfix has tried the milter", || {
        stage.mta.log().contains("4.7.1 Service unavailable")
    });
    assert!(stage.sink.received().is_empty());
    stage.zegel.launch();
    let signatures = signatures_of("@dubbel.example");
    let arrivals = stage.arrivals(vec![Sent {
        message,
        signatures,
    }]);
    assert_all_right(&arrivals, &stage.zegel.records());
}

/// What Postfix makes of a message before the milter sees it is what is signed.
#[test]
fn what_postfix_changes_in_front_of_the_signer_is_signed() {
    for canonicalisation in ["relaxed/relaxed", "simple/simple"] {
        let settings = format!("[signing]\ncanonicalization = \"{canonicalisation}\"");
        let stage = Stage::new(&settings, postfix);
        let mut sent = Vec::new();
        // Postfix mends more of what comes from its own host.
        for last in [1, 2] {
            let client = Ipv4Addr::new(127, 0, 0, last);
            let mut client = Client::connect_from(client, stage.mta.relay_port());
            client.ehlo("client.example").expect(250);
            for message in changed_by_postfix(last) {
                client.send(&message).expect_accepted();
                let signatures = signatures_of("@dubbel.example");
                sent.push(Sent {
                    message,
                    signatures,
                });
            }
        }
        let arrivals = stage.arrivals(sent);
        assert_verified(&arrivals, &stage.zegel.records());
        for (sent, received) in &arrivals {
            let lost = |name: &str| received.header(name).is_empty();
            assert!(lost("Bcc") && lost("Content-Length") && lost("Return-Path"));
            let changed = added_fields(&received.bytes, &sent.message.bytes).is_err();
            let to = &sent.message.to[0];
            assert_eq!(changed, to != "unqualified-2@elsewhere.example", "{to}");
        }
    }
}

fn changed_by_postfix(client: u8) -> Vec<Message> {
    let too_long = format!(
        "Cc: {}b@elsewhere.example\r\n",
        "<a@elsewhere.example>,\r\n ".repeat(3_000)
    );
    let dropped = "Bcc: b@elsewhere.example\r\nContent-Length: 3\r\nReturn-Path: <x@y.example>\r\n";
    let cases = [
        ("bare-line-ends", "Subject: x\r\n", "one\ntwo\rthree\r\n"),
        ("dropped", dropped, "x\r\n"),
        ("unqualified", "Cc: piet, kees\r\n", "x\r\n"),
        ("too-long", &too_long, "x\r\n"),
        ("not-a-field", "this is no field\r\n", "x\r\n"),
        ("blank-before-colon", "List-Id : <a.example>\r\n", "x\r\n"),
    ];
    let build = |(name, fields, body): (&str, &str, &str)| {
        let mut message = letter("jan@dubbel.example", &format!("{name}-{client}"));
        let end = message.bytes.len() - format!("\r\n{name}-{client}\r\n").len();
        message.bytes.truncate(end);
        message
            .bytes
            .extend_from_slice(format!("{fields}\r\n{body}").as_bytes());
        message
    };
    cases.map(build).into()
}

#[test]
fn long_lines_are_broken_behind_the_signer_and_counted() {
    trials::long_lines(&Stage::new("", postfix), 999);
}

/// The same for a field: Postfix breaks that too.
#[test]
fn a_long_line_of_a_field_is_broken_behind_the_signer_and_counted() {
    let stage = Stage::new("", postfix);
    let sent = long_letter("long-field", 1_200, 10);
    stage.carry(Way::Relay, std::slice::from_ref(&sent.message));
    let (_, received) = stage.arrivals(vec![sent]).remove(0);
    assert_broken(&received, &stage.zegel.records());
    let mut tally = Tally::default();
    count(&mut tally, Way::Relay, &signatures_of("@voorbeeld.example"));
    tally.hazard("voorbeeld", "long_line");
    tally.assert_counted(&stage.zegel);
}

/// A next hop without 8BITMIME: Postfix recodes the body behind the signer, unless it is told not
/// to, as `conf/postfix/main.cf` says.
#[test]
fn eight_bit_mail_is_recoded_for_an_old_next_hop_unless_that_is_off() {
    let zegel = Zegel::start(&[support::zegel::Org::new(
        "voorbeeld",
        &["voorbeeld.example"],
    )]);
    for (setting, holds) in [
        ("disable_mime_output_conversion = no", false),
        ("disable_mime_output_conversion = yes", true),
    ] {
        let sink = Sink::with(SinkOptions {
            keywords: vec!["PIPELINING"],
        });
        let options = PostfixOptions::new(zegel.milter(), sink.port()).main_cf(setting);
        let postfix = Postfix::start(&options);
        let mut message = letter("jan@voorbeeld.example", "eight-bit").parameters("BODY=8BITMIME");
        message.bytes.extend_from_slice("naïef\r\n".as_bytes());
        let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 8bit\r\nSubject";
        message.bytes = replaced(&message.bytes, b"Subject", mime.as_bytes());
        Client::greeted(postfix.relay_port())
            .send(&message)
            .expect_accepted();
        let received = sink.wait_for(1, TIMEOUT).remove(0);
        if holds {
            let sent = Sent {
                message,
                signatures: signatures_of("@voorbeeld.example"),
            };
            assert_verified(&[(sent, received)], &zegel.records());
        } else {
            assert!(received.contains("quoted-printable"));
            assert_broken(&received, &zegel.records());
        }
    }
}

#[test]
fn no_field_of_mime_is_added_to_plain_mail() {
    let settings = [
        "disable_mime_output_conversion = no",
        "disable_mime_output_conversion = no\nalways_add_missing_headers = yes",
        "disable_mime_output_conversion = no\nsmtp_discard_ehlo_keywords = 8bitmime, smtputf8",
    ];
    trials::absent::no_field_of_mime_is_added(&settings, |zegel, sink, setting| {
        Postfix::start(&PostfixOptions::new(zegel.milter(), sink.port()).main_cf(setting))
    });
}

/// The way of `conf/postfix/master.cf`: signed on the way in, and past the milter when the filter
/// gives it back.
#[test]
fn mail_from_a_content_filter_is_signed_once() {
    let filter = Sink::start();
    let stage = Stage::new("", |zegel, sink| {
        let line = format!("content_filter = smtp:[127.0.0.1]:{}", filter.port());
        Postfix::start(&options(zegel, sink).main_cf(&line))
    });
    let first = letter("jan@voorbeeld.example", "filtered");
    let signatures = signatures_of("@voorbeeld.example");
    stage.carry(Way::Relay, std::slice::from_ref(&first));
    let in_filter = filter.wait_for(1, TIMEOUT).remove(0);
    assert_only_added(&in_filter, &first.bytes, 1);

    let mut returned = first.clone();
    returned.bytes = [b"X-Filter: clean\r\n", in_filter.bytes.as_slice()].concat();
    let mut client = Client::greeted(stage.mta.reinjection_port());
    client.send(&returned).expect_accepted();
    let arrived = stage.sink.wait_for(1, TIMEOUT).remove(0);
    assert_only_added(&arrived, &returned.bytes, 0);

    let sent = Sent {
        message: first,
        signatures: signatures.clone(),
    };
    assert_verified(&[(sent, arrived)], &stage.zegel.records());
    let mut tally = Tally::default();
    count(&mut tally, Way::Relay, &signatures);
    tally.assert_counted(&stage.zegel);
}

/// With `internal_mail_filter_classes = bounce`, as in `conf/postfix/main.cf`.
#[test]
fn bounces_of_an_organisation_are_signed() {
    let stage = Stage::new("", |zegel, sink| {
        Postfix::start(&options(zegel, sink).main_cf("myhostname = voorbeeld.example"))
    });
    let message = letter("piet@elsewhere.example", "reject-me");
    stage.carry(Way::Relay, &[message]);
    let bounce = stage.sink.wait_for(1, TIMEOUT).remove(0);
    assert_eq!(bounce.from, "");
    assert!(bounce.header("From")[0].contains("MAILER-DAEMON@voorbeeld.example"));
    let message = Message::new("", "piet@elsewhere.example", bounce.bytes.clone());
    let sent = Sent {
        message,
        signatures: signatures_of("@voorbeeld.example"),
    };
    assert_verified(&[(sent, bounce)], &stage.zegel.records());
}

/// The octets that some servers take for the end of a message, with another message behind them:
/// they stay one message, with one signature. (Who is in `mynetworks` is trusted not to do this,
/// so that here nobody is.)
#[test]
fn a_smuggled_message_is_none() {
    let stage = Stage::new("", |zegel, sink| {
        let line = "smtpd_forbid_bare_newline_exclusions =";
        Postfix::start(&options(zegel, sink).main_cf(line))
    });
    let mut all = Vec::new();
    for (name, end) in [
        ("a", "\n.\n"),
        ("b", "\r.\r"),
        ("c", "\n.\r\n"),
        ("d", "\r\n.\n"),
    ] {
        let outer = letter("jan@voorbeeld.example", name);
        let inner = letter("directeur@voorbeeld.example", "smuggled");
        let mut client = Client::greeted(stage.mta.relay_port());
        client
            .command("MAIL FROM:<jan@voorbeeld.example>")
            .expect(250);
        let to = format!("RCPT TO:<{name}@elsewhere.example>");
        client.command(&to).expect(250);
        client.command("DATA").expect(354);
        let smuggled = format!(
            "{end}MAIL FROM:<directeur@voorbeeld.example>\r\n\
             RCPT TO:<smuggled@elsewhere.example>\r\nDATA\r\n"
        );
        client.write_raw(&[&outer.bytes, smuggled.as_bytes(), &inner.bytes, b".\r\n"].concat());
        client.read_reply().expect(250);
        client.quit().expect(221);
        all = stage.sink.wait_for(all.len() + 1, TIMEOUT);
        let last = all.last().expect("a message");
        assert_eq!(last.header("DKIM-Signature").len(), 1, "{end:?}");
        assert_eq!(last.header("From"), ["jan@voorbeeld.example"], "{end:?}");
    }
    assert_eq!(all.len(), 4);
    let signed = "zegel_messages_total{listener=\"relay\",result=\"signed\"}";
    assert_eq!(stage.zegel.counter(signed), 4);
}
