//! Mail that is not signed: each reason with each action, on one connection.

use std::net::Ipv4Addr;

use crate::support::arrivals::{Sent, assert_all_right};
use crate::support::smtp::{Client, Message};
use crate::support::stage::{Mta, Stage, Tally, Way, signatures_of};
use crate::support::trials::count;

/// A message that is not signed.
struct Case {
    /// As in the metrics, and the organisation that it is counted for.
    refusal: (&'static str, &'static str),
    /// The header section without To.
    fields: String,
    body: &'static str,
}

fn case(refusal: (&'static str, &'static str), fields: &str) -> Case {
    Case {
        refusal,
        fields: fields.to_owned(),
        body: "text\r\n",
    }
}

fn cases() -> Vec<Case> {
    let many = "X-Many: x\r\n".repeat(2_000);
    vec![
        case(("unknown_domain", ""), "From: jan@onbekend.example\r\n"),
        case(("from_missing", ""), "Reply-To: jan@voorbeeld.example\r\n"),
        case(
            ("from_repeated", "voorbeeld"),
            "From: jan@voorbeeld.example\r\nFrom: piet@voorbeeld.example\r\n",
        ),
        case(
            ("from_several_mailboxes", ""),
            "From: jan@voorbeeld.example, piet@dubbel.example\r\n",
        ),
        case(("from_unparsable", ""), "From: jan@[192.0.2.1]\r\n"),
        case(
            ("unauthorised_sender", "login"),
            "From: jan@login.example\r\n",
        ),
        case(
            ("awaiting_key", "sleutelloos"),
            "From: jan@sleutelloos.example\r\n",
        ),
        case(
            ("parked_domain", "voorbeeld"),
            "From: jan@oud-voorbeeld.example\r\n",
        ),
        case(("signing_failure", "kapot"), "From: jan@kapot.example\r\n"),
        case(
            ("limit_exceeded", "dubbel"),
            &format!("{many}From: jan@dubbel.example\r\n"),
        ),
        Case {
            refusal: ("hazard", "voorbeeld"),
            fields: "From: jan@voorbeeld.example\r\n".to_owned(),
            body: "8-bit ë that nothing declares\r\n",
        },
    ]
}

impl Case {
    fn message(&self, action: &str) -> Message {
        // The sink refuses recipients that begin with a word of its own.
        let to = format!("to-{action}-{}@elsewhere.example", self.refusal.0);
        let text = format!(
            "{}To: {to}\r\nSubject: x\r\nDate: Fri, 21 Nov 2025 10:00:00 +0100\r\n\
             Message-Id: <{to}>\r\n\r\n{}",
            self.fields, self.body
        );
        Message::new("jan@testbed.example", &to, text).parameters("BODY=8BITMIME")
    }
}

/// Every reason with every action: the reply is right, and the next message on the connection is
/// signed as if nothing had been.
pub fn each_message_alone(stage: &Stage<impl Mta>) {
    let mut course = Course::default();
    // Mail from 127.0.0.1 is local to a mail server, which then adds a missing From.
    let from = Ipv4Addr::new(127, 0, 0, 2);
    for answer in ANSWERS {
        stage.reload(&policy(answer.action));
        let mut client = Client::connect_from(from, stage.mta.relay_port());
        client.ehlo("client.example").expect(250);
        for case in cases() {
            course.refuse(&mut client, &case, answer);
            let next = next(&format!("to-{}-after-{}", answer.action, case.refusal.0));
            client.send(&next.message).expect_accepted();
            course.accepted(next);
        }
    }
    let arrivals = stage.arrivals(course.sent);
    assert_all_right(&arrivals, &stage.zegel.records());
    course.tally.assert_counted(&stage.zegel);
}

/// An action, how it is counted, and how the mail server answers then.
#[derive(Clone, Copy)]
struct Answer {
    action: &'static str,
    result: &'static str,
    code: u16,
    text: &'static str,
}

const ANSWERS: [Answer; 3] = [
    Answer {
        action: "accept",
        result: "unsigned",
        code: 250,
        text: "",
    },
    Answer {
        action: "tempfail",
        result: "tempfailed",
        code: 451,
        text: "4.7.1 Message cannot be signed",
    },
    Answer {
        action: "reject",
        result: "rejected",
        code: 550,
        text: "5.7.1 Message cannot be signed",
    },
];

/// What was sent and taken so far.
#[derive(Default)]
struct Course {
    tally: Tally,
    sent: Vec<Sent>,
}

impl Course {
    fn refuse(&mut self, client: &mut Client, case: &Case, answer: Answer) {
        let (refusal, organisation) = case.refusal;
        let message = case.message(answer.action);
        let delivery = client.send(&message);
        let reply = delivery.verdict();
        assert_eq!(reply.code, answer.code, "{refusal}: {reply:?}");
        assert!(
            reply.text().starts_with(answer.text),
            "{refusal}: {reply:?}"
        );
        if refusal == "hazard" {
            self.tally.hazard(organisation, "undeclared_eight_bit");
        }
        if (refusal, answer.action) == ("hazard", "accept") {
            let signatures = signatures_of("@voorbeeld.example");
            return self.accepted(Sent {
                message,
                signatures,
            });
        }
        self.tally.unsigned(organisation, refusal);
        self.tally.message("relay", answer.result);
        if answer.action == "accept" {
            let signatures = Vec::new();
            self.sent.push(Sent {
                message,
                signatures,
            });
        }
    }

    /// A message that is signed.
    fn accepted(&mut self, sent: Sent) {
        count(&mut self.tally, Way::Relay, &sent.signatures);
        self.sent.push(sent);
    }
}

fn policy(action: &str) -> String {
    let reasons = [
        "unknown_domain",
        "bad_from",
        "unauthorised_sender",
        "awaiting_key",
        "parked_domain",
        "signing_failure",
        "hazard",
    ];
    let lines = reasons.map(|reason| format!("{reason} = \"{action}\"\n"));
    format!("[policy]\n{}", lines.concat())
}

/// The message behind one that was refused.
fn next(name: &str) -> Sent {
    let to = format!("{name}@elsewhere.example");
    let text = format!(
        "From: jan@dubbel.example\r\nTo: {to}\r\nSubject: x\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0100\r\nMessage-Id: <{to}>\r\n\r\ntext\r\n"
    );
    Sent {
        message: Message::new("jan@testbed.example", &to, text),
        signatures: signatures_of("@dubbel.example"),
    }
}
