//! The socket of the HTTP server, and what bounds its connections.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

use super::{HttpAddress, HttpError};

/// A bound socket. A socket file is removed when it is dropped.
#[derive(Debug)]
pub struct HttpListener(Socket);

impl HttpListener {
    /// Binds the address; none comes of [`HttpAddress::Off`]. A socket file that nobody
    /// answers on is replaced.
    ///
    /// # Errors
    ///
    /// The address cannot be had.
    pub async fn bind(address: &HttpAddress) -> Result<Option<Self>, HttpError> {
        match address {
            HttpAddress::Off => Ok(None),
            HttpAddress::Tcp(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Some(Self(Socket::Tcp(listener)))),
                Err(source) => Err(HttpError::Tcp {
                    address: *address,
                    source,
                }),
            },
            HttpAddress::Unix(path) => {
                remove_stale(path).await?;
                let bound = UnixSocket::bind(path).map_err(|source| HttpError::Unix {
                    path: path.clone(),
                    source,
                })?;
                Ok(Some(Self(Socket::Unix(bound))))
            }
        }
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
            Socket::Unix(socket) => Ok(Box::new(socket.listener.accept().await?.0)),
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

#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: a successor may have taken the name when this one ends.
    identity: (u64, u64),
}

impl UnixSocket {
    fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "socket file not removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Removes what a process that was killed left, and nothing else.
async fn remove_stale(path: &Path) -> Result<(), HttpError> {
    let failure = |source| HttpError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failure(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(HttpError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failure)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failure(error)),
        // A full backlog is an error too, and a sign of life.
        Ok(_) | Err(_) => Err(HttpError::InUse(path.to_owned())),
    }
}

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
