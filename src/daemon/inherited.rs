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
    /// For each descriptor, whether a listener has it.
    taken: Vec<bool>,
}

impl InheritedSockets {
    /// Takes them over from the environment; the names are those of `FileDescriptorName=`.
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        Self {
            names: names.split(':').map(str::to_owned).collect(),
            taken: vec![false; sockets.len()],
            sockets,
        }
    }

    /// None at all.
    pub fn none() -> Self {
        Self {
            names: Vec::new(),
            sockets: ListenFd::empty(),
            taken: Vec::new(),
        }
    }

    /// The names of those that nobody has taken.
    pub(super) fn unanswered(&self) -> Vec<String> {
        let free = self.taken.iter().enumerate().filter(|(_, taken)| !**taken);
        free.map(|(place, _)| match self.names.get(place) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("descriptor {}", place + 3),
        })
        .collect()
    }

    /// The socket of this name, once.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Option<BoundSocket>> {
        let Some(place) = self.names.iter().position(|known| known == name) else {
            return Ok(None);
        };
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = true;
        }
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
