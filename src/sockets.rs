//! Sockets that are listened on: made, replaced when a dead process left them, removed.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system refuses the TCP address.
    #[error("cannot listen on {address}: {source}; {}", tcp_advice(source))]
    Tcp {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses the socket file.
    #[error("cannot listen on {}: {source}; {}", path.display(), unix_advice(source))]
    Unix {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The socket file can't be given to the group.
    #[error(
        "cannot give {} to the group {group}: {source}; add the user that Zegel runs as to \
         that group, or let systemd make the socket (zegel.socket)",
        path.display()
    )]
    Group {
        /// As configured.
        path: PathBuf,
        /// As configured.
        group: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another process answers on the socket file.
    #[error("another process listens on {}; stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// Something that is not a socket has the name; it is left alone.
    #[error("{} exists and is not a socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
}

/// Listens on a TCP address; port 0 asks for any.
///
/// # Errors
///
/// When the system refuses it.
pub async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, SocketError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| SocketError::Tcp { address, source })
}

/// A socket file that is listened on. It is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    _file: SocketFile,
}

impl UnixSocket {
    /// Listens on `path`, with these permission bits, and gives the file to `group` (a name
    /// of `/etc/group`, or a number). A socket file that nobody answers on is replaced.
    ///
    /// # Errors
    ///
    /// When the path can't be had.
    pub async fn bind(path: &Path, mode: u32, group: Option<&str>) -> Result<Self, SocketError> {
        remove_stale(path).await?;
        let failure = |source| SocketError::Unix {
            path: path.to_owned(),
            source,
        };
        // Until the mode is set nobody else may connect, unless the umask lets others write.
        let listener = UnixListener::bind(path).map_err(failure)?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: identity(path).map_err(failure)?,
        };
        if let Some(group) = group {
            give_to_group(path, group).map_err(|source| SocketError::Group {
                path: path.to_owned(),
                group: group.to_owned(),
                source,
            })?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failure)?;
        Ok(Self {
            listener,
            _file: file,
        })
    }

    /// The socket itself.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: a successor may have taken the name when this one ends.
    identity: (u64, u64),
}

impl Drop for SocketFile {
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
async fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failure = |source| SocketError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failure(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failure)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failure(error)),
        // A full backlog is an error too, and a sign of life.
        Ok(_) | Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// The number of a user of this host: of `/etc/passwd`, or written as a number.
///
/// # Errors
///
/// When there is no such user.
pub fn user_number(user: &str) -> io::Result<u32> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    number_of(&fs::read_to_string("/etc/passwd")?, user)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/etc/passwd has no such user"))
}

fn give_to_group(path: &Path, group: &str) -> io::Result<()> {
    let number = match group.parse() {
        Ok(number) => number,
        Err(_) => number_of(&fs::read_to_string("/etc/group")?, group).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "/etc/group has no such group")
        })?,
    };
    std::os::unix::fs::lchown(path, None, Some(number))
}

/// The number of a group in the text of group(5), or of a user in that of passwd(5).
fn number_of(text: &str, name: &str) -> Option<u32> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
}

fn tcp_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "choose another port, or stop the program that has this one",
        io::ErrorKind::AddrNotAvailable => "this host does not have that address",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 on",
        _ => "choose another address",
    }
}

fn unix_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make its folder first",
        io::ErrorKind::PermissionDenied => "the user that Zegel runs as must own its folder",
        _ => "choose another path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn modes_and_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let own = fs::metadata(folder.path()).unwrap().gid().to_string();
        let socket = UnixSocket::bind(&path, 0o660, Some(&own)).await.unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o660);
        assert!(socket.listener().local_addr().is_ok());
        drop(socket);
        assert!(!path.exists());
        let refused = UnixSocket::bind(&path, 0o660, Some("no-such-group")).await;
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("no-such-group") && text.contains("zegel.socket"),
            "{text}"
        );
        assert!(!path.exists());
    }

    #[test]
    fn groups_and_users() {
        let text = "root:x:0:\npostfix:x:115:zegel\npostdrop:x:116:\n";
        assert_eq!(number_of(text, "postfix"), Some(115));
        assert_eq!(number_of(text, "post"), None);
        assert_eq!(number_of("broken\npostfix:x", "postfix"), None);
        assert_eq!(user_number("root").ok(), Some(0));
        assert_eq!(user_number("89").ok(), Some(89));
        assert!(user_number("no-such-user").is_err());
    }
}
