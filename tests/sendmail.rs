//! The signer behind a real Sendmail: every message of a configured organisation arrives with
//! signatures that three verifiers accept, and every other one as it was.

mod support;

use std::time::Duration;

use support::arrivals::assert_broken;
use support::corpus::replaced;
use support::sendmail::{Sendmail, SendmailOptions};
use support::sink::Sink;
use support::stage::{Stage, Way};
use support::trials::{self, outages::End, senders::letter};
use support::zegel::{Org, Zegel};

const TIMEOUT: Duration = Duration::from_secs(20);

fn options(zegel: &Zegel, sink: &Sink) -> SendmailOptions {
    SendmailOptions::new(zegel.milter(), sink.port())
        .submission_milter(zegel.milter_of("submission"))
        .mc("RELAY_DOMAIN(`127')dnl")
}

fn sendmail(zegel: &Zegel, sink: &Sink) -> Sendmail {
    Sendmail::start(&options(zegel, sink))
}

/// What is in the log may be what matters.
const TRACE: &str = "[log]\nfilter = \"trace\"";

#[test]
fn mail_of_any_shape_by_any_way_in_is_signed_or_left_alone() {
    trials::corpus(
        &Stage::new(TRACE, sendmail),
        &[Way::Relay, Way::Submission, Way::Local],
    );
}

#[test]
fn simple_canonicalisation_holds_as_well() {
    let settings = format!("[signing]\ncanonicalization = \"simple/simple\"\n{TRACE}");
    trials::corpus(&Stage::new(&settings, sendmail), &[Way::Relay]);
}

#[test]
fn mail_in_letters_of_all_the_world_is_signed() {
    trials::international(&Stage::new("", sendmail));
}

/// Sendmail has uses of its own for the octets 0x80 to 0x9f, and harms them in addresses behind
/// the signer: `conf/sendmail/zegel.mc` says so.
#[test]
fn some_letters_in_addresses_are_harmed_behind_the_signer() {
    let stage = Stage::new("", sendmail);
    let mut message = letter("jan@voorbeeld.example", "euro").parameters("BODY=8BITMIME");
    message.bytes = replaced(
        &message.bytes,
        b"From: jan@voorbeeld.example",
        "From: €uro@voorbeeld.example".as_bytes(),
    );
    stage.carry(Way::Relay, &[message]);
    let received = stage.sink.wait_for(1, TIMEOUT).remove(0);
    assert!(!received.contains("€"));
    assert_broken(&received, &stage.zegel.records());
}

#[test]
fn each_reason_not_to_sign_concerns_one_message() {
    trials::policies::each_message_alone(&Stage::new("", sendmail));
}

#[test]
fn organisations_are_bound_to_their_senders() {
    trials::senders::bound(&Stage::new("", sendmail));
}

#[test]
fn sessions_of_two_logins_side_by_side_keep_apart() {
    trials::senders::interleaved(&Stage::new("", sendmail));
}

#[test]
fn a_hundred_messages_on_one_connection_keep_apart() {
    trials::senders::pipelined(&Stage::new("", sendmail));
}

#[test]
fn mail_that_comes_by_again_is_not_signed_again() {
    trials::signed_already(&Stage::new("", sendmail));
}

/// The mailer `esmtp` converts, `relay` does not. `+7` takes the eighth bit off.
#[test]
fn no_field_of_mime_is_added_to_plain_mail() {
    let settings = [
        "",
        "define(`confEIGHT_BIT_HANDLING', `mime')dnl",
        "MODIFY_MAILER_FLAGS(`ESMTP', `+7')dnl",
    ];
    trials::absent::no_field_of_mime_is_added(&settings, |zegel, sink, setting| {
        let arguments = format!("define(`ESMTP_MAILER_ARGS', `TCP $h {}')dnl", sink.port());
        let options = SendmailOptions::new(zegel.milter(), sink.port())
            .mc("RELAY_DOMAIN(`127')dnl")
            .mc("define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl")
            .mc(&arguments)
            .mc(setting);
        Sendmail::start(&options)
    });
}

/// The mailer `relay` breaks lines over 2,040 bytes, `smtp` and `esmtp` those over 990.
#[test]
fn long_lines_are_broken_behind_the_signer_and_counted() {
    trials::long_lines(&Stage::new("", sendmail), 2_041);
}

#[test]
fn nothing_leaves_unsigned_when_the_signer_is_asked_to_end() {
    trials::outages::nothing_leaves_unsigned(&mut Stage::new("", sendmail), End::Asked);
}

#[test]
fn nothing_leaves_unsigned_when_the_signer_is_killed() {
    trials::outages::nothing_leaves_unsigned(&mut Stage::new("", sendmail), End::Killed);
}

/// Sendmail writes them without asking a milter: `conf/sendmail/zegel.mc` says so.
#[test]
fn bounces_leave_unsigned() {
    let stage = Stage::new("", |zegel, sink| {
        let options = options(zegel, sink).mc("define(`confDOMAIN_NAME', `voorbeeld.example')dnl");
        Sendmail::start(&options)
    });
    stage.carry(Way::Relay, &[letter("piet@elsewhere.example", "reject-me")]);
    let bounce = stage.sink.wait_for(1, TIMEOUT).remove(0);
    assert_eq!(bounce.from, "");
    assert!(
        bounce.header("From")[0].contains("MAILER-DAEMON@voorbeeld.example"),
        "{bounce:?}"
    );
    assert!(bounce.header("DKIM-Signature").is_empty());
}

/// `sendmail -bs` shows a client without an address, which `127.0.0.0/8` does not hold, and which
/// is signed for where the rule of the listener takes it.
#[test]
fn mail_by_sendmail_bs_is_signed_where_the_rule_takes_clients_without_an_address() {
    for (rule, is_signed) in [
        ("{ networks = [\"127.0.0.0/8\"] }", false),
        (
            "{ networks = [\"127.0.0.0/8\"], without_address = true }",
            true,
        ),
    ] {
        let listener = "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/relay.sock\"\n";
        let settings = format!("{listener}outbound = {rule}\n");
        let orgs = [Org::new("voorbeeld", &["voorbeeld.example"])];
        let zegel = Zegel::with_settings(&orgs, &settings);
        let sink = Sink::start();
        let options = SendmailOptions::new(zegel.milter(), sink.port());
        let sendmail = Sendmail::start(&options.mc("RELAY_DOMAIN(`127')dnl"));
        let text = b"From: jan@voorbeeld.example\r\nSubject: bs\r\n\r\nbody\r\n";
        let folder = zegel.path("");
        let output = sendmail.submit_by_smtp(&folder, "jan@voorbeeld.example", text);
        let received = sink.wait_for(1, TIMEOUT).remove(0);
        let signatures = received.header("DKIM-Signature").len();
        assert_eq!(signatures, usize::from(is_signed), "{rule}: {output:?}");
        let said = zegel.log().matches("shows no address").count();
        assert_eq!(said, usize::from(!is_signed), "{}", zegel.log());
    }
}
