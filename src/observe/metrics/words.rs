//! Counters by word, without a lock.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A counter for each of at most `N` words, which take their places as they come.
#[derive(Debug)]
pub(super) struct Words<const N: usize> {
    places: [(OnceLock<&'static str>, AtomicU64); N],
    /// What came when all places were taken.
    others: AtomicU64,
}

impl<const N: usize> Words<N> {
    pub(super) fn add(&self, word: &'static str) {
        let place = self
            .places
            .iter()
            .find(|(name, _)| *name.get_or_init(|| word) == word);
        let count = place.map_or(&self.others, |(_, count)| count);
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let places = self.places.iter();
        let named = places.filter_map(|(name, count)| Some((*name.get()?, count.load(Relaxed))));
        let others = Some(("other", self.others.load(Relaxed))).filter(|(_, count)| *count > 0);
        named.chain(others)
    }
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| Default::default()),
            others: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_places_are_counted_together() {
        let words = Words::<2>::default();
        for word in ["a", "b", "c", "a", "d"] {
            words.add(word);
        }
        let all: Vec<_> = words.all().collect();
        assert_eq!(all, [("a", 2), ("b", 1), ("other", 2)]);
    }
}
