//! Large messages: in bounded time and in flat memory.

use std::fs;
use std::time::{Duration, Instant};

use zegel::dkim::ParsedSignature;

use super::support::milter::{Command, Connection, Message};
use super::support::zegel::Zegel;
use super::{
    assert_alive, assert_signed, assert_tempfailed, assert_untouched, greeted, ours, start,
};

const MEBIBYTE: usize = 1024 * 1024;

/// The largest that the memory of the signer has ever been, in octets.
fn peak_memory(zegel: &Zegel) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", zegel.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let mut words = line.expect("a peak").split_whitespace();
    let kibibytes: usize = words.nth(1).expect("a number").parse().expect("a number");
    kibibytes * 1024
}

/// A message with one From field that fills its frame.
fn with_from(pattern: &str, tail: &str) -> Message {
    // Length, kind, name and two NULs are within 1 MiB.
    let room = MEBIBYTE - 16 - tail.len();
    let mut from = format!("From: {}", pattern.repeat(room / pattern.len()));
    from.push_str(tail);
    Message::parse(format!("{from}\r\n\r\nbody\r\n").as_bytes())
}

#[test]
fn a_from_field_of_a_mebibyte_is_read() {
    let (zegel, keys) = start("");
    let mut connection = greeted(&zegel);
    for (pattern, tail) in [
        ("x ", " <a@voorbeeld.example>"),
        ("(x)", " <a@voorbeeld.example>"),
        ("\r\n ", " a@voorbeeld.example"),
    ] {
        let message = with_from(pattern, tail);
        assert_signed(&keys, &message, &connection.send_message(&message));
        // With one more field than there is room for.
        let mut message = message;
        message.header.push((b"Subject".to_vec(), b"x".repeat(100)));
        assert_tempfailed(&connection.send_message(&message), "limit_exceeded");
    }
    for (pattern, tail) in [
        ("(", ""),
        ("\"", ""),
        ("<", ""),
        ("((", " a@voorbeeld.example"),
        ("\"\\", " a@voorbeeld.example"),
        ("a@voorbeeld.example,", "a@voorbeeld.example"),
        ("a:;", "a@voorbeeld.example"),
        ("a.", "@voorbeeld.example"),
        ("@a,", ":a@voorbeeld.example>"),
        ("=?utf-8?q?x?= ", ""),
    ] {
        let begun = Instant::now();
        let outcome = connection.send_message(&with_from(pattern, tail));
        // A long local part is a mailbox all the same.
        if outcome.inserted.is_empty() {
            assert_untouched(&outcome);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{pattern:?}");
    }
    assert_signed(&keys, &ours(), &connection.send_message(&ours()));
}

/// A hundred messages at once: what they take is taken by their first chunks, and little.
/// (Ten gigabytes, which are a hundred bodies of 100 MB, would be hashed for minutes here;
/// that one body of that size takes no more is the next test.)
#[test]
fn memory_does_not_grow_with_a_hundred_bodies_at_once() {
    const ROUNDS: usize = 20;
    let (zegel, keys) = start("");
    let text = format!("{} \t x\r\n", "x".repeat(990)).repeat(65);
    let message = ours();
    let mut connections: Vec<Connection> = (0..100).map(|_| greeted(&zegel)).collect();
    for connection in &mut connections {
        connection.set_timeout(Duration::from_mins(1));
        for (command, data) in connection.events(&message) {
            if command != Command::Body {
                connection.command(command, &data);
            }
        }
    }
    let mut round = || {
        for connection in &mut connections {
            connection.command(Command::Body, text.as_bytes());
        }
    };
    round();
    round();
    let early = peak_memory(&zegel);
    for _ in 2..ROUNDS {
        round();
    }
    let mut whole = message.clone();
    whole.body = text.repeat(ROUNDS).into_bytes();
    for connection in &mut connections {
        assert_signed(&keys, &whole, &connection.finish(&message));
    }
    let peak = peak_memory(&zegel);
    let grown = peak - early;
    assert!(grown < 16 * MEBIBYTE, "{grown} octets more for more body");
    assert!(peak < 200_000_000, "{peak} octets for a hundred messages");
}

/// A body of 100 MB, in the frames of Postfix.
#[test]
fn memory_does_not_grow_with_the_body() {
    let (zegel, keys) = start("");
    assert_alive(&zegel, &keys);
    let before = peak_memory(&zegel);
    let line = format!(
        "{}  with blanks \t and without meaning.\r\n",
        "x".repeat(900)
    );
    let text = line.repeat(65_535 / line.len());
    let chunks = 100_000_000 / text.len();
    let mut connection = greeted(&zegel);
    connection.set_timeout(Duration::from_mins(1));
    let message = ours();
    for (command, data) in connection.events(&message) {
        if command != Command::Body {
            connection.command(command, &data);
        }
    }
    for _ in 0..chunks {
        connection.command(Command::Body, text.as_bytes());
    }
    let outcome = connection.finish(&message);
    let grown = peak_memory(&zegel) - before;
    assert!(
        grown < 8 * MEBIBYTE,
        "{grown} octets more for a body of 100 MB"
    );

    assert_eq!(outcome.inserted.len(), 1, "{outcome:?}");
    let value = String::from_utf8(outcome.inserted[0].value.clone()).expect("ASCII");
    let signature =
        ParsedSignature::parse(b"DKIM-Signature", value.replace('\n', "\r\n").as_bytes());
    let mut hasher = signature.expect("a signature").body_hasher();
    for _ in 0..chunks {
        hasher.update(text.as_bytes());
    }
    let mut short = message.clone();
    short.body.clear();
    let header = outcome.apply(&short);
    let verified = keys.verify_header(&header, &hasher.finish());
    assert_eq!(verified.map(|signatures| signatures.len()), Ok(1));
}
