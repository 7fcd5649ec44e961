//! Signatures of an organisation by the key that made them, without a lock.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::names::Selector;

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

#[cfg(test)]
mod tests {
    use super::*;

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
