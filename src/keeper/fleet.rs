//! The database that several relays share: the keeper that leads brings there what changes in its
//! folder, and the others bring what is there into theirs.
//!
//! The database may be away at any time. Everything signs on from the folder, and it is tried
//! again.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::work::Attention;
use crate::{
    config::{DatabaseSettings, Settings},
    database::{self, Database, DatabaseError, Reach, Upload},
    keystore::{CopyState, Keystore},
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
    /// When all of it was last compared.
    compared: Option<Instant>,
    compare_every: Duration,
    /// What the database lacks since then, and why.
    refused: Option<String>,
    /// When this relay last told of itself.
    told: Option<Instant>,
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
            compared: None,
            compare_every: settings.keeper.check_every,
            refused: None,
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
        let problem = match done {
            Ok(refused) => refused,
            Err(error) => {
                // Perhaps the connection; the next look makes another one.
                self.database = None;
                Some(error.to_string())
            }
        };
        let Some(problem) = problem else {
            if self.complaint.end() {
                tracing::info!("the database and this folder agree again");
            }
            return Attention::NotNeeded;
        };
        if self.complaint.is_due(&problem, Instant::now()) {
            tracing::error!(
                "{problem}; everything signs on from the folder, and it is tried again"
            );
        }
        Attention::Needed
    }

    /// Gives what of the folder is not in the database, and why.
    async fn lead(&mut self) -> Result<Option<String>, DatabaseError> {
        let keystore = self.keystore.clone();
        let facts =
            database::blocking(move || Ok((keystore.generation()?, keystore.copy_state()?)));
        let (generation, state) = facts.await?;
        let poll_every = self.settings.poll_every;
        let is_due = |since: Option<Instant>, pause| since.is_none_or(|one| one.elapsed() >= pause);
        // What was only seen in the DNS raises no generation, and comes now and then.
        let has_changed =
            self.uploaded != Some(generation) || is_due(self.compared, self.compare_every);
        if !has_changed && !is_due(self.told, poll_every) {
            return Ok(self.refused.clone());
        }
        let last = self.connected().await?.last().await?;
        let numbers = |state: &CopyState| (state.epoch.clone(), state.revision);
        let there = last.map(|last| (last.epoch, last.revision));
        if has_changed || there != state.as_ref().map(numbers) {
            self.upload(generation).await?;
        }
        self.tell().await?;
        Ok(self.refused.clone())
    }

    async fn upload(&mut self, generation: u64) -> Result<(), DatabaseError> {
        let keystore = self.keystore.clone();
        let database = self.connected().await?;
        let mut uploaded = database::upload(database, &keystore, Upload::Changes).await;
        if let Err(DatabaseError::NotCurrent(_)) = uploaded {
            // Another relay led before.
            let synced = database::sync(database, &keystore, Reach::News).await?;
            if let Some(refused) = synced.refused.into_iter().next() {
                return Err(refused);
            }
            uploaded = database::upload(database, &keystore, Upload::Changes).await;
        }
        let uploaded = uploaded?;
        let organisations = uploaded.organisations.len();
        if organisations > 0 {
            let revision = uploaded.revision;
            tracing::info!(organisations, revision, "brought into the database");
        }
        self.uploaded = Some(generation);
        self.compared = Some(Instant::now());
        self.refused = uploaded.refused.first().map(ToString::to_string);
        Ok(())
    }

    /// Gives what of the database is not in the folder, and why.
    async fn follow(&mut self) -> Result<Option<String>, DatabaseError> {
        let keystore = self.keystore.clone();
        // What was lost in the folder meanwhile comes back with a start.
        let reach = match self.compared {
            None => Reach::Everything,
            Some(_) => Reach::News,
        };
        let database = self.connected().await?;
        let synced = database::sync(database, &keystore, reach).await?;
        if synced.organisations > 0 {
            let organisations = synced.organisations;
            tracing::info!(
                organisations,
                revision = synced.revision,
                "brought from the database"
            );
        }
        self.compared = Some(Instant::now());
        self.tell().await?;
        // What was refused is wanted again the next time, and this relay is behind until then.
        Ok(synced.refused.first().map(ToString::to_string))
    }

    async fn tell(&mut self) -> Result<(), DatabaseError> {
        let (relay, leads) = (self.relay.clone(), self.leads);
        let keystore = self.keystore.clone();
        let state = database::blocking(move || Ok(keystore.copy_state()?)).await?;
        let revision = state.map_or(0, |state| state.revision);
        self.connected()
            .await?
            .tell(&relay, revision, leads)
            .await?;
        self.told = Some(Instant::now());
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
