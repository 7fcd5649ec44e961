//! Care for the keys while mail passes: those that nobody has needed yet are read ahead of
//! their first message, and the files of the others are looked at again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Snapshot,
    held::{self, HeldKey},
};

/// So many keys are kept ahead of their mail; an RSA key of 2048 bits takes 6.5 KiB of memory
/// with aws-lc. Of the rest it is only seen whether they can be used; each is kept once it
/// is needed.
const KEPT_AHEAD: usize = 16_384;

/// One round along all keys of a snapshot.
pub struct KeyCare {
    keys: std::vec::IntoIter<Arc<HeldKey>>,
    /// How many more keys may be kept.
    room: usize,
}

impl KeyCare {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let keys: Vec<_> = snapshot.held().cloned().collect();
        let kept = keys.iter().filter(|key| key.is_read()).count();
        Self {
            keys: keys.into_iter(),
            room: KEPT_AHEAD.saturating_sub(kept),
        }
    }

    /// Works for about this long; false when the round is done. Reads files, so it blocks.
    pub fn work(&mut self, time: Duration) -> bool {
        let begun = Instant::now();
        for key in self.keys.by_ref() {
            if key.is_read() {
                key.look_again();
            } else if self.room > 0 {
                key.load(|problem| held::log(&problem));
                self.room -= 1;
            } else {
                key.try_out();
            }
            if begun.elapsed() >= time {
                return true;
            }
        }
        false
    }
}
