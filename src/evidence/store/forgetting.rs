//! What the store forgets: once a day what is old, and what the operator says.

use rusqlite::OptionalExtension;

use super::{
    Store, StoreError,
    sql::{
        DROP_DOMAIN, DROP_NAMES, DROP_OLD, DROP_REPORTERS, DROP_ROWS, DROP_SOURCES, DROP_WORDS,
        JOIN_REPORTERS, LAST_CHORE, SET_CHORE,
    },
};

/// A fuller report takes the place of an earlier one for so many days.
const REPLACED: i32 = 14;

impl Store {
    /// Forgets, once a day: addresses and reporters of before `addresses`, and everything of
    /// before `all`, in days since 1970. Within [`Store::begin`] and [`Store::commit`].
    ///
    /// The keys of reports stay as long as their facts: without them a report that comes again
    /// would count twice.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_old(&mut self, today: i32, addresses: i32, all: i32) -> Result<(), StoreError> {
        let forget = || -> rusqlite::Result<()> {
            let connection = &self.connection;
            let last: Option<i32> = connection
                .query_row(LAST_CHORE, [], |row| row.get(0))
                .optional()?;
            // A clock that was ahead for once is no reason to forget nothing for long.
            if last == Some(today) {
                return Ok(());
            }
            for drop in DROP_OLD {
                connection.execute(drop, [all])?;
            }
            connection.execute(JOIN_REPORTERS, [addresses])?;
            connection.execute(DROP_REPORTERS, [addresses])?;
            connection.execute(DROP_SOURCES, [addresses])?;
            // What was summed over reporters cannot be taken away from one of them.
            connection.execute(DROP_ROWS, [today - REPLACED, addresses])?;
            connection.execute(DROP_WORDS, [])?;
            connection.execute(SET_CHORE, [today])?;
            Ok(())
        };
        let forgotten = forget().map_err(self.fails());
        self.forget_words();
        forgotten
    }

    /// Forgets everything about a policy domain, with what the operator said of its streams.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_domain(&mut self, domain: &str) -> Result<(), StoreError> {
        let forget = || -> rusqlite::Result<()> {
            self.connection.execute(DROP_NAMES, [domain])?;
            if let Some(id) = self.find_word(domain)? {
                for drop in DROP_DOMAIN {
                    self.connection.execute(drop, [id])?;
                }
            }
            self.connection.execute(DROP_WORDS, []).map(drop)
        };
        let forgotten = forget().map_err(self.fails());
        self.forget_words();
        forgotten
    }

    /// Forgets everything of before a day, in days since 1970.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_before(&mut self, day: i32) -> Result<(), StoreError> {
        let forget = || -> rusqlite::Result<()> {
            for drop in DROP_OLD {
                self.connection.execute(drop, [day])?;
            }
            self.connection.execute(DROP_SOURCES, [day])?;
            self.connection.execute(DROP_WORDS, []).map(drop)
        };
        let forgotten = forget().map_err(self.fails());
        self.forget_words();
        forgotten
    }
}
