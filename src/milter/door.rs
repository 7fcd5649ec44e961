//! The socket of a listener, and whom it lets in.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::sockets::UnixSocket;

/// How often it is said that somebody was not let in, at most.
const SAID_EVERY: Duration = Duration::from_secs(1);

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

/// Somebody who was not let in.
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
    /// Everybody without.
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

    /// The next connection, whosever it is.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        self.socket.accept().await
    }

    /// Whether the one who connected may.
    pub(super) fn admit(&mut self, stream: &Stream) -> Result<(), Stranger> {
        let Some(allowed) = &self.allow_users else {
            return Ok(());
        };
        let user = match stream {
            // Who has connected, whoever has the socket now.
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
