//! The bounds of `[limits]`: whatever exceeds them ends alone.

use std::thread;
use std::time::{Duration, Instant};

use super::support::milter::{Command, Connection, Message, Offer, Peer};
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};
use super::{
    DOMAIN, assert_alive, assert_signed, assert_tempfailed, assert_untouched, count, greeted,
    greeted_with, ours, reached, start, theirs,
};

/// Panics unless the connection is closed after about so long.
#[track_caller]
fn assert_closed_after(connection: &mut Connection, begun: Instant, time: Duration) {
    connection.set_timeout(time + Duration::from_secs(5));
    let end = connection.read_frame();
    assert!(matches!(end, Ok(None)), "{end:?}");
    let took = begun.elapsed();
    let slack = Duration::from_millis(50);
    assert!(
        took + slack >= time && took < time + Duration::from_secs(3),
        "{took:?}"
    );
}

/// A message with this header section in front of that of `message`.
fn behind(front: &str, message: &Message) -> Message {
    Message::parse(&[front.as_bytes(), &message.bytes()].concat())
}

#[test]
fn a_header_section_beyond_the_limits_costs_its_own_message() {
    let (zegel, keys) = start("header_bytes = 4096\nheader_fields = 16");
    let many = "X-Field: x\r\n".repeat(16);
    let long = format!("X-Field: {}\r\n", "x".repeat(5000));
    let folded = format!("X-Field: x\r\n{}", "\tx\r\n".repeat(2000));
    let name = format!(
        "From: \"{}\" <a@voorbeeld.example>\r\n",
        "x".repeat(200_000)
    );
    let mut connection = greeted(&zegel);
    for front in [&many, &long, &folded] {
        let too_large = connection.send_message(&behind(front, &ours()));
        assert_tempfailed(&too_large, "limit_exceeded");
        assert_signed(&keys, &ours(), &connection.send_message(&ours()));
        // Not ours: not our business.
        assert_untouched(&connection.send_message(&behind(front, &theirs())));
        let theirs = behind("From: a@unknown.example\r\n", &behind(front, &ours()));
        assert_untouched(&connection.send_message(&theirs));
    }
    let large_from = Message::parse(format!("{name}\r\nbody\r\n").as_bytes());
    assert_tempfailed(&connection.send_message(&large_from), "limit_exceeded");
    assert_signed(&keys, &ours(), &connection.send_message(&ours()));
    // Two From fields are nobody's, wherever they stand.
    let twice = behind(&many, &behind(&name, &behind(&name, &ours())));
    assert_untouched(&connection.send_message(&twice));
    assert_eq!(count(&zegel, "messages tempfailed"), 4);
    // Each message once, whoever's it is.
    assert_eq!(reached(&zegel, "header_fields"), 3);
    assert_eq!(reached(&zegel, "header_bytes"), 8);
}

#[test]
fn a_header_section_at_the_limits_is_signed() {
    let (zegel, keys) = start("header_bytes = 4096\nheader_fields = 16");
    let fields = ours().header.len();
    let many = behind(&"X-Field: x\r\n".repeat(16 - fields), &ours());
    let octets = |message: &Message| -> usize {
        let sizes = message
            .header
            .iter()
            .map(|(name, value)| name.len() + value.len());
        sizes.sum()
    };
    let room = 4096 - octets(&ours()) - "X-Field".len();
    let long = behind(&format!("X-Field:{}\r\n", "x".repeat(room)), &ours());
    assert_eq!(octets(&long), 4096);
    let mut connection = greeted(&zegel);
    for message in [many, long] {
        assert_signed(&keys, &message, &connection.send_message(&message));
    }
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    let (zegel, keys) = start("idle = \"2s\"");
    let begun = Instant::now();
    let idle = Duration::from_secs(2);
    thread::scope(|scope| {
        scope.spawn(|| assert_closed_after(&mut Connection::open(&zegel.milter()), begun, idle));
        scope.spawn(|| assert_closed_after(&mut greeted(&zegel), begun, idle));
        scope.spawn(|| {
            let mut connection = greeted(&zegel);
            while begun.elapsed() < idle * 2 {
                assert_signed(&keys, &ours(), &connection.send_message(&ours()));
                thread::sleep(Duration::from_millis(500));
            }
        });
    });
    assert_eq!(reached(&zegel, "idle"), 2);
    // Silence between messages is no fault.
    assert_eq!(count(&zegel, "protocol_errors_total"), 0);
}

/// Whatever they say before, peers that do not negotiate hold their places for ten seconds.
#[test]
fn a_peer_that_does_not_negotiate_is_dropped() {
    let (zegel, keys) = start("connections = 8");
    let is_ready = || {
        let page = zegel.page("/health/ready").expect("a page");
        assert!(
            page.contains("200 OK") || page.ends_with("limits.connections is reached\n"),
            "{page}"
        );
        page.contains("200 OK")
    };
    let macros = b"C_\0localhost\0";
    let ways: [&(dyn Fn(&mut Connection) + Sync); 7] = [
        &|_| {},
        &|connection| connection.write_raw(b"\0"),
        &|connection| connection.write_raw(b"\0\0\0\x0dO\0\0\0\x06"),
        &|connection| connection.write_frame(Command::Macros, macros),
        &|connection| connection.write_frame(Command::Abort, b""),
        &|connection| connection.write_frame(Command::EndOfHeader, b""),
        // Busy, and never done.
        &|connection| {
            for _ in 0..90 {
                connection.write_frame(Command::Macros, macros);
                thread::sleep(Duration::from_millis(100));
            }
        },
    ];
    let mut negotiated = greeted(&zegel);
    assert!(is_ready());
    let begun = Instant::now();
    let mut peers: Vec<Connection> = (0..7).map(|_| Connection::open(&zegel.milter())).collect();
    thread::scope(|scope| {
        for (peer, way) in peers.iter_mut().zip(ways) {
            scope.spawn(move || {
                way(peer);
                assert_closed_after(peer, begun, Duration::from_secs(10));
            });
        }
        thread::sleep(Duration::from_millis(500));
        assert!(!is_ready());
        assert_signed(&keys, &ours(), &negotiated.send_message(&ours()));
    });
    assert_eq!(reached(&zegel, "negotiation"), 7);
    assert_eq!(count(&zegel, "protocol_errors_total"), 0);
    assert!(is_ready());
    // Silent for as long, but an MTA.
    assert_signed(&keys, &ours(), &negotiated.send_message(&ours()));
    assert_alive(&zegel, &keys);
}

/// A message whose content began long ago, silent or trickling or without end.
#[test]
fn slow_messages_are_cut_and_others_are_not() {
    let (zegel, keys) = start("message = \"2s\"");
    let limit = Duration::from_secs(2);
    let cut = |keep_busy: &dyn Fn(&mut Connection)| {
        let mut connection = greeted(&zegel);
        let (_, reply) = connection.show(&ours());
        assert!(reply.goes_on());
        let begun = Instant::now();
        keep_busy(&mut connection);
        assert_closed_after(&mut connection, begun, limit);
    };
    let trickle = |connection: &mut Connection| {
        for _ in 0..19 {
            connection.write_frame(Command::Body, b"x");
            thread::sleep(Duration::from_millis(100));
        }
    };
    let flood = |connection: &mut Connection| {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            connection.write_frame(Command::Body, &[b'x'; 1000]);
        }
    };
    let half_a_frame = |connection: &mut Connection| connection.write_raw(b"\0\0\0\x09B1234");
    thread::scope(|scope| {
        scope.spawn(|| cut(&|_| {}));
        scope.spawn(|| cut(&trickle));
        scope.spawn(|| cut(&flood));
        scope.spawn(|| cut(&half_a_frame));
        scope.spawn(|| {
            for _ in 0..30 {
                assert_alive(&zegel, &keys);
                thread::sleep(Duration::from_millis(100));
            }
        });
    });
    assert_eq!(count(&zegel, "protocol_errors_total"), 4);
    assert_eq!(reached(&zegel, "message"), 4);
}

/// A peer that does not read what it asked for holds nothing up for longer than the limit.
#[test]
fn a_peer_that_reads_no_replies_is_cut() {
    let (zegel, keys) = start("message = \"2s\"");
    let mut connection = greeted_with(&zegel, Offer::version(6).without(u32::MAX));
    connection.set_write_timeout(Duration::from_secs(1));
    let begun = Instant::now();
    connection.write_frame(Command::Mail, b"<a@b>\0");
    connection.write_frame(Command::Recipient, b"<a@b>\0");
    connection.write_frame(Command::Data, b"");
    while connection
        .try_write_frame(Command::Header, b"X\0x\0")
        .is_ok()
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "nothing fills up"
        );
    }
    let open = || zegel.metric("zegel_connections{listener=\"relay\"}");
    while open() > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it lives on");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() > Duration::from_millis(1900));
    assert_alive(&zegel, &keys);
}

/// An SMTP client may take its time until it has sent DATA: that is the MTA's affair.
#[test]
fn the_time_between_mail_and_the_header_does_not_count() {
    let (zegel, keys) = start("message = \"1s\"\nidle = \"1s\"");
    let message = ours();
    let mut connection = greeted(&zegel);
    for (command, data) in connection.events(&message) {
        connection.command(command, &data);
        if matches!(command, Command::Mail | Command::Recipient) {
            thread::sleep(Duration::from_millis(1500));
        }
    }
    assert_signed(&keys, &message, &connection.finish(&message));
}

#[test]
fn surplus_connections_are_closed_at_once() {
    let (zegel, keys) = start("connections = 4");
    let mut held: Vec<Connection> = (0..4).map(|_| greeted(&zegel)).collect();
    for refused in 1..=6 {
        let begun = Instant::now();
        let mut surplus = Connection::open(&zegel.milter());
        assert!(matches!(surplus.read_frame(), Ok(None)));
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(count(&zegel, "connections_refused_total"), refused);
        assert_eq!(reached(&zegel, "connections"), refused);
        for connection in &mut held {
            assert_signed(&keys, &ours(), &connection.send_message(&ours()));
        }
    }
    assert_eq!(
        zegel
            .log()
            .matches("limits.connections (4) is reached")
            .count(),
        1
    );
    held.pop().expect("four").quit();
    // The place is free as soon as the signer has read the farewell.
    let begun = Instant::now();
    while zegel.metric("zegel_connections{listener=\"relay\"}") > 3.0 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    assert_alive(&zegel, &keys);
}

#[test]
fn surplus_connections_to_one_listener_leave_another_alone() {
    let listener = |name: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nsocket = \"unix:{{folder}}/{name}.sock\"\n\
             outbound = \"all\"\n"
        )
    };
    let settings = [listener("relay"), listener("other")].concat() + "[limits]\nconnections = 2\n";
    let zegel = Zegel::with_settings(&[Org::new("voorbeeld", &[DOMAIN])], &settings);
    let keys = PublicKeys::of(&zegel.keystore());
    let _held: Vec<Connection> = (0..2).map(|_| greeted(&zegel)).collect();
    assert!(matches!(
        Connection::open(&zegel.milter()).read_frame(),
        Ok(None)
    ));
    let mut connection = Connection::negotiated(&zegel.milter_of("other"), Offer::POSTFIX);
    assert!(connection.greet(&Peer::local()).goes_on());
    assert_signed(&keys, &ours(), &connection.send_message(&ours()));
}
