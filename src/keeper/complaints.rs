//! What is wrong with the configuration, said once.

use std::collections::BTreeSet;

use crate::config::Mistakes;

/// What was last said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// Of a configuration that can't be used.
    whole: String,
    /// Of the files of organisations.
    mistakes: BTreeSet<String>,
}

impl Complaints {
    /// The configuration is in use; each of its mistakes concerns its own organisation.
    pub(super) fn in_use(&mut self, mistakes: &Mistakes) {
        let lines = mistakes.lines();
        for line in lines.difference(&self.mistakes) {
            tracing::error!("{line}");
        }
        self.mistakes = lines;
        self.whole.clear();
    }

    pub(super) fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// It can't be used, and all stays as it was.
    pub(super) fn refused(&mut self, complaint: &str) {
        if self.whole != complaint {
            for line in complaint.lines() {
                tracing::error!("{line}");
            }
            tracing::error!("the configuration has problems, all stays as it was");
            complaint.clone_into(&mut self.whole);
        }
    }
}
