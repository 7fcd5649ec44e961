//! The socket of the HTTP server, and what bounds its connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
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

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Accepts no more connections than there are permits, and gives each a time to end.
pub(super) struct LimitedListener {
    listener: HttpListener,
    permits: Arc<Semaphore>,
    lifetime: Duration,
}

impl LimitedListener {
    pub(super) fn new(listener: HttpListener, connections: usize, lifetime: Duration) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections)),
            lifetime,
        }
    }

    async fn accept_patiently(&self) -> Box<dyn Duplex> {
        loop {
            match self.listener.accept().await {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "no HTTP connection could be accepted");
                    // Too many open files, mostly: to try again at once would be a busy loop.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl axum::serve::Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = ();

    async fn accept(&mut self) -> (LimitedStream, ()) {
        // Never an error, since the semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let stream = self.accept_patiently().await;
        let deadline = Box::pin(tokio::time::sleep(self.lifetime));
        let limited = LimitedStream {
            stream,
            deadline,
            _permit: permit,
        };
        (limited, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that fails at its deadline, whether it waits, reads or writes.
pub(super) struct LimitedStream {
    stream: Box<dyn Duplex>,
    deadline: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl LimitedStream {
    /// The stream, as long as there is time; the deadline wakes the task too.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut dyn Duplex>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Pin::new(&mut *self.stream))
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?.poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_shutdown(context)
    }
}
