//! Reading in numbers, for whoever watches it. None of this is evidence.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{
    Store, StoreError, Taken,
    sql::{ADD_NUMBER, LATEST, NUMBERS, OCTETS},
};
use crate::{report::Reason, words::words};

words! {
    /// What is counted.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum NumberKind {
        /// What became of reports, by the words of [`Taken`].
        Outcome = "outcome",
        /// Why something was refused.
        Refusal = "refusal",
    }
}

/// How much was read since the store was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Numbers {
    /// By the words of [`Taken`].
    pub outcomes: BTreeMap<String, u64>,
    /// By the reason.
    pub refusals: BTreeMap<String, u64>,
    /// By the policy domain: the last second that a report is about, since 1970.
    pub latest: BTreeMap<String, i64>,
    /// The size of the store.
    pub octets: u64,
}

impl Store {
    /// Adds to the numbers.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn count(&mut self, kind: NumberKind, word: &str, number: u64) -> Result<(), StoreError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let mut add = self
            .connection
            .prepare_cached(ADD_NUMBER)
            .map_err(self.fails())?;
        add.execute(params![kind.as_str(), word, number])
            .map(drop)
            .map_err(self.fails())
    }

    /// What was read so far.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn numbers(&self) -> Result<Numbers, StoreError> {
        self.numbers_within().map_err(self.fails())
    }

    fn numbers_within(&self) -> rusqlite::Result<Numbers> {
        let natural = |number: i64| u64::try_from(number).unwrap_or_default();
        let mut numbers = Numbers {
            octets: natural(self.connection.query_row(OCTETS, [], |row| row.get(0))?),
            // Each is there from the start, so that a rise from nothing is seen.
            outcomes: Taken::ALL.map(|one| (one.as_str().to_owned(), 0)).into(),
            ..Numbers::default()
        };
        let mut counted = self.connection.prepare(NUMBERS)?;
        let mut rows = counted.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, word): (String, String) = (row.get(0)?, row.get(1)?);
            // Nothing but words of ours goes to the metrics.
            let kind = match NumberKind::named(&kind) {
                Some(NumberKind::Outcome) if Taken::named(&word).is_some() => &mut numbers.outcomes,
                Some(NumberKind::Refusal) if Reason::named(&word).is_some() => {
                    &mut numbers.refusals
                }
                _ => continue,
            };
            kind.insert(word, natural(row.get(2)?));
        }
        let mut latest = self.connection.prepare(LATEST)?;
        let mut rows = latest.query([])?;
        while let Some(row) = rows.next()? {
            numbers.latest.insert(row.get(0)?, row.get(1)?);
        }
        Ok(numbers)
    }
}
