//! The signer as a process: start, reload, drain, stop.
//!
//! It starts in this order: configuration, log, keyrings, sockets, and only then "ready". What
//! may still come, such as a keystore that is not mounted or an address that the host does not
//! have yet, it tries again, with all the sockets that it could open: mail of ours is put off
//! meanwhile, and no mail of others waits. Private keys are read when mail needs them, or in the
//! background before that. A reload makes anew what has changed and puts the whole into use, or
//! keeps what there was and says why. On SIGTERM it accepts no more connections, finishes the
//! messages in progress, and closes the health page last.
//!
//! SECURITY: reads its configuration, the keystore and the sealing keys, writes nothing but its sockets.

mod bound;
mod files;
mod quiet;
mod reload;
mod systemd;
mod warnings;

use std::{io, net::SocketAddr, path::Path, process::ExitCode};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

pub use self::systemd::InheritedSockets;
use self::{
    bound::Found,
    files::Due,
    reload::{Reloader, care_for_keys, facts},
};
use crate::{
    config::{self, HttpListen, Loaded},
    http::{self, HttpState, Role},
    milter::{self, HeaderMemory, ListenerParts, ServiceParts, Turns},
    observe::{
        metrics::Metrics,
        readiness::{ListenerReadiness, Readiness},
    },
    page::Page,
    process::{self, RunError, Started},
    snapshot::SnapshotHolder,
};

/// After so many tasks a busy thread looks for what has come in. A task is a signature or a
/// piece of a body, 100 to 300 µs, and a look costs 1 µs: with the 61 of tokio a message would
/// wait for 10 ms before anyone knows of it.
const TASKS_BETWEEN_EVENTS: u32 = 4;

/// `zegel run`: serves until SIGTERM or SIGINT.
pub fn run(config_file: &Path) -> ExitCode {
    let mut make = Builder::new_multi_thread();
    process::run(
        config_file,
        make.event_interval(TASKS_BETWEEN_EVENTS),
        serve,
    )
}

fn serve(started: Started) -> Result<ExitCode, RunError> {
    for warning in &started.loaded.warnings {
        tracing::warn!("{warning}");
    }
    for line in started.loaded.mistakes.lines() {
        tracing::error!("{line}");
    }
    log_panics();
    let inherited = InheritedSockets::from_environment();
    let result = started.runtime.block_on(async {
        // Before anything can send one.
        let signals = Signals::beside(started.hangup)?;
        let daemon = Daemon::start(started.reader, started.loaded, inherited).await?;
        process::systemd::ready();
        daemon.run(signals).await
    });
    // A reload that was given up may still be reading.
    started.runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

/// A signer that serves.
pub struct Daemon {
    reloader: Reloader,
    readiness: Readiness,
    addresses: Vec<(String, SocketAddr)>,
    listeners: JoinSet<()>,
    http: JoinSet<()>,
    /// What ends with the daemon, wherever it is.
    background: JoinSet<()>,
    /// Set to end the listeners, and then the pages.
    stop_listeners: watch::Sender<bool>,
    stop_http: watch::Sender<bool>,
}

impl Daemon {
    /// Reads the keyrings, binds all sockets and serves on them. `reader` is the one that has
    /// read `loaded`; a reload reads with it what has changed since. What can't be had yet, of
    /// the keystore and the sockets, is tried again while the rest serves.
    ///
    /// # Errors
    ///
    /// When the sockets of systemd and the configuration do not fit, or no key can be opened with
    /// the sealing keys of the configuration; nothing is left running.
    pub async fn start(
        reader: config::Reader,
        loaded: Loaded,
        mut inherited: InheritedSockets,
    ) -> Result<Self, RunError> {
        let metrics = Metrics::with_series(loaded.settings.organisation_series);
        let (first, missing) = reload::first(loaded, &metrics).await?;
        metrics.snapshot_in_use(&facts(&first));
        let snapshots = SnapshotHolder::new(first);
        let snapshot = snapshots.current();
        let readiness = Readiness::default();
        let handles = (metrics.clone(), snapshots.clone(), readiness.clone());
        let mut daemon = Self {
            reloader: Reloader::new(reader, handles.0, handles.1, handles.2),
            readiness: readiness.clone(),
            addresses: Vec::new(),
            listeners: JoinSet::new(),
            http: JoinSet::new(),
            background: JoinSet::new(),
            stop_listeners: watch::Sender::new(false),
            stop_http: watch::Sender::new(false),
        };
        if let Some(missing) = missing {
            daemon.reloader.complain(&missing);
        }
        let page = daemon.page(&snapshots, &metrics);
        let listeners = bind_all(&snapshots, &mut inherited, &metrics, &readiness).await?;
        let state = HttpState {
            role: Role::Signer {
                metrics: metrics.clone(),
                page,
            },
            readiness,
        };
        daemon.serve_http(&snapshot.settings().http, state).await;
        for listener in listeners {
            daemon.serve_listener(listener);
        }
        let other_keys = daemon.reloader.other_keys();
        daemon
            .background
            .spawn(care_for_keys(snapshots, metrics, other_keys));
        tracing::info!(
            organisations = snapshot.organisations().len(),
            listeners = snapshot.settings().listeners.len(),
            version = env!("CARGO_PKG_VERSION"),
            "signing"
        );
        Ok(daemon)
    }

    /// The status page, if the settings ask for one; its numbers are kept from now on.
    fn page(&mut self, snapshots: &SnapshotHolder, metrics: &Metrics) -> Option<Page> {
        let snapshot = snapshots.current();
        let settings = snapshot.settings();
        if !settings.http_page || settings.http == HttpListen::Off {
            return None;
        }
        let page = Page::new(snapshots.clone(), metrics.clone());
        self.background.spawn(page.clone().keep_history());
        Some(page)
    }

    /// The TCP addresses that were bound, by the name of the listener; `http` for the pages.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Serves until a signal says to stop.
    ///
    /// # Errors
    ///
    /// When a listener ends by itself; the others have been drained then.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), RunError> {
        self.background
            .spawn(systemd::ping_watchdog(self.readiness.clone()));
        let result = loop {
            let due = tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => Due::Everything,
                    Wish::Stop => break Ok(()),
                },
                due = self.reloader.changed() => due,
                _ = self.listeners.join_next(), if !self.listeners.is_empty() => {
                    break Err(RunError::ListenerEnded);
                }
            };
            if self.reload(due, &mut signals).await == Wish::Stop {
                break Ok(());
            }
        };
        process::systemd::stopping();
        self.stop().await;
        result
    }

    /// Reloads, and once more for each SIGHUP that comes meanwhile; gives up when told to stop.
    async fn reload(&mut self, due: Due, signals: &mut Signals) -> Wish {
        let mut due = Some(due);
        while let Some(now_due) = due.take() {
            process::systemd::reloading();
            let work = self.reloader.reload(now_due);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    () = &mut work => break,
                    wish = signals.next() => match wish {
                        Wish::Stop => return Wish::Stop,
                        Wish::Reload => due = Some(Due::Everything),
                    },
                }
            }
            process::systemd::ready();
        }
        Wish::Reload
    }

    /// Drains and stops.
    pub async fn stop(mut self) {
        self.readiness.drain();
        self.stop_listeners.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        self.stop_http.send_replace(true);
        while self.http.join_next().await.is_some() {}
        tracing::info!("stopped");
    }

    fn serve_listener(&mut self, listener: Listener) {
        let Listener {
            service,
            socket,
            allow_users,
            readiness,
        } = listener;
        if let Some(address) = socket.tcp_address() {
            self.addresses.push((service.name.clone(), address));
        }
        let mut stop = Box::pin(stopped(&self.stop_listeners));
        self.listeners.spawn(async move {
            let tell = |reason: Option<&str>| readiness.waits_for(reason);
            let socket = tokio::select! {
                socket = socket.come(&service.name, tell) => socket,
                () = &mut stop => return,
            };
            let parts = ListenerParts {
                service,
                socket,
                allow_users,
                readiness,
            };
            milter::listen(parts, stop).await;
        });
    }

    /// Mail does not wait for the pages, should their address not be there yet.
    async fn serve_http(&mut self, address: &HttpListen, state: HttpState) {
        let stopped = stopped(&self.stop_http);
        let (bound, serving) = http::pages("http.listen", address.clone(), state, stopped).await;
        let bound = bound.map(|address| ("http".to_owned(), address));
        self.addresses.extend(bound);
        self.http.spawn(serving);
    }
}

/// SIGHUP reloads, SIGTERM and SIGINT stop.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on; a storm of one signal counts once.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn install() -> io::Result<Self> {
        Self::beside(signal(SignalKind::hangup())?)
    }

    /// Listens for the others beside SIGHUP.
    fn beside(hangup: Signal) -> io::Result<Self> {
        Ok(Self {
            hangup,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    Reload,
    Stop,
}

fn stopped(sender: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut receiver = sender.subscribe();
    async move {
        // An error means that the daemon is gone, which is reason enough to stop.
        let _ = receiver.wait_for(|stop| *stop).await;
    }
}

/// A listener that is to be served, as soon as its socket is there.
struct Listener {
    service: ServiceParts,
    socket: Found,
    allow_users: Option<Vec<u32>>,
    readiness: ListenerReadiness,
}

/// Binds all sockets, as far as they can be had, and sees that none that was passed on is left
/// without an answer.
async fn bind_all(
    snapshots: &SnapshotHolder,
    inherited: &mut InheritedSockets,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Result<Vec<Listener>, RunError> {
    let turns = Turns::new(metrics.clone());
    let memory = HeaderMemory::new(metrics.clone());
    let mut listeners = Vec::new();
    for settings in &snapshots.current().settings().listeners {
        listeners.push(Listener {
            service: ServiceParts {
                name: settings.name.clone(),
                outbound: settings.outbound.clone(),
                observe: settings.observe,
                turns: turns.clone(),
                memory: memory.clone(),
                snapshots: snapshots.clone(),
                metrics: metrics.clone(),
            },
            socket: bound::find(settings, inherited).await?,
            allow_users: settings
                .allow_users
                .as_ref()
                .map(|users| users.iter().map(|user| user.number).collect()),
            readiness: readiness.listener(&settings.name),
        });
    }
    let unanswered = inherited.unanswered();
    if !unanswered.is_empty() {
        let names = unanswered.join(", ");
        return Err(RunError::Unanswered { names });
    }
    Ok(listeners)
}

/// Where a panic was, and not what it says: that may quote the message at hand.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            place = place.unwrap_or_default(),
            "panic: please report this place"
        );
    }));
}
