//! The signer behind a real Postfix: every message of a configured organisation arrives with
//! signatures that three verifiers accept, and every other one as it was.

mod support;

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
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

/// What the doctor advises is done, with what is here.
fn do_as_the_doctor_says(stage: &mut Stage<Postfix>, expected: &[&str]) {
    let ask = |stage: &Stage<Postfix>| {
        let output = Command::new(env!("CARGO_BIN_EXE_zegel"))
            .arg("--config")
            .arg(stage.zegel.path("zegel.toml"))
            .args(["doctor", "--json", "--postfix"])
            .arg(stage.mta.configuration())
            .output()
            .expect("the doctor runs");
        let report: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("a report in JSON");
        let findings = report["findings"].as_array().expect("findings").clone();
        let is_to_do = |one: &serde_json::Value| one["severity"] != "note";
        findings.into_iter().filter(is_to_do).collect::<Vec<_>>()
    };
    let findings = ask(stage);
    let codes: Vec<&str> = findings
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect();
    assert_eq!(codes, expected, "{findings:#?}");
    for finding in &findings {
        let command = finding["command"].as_str().expect("a command");
        let script = format!("PATH=/usr/sbin:/usr/bin:/bin; {command}");
        let status = Command::new("sh").args(["-c", &script]).status();
        assert!(status.expect("a shell").success(), "{command}");
    }
    assert_eq!(ask(stage), [0; 0], "nothing is left to do");
    stage.mta.restart();
}

/// A message in our name from outside, for a customer.
fn forgery(name: &str) -> Message {
    let mut message = letter("directeur@voorbeeld.example", name);
    message.to = vec![format!("{name}@inside.example")];
    message
}

/// Sends it as a stranger.
fn forge(stage: &Stage<Postfix>, message: &Message) {
    let stranger = Ipv4Addr::new(127, 0, 0, 9);
    let mut client = Client::connect_from(stranger, stage.mta.outside_port());
    client.ehlo("stranger.example").expect(250);
    client.send(message).expect_accepted();
}

/// What a filter makes of a message.
fn filtered(bytes: &[u8]) -> Vec<u8> {
    [b"X-Filter: clean\r\n", bytes].concat()
}

/// Gives a message back as amavis does, with who sent it.
fn give_back(stage: &Stage<Postfix>, filter: &Sink, to: &str) {
    let taken = filter.find(to, TIMEOUT);
    let mut client = Client::greeted(stage.mta.reinjection_port());
    // Nothing is said of mail that sendmail(1) took.
    if !taken.forwarded.is_empty() {
        let said = format!("XFORWARD {}", taken.forwarded);
        client.command(&said).expect(250);
    }
    let message = Message::new(&taken.from, to, filtered(&taken.bytes));
    client.send(&message).expect_accepted();
}

fn filter() -> Sink {
    Sink::with(SinkOptions {
        keywords: vec![
            "8BITMIME",
            "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
        ],
    })
}

fn signatures_at(stage: &Stage<Postfix>, message: &Message) -> usize {
    let received = stage.sink.find(&message.to[0], TIMEOUT);
    received.header("DKIM-Signature").len()
}

/// Our mail by each way in is signed once and verifies, however it comes to the sink.
fn assert_ours_is_signed_once(
    stage: &Stage<Postfix>,
    ways: &[Way],
    pass: impl Fn(&Stage<Postfix>, Way, &Message),
) {
    for way in ways {
        let message = letter("jan@voorbeeld.example", &format!("ours-{}", way.name()));
        stage.carry(*way, std::slice::from_ref(&message));
        pass(stage, *way, &message);
        let arrived = stage.sink.find(&message.to[0], TIMEOUT);
        assert_eq!(arrived.header("DKIM-Signature").len(), 1, "{way:?}");
        let signatures = signatures_of("@voorbeeld.example");
        let sent = Sent {
            message,
            signatures,
        };
        assert_verified(&[(sent, arrived)], &stage.zegel.records());
    }
}

/// The milter is told the address of the filter, whatever XFORWARD says: with it on the way back
/// everybody's mail is ours.
#[test]
fn what_the_doctor_advises_around_a_filter_signs_ours_once_and_no_forgery() {
    let filter = filter();
    let mut stage = Stage::new("", |zegel, sink| {
        let milter = zegel.milter();
        let options = options(zegel, sink)
            .main_cf(&format!(
                "content_filter = smtp:[127.0.0.1]:{}",
                filter.port()
            ))
            .main_cf("smtp_send_xforward_command = yes")
            .change(
                "-P",
                &format!("{{reinjection}}/inet/smtpd_milters={milter}"),
            )
            .change("-PX", "{reinjection}/inet/receive_override_options")
            .change("-P", "{outside}/inet/smtpd_milters=");
        Postfix::start(&options)
    });
    let forged = forgery("forged-before");
    forge(&stage, &forged);
    give_back(&stage, &filter, &forged.to[0]);
    let client = filter.find(&forged.to[0], TIMEOUT).forwarded;
    assert!(client.contains("ADDR=127.0.0.9"), "{client}");
    assert_eq!(signatures_at(&stage, &forged), 1, "this is the danger");

    do_as_the_doctor_says(&mut stage, &["forgeries_signed", "unsigned_before_filter"]);
    let forged = forgery("forged");
    forge(&stage, &forged);
    give_back(&stage, &filter, &forged.to[0]);
    assert_eq!(signatures_at(&stage, &forged), 0);
    let ways = [Way::Relay, Way::Submission, Way::Local];
    assert_ours_is_signed_once(&stage, &ways, |stage, _, message| {
        give_back(stage, &filter, &message.to[0]);
    });
}

#[test]
fn what_the_doctor_advises_around_a_proxy_filter_signs_ours_once_and_no_forgery() {
    let filter = filter();
    let mut stage = Stage::new("", |zegel, sink| {
        let (milter, port) = (zegel.milter(), filter.port());
        let proxy = format!("inet/smtpd_proxy_filter=127.0.0.1:{port}");
        let options = options(zegel, sink)
            .change("-P", &format!("{{outside}}/{proxy}"))
            .change("-P", &format!("{{submission}}/{proxy}"))
            .change(
                "-P",
                &format!("{{reinjection}}/inet/smtpd_milters={milter}"),
            )
            .change("-PX", "{reinjection}/inet/receive_override_options");
        Postfix::start(&options)
    });
    let forged = forgery("forged-before");
    forge(&stage, &forged);
    give_back(&stage, &filter, &forged.to[0]);
    let client = filter.find(&forged.to[0], TIMEOUT).forwarded;
    assert!(client.contains("ADDR=127.0.0.9"), "{client}");
    assert_eq!(signatures_at(&stage, &forged), 1, "this is the danger");

    do_as_the_doctor_says(&mut stage, &["forgeries_signed", "proxy_filter_unsigned"]);
    let forged = forgery("forged");
    forge(&stage, &forged);
    give_back(&stage, &filter, &forged.to[0]);
    assert_eq!(signatures_at(&stage, &forged), 0);
    let ways = [Way::Relay, Way::Submission, Way::Local];
    assert_ours_is_signed_once(&stage, &ways, |_, _, _| {});
}

/// A program behind pipe(8) that gives mail back by sendmail(1), as in FILTER_README.
#[test]
fn what_the_doctor_advises_around_a_filter_program_signs_ours_once_and_no_forgery() {
    let folder = support::open_folder("filter");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("a mode");
    let script = folder.path().join("filter.sh");
    let text = "cat >\"$0.$2.new\" && mv \"$0.$2.new\" \"$0.$2\"\n";
    std::fs::write(&script, text).expect("a script");
    let mut stage = Stage::new("", |zegel, sink| {
        let argv = format!(
            "argv=/bin/sh {} ${{sender}} ${{recipient}}",
            script.display()
        );
        let program =
            format!("filter/unix=filter unix - n n - 10 pipe flags=Rq user=nobody {argv}");
        let mut options = options(zegel, sink)
            .change("-M", &program)
            .change("-P", "{outside}/inet/content_filter=filter:dummy")
            .change("-P", "{relay}/inet/content_filter=filter:dummy")
            .change("-P", "{submission}/inet/content_filter=filter:dummy");
        for name in [
            "content_filter",
            "mynetworks",
            "smtpd_authorized_xforward_hosts",
            "receive_override_options",
            "smtpd_milters",
        ] {
            options = options.change("-PX", &format!("{{reinjection}}/inet/{name}"));
        }
        Postfix::start(&options)
    });
    let give_back = |stage: &Stage<Postfix>, message: &Message| {
        let file = folder.path().join(format!("filter.sh.{}", message.to[0]));
        wait_until("the filter has it", || file.exists());
        let bytes = std::fs::read(&file).expect("what the filter took");
        let bytes = [b"X-Filter: clean\n", bytes.as_slice()].concat();
        let returned = Message::new(&message.from, &message.to[0], bytes);
        stage.mta.give_back(&returned);
    };
    let forged = forgery("forged-before");
    forge(&stage, &forged);
    give_back(&stage, &forged);
    assert_eq!(signatures_at(&stage, &forged), 1, "this is the danger");

    do_as_the_doctor_says(&mut stage, &["forgeries_signed"]);
    let forged = forgery("forged");
    forge(&stage, &forged);
    give_back(&stage, &forged);
    assert_eq!(signatures_at(&stage, &forged), 0);
    let ways = [Way::Relay, Way::Submission];
    assert_ours_is_signed_once(&stage, &ways, |stage, _, message| give_back(stage, message));
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
