//! Where evidence is kept: one SQLite file. All SQL is in [`sql`].
//!
//! A report is in it whole or not at all, whatever happens: one savepoint for each. Words
//! (domains, reporters, selectors' lines) are held once, and rows are rolled up on their way in.

mod adding;
mod counting;
mod forgetting;
mod reading;
mod sql;

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

pub use self::counting::{NumberKind, Numbers};
use self::sql::{
    ADD_WORD, CONFIRM, DROP_NAME, FIND_WORD, FOREIGN, SET_NAME, TABLES, VERSION_2, VERSION_3,
};
use super::{rollup::Rollup, streams::Name};
use crate::{files::as_owner, report::Report, words::words};

/// The file in the folder of the store.
const FILE: &str = "reports.sqlite";
/// The version of the tables that this program writes.
const VERSION: i64 = 3;
/// How long another writer is waited for.
const WAIT: Duration = Duration::from_secs(30);
/// So many octets of words are held in memory, and none that is longer than [`WORD`].
const WORDS: usize = 4 << 20;
const WORD: usize = 1 << 10;

/// What is added to the flags of a fact, where [`crate::report::Flags`] and the
/// rollup have no bits.
pub mod standing {
    /// The message with the report did not pass DMARC: it is shown and never counted.
    pub const NOT_AUTHENTICATED: u16 = 1 << 14;
    /// A bare file, of which nobody can tell.
    pub const BARE: u16 = 1 << 15;
}

/// The store cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("{}: {error}", path.display())]
    File {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// The database says so: the disk is full, the file is damaged, someone holds the lock.
    #[error("{}: {error}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What it says.
        error: rusqlite::Error,
    },
    /// A newer Zegel has written it.
    #[error(
        "{}: the reports are kept in a form of version {found}, and this program knows version \
         {VERSION}: install the Zegel that wrote them, or a newer one",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Somebody else has changed its tables.
    #[error(
        "{}: there is something in it that Zegel does not make: move the file away, and read the \
         reports again",
        .0.display()
    )]
    Foreign(PathBuf),
    /// More is known of the domain than may be held.
    #[error("{domain}: more than {most} facts are kept; `zegel report streams` reads them all")]
    TooMuch {
        /// The policy domain.
        domain: String,
        /// So many may be held.
        most: usize,
    },
    /// An older Zegel has written it, and whoever only reads can't change that.
    #[error(
        "{}: the reports are kept in a form of version {found}, and this program reads version \
         {VERSION}: the next `zegel report ingest` changes that, also of a folder without reports",
        path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

words! {
    /// What became of a report.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Taken {
        /// It is kept.
        Stored = "stored",
        /// It has more messages than one with the same key, whose place it took.
        Replaced = "replaced",
        /// It was there already.
        Duplicate = "duplicate",
        /// No domain in it is one of ours.
        NotOurs = "not_ours",
        /// It is older than what is kept.
        TooOld = "too_old",
    }
}

/// A report on its way into the store.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Who reports: part of the key.
    pub reporter: &'a str,
    /// What it says.
    pub report: &'a Report,
    /// What is kept of it.
    pub rollup: &'a Rollup,
    /// Whether its message passed DMARC; none for a bare file.
    pub authenticated: Option<bool>,
    /// Today, in days since 1970.
    pub today: i32,
}

/// The store, open for reading and, unless it was opened with [`Store::read`], for writing.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    words: HashMap<Box<str>, i64>,
    /// Octets of them, about.
    held: usize,
    /// What a trial stands upon, and leaves as it is.
    earlier: Option<Box<Store>>,
}

impl Store {
    /// Opens the store in this folder for writing; makes both if they are not there. Root does it
    /// as the owner of the folder.
    ///
    /// # Errors
    ///
    /// When they cannot be made or opened, or a newer program has written the store.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        as_owner(folder, || Self::open_as_we_are(folder)).unwrap_or_else(fails_in(folder))
    }

    fn open_as_we_are(folder: &Path) -> Result<Self, StoreError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder);
        made.or_else(fails_in(folder))?;
        let path = folder.join(FILE);
        let fails = |error| StoreError::Database {
            path: path.clone(),
            error,
        };
        let connection = Connection::open(&path).map_err(fails)?;
        // What others may read is said by the folder; SQLite gives -wal and -shm the same mode.
        let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o640));
        connection.busy_timeout(WAIT).map_err(fails)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; \
                 PRAGMA secure_delete = ON;",
            )
            .map_err(fails)?;
        careful(&connection, &path)?;
        let mut store = Self::new(connection, path);
        store.migrate()?;
        Ok(store)
    }

    /// Opens the store in this folder for reading; none if there is none yet. Root does it as the
    /// owner of the folder.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a newer program has written it.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        as_owner(folder, || Self::read_as_we_are(folder)).unwrap_or_else(fails_in(folder))
    }

    fn read_as_we_are(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            // Opening a pipe would wait for its other end.
            Ok(_) => return Err(StoreError::Foreign(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::File { path, error }),
        }
        let fails = |error| StoreError::Database {
            path: path.clone(),
            error,
        };
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|connection| {
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
                Ok(connection)
            })
            // Without permission to write beside it, WAL can only be read as it stands on disk.
            .or_else(|error| match error.sqlite_error_code() {
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => immutable(&path),
                _ => Err(error),
            })
            .map_err(fails)?;
        connection.busy_timeout(WAIT).map_err(fails)?;
        careful(&connection, &path)?;
        let store = Self::new(connection, path);
        match store.check_version()? {
            // It is being made.
            0 => Ok(None),
            VERSION => Ok(Some(store)),
            found => Err(StoreError::Older {
                path: store.path.clone(),
                found,
            }),
        }
    }

    /// A store that keeps nothing: it knows the reports in this folder, reads there without
    /// holding up those who write, and puts what is added into a file that goes with it.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub fn trial(folder: &Path) -> Result<Self, StoreError> {
        let earlier = Self::read(folder)?.map(Box::new);
        let path = folder.to_owned();
        // A database without a name is a file that nobody else sees.
        let connection = Connection::open("").map_err(|error| StoreError::Database {
            path: path.clone(),
            error,
        })?;
        let mut store = Self::new(connection, path);
        store.earlier = earlier;
        store.migrate()?;
        Ok(store)
    }

    fn new(connection: Connection, path: PathBuf) -> Self {
        Self {
            connection,
            path,
            words: HashMap::new(),
            held: 0,
            earlier: None,
        }
    }

    /// As if another program had changed it.
    #[cfg(test)]
    pub(super) fn change(file: &Path, sql: &str) -> rusqlite::Result<()> {
        Connection::open(file)?.execute_batch(sql)
    }

    fn check_version(&self) -> Result<i64, StoreError> {
        let found: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(self.fails())?;
        if found > VERSION {
            return Err(StoreError::Newer {
                path: self.path.clone(),
                found,
            });
        }
        Ok(found)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        if self.check_version()? == VERSION {
            return Ok(());
        }
        let path = self.path.clone();
        let fails = |error| StoreError::Database { path, error };
        let made = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        made.and_then(|transaction| {
            // Another process may have been faster.
            let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            if found == 0 {
                transaction.execute_batch(TABLES)?;
            }
            if found < 2 {
                transaction.execute_batch(VERSION_2)?;
            }
            if found < 3 {
                transaction.execute_batch(VERSION_3)?;
            }
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()
        })
        .map_err(fails)
    }

    fn fails(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::Database {
            path: path.clone(),
            error,
        }
    }

    /// Begins a transaction over several reports.
    ///
    /// # Errors
    ///
    /// When another writer does not end.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(self.fails())
    }

    /// Ends it: what was added since is on the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then none of it is.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let ended = self.connection.execute_batch("COMMIT");
        if ended.is_err() {
            // The error is what the caller has to hear of.
            let _ = self.connection.execute_batch("ROLLBACK");
            self.forget_words();
        }
        ended.map_err(self.fails())
    }

    /// Takes back what was added since [`Store::begin`], if a transaction is open.
    pub fn abort(&mut self) {
        // Without one there is nothing to take back.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.forget_words();
    }

    /// Leaves nothing of what was deleted in the files.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn wipe(&self) -> Result<(), StoreError> {
        let wiped = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        wiped.map_err(self.fails())
    }

    /// Adds a report, whole or not at all; within [`Store::begin`] and [`Store::commit`].
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, incoming: Incoming<'_>) -> Result<Taken, StoreError> {
        let added = self
            .connection
            .execute_batch("SAVEPOINT report")
            .and_then(|()| self.add_within(incoming));
        let end = if added.is_ok() {
            "RELEASE report"
        } else {
            self.forget_words();
            "ROLLBACK TO report; RELEASE report"
        };
        let ended = self.connection.execute_batch(end);
        added
            .and_then(|taken| ended.map(|()| taken))
            .map_err(self.fails())
    }

    /// Keeps the operator's word for a stream of a domain; none takes it back.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn set_name(
        &mut self,
        domain: &str,
        stream: &str,
        name: Option<&Name>,
        now: i64,
    ) -> Result<(), StoreError> {
        let networks = |name: &Name| {
            let networks: Vec<String> = name.networks.iter().map(ToString::to_string).collect();
            networks.join(" ")
        };
        let written = match name {
            Some(name) => self.connection.execute(
                SET_NAME,
                params![
                    domain,
                    stream,
                    name.class.as_str(),
                    name.label,
                    name.owner,
                    now,
                    networks(name)
                ],
            ),
            None => self.connection.execute(DROP_NAME, params![domain, stream]),
        };
        written.map(drop).map_err(self.fails())
    }

    /// Keeps that the operator knows all who send in the name of a domain, as of this day.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn confirm(&mut self, domain: &str, day: i32) -> Result<(), StoreError> {
        let written = self.connection.execute(CONFIRM, params![domain, day]);
        written.map(drop).map_err(self.fails())
    }

    /// What is held of words may not be in the store any more, or is too much.
    fn forget_words(&mut self) {
        self.words.clear();
        self.held = 0;
    }

    fn find_word(&self, text: &str) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(FIND_WORD)?
            .query_row([text], |row| row.get(0))
            .optional()
    }

    /// The number of a word, which is made if it is new.
    fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let id = match self.find_word(text)? {
            Some(id) => id,
            None => self.connection.prepare_cached(ADD_WORD)?.insert([text])?,
        };
        // 64 is about what a place in the table takes besides.
        self.held += text.len() + 64;
        if self.held > WORDS {
            self.forget_words();
        }
        if text.len() <= WORD {
            self.words.insert(text.into(), id);
        }
        Ok(id)
    }
}

fn fails_in<T>(folder: &Path) -> impl Fn(std::io::Error) -> Result<T, StoreError> {
    |error| {
        Err(StoreError::File {
            path: folder.to_owned(),
            error,
        })
    }
}

/// Whoever writes it reads what strangers send: it is not believed more than a report.
fn careful(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let foreign = connection
        .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
        .and_then(|()| connection.query_row(FOREIGN, [], |row| row.get::<_, i64>(0)));
    match foreign {
        Ok(0) => Ok(()),
        Ok(_) => Err(StoreError::Foreign(path.to_owned())),
        Err(error) => Err(StoreError::Database {
            path: path.to_owned(),
            error,
        }),
    }
}

fn immutable(path: &Path) -> rusqlite::Result<Connection> {
    let uri = format!("file:{}?immutable=1", escaped(path));
    Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
}

/// A path in a URI.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}
