//! The life of the keys: looks at the DNS, takes each key through its states, makes
//! successors in time, and says what the DNS administrators still have to do.
//!
//! ```text
//! every check_every, spread over the organisations:
//!   keyring ──> observe, judge ──> sights ──> plan (pure) ──> apply, make keys ──> report
//! ```
//!
//! Never on the way of a message: the signer sees what is done here by the generation of the
//! keystore. One keeper works on a keystore; the lock says which.
//!
//! SECURITY: reads private keys once, for their public halves; writes the keystore; asks the
//! DNS.

mod check;
mod clock;
mod journal;
mod round;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use self::round::Rounds;
use crate::{
    config::{self, HttpListen, Loaded, LogFormat, Problems},
    dns::DnsError,
    http::{self, HttpListener, HttpState},
    keystore::{Keystore, KeystoreError},
    observe::{
        logging::{self, LoggingError},
        metrics::keeper::KeeperMetrics,
        readiness::Readiness,
    },
    sockets::SocketError,
};

/// The exit status for a configuration that can't be used (sysexits: `EX_CONFIG`).
const EXIT_CONFIGURATION: u8 = 78;

/// How long the keeper works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// One round, for a timer.
    Once,
    /// Until it is told to stop.
    Always,
}

/// Why the keeper does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Configuration(#[from] Problems),
    #[error("{0}")]
    Logging(#[from] LoggingError),
    #[error("{0}")]
    Keystore(#[from] KeystoreError),
    #[error("keeper.resolvers: {0}")]
    Resolvers(#[from] DnsError),
    #[error("keeper.http: {0}")]
    Http(#[from] SocketError),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// `zegel keeper`. With [`Duty::Once`] the status is 1 if something needs attention.
pub fn run(config_file: &Path, duty: Duty) -> ExitCode {
    let mut format = LogFormat::Text;
    match keep(config_file, duty, &mut format) {
        Ok(Attention::NotNeeded) => ExitCode::SUCCESS,
        Ok(Attention::Needed) => ExitCode::FAILURE,
        Err(error) => {
            logging::last_words(format, &error);
            match error {
                StartError::Configuration(_) | StartError::Logging(_) => {
                    ExitCode::from(EXIT_CONFIGURATION)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether a round found what somebody should look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attention {
    NotNeeded,
    Needed,
}

fn keep(config_file: &Path, duty: Duty, format: &mut LogFormat) -> Result<Attention, StartError> {
    let loaded = config::load(config_file)?;
    *format = loaded.settings.log.format;
    let _log = logging::init(loaded.settings.log.format, &loaded.settings.log.filter)?;
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    // Held to the end: a second keeper is told who has it.
    let _lock = keystore.keep(Timestamp::now())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config_file.to_owned(), (loaded, keystore), duty))
}

async fn serve(
    config_file: PathBuf,
    (loaded, keystore): (Loaded, Keystore),
    duty: Duty,
) -> Result<Attention, StartError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Without this it would end the keeper.
    let mut hangup = signal(SignalKind::hangup())?;
    let metrics = KeeperMetrics::with_series(loaded.settings.organisation_series);
    let stop = watch::Sender::new(false);
    if duty == Duty::Always {
        serve_http(&loaded.settings.keeper.http, &metrics, &stop).await?;
    }
    let mut rounds = Rounds::new(config_file, loaded, keystore, metrics)?;
    let wish = rounds.wish();
    let work = rounds.work(duty);
    tokio::pin!(work);
    // Nobody knows what the rest of a single round would have found.
    let cut = match duty {
        Duty::Once => Attention::Needed,
        Duty::Always => Attention::NotNeeded,
    };
    // A round is cut at an organisation's border: what is written is written whole, since
    // the end of the runtime waits for it.
    let attention = loop {
        tokio::select! {
            attention = &mut work => break attention,
            _ = terminate.recv() => break cut,
            _ = interrupt.recv() => break cut,
            _ = hangup.recv() => wish.notify_one(),
        }
    };
    stop.send_replace(true);
    Ok(attention)
}

async fn serve_http(
    address: &HttpListen,
    metrics: &KeeperMetrics,
    stop: &watch::Sender<bool>,
) -> Result<(), SocketError> {
    let Some(listener) = HttpListener::bind(address).await? else {
        return Ok(());
    };
    let readiness = Readiness::default();
    let keeping = readiness.listener("keeper");
    keeping.accepting();
    let state = HttpState {
        metrics: std::sync::Arc::new(metrics.clone()),
        readiness,
        page: None,
    };
    let mut receiver = stop.subscribe();
    tokio::spawn(async move {
        let stopped = async move {
            let _ = receiver.wait_for(|stop| *stop).await;
        };
        http::serve(listener, state, stopped).await;
        drop(keeping);
    });
    Ok(())
}
