//! What never comes to an end, and too many at once: it ends alone, and is counted.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::support::milter::{Command, Connection, Message, Offer, Reply, strings};
use super::{assert_alive, assert_signed, count, greeted, greeted_with, ours, reached, start};

/// Writes until the signer closes the connection, and no more often than `most`.
#[track_caller]
fn assert_cut(connection: &mut Connection, most: usize, command: Command, data: &[u8]) {
    for _ in 0..most {
        if connection.try_write_frame(command, data).is_err() {
            return;
        }
    }
    // An end with what was not read any more in it is a reset.
    assert!(!matches!(connection.read_frame(), Ok(Some(_))));
}

#[test]
fn commands_without_an_end_are_cut() {
    let (zegel, keys) = start("commands = 1000");
    let macros = [
        b"R",
        &strings(["{rcpt_addr}".as_bytes(), b"b@elsewhere.example"])[..],
    ]
    .concat();
    let unanswered = greeted(&zegel).agreed();
    let endless: [(Command, &[u8]); 4] = [
        (Command::Macros, &macros),
        (Command::Mail, b"<a@b>\0"),
        (Command::Recipient, b"<a@b>\0"),
        (Command::Header, b"X\0x\0"),
    ];
    for (cut, (command, data)) in (1..).zip(endless) {
        let mut connection = greeted_with(&zegel, unanswered);
        connection.command(Command::Mail, b"<a@b>\0");
        assert_cut(&mut connection, 1000, command, data);
        assert_eq!(reached(&zegel, "commands"), cut, "{command:?}");
        assert_alive(&zegel, &keys);
    }
    assert_eq!(count(&zegel, "protocol_errors_total"), 4);

    // Each message has as many, and a body does not count.
    let mut connection = greeted(&zegel);
    let message = Message::parse(&[ours().bytes(), b"line\r\n".repeat(2000)].concat()).chunk(6);
    for _ in 0..3 {
        for (command, data) in connection.events(&message) {
            connection.command(command, &data);
        }
        assert_signed(&keys, &message, &connection.finish(&message));
        for _ in 0..500 {
            connection.macros(Command::Recipient, &message.macros);
        }
        connection.command(Command::Mail, b"<a@b>\0");
        connection.abort();
    }
    assert_eq!(reached(&zegel, "commands"), 4);
}

#[test]
fn commands_beyond_measure_are_cut() {
    let (zegel, keys) = start("command_bytes = \"1M\"");
    let macros = [b"M", &strings([&b"x".repeat(60_000)[..], b"y"])[..]].concat();
    let mut connection = greeted(&zegel);
    assert_cut(&mut connection, 18, Command::Macros, &macros);
    assert_eq!(reached(&zegel, "command_bytes"), 1);
    assert_alive(&zegel, &keys);
}

/// Fifty times what Postfix takes by default, from an MTA that wants an answer to each.
#[test]
fn mail_to_fifty_thousand_recipients_is_signed() {
    // So few that the answers, each in a buffer of its own, never fill the socket while this
    // side does not read.
    const TURN: usize = 100;
    let (zegel, keys) = start("");
    let mut connection = greeted_with(&zegel, Offer::version(6).without(u32::MAX));
    let message = ours();
    assert!(connection.command(Command::Mail, b"<a@b>\0").goes_on());
    for turn in 0..500 {
        for number in 0..TURN {
            let address = format!("recipient-{turn}-{number}@elsewhere.example");
            let macros = strings(["{rcpt_addr}".as_bytes(), address.as_bytes()]);
            connection.write_frame(Command::Macros, &[b"R", &macros[..]].concat());
            connection.write_frame(Command::Recipient, &strings([address.as_bytes()]));
        }
        for _ in 0..TURN {
            assert_eq!(connection.read_reply(), Reply::Continue);
        }
    }
    for (command, data) in connection.events(&message) {
        if !matches!(command, Command::Mail | Command::Recipient) {
            connection.command(command, &data);
        }
    }
    assert_signed(&keys, &message, &connection.finish(&message));
}

/// The system has no descriptor left for another connection, and then has some again.
#[test]
fn a_listener_survives_having_no_descriptors() {
    let (zegel, keys) = start("");
    assert_alive(&zegel, &keys);
    let signer = Pid::from_raw(i32::try_from(zegel.id()).expect("a process"));
    let maximum = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit {
        current: Some(60),
        maximum,
    };
    let before = prlimit(signer, Resource::Nofile, few).expect("fewer descriptors");
    let held: Vec<Connection> = (0..80).map(|_| Connection::open(&zegel.milter())).collect();
    zegel.wait_for_log("no connection can be accepted", 1);
    drop(held);
    let ready = || {
        zegel
            .page("/health/ready")
            .is_some_and(|page| page.contains("200 OK"))
    };
    while !ready() {
        thread::sleep(Duration::from_millis(50));
    }
    // Those that wait are served as soon as there is room, without anybody's help.
    assert_alive(&zegel, &keys);
    prlimit(signer, Resource::Nofile, before).expect("as it was");
    assert!(count(&zegel, "accept_errors_total") > 0);
}
