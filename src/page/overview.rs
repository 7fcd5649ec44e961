//! What the list knows of all organisations; of a keyring that has not changed nothing is
//! read again.

use std::sync::Arc;

use jiff::Timestamp;

use super::{keystore, standing::Standing};
use crate::{
    config::situation,
    keys::Timing,
    keystore::{KeyringStamp, SightingsStamp, View},
    organisation::Organisation,
    snapshot::Snapshot,
};

/// One organisation in the list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) organisation: Arc<Organisation>,
    pub(super) standing: Standing,
    /// Of the keyring and of what the keeper saw, as they were read; none when they must be read
    /// again.
    stamps: Option<(KeyringStamp, SightingsStamp)>,
}

/// All organisations, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Overview {
    rows: Vec<Row>,
    timing: Option<Timing>,
}

impl Overview {
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Brings it up to date.
    pub(super) fn refresh(&mut self, snapshot: &Snapshot) {
        let timing = snapshot.settings().timing();
        let now = Timestamp::now();
        let same_timing = self.timing == Some(timing);
        self.timing = Some(timing);
        let view = keystore(snapshot)
            .and_then(|keystore| keystore.view().map_err(|error| error.to_string()));
        let mut before = std::mem::take(&mut self.rows).into_iter().peekable();
        self.rows.reserve(snapshot.organisations().len());
        for organisation in snapshot.organisations() {
            while before
                .next_if(|row| row.organisation.id < organisation.id)
                .is_some()
            {}
            let known = before.next_if(|row| row.organisation.id == organisation.id);
            let row = match (known, &view) {
                (Some(known), Ok(view))
                    if same_timing && known.is_current(organisation, view, now) =>
                {
                    known
                }
                (_, view) => Row::read(organisation, view.as_ref(), snapshot, (&timing, now)),
            };
            self.rows.push(row);
        }
    }

    #[cfg(test)]
    pub(super) fn of(rows: Vec<Row>) -> Self {
        Self { rows, timing: None }
    }
}

impl Row {
    fn is_current(&self, organisation: &Arc<Organisation>, view: &View, now: Timestamp) -> bool {
        let is_overdue = self.standing.overdue.is_some_and(|time| time <= now);
        let unchanged = |(keyring, sightings): &(KeyringStamp, SightingsStamp)| {
            view.is_unchanged(&organisation.id, keyring)
                && view.has_same_sightings(&organisation.id, sightings)
        };
        !is_overdue
            && Arc::ptr_eq(&self.organisation, organisation)
            && self.stamps.as_ref().is_some_and(unchanged)
    }

    fn read(
        organisation: &Arc<Organisation>,
        view: Result<&View, &String>,
        snapshot: &Snapshot,
        (timing, now): (&Timing, Timestamp),
    ) -> Self {
        let read = view.map_err(String::clone).and_then(|view| {
            let keyring = view.read_keyring(&organisation.id);
            let keyring = keyring.map_err(|error| error.to_string())?;
            // What can't be read says nothing.
            let sightings = view.sightings(&organisation.id).unwrap_or_default();
            Ok((keyring, sightings))
        });
        let (standing, stamps) = match read {
            Ok(((keyring, stamp), (sightings, seen))) => {
                let by_files = snapshot.by_files(organisation);
                let away = snapshot.away(&by_files, &keyring);
                let situation =
                    situation(&by_files, &keyring, &away, timing).seen(&sightings.leads);
                let standing =
                    Standing::of(&situation, by_files.policy, now).saw(&by_files, &sightings);
                (standing, stamp.zip(seen))
            }
            Err(problem) => (Standing::unknown(&problem), None),
        };
        Self {
            organisation: Arc::clone(organisation),
            standing,
            stamps,
        }
    }

    #[cfg(test)]
    pub(super) fn of(organisation: Organisation, standing: Standing) -> Self {
        Self {
            organisation: Arc::new(organisation),
            standing,
            stamps: None,
        }
    }
}
