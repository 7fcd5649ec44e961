//! Sockets that systemd made and passes on (sd_listen_fds(3)): a restart then refuses no
//! connection, since the kernel keeps them waiting.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use crate::milter::BoundSocket;

/// The sockets that this process was started with, by name.
pub struct InheritedSockets {
    sockets: ListenFd,
    names: Vec<String>,
}

impl InheritedSockets {
    /// Takes them over from the environment; the names are those of `FileDescriptorName=`.
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self {
            names: names.split(':').map(str::to_owned).collect(),
            sockets: ListenFd::from_env(),
        }
    }

    /// None at all.
    pub fn none() -> Self {
        Self {
            names: Vec::new(),
            sockets: ListenFd::empty(),
        }
    }

    /// The socket of this name, once.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Option<BoundSocket>> {
        let Some(place) = self.names.iter().position(|known| known == name) else {
            return Ok(None);
        };
        // What is no unix socket is left in its place, for the second question.
        if let Ok(Some(socket)) = self.sockets.take_unix_listener(place) {
            socket.set_nonblocking(true)?;
            return Ok(Some(BoundSocket::Inherited(UnixListener::from_std(
                socket,
            )?)));
        }
        let Some(socket) = self.sockets.take_tcp_listener(place)? else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        Ok(Some(BoundSocket::Tcp(TcpListener::from_std(socket)?)))
    }
}
