//! A connection that carries mail of three organisations in turn, with and without login,
//! never mixes them: each message gets exactly what it gets on a connection of its own, and
//! what a small model of the configuration says.

use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use super::support::milter::{Command, Connection, Message, Offer, Peer, Reply, strings};
use super::support::signatures::PublicKeys;
use super::support::zegel::{Org, Zegel};

/// NOREPLY bits of all events: without them each event has its answer.
const NO_REPLY: u32 = 0xf_f080;

/// The settings that [`expected`] knows of.
fn start() -> Zegel {
    let alfa = Org::new("alfa", &["alfa.example"]);
    let beta = Org::new("beta", &["beta.example"]);
    let senders = |name: &str, action: &str| {
        format!("[senders]\nauth = [\"{name}\"]\n[policy]\nunauthorised_sender = \"{action}\"\n")
    };
    let orgs = [
        alfa.more(&senders("alfa", "reject")),
        beta.signing_twice().more(&senders("beta", "tempfail")),
        Org::new("gamma", &["gamma.example"]),
        Org::new("delta", &["delta.example"])
            .without_keys()
            .more("[policy]\nawaiting_key = \"tempfail\"\n"),
    ];
    Zegel::with_settings(&orgs, "[policy]\nbad_from = \"reject\"\n")
}

/// Counted under it, and treated by its own `bad_from`; if it names several, as before.
#[test]
fn a_refused_from_field_is_of_the_organisation_that_it_names() {
    let strict = Org::new("strict", &["strict.example", "news.strict.example"]);
    let orgs = [
        strict
            .parked(&["old.strict.example"])
            .more("[policy]\nbad_from = \"reject\"\n"),
        Org::new("mild", &["mild.example"]).more("[policy]\nbad_from = \"accept\"\n"),
    ];
    let zegel = Zegel::with_settings(&orgs, "[policy]\nbad_from = \"tempfail\"\n");
    let mut connection = connect(&zegel, Offer::POSTFIX, "127.0.0.1:40000");
    let several = "from_several_mailboxes";
    let bad = "from_unparsable";
    for (from, reason, organisation) in [
        (
            "From: a@strict.example, b@elsewhere.example",
            several,
            "strict",
        ),
        (
            "From: b@elsewhere.example, a@strict.example",
            several,
            "strict",
        ),
        (
            "From: a@strict.example, a@News.Strict.Example",
            several,
            "strict",
        ),
        (
            "From: \"x@elsewhere.example\"@strict.example",
            bad,
            "strict",
        ),
        ("From: <@strict.example:b@elsewhere.example>", bad, "strict"),
        ("From: Anna a@old.strict.example", bad, "strict"),
        (
            "From: a@strict.example\r\nFrom: b@c.example",
            "from_repeated",
            "strict",
        ),
        ("From: <a@mild.example", bad, "mild"),
        ("From: g: a@mild.example;", several, "mild"),
        ("From: a@mild.example, b@strict.example", several, ""),
        ("From: a@sub.mild.example, b@elsewhere.example", several, ""),
        ("From: mild.example", bad, ""),
        ("Reply-To: a@strict.example", "from_missing", ""),
    ] {
        let labels = format!("{{organisation=\"{organisation}\",reason=\"{reason}\"}}");
        let series = format!("zegel_unsigned_total{labels}");
        let before = zegel.counter(&series);
        let text = format!("Subject: x\r\n{from}\r\n\r\ntext\r\n");
        let outcome = connection.send_message(&Message::parse(text.as_bytes()));
        let expected = match organisation {
            "strict" => Reply::Refuse(format!("550 5.7.1 Message cannot be signed ({reason})")),
            "mild" => Reply::Accept,
            _ => Reply::Refuse(format!(
                "451 4.7.1 Message cannot be signed ({reason}), try again later"
            )),
        };
        assert_eq!(outcome.reply, expected, "{from}");
        assert!(outcome.inserted.is_empty(), "{from}");
        assert_eq!(zegel.counter(&series), before + 1, "{from}: {series}");
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Author {
    Alfa,
    Beta,
    Gamma,
    Delta,
    Unknown,
    Missing,
    Repeated,
    Several,
    Broken,
}

/// What comes before MAIL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Login {
    /// Macros with this login.
    Name(&'static str),
    /// Macros without any.
    Absent,
    /// No macro frame at all.
    NoFrame,
    /// A macro frame with nothing in it.
    EmptyFrame,
    /// A macro frame that breaks off within the login.
    Truncated,
    /// A macro frame without any end of a text.
    Garbage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// The end of the message, and ABORT as Postfix sends it.
    Complete,
    /// The end of the message, and nothing behind it.
    Bare,
    /// ABORT before the event of this number.
    Aborted(usize),
    /// Nothing more from the event of this number on.
    Deserted(usize),
}

#[derive(Clone, Copy, Debug)]
struct Spec {
    author: Author,
    login: Login,
    end: End,
    lines: usize,
}

/// What became of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Result {
    reply: Reply,
    signers: Vec<(String, String)>,
}

impl Spec {
    fn message(&self) -> Message {
        let from = match self.author {
            Author::Alfa => "From: a@alfa.example\r\n",
            Author::Beta => "From: B <b@BETA.example>\r\n",
            Author::Gamma => "From: \"alfa@alfa.example\" <c@gamma.example>\r\n",
            Author::Delta => "From: d@delta.example\r\n",
            Author::Unknown => "From: e@sub.alfa.example\r\n",
            Author::Missing => "",
            Author::Repeated => "From: a@alfa.example\r\nFrom: a@alfa.example\r\n",
            Author::Several => "From: a@alfa.example, b@beta.example\r\n",
            Author::Broken => "From: <a@alfa.example\r\n",
        };
        let body = "text of this message\r\n".repeat(self.lines);
        let text = format!("Subject: {self:?}\r\n{from}To: x@elsewhere.example\r\n\r\n{body}");
        Message::parse(text.as_bytes()).chunk(100)
    }

    fn macro_frame(&self) -> Option<Vec<u8>> {
        let with = |names: &[&[u8]]| {
            let texts = names.iter().copied();
            Some([b"M".to_vec(), strings(texts)].concat())
        };
        match self.login {
            Login::Name(name) => with(&[
                b"{auth_type}",
                b"PLAIN",
                b"{auth_authen}",
                name.as_bytes(),
                b"{mail_addr}",
                b"x@y",
            ]),
            Login::Absent => with(&[b"{mail_addr}", b"x@y"]),
            Login::NoFrame => None,
            Login::EmptyFrame => Some(b"M".to_vec()),
            Login::Truncated => Some(b"M{auth_authen}\0alf".to_vec()),
            Login::Garbage => Some(b"M{auth_authen}=alfa".to_vec()),
        }
    }

    /// Sends the message; gives a result if it was sent to its end.
    fn send(&self, connection: &mut Connection, keys: &PublicKeys) -> Option<Result> {
        let message = self.message();
        for (number, (command, data)) in connection.events(&message).into_iter().enumerate() {
            match self.end {
                End::Aborted(at) if at == number => {
                    connection.abort();
                    return None;
                }
                End::Deserted(at) if at == number => return None,
                _ => {}
            }
            if command != Command::Mail {
                connection.macros(command, &message.macros);
            } else if let Some(frame) = self.macro_frame() {
                connection.write_frame(Command::Macros, &frame);
            }
            let reply = connection.command(command, &data);
            assert!(reply.goes_on(), "{command:?} of {self:?}: {reply:?}");
        }
        let outcome = connection.finish(&message);
        if self.end != End::Bare {
            connection.abort();
        }
        assert!(outcome.other.is_empty(), "{outcome:?}");
        Some(Result {
            signers: keys.signers(&outcome.apply(&message)),
            reply: outcome.reply,
        })
    }
}

/// What the configuration of [`start`] says, for a client on this host or elsewhere.
fn expected(spec: &Spec, is_local: bool) -> Result {
    let login = match spec.login {
        Login::Name(name) => Some(name).filter(|name| !name.is_empty()),
        _ => None,
    };
    let unsigned = |reply| Result {
        reply,
        signers: Vec::new(),
    };
    let refused = |text: &str, reason: &str, advice: &str| {
        let text = format!("{text} Message cannot be signed ({reason}){advice}");
        unsigned(Reply::Refuse(text))
    };
    let tempfailed = |reason| refused("451 4.7.1", reason, ", try again later");
    let rejected = |reason| refused("550 5.7.1", reason, "");
    let signed = |name: &str, kinds: &[&str]| Result {
        reply: Reply::Accept,
        signers: kinds
            .iter()
            .map(|kind| (format!("{name}.example"), format!("{name}-{kind}")))
            .collect(),
    };
    if login.is_none() && !is_local {
        return unsigned(Reply::Accept);
    }
    match spec.author {
        Author::Missing => rejected("from_missing"),
        Author::Repeated => rejected("from_repeated"),
        Author::Several => rejected("from_several_mailboxes"),
        Author::Broken => rejected("from_unparsable"),
        Author::Unknown => unsigned(Reply::Accept),
        Author::Alfa if login == Some("alfa") => signed("alfa", &["rsa"]),
        Author::Alfa => rejected("unauthorised_sender"),
        Author::Beta if login == Some("beta") => signed("beta", &["rsa", "ed25519"]),
        Author::Beta => tempfailed("unauthorised_sender"),
        Author::Gamma => signed("gamma", &["rsa"]),
        Author::Delta => tempfailed("awaiting_key"),
    }
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let author = select(vec![
        Author::Alfa,
        Author::Alfa,
        Author::Beta,
        Author::Beta,
        Author::Gamma,
        Author::Delta,
        Author::Unknown,
        Author::Missing,
        Author::Repeated,
        Author::Several,
        Author::Broken,
    ]);
    let login = prop_oneof![
        4 => select(vec!["alfa", "beta", "gamma", "stranger", ""]).prop_map(Login::Name),
        1 => select(vec![Login::Absent, Login::NoFrame, Login::EmptyFrame]),
        1 => select(vec![Login::Truncated, Login::Garbage]),
    ];
    let end = prop_oneof![
        3 => Just(End::Complete),
        1 => Just(End::Bare),
        // The number of events with its largest body is 11.
        1 => (1..11_usize).prop_map(End::Aborted),
        1 => (1..11_usize).prop_map(End::Deserted),
    ];
    let spec = (author, login, end, 0..20_usize).prop_map(|(author, login, end, lines)| Spec {
        author,
        login,
        end,
        lines,
    });
    vec(spec, 1..12)
}

fn connect(zegel: &Zegel, offer: Offer, client: &str) -> Connection {
    let mut connection = Connection::negotiated(&zegel.milter(), offer);
    let reply = connection.greet(&Peer::at(client));
    assert!(reply.goes_on(), "{reply:?}");
    connection
}

/// Random sequences from one thread.
fn sequences(zegel: &Zegel, keys: &PublicKeys, cases: u32) {
    let offers = select(vec![
        Offer::POSTFIX,
        Offer::POSTFIX.without(NO_REPLY),
        Offer::version(2),
    ]);
    let clients = select(vec!["127.0.0.1:40000", "192.0.2.1:40000"]);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&(specs(), offers, clients), |(specs, offer, client)| {
        let mut connection = connect(zegel, offer, client);
        for spec in &specs {
            let Some(found) = spec.send(&mut connection, keys) else {
                continue;
            };
            let mut own = connect(zegel, offer, client);
            let alone = spec.send(&mut own, keys);
            own.quit();
            prop_assert_eq!(Some(&found), alone.as_ref(), "{:?}", spec);
            prop_assert_eq!(
                found,
                expected(spec, client.starts_with("127.")),
                "{:?}",
                spec
            );
        }
        connection.quit();
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn organisations_never_mix_on_a_connection() {
    let zegel = start();
    let keys = PublicKeys::of(&zegel.keystore());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| sequences(&zegel, &keys, 120));
        }
    });
    assert_eq!(super::count(&zegel, "protocol_errors_total"), 0);
    assert!(zegel.metrics().contains("zegel_panics_total 0"));
}
