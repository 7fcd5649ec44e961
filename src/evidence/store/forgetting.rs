//! What the store forgets: once a day what is old, and what the operator says.

use rusqlite::OptionalExtension;

use super::{
    Store, StoreError,
    sql::{
        DROP_DOMAIN, DROP_OLD, DROP_POLICY_REPORTERS, DROP_REPORTERS, DROP_ROWS, DROP_SAID,
        DROP_SOURCES, DROP_WORDS, JOIN_POLICIES, JOIN_REPORTERS, LAST_CHORE, SET_CHORE,
    },
};

/// A fuller report takes the place of an earlier one for so many days.
const REPLACED: i32 = 14;

impl Store {
    /// Forgets, once a day: addresses and reporters of before `addresses`, and everything of
    /// before `all`, in days since 1970.
    ///
    /// The keys of reports stay as long as their facts: without them a report that comes again
    /// would count twice.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_old(&mut self, today: i32, addresses: i32, all: i32) -> Result<(), StoreError> {
        self.forget(|store| {
            let connection = &store.connection;
            let last: Option<i32> = connection
                .query_row(LAST_CHORE, [], |row| row.get(0))
                .optional()?;
            // A clock that was ahead for once is no reason to forget nothing for long.
            if last == Some(today) {
                return Ok(());
            }
            let mut dropped = 0;
            for drop in DROP_OLD {
                dropped += connection.execute(drop, [all])?;
            }
            connection.execute(JOIN_REPORTERS, [addresses])?;
            connection.execute(JOIN_POLICIES, [addresses])?;
            dropped += connection.execute(DROP_POLICY_REPORTERS, [addresses])?;
            dropped += connection.execute(DROP_REPORTERS, [addresses])?;
            dropped += connection.execute(DROP_SOURCES, [addresses])?;
            // What was summed over reporters cannot be taken away from one of them.
            connection.execute(DROP_ROWS, [today - REPLACED, addresses])?;
            // To know which words nobody needs, everything has to be looked at.
            if dropped > 0 {
                connection.execute(DROP_WORDS, [])?;
            }
            connection.execute(SET_CHORE, [today]).map(drop)
        })
    }

    /// Forgets everything about a policy domain, with what the operator said of its streams.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_domain(&mut self, domain: &str) -> Result<(), StoreError> {
        self.forget(|store| {
            for drop in DROP_SAID {
                store.connection.execute(drop, [domain])?;
            }
            if let Some(id) = store.find_word(domain)? {
                for drop in DROP_DOMAIN {
                    store.connection.execute(drop, [id])?;
                }
            }
            store.connection.execute(DROP_WORDS, []).map(drop)
        })
    }

    /// Forgets everything of before a day, in days since 1970.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_before(&mut self, day: i32) -> Result<(), StoreError> {
        self.forget(|store| {
            for drop in DROP_OLD {
                store.connection.execute(drop, [day])?;
            }
            store.connection.execute(DROP_SOURCES, [day])?;
            store.connection.execute(DROP_WORDS, []).map(drop)
        })
    }

    /// Does this in a transaction of its own. What has to be sorted for it goes into a file that
    /// nobody else sees: it may be as large as the store.
    fn forget(
        &mut self,
        work: impl FnOnce(&Self) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let connection = &self.connection;
        let forgotten = connection
            .execute_batch("PRAGMA temp_store = FILE; BEGIN IMMEDIATE")
            .and_then(|()| work(self))
            .and_then(|()| connection.execute_batch("COMMIT"));
        let forgotten = forgotten.map_err(self.fails());
        if forgotten.is_err() {
            self.abort();
        }
        self.forget_words();
        let set_back = self.connection.execute_batch("PRAGMA temp_store = MEMORY");
        forgotten.and(set_back.map_err(self.fails()))
    }
}
