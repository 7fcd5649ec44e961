//! Counters without a lock: by word, by reason, and by the key that signed. Each takes its place when it
//! first counts.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{names::Selector, organisation::Refusal};

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

/// A counter for each key, in the order of their first signatures. An organisation signs with
/// a few in the life of a process, so the right one is soon found.
#[derive(Debug, Default)]
pub(super) struct Signatures(OnceLock<Box<Link>>);

#[derive(Debug)]
struct Link {
    /// None where several organisations are counted together.
    selector: Option<Selector>,
    algorithm: &'static str,
    count: AtomicU64,
    next: Signatures,
}

impl Signatures {
    pub(super) fn add(&self, selector: Option<&Selector>, algorithm: &'static str) {
        let mut place = self;
        loop {
            let link = place.0.get_or_init(|| {
                Box::new(Link {
                    selector: selector.cloned(),
                    algorithm,
                    count: AtomicU64::new(0),
                    next: Self::default(),
                })
            });
            if link.selector.as_ref() == selector && link.algorithm == algorithm {
                link.count.fetch_add(1, Relaxed);
                return;
            }
            place = &link.next;
        }
    }

    /// Selector (empty if there is none), algorithm and number.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        let mut place = self;
        std::iter::from_fn(move || {
            let link = place.0.get()?;
            place = &link.next;
            let selector = link.selector.as_ref().map_or("", Selector::as_str);
            Some((selector, link.algorithm, link.count.load(Relaxed)))
        })
    }
}

/// A counter for each reason, in the order of [`Refusal::ALL`].
pub(super) type Reasons = Box<[AtomicU64; Refusal::ALL.len()]>;

/// One message with this reason.
pub(super) fn count(reasons: &OnceLock<Reasons>, reason: Refusal) {
    let counts = reasons.get_or_init(Box::default);
    if let Some(count) = counts.get(reason as usize) {
        count.fetch_add(1, Relaxed);
    }
}

/// The reasons that were counted.
pub(super) fn counted(reasons: &OnceLock<Reasons>) -> impl Iterator<Item = (&'static str, u64)> {
    let counts = reasons.get().into_iter().flat_map(|counts| &**counts);
    Refusal::ALL
        .into_iter()
        .zip(counts)
        .map(|(reason, count)| (reason.as_str(), count.load(Relaxed)))
        .filter(|(_, count)| *count > 0)
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

    #[test]
    fn each_key_counts_by_itself() {
        let selector = |text: &str| text.parse::<Selector>().unwrap();
        let (one, two) = (selector("s1"), selector("s2"));
        let signatures = Signatures::default();
        signatures.add(Some(&one), "rsa-sha256");
        signatures.add(Some(&two), "rsa-sha256");
        signatures.add(None, "ed25519-sha256");
        signatures.add(Some(&two), "rsa-sha256");
        let all: Vec<_> = signatures.all().collect();
        let expected = [
            ("s1", "rsa-sha256", 1),
            ("s2", "rsa-sha256", 2),
            ("", "ed25519-sha256", 1),
        ];
        assert_eq!(all, expected);
    }
}
