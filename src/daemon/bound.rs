//! The milter sockets: made here, or passed on by systemd.

use std::{net::SocketAddr, path::PathBuf};

use super::InheritedSockets;
use crate::{
    config::{ListenerSettings, Socket},
    milter::BoundSocket,
    process::{RunError, patiently},
    sockets::{SocketError, UnixSocket, bind_tcp},
};

/// The socket of a listener.
pub(super) enum Found {
    /// It is bound.
    There(BoundSocket),
    /// It can't be had for now.
    Missing(OwnSocket, SocketError),
}

/// A socket that is not systemd's.
#[derive(Clone, Debug)]
pub(super) enum OwnSocket {
    Tcp(SocketAddr),
    Unix {
        path: PathBuf,
        mode: u32,
        group: Option<String>,
    },
}

/// Takes or binds the socket of a listener.
///
/// # Errors
///
/// When the listener wants a socket of systemd's that is not there, or not as it should be: no
/// later try would find another.
pub(super) async fn find(
    settings: &ListenerSettings,
    inherited: &mut InheritedSockets,
) -> Result<Found, RunError> {
    let own = match &settings.socket {
        Socket::Inherited(name) => return take(settings, name, inherited).map(Found::There),
        Socket::Tcp(address) => OwnSocket::Tcp(*address),
        Socket::Unix { path, mode, group } => OwnSocket::Unix {
            path: path.clone(),
            mode: *mode,
            group: group.clone(),
        },
    };
    Ok(match own.bind().await {
        Ok(socket) => Found::There(socket),
        Err(error) => Found::Missing(own, error),
    })
}

fn take(
    settings: &ListenerSettings,
    name: &str,
    inherited: &mut InheritedSockets,
) -> Result<BoundSocket, RunError> {
    let socket = inherited
        .take(name)?
        .ok_or_else(|| RunError::NotInherited {
            listener: settings.name.clone(),
            name: name.to_owned(),
        })?;
    if settings.allow_users.is_some() && socket.tcp_address().is_some() {
        return Err(RunError::NoUsers(settings.name.clone()));
    }
    Ok(socket)
}

impl OwnSocket {
    async fn bind(&self) -> Result<BoundSocket, SocketError> {
        match self {
            Self::Tcp(address) => bind_tcp(*address).await.map(BoundSocket::Tcp),
            Self::Unix { path, mode, group } => {
                let bound = UnixSocket::bind(path, *mode, group.as_deref()).await;
                bound.map(BoundSocket::Unix)
            }
        }
    }
}

impl Found {
    /// The TCP address, if one was bound.
    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::There(socket) => socket.tcp_address(),
            Self::Missing(..) => None,
        }
    }

    /// Waits until the socket of this listener can be had. `tell` hears why it can't.
    pub(super) async fn come(self, listener: &str, tell: impl Fn(Option<&str>)) -> BoundSocket {
        match self {
            Self::There(socket) => socket,
            Self::Missing(own, error) => {
                let bind = || {
                    let own = own.clone();
                    async move { own.bind().await }
                };
                patiently(&format!("listener {listener}"), error, bind, tell).await
            }
        }
    }
}
