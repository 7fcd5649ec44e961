//! A milter client that we did not write, indymilter-test, against the real signer: what both
//! agree on, the macros, the changes, and every way in which a message or a connection ends.

mod support;

use std::ffi::CStr;

use indymilter_test::{
    Actions, EomAction, EomActions, MacroStage, ProtoOpts, Status, TestConnection,
    TestConnectionBuilder, TestError, any,
};

use support::port::Port;
use support::signatures::PublicKeys;
use support::zegel::{Org, Zegel};

/// Nothing may be left out, and everything is answered.
const NOTHING: ProtoOpts = ProtoOpts::empty();

/// Organisations for every ending; see [`ENDINGS`].
fn start() -> (Zegel, PublicKeys) {
    start_with("")
}

fn start_with(settings: &str) -> (Zegel, PublicKeys) {
    let orgs = [
        Org::new("alfa", &["alfa.example"])
            .more("[senders]\nauth = [\"alfa\"]\n[policy]\nunauthorised_sender = \"reject\"\n"),
        Org::new("beta", &["beta.example"]).signing_twice(),
        Org::new("gamma", &["gamma.example"])
            .without_keys()
            .more("[policy]\nawaiting_key = \"tempfail\"\n"),
        Org::new("delta", &["delta.example"]).with_lost_keys(),
    ];
    let settings = format!("[policy]\nbad_from = \"reject\"\n{settings}");
    let zegel = Zegel::with_settings(&orgs, &settings);
    let keys = PublicKeys::of(&zegel.keystore());
    (zegel, keys)
}

/// How a message has to end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// With signatures of these selectors, from the top.
    Signed(&'static [&'static str]),
    Untouched,
    Tempfailed(&'static str),
    Rejected(&'static str),
}

/// The From field, who has logged in, and the ending.
const ENDINGS: &[(&str, &str, Ending)] = &[
    ("a@alfa.example", "alfa", Ending::Signed(&["alfa-rsa"])),
    (
        "A <a@alfa.example>",
        "eve",
        Ending::Rejected("unauthorised_sender"),
    ),
    ("a@unknown.example", "alfa", Ending::Untouched),
    (
        "b@beta.example",
        "beta",
        Ending::Signed(&["beta-rsa", "beta-ed25519"]),
    ),
    // Nobody has logged in, and the peer is none of ours.
    ("b@beta.example", "", Ending::Untouched),
    ("c@gamma.example", "c", Ending::Tempfailed("awaiting_key")),
    (
        "d@delta.example",
        "d",
        Ending::Tempfailed("signing_failure"),
    ),
    (
        "a@alfa.example, b@beta.example",
        "alfa",
        Ending::Rejected("from_several_mailboxes"),
    ),
    (
        "<a@alfa.example",
        "alfa",
        Ending::Rejected("from_unparsable"),
    ),
];

/// What is said of a message before its end, each with its own field and body.
struct Mail {
    from: &'static str,
    login: &'static str,
    body: Vec<u8>,
}

impl Mail {
    fn new(from: &'static str, login: &'static str) -> Self {
        let body = b"first \r\n\r\n  second\tline\r\n \r\n".to_vec();
        Self { from, login, body }
    }

    /// As a client gives a field, and as an MTA would send it on.
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "Received",
                "from a by b;\n\tFri, 21 Nov 1997 09:55:06 -0600".to_owned(),
            ),
            ("From", self.from.to_owned()),
            ("To", " somebody  else <x@elsewhere.example>".to_owned()),
            ("Subject", "one\n\ttwo".to_owned()),
        ]
    }

    /// With the signatures that are to be inserted.
    fn changed_by(&self, actions: &EomActions, leading_space: bool) -> Vec<u8> {
        let mut lines = Vec::new();
        for action in &actions.actions {
            let EomAction::InsertHeader {
                index: 0,
                name,
                value,
            } = action
            else {
                panic!("only fields on top: {action:?}");
            };
            let text = |text: &CStr| text.to_str().expect("ASCII").to_owned();
            let space = if leading_space { "" } else { " " };
            lines.insert(0, format!("{}:{space}{}", text(name), text(value)));
        }
        lines.extend(
            self.fields()
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        let header = lines.join("\n").replace('\n', "\r\n");
        [header.as_bytes(), b"\r\n\r\n", &self.body].concat()
    }
}

async fn open(zegel: &Zegel, client: TestConnectionBuilder) -> TestConnection {
    client
        .open_unix(zegel.socket())
        .await
        .expect("an agreement")
}

/// As an MTA has it that offers all there is.
async fn greeted(zegel: &Zegel) -> TestConnection {
    let mut client = open(zegel, TestConnection::configure()).await;
    greet(&mut client).await;
    client
}

async fn greet(client: &mut TestConnection) {
    let opts = client.negotiated_opts();
    let macros = [("j", "relay.example"), ("{daemon_name}", "smtpd")];
    client
        .macros(MacroStage::Connect, macros)
        .await
        .expect("macros");
    let status = client.connect("client.example", [192, 0, 2, 1]).await;
    goes_on(&status, opts, ProtoOpts::NOREPLY_CONNECT);
    if !opts.contains(ProtoOpts::NO_HELO) {
        let status = client.helo("client.example").await;
        goes_on(&status, opts, ProtoOpts::NOREPLY_HELO);
    }
}

/// Panics unless a command was answered by "go on", or not at all where that was agreed.
#[track_caller]
fn goes_on(status: &Result<Status, TestError>, opts: ProtoOpts, unanswered: ProtoOpts) {
    let expected = if opts.contains(unanswered) {
        Status::Noreply
    } else {
        Status::Continue
    };
    assert!(
        status.as_ref().is_ok_and(|status| *status == expected),
        "{status:?}"
    );
}

/// Says everything of a message but its end, up to a number of steps.
async fn show(client: &mut TestConnection, mail: &Mail, steps: usize) {
    let opts = client.negotiated_opts();
    let login = [("{auth_authen}", mail.login), ("{auth_type}", "PLAIN")];
    let login = if mail.login.is_empty() {
        &[][..]
    } else {
        &login
    };
    let macros = [("{mail_addr}", "bounce@alfa.example"), ("i", "4bX")];
    let macros = macros.iter().chain(login).copied();
    let fields = mail.fields();
    let mut steps = 0..steps;
    let mut next = || steps.next().is_some();
    if next() {
        client
            .macros(MacroStage::Mail, macros)
            .await
            .expect("macros");
        let status = client.mail(["<bounce@alfa.example>", "SIZE=1000"]).await;
        goes_on(&status, opts, ProtoOpts::NOREPLY_MAIL);
    }
    if next() && !opts.contains(ProtoOpts::NO_RCPT) {
        let status = client.rcpt(["<x@elsewhere.example>"]).await;
        goes_on(&status, opts, ProtoOpts::NOREPLY_RCPT);
    }
    if next() && !opts.contains(ProtoOpts::NO_DATA) {
        goes_on(&client.data().await, opts, ProtoOpts::NOREPLY_DATA);
    }
    for (name, value) in fields {
        if next() {
            let status = client.header(name, value).await;
            goes_on(&status, opts, ProtoOpts::NOREPLY_HEADER);
        }
    }
    if next() {
        goes_on(&client.eoh().await, opts, ProtoOpts::NOREPLY_EOH);
    }
    if next() {
        let status = client.body(mail.body.clone()).await;
        goes_on(&status, opts, ProtoOpts::NOREPLY_BODY);
    }
}

/// Everything but the end.
const ALL: usize = 9;

/// Shows a whole message and holds it against its ending.
async fn send(client: &mut TestConnection, keys: &PublicKeys, mail: &Mail, ending: Ending) {
    show(client, mail, ALL).await;
    client
        .macros(MacroStage::Eom, [("i", "4bX")])
        .await
        .expect("macros");
    let (actions, status) = client.eom().await.expect("a final reply");
    let leading_space = client.negotiated_opts().contains(ProtoOpts::LEADING_SPACE);
    let context = format!("{} by {:?}: {status:?} {actions:?}", mail.from, mail.login);
    let refused = |code: &str, reason: &str, advice: &str| {
        let text = format!("{code} Message cannot be signed ({reason}){advice}");
        Some(std::ffi::CString::new(text).expect("no NUL"))
    };
    let expected = match ending {
        Ending::Signed(_) | Ending::Untouched => Status::Accept,
        Ending::Tempfailed(reason) => Status::Tempfail {
            message: refused("451 4.7.1", reason, ", try again later"),
        },
        Ending::Rejected(reason) => Status::Reject {
            message: refused("550 5.7.1", reason, ""),
        },
    };
    assert_eq!(status, expected, "{context}");
    let Ending::Signed(selectors) = ending else {
        assert!(actions.actions.is_empty(), "{context}");
        return;
    };
    assert!(
        actions.has_insert_header(0, "DKIM-Signature", any()),
        "{context}"
    );
    let signers = keys.signers(&mail.changed_by(&actions, leading_space));
    let signers: Vec<&str> = signers
        .iter()
        .map(|(_, selector)| selector.as_str())
        .collect();
    assert_eq!(signers, selectors, "{context}");
}

#[tokio::test]
async fn both_agree_on_what_is_needed_and_no_more() {
    let (zegel, _) = start();
    let client = open(&zegel, TestConnection::configure()).await;
    assert_eq!(
        client.negotiated_actions(),
        Actions::ADD_HEADER | Actions::REQUEST_MACROS
    );
    let opts = client.negotiated_opts();
    let left_out =
        ProtoOpts::NO_HELO | ProtoOpts::NO_RCPT | ProtoOpts::NO_DATA | ProtoOpts::NO_UNKNOWN;
    let unanswered = ProtoOpts::NOREPLY_CONNECT
        | ProtoOpts::NOREPLY_HELO
        | ProtoOpts::NOREPLY_MAIL
        | ProtoOpts::NOREPLY_RCPT
        | ProtoOpts::NOREPLY_DATA
        | ProtoOpts::NOREPLY_HEADER
        | ProtoOpts::NOREPLY_EOH
        | ProtoOpts::NOREPLY_BODY
        | ProtoOpts::NOREPLY_UNKNOWN;
    assert_eq!(opts, left_out | unanswered | ProtoOpts::LEADING_SPACE);
    let requested = client.requested_macros();
    assert_eq!(requested.len(), 2, "{requested:?}");
    let names = |stage| requested[&stage].to_str().expect("ASCII");
    assert_eq!(
        names(MacroStage::Mail),
        "{auth_authen} {auth_type} {mail_addr}"
    );
    assert_eq!(names(MacroStage::Eom), "i");
    client.close().await.expect("a close");
}

/// The macros decide who may sign, so none of these is asked for with the wrong number.
#[tokio::test]
async fn every_ending_is_understood_on_a_connection_of_its_own() {
    let (zegel, keys) = start();
    for &(from, login, ending) in ENDINGS {
        let mut client = greeted(&zegel).await;
        send(&mut client, &keys, &Mail::new(from, login), ending).await;
        client.close().await.expect("a close");
    }
}

#[tokio::test]
async fn messages_on_one_connection_do_not_touch_each_other() {
    let (zegel, keys) = start();
    let mut client = greeted(&zegel).await;
    for abort_between in [false, true] {
        for &(from, login, ending) in ENDINGS.iter().chain(ENDINGS.iter().rev()) {
            send(&mut client, &keys, &Mail::new(from, login), ending).await;
            if abort_between {
                client.abort().await.expect("an abort");
            }
        }
    }
    client.close().await.expect("a close");
}

/// Clients that offer less, down to nothing: each command is answered, and a space may be lost.
#[tokio::test]
async fn less_than_all_may_be_offered() {
    let (zegel, keys) = start();
    let offers = [
        NOTHING,
        ProtoOpts::LEADING_SPACE,
        ProtoOpts::NOREPLY_HEADER | ProtoOpts::NO_HELO,
        ProtoOpts::NOREPLY_BODY | ProtoOpts::NOREPLY_EOH | ProtoOpts::NO_RCPT,
    ];
    for opts in offers {
        for version in [2, 4, 6] {
            let client = TestConnection::configure().protocol_version(version);
            let mut client = open(&zegel, client.available_opts(opts)).await;
            assert_eq!(client.negotiated_opts() & !opts, NOTHING);
            greet(&mut client).await;
            if !client.negotiated_opts().contains(ProtoOpts::NO_UNKNOWN) {
                let status = client.unknown("XYZZY").await;
                goes_on(
                    &status,
                    client.negotiated_opts(),
                    ProtoOpts::NOREPLY_UNKNOWN,
                );
            }
            for &(from, login, ending) in ENDINGS {
                send(&mut client, &keys, &Mail::new(from, login), ending).await;
            }
            client.close().await.expect("a close");
        }
    }
}

/// Where no field may be inserted, mail of ours waits and other mail goes on.
#[tokio::test]
async fn what_may_not_be_changed_is_not() {
    let (zegel, keys) = start();
    let forbidden = Actions::all() & !(Actions::ADD_HEADER | Actions::REQUEST_MACROS);
    let client = TestConnection::configure().available_actions(forbidden);
    let mut client = open(&zegel, client).await;
    assert_eq!(client.negotiated_actions(), Actions::empty());
    assert!(client.requested_macros().is_empty());
    greet(&mut client).await;
    let tempfailed = Ending::Tempfailed("signing_failure");
    for (from, login, ending) in [
        ("a@alfa.example", "alfa", tempfailed),
        ("a@unknown.example", "alfa", Ending::Untouched),
        ("b@beta.example", "beta", tempfailed),
    ] {
        send(&mut client, &keys, &Mail::new(from, login), ending).await;
    }
    client.close().await.expect("a close");
}

/// After each step of a message: ABORT and another message, QUIT, and no word at all.
#[tokio::test]
async fn a_message_may_end_after_every_step() {
    let (zegel, keys) = start();
    let mut client = greeted(&zegel).await;
    let cut = Mail::new("b@beta.example", "beta");
    let (from, login, ending) = ENDINGS[0];
    for steps in 0..=ALL {
        show(&mut client, &cut, steps).await;
        client.abort().await.expect("an abort");
        send(&mut client, &keys, &Mail::new(from, login), ending).await;

        let mut quits = greeted(&zegel).await;
        show(&mut quits, &cut, steps).await;
        quits.close().await.expect("a close");

        let mut leaves = greeted(&zegel).await;
        show(&mut leaves, &cut, steps).await;
        drop(leaves);
    }
    send(&mut client, &keys, &Mail::new(from, login), ending).await;
    client.close().await.expect("a close");
    let errors = "zegel_protocol_errors_total{listener=\"relay\"}";
    assert_eq!(zegel.counter(errors), 0, "{}", zegel.log());
}

/// A body in many pieces, over TCP and over the socket, with and without an answer to each.
#[tokio::test]
async fn a_large_body_is_signed_whole() {
    let port = Port::free();
    let address = format!("127.0.0.1:{}", port.number());
    let listener = |name: &str, socket: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nsocket = \"{socket}\"\n\
             outbound = {{ authenticated = true }}\n"
        )
    };
    let settings = [
        listener("relay", "unix:{folder}/relay.sock"),
        listener("remote", &format!("inet:{address}")),
    ];
    let (zegel, keys) = start_with(&settings.concat());
    let mut mail = Mail::new("b@beta.example", "beta");
    mail.body = b"a line  with blanks \t\r\n".repeat(20_000);
    let ending = Ending::Signed(&["beta-rsa", "beta-ed25519"]);
    for opts in [ProtoOpts::all(), NOTHING] {
        let client = TestConnection::configure().available_opts(opts);
        let remote = client.clone().open_tcp(&address).await;
        for mut client in [open(&zegel, client).await, remote.expect("an agreement")] {
            greet(&mut client).await;
            send(&mut client, &keys, &mail, ending).await;
            client.close().await.expect("a close");
        }
    }
}
