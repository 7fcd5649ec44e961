//! When a change of many files is one change: pure, with a clock that is passed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Seen;

/// Nothing has changed for so long: whoever changes the files is done.
const QUIET_FOR: Duration = Duration::from_secs(2);
/// After so long a change is taken up although the next ones come already.
const AT_THE_LATEST: Duration = Duration::from_secs(30);

/// Of what looks cost, one part in so many is all that they may take.
const SHARE: u32 = 200;
/// While a change waits, for half a minute at most.
const SHARE_MEANWHILE: u32 = 4;

/// Whether the files have changed since they were last taken up, and whether they are quiet.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// The number of the files when they were last taken up, for good or in vain.
    taken: u64,
    /// Whether they are to be taken up once more, since what was written while they were read
    /// may have left no trace.
    again: bool,
    waiting: Option<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    number: u64,
    since: Instant,
    changed: Instant,
    seen: Instant,
}

impl Quiet {
    /// Files that are in use as they were then.
    pub(super) fn taken(seen: Seen) -> Self {
        Self {
            taken: seen.number,
            again: !seen.is_settled,
            waiting: None,
        }
    }

    /// The files were looked at.
    pub(super) fn see(&mut self, seen: Seen, now: Instant) {
        if seen.number == self.taken && !self.again {
            self.waiting = None;
            return;
        }
        let number = seen.number;
        let waiting = self.waiting.get_or_insert(Waiting {
            number,
            since: now,
            changed: now,
            seen: now,
        });
        if waiting.number != number {
            waiting.number = number;
            waiting.changed = now;
        }
        waiting.seen = now;
    }

    /// Whether the change is to be taken up now.
    pub(super) fn is_due(&self) -> bool {
        self.waiting.is_some_and(|waiting| {
            let quiet = waiting.seen.duration_since(waiting.changed);
            let waits = waiting.seen.duration_since(waiting.since);
            quiet >= QUIET_FOR || waits >= AT_THE_LATEST
        })
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether the files are other ones than when they were last taken up.
    pub(super) fn has_changed(&self) -> bool {
        self.waiting
            .is_some_and(|waiting| waiting.number != self.taken)
    }

    /// The files are taken up as they were seen just before.
    pub(super) fn take(&mut self, seen: Seen) {
        // Once: a clock that was set back would have them taken for ever.
        let is_the_second = self.again && self.taken == seen.number;
        *self = Self::taken(seen);
        self.again &= !is_the_second;
    }
}

/// When to look at all the files: seldom if that takes long.
#[derive(Debug)]
pub(super) struct Looks<Folder> {
    folder: Folder,
    next: Option<Instant>,
}

impl<Folder: PartialEq> Looks<Folder> {
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, next: None }
    }

    /// Whether to look at all the files, given the folder as it is now.
    pub(super) fn is_due(&self, folder: &Folder, now: Instant) -> bool {
        self.folder != *folder || self.next.is_none_or(|next| next <= now)
    }

    /// The files were looked at, which took so long.
    pub(super) fn looked(
        &mut self,
        folder: Folder,
        begun: Instant,
        took: Duration,
        is_waiting: bool,
    ) {
        let share = if is_waiting { SHARE_MEANWHILE } else { SHARE };
        self.folder = folder;
        self.next = Some(begun + took * share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: u64) -> Seen {
        Seen {
            number,
            is_settled: true,
        }
    }

    /// Looks in seconds after the beginning, and whether the change is due then.
    #[track_caller]
    fn assert_due(quiet: &mut Quiet, looks: impl IntoIterator<Item = (u64, u64, bool)>) {
        let begin = Instant::now();
        for (second, number, is_due) in looks {
            quiet.see(seen(number), begin + Duration::from_secs(second));
            assert_eq!(quiet.is_due(), is_due, "at {second}: {quiet:?}");
        }
    }

    #[test]
    fn what_is_as_it_was_taken_is_never_due() {
        let mut quiet = Quiet::taken(seen(1));
        assert_due(&mut quiet, (0..100).map(|second| (second, 1, false)));
        assert!(!quiet.has_changed() && !quiet.is_waiting());
    }

    #[test]
    fn a_change_is_due_when_the_files_were_quiet_for_two_seconds() {
        let mut quiet = Quiet::taken(seen(1));
        let looks = [(0, 1, false), (2, 2, false), (3, 2, false), (4, 2, true)];
        assert_due(&mut quiet, looks);
        assert!(quiet.has_changed());
        quiet.take(seen(2));
        assert!(!quiet.is_due() && !quiet.has_changed());
        assert_due(&mut quiet, [(0, 2, false), (9, 2, false)]);
    }

    #[test]
    fn several_files_are_one_change() {
        let mut quiet = Quiet::taken(seen(1));
        let looks = [(0, 2, false), (1, 3, false), (2, 4, false), (3, 4, false)];
        assert_due(&mut quiet, looks.into_iter().chain([(4, 4, true)]));
    }

    #[test]
    fn files_that_are_never_quiet_are_taken_up_after_half_a_minute() {
        let mut quiet = Quiet::taken(seen(1));
        let looks = (0..=30).map(|second| (second, 2 + second, second == 30));
        assert_due(&mut quiet, looks);
        quiet.take(seen(32));
        assert_due(
            &mut quiet,
            (0..30).map(|second| (second, 40 + second, false)),
        );
    }

    #[test]
    fn what_is_taken_back_is_no_change() {
        let mut quiet = Quiet::taken(seen(1));
        let looks = [(0, 2, false), (1, 1, false), (2, 1, false), (5, 2, false)];
        assert_due(&mut quiet, looks);
    }

    /// What was written in the same moment may have left no trace.
    #[test]
    fn what_was_written_just_before_is_taken_once_more_and_not_for_ever() {
        let fresh = Seen {
            number: 2,
            is_settled: false,
        };
        let mut quiet = Quiet::taken(seen(1));
        quiet.take(fresh);
        assert_due(&mut quiet, [(0, 2, false), (2, 2, true)]);
        assert!(!quiet.has_changed());
        quiet.take(fresh);
        assert_due(&mut quiet, [(0, 2, false), (9, 2, false)]);
        quiet.take(Seen { number: 3, ..fresh });
        assert_due(&mut quiet, [(0, 3, false), (2, 3, true)]);
    }

    #[test]
    fn looks_that_take_long_are_seldom_unless_something_has_come() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut looks = Looks::new(1);
        assert!(looks.is_due(&1, begin));
        looks.looked(1, begin, Duration::from_millis(200), false);
        assert!(!looks.is_due(&1, at(39)));
        assert!(looks.is_due(&1, at(40)));
        assert!(looks.is_due(&2, at(2)));
        looks.looked(2, at(2), Duration::from_millis(200), true);
        assert!(!looks.is_due(&2, begin + Duration::from_millis(2799)));
        assert!(looks.is_due(&2, begin + Duration::from_millis(2800)));
    }
}
