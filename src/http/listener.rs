//! The socket of the HTTP server.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

use crate::{
    config::HttpListen,
    sockets::{SocketError, UnixSocket, bind_tcp},
};

/// A bound socket. A socket file is removed when it is dropped.
#[derive(Debug)]
pub struct HttpListener(Socket);

impl HttpListener {
    /// Binds the address; none comes of [`HttpListen::Off`].
    ///
    /// # Errors
    ///
    /// The address cannot be had.
    pub async fn bind(address: &HttpListen) -> Result<Option<Self>, SocketError> {
        Ok(match address {
            HttpListen::Off => None,
            HttpListen::Tcp(address) => Some(Self(Socket::Tcp(bind_tcp(*address).await?))),
            HttpListen::Unix(path) => Some(Self(Socket::Unix(
                UnixSocket::bind(path, MODE, None).await?,
            ))),
        })
    }

    /// The address that was bound, which tells the port if 0 was asked for; none for a
    /// socket file.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// The next connection; an error in accepting one is no reason to stop.
    pub(super) async fn accept_patiently(&self) -> Box<dyn Duplex> {
        loop {
            match self.accept().await {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "no HTTP connection could be accepted");
                    // Too many open files, mostly: to try again at once would be a busy loop.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        match &self.0 {
            Socket::Tcp(listener) => Ok(Box::new(listener.accept().await?.0)),
            Socket::Unix(socket) => Ok(Box::new(socket.listener().accept().await?.0)),
        }
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// For the owner and the group: `http.listen` has no setting for more.
const MODE: u32 = 0o660;

/// A connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
