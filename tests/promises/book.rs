//! Every key that was ever made, and the facts about it, kept by the test alone.

use std::collections::BTreeSet;

use zegel::{
    dkim::{key::Fingerprint, key::PublicKey},
    names::Selector,
};

use crate::events::{DOMAINS, Dom, Org};

/// A key, by its place in the book.
pub(crate) type KeyId = usize;

pub(crate) struct MadeKey {
    pub(crate) org: Org,
    pub(crate) selector: Selector,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) public_key: PublicKey,
    /// For which it was ever meant.
    pub(crate) domains: BTreeSet<Dom>,
}

/// What is true of a key, and must not be forgotten.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fact {
    Made(KeyId),
    /// In use: activated on evidence or by word, and nothing ended it since.
    Active(KeyId, Dom),
    /// Given up at the operator's word.
    Revoked(KeyId, Dom),
    /// The keeper saw that its domain was elsewhere, and has not seen its record since.
    Left(KeyId, Dom),
}

pub(crate) type Facts = BTreeSet<Fact>;

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) keys: Vec<MadeKey>,
}

impl Book {
    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Option<KeyId> {
        self.keys
            .iter()
            .position(|key| key.fingerprint == fingerprint)
    }

    /// A new key: its selector is nobody else's where that is known. `is_forgotten` says of
    /// which keys nothing is known any more.
    pub(crate) fn enter(&mut self, key: MadeKey, is_forgotten: impl Fn(KeyId) -> bool) -> KeyId {
        assert_eq!(self.find(key.fingerprint), None, "a key twice");
        self.keys.push(key);
        let id = self.keys.len() - 1;
        self.check_selector(id, is_forgotten);
        id
    }

    /// A key is to sign for one more domain.
    pub(crate) fn widen(&mut self, id: KeyId, dom: Dom, is_forgotten: impl Fn(KeyId) -> bool) {
        if self.keys[id].domains.insert(dom) {
            self.check_selector(id, is_forgotten);
        }
    }

    /// No organisation gives a selector twice, and on no domain it stands for two keys.
    fn check_selector(&self, id: KeyId, is_forgotten: impl Fn(KeyId) -> bool) {
        let key = &self.keys[id];
        for (other, known) in self.keys.iter().enumerate() {
            if other == id || is_forgotten(other) || known.selector != key.selector {
                continue;
            }
            assert_ne!(known.org, key.org, "{} was given twice", key.selector);
            let mut both = known.domains.intersection(&key.domains);
            if let Some(dom) = both.next() {
                panic!("{} on {} stands for two keys", key.selector, DOMAINS[*dom]);
            }
        }
    }
}
