//! Sockets that MTAs connect to. No failed `accept` ends a listener.
//!
//! SECURITY: whoever can connect here can have mail signed. A unix socket is protected by
//! its mode and group; a TCP socket by nothing but the network.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use indymilter::EitherStream;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Sleep, sleep},
};

use super::{
    stream::{GuardedStream, Tenancy, Times},
    traffic::{Stage, Traffic},
};
use crate::{
    observe::{metrics::ListenerMetrics, readiness::ListenerReadiness},
    snapshot::SnapshotHolder,
    sockets::UnixSocket,
};

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A bound and listening socket.
#[derive(Debug)]
pub enum BoundSocket {
    /// TCP, version 4 or 6.
    Tcp(TcpListener),
    /// A socket file of ours.
    Unix(UnixSocket),
    /// A socket file that systemd made and keeps.
    Inherited(UnixListener),
}

impl BoundSocket {
    /// The address that was bound, which tells the port if 0 was asked for; none for a
    /// socket file.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) | Self::Inherited(_) => None,
        }
    }

    fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<EitherStream<TcpStream, UnixStream>>> {
        let unix = match self {
            Self::Tcp(listener) => {
                let (stream, _) = ready!(listener.poll_accept(context))?;
                // Replies are small and wanted at once.
                let _ = stream.set_nodelay(true);
                return Poll::Ready(Ok(EitherStream::Tcp(stream)));
            }
            Self::Unix(socket) => socket.listener(),
            Self::Inherited(listener) => listener,
        };
        let (stream, _) = ready!(unix.poll_accept(context))?;
        Poll::Ready(Ok(EitherStream::Unix(stream)))
    }
}

/// Accepts connections until the listener is drained, whatever happens.
pub(super) struct PatientListener {
    name: String,
    /// Gone once the listener drains.
    socket: Option<BoundSocket>,
    traffic: Traffic,
    metrics: ListenerMetrics,
    readiness: ListenerReadiness,
    snapshots: SnapshotHolder,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    wait: Option<Pin<Box<Sleep>>>,
    next_wait: Duration,
    /// Whether the last connection was one too many, so that the log says it once.
    full: bool,
}

/// What is done about a failed `accept`.
enum AfterError {
    /// That connection is lost, the next one need not be.
    Next,
    /// The system is short of something: give it time.
    Wait,
}

fn after_error(error: &io::Error) -> AfterError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::Interrupted
        | ErrorKind::TimedOut => AfterError::Next,
        _ => AfterError::Wait,
    }
}

impl PatientListener {
    pub(super) fn new(
        (name, socket): (String, BoundSocket),
        traffic: Traffic,
        (metrics, readiness): (ListenerMetrics, ListenerReadiness),
        snapshots: SnapshotHolder,
    ) -> Self {
        readiness.accepting();
        Self {
            name,
            socket: Some(socket),
            draining: Box::pin(traffic.reaches(Stage::Draining)),
            traffic,
            metrics,
            readiness,
            snapshots,
            wait: None,
            next_wait: SHORTEST_WAIT,
            full: false,
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.metrics.accept_error();
        if matches!(after_error(error), AfterError::Next) {
            return;
        }
        tracing::error!(
            listener = self.name,
            %error,
            "no connection can be accepted, trying again in {:?}",
            self.next_wait
        );
        self.readiness.not_accepting();
        self.wait = Some(Box::pin(sleep(self.next_wait)));
        self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
    }

    fn guard(
        &mut self,
        stream: EitherStream<TcpStream, UnixStream>,
    ) -> Option<GuardedStream<EitherStream<TcpStream, UnixStream>>> {
        // A reload changes them for connections to come.
        let limits = self.snapshots.current().settings().limits;
        let Some(token) = self.traffic.connect(limits.connections) else {
            self.metrics.connection_refused();
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(
                    listener = self.name,
                    "limits.connections ({}) is reached: further connections are closed at once",
                    limits.connections
                );
            }
            return None;
        };
        self.full = false;
        Some(GuardedStream::new(
            stream,
            Tenancy {
                traffic: self.traffic.clone(),
                metrics: self.metrics.clone(),
                times: Times {
                    idle: limits.idle,
                    message: limits.message,
                },
                _token: token,
                _open: self.metrics.connection(),
            },
        ))
    }
}

impl indymilter::Listener for PatientListener {
    type Io = GuardedStream<EitherStream<TcpStream, UnixStream>>;

    /// Never gives an error: indymilter would end all its sessions at the first one.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Self::Io>> {
        loop {
            if self.draining.as_mut().poll(context).is_ready() {
                // Polled again only by a new call, which finds no socket.
                self.draining = Box::pin(std::future::pending());
                self.readiness.not_accepting();
                self.socket = None;
            }
            let Some(socket) = &self.socket else {
                return Poll::Pending;
            };
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            match ready!(socket.poll_accept(context)) {
                Err(error) => self.accept_failed(&error),
                Ok(stream) => {
                    self.next_wait = SHORTEST_WAIT;
                    self.readiness.accepting();
                    if let Some(guarded) = self.guard(stream) {
                        return Poll::Ready(Ok(guarded));
                    }
                }
            }
        }
    }
}
