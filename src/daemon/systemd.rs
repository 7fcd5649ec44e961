//! systemd: the sockets that it made and passes on (sd_listen_fds(3)), and its watchdog.

use std::{io, time::Duration};

use listenfd::ListenFd;
use tokio::{
    net::{TcpListener, UnixListener},
    time::{sleep, timeout},
};

use crate::{milter::BoundSocket, observe::readiness::Readiness, process::systemd};

/// The sockets that this process was started with, by name. Since the kernel keeps connections
/// waiting on them, a restart refuses none.
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
        self.taken
            .iter()
            .enumerate()
            .filter(|(_, taken)| !**taken)
            .map(|(place, _)| match self.names.get(place) {
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
            let socket = UnixListener::from_std(socket)?;
            return Ok(Some(BoundSocket::Inherited(socket)));
        }
        let Some(socket) = self.sockets.take_tcp_listener(place)? else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        Ok(Some(BoundSocket::Tcp(TcpListener::from_std(socket)?)))
    }
}

/// So many pings may be lost until systemd ends the process.
const PINGS: u32 = 4;

/// Pings the watchdog of systemd (`WatchdogSec=`) for as long as systemd wants it. It hears
/// from us only while connections can be accepted: a timer that pings whatever happens would
/// prove that there is a timer. Here each ping takes the runtime a round through every
/// listener, to where it accepts.
pub(super) async fn ping_watchdog(readiness: Readiness) {
    let Some(period) = systemd::watchdog_period() else {
        return;
    };
    let rest = (period / PINGS).max(Duration::from_millis(1));
    loop {
        if timeout(rest, readiness.answer()).await.is_ok() {
            systemd::alive();
        } else {
            tracing::error!("a listener does not answer: systemd is not told that all is well");
        }
        sleep(rest).await;
    }
}
