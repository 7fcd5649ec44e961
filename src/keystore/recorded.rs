//! The audit log, for whoever has to tell what happened: line by line, as far as it can be read.

use std::io::{self, BufRead, BufReader, Read};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Keystore, KeystoreError, audit, files::Folder};
use crate::{
    keys::{Revocation, State},
    names::{DomainName, OrganisationId, Selector},
};

/// Octets of a line; an organisation may have thousands of domains.
const LONGEST: u64 = 8 * 1024 * 1024;

/// A line of the audit log, of whatever version.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// When it was written.
    pub time: Timestamp,
    /// The user who ran the program.
    pub uid: u32,
    /// `keeper`, or the words of the command; none in lines of before this was written.
    #[serde(default)]
    pub by: Option<String>,
    /// Of the line: from 2 on, a key that another one replaces has a line of its own for that.
    #[serde(default)]
    pub version: u32,
    /// What happened, in one word.
    pub event: String,
    /// Whose key; none of what is about the keystore as a whole.
    #[serde(default)]
    pub organisation: Option<OrganisationId>,
    /// Which key; none of what is about all of them.
    #[serde(default)]
    pub selector: Option<Selector>,
    /// In which domains.
    #[serde(default)]
    pub domains: Vec<DomainName>,
    /// On whose word, if it was on someone's.
    #[serde(default)]
    pub evidence: Option<String>,
    /// What was known of its record then.
    #[serde(default)]
    pub publication: Option<RecordedState>,
}

/// As much of a publication as is told.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RecordedState {
    /// Where it came.
    pub state: State,
    /// Since when every server had shown the record.
    #[serde(default)]
    pub seen_since: Option<Timestamp>,
    /// When they last had.
    #[serde(default)]
    pub seen_last: Option<Timestamp>,
    /// Why it was revoked.
    #[serde(default)]
    pub revocation: Option<Revocation>,
}

impl Keystore {
    /// Reads the audit log from its beginning. `tell` gets the number of each line, counted from
    /// 1, and the line, or none if it can't be read. No more than one line is in memory.
    ///
    /// # Errors
    /// When the file can't be read, or others could have written it.
    pub fn each_recorded(
        &self,
        mut tell: impl FnMut(u64, Option<Recorded>),
    ) -> Result<(), KeystoreError> {
        each_in(&self.root()?, audit::NAME, &mut tell)
    }
}

/// The lines of a log in this folder.
pub(super) fn each_in(
    folder: &Folder,
    name: &str,
    mut tell: impl FnMut(u64, Option<Recorded>),
) -> Result<(), KeystoreError> {
    let Some((file, _)) = folder.open_log(name)? else {
        return Ok(());
    };
    each(BufReader::with_capacity(1 << 16, file), &mut tell).map_err(|error| {
        let place = folder.place(name);
        KeystoreError::Audit { place, error }
    })
}

fn each(mut reader: impl BufRead, tell: &mut impl FnMut(u64, Option<Recorded>)) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        let text = line.trim_ascii();
        if is_whole && text.is_empty() {
            continue;
        }
        tell(number, serde_json::from_slice(text).ok());
        if !is_whole {
            // The end of the file, or of a line that nobody wrote.
            reader.skip_until(b'\n')?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_those_that_cannot_be_read_are_told() {
        let good = r#"{"time":"2026-01-01T00:00:00Z","uid":1,"pid":2,"event":"restored"}"#;
        let long = "x".repeat(usize::try_from(LONGEST).unwrap() + 10);
        let text = format!("{good}\n\n{{\"time\n{long}\n{good}\n{good}");
        let mut told = Vec::new();
        each(text.as_bytes(), &mut |number, line| {
            told.push((number, line.is_some()));
        })
        .unwrap();
        let expected = [(1, true), (3, false), (4, false), (5, true), (6, true)];
        assert_eq!(told, expected);
    }
}
