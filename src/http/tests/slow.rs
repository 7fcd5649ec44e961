//! Clients that keep the server waiting, in every way, hold up nobody else.

use std::path::PathBuf;

use super::*;
use crate::{http::listener::Duplex, observe::readiness::ListenerReadiness};

const REQUEST: &[u8] = b" HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server on a socket of some kind, with metrics that no socket buffer holds.
struct Slowed {
    address: Address,
    /// Held, never read: dropping it stops the server.
    _stop: oneshot::Sender<()>,
    _accepting: ListenerReadiness,
    _folder: tempfile::TempDir,
}

enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp,
    Unix,
}

impl Slowed {
    async fn start(kind: Kind, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let listener = match kind {
            Kind::Tcp => bind("127.0.0.1:0").await,
            Kind::Unix => bind(&format!("unix:{}", path.display())).await,
        };
        let listener = listener.unwrap().unwrap();
        let address = listener
            .tcp_address()
            .map_or(Address::Unix(path), Address::Tcp);
        let state = state();
        let accepting = state.readiness.listener("relay");
        accepting.accepting();
        let Role::Signer { metrics, .. } = &state.role else {
            panic!("a signer");
        };
        for number in 0..400 {
            metrics.listener(&format!("a-listener-with-a-long-name-{number}"));
        }
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        tokio::spawn(serve_within(limits, listener, state, shutdown));
        Self {
            address,
            _stop: stop,
            _accepting: accepting,
            _folder: folder,
        }
    }

    async fn connect(&self) -> Box<dyn Duplex> {
        match &self.address {
            Address::Tcp(address) => Box::new(TcpStream::connect(address).await.unwrap()),
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.unwrap()),
        }
    }

    /// The answer, and how long it took.
    async fn ask(&self, path: &str) -> (String, Duration) {
        let asked = Instant::now();
        let answer = exchange(self.connect().await, &format!("GET {path}")).await;
        (answer, asked.elapsed())
    }

    /// This many clients that send this, and read nothing.
    async fn slow_clients(&self, number: usize, text: &[u8]) -> Vec<Box<dyn Duplex>> {
        let mut clients = Vec::new();
        for _ in 0..number {
            let mut client = self.connect().await;
            // The server may have dropped it.
            let _ = client.write_all(text).await;
            clients.push(client);
        }
        clients
    }
}

fn get(path: &str) -> Vec<u8> {
    [b"GET ", path.as_bytes(), REQUEST].concat()
}

/// What slow clients send before they say and read no more.
fn slow_ways() -> Vec<(&'static str, Vec<u8>)> {
    let with_body = |line: &str, field: &str| {
        format!("{line} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n").into_bytes()
    };
    vec![
        ("silent", Vec::new()),
        ("one octet", b"G".to_vec()),
        ("half a line", b"GET /metrics HT".to_vec()),
        (
            "half a header",
            b"GET /metrics HTTP/1.1\r\nHost: loc".to_vec(),
        ),
        (
            "no blank line",
            b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
        ),
        (
            "no body",
            with_body("POST /metrics", "Content-Length: 1000"),
        ),
        (
            "a body for ever",
            with_body("GET /metrics", "Transfer-Encoding: chunked"),
        ),
        ("health not read", get("/health/ready")),
        ("metrics not read", get("/metrics")),
        ("status not read", get("/status.json")),
        ("two requests", [get("/metrics"), get("/metrics")].concat()),
    ]
}

/// Three times as many as there are places, of each kind and on each socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_up_neither_health_nor_metrics() {
    for kind in [Kind::Tcp, Kind::Unix] {
        for (way, text) in slow_ways() {
            let server = Slowed::start(
                kind,
                Limits {
                    connections: 8,
                    ..Limits::default()
                },
            )
            .await;
            let _slow = server.slow_clients(24, &text).await;
            for path in ["/health/live", "/health/ready"] {
                let (answer, took) = server.ask(path).await;
                assert!(
                    answer.starts_with("HTTP/1.1 200 "),
                    "{kind:?}, {way}: {answer}"
                );
                assert!(
                    took < Duration::from_secs(1),
                    "{kind:?}, {way}, {path}: {took:?}"
                );
            }
            // Metrics wait for those who read theirs slowly, who have a second.
            let asked = Instant::now();
            while !server.ask("/metrics").await.0.ends_with("# EOF\n") {
                assert!(asked.elapsed() < Duration::from_secs(5), "{kind:?}, {way}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_header_has_a_second_though_nobody_else_asks() {
    for kind in [Kind::Tcp, Kind::Unix] {
        let server = Slowed::start(kind, Limits::default()).await;
        for (way, text) in slow_ways().into_iter().take(5) {
            let mut client = server.connect().await;
            let begun = Instant::now();
            client.write_all(&text).await.unwrap();
            let mut answer = Vec::new();
            let read = timeout(Duration::from_secs(3), client.read_to_end(&mut answer));
            let _ = read.await.expect(way);
            let took = begun.elapsed();
            assert!(
                took > Duration::from_millis(900),
                "{kind:?}, {way}: {took:?}"
            );
            assert!(!answer.starts_with(b"HTTP/1.1 2"), "{kind:?}, {way}");
        }
        // Not from the last octet, but from the first.
        let mut client = server.connect().await;
        let begun = Instant::now();
        let trickle = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
            .iter()
            .cycle();
        for octet in trickle {
            if client.write_all(&[*octet]).await.is_err() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(3), "{kind:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Clients that come faster than they can be told from slow ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_silent_clients_lets_others_ask() {
    for kind in [Kind::Tcp, Kind::Unix] {
        let server = Arc::new(Slowed::start(kind, Limits::default()).await);
        let storm = Arc::clone(&server);
        let storm = tokio::spawn(async move {
            let mut held = std::collections::VecDeque::new();
            loop {
                held.push_back(storm.connect().await);
                if held.len() > 200 {
                    held.pop_front();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..10 {
            let (answer, took) = server.ask("/health/ready").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{kind:?}: {answer}");
            assert!(took < Duration::from_secs(1), "{kind:?}: {took:?}");
        }
        storm.abort();
    }
}

#[tokio::test]
async fn the_oldest_gives_way_to_one_more() {
    let server = Slowed::start(
        Kind::Tcp,
        Limits {
            connections: 2,
            ..Limits::default()
        },
    )
    .await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (answer, took) = server.ask("/health/live").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    let mut nothing = Vec::new();
    let read = timeout(Duration::from_millis(200), first.read_to_end(&mut nothing));
    let _ = read.await.expect("it was dropped");
    assert!(nothing.is_empty());
    let answer = timeout(Duration::from_secs(2), async {
        second.write_all(&get("/health/live")).await.unwrap();
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.await.unwrap().ends_with("alive\n"));
}

/// All places are taken by answers that are not read: the next one is told to come back, and
/// has its turn when they have had their second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_gives_way_after_a_second() {
    let server = Slowed::start(
        Kind::Unix,
        Limits {
            connections: 2,
            ..Limits::default()
        },
    )
    .await;
    let _slow = server.slow_clients(2, &get("/metrics")).await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (answer, _) = server.ask("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let asked = Instant::now();
    while !server.ask("/metrics").await.0.ends_with("# EOF\n") {
        assert!(asked.elapsed() < Duration::from_secs(4));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(900));
}
