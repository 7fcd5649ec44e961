//! Where evidence is kept: one SQLite file. All SQL is here.
//!
//! A report is in it whole or not at all, whatever happens: one savepoint for each. Words
//! (domains, reporters, selectors' lines) are held once, and rows are rolled up on their way in.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{
    identity::KnownBy,
    rollup::{Rollup, known_by_network, network},
    varint,
};
use crate::{
    report::{Flags, Identity, Report},
    words::words,
};

/// The file in the folder of the store.
const FILE: &str = "reports.sqlite";
/// The version of the tables that this program writes.
const VERSION: i64 = 1;
/// How long another writer is waited for.
const WAIT: Duration = Duration::from_secs(30);
/// As many words are held in memory.
const WORDS: usize = 50_000;

/// The tables, from nothing to version 1.
const TABLES: &str = "
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- A report that was taken. rows: what it added, so that a fuller one can take its place.
CREATE TABLE report (
    reporter INTEGER NOT NULL, domain INTEGER NOT NULL, report_id TEXT NOT NULL,
    begin INTEGER NOT NULL, end INTEGER NOT NULL,
    day INTEGER NOT NULL, messages INTEGER NOT NULL, flags INTEGER NOT NULL,
    received INTEGER NOT NULL, rows BLOB,
    PRIMARY KEY (reporter, domain, report_id, begin, end)
) WITHOUT ROWID;
CREATE INDEX report_received ON report (received);
CREATE INDEX report_domain ON report (domain, day);
-- Days are counted from 1 January 1970; sender is the From domain; network is a word, or 0.
CREATE TABLE fact (
    domain INTEGER NOT NULL, day INTEGER NOT NULL, sender INTEGER NOT NULL,
    reporter INTEGER NOT NULL, identity INTEGER NOT NULL, flags INTEGER NOT NULL,
    network INTEGER NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (domain, day, sender, reporter, identity, flags, network)
) WITHOUT ROWID;
CREATE TABLE source (
    domain INTEGER NOT NULL, identity INTEGER NOT NULL, address BLOB NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (domain, identity, address)
) WITHOUT ROWID;
-- policy is a word: the tags of the record as the reporter saw it.
CREATE TABLE policy (
    domain INTEGER NOT NULL, day INTEGER NOT NULL, policy INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (domain, day, policy)
) WITHOUT ROWID;
-- The operator's word for a stream.
CREATE TABLE name (
    domain TEXT NOT NULL, stream TEXT NOT NULL, class TEXT NOT NULL,
    label TEXT, owner TEXT, since INTEGER NOT NULL,
    PRIMARY KEY (domain, stream)
) WITHOUT ROWID;
";

const FIND_WORD: &str = "SELECT id FROM word WHERE text = ?1";
const ADD_WORD: &str = "INSERT INTO word (text) VALUES (?1)";
const FIND_REPORT: &str = "SELECT messages, rows, day, flags FROM report WHERE reporter = ?1 \
    AND domain = ?2 AND report_id = ?3 AND begin = ?4 AND end = ?5";
const ADD_REPORT: &str = "INSERT OR REPLACE INTO report (reporter, domain, report_id, begin, end, \
    day, messages, flags, received, rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const ADD_FACT: &str = "INSERT INTO fact (domain, day, sender, reporter, identity, flags, network, \
    messages) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
    ON CONFLICT DO UPDATE SET messages = messages + excluded.messages";
const CLEAR_FACTS: &str = "DELETE FROM fact WHERE domain = ?1 AND day = ?2 AND messages <= 0";
const ADD_SOURCE: &str = "INSERT INTO source (domain, identity, address, first, last, messages) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET first = min(first, excluded.first), \
    last = max(last, excluded.last), messages = messages + excluded.messages";
const ADD_POLICY: &str = "INSERT INTO policy (domain, day, policy, reports) \
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET reports = reports + excluded.reports";

/// What is added to the flags of a fact, where [`Flags`] and the rollup have no bits.
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
}

impl Store {
    /// Opens the store in this folder for writing; makes both if they are not there.
    ///
    /// # Errors
    ///
    /// When they cannot be made or opened, or a newer program has written the store.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder);
        made.map_err(|error| StoreError::File {
            path: folder.to_owned(),
            error,
        })?;
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
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
            )
            .map_err(fails)?;
        let mut store = Self {
            connection,
            path,
            words: HashMap::new(),
        };
        store.migrate()?;
        Ok(store)
    }

    /// Opens the store in this folder for reading; none if there is none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a newer program has written it.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        match fs::metadata(&path) {
            Ok(_) => {}
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
            .or_else(|_| immutable(&path))
            .map_err(fails)?;
        connection.busy_timeout(WAIT).map_err(fails)?;
        let store = Self {
            connection,
            path,
            words: HashMap::new(),
        };
        store.check_version()?;
        Ok(Some(store))
    }

    /// A store that keeps nothing: what is in this folder, and a transaction that never ends; or
    /// an empty one in memory.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn trial(folder: &Path) -> Result<Self, StoreError> {
        if folder.join(FILE).exists() {
            return Self::open(folder);
        }
        let path = PathBuf::from(":memory:");
        let connection = Connection::open_in_memory().map_err(|error| StoreError::Database {
            path: path.clone(),
            error,
        })?;
        let mut store = Self {
            connection,
            path,
            words: HashMap::new(),
        };
        store.migrate()?;
        Ok(store)
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
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
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
            self.words.clear();
        }
        ended.map_err(self.fails())
    }

    /// Adds a report, whole or not at all; within [`Store::begin`] and [`Store::commit`].
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, incoming: Incoming<'_>) -> Result<Taken, StoreError> {
        if self.words.len() > WORDS {
            self.words.clear();
        }
        let added = self
            .connection
            .execute_batch("SAVEPOINT report")
            .and_then(|()| self.add_within(incoming));
        let end = if added.is_ok() {
            "RELEASE report"
        } else {
            self.words.clear();
            "ROLLBACK TO report; RELEASE report"
        };
        let ended = self.connection.execute_batch(end);
        added
            .and_then(|taken| ended.map(|()| taken))
            .map_err(self.fails())
    }

    fn add_within(&mut self, incoming: Incoming<'_>) -> rusqlite::Result<Taken> {
        let Incoming { report, rollup, .. } = incoming;
        let reporter = self.word(incoming.reporter)?;
        let domain = self.word(&report.policy.domain)?;
        let messages = signed(rollup.messages());
        let mut found = self.connection.prepare_cached(FIND_REPORT)?;
        let key = params![reporter, domain, report.report_id, report.begin, report.end];
        let earlier = found
            .query_row(key, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?))
            })
            .optional()?;
        drop(found);
        let taken = match earlier {
            None => Taken::Stored,
            Some((earlier, Some(rows))) if earlier < messages => {
                self.undo(domain, reporter, &rows)?;
                Taken::Replaced
            }
            Some(_) => return Ok(Taken::Duplicate),
        };
        let flags = match incoming.authenticated {
            Some(true) => 0,
            Some(false) => standing::NOT_AUTHENTICATED,
            None => standing::BARE,
        };
        let rows = self.add_rows(domain, reporter, flags, incoming)?;
        let day = rollup.days.last().copied().unwrap_or_default();
        self.add_policy(domain, day, report, i64::from(taken == Taken::Stored))?;
        self.connection
            .prepare_cached(ADD_REPORT)?
            .execute(params![
                reporter,
                domain,
                report.report_id,
                report.begin,
                report.end,
                day,
                messages,
                flags,
                incoming.today,
                rows,
            ])?;
        Ok(taken)
    }

    /// Adds facts and sources, and gives back what is needed to take them away again.
    fn add_rows(
        &mut self,
        domain: i64,
        reporter: i64,
        standing: u16,
        incoming: Incoming<'_>,
    ) -> rusqlite::Result<Vec<u8>> {
        let Incoming { report, rollup, .. } = incoming;
        let texts = report.rows.words.in_order();
        let identities = report.rows.identities.in_order();
        let mut words: Vec<Option<i64>> = vec![None; texts.len()];
        let mut known: Vec<Option<i64>> = vec![None; identities.len()];
        let nothing = Identity::default();
        let mut undo = varint::Writer::default();
        for fact in &rollup.facts {
            let text = |place: u32| texts.get(place as usize).map_or("", |text| text);
            let sender = at(&mut words, fact.from, || self.word(text(fact.from)))?;
            let identity = identities
                .get(fact.identity as usize)
                .copied()
                .unwrap_or(&nothing);
            let known_by = at(&mut known, fact.identity, || {
                self.word(&KnownBy::text(identity, |place| text(place).to_owned()))
            })?;
            let network = if known_by_network(Flags::from_bits(fact.flags), identity) {
                self.word(&network(fact.address).to_string())?
            } else {
                0
            };
            let flags = fact.flags | standing;
            let address = octets(fact.address);
            for (day, messages) in rollup.spread(fact.messages) {
                let messages = signed(messages);
                self.connection.prepare_cached(ADD_FACT)?.execute(params![
                    domain, day, sender, reporter, known_by, flags, network, messages
                ])?;
                self.connection
                    .prepare_cached(ADD_SOURCE)?
                    .execute(params![domain, known_by, address, day, day, messages])?;
                undo.fact(&[
                    i64::from(day),
                    sender,
                    known_by,
                    i64::from(flags),
                    network,
                    messages,
                ]);
                undo.octets(&address);
            }
        }
        Ok(undo.finish())
    }

    /// Takes away what a report has added.
    fn undo(&mut self, domain: i64, reporter: i64, rows: &[u8]) -> rusqlite::Result<()> {
        let mut reader = varint::Reader::new(rows);
        let mut days = Vec::new();
        while let Some([day, sender, known_by, flags, network, messages]) = reader.fact() {
            let address = reader.octets();
            self.connection.prepare_cached(ADD_FACT)?.execute(params![
                domain, day, sender, reporter, known_by, flags, network, -messages
            ])?;
            self.connection
                .prepare_cached(ADD_SOURCE)?
                .execute(params![domain, known_by, address, day, day, -messages])?;
            if !days.contains(&day) {
                days.push(day);
            }
        }
        for day in days {
            self.connection
                .prepare_cached(CLEAR_FACTS)?
                .execute(params![domain, day])?;
        }
        Ok(())
    }

    fn add_policy(
        &mut self,
        domain: i64,
        day: i32,
        report: &Report,
        reports: i64,
    ) -> rusqlite::Result<()> {
        let policy = &report.policy;
        let tags = [
            ("p", &policy.p),
            ("sp", &policy.sp),
            ("np", &policy.np),
            ("adkim", &policy.adkim),
            ("aspf", &policy.aspf),
            ("t", &policy.testing),
            ("pct", &policy.pct),
        ];
        let tags: Vec<String> = tags
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(tag, value)| format!("{tag}={}", value.replace(char::is_whitespace, "_")))
            .collect();
        let word = self.word(&tags.join(" "))?;
        self.connection
            .prepare_cached(ADD_POLICY)?
            .execute(params![domain, day, word, reports])?;
        Ok(())
    }

    /// The number of a word, which is made if it is new.
    fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let found = self
            .connection
            .prepare_cached(FIND_WORD)?
            .query_row([text], |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => self.connection.prepare_cached(ADD_WORD)?.insert([text])?,
        };
        self.words.insert(text.into(), id);
        Ok(id)
    }
}

/// The place of a word in the store, asked for once for each report.
fn at(
    held: &mut [Option<i64>],
    place: u32,
    find: impl FnOnce() -> rusqlite::Result<i64>,
) -> rusqlite::Result<i64> {
    let slot = held.get_mut(place as usize);
    match slot {
        Some(Some(id)) => Ok(*id),
        Some(slot) => {
            let id = find()?;
            *slot = Some(id);
            Ok(id)
        }
        None => find(),
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

fn signed(messages: u64) -> i64 {
    i64::try_from(messages).unwrap_or(i64::MAX)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
