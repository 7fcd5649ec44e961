//! What the list knows of all organisations; of a keyring that has not changed nothing is
//! read again.

use std::sync::Arc;

use jiff::Timestamp;

use super::{keystore, standing::Standing};
use crate::{
    config::situation,
    keys::Timing,
    keystore::{KeyringStamp, View},
    organisation::Organisation,
    snapshot::Snapshot,
};

/// One organisation in the list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) organisation: Arc<Organisation>,
    pub(super) standing: Standing,
    /// Of the keyring as it was read; none when it must be read again.
    stamp: Option<KeyringStamp>,
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
        let unchanged = |stamp| view.is_unchanged(&organisation.id, stamp);
        !is_overdue
            && Arc::ptr_eq(&self.organisation, organisation)
            && self.stamp.as_ref().is_some_and(unchanged)
    }

    fn read(
        organisation: &Arc<Organisation>,
        view: Result<&View, &String>,
        snapshot: &Snapshot,
        (timing, now): (&Timing, Timestamp),
    ) -> Self {
        let read = view.map_err(String::clone).and_then(|view| {
            view.read_keyring(&organisation.id)
                .map_err(|error| error.to_string())
        });
        let (standing, stamp) = match read {
            Ok((keyring, stamp)) => {
                let away = snapshot.away(organisation, &keyring);
                let situation = situation(organisation, &keyring, &away, timing);
                (Standing::of(&situation, organisation.policy, now), stamp)
            }
            Err(problem) => (Standing::unknown(&problem), None),
        };
        Self {
            organisation: Arc::clone(organisation),
            standing,
            stamp,
        }
    }

    #[cfg(test)]
    pub(super) fn of(organisation: Organisation, standing: Standing) -> Self {
        Self {
            organisation: Arc::new(organisation),
            standing,
            stamp: None,
        }
    }
}
