//! The files of the configuration, of which those of organisations are taken up without being
//! told to.
//!
//! `zegel.toml` waits for a reload: it is one text that somebody may have half edited, and what
//! it says takes effect whole or not at all. Until then the organisations are read against the
//! settings that are in use.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::quiet::{Looks, Quiet};
use crate::{
    config::{Loaded, Mistakes, Problems, Reader, Seen, Settings},
    files::Stamp,
    organisation::Organisation,
};

/// What to read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// The configuration and the keys.
    Everything,
    /// The organisations, with the settings as they are, and the keys.
    Organisations,
    /// The keys.
    Keys,
}

/// See the module.
pub(super) struct Files {
    reader: Reader,
    /// None if the configuration does not come from files.
    watch: Option<Watch>,
    /// What was said to be wrong: by itself the signer says it once.
    said: BTreeSet<String>,
}

struct Watch {
    quiet: Quiet,
    looks: Looks<Option<Stamp>>,
    /// A number for the text of `zegel.toml` that is in use.
    settings: u64,
    /// Whether some of the organisations on the disk are not in use, all of them are refused
    /// together, or `zegel.toml` is.
    has_mistakes: bool,
    is_refused: bool,
    are_settings_refused: bool,
    /// Since when the disk has something newer, in seconds since 1970.
    newer_since: Option<u64>,
    /// When the organisations were last looked at, in milliseconds since 1970; none before that.
    looked_at: Option<u64>,
}

impl Files {
    /// Files that this reader has read, and that are in use but for these mistakes.
    pub(super) fn new(reader: Reader, mistakes: &Mistakes) -> Self {
        let watch = reader.settings_read().map(|settings| Watch {
            looks: Looks::new(reader.folder_on_disk()),
            quiet: Quiet::taken(Seen {
                // They may have changed since they were read.
                is_settled: false,
                ..reader.organisations_on_disk()
            }),
            settings,
            has_mistakes: !mistakes.is_empty(),
            is_refused: false,
            are_settings_refused: false,
            newer_since: None,
            looked_at: None,
        });
        Self {
            reader,
            watch,
            said: mistakes.lines(),
        }
    }

    /// Looks whether something has changed. Gives whether organisations are to be taken up now.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        let folder = self.reader.folder_on_disk();
        if watch.looks.is_due(&folder, now) {
            let begun = Instant::now();
            watch.looked_at = Some(milliseconds());
            watch.quiet.see(self.reader.organisations_on_disk(), now);
            let took = begun.elapsed();
            let is_waiting = watch.quiet.is_waiting();
            watch.looks.looked(folder, now, took, is_waiting);
        }
        let has_other_settings = watch.settings != self.reader.settings_on_disk();
        watch.are_settings_refused &= has_other_settings;
        let is_newer = watch.quiet.has_changed() || watch.refuses() || has_other_settings;
        watch.newer_since = is_newer.then(|| watch.newer_since.unwrap_or_else(seconds));
        watch.quiet.is_due()
    }

    /// Since when the configuration on the disk is newer than the one in use, in seconds since
    /// 1970; none if it is not, by the last look.
    pub(super) fn newer_since(&self) -> Option<u64> {
        self.watch.as_ref()?.newer_since
    }

    /// When that was last looked at, in milliseconds since 1970; none before the first look.
    pub(super) fn looked_at(&self) -> Option<u64> {
        self.watch.as_ref()?.looked_at
    }

    /// Reads everything; what is read becomes [`Self::in_use`], or it is [`Self::refused`].
    pub(super) fn load(&mut self) -> (Seen, Result<Loaded, Problems>) {
        (self.seen(), self.reader.load())
    }

    /// Reads the organisations alone, against settings that are in use. Then as [`Self::load`].
    pub(super) fn load_organisations(
        &mut self,
        settings: &Settings,
    ) -> (Seen, Result<Loaded, Problems>) {
        (self.seen(), self.reader.load_organisations(settings))
    }

    fn seen(&mut self) -> Seen {
        let Some(watch) = &mut self.watch else {
            return Seen::default();
        };
        watch.looked_at = Some(milliseconds());
        self.reader.organisations_on_disk()
    }

    /// What was read is in use: the organisations but for these mistakes, and `zegel.toml` too if
    /// it was read. Gives what is to be said of the mistakes: what is news, or all of it to
    /// somebody who asks for a reload.
    pub(super) fn in_use(&mut self, (seen, due): (Seen, Due), mistakes: &Mistakes) -> Vec<String> {
        let wrong = mistakes.lines();
        let is_told = |line: &&String| due == Due::Everything || !self.said.contains(*line);
        let told = wrong.iter().filter(is_told).cloned().collect();
        self.said = wrong;
        let Some(watch) = &mut self.watch else {
            return told;
        };
        watch.quiet.take(seen);
        watch.has_mistakes = !mistakes.is_empty();
        watch.is_refused = false;
        if let (Due::Everything, Some(settings)) = (due, self.reader.settings_read()) {
            watch.settings = settings;
            watch.are_settings_refused = false;
        }
        let is_newer = watch.refuses() || watch.settings != self.reader.settings_on_disk();
        watch.newer_since = watch.newer_since.filter(|_| is_newer);
        told
    }

    /// What was read can't be used, for these reasons. Gives those that were not said before.
    /// Organisations are not read again before something changes; those that were refused
    /// together with another `zegel.toml` are read once more without it.
    pub(super) fn refused(&mut self, seen: Seen, due: Due, reasons: Vec<String>) -> Vec<String> {
        if let Some(watch) = &mut self.watch {
            let has_other_settings = watch.settings != self.reader.settings_on_disk();
            if due == Due::Everything && has_other_settings {
                watch.are_settings_refused = true;
            } else {
                watch.quiet.take(seen);
                watch.is_refused = true;
            }
        }
        let reasons: BTreeSet<String> = reasons.into_iter().collect();
        let news = reasons.difference(&self.said).cloned().collect();
        self.said = reasons;
        news
    }

    /// Whether the organisations that were last read were refused together.
    pub(super) fn is_refused(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_refused)
    }

    /// Whether something on the disk is refused.
    pub(super) fn refuses(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::refuses)
    }

    /// These organisations are in use.
    pub(super) fn go_on_from(&mut self, organisations: &[Arc<Organisation>]) {
        self.reader.go_on_from(organisations);
    }
}

impl Watch {
    fn refuses(&self) -> bool {
        self.has_mistakes || self.is_refused || self.are_settings_refused
    }
}

fn seconds() -> u64 {
    milliseconds() / 1000
}

fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    u64::try_from(now).unwrap_or(u64::MAX)
}
