//! The PostgreSQL that several relays share: what it holds, and how a folder comes to have it.
//!
//! ```text
//!  client    the way to it: several hosts, TLS, a password in a file
//!  schema    its tables, which keep the promises whoever writes
//!  keys      organisations with their sealed keys, read and written as rows
//!  copying   between the tables and the folder of this relay, in both directions
//! ```
//!
//! Never on the way of a message: the signer reads the folder, and knows nothing of this.
//!
//! SECURITY: private keys go there sealed, and come from there sealed: nothing here opens one.

mod client;
mod copying;
mod keys;
mod schema;

use jiff::Timestamp;
use tokio_postgres::error::SqlState;

pub(crate) use self::copying::blocking;
pub use self::{
    copying::{Reach, Synced, Upload, Uploaded, sync, upload},
    schema::{SCHEMA, statements},
};
use crate::{
    config::DatabaseSettings,
    keystore::{KeystoreError, KeystoreId},
    names::{OrganisationId, Selector},
};

/// A connection to the database. One that is broken is made anew by whoever wants to go on.
pub struct Database {
    client: tokio_postgres::Client,
}

/// What a database says of itself and of the relays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The version of its tables; none before `zegel database init`.
    pub schema: Option<u32>,
    /// Which keystore it holds, and the number of its last change; none before the first.
    pub keystore: Option<Numbered>,
    /// Who has a copy, by name.
    pub relays: Vec<Relay>,
}

/// A keystore at one of its changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Numbered {
    /// Which keystore.
    pub id: KeystoreId,
    /// Another one when the database went back and a relay brought what it lacked.
    pub epoch: String,
    /// The number of its last change.
    pub revision: u64,
}

/// A relay that has a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relay {
    /// What it is called.
    pub name: String,
    /// The number of the last change that it has.
    pub revision: u64,
    /// Of zegel there.
    pub version: String,
    /// Whether its keeper takes the steps.
    pub leads: bool,
    /// When it last told of itself, by the clock of the database.
    pub seen: Timestamp,
    /// How long ago that is, in seconds, by the same clock.
    pub age: u64,
}

/// Why something can't be done with a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The settings do not make a way to it.
    #[error("[database] {0}")]
    Settings(String),
    /// It can't be reached, or the connection broke.
    #[error("the database can't be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the database did not answer within {0} seconds")]
    Late(u64),
    /// It refused a statement.
    #[error("the database refused this: {0}")]
    Refused(String),
    /// There are no tables of ours.
    #[error("the database has no tables of zegel: run `zegel database init`")]
    NoSchema,
    /// A later zegel made the tables.
    #[error("the tables have version {0}, and this zegel knows up to {SCHEMA}: upgrade zegel")]
    NewerSchema(u32),
    /// The folder is of another keystore.
    #[error(
        "the database holds the keystore {database}, and the folder {folder}: set [database] url \
         to the database of this one, or [keystore] path to an empty folder"
    )]
    OtherKeystore {
        /// The id in the database.
        database: KeystoreId,
        /// The id in the folder.
        folder: KeystoreId,
    },
    /// The database has none of the changes that this relay knows of.
    #[error(
        "the database went back: its last change is {database}, and this relay has {folder}. \
         Nothing was changed here. If it was restored from a backup, `zegel database upload` \
         brings back what it lacks"
    )]
    WentBack {
        /// The number in the database.
        database: u64,
        /// The number in the folder.
        folder: u64,
    },
    /// Another relay made a key that this one does not have.
    #[error(
        "the database has the key {selector} of {organisation}, which this relay does not have: \
         run `zegel database sync` first"
    )]
    Behind {
        /// Whose.
        organisation: OrganisationId,
        /// Which.
        selector: Selector,
    },
    /// Another relay changed something that this one has not seen.
    #[error(
        "the database has changes that this relay does not have (the last is {0}): run `zegel \
         database sync` first"
    )]
    NotCurrent(u64),
    /// Something was changed here that the database does not have.
    #[error(
        "this relay has changes that the database does not have: run `zegel database upload` \
         first; if that is refused, because another relay led meanwhile, and the database is \
         right, move the folder of [keystore] path away and run `zegel database sync`"
    )]
    LocalChanges,
    /// A key can't be given to others.
    #[error("{organisation} is not brought into the database: {problem}")]
    NotGiven {
        /// Whose.
        organisation: OrganisationId,
        /// Why.
        problem: String,
    },
    /// Someone else changed the same at the same time, again and again.
    #[error("someone else changes the database, or this folder, at the same time: try again")]
    Busy,
    /// Something in it is no keyring.
    #[error("what the database says of {organisation} can't be used: {problem}")]
    Broken {
        /// Whose.
        organisation: String,
        /// What is wrong.
        problem: String,
    },
    /// The folder.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) {
            return Self::Busy;
        }
        match error.as_db_error() {
            Some(refusal) => {
                let detail = refusal.detail().map(|detail| format!(" ({detail})"));
                Self::Refused(format!(
                    "{}{}",
                    refusal.message(),
                    detail.unwrap_or_default()
                ))
            }
            None => Self::Unreachable(client::reason(&error)),
        }
    }
}

impl Database {
    /// Connects to it. A task of the runtime keeps the connection.
    ///
    /// # Errors
    /// When the settings make no way to it, or it can't be reached.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, DatabaseError> {
        let client = client::connect(settings).await?;
        Ok(Self { client })
    }
}
