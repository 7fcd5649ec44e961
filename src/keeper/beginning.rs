//! What the keeper can't begin without: its keystore, for itself alone, and a resolver. Each may
//! still come, so it is looked for again and again.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::{
    signal::unix::Signal,
    task::{JoinHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use super::round::Duty;
use crate::{
    config::{Loaded, Reader, Settings},
    dns::{Limits, Observer},
    keystore::{KeeperLock, Keystore, KeystoreError},
    observe::readiness::Readiness,
    process::{Complaint, RunError, systemd},
};

/// How often it is tried again.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// A keeper that has not begun.
pub(super) struct Beginning {
    pub(super) reader: Reader,
    pub(super) loaded: Loaded,
    readiness: Readiness,
    complaint: Complaint,
}

/// The keystore, with the lock of the one keeper.
pub(super) struct Opened {
    pub(super) keystore: Keystore,
    pub(super) lock: KeeperLock,
    /// Why private keys can be neither opened nor made, in a single round that looks at the DNS all
    /// the same.
    pub(super) without_sealing_keys: Option<String>,
}

impl Beginning {
    pub(super) fn new(reader: Reader, loaded: Loaded, readiness: Readiness) -> Self {
        readiness.waits_for(Some("the keystore has not been opened yet"));
        Self {
            reader,
            loaded,
            readiness,
            complaint: Complaint::default(),
        }
    }

    /// Waits until the keeper can begin. SIGHUP reads the configuration again.
    ///
    /// # Errors
    ///
    /// With [`Duty::Once`] at once what is missing, but for sealing keys: its timer tries again. In
    /// the first attempt, what only a change of the configuration helps against; later it is waited
    /// for, as the signer does: whoever writes the sealing key may not be done with it.
    pub(super) async fn wait(
        &mut self,
        duty: Duty,
        hangup: &mut Signal,
    ) -> Result<Opened, RunError> {
        let mut tries = interval(TRY_EVERY);
        tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_first = true;
        loop {
            tokio::select! {
                _ = tries.tick() => {}
                _ = hangup.recv() => self.reload(),
            }
            match self.attempt(duty, hangup).await {
                Ok(opened) => {
                    self.readiness.waits_for(None);
                    if self.complaint.end() {
                        systemd::status("keeping");
                        tracing::info!("nothing is missing any more: the keeper begins");
                    }
                    return Ok(opened);
                }
                Err(error) if duty == Duty::Once || (is_first && error.is_final()) => {
                    return Err(error);
                }
                Err(error) => self.complain(&error.to_string()),
            }
            is_first = false;
        }
    }

    async fn attempt(&mut self, duty: Duty, hangup: &mut Signal) -> Result<Opened, RunError> {
        let mut opening = open(&self.loaded.settings, duty);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                // A file system that does not answer must not keep anyone from hearing that.
                () = tokio::time::sleep(TRY_EVERY * 5) => {
                    let path = self.loaded.settings.keystore_path.display();
                    let text = format!("{path}: its file system does not answer");
                    self.complain(&text);
                }
                _ = hangup.recv() => self.reload(),
            }
        };
        let opened = opened.map_err(std::io::Error::other)??;
        // Only to see whether there is a resolver.
        Observer::new(&self.loaded.settings.keeper.resolvers, Limits::default())?;
        Ok(opened)
    }

    fn complain(&mut self, missing: &str) {
        self.readiness.waits_for(Some(missing));
        if self.complaint.is_due(missing, Instant::now()) {
            let text = format!("no key is looked after until this is there: {missing}");
            systemd::status(&text);
            tracing::error!("{text}; it is tried again");
        }
    }

    fn reload(&mut self) {
        match self.reader.load() {
            Ok(loaded) => self.loaded = loaded,
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration has problems, all stays as it was");
            }
        }
    }
}

/// Opens it on a thread of its own: its file system may take its time.
fn open(settings: &Settings, duty: Duty) -> JoinHandle<Result<Opened, KeystoreError>> {
    let settings = settings.clone();
    spawn_blocking(move || {
        if settings.follows() {
            // Its folder comes from the database, and may be empty.
            let keystore = settings.make_keystore()?.by("keeper");
            let lock = keystore.keep(Timestamp::now())?;
            return Ok(Opened {
                keystore,
                lock,
                // It opens no key.
                without_sealing_keys: None,
            });
        }
        let keystore = settings.open_keystore()?.by("keeper");
        // A mount that failed leaves an empty folder, in which no key is to be made.
        keystore.check_initialised()?;
        let without_sealing_keys = check_sealing(&keystore, duty)?;
        let lock = keystore.keep(Timestamp::now())?;
        Ok(Opened {
            keystore,
            lock,
            without_sealing_keys,
        })
    })
}

/// Why a single round goes on without sealing keys: what the DNS shows is worth knowing all the
/// same, and somebody who may not read them can have it looked at.
fn check_sealing(keystore: &Keystore, duty: Duty) -> Result<Option<String>, KeystoreError> {
    match keystore.check_sealing() {
        Ok(unused) => {
            for file in &unused {
                tracing::warn!("{file}");
            }
            Ok(None)
        }
        // With those that can be read and are the wrong ones, keys would be made.
        Err(error) if duty == Duty::Once && keystore.sealing_keys().is_err() => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
