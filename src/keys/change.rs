//! A change of one publication, and the rules that hold whoever thought of it.

use jiff::Timestamp;

use super::{
    keyring::{KeyEntry, Keyring, KeyringProblem},
    publication::{Evidence, ForbiddenStep, Publication, State},
    timing::{Timing, later},
};
use crate::names::{DomainName, Selector};

/// A publication that changes. It is written only if it is still as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Of which key.
    pub selector: Selector,
    /// In which domain.
    pub domain: DomainName,
    /// As it was; none when the key is not known to the domain yet.
    pub before: Option<Publication>,
    /// As it is to be.
    pub after: Publication,
    /// What happens, for the audit log.
    pub event: Event,
}

impl Change {
    /// What becomes of a key in a domain.
    pub(super) fn new(
        key: &KeyEntry,
        domain: &DomainName,
        after: Publication,
        event: Event,
    ) -> Self {
        Self {
            selector: key.selector.clone(),
            domain: domain.clone(),
            before: key.publications.get(domain).copied(),
            after,
            event,
        }
    }

    /// The domain gets the key too.
    pub(super) fn added(key: &KeyEntry, domain: &DomainName, now: Timestamp) -> Self {
        Self::new(key, domain, Publication::generated(now), Event::Added)
    }

    /// The domain or its algorithm has left. Not the keeper's look: the drain is counted anew from
    /// the next one, as for a key that nobody has looked at.
    pub(super) fn left(
        key: &KeyEntry,
        domain: &DomainName,
        timing: &Timing,
        now: Timestamp,
    ) -> Self {
        let before = key.publications.get(domain).copied();
        let mut after = before.unwrap_or_else(|| Publication::generated(now));
        after.leave(timing, now);
        after.checked = None;
        Self::new(key, domain, after, Event::Left)
    }

    /// Whether the key comes into another state, and not only the evidence changes.
    pub fn moves(&self) -> bool {
        self.before
            .is_none_or(|before| before.state != self.after.state)
    }

    /// On whose word it is made, if it is on someone's.
    pub fn evidence(&self) -> Option<Evidence> {
        let is_assumed = matches!(self.event, Event::Activated { .. }) && self.after.assumed;
        is_assumed.then_some(Evidence::Assumed)
    }

    /// Whether the signer is to hear of it: of another state, and of a record that is given
    /// up, on which a draining key no longer stands in for its successor.
    pub fn is_announced(&self) -> bool {
        self.moves()
            || self
                .before
                .is_some_and(|before| before.withdrawal != self.after.withdrawal)
    }
}

/// What happens to a publication.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Looked at; it stays in its state.
    Checked,
    /// The domain is to get the record of a key that the organisation has.
    Added,
    /// Seen everywhere for the first time.
    Published,
    /// Not seen everywhere any more, before it was used.
    Unpublished,
    /// It signs from now on.
    Activated {
        /// In the place of this key.
        instead_of: Option<Selector>,
    },
    /// It signs no more.
    Draining {
        /// The key that took its place.
        successor: Selector,
    },
    /// It signs no more, since its domain or algorithm has left the organisation.
    Left,
    /// It signs again: what had left is back, and its record is seen everywhere.
    Returned,
    /// No mail needs its record any more.
    WithdrawalAsked,
    /// Its record is empty or gone.
    Withdrawn,
    /// The operator says that its record may be given up, or is gone.
    WithdrawnByWord,
    /// Its record, empty before, is gone.
    RecordGone,
    /// The operator gave it up.
    Revoked,
}

impl Event {
    /// The word in the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Added => "added",
            Self::Published => "published",
            Self::Unpublished => "unpublished",
            Self::Activated { .. } => "activated",
            Self::Draining { .. } => "draining",
            Self::Left => "left",
            Self::Returned => "returned",
            Self::WithdrawalAsked => "withdrawal_asked",
            Self::Withdrawn => "withdrawn",
            Self::WithdrawnByWord => "withdrawn_by_word",
            Self::RecordGone => "record_gone",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a set of changes is not made; nothing is changed then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeRefusal {
    /// Someone else changed it in the meantime.
    #[error("the key was changed by someone else in the meantime")]
    Stale,
    /// The drawing has no such arrow.
    #[error(transparent)]
    Step(#[from] ForbiddenStep),
    /// It would sign without having been seen, or be given up without anyone's word.
    #[error("there is no evidence for this step")]
    NoEvidence,
    /// The domain had an active key and would have none.
    #[error("the domain would be left without a key that signs")]
    NoneActive,
    /// What would come of it is no keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringProblem),
}

impl Keyring {
    /// Makes all of these changes, or none.
    ///
    /// # Errors
    /// When a publication is not as the change has it, and when a change breaks a rule of
    /// the life of keys, whoever thought of it; says of which change.
    pub fn apply<'a>(&mut self, changes: &'a [Change]) -> Result<(), (&'a Change, ChangeRefusal)> {
        let mut next = self.clone();
        for change in changes {
            if self.has_other_active(change) {
                return Err((change, ChangeRefusal::Stale));
            }
            next.apply_one(change)
                .map_err(|refusal| (change, refusal))?;
        }
        for change in changes {
            if next.is_left_alone(change) {
                return Err((change, ChangeRefusal::NoneActive));
            }
        }
        if let (Some(last), Err(problem)) = (changes.last(), next.check()) {
            return Err((last, problem.into()));
        }
        *self = next;
        Ok(())
    }

    /// Whether the change is to replace another key than the one that signs now.
    fn has_other_active(&self, change: &Change) -> bool {
        let instead_of = match &change.event {
            Event::Activated { instead_of } => instead_of.as_ref(),
            Event::Returned => None,
            _ => return false,
        };
        let Some(key) = self.key(&change.selector) else {
            return false;
        };
        let active = self.active_key(&change.domain, key.algorithm);
        active.map(|key| &key.selector) != instead_of
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), ChangeRefusal> {
        let keys = &mut self.keys;
        let key = keys.iter_mut().find(|key| key.selector == change.selector);
        let key = key.ok_or(ChangeRefusal::Stale)?;
        if key.publications.get(&change.domain) != change.before.as_ref() {
            return Err(ChangeRefusal::Stale);
        }
        check_change(change)?;
        key.publications.insert(change.domain.clone(), change.after);
        Ok(())
    }

    /// Whether the change takes an active key away that nothing replaces.
    fn is_left_alone(&self, change: &Change) -> bool {
        let was_active = change
            .before
            .is_some_and(|before| before.state == State::Active);
        let Some(key) = self.key(&change.selector) else {
            return false;
        };
        was_active
            && change.event != Event::Left
            && !matches!(change.after.state, State::Active | State::Revoked)
            && self.active_key(&change.domain, key.algorithm).is_none()
    }
}

/// The rules that hold for a change by itself.
fn check_change(change: &Change) -> Result<(), ChangeRefusal> {
    let (from, after) = match &change.before {
        Some(before) => (before.state, &change.after),
        None => (State::Generated, &change.after),
    };
    // On the operator's word a key signs though nobody has seen its record.
    let is_assumed = from == State::Generated && after.state == State::Active && after.assumed;
    if from != after.state && !from.leads_to(after.state) && !is_assumed {
        return Err(ChangeRefusal::Step(ForbiddenStep {
            from,
            to: after.state,
        }));
    }
    let has_evidence = match after.state {
        State::Active if from == State::Draining => {
            let before = change.before.as_ref();
            before.is_some_and(Publication::may_return)
                && after.seen_last.is_some()
                && after.seen_last == after.checked
                && !after.assumed
        }
        State::Active if from != State::Active => {
            let wait = after.negative_ttl.unwrap_or_default();
            let seen = |since: Timestamp| Some(after.seen_last? >= later(since, wait));
            after.assumed || after.seen_since.and_then(seen).unwrap_or(false)
        }
        State::Withdrawn if from != State::Withdrawn => {
            from == State::Revoked
                || change.event == Event::WithdrawnByWord
                || change
                    .before
                    .is_some_and(|before| before.withdrawal.is_some())
        }
        _ => true,
    };
    if has_evidence {
        Ok(())
    } else {
        Err(ChangeRefusal::NoEvidence)
    }
}
