//! What `zegel run` and `zegel keeper` have in common as processes: they listen for SIGHUP, read
//! the configuration, start the log, work, and say why they end.

mod complaint;
mod patience;
pub mod systemd;

use std::{path::Path, process::ExitCode};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

pub use self::{complaint::Complaint, patience::patiently};
use crate::{
    config::{Loaded, LogFormat, Problems, Reader},
    dns::DnsError,
    keystore::KeystoreError,
    observe::logging::{self, LoggingError},
};

/// The exit status for a configuration that can't be used (sysexits: `EX_CONFIG`).
pub const EXIT_CONFIGURATION: u8 = 78;

/// What a process has when its work begins.
pub struct Started {
    /// To work in.
    pub runtime: Runtime,
    /// SIGHUP, from the beginning: however many came before the work began count as one.
    pub hangup: Signal,
    /// Has read the configuration, and can read what changes in it later.
    pub reader: Reader,
    /// The configuration.
    pub loaded: Loaded,
}

/// Reads the configuration, starts the log and does `work`, in a runtime of this make. Why that
/// fails is said on stderr.
pub fn run(
    config_file: &Path,
    make: &mut Builder,
    work: impl FnOnce(Started) -> Result<ExitCode, RunError>,
) -> ExitCode {
    let mut format = LogFormat::Text;
    let start_and_work = || {
        let runtime = make.enable_all().build()?;
        // Before anything that takes time: until then a SIGHUP ends the process, which systemd
        // takes for a clean end.
        let hangup = {
            let _entered = runtime.enter();
            signal(SignalKind::hangup())?
        };
        let mut reader = Reader::new(config_file);
        let loaded = reader.load()?;
        format = loaded.settings.log.format;
        let _log = logging::init(format, &loaded.settings.log.filter)?;
        work(Started {
            runtime,
            hangup,
            reader,
            loaded,
        })
    };
    start_and_work().unwrap_or_else(|error| {
        logging::last_words(format, &error);
        error.exit_code()
    })
}

/// Why the signer or the keeper does not start, or does not go on.
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
    /// `keeper.resolvers`.
    #[error("keeper.resolvers: {0}")]
    Resolvers(#[from] DnsError),
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
    /// The system.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl RunError {
    /// Whether trying again is of no use: the keystore wants another configuration.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Keystore(error) if error.is_of_configuration())
    }

    /// 78 where the configuration needs a change, 1 where the system does.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_)
            | Self::Logging(_)
            | Self::NotInherited { .. }
            | Self::NoUsers(_)
            | Self::Unanswered { .. } => ExitCode::from(EXIT_CONFIGURATION),
            Self::Keystore(_) if self.is_final() => ExitCode::from(EXIT_CONFIGURATION),
            _ => ExitCode::FAILURE,
        }
    }
}
