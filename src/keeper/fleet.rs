//! The database that several relays share: the keeper that leads brings there what changes in its
//! folder, and the others bring what is there into theirs.
//!
//! The database may be away at any time. Everything signs on from the folder, and it is tried
//! again.

use std::time::{Duration, Instant};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::work::Attention;
use crate::{
    config::{DatabaseSettings, Settings},
    database::{self, Database, DatabaseError},
    keystore::{Keystore, KeystoreError},
    process::Complaint,
};

/// How often the one who leads looks whether something changed in its folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A relay among others.
pub(super) struct Fleet {
    settings: DatabaseSettings,
    keystore: Keystore,
    relay: String,
    leads: bool,
    database: Option<Database>,
    /// The generation whose changes are in the database.
    uploaded: Option<u64>,
    /// When this relay last told of itself, and of which change.
    told: Option<(Instant, u64)>,
    complaint: Complaint,
}

impl Fleet {
    /// None without a database.
    pub(super) fn new(settings: &Settings, keystore: &Keystore) -> Option<Self> {
        let database = settings.database.clone()?;
        Some(Self {
            relay: database.relay_name(),
            settings: database,
            keystore: keystore.clone(),
            leads: settings.keeper.lead,
            database: None,
            uploaded: None,
            told: None,
            complaint: Complaint::default(),
        })
    }

    /// For as long as the keeper works.
    pub(super) async fn work(&mut self) -> ! {
        let pause = if self.leads {
            LOOK_EVERY.min(self.settings.poll_every)
        } else {
            self.settings.poll_every
        };
        let mut looks = interval(pause);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    /// Once; the log says what is wrong.
    pub(super) async fn look(&mut self) -> Attention {
        let done = if self.leads {
            self.lead().await
        } else {
            self.follow().await
        };
        let error = match done {
            Ok(()) => {
                if self.complaint.end() {
                    tracing::info!("the database and this folder agree again");
                }
                return Attention::NotNeeded;
            }
            Err(error) => error.to_string(),
        };
        // Perhaps the connection; the next look makes another one.
        self.database = None;
        if self.complaint.is_due(&error, Instant::now()) {
            tracing::error!("{error}; everything signs on from the folder, and it is tried again");
        }
        Attention::Needed
    }

    async fn lead(&mut self) -> Result<(), DatabaseError> {
        let keystore = self.keystore.clone();
        let generation = blocking(move || keystore.generation()).await?;
        let has_changed = self.uploaded != Some(generation);
        let is_due = self
            .told
            .is_none_or(|(when, _)| when.elapsed() >= self.settings.poll_every);
        if !has_changed && !is_due {
            return Ok(());
        }
        let keystore = self.keystore.clone();
        let database = self.connected().await?;
        let revision = if has_changed {
            let uploaded = database::upload(database, &keystore, false).await?;
            let organisations = uploaded.organisations.len();
            if organisations > 0 {
                tracing::info!(
                    organisations,
                    revision = uploaded.revision,
                    "brought into the database"
                );
            }
            self.uploaded = Some(generation);
            uploaded.revision
        } else {
            self.told.map(|(_, revision)| revision)
        };
        self.tell(revision.unwrap_or(0)).await
    }

    async fn follow(&mut self) -> Result<(), DatabaseError> {
        let keystore = self.keystore.clone();
        let database = self.connected().await?;
        let synced = database::sync(database, &keystore).await?;
        if synced.organisations > 0 {
            let organisations = synced.organisations;
            tracing::info!(
                organisations,
                revision = synced.revision,
                "brought from the database"
            );
        }
        // What was refused is wanted again the next time, and this relay is behind until then.
        if let Some(refused) = synced.refused.into_iter().next() {
            return Err(refused);
        }
        self.tell(synced.revision.unwrap_or(0)).await
    }

    async fn tell(&mut self, revision: u64) -> Result<(), DatabaseError> {
        let (relay, leads) = (self.relay.clone(), self.leads);
        self.connected()
            .await?
            .tell(&relay, revision, leads)
            .await?;
        self.told = Some((Instant::now(), revision));
        Ok(())
    }

    async fn connected(&mut self) -> Result<&mut Database, DatabaseError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::connect(&self.settings).await?,
        };
        Ok(self.database.insert(database))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeystoreError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
