//! `zegel status` and `zegel top`, of a signer that has signed mail.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    setup::{Done, Setup, finish, zegel},
    support::{
        keeper::Keeper,
        milter::{Message, send},
        port::Port,
        stage::wait_until,
        zegel::{Org, Zegel, get},
    },
};

fn orgs() -> [Org; 3] {
    [
        Org::new("een", &["een.example"]).signing_twice(),
        Org::new("twee", &["twee.example"]).without_keys(),
        Org::new("drie", &["drie.example"]).with_lost_keys(),
    ]
}

fn send_from(zegel: &Zegel, domain: &str) {
    let text = format!("From: a@{domain}\r\nSubject: s\r\n\r\nbody\r\n");
    send(&zegel.milter(), &Message::parse(text.as_bytes()));
}

fn run(zegel: &Zegel, arguments: &[&str]) -> Done {
    let config = zegel.path("zegel.toml");
    finish(
        self::zegel().args(arguments).arg("--config").arg(config),
        b"",
    )
}

#[test]
fn mail_that_leaves_unsigned_is_told() {
    let zegel = Zegel::with_settings(&orgs()[..2], "[keeper]\nhttp = \"off\"\n");
    for domain in [
        "een.example",
        "een.example",
        "twee.example",
        "elsewhere.example",
    ] {
        send_from(&zegel, domain);
    }
    let done = run(&zegel, &["status"]).expect(1);
    assert!(!done.out.contains('\u{1b}'), "{}", done.out);
    let row = |name: &str| -> Vec<&str> {
        let row = done.out.lines().find(|line| line.starts_with(name));
        let row = row.unwrap_or_else(|| panic!("no {name} in\n{}", done.out));
        row.split_whitespace().collect()
    };
    // A message with two signatures counts once.
    assert_eq!(row("een "), ["een", "well", "2", "0"]);
    let twee = ["twee", "unsigned", "0", "1", "awaiting_key", "1"];
    assert_eq!(row("twee "), twee);
    assert_eq!(row("(none) ")[..4], ["(none)", "-", "0", "1"]);
    assert_eq!(row("relay ")[3..5], ["2", "2"]);
    let address = zegel.http_address();
    let done = done.says(&[
        &format!("signer ready at {address}"),
        "last reload ok",
        "organisations: 2; domains without a key in use: 1",
        "- twee: unsigned: twee.example has no key, so its mail is not signed.",
    ]);
    assert_eq!(done.err, "");
    // The same by its address, without a configuration.
    let url = format!("http://{address}");
    let arguments = ["status", "--json", "--url", &url];
    let report = finish(self::zegel().args(arguments), b"").expect(1).json();
    assert_eq!(report["state"], "ready");
    assert_eq!(report["attention"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["judgements"][0]["organisation"], "twee");
    assert_eq!(report["judgements"][0]["level"], "unsigned");
    let figures = &report["figures"];
    assert_eq!(figures["organisations"]["een"]["signed"], 2);
    assert_eq!(
        figures["organisations"]["twee"]["unsigned"]["awaiting_key"],
        1
    );
    assert_eq!(figures["listeners"]["relay"]["messages"]["unsigned"], 2);
    assert_eq!(figures["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_needs_attention_is_told_with_the_way_out() {
    let http = "[http]\nlisten = \"unix:{folder}/run/http.sock\"\n";
    let mut zegel = Zegel::prepared(&orgs(), http);
    fs::create_dir(zegel.path("run")).unwrap();
    zegel.launch();
    send_from(&zegel, "drie.example");
    zegel.write_settings(&format!("{http}[limits]\nidle = 1\n"));
    zegel.signal("HUP");
    zegel.wait_for_log("reload failed", 1);
    // The configuration is of no use any more, but the socket is.
    run(&zegel, &["status"])
        .expect(78)
        .complains(&["limits.idle"]);
    let socket = format!("unix:{}", zegel.path("run/http.sock").display());
    let done = run(&zegel, &["status", "--url", &socket, "--count", "1"]).expect(1);
    let done = done.says(&[
        "last reload FAILED",
        "drie          tempfailed  0       1         signing_failure 1",
        "… and 2 more (--count)",
        "Needs attention:",
        "- what is on disk cannot be loaded",
        "see `zegel check`",
        "- mail could not be signed",
    ]);
    assert!(!done.out.contains("Nothing needs"), "{}", done.out);
}

/// A key that nobody has needed yet is looked at in the background.
#[test]
fn a_broken_key_is_told_before_there_is_mail_for_it() {
    let [een, twee, _] = orgs();
    let zegel = Zegel::start(&[een, twee.with_lost_keys()]);
    let begun = Instant::now();
    while zegel.metric("zegel_key_problems") < 1.0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", zegel.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    run(&zegel, &["status"])
        .expect(1)
        .says(&["- keys or keyrings cannot be used as they should (1): `zegel check` names them"]);
}

#[test]
fn the_keeper_is_asked_too() {
    let http = Port::free();
    let settings = format!(
        "[keeper]\nresolvers = [\"127.0.0.1:1\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"2s\"\n",
        http.number()
    );
    let zegel = Zegel::with_settings(&orgs()[..2], &settings);
    run(&zegel, &["status"])
        .expect(1)
        .says(&["- no keeper answers at 127.0.0.1:"]);
    let keeper = Keeper::start(&zegel.path(""), &http);
    let begun = Instant::now();
    while !keeper
        .page()
        .contains("zegel_key_next_step{organisation=\"twee\"")
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", keeper.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let done = run(&zegel, &["status"]).expect(0);
    let done = done.says(&["een-rsa active ", "next make_successor", "twee-20"]);
    assert!(!done.out.contains("was not asked"), "{}", done.out);
}

#[test]
fn nobody_there_and_nowhere_to_look() {
    let setup = Setup::new();
    let keys = setup.path("keys");
    let port = Port::free();
    let write = |listen: &str| {
        let text = format!(
            "[keystore]\npath = \"{}\"\n[http]\nlisten = \"{listen}\"\n",
            keys.display()
        );
        let path = setup.path("zegel.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    let address = format!("127.0.0.1:{}", port.number());
    write(&address);
    let away = format!("no signer answers at {address}: ");
    let done = setup
        .run(["status"])
        .expect(1)
        .says(&["signer away", &away]);
    assert_eq!(done.err, "");
    setup.run(["top", "--once"]).expect(1).complains(&[&away]);
    write("off");
    setup
        .run(["status"])
        .expect(2)
        .complains(&["http.listen is off", "--url"]);
    for url in ["https://localhost", "localhost:9465", "unix:relative"] {
        setup
            .run(["status", "--url", url])
            .expect(2)
            .complains(&["unix:/run/zegel/http.sock"]);
    }
    setup.run(["top", "--interval", "1"]).expect(2);
    setup.run(["top", "--by", "colour"]).expect(2);
    write("nonsense");
    setup.run(["status"]).expect(78).complains(&["http.listen"]);
}

#[test]
fn top_shows_rates_and_ends_in_peace() {
    let zegel = Zegel::start(&orgs()[..2]);
    send_from(&zegel, "twee.example");
    let config = zegel.path("zegel.toml");
    let mut command = self::zegel();
    command.args(["top", "--interval", "300ms", "--by", "signed", "--config"]);
    let mut top = command.arg(&config).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut rate = 0.0_f64;
    let mut frames = 0;
    // While it looks on, mail passes; at some time it says so.
    while rate == 0.0 {
        send_from(&zegel, "een.example");
        let line = lines.next().expect("a frame");
        assert!(!line.contains('\u{1b}'), "{line}");
        frames += usize::from(line.starts_with("ORGANISATION"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        if let ["een", _, signed, unsigned, ..] = cells[..] {
            assert_eq!(unsigned, "0.0");
            rate = signed.parse().unwrap();
        }
        assert!(frames < 100);
    }
    // It is told to end as Ctrl-C does it.
    let told = std::process::Command::new("kill")
        .args(["-INT", &top.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    for line in lines {
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    assert_eq!(top.wait().unwrap().code(), Some(0));
    let once = [
        "top",
        "--once",
        "--interval",
        "100ms",
        "--by",
        "name",
        "--count",
        "2",
    ];
    let done = run(&zegel, &once).expect(0);
    let ids = done
        .out
        .lines()
        .skip_while(|line| !line.starts_with("ORGANISATION"));
    let ids: Vec<&str> = ids
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(ids, ["(none)", "een"]);
}

/// Nobody reads it any more, which is no reason to complain.
#[test]
fn top_ends_with_its_reader() {
    let zegel = Zegel::start(&orgs()[..1]);
    let mut command = self::zegel();
    command.args(["top", "--interval", "100ms", "--config"]);
    command.arg(zegel.path("zegel.toml"));
    let mut top = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = BufReader::new(top.stdout.take().unwrap());
    first.read_line(&mut String::new()).unwrap();
    drop(first);
    let mut said = String::new();
    top.stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((top.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

/// What a process says of itself, to other programs.
fn status_of(address: SocketAddr, query: &str) -> Value {
    let answer = get(address, &format!("/status.json{query}")).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

/// The names of all fields, but for those that are named after what they are of.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                let is_map = [
                    "beyond",
                    "facts",
                    "judgements",
                    "listeners",
                    "messages",
                    "organisations",
                    "put_off",
                    "rejected",
                    "signed_by",
                    "unsigned",
                    "hazards",
                ];
                match value {
                    Value::Object(inner) if is_map.contains(&name.as_str()) => {
                        inner.values().for_each(|value| fields(value, found));
                    }
                    _ => fields(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[test]
fn signer_and_keeper_tell_programs_what_the_reference_says() {
    let port = Port::free();
    let settings = format!(
        "[keeper]\nresolvers = [\"127.0.0.1:1\"]\nhttp = \"127.0.0.1:{}\"\n\
         check_every = \"2s\"\n",
        port.number()
    );
    let zegel = Zegel::with_settings(&orgs(), &settings);
    for domain in ["een.example", "een.example", "twee.example"] {
        send_from(&zegel, domain);
    }
    // A message counts when its reply is written: the MTA may know before the page does.
    wait_until("all messages are counted", || {
        let signer = status_of(zegel.http_address(), "");
        let messages = &signer["figures"]["listeners"]["relay"]["messages"];
        messages["signed"] == 2 && messages["unsigned"] == 1
    });
    let signer = status_of(zegel.http_address(), "");
    assert_eq!(
        (&signer["version"], &signer["role"]),
        (&1.into(), &"signer".into())
    );
    assert_eq!(
        (&signer["not_ready"], &signer["top"]),
        (&Value::Null, &Value::Null)
    );
    let een = &signer["figures"]["organisations"]["een"];
    assert_eq!(
        (&een["signed"], &een["signed_by"]["een-ed25519"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        signer["figures"]["listeners"]["relay"]["messages"]["signed"],
        2
    );
    let first = status_of(zegel.http_address(), "?top=1&by=unsigned");
    assert_eq!(first["top"]["organisations"][0]["id"], "twee");
    let organisations = first["figures"]["organisations"].as_object().unwrap();
    assert_eq!(organisations.keys().collect::<Vec<_>>(), ["twee"]);
    let wrong = get(zegel.http_address(), "/status.json?by=colour").unwrap();
    assert!(wrong.starts_with("HTTP/1.1 400 "), "{wrong}");
    assert!(
        wrong.contains("by=colour: write one of rate, signed"),
        "{wrong}"
    );

    let keeper = Keeper::start(&zegel.path(""), &port);
    let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
    let begun = Instant::now();
    let keeper = loop {
        let status = status_of(address, "");
        // The one in which a key waits is looked at first.
        let organisations = &status["figures"]["organisations"];
        let (een, twee) = (&organisations["een"], &organisations["twee"]);
        if een["keys"][0].is_object() && twee["next_steps"][0].is_object() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", keeper.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(
        (&keeper["version"], &keeper["role"]),
        (&1.into(), &"keeper".into())
    );
    let key = &keeper["figures"]["organisations"]["een"]["keys"][0];
    assert_eq!(key["state"], "active");

    let reference = fs::read_to_string("docs/status-json.md").unwrap();
    let mut found = BTreeSet::new();
    for status in [&signer, &first, &keeper] {
        fields(status, &mut found);
    }
    assert!(found.len() > 40, "{found:?}");
    for field in found {
        assert!(
            reference.contains(&format!("`{field}`")),
            "{field} is not in the reference"
        );
    }
    // Each asked as if it were the other.
    let url = format!("http://{}", zegel.http_address());
    run(&zegel, &["status", "--keeper-url", &url])
        .expect(1)
        .says(&["- the keeper at 127.0.0.1:", " is a signer"]);
}

/// Listeners that only look on count by organisation and reason, as the others do.
#[test]
fn what_would_be_unsigned_is_told_in_a_trial() {
    let settings = "[keeper]\nhttp = \"off\"\n[[listener]]\nname = \"relay\"\n\
                    socket = \"unix:{folder}/relay.sock\"\nobserve = true\n";
    let zegel = Zegel::with_settings(&orgs(), settings);
    let told = |arguments: &[&str]| run(&zegel, &[&["status"], arguments].concat());
    assert!(!told(&[]).out.contains("would be unsigned"));
    for domain in ["een", "twee", "twee", "drie", "elsewhere"] {
        send_from(&zegel, &format!("{domain}.example"));
    }
    let expected = "Listeners with observe = true: 1 would be signed; would be unsigned: \
                    twee 2 (awaiting_key 2), (none) 1 (unknown_domain 1), \
                    drie 1 (signing_failure 1; 1 of them put off or rejected)";
    wait_until("all are counted", || told(&[]).out.contains(expected));
    let json = told(&["--json"]).json();
    let figures = &json["figures"];
    let of = |id: &str| &figures["organisations"][id]["observed"];
    assert_eq!(of("een")["signed"], 1);
    assert_eq!(of("twee")["unsigned"]["awaiting_key"], 2);
    assert_eq!(of("twee")["put_off"], serde_json::json!({}));
    assert_eq!(of("drie")["put_off"]["signing_failure"], 1);
    assert_eq!(of("")["unsigned"]["unknown_domain"], 1);
    let series = "zegel_observed_unsigned_total{organisation=\"twee\",reason=\"awaiting_key\"}";
    assert_eq!(zegel.counter(series), 2);
    // None of it has become of mail.
    for id in ["een", "twee", "drie"] {
        let own = &figures["organisations"][id];
        assert_eq!(
            (&own["signed"], &own["unsigned"]),
            (&0.into(), &serde_json::json!({}))
        );
    }
}

/// By a name that is not `localhost`, which the status page does not answer to.
#[test]
fn a_name_is_as_good_as_the_address_behind_it() {
    let zegel = Zegel::start(&orgs()[..1]);
    // A name without a dot is looked up as an address of old: 127.1 is 127.0.0.1.
    let url = format!("http://127.1:{}", zegel.http_address().port());
    let arguments = ["status", "--url", &url];
    finish(self::zegel().args(arguments), b"")
        .expect(0)
        .says(&["signer ready at 127.1:", "Nothing needs attention."]);
}

/// As a Zegel of before `/status.json` does.
#[test]
fn a_signer_that_is_older_is_told_apart_from_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let older = "has no /status.json: it is older than this zegel";
    let done = finish(zegel().args(["status", "--url", &url]), b"").expect(1);
    let done = done.says(&["signer unknown at", "- the signer at 127.0.0.1:", older]);
    assert!(!done.out.contains("no signer answers"), "{}", done.out);
    finish(zegel().args(["top", "--once", "--url", &url]), b"")
        .expect(1)
        .complains(&[older]);
}
