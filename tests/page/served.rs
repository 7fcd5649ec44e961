//! What is served, and to whom.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::support::zegel::{Org, Zegel};
use super::world::{self, HOSTILE, await_counts, send};

/// The answer to a request with these further fields.
fn request(zegel: &Zegel, line: &str, fields: &str) -> String {
    let stream = TcpStream::connect(zegel.http_address()).expect("a connection");
    exchange(stream, line, fields)
}

fn exchange(mut stream: impl Read + Write, line: &str, fields: &str) -> String {
    write!(stream, "{line} HTTP/1.1\r\n{fields}\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn get(zegel: &Zegel, path: &str) -> String {
    request(zegel, &format!("GET {path}"), "Host: localhost\r\n")
}

fn small() -> Zegel {
    Zegel::start(&[Org::new("voorbeeld", &["voorbeeld.example"])])
}

#[test]
fn the_page_is_strict_about_what_a_browser_may_do_with_it() {
    let zegel = small();
    for path in [
        "/",
        "/org/voorbeeld",
        "/style.css",
        "/org/voorbeeld/records.txt",
    ] {
        let answer = get(&zegel, path);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for field in [
            "content-security-policy: default-src 'none'; style-src 'self'; img-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(field), "{path}: no {field} in {head}");
        }
        assert!(
            !body.contains("<script") && !body.contains(" style="),
            "{path}"
        );
    }
    for path in [
        "/org/nobody",
        "/org/voorbeeld/other",
        "/org/",
        "/index.html",
        "/favicon.ico",
    ] {
        let answer = get(&zegel, path);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = request(&zegel, &format!("{method} /"), "Host: localhost\r\n");
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
}

#[test]
fn names_of_others_are_no_hosts_of_ours() {
    let zegel = small();
    let port = zegel.http_address().port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        (format!("attacker.example:{port}"), 421),
        ("localhost.attacker.example".to_owned(), 421),
    ] {
        let answer = request(&zegel, "GET /", &format!("Host: {host}\r\n"));
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{host}: {answer}");
        assert_eq!(answer.contains("voorbeeld"), status == 200, "{host}");
    }
    let answer = request(&zegel, "GET /", "");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let numbers = request(
        &zegel,
        "GET /status.json",
        "Host: attacker.example\r\nOrigin: http://attacker.example\r\n",
    );
    assert!(numbers.starts_with("HTTP/1.1 421 "), "{numbers}");
    assert!(!numbers.contains("relay"), "{numbers}");
    let numbers = get(&zegel, "/status.json");
    assert!(numbers.starts_with("HTTP/1.1 200 "), "{numbers}");
    assert!(
        numbers.contains("content-type: application/json\r\n"),
        "{numbers}"
    );
    assert!(
        !numbers.to_lowercase().contains("access-control"),
        "{numbers}"
    );
    // Prometheus comes by names.
    let answer = request(&zegel, "GET /metrics", "Host: relay.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn there_is_a_page_where_only_this_host_comes_or_where_it_is_asked_for() {
    let orgs = [Org::new("voorbeeld", &["voorbeeld.example"])];
    let unix = "[http]\nlisten = \"unix:{folder}/run/http.sock\"\n";
    for (more, status) in [("", 200), ("page = false\n", 404)] {
        let zegel = Zegel::prepared(&orgs, &format!("{unix}{more}"));
        std::fs::create_dir(zegel.path("run")).expect("a folder");
        let mut zegel = zegel;
        zegel.launch();
        let stream = UnixStream::connect(zegel.path("run/http.sock")).expect("a socket");
        // A proxy may give any name here: no browser comes by itself.
        let answer = exchange(stream, "GET /", "Host: status.example\r\n");
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{more}: {answer}");
    }
}

#[test]
fn texts_of_customers_are_text() {
    let zegel = {
        let mut zegel = world::signer();
        zegel.launch();
        zegel
    };
    let search = "/?q=%22%3E%3Cscript%3Ealert(3)%3C/script%3E";
    for path in ["/", "/org/hostile", search] {
        let page = get(&zegel, path);
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        let page = page.to_lowercase();
        assert!(
            !page.contains("<script") && !page.contains("<img src=x"),
            "{page}"
        );
    }
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt; &amp; \
                   &quot;Co&quot;";
    assert!(get(&zegel, "/org/hostile").contains(escaped));
    assert!(get(&zegel, "/").contains(escaped));
    assert!(get(&zegel, search).contains("value=\"&quot;&gt;&lt;script&gt;alert(3)"));
    // As text it is as it is.
    assert!(get(&zegel, "/org/hostile/records.txt").contains(HOSTILE));
}

#[test]
fn no_secret_is_on_any_page() {
    let orgs = [Org::new("voorbeeld", &["voorbeeld.example"])
        .more("[senders]\nauth = [\"secret-login\"]\nnetworks = [\"192.0.2.0/24\"]")];
    let zegel = Zegel::start(&orgs);
    send(&zegel, "voorbeeld.example", 1);
    let key = std::fs::read_to_string(zegel.path("keys/voorbeeld/voorbeeld-rsa.pem"))
        .expect("a private key");
    let lines: Vec<&str> = key.lines().filter(|line| line.len() > 40).collect();
    assert!(lines.len() > 10);
    for path in [
        "/",
        "/org/voorbeeld",
        "/org/voorbeeld/records.txt",
        "/org/voorbeeld/records.zone",
        "/org/voorbeeld/records.json",
    ] {
        let page = get(&zegel, path);
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        for secret in lines
            .iter()
            .chain(&["secret-login", "192.0.2.0", "PRIVATE"])
        {
            assert!(!page.contains(secret), "{path} holds {secret}");
        }
    }
}

#[test]
fn numbers_states_and_records_are_those_of_the_signer() {
    let mut zegel = world::signer();
    zegel.launch();
    send(&zegel, "amstel.example", 3);
    send(&zegel, "dijk.example", 2);
    await_counts(&zegel, "amstel", (3, 0));
    await_counts(&zegel, "dijk", (0, 2));
    let all = get(&zegel, "/");
    for text in [
        "7 organisations",
        "aria-label=\"3 signed and 0 not signed in the last 24 hours\"",
        "aria-label=\"0 signed and 2 not signed in the last 24 hours\"",
        "the record of bouw-rsa, which signs, is gone. The DNS administrator puts it back now",
        "No server shows the record",
    ] {
        assert!(all.contains(text), "no {text} in {all}");
    }
    let one = get(&zegel, "/org/dijk");
    assert!(one.contains("<code>awaiting_key</code> 2"), "{one}");
    assert!(one.contains("zegel key generate dijk"), "{one}");
    let one = get(&zegel, "/org/amstel");
    let amstel = "amstel".parse().expect("an id");
    let keys = zegel.keystore().load_organisation(&amstel).expect("keys");
    let mut keys = keys.keys.iter();
    let key = keys.find(|key| key.entry.selector.as_str() == "amstel-rsa");
    let record = key.expect("a key").signing_key.public_key().record();
    assert!(
        one.contains(&format!("<code class=\"value\">{record}</code>")),
        "{one}"
    );
    assert!(one.contains("dns@amstel.example"));
    assert!(
        get(&zegel, "/org/amstel/records.txt?lang=en").contains("DNS records for the e-mail of")
    );
    // What changes in the keystore is shown at once, before the signer has taken notice.
    world::with_keyring(&zegel, "bouw", |keyring| {
        let publications = &mut keyring["keys"][0]["publications"];
        publications["bouw.example"]["why"] = serde_json::json!("signing");
    });
    assert!(!get(&zegel, "/?q=bouw").contains("Put its record back"));
    // A keyring that can't be read is told of, and hides nothing else.
    std::fs::write(zegel.path("keys/bouw/keyring.json"), "nonsense").expect("a file");
    let all = get(&zegel, "/");
    assert!(
        all.contains("restore it from a back-up") && all.contains("Amstel"),
        "{all}"
    );
    assert!(get(&zegel, "/org/bouw").contains("restore it from a back-up"));
}

#[test]
fn two_thousand_organisations_are_shown_with_the_time_that_it_took() {
    let mut zegel = world::large_signer(2000);
    zegel.launch();
    for path in [
        "/",
        "/?sort=name&page=3",
        "/?q=0199",
        "/?only=now&sort=-signed",
    ] {
        let page = get(&zegel, path);
        let (_, timing) = page.split_once("server-timing: page;dur=").expect("a time");
        let (timing, _) = timing.split_once("\r\n").expect("a line");
        let milliseconds: f64 = timing.parse().expect("a number");
        // How long it may be, docs/performance.md says; a busy machine proves nothing.
        assert!(milliseconds > 0.0, "{path}: {milliseconds} ms");
    }
    let page = get(&zegel, "/");
    assert_eq!(
        page.matches("<tr role=\"row\"><th role=\"rowheader\"")
            .count(),
        100
    );
    assert!(
        page.contains("Page 1 of 20") && page.contains("of 2000"),
        "{page}"
    );
    assert!(get(&zegel, "/?q=org-0199").contains("Gemeente nummer 199<"));
}

#[test]
fn reloading_the_page_holds_up_no_mail_and_no_health() {
    let mut zegel = world::large_signer(500);
    let voorbeeld = Org::new("voorbeeld", &["voorbeeld.example"]);
    zegel.add(&voorbeeld);
    zegel.launch();
    let address = zegel.http_address();
    std::thread::scope(|scope| {
        let end = Instant::now() + Duration::from_secs(2);
        let mut readers = Vec::new();
        for _ in 0..20 {
            readers.push(scope.spawn(move || {
                let mut answers = [0, 0];
                while Instant::now() < end {
                    let page = super::support::zegel::get(address, "/").unwrap_or_default();
                    answers[0] += usize::from(page.starts_with("HTTP/1.1 200 "));
                    answers[1] += usize::from(page.starts_with("HTTP/1.1 503 "));
                }
                answers
            }));
        }
        let mut healthy = 0;
        while Instant::now() < end {
            send(&zegel, "voorbeeld.example", 5);
            let page = super::support::zegel::get(address, "/health/ready").expect("health");
            assert!(page.contains("200 OK"), "{page}");
            healthy += 1;
        }
        assert!(healthy > 0);
        let answers: Vec<[usize; 2]> = readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"))
            .collect();
        assert!(answers.iter().any(|[good, _]| *good > 0), "{answers:?}");
        // Those that did not fit in were told so at once.
        assert!(answers.iter().any(|[_, busy]| *busy > 0), "{answers:?}");
    });
}
