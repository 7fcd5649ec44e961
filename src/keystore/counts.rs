//! What the keeper counts of each day's mail: a file for each day, in UTC. They hold no keys; they
//! are here because this is the folder that the keeper may write. Only the keeper writes them.

use jiff::civil::Date;

use super::{
    Keystore, KeystoreError,
    files::{Folder, Secrecy},
};
use crate::files::Stamp;

/// No organisation has a dot in its name.
const FOLDER: &str = "keeper.counts";
const SUFFIX: &str = ".json";

/// By what the file of a day is known to be as it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CountsStamp(Stamp);

/// What was written of a day, with the stamp that the file had before it was read.
pub type StampedCounts = (Vec<u8>, Option<CountsStamp>);

impl Keystore {
    /// The days that were counted, in their order.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn counted_days(&self) -> Result<Vec<Date>, KeystoreError> {
        let Some(folder) = self.counts()? else {
            return Ok(Vec::new());
        };
        Ok(days(&folder)?)
    }

    /// What was written of a day; none if nothing was.
    ///
    /// # Errors
    /// When the file can't be read, or others could have written it.
    pub fn read_counts(&self, day: Date) -> Result<Option<Vec<u8>>, KeystoreError> {
        let read = self.read_counts_stamped(day)?;
        Ok(read.map(|(content, _)| content))
    }

    /// The same, with the stamp that the file had before; none when it has only just changed, so
    /// that it must be read again the next time.
    ///
    /// # Errors
    /// As [`Keystore::read_counts`].
    pub fn read_counts_stamped(&self, day: Date) -> Result<Option<StampedCounts>, KeystoreError> {
        let Some(folder) = self.counts()? else {
            return Ok(None);
        };
        // Of any length: it grows with the organisations.
        let read = folder.read_stamped(&name(day), Secrecy::Log)?;
        Ok(read.map(|(content, read)| (content.to_vec(), read.settled.map(CountsStamp))))
    }

    /// Whether the file of a day is still as it was read: one look, and no reading.
    pub fn has_same_counts(&self, day: Date, stamp: &CountsStamp) -> bool {
        let folder = self.counts().ok().flatten();
        folder.is_some_and(|folder| folder.has_stamp(&name(day), Some(stamp.0)))
    }

    /// Writes what is known of a day, in one step. Of the days up to `latest` it keeps the newest,
    /// `most` of them. Later ones are of a clock that was wrong, and stay as they are: the clock
    /// may be wrong now.
    ///
    /// # Errors
    /// When it can't be written; the file is then as it was.
    pub fn write_counts(
        &self,
        day: Date,
        content: &[u8],
        latest: Date,
        most: usize,
    ) -> Result<(), KeystoreError> {
        let folder = self.root()?.child_or_new(FOLDER)?;
        folder.prepare(&name(day), content)?.rename()?;
        let mut known = days(&folder)?;
        known.retain(|day| *day <= latest);
        let too_many = known.len().saturating_sub(most);
        for old in known.into_iter().take(too_many) {
            folder.remove(&name(old))?;
        }
        Ok(folder.sync()?)
    }

    /// Where the file of a day is, for messages.
    pub fn counts_place(&self, day: Date) -> String {
        self.path.join(FOLDER).join(name(day)).display().to_string()
    }

    fn counts(&self) -> Result<Option<Folder>, KeystoreError> {
        Ok(self.root()?.child(FOLDER)?)
    }
}

fn days(folder: &Folder) -> Result<Vec<Date>, super::FileError> {
    let names = folder.names()?;
    let days = names
        .iter()
        .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok());
    let mut days: Vec<Date> = days.collect();
    days.sort_unstable();
    Ok(days)
}

fn name(day: Date) -> String {
    format!("{day}{SUFFIX}")
}
