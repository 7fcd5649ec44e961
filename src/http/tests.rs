mod slow;

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::*;
use crate::{config::HttpListen, observe::metrics::CONTENT_TYPE, sockets::SocketError};

struct Server {
    address: SocketAddr,
    state: HttpState,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn state() -> HttpState {
    let metrics = Metrics::new();
    metrics.listener("relay");
    HttpState {
        role: Role::Signer {
            metrics,
            page: None,
        },
        readiness: Readiness::default(),
    }
}

async fn bind(address: &str) -> Result<Option<HttpListener>, SocketError> {
    let address = match address.strip_prefix("unix:") {
        Some(path) => HttpListen::Unix(path.into()),
        None if address == "off" => HttpListen::Off,
        None => HttpListen::Tcp(address.parse().unwrap()),
    };
    HttpListener::bind(&address).await
}

async fn start(limits: Limits) -> Server {
    let listener = bind("127.0.0.1:0").await.unwrap().unwrap();
    let address = listener.tcp_address().unwrap();
    let state = state();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve_within(limits, listener, state.clone(), shutdown));
    Server {
        address,
        state,
        stop,
        task,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn request(&self, line: &str) -> String {
        exchange(self.connect().await, line).await
    }
}

/// Reads to the end: the server must close, or the test runs into its time limit.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> String {
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(Duration::from_secs(5), read)
        .await
        .expect("the server closes the connection")
        .unwrap();
    answer
}

#[tokio::test]
async fn the_pages() {
    let server = start(Limits::default()).await;
    let answer = server.request("GET /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains(&format!("content-type: {CONTENT_TYPE}\r\n")),
        "{answer}"
    );
    assert!(
        answer.contains("zegel_connections{listener=\"relay\"} 0\n"),
        "{answer}"
    );
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    let answer = server.request("GET /health/live").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nalive\n"), "{answer}");
}

#[tokio::test]
async fn what_is_not_a_page() {
    let server = start(Limits::default()).await;
    for (line, status) in [
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("GET /../etc/passwd", 404),
        ("POST /elsewhere", 404),
        ("POST /metrics", 405),
        ("DELETE /health/live", 405),
        ("TRACE /health/ready", 405),
        ("nonsense", 400),
    ] {
        let answer = server.request(line).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{line}: {answer}");
    }
    let answer = server.request("HEAD /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn readiness_follows_the_listeners() {
    let server = start(Limits::default()).await;
    let answer = server.request("GET /health/ready").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nnot ready: starting\n"),
        "{answer}"
    );
    let relay = server.state.readiness.listener("relay");
    let answer = server.request("GET /health/ready").await;
    assert!(
        answer.ends_with("not ready: listener relay does not accept\n"),
        "{answer}"
    );
    relay.accepting();
    let answer = server.request("GET /health/ready").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nready\n"), "{answer}");
    server.state.readiness.drain();
    let answer = server.request("GET /health/ready").await;
    assert!(answer.ends_with("not ready: draining\n"), "{answer}");
    let answer = server.request("GET /health/live").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(2_000_000));
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .expect("the server closes the connection");
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    let mut stream = server.connect().await;
    let many = "X-A: b\r\n".repeat(200);
    let request = format!("GET /health/live HTTP/1.1\r\n{many}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = server.request("GET /health/live").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn shutdown_waits_for_nobody_for_long() {
    let server = start(Limits {
        grace: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /metrics HT").await.unwrap();
    server.request("GET /health/live").await;
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(3), server.task)
        .await
        .expect("the server ends")
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_socket_file_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    let listener = bind(&address).await.unwrap().unwrap();
    assert_eq!(mode(&path), 0o660);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, state(), shutdown));
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(stream, "GET /health/live").await;
    assert!(answer.ends_with("alive\n"), "{answer}");
    let refused = bind(&address).await.unwrap_err();
    assert!(matches!(refused, SocketError::InUse(_)), "{refused}");
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(!path.exists());
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    // The standard library leaves the file behind, as a process that was killed does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(bind(&address).await.unwrap().unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    let refused = bind(&address).await.unwrap_err();
    assert!(matches!(refused, SocketError::NotASocket(_)), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let taken = bind("127.0.0.1:0").await.unwrap().unwrap();
    let address = taken.tcp_address().unwrap().to_string();
    let refused = bind(&address).await.unwrap_err().to_string();
    assert!(refused.contains(&address), "{refused}");
    assert!(refused.contains("choose another port"), "{refused}");
    let refused = bind("unix:/nonexistent/http.sock").await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("/nonexistent/http.sock"), "{refused}");
    assert!(refused.contains("make its folder first"), "{refused}");
    assert!(bind("off").await.unwrap().is_none());
}
