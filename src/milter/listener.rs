//! A listener: its socket, whom that lets in, and the connections that it accepts. No failed
//! `accept` ends it.
//!
//! SECURITY: whoever can connect here can have mail signed. A unix socket is protected by
//! its mode and group; a TCP socket by nothing but the network.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::sleep,
};

use super::{
    connection::run_connection,
    service::{ListenerContext, Place, Service, ServiceParts},
};
use crate::{
    observe::{metrics::Limit, readiness::ListenerReadiness},
    sockets::UnixSocket,
};

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often it is said that someone was not let in, at most.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// What a listener is made of. All of the outside world is in here.
pub struct ListenerParts {
    /// What it does for its connections.
    pub service: ServiceParts,
    /// The socket, listening.
    pub socket: BoundSocket,
    /// The numbers of the users whose processes may connect to a socket file; all without.
    pub allow_users: Option<Vec<u32>>,
    /// Where it says that it accepts connections.
    pub readiness: ListenerReadiness,
}

/// Listens until `shutdown` ends, and then until the messages in progress have ended, for
/// which they have 25 seconds.
pub async fn listen(parts: ListenerParts, shutdown: impl Future<Output = ()>) {
    let readiness = parts.readiness;
    let listener = Service::new(parts.service).context;
    let context = Arc::clone(&listener);
    readiness.full_while(move || context.is_full());
    readiness.accepting();
    let mut socket = PatientListener {
        door: Door::new(parts.socket, parts.allow_users),
        listener: Arc::clone(&listener),
        readiness,
        next_wait: SHORTEST_WAIT,
        full: false,
    };
    tokio::select! {
        () = socket.accept_all() => {}
        () = shutdown => {}
    }
    // Closes the socket: no connection is taken any more.
    drop(socket);
    listener.drain.finish(&listener.name).await;
}

/// Accepts connections, whatever happens.
struct PatientListener {
    door: Door,
    listener: Arc<ListenerContext>,
    readiness: ListenerReadiness,
    next_wait: Duration,
    /// Whether the last connection was one too many, so that the log says it once.
    full: bool,
}

impl Drop for PatientListener {
    fn drop(&mut self) {
        self.readiness.not_accepting();
    }
}

impl PatientListener {
    /// Gives each connection a task of its own, for ever. Dropping `self` closes the socket.
    async fn accept_all(&mut self) {
        loop {
            let accepted = tokio::select! {
                // The other two only find out that no connection waits to be accepted.
                biased;
                accepted = self.door.accept() => accepted,
                () = self.readiness.asked() => {
                    self.accepts();
                    continue;
                }
                () = sleep(LONGEST_WAIT), if self.next_wait > SHORTEST_WAIT => {
                    self.accepts();
                    continue;
                }
            };
            match accepted {
                Ok(stream) => {
                    self.accepts();
                    self.take_in(stream);
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    fn accepts(&mut self) {
        self.next_wait = SHORTEST_WAIT;
        self.readiness.accepting();
    }

    async fn accept_failed(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};

        self.listener.metrics.accept_error();
        if let ConnectionAborted | ConnectionReset | Interrupted | TimedOut = error.kind() {
            // That connection is lost, the next one need not be.
            return;
        }
        // The system is short of something: give it time.
        tracing::error!(
            listener = self.listener.name,
            %error,
            "no connection can be accepted, trying again in {:?}",
            self.next_wait
        );
        self.readiness.not_accepting();
        sleep(self.next_wait).await;
        self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
    }

    fn take_in(&mut self, stream: Stream) {
        if let Err(stranger) = self.door.admit(&stream) {
            return self.turn_away(&stranger);
        }
        let Some(place) = self.place() else {
            return;
        };
        let listener = Arc::clone(&self.listener);
        match stream {
            Stream::Tcp(stream) => tokio::spawn(run_connection(stream, place, listener)),
            Stream::Unix(stream) => tokio::spawn(run_connection(stream, place, listener)),
        };
    }

    fn turn_away(&self, stranger: &Stranger) {
        self.listener.metrics.peer_refused();
        if let Some(times) = stranger.to_be_said {
            tracing::warn!(
                listener = self.listener.name,
                user = stranger.user,
                times,
                "connection closed at once: allow_users does not name the user of the peer \
                 (65534 is also what other users look like under PrivateUsers=yes)"
            );
        }
    }

    /// A place for one more connection, if there is one: a surplus connection is closed at
    /// once, not left waiting.
    fn place(&mut self) -> Option<Place> {
        let limits = self.listener.snapshot().settings().limits;
        let place = self.listener.place(limits);
        let was_full = std::mem::replace(&mut self.full, place.is_none());
        if place.is_none() {
            self.listener.metrics.connection_refused();
            self.listener.metrics.limit_reached(Limit::Connections);
            if !was_full {
                tracing::warn!(
                    listener = self.listener.name,
                    "limits.connections ({}) is reached: further connections to this listener are \
                     closed at once",
                    limits.connections
                );
            }
        }
        place
    }
}

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

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        let unix = match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Replies are small and wanted at once.
                let _ = stream.set_nodelay(true);
                return Ok(Stream::Tcp(stream));
            }
            Self::Unix(socket) => socket.listener(),
            Self::Inherited(listener) => listener,
        };
        let (stream, _) = unix.accept().await?;
        Ok(Stream::Unix(stream))
    }
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Someone who was not let in.
#[derive(Debug)]
pub(super) struct Stranger {
    /// The number of the user, if the system tells it.
    pub(super) user: Option<u32>,
    /// How many there have been since it was last said; nothing if it was said just now.
    pub(super) to_be_said: Option<u64>,
}

/// Lets in the users that may connect.
pub(super) struct Door {
    socket: BoundSocket,
    /// All users without it.
    allow_users: Option<Vec<u32>>,
    said: Option<Instant>,
    unsaid: u64,
}

impl Door {
    pub(super) fn new(socket: BoundSocket, allow_users: Option<Vec<u32>>) -> Self {
        Self {
            socket,
            allow_users,
            said: None,
            unsaid: 0,
        }
    }

    /// The next connection, from whomever.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        self.socket.accept().await
    }

    /// Whether the one who connected may.
    pub(super) fn admit(&mut self, stream: &Stream) -> Result<(), Stranger> {
        let Some(allowed) = &self.allow_users else {
            return Ok(());
        };
        let user = match stream {
            // The user who connected, whoever has the socket now.
            Stream::Unix(stream) => stream.peer_cred().ok().map(|peer| peer.uid()),
            Stream::Tcp(_) => None,
        };
        if user.is_some_and(|user| allowed.contains(&user)) {
            return Ok(());
        }
        let to_be_said = self.due(Instant::now());
        Err(Stranger { user, to_be_said })
    }

    fn due(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now < said + SAID_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_are_named_once_a_second() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut door = Door::new(BoundSocket::Tcp(socket), Some(vec![0]));
        let now = Instant::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        assert_eq!(door.due(now), Some(1));
        assert_eq!(door.due(after(1)), None);
        assert_eq!(door.due(after(999)), None);
        assert_eq!(door.due(after(1000)), Some(3));
        assert_eq!(door.due(after(1001)), None);
    }

    #[tokio::test]
    async fn the_user_of_a_socket_is_known_and_that_of_an_address_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let own = rustix::process::geteuid().as_raw();
        for (allowed, is_let_in) in [
            (None, true),
            (Some(vec![own]), true),
            (Some(vec![own + 1, own]), true),
            (Some(vec![own + 1]), false),
        ] {
            let socket = UnixSocket::bind(&path, 0o600, None).await.unwrap();
            let mut door = Door::new(BoundSocket::Unix(socket), allowed);
            let _client = UnixStream::connect(&path).await.unwrap();
            let stream = door.accept().await.unwrap();
            let stranger = door.admit(&stream).err();
            assert_eq!(stranger.is_none(), is_let_in);
            assert!(stranger.is_none_or(|stranger| stranger.user == Some(own)));
        }
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut door = Door::new(BoundSocket::Tcp(socket), Some(vec![own]));
        let _client = TcpStream::connect(address).await.unwrap();
        let stream = door.accept().await.unwrap();
        assert!(door.admit(&stream).is_err_and(|who| who.user.is_none()));
    }
}
