//! Why the signer does not start, or does not go on.

use std::process::ExitCode;

use crate::{
    config::Problems, keystore::KeystoreError, observe::logging::LoggingError, sockets::SocketError,
};

/// The exit status for a configuration that can't be used (sysexits: `EX_CONFIG`).
const EXIT_CONFIGURATION: u8 = 78;

/// Why the signer does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// `zegel.toml` or an organisation file.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// `log.filter`.
    #[error("{0}")]
    Logging(#[from] LoggingError),
    /// The keystore as a whole.
    #[error("{0}")]
    Keystore(#[from] KeystoreError),
    /// A milter socket.
    #[error("listener {name}: {source}")]
    Listener {
        /// The listener.
        name: String,
        /// What is wrong.
        source: SocketError,
    },
    /// A socket that systemd should have passed on.
    #[error(
        "listener {listener}: no socket named {name} was passed on by systemd; start \
         zegel.socket with FileDescriptorName={name}, or give the listener a path"
    )]
    NotInherited {
        /// The listener.
        listener: String,
        /// The name of the descriptor.
        name: String,
    },
    /// A TCP socket of systemd's for a listener that asks for the user of its peers.
    #[error(
        "listener {0}: systemd passed on a TCP socket, and who connects by TCP has no user that \
         allow_users could ask for; take allow_users out, or make it a unix socket"
    )]
    NoUsers(String),
    /// Sockets that systemd passed on and that nobody would answer on.
    #[error(
        "systemd passed on {names}, which no listener has: an MTA would wait there for ever; \
         give a listener in zegel.toml `socket = \"fd:NAME\"`, or disable that .socket unit"
    )]
    Unanswered {
        /// The names of the descriptors.
        names: String,
    },
    /// A listener came to an end by itself.
    #[error("a listener has ended, which it never should: the log says why")]
    ListenerEnded,
    /// The HTTP socket.
    #[error("http.listen: {0}")]
    Http(SocketError),
    /// The system.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl RunError {
    /// 78 where the configuration is to be mended, 1 where the system is.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_)
            | Self::Logging(_)
            | Self::NotInherited { .. }
            | Self::NoUsers(_)
            | Self::Unanswered { .. } => ExitCode::from(EXIT_CONFIGURATION),
            _ => ExitCode::FAILURE,
        }
    }
}
