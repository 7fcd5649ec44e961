//! What is no milter protocol ends its connection or is ignored, and harms nobody else.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::support::milter::{Command, Connection, Message, Offer, Peer, Reply, encode, strings};
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};
use super::{DOMAIN, assert_alive, assert_signed, assert_untouched, count, greeted, ours};

fn start() -> (Zegel, PublicKeys) {
    let zegel = Zegel::start(&[Org::new("voorbeeld", &[DOMAIN])]);
    let keys = PublicKeys::of(&zegel.keystore());
    (zegel, keys)
}

/// Frames behind which there is nothing to be said any more.
fn deadly() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u8, data: &[u8]| encode(kind, data);
    vec![
        ("of length nothing", b"\0\0\0\0".to_vec()),
        ("one octet too large", b"\0\x10\0\x01L".to_vec()),
        ("of 4 GiB", b"\xff\xff\xff\xffL".to_vec()),
        ("SMTP", b"EHLO client.example\r\n".to_vec()),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("of an unknown kind", frame(b'Z', b"x")),
        ("of kind NUL", frame(0, b"")),
        ("MAIL of nothing", frame(b'M', b"")),
        ("MAIL without NUL", frame(b'M', b"<a@b>")),
        ("HELO without NUL", frame(b'H', b"client")),
        ("macros of nothing", frame(b'D', b"")),
    ]
}

/// The same where a message is under way.
fn deadly_in_a_header() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u8, data: &[u8]| encode(kind, data);
    vec![
        ("HEADER of nothing", frame(b'L', b"")),
        ("HEADER without NUL", frame(b'L', b"Subject")),
        ("HEADER without a value", frame(b'L', b"Subject\0")),
        ("HEADER with half a value", frame(b'L', b"Subject\0one")),
        ("HEADER without a name", frame(b'L', b"\0one\0")),
    ]
}

/// The message up to its last header field.
fn show_header(connection: &mut Connection) {
    for (command, data) in connection.events(&ours()) {
        if command == Command::EndOfHeader {
            return;
        }
        let reply = connection.command(command, &data);
        assert!(reply.goes_on(), "{reply:?}");
    }
}

fn assert_closed(mut connection: Connection, what: &str) {
    connection.set_timeout(Duration::from_secs(5));
    let end = connection.read_frame();
    assert!(matches!(end, Ok(None)), "{what}: {end:?}");
}

#[test]
fn malformed_frames_end_their_connection() {
    let (zegel, keys) = start();
    let mut errors = 0;
    for (what, bytes) in deadly() {
        for is_within in [false, true] {
            let mut connection = greeted(&zegel);
            if is_within {
                show_header(&mut connection);
            }
            connection.write_raw(&bytes);
            assert_closed(connection, what);
            errors += 1;
            assert_eq!(count(&zegel, "protocol_errors_total"), errors, "{what}");
        }
        assert_alive(&zegel, &keys);
    }
    for (what, bytes) in deadly_in_a_header() {
        let mut connection = greeted(&zegel);
        show_header(&mut connection);
        connection.write_raw(&bytes);
        assert_closed(connection, what);
        errors += 1;
        assert_eq!(count(&zegel, "protocol_errors_total"), errors, "{what}");
        assert_alive(&zegel, &keys);
    }
    let signed = deadly().len() + deadly_in_a_header().len();
    assert_eq!(count(&zegel, "messages signed"), signed as u64);
}

#[test]
fn malformed_greetings_end_their_connection() {
    let (zegel, keys) = start();
    let negotiation = encode(
        b'O',
        &[[0, 0, 0, 6], [0, 0, 1, 0xff], [0, 0x1f, 0xff, 0xff]].concat(),
    );
    let connect = |data: &[u8]| [negotiation.clone(), encode(b'C', data)].concat();
    let cases = [
        (
            "an offer that is cut",
            encode(b'O', &[0, 0, 0, 6, 0, 0, 1, 0xff]),
        ),
        ("an offer of nothing", encode(b'O', b"")),
        ("a client of nothing", connect(b"")),
        ("a client without an address", connect(b"host\0")),
        ("a client of an unknown family", connect(b"host\0X\0\0x\0")),
    ];
    for (errors, (what, bytes)) in (1..).zip(cases) {
        let mut connection = Connection::open(&zegel.milter());
        connection.write_raw(&bytes);
        connection.set_timeout(Duration::from_secs(5));
        // The agreement may come before the end.
        while let Some(frame) = connection.read_frame().expect(what) {
            assert_eq!(frame.code, b'O', "{what}");
        }
        assert_eq!(count(&zegel, "protocol_errors_total"), errors, "{what}");
        assert_alive(&zegel, &keys);
    }
}

/// The forms in which MTAs write an address are understood; a client whose address is none is
/// unknown, and its connection goes on.
#[test]
fn addresses_of_clients_are_read_or_unknown() {
    let zegel = Zegel::with_settings(
        &[Org::new("voorbeeld", &[DOMAIN])],
        "[[listener]]\nname = \"relay\"\nsocket = \"unix:{folder}/relay.sock\"\n\
         outbound = { networks = [\"127.0.0.0/8\", \"::1/128\"] }\n",
    );
    let keys = PublicKeys::of(&zegel.keystore());
    let message = ours();
    for (data, inside) in [
        (&b"host\x004\0\x19127.0.0.1\0"[..], true),
        (b"host\x006\0\x19::1\0", true),
        (b"host\x006\0\x19IPv6:0:0:0:0:0:0:0:1\0", true),
        (b"host\x006\0\x19IPv6:::1%lo\0", true),
        (b"host\x004\0\x19127.0.0.256\0", false),
        (b"host\x004\0\x19127.0.0.1", false),
        (b"host\x006\0\x19IPv6:2001:db8::1\0", false),
        (b"host\0U", false),
    ] {
        let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
        let reply = connection.command(Command::Connect, data);
        assert!(reply.goes_on(), "{reply:?}");
        let outcome = connection.send_message(&message);
        if inside {
            assert_signed(&keys, &message, &outcome);
        } else {
            assert_untouched(&outcome);
        }
        connection.quit();
    }
    assert_eq!(count(&zegel, "protocol_errors_total"), 0);
}

/// Commands that make no sense where they stand: without an effect, without a signature.
#[test]
fn commands_in_the_wrong_order_are_ignored() {
    let (zegel, keys) = start();
    let message = ours();
    let frame = |kind: u8, data: &[u8]| encode(kind, data);
    let client = b"evil.example\x004\x9c\x40192.0.2.1\0";
    let cases = [
        ("end of message", frame(b'E', b"")),
        ("end of message with data", frame(b'E', b"body\r\n")),
        ("body", frame(b'B', b"body\r\n")),
        ("end of header", frame(b'N', b"")),
        ("header", frame(b'L', b"From\0a@voorbeeld.example\0")),
        ("RCPT", frame(b'R', b"<a@b>\0")),
        ("DATA", frame(b'T', b"")),
        ("ABORT twice", [frame(b'A', b""), frame(b'A', b"")].concat()),
        ("a second client", frame(b'C', client)),
        ("a second offer", frame(b'O', &[0; 12])),
        (
            "macros of an unknown stage",
            frame(b'D', b"Z{auth_authen}\0a\0"),
        ),
        ("macros without NUL", frame(b'D', b"E{i")),
    ];
    for (what, bytes) in cases {
        let mut connection = greeted(&zegel);
        connection.write_raw(&bytes);
        let outcome = connection.send_message(&message);
        assert_eq!(outcome.reply, Reply::Accept, "{what}");
        assert_signed(&keys, &message, &outcome);
        // Within a message it costs that message at most, and never signs another one.
        show_header(&mut connection);
        connection.write_raw(&bytes);
        connection.abort();
        let outcome = connection.send_message(&message);
        assert_eq!(outcome.reply, Reply::Accept, "{what}");
        assert_signed(&keys, &message, &outcome);
        connection.quit();
    }
    assert_eq!(count(&zegel, "protocol_errors_total"), 0);
}

/// A client that was shown once stays the client: a second one opens no door.
#[test]
fn a_second_client_does_not_count() {
    let (zegel, keys) = start();
    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    connection.greet(&Peer::at("192.0.2.1:40000"));
    connection.write_raw(&encode(b'C', b"localhost\x004\x9c\x40127.0.0.1\0"));
    assert_untouched(&connection.send_message(&ours()));
    let outcome = connection.send_message(&ours().login("crm"));
    assert_signed(&keys, &ours(), &outcome);
}

/// Without an agreement, without a client: no signature, and no door either.
#[test]
fn messages_before_the_agreement_are_not_signed() {
    let (zegel, keys) = start();
    let mut connection = Connection::open(&zegel.milter());
    let outcome = connection.transact(&ours());
    super::assert_tempfailed(&outcome, "signing_failure");
    assert_alive(&zegel, &keys);

    let mut connection = Connection::negotiated(&zegel.milter(), Offer::POSTFIX);
    assert_untouched(&connection.send_message(&ours()));
    assert_signed(
        &keys,
        &ours(),
        &connection.send_message(&ours().login("crm")),
    );
}

/// "Quit, another session follows": a new connection has to be made for it.
#[test]
fn a_connection_is_not_used_for_a_second_session() {
    let (zegel, keys) = start();
    let mut connection = greeted(&zegel);
    assert_signed(&keys, &ours(), &connection.send_message(&ours()));
    connection.write_frame(Command::QuitAndReuse, b"");
    assert_closed(connection, "quit and reuse");
    assert_alive(&zegel, &keys);
    assert_eq!(count(&zegel, "protocol_errors_total"), 0);
}

/// What an MTA cannot have meant is not part of what is signed.
#[test]
fn what_stands_behind_a_nul_is_not_signed() {
    let (zegel, keys) = start();
    let visible = Message::parse(
        b"From: a@voorbeeld.example\r\nSubject: one\r\nTo: b@elsewhere.example\r\n\r\nbody\r\n",
    );
    let mut connection = greeted(&zegel);
    for (command, data) in connection.events(&visible) {
        let hidden: &[u8] = match (command, data.starts_with(b"From")) {
            (Command::Header, true) => b"From\0 b@unknown.example\0",
            (Command::Header, false) => b"hidden\0\0",
            (Command::Mail, _) => b"SIZE=1\0\0",
            _ => b"",
        };
        connection.command(command, &[&data, hidden].concat());
    }
    let outcome = connection.finish(&visible);
    assert_signed(&keys, &visible, &outcome);
}

/// Some would take it for a second From field, and others not.
#[test]
fn a_field_that_looks_like_from_is_not_signed() {
    let (zegel, keys) = start();
    let mut connection = greeted(&zegel);
    for name in [&b"From\x0c"[..], b"From\x0b ", b"Fr\xc2\xa0om", b"\x01FROM"] {
        for (command, data) in connection.events(&ours()) {
            if command == Command::EndOfHeader {
                let field = strings([name, b" b@elsewhere.example"]);
                connection.command(Command::Header, &field);
            }
            connection.command(command, &data);
        }
        assert_untouched(&connection.finish(&ours()));
        assert_signed(&keys, &ours(), &connection.send_message(&ours()));
    }
}

/// A session that MTAs have a thousand times a minute, as one piece.
fn transcript() -> Vec<u8> {
    let negotiation = [[0, 0, 0, 6], [0, 0, 1, 0xff], [0, 0x1f, 0xff, 0xff]].concat();
    let mut bytes = encode(b'O', &negotiation);
    bytes.extend(encode(b'C', b"localhost\x004\x9c\x40127.0.0.1\0"));
    bytes.extend(encode(b'D', b"M{auth_authen}\0crm\0"));
    bytes.extend(encode(b'M', b"<a@voorbeeld.example>\0"));
    for (name, value) in [("From", " a@voorbeeld.example"), ("Subject", " one")] {
        let field = strings([name.as_bytes(), value.as_bytes()]);
        bytes.extend(encode(b'L', &field));
    }
    bytes.extend(encode(b'N', b""));
    bytes.extend(encode(b'B', b"body\r\n"));
    bytes.extend(encode(b'E', b""));
    bytes
}

/// All frames up to and including a final reply; nothing when the connection ended before.
fn final_reply(connection: &mut Connection) -> Option<u8> {
    while let Some(frame) = connection.read_frame().expect("an end or a reply") {
        if b"acrty".contains(&frame.code) {
            return Some(frame.code);
        }
    }
    None
}

#[test]
fn a_peer_may_leave_at_any_octet() {
    let (zegel, keys) = start();
    let bytes = transcript();
    for end in 0..bytes.len() {
        let mut connection = Connection::open(&zegel.milter());
        connection.write_raw(&bytes[..end]);
    }
    assert_alive(&zegel, &keys);
    // Whoever does not stay for the reply has no signed message.
    assert_eq!(count(&zegel, "messages signed"), 1);
    let mut connection = Connection::open(&zegel.milter());
    for octet in &bytes {
        connection.write_raw(&[*octet]);
    }
    assert_eq!(final_reply(&mut connection), Some(b'a'));
    assert_eq!(count(&zegel, "messages signed"), 2);
}

/// Whatever comes, in whatever pieces: the signer lives, and signs nothing that is not whole.
#[test]
fn random_frames_do_no_harm() {
    let (zegel, keys) = start();
    let kind = prop_oneof![8 => prop::sample::select(b"ABCDEHKLMNORTU".to_vec()), 1 => any::<u8>()];
    let data = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(b"From\0 a@voorbeeld.example\0".to_vec()),
        Just(b"M{auth_authen}\0crm\0".to_vec()),
        Just(b"<a@voorbeeld.example>\0".to_vec()),
        Just(Vec::new()),
    ];
    let frames = vec((kind, data), 0..30);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&(frames, any::<bool>()), |(frames, is_greeted)| {
        let mut connection = Connection::open(&zegel.milter());
        if is_greeted {
            connection = greeted(&zegel);
        }
        for (kind, data) in frames {
            connection.write_raw(&encode(kind, &data));
        }
        connection.quit();
        Ok(())
    });
    assert_eq!(result, Ok(()));
    assert_alive(&zegel, &keys);
    assert!(zegel.metrics().contains("zegel_panics_total 0"));
}
