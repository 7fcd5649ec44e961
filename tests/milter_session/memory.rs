//! Memory that peers take with what they never end: one bound for all connections together, which
//! mail of usual size does not feel.

use std::fs;

use super::support::milter::{Command, Connection, Message, Reply, encode, strings};
use super::support::zegel::Zegel;
use super::{
    assert_signed, assert_tempfailed, assert_untouched, greeted, ours, reached, start, theirs,
};

const MEBIBYTE: usize = 1024 * 1024;
const KIBIBYTE: usize = 1024;

/// How many connections never end what they send. Without a bound they would take 100 MB.
const HOARDERS: usize = 60;

/// What the signer has in memory now, in octets.
fn resident(zegel: &Zegel) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", zegel.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let mut words = line.expect("a size").split_whitespace();
    let kibibytes: usize = words.nth(1).expect("a number").parse().expect("a number");
    kibibytes * KIBIBYTE
}

fn field(name: &str, octets: usize) -> Vec<u8> {
    strings([name.as_bytes(), &b"x".repeat(octets)])
}

fn held(zegel: &Zegel) -> usize {
    usize::try_from(zegel.counter("zegel_header_memory_bytes")).expect("a size")
}

/// Begins a message.
fn begin(connection: &mut Connection) {
    connection.write_frame(Command::Mail, b"<a@b.example>\0");
}

/// A way to fill memory and stay. The signer may close the connection meanwhile.
type Way = fn(&mut Connection);

fn many_fields(connection: &mut Connection) {
    begin(connection);
    for _ in 0..15 {
        connection.write_frame(Command::Header, &field("X-Large", 64 * KIBIBYTE));
    }
}

const WAYS: [(&str, Way); 7] = [
    ("a header section without an end", many_fields),
    ("fields of the largest size", |connection| {
        begin(connection);
        connection.write_frame(Command::Header, &field("X-Large", MEBIBYTE - 64));
    }),
    ("a From field without an end", |connection| {
        begin(connection);
        connection.write_frame(Command::Header, &field("From", MEBIBYTE - 64));
    }),
    ("thousands of tiny fields", |connection| {
        begin(connection);
        let tiny = field("X", 250);
        for _ in 0..1999 {
            connection.write_frame(Command::Header, &tiny);
        }
    }),
    ("half of a frame", |connection| {
        begin(connection);
        let frame = encode(b'L', &field("X-Large", MEBIBYTE - 64));
        connection.write_raw(&frame[..frame.len() - 1]);
    }),
    ("half of a frame of macros", |connection| {
        let macros = [b"M", &field("{auth_authen}", MEBIBYTE - 64)[..]].concat();
        let frame = encode(b'D', &macros);
        connection.write_raw(&frame[..frame.len() - 1]);
    }),
    ("a login without measure", |connection| {
        let macros = [b"M", &field("{auth_authen}", MEBIBYTE - 64)[..]].concat();
        connection.write_frame(Command::Macros, &macros);
        begin(connection);
    }),
];

#[test]
fn what_peers_never_end_takes_one_pool_and_nobody_elses_mail_waits() {
    let (zegel, keys) = start("header_memory = \"8M\"");
    let mut honest = greeted(&zegel);
    assert_signed(&keys, &ours(), &honest.send_message(&ours()));
    for (name, way) in WAYS {
        let before = resident(&zegel);
        let mut hoarders: Vec<Connection> = (0..HOARDERS).map(|_| greeted(&zegel)).collect();
        for hoarder in &mut hoarders {
            way(hoarder);
        }
        // What they sent has been read when their frames were; the metrics tell when.
        super::wait_until(name, || {
            held(&zegel) > 4 * MEBIBYTE && reached(&zegel, "header_memory") > 0
        });
        assert!(held(&zegel) <= 8 * MEBIBYTE, "{name}");
        let grown = resident(&zegel).saturating_sub(before);
        assert!(grown < 40 * MEBIBYTE, "{name}: {grown}");
        // Mail of all usual sizes is signed beside them.
        assert_signed(&keys, &ours(), &honest.send_message(&ours()));
        assert_signed(&keys, &ours(), &greeted(&zegel).send_message(&ours()));
        let mut large = ours();
        large
            .header
            .push((b"X-Large".to_vec(), b"x".repeat(50_000)));
        assert_signed(&keys, &large, &greeted(&zegel).send_message(&large));
        let body = "x".repeat(900) + "\r\n";
        large.body = body.repeat(2000).into_bytes();
        assert_signed(&keys, &large, &greeted(&zegel).send_message(&large));
        drop(hoarders);
        super::wait_until(name, || held(&zegel) == 0);
        assert_signed(&keys, &ours(), &honest.send_message(&ours()));
    }
}

/// A message of ours that finds the pool empty is put off; mail of others passes; and when the
/// pool is full again it is signed.
#[test]
fn a_large_header_section_that_finds_no_memory_costs_its_own_message() {
    let (zegel, keys) = start("header_memory = \"1M\"");
    let mut hoarder = greeted(&zegel);
    many_fields(&mut hoarder);
    super::wait_until("it is held", || held(&zegel) > 800 * KIBIBYTE);
    let large = |message: Message| {
        let mut message = message;
        for _ in 0..8 {
            let field = (b"X-Large".to_vec(), b"x".repeat(60_000));
            message.header.push(field);
        }
        message
    };
    let mut connection = greeted(&zegel);
    let from_last = {
        let mut message = large(Message::parse(b"Subject: one\r\n\r\nbody\r\n"));
        message
            .header
            .push((b"From".to_vec(), b" a@voorbeeld.example".to_vec()));
        message
    };
    for message in [large(ours()), from_last.clone()] {
        assert_tempfailed(&connection.send_message(&message), "limit_exceeded");
        assert_untouched(&connection.send_message(&large(theirs())));
        // The connection goes on.
        assert_signed(&keys, &ours(), &connection.send_message(&ours()));
    }
    // A message with From fields that there is no memory for is nobody's, and goes nowhere. (One
    // field of that size would not be in memory at all: its frame costs the connection.)
    let mut huge = Message::parse(b"Subject: one\r\n\r\nbody\r\n");
    for _ in 0..2 {
        huge.header.push((b"From".to_vec(), b"x".repeat(60_000)));
    }
    let outcome = connection.send_message(&large(huge));
    let Reply::Refuse(text) = &outcome.reply else {
        panic!("{outcome:?}");
    };
    assert!(text.starts_with("451 4.7.1 "), "{text}");
    let told = "limits.header_memory (1048576 octets)";
    zegel.wait_for_log(told, 1);
    assert_eq!(zegel.log().matches(told).count(), 1, "{}", zegel.log());
    hoarder.abort();
    super::wait_until("it is given back", || held(&zegel) == 0);
    for message in [large(ours()), from_last] {
        assert_signed(&keys, &message, &connection.send_message(&message));
    }
    super::wait_until("all is given back", || held(&zegel) == 0);
}

/// Only what is to be signed keeps its header section until its end.
#[test]
fn a_body_without_an_end_holds_the_header_section_of_ours_alone() {
    let (zegel, keys) = start("");
    // The key is read.
    assert_signed(&keys, &ours(), &greeted(&zegel).send_message(&ours()));
    let mut connections = Vec::new();
    for (message, is_held) in [(theirs(), false), (ours(), true)] {
        let mut message = message;
        message
            .header
            .push((b"X-Large".to_vec(), b"x".repeat(500_000)));
        let mut connection = greeted(&zegel);
        for (command, data) in connection.events(&message) {
            connection.command(command, &data);
        }
        connections.push(connection);
        super::wait_until("it is held", || (held(&zegel) > 400_000) == is_held);
    }
    drop(connections);
    super::wait_until("it is given back", || held(&zegel) == 0);
}
