//! Organisations that only some senders may use, and messages of several organisations side by
//! side and one behind the other.

use std::net::Ipv4Addr;

use crate::support::arrivals::{Sent, assert_all_right};
use crate::support::corpus::replaced;
use crate::support::smtp::{Client, Message, stuffed};
use crate::support::stage::{Mta, Stage, Tally, Way, signatures_of};
use crate::support::trials::count;

/// A message whose From is `author`, to a recipient of its own.
pub fn letter(author: &str, name: &str) -> Message {
    let to = format!("{name}@elsewhere.example");
    let text = format!(
        "From: {author}\r\nTo: {to}\r\nSubject: {name}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0100\r\nMessage-Id: <{to}>\r\n\r\n{name}\r\n"
    );
    Message::new(author, &to, text)
}

/// A letter with a subject and a line of the body of so many octets.
pub fn long_letter(name: &str, subject: usize, line: usize) -> Sent {
    let mut message = letter("jan@voorbeeld.example", name);
    let text = format!("Subject: {}", "x".repeat(subject));
    let short = format!("Subject: {name}");
    message.bytes = replaced(&message.bytes, short.as_bytes(), text.as_bytes());
    let line = format!("{}\r\n", "y".repeat(line));
    message.bytes.extend_from_slice(line.as_bytes());
    let signatures = signatures_of("@voorbeeld.example");
    Sent {
        message,
        signatures,
    }
}

/// Each of `auth`, `networks` and `listeners` lets its mail be signed, and no other.
pub fn bound(stage: &Stage<impl Mta>) {
    let (relay, submission) = (stage.mta.relay_port(), stage.mta.submission_port());
    let from = |last| {
        let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, last), relay);
        client.ehlo("client.example").expect(250);
        ("relay", client)
    };
    let with = |login| ("submission", Client::logged_in(submission, login, "geheim"));
    let (mut tally, mut sent) = (Tally::default(), Vec::new());
    for (door, (listener, mut client), allowed) in [
        ("local", from(1), &[][..]),
        ("network", from(2), &["netwerk"][..]),
        ("crm", with("crm"), &["login", "luister"][..]),
        ("nieuwsbrief", with("nieuwsbrief"), &["luister"][..]),
    ] {
        for organisation in ["login", "netwerk", "luister"] {
            let author = format!("jan@{organisation}.example");
            let message = letter(&author, &format!("{door}-{organisation}"));
            client.send(&message).expect_accepted();
            let signatures = if allowed.contains(&organisation) {
                tally.message(listener, "signed");
                tally.signed(organisation, "rsa-sha256");
                vec![(
                    format!("{organisation}.example"),
                    format!("{organisation}-rsa"),
                )]
            } else {
                tally.message(listener, "unsigned");
                tally.unsigned(organisation, "unauthorised_sender");
                Vec::new()
            };
            sent.push(Sent {
                message,
                signatures,
            });
        }
        // The file of an organisation goes before the settings for all.
        let refused = client.send(&letter("jan@streng.example", "refused"));
        assert_eq!(refused.verdict().code, 550);
        tally.message(listener, "rejected");
        tally.unsigned("streng", "unauthorised_sender");
    }
    let (_, mut stranger) = from(9);
    let message = letter("jan@voorbeeld.example", "stranger");
    stranger.send(&message).expect_accepted();
    tally.message("relay", "unsigned");
    tally.unsigned("voorbeeld", "not_outbound");
    sent.push(Sent {
        message,
        signatures: Vec::new(),
    });
    assert_all_right(&stage.arrivals(sent), &stage.zegel.records());
    tally.assert_counted(&stage.zegel);
}

/// Two sessions with different logins, whose commands alternate.
pub fn interleaved(stage: &Stage<impl Mta>) {
    let port = stage.mta.submission_port();
    let mut crm = Client::logged_in(port, "crm", "geheim");
    let mut other = Client::logged_in(port, "nieuwsbrief", "geheim");
    let mut sent = Vec::new();
    for number in 0..5 {
        let mine = letter("jan@login.example", &format!("mine-{number}"));
        let theirs = letter("jan@login.example", &format!("theirs-{number}"));
        for step in 0..4 {
            take_step(&mut crm, &mine, step);
            take_step(&mut other, &theirs, step);
        }
        let by = ("login.example".to_owned(), "login-rsa".to_owned());
        sent.push(Sent {
            message: mine,
            signatures: vec![by],
        });
        sent.push(Sent {
            message: theirs,
            signatures: Vec::new(),
        });
        // A message that is begun and given up leaves nothing behind.
        crm.command("MAIL FROM:<a@b.example>").expect(250);
        crm.rset().expect(250);
    }
    assert_all_right(&stage.arrivals(sent), &stage.zegel.records());
}

fn take_step(client: &mut Client, message: &Message, step: usize) {
    match step {
        0 => client
            .command(&format!("MAIL FROM:<{}>", message.from))
            .expect(250),
        1 => client
            .command(&format!("RCPT TO:<{}>", message.to[0]))
            .expect(250),
        2 => client.command("DATA").expect(354),
        _ => {
            client.write_raw(&stuffed(&message.bytes));
            client.read_reply().expect(250)
        }
    };
}

/// A hundred messages of five authors on one connection, in as few packets as can be.
pub fn pipelined(stage: &Stage<impl Mta>) {
    let authors = [
        "jan@voorbeeld.example",
        "piet@dubbel.example",
        "kees@nieuws.voorbeeld.example",
        "eve@onbekend.example",
        "nieuwsbrief@dubbel.example",
    ];
    let mut tally = Tally::default();
    let sent: Vec<Sent> = (0..100)
        .zip(authors.into_iter().cycle())
        .map(|(number, author)| {
            let signatures = signatures_of(author);
            count(&mut tally, Way::Relay, &signatures);
            Sent {
                message: letter(author, &format!("pipelined-{number}")),
                signatures,
            }
        })
        .collect();
    let messages: Vec<Message> = sent.iter().map(|sent| sent.message.clone()).collect();
    let mut client = Client::greeted(stage.mta.relay_port());
    for delivery in client.pipeline(&messages) {
        delivery.expect_accepted();
    }
    assert_all_right(&stage.arrivals(sent), &stage.zegel.records());
    tally.assert_counted(&stage.zegel);
}
