//! The life of the keys: looks at the DNS, takes each key through its states, makes
//! successors in time, and says what the DNS administrators still have to do.
//!
//! ```text
//! every check_every, by a clock of its own for each organisation:
//!   keyring ──> observe, judge ──> sights ──> plan (pure) ──> apply, make keys ──> report
//! ```
//!
//! Never on the way of a message: the signer sees what is done here by the generation of the
//! keystore. One keeper works on a keystore; the lock says which.
//!
//! SECURITY: reads a private key before it lets it sign, and where the keyring lacks its public
//! half; writes the keystore; asks the DNS.

mod agenda;
mod check;
mod clock;
mod journal;
mod round;

use std::{path::Path, process::ExitCode};

use jiff::Timestamp;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

pub use self::round::Duty;
use self::round::{Attention, Rounds};
use crate::{
    config::{HttpListen, Loaded, Reader},
    http::{self, HttpListener, HttpState, Role},
    keystore::Keystore,
    observe::{metrics::keeper::KeeperMetrics, readiness::Readiness},
    process::{self, RunError, Started, systemd},
    sockets::SocketError,
};

/// `zegel keeper`. With [`Duty::Once`] the status is 1 if something needs attention.
pub fn run(config_file: &Path, duty: Duty) -> ExitCode {
    process::run(config_file, &mut Builder::new_multi_thread(), |started| {
        keep(started, duty)
    })
}

fn keep(started: Started, duty: Duty) -> Result<ExitCode, RunError> {
    let Started {
        runtime,
        hangup,
        reader,
        loaded,
    } = started;
    let keystore = loaded.settings.open_keystore()?;
    // Held to the end: a second keeper is told who has it.
    let _lock = keystore.keep(Timestamp::now())?;
    let attention = runtime.block_on(serve(hangup, reader, loaded, keystore, duty));
    // Waits for what is being written, for which the lock has to be held.
    drop(runtime);
    Ok(match attention? {
        Attention::NotNeeded => ExitCode::SUCCESS,
        Attention::Needed => ExitCode::FAILURE,
    })
}

async fn serve(
    mut hangup: Signal,
    reader: Reader,
    loaded: Loaded,
    keystore: Keystore,
    duty: Duty,
) -> Result<Attention, RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = KeeperMetrics::with_series(loaded.settings.organisation_series);
    let stop = watch::Sender::new(false);
    if duty == Duty::Always {
        let served = serve_http(&loaded.settings.keeper.http, &metrics, &stop).await;
        served.map_err(|source| RunError::Http {
            setting: "keeper.http",
            source,
        })?;
    }
    let mut rounds = Rounds::new(reader, loaded, keystore, metrics)?;
    if duty == Duty::Always {
        systemd::ready();
    }
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
    systemd::stopping();
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
        role: Role::Keeper(metrics.clone()),
        readiness,
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
