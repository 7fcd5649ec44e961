//! Who still knows what is true: the keyrings as they are on the disk, the mark, and the audit
//! log. What none of them knows any more, nobody can hold the relay to.
//!
//! These are the limits of the promises; docs/what-is-lost.md argues them, and there is no other
//! place in this test where one is let off:
//!
//! 1. *All witnesses lost.* A fact that was in a keyring, and that neither a keyring on the disk,
//!    nor the mark, nor the audit log has any more, is forgotten for good. The audit log knows
//!    which keys there were, and not (without the mark) that a keyring which is older is wrong
//!    about a revocation.
//! 2. *Nobody looked.* A domain that went away and came back with no look of the keeper between
//!    has not left: see [`Witnesses::leave`].

use crate::{
    book::{Fact, Facts, KeyId},
    events::{Dom, ORGANISATIONS, Org},
};

/// What is true, and who knows it.
#[derive(Default)]
pub(crate) struct Witnesses {
    pub(crate) truth: Facts,
    /// For each organisation: what its keyring says, as it is on the disk.
    pub(crate) keyrings: [Facts; ORGANISATIONS.len()],
    mark: Option<Facts>,
    audit: Facts,
    forgotten: Facts,
}

/// What a copy of the keystore knows.
#[derive(Clone, Default)]
pub(crate) struct Copy {
    pub(crate) keyrings: [Facts; ORGANISATIONS.len()],
    audit: Facts,
}

impl Witnesses {
    /// Whether it is true and somebody knows it.
    pub(crate) fn knows(&self, fact: Fact) -> bool {
        self.truth.contains(&fact) && !self.forgotten.contains(&fact)
    }

    /// Whether nobody knows of a key any more.
    pub(crate) fn has_forgotten(&self, key: KeyId) -> bool {
        self.forgotten.contains(&Fact::Made(key))
    }

    /// Something was written about a key of an organisation.
    pub(crate) fn learn(&mut self, org: Org, fact: Fact) {
        self.truth.insert(fact);
        self.keyrings[org].insert(fact);
        self.mark.iter_mut().for_each(|mark| {
            mark.insert(fact);
        });
        if matches!(fact, Fact::Made(_) | Fact::Active(..)) {
            self.audit.insert(fact);
        }
    }

    /// It is no longer so, and that was written.
    pub(crate) fn end(&mut self, org: Org, fact: Fact) {
        self.truth.remove(&fact);
        self.keyrings[org].remove(&fact);
        self.mark.iter_mut().for_each(|mark| {
            mark.remove(&fact);
        });
        self.audit.remove(&fact);
    }

    /// The keeper looked at an organisation while one of its domains was elsewhere: its keys
    /// there that the keyring on the disk has are proven no more, unless it is older than the
    /// activation of the key. Whether that is so.
    pub(crate) fn leave(&mut self, org: Org, key: KeyId, dom: Dom) -> bool {
        let active = Fact::Active(key, dom);
        let keyring = &self.keyrings[org];
        let is_older = self.truth.contains(&active) && !keyring.contains(&active);
        let leaves = keyring.contains(&Fact::Made(key)) && !is_older;
        if leaves {
            self.end(org, active);
            self.learn(org, Fact::Left(key, dom));
        }
        leaves
    }

    /// Whoever writes makes a mark if there is none, out of what there is.
    pub(crate) fn writer_came(&mut self) {
        let (keyrings, audit) = (&self.keyrings, &self.audit);
        self.mark.get_or_insert_with(|| {
            let mut known: Facts = keyrings.iter().flatten().copied().collect();
            known.extend(audit);
            known
        });
    }

    pub(crate) fn lose_mark(&mut self) {
        self.mark = None;
        self.forget();
    }

    pub(crate) fn lose_audit(&mut self) {
        self.audit.clear();
        self.forget();
    }

    /// The keyring of an organisation is another one, or none.
    pub(crate) fn replace_keyring(&mut self, org: Org, facts: Facts) -> Facts {
        let before = std::mem::replace(&mut self.keyrings[org], facts);
        self.forget();
        before
    }

    pub(crate) fn copy(&self) -> Copy {
        Copy {
            keyrings: self.keyrings.clone(),
            audit: self.audit.clone(),
        }
    }

    /// The keystore as a whole is another one, or an empty folder.
    pub(crate) fn replace(&mut self, copy: &Copy) {
        self.keyrings.clone_from(&copy.keyrings);
        self.audit.clone_from(&copy.audit);
        self.forget();
    }

    fn forget(&mut self) {
        let is_known = |fact: &&Fact| {
            let mut keyrings = self.keyrings.iter();
            keyrings.any(|keyring| keyring.contains(fact))
                || self.mark.as_ref().is_some_and(|mark| mark.contains(fact))
                || self.audit.contains(fact)
        };
        let lost: Vec<Fact> = self
            .truth
            .iter()
            .filter(|fact| !is_known(fact))
            .copied()
            .collect();
        self.forgotten.extend(lost);
    }
}
