//! The log of a real signer, in both formats: one line for each message with its fields, and
//! nothing of what the message holds, at any level.

// A test may panic.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::milter::{Command, Connection, Message, Offer, Peer};
use support::zegel::{Org, Zegel};

/// In everything that is not to be logged; in any case of letters.
const MARKER: &str = "qzmarker";

/// The fields of the lines of messages, by their queue ids.
type Lines = BTreeMap<String, BTreeMap<String, String>>;

fn start(format: &str) -> Zegel {
    let orgs = [
        Org::new("een", &["een.example"]).signing_twice(),
        Org::new("twee", &["twee.example"]).without_keys(),
        Org::new("drie", &["drie.example"]).with_lost_keys(),
        Org::new("vier", &["vier.example"])
            .more("[senders]\nauth = [\"crm\"]\n[policy]\nunauthorised_sender = \"reject\""),
    ];
    let listener = |name: &str, more: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nsocket = \"unix:{{folder}}/{name}.sock\"\n{more}\n"
        )
    };
    let settings = format!(
        "[log]\nformat = \"{format}\"\nfilter = \"trace,hyper=trace,mail_auth=trace\"\n{}{}",
        listener("relay", ""),
        listener("looking", "observe = true")
    );
    Zegel::with_settings(&orgs, &settings)
}

/// A message that is full of markers, but for its From domain and its queue id.
fn message(queue_id: &str, from: &str) -> Message {
    let text = format!(
        "{from}To: {MARKER}-to@elsewhere.example\r\nCc: {MARKER} <{MARKER}@{MARKER}.example>\r\n\
         Subject: {MARKER} in the subject\r\nMessage-ID: <{MARKER}@een.example>\r\n\
         List-Unsubscribe: <https://{MARKER}.example/>\r\nX-{MARKER}: {MARKER}\r\n\
         \r\n{MARKER} in the body\r\n{}\r\n",
        MARKER.repeat(200)
    );
    let mut message = Message::parse(text.as_bytes())
        .queue_id(queue_id)
        .login(&format!("{MARKER}-login"))
        .defined(
            Command::Mail,
            "{mail_addr}",
            &format!("{MARKER}@een.example"),
        )
        .defined(
            Command::Recipient,
            "{rcpt_addr}",
            &format!("{MARKER}@elsewhere.example"),
        );
    message.from = format!("<{MARKER}-sender@{MARKER}.example>");
    message.recipients = vec![format!("<{MARKER}-recipient@{MARKER}.example>")];
    message
}

fn from(domain: &str) -> String {
    format!("From: \"{MARKER} name\" <{MARKER}-local@{domain}>\r\n")
}

/// Every kind of ending, by queue id.
fn messages() -> Vec<Message> {
    [
        ("Q-SIGNED", from("een.example")),
        ("Q-AWAITING", from("twee.example")),
        ("Q-FAILED", from("drie.example")),
        ("Q-REJECTED", from("vier.example")),
        ("Q-UNKNOWN", from("unknown.example")),
        ("Q-NONE", String::new()),
        ("Q-TWICE", from("een.example").repeat(2)),
        (
            "Q-ODD",
            format!("From: {MARKER} <{MARKER} at een.example\r\n"),
        ),
    ]
    .iter()
    .map(|(queue_id, from)| message(queue_id, from))
    .collect()
}

/// Ends it and gives what it has logged, without what the shell around it has to say.
fn end(zegel: &mut Zegel) -> String {
    assert!(zegel.terminate().success());
    let log = zegel.log();
    let lines = log
        .lines()
        .filter(|line| !line.starts_with("environment: line "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Sends all of them, and something that is no mail, and gives what was logged.
fn log_of(zegel: &mut Zegel) -> String {
    let mut peer = Peer::at("127.0.0.1:40000");
    peer.name = format!("{MARKER}.example");
    peer.helo = format!("{MARKER}.example");
    for listener in ["relay", "looking"] {
        let mut connection = Connection::negotiated(&zegel.milter_of(listener), Offer::POSTFIX);
        assert!(connection.greet(&peer).goes_on());
        for message in messages() {
            connection.send_message(&message);
        }
        connection.quit();
        let mut connection = Connection::negotiated(&zegel.milter_of(listener), Offer::POSTFIX);
        connection.write_frame(Command::Connect, format!("{MARKER}\0").as_bytes());
        let mut connection = Connection::negotiated(&zegel.milter_of(listener), Offer::POSTFIX);
        connection.write_frame(Command::Header, MARKER.as_bytes());
    }
    let log = end(zegel);
    assert!(log.contains("stopped"), "{log}");
    let found: Vec<&str> = log
        .lines()
        .filter(|line| line.to_lowercase().contains(MARKER))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    log
}

/// What each line must hold, but for the milliseconds.
fn assert_lines(lines: &Lines, observed: bool) {
    let (keys, een) = ("een-rsa,een-ed25519", "een.example");
    for (queue_id, result, reason, organisation, domain) in [
        ("Q-SIGNED", "signed", "", "een", een),
        (
            "Q-AWAITING",
            "unsigned",
            "awaiting_key",
            "twee",
            "twee.example",
        ),
        (
            "Q-FAILED",
            "tempfailed",
            "signing_failure",
            "drie",
            "drie.example",
        ),
        (
            "Q-REJECTED",
            "rejected",
            "unauthorised_sender",
            "vier",
            "vier.example",
        ),
        (
            "Q-UNKNOWN",
            "unsigned",
            "unknown_domain",
            "",
            "unknown.example",
        ),
        ("Q-NONE", "unsigned", "from_missing", "", ""),
        ("Q-TWICE", "unsigned", "from_repeated", "een", ""),
        ("Q-ODD", "unsigned", "from_unparsable", "", ""),
    ] {
        let listener = if observed { "looking" } else { "relay" };
        let is_signed = result == "signed";
        let expected = [
            ("queue_id", queue_id),
            ("listener", listener),
            ("organisation", organisation),
            ("domain", domain),
            ("d", if is_signed { een } else { "" }),
            ("s", if is_signed { keys } else { "" }),
            ("result", if observed { "observed" } else { result }),
            ("reason", reason),
            ("would_be", if observed { result } else { "" }),
        ];
        let there = expected.into_iter().filter(|(_, value)| !value.is_empty());
        let there: BTreeMap<&str, &str> = there.collect();
        let mut line = lines[queue_id].clone();
        let milliseconds = line.remove("milliseconds").unwrap();
        assert!(milliseconds.parse::<f64>().unwrap() >= 0.0);
        let line: BTreeMap<&str, &str> =
            line.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(line, there);
    }
    assert_eq!(lines.len(), 8);
}

/// The lines of messages on each listener.
fn by_listener(lines: &[BTreeMap<String, String>]) -> [Lines; 2] {
    ["relay", "looking"].map(|listener| {
        let own = lines.iter().filter(|line| line["listener"] == listener);
        own.map(|line| (line["queue_id"].clone(), line.clone()))
            .collect()
    })
}

#[test]
fn json_has_the_fields_of_each_message_and_nothing_of_what_it_holds() {
    let mut zegel = start("json");
    let log = log_of(&mut zegel);
    let mut lines = Vec::new();
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Value::Object(mut fields) = line else {
            panic!("no object: {line}");
        };
        for always in ["timestamp", "level", "message"] {
            assert!(
                fields.remove(always).is_some_and(|value| value.is_string()),
                "{fields:?}"
            );
        }
        if fields.remove("target").unwrap() == "zegel::message" {
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            lines.push(
                fields
                    .into_iter()
                    .map(|(key, value)| (key, text(value)))
                    .collect(),
            );
        }
    }
    let [relay, looking] = by_listener(&lines);
    assert_lines(&relay, false);
    assert_lines(&looking, true);
}

#[test]
fn text_has_them_too() {
    let mut zegel = start("text");
    let log = log_of(&mut zegel);
    let mut lines = Vec::new();
    for line in log.lines() {
        if let Some((_, fields)) = line.split_once(" zegel::message: ") {
            let fields = fields.split(' ').filter_map(|field| field.split_once('='));
            let plain =
                fields.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()));
            lines.push(plain.collect());
        }
    }
    let [relay, looking] = by_listener(&lines);
    assert_lines(&relay, false);
    assert_lines(&looking, true);
}

#[test]
fn keys_and_messages_can_be_told_apart() {
    let orgs = [
        Org::new("een", &["een.example"]),
        Org::new("twee", &["twee.example"]).with_lost_keys(),
    ];
    let filter = "[log]\nformat = \"json\"\nfilter = \"off,zegel::key=info\"\n";
    let mut zegel = Zegel::with_settings(&orgs, filter);
    support::milter::send(&zegel.milter(), &message("Q-1", &from("een.example")));
    support::milter::send(&zegel.milter(), &message("Q-2", &from("twee.example")));
    zegel.add_key(&orgs[0], "een-next", zegel::dkim::Algorithm::RsaSha256);
    zegel.wait_for_log("een-next", 1);
    let log = end(&mut zegel);
    assert!(log.contains("twee-rsa.pem"), "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["target"], "zegel::key", "{line}");
    }
}

/// The format is known by then, and nobody should have to read two.
#[test]
fn a_start_that_fails_is_told_in_the_format_of_the_log() {
    // A socket of systemd's that never comes; what may still come is waited for.
    let listener = "[[listener]]\nname = \"relay\"\nsocket = \"fd:relay\"\noutbound = \"all\"\n";
    let settings = |format| format!("{listener}[log]\nformat = \"{format}\"\n");
    let zegel = Zegel::prepared(&[], &settings("json"));
    let output = support::keeper::command(&zegel.path(""), &["run"]);
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    for line in told.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(
            line["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    assert!(told.contains("no socket named relay"), "{told}");
    zegel.write_settings(&settings("text"));
    let output = support::keeper::command(&zegel.path(""), &["run"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("zegel: listener relay: "), "{told}");
}
