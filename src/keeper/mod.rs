//! The life of the keys: looks at the DNS, takes each key through its states, makes
//! successors in time, and says what the DNS administrators still have to do.
//!
//! ```text
//! every check_every, or every minute where something waits; by a clock of its own for each
//! organisation:
//!   keyring ──> observe, judge ──> sights ──> plan (pure) ──> apply, make keys ──> report
//! ```
//!
//! Never on the way of a message: the signer sees what is done here by the generation of the
//! keystore. One keeper works on a keystore; the lock says which.
//!
//! SECURITY: reads a private key before it lets it sign, and where the keyring lacks its public
//! half; writes the keystore; asks the DNS.

mod agenda;
mod alarms;
mod beginning;
mod cadence;
mod check;
mod climbing;
mod clock;
mod collect;
mod complaints;
mod fleet;
mod hooks;
mod journal;
mod leads;
mod passed;
mod policies;
mod progress;
mod reports;
mod requests;
mod round;
mod shown;
mod single;
mod sorting;
mod survey;
mod work;

use std::{path::Path, process::ExitCode, sync::Arc};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, watch},
    task::AbortHandle,
};

use self::{
    beginning::Beginning,
    check::Checker,
    collect::{Collector, Facts},
    fleet::Fleet,
    hooks::Hooks,
    round::Rounds,
    work::Attention,
};
pub use self::{round::Duty, single::look};
use crate::{
    config::{HttpListen, KeeperSettings, Loaded, Reader},
    http::{self, HttpState, Role},
    keys::LastPassed,
    keystore::{KeeperLock, Keystore},
    observe::{metrics::keeper::KeeperMetrics, readiness::Readiness},
    process::{self, RunError, Started, systemd},
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
    let mut lock = None;
    let attention = runtime.block_on(serve(hangup, reader, loaded, duty, &mut lock));
    if lock.is_some() {
        // Waits for what is being written, for which the lock has to be held.
        drop(runtime);
    } else {
        // Nothing was written, and a disk that hangs is waited for by nobody.
        runtime.shutdown_background();
    }
    Ok(match attention? {
        Attention::NotNeeded => ExitCode::SUCCESS,
        Attention::Needed => ExitCode::FAILURE,
    })
}

async fn serve(
    mut hangup: Signal,
    reader: Reader,
    loaded: Loaded,
    duty: Duty,
    lock: &mut Option<KeeperLock>,
) -> Result<Attention, RunError> {
    let mut end = End::new()?;
    let metrics = KeeperMetrics::with_series(loaded.settings.organisation_series);
    let readiness = Readiness::default();
    let stop = watch::Sender::new(false);
    if duty == Duty::Always {
        serve_http(&loaded.settings.keeper.http, &metrics, &readiness, &stop).await;
        systemd::ready();
    }
    let mut beginning = Beginning::new(reader, loaded, readiness);
    let cut = when_cut(duty);
    let opened = tokio::select! {
        opened = beginning.wait(duty, &mut hangup) => opened?,
        () = end.comes() => return Ok(cut),
    };
    // Held to the end: a second keeper is told who has it.
    *lock = Some(opened.lock);
    let Beginning { reader, loaded, .. } = beginning;
    let (keystore, without) = (opened.keystore, opened.without_sealing_keys);
    let keeping = async {
        if loaded.settings.follows() {
            return Ok(share(&mut Fleet::new(&loaded.settings, &keystore), duty).await);
        }
        let parts = (reader, loaded, keystore, without);
        lead(parts, (metrics, duty), &mut hangup).await
    };
    let attention = tokio::select! {
        attention = keeping => attention?,
        () = end.comes() => cut,
    };
    systemd::stopping();
    stop.send_replace(true);
    Ok(attention)
}

/// Looks at the DNS and takes the steps: once, or until this is dropped.
async fn lead(
    (reader, loaded, keystore, without_sealing_keys): (Reader, Loaded, Keystore, Option<String>),
    (metrics, duty): (KeeperMetrics, Duty),
    hangup: &mut Signal,
) -> Result<Attention, RunError> {
    let mut fleet = Fleet::new(&loaded.settings, &keystore);
    let collecting = Collecting::start(&loaded, &keystore, duty);
    let (passed, known) = watch::channel(None);
    let checker = checker(&keystore, known, without_sealing_keys.as_deref());
    let parts = (keystore.clone(), checker);
    let mut rounds = Rounds::new(reader, loaded, parts, metrics.clone())?;
    let wish = rounds.wish();
    if duty == Duty::Always {
        let hooks = Hooks::new(keystore.clone(), rounds.scene(), collecting.facts.clone());
        tokio::spawn(hooks.work());
        let mut fleet = fleet.take();
        tokio::spawn(async move { share(&mut fleet, duty).await });
    }
    look_at_reports(duty, &rounds, (keystore, metrics, passed)).await;
    let work = rounds.work(duty);
    tokio::pin!(work);
    // A round is cut at an organisation's border; the end of the runtime waits for what is written.
    let attention = loop {
        tokio::select! {
            attention = &mut work => break attention,
            _ = hangup.recv() => {
                wish.notify_one();
                collecting.wish.notify_one();
            }
        }
    };
    // What a single round changed.
    let attention = attention.max(share(&mut fleet, Duty::Once).await);
    Ok(without_sealing_keys.map_or(attention, |_| Attention::Needed))
}

/// SIGTERM or SIGINT.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn new() -> Result<Self, RunError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Keeps folder and database alike: once, or for ever.
async fn share(fleet: &mut Option<Fleet>, duty: Duty) -> Attention {
    match (fleet, duty) {
        (None, _) => Attention::NotNeeded,
        (Some(fleet), Duty::Once) => fleet.look().await,
        (Some(fleet), Duty::Always) => fleet.work().await,
    }
}

/// Of a keeper that is told to stop: nobody knows what the rest of a single round would have found.
fn when_cut(duty: Duty) -> Attention {
    match duty {
        Duty::Once => Attention::Needed,
        Duty::Always => Attention::NotNeeded,
    }
}

/// What looks at organisations. Without sealing keys it makes no key, which is said here for all.
fn checker(
    keystore: &Keystore,
    known: watch::Receiver<Option<Arc<LastPassed>>>,
    without_sealing_keys: Option<&str>,
) -> Checker {
    let mut checker = Checker::new(keystore.clone(), known);
    if let Some(reason) = without_sealing_keys {
        tracing::error!("no key is made in this round, and none begins to sign: {reason}");
        checker.make_no_keys();
    }
    checker
}

/// For as long as the keeper works; once, before a single round.
async fn look_at_reports(
    duty: Duty,
    rounds: &Rounds,
    (keystore, metrics, passed): (
        Keystore,
        KeeperMetrics,
        watch::Sender<Option<Arc<LastPassed>>>,
    ),
) {
    let watch = reports::Watch {
        scene: rounds.scene(),
        keystore,
        metrics,
        passed,
        records: rounds.policies.records(),
    };
    match duty {
        Duty::Always => drop(tokio::spawn(watch.work())),
        // There is no later look that could make good what this one did not know.
        Duty::Once => {
            reports::look_for_passed(&watch.scene, &watch.keystore, &watch.passed).await;
        }
    }
}

/// The counting of mail that is not signed, until this is dropped.
struct Collecting {
    /// Notified when someone wants it done now.
    wish: Arc<Notify>,
    /// What the signers know of organisations.
    facts: watch::Receiver<Facts>,
    task: Option<AbortHandle>,
}

impl Collecting {
    fn start(loaded: &Loaded, keystore: &Keystore, duty: Duty) -> Self {
        let wish = Arc::<Notify>::default();
        let (sender, facts) = watch::channel(None);
        // A single round is over too soon to see anything come.
        let collector = Collector::new(&loaded.settings, keystore, sender.clone());
        let collector = collector.filter(|_| duty == Duty::Always);
        if collector.is_none() {
            // Nobody will tell more.
            sender.send_replace(Some(Arc::default()));
        }
        let task = collector.map(|collector| {
            let work = collector.work(Arc::clone(&wish));
            tokio::spawn(work).abort_handle()
        });
        Self { wish, facts, task }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Serves the pages, as soon as their address can be had: keys do not wait for that.
async fn serve_http(
    address: &HttpListen,
    metrics: &KeeperMetrics,
    readiness: &Readiness,
    stop: &watch::Sender<bool>,
) {
    let keeping = readiness.listener("keeper");
    keeping.accepting();
    let state = HttpState {
        role: Role::Keeper(metrics.clone()),
        readiness: readiness.clone(),
    };
    let mut receiver = stop.subscribe();
    let stopped = async move {
        let _ = receiver.wait_for(|stop| *stop).await;
    };
    let address = address.clone();
    if address == KeeperSettings::default().http {
        let serving = http::optional_pages("keeper.http", address, state, stopped).await;
        tokio::spawn(async move {
            serving.await;
            drop(keeping);
        });
        return;
    }
    let (_, serving) = http::pages("keeper.http", address, state, stopped).await;
    tokio::spawn(async move {
        serving.await;
        drop(keeping);
    });
}
