//! What is known of the keys of one organisation: `keyring.json`.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    plan::{Change, Event},
    publication::{Evidence, ForbiddenStep, Publication, State},
    timing::later,
};
use crate::{
    dkim::key::{Algorithm, Fingerprint},
    names::{DomainName, Selector},
};

/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;

/// The keys of an organisation, without their private halves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keyring {
    keys: Vec<KeyEntry>,
}

/// One key as the keyring has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Never used again in this organisation, whatever becomes of the key.
    pub selector: Selector,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// When it was made, or imported.
    pub created: Timestamp,
    /// Of its public half; what the key file must match.
    pub fingerprint: Fingerprint,
    /// What is known of it in DNS, for each domain that it was made for.
    pub publications: BTreeMap<DomainName, Publication>,
}

/// What makes a key this key: as much as is needed to read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyIdentity {
    /// What its file is named after.
    pub selector: Selector,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Of its public half.
    pub fingerprint: Fingerprint,
}

impl KeyEntry {
    /// What its file must match.
    pub fn identity(&self) -> KeyIdentity {
        KeyIdentity {
            selector: self.selector.clone(),
            algorithm: self.algorithm,
            fingerprint: self.fingerprint,
        }
    }

    /// Its state for `domain`; `None` when it was not made for that domain.
    pub fn state(&self, domain: &DomainName) -> Option<State> {
        self.publications
            .get(domain)
            .map(|publication| publication.state)
    }
}

/// What is wrong with a keyring; the keys of its organisation are not used then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyringProblem {
    /// Not JSON, or not the JSON of a keyring; says where.
    #[error("it is not a keyring: {0}; restore it from a back-up")]
    Json(String),
    /// A later version of zegel wrote it.
    #[error("it has version {0}, and this zegel knows up to {VERSION}: upgrade zegel")]
    Newer(u64),
    /// Two keys with one selector.
    #[error("the selector {0} is there twice: remove the key that is not in {0}.pem")]
    RepeatedSelector(Selector),
    /// Two entries for one key.
    #[error("the selectors {0} and {1} have the same key: remove one of the two")]
    RepeatedKey(Selector, Selector),
    /// Which of the two signs cannot be known.
    #[error(
        "{first} and {second} are both active for {domain} with {algorithm}: \
         change the state of the older one to draining"
    )]
    SeveralActive {
        /// The domain for which there are two.
        domain: DomainName,
        /// The algorithm that both have.
        algorithm: Algorithm,
        /// One of the two.
        first: Selector,
        /// The other.
        second: Selector,
    },
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

/// `keyring.json` as it is on disk.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    version: u64,
    keys: Vec<KeyEntry>,
}

/// As much as can be read of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

impl Keyring {
    /// Reads `keyring.json`.
    ///
    /// # Errors
    /// When it is not a keyring of a version that is known, or breaks a rule that every
    /// keyring keeps; see [`KeyringProblem`].
    pub fn parse(json: &[u8]) -> Result<Self, KeyringProblem> {
        let problem = |error: serde_json::Error| KeyringProblem::Json(error.to_string());
        let read = serde_json::from_slice::<OnDisk>(json);
        // Of another version nothing but that is sure to be understood.
        let version = if let Ok(on_disk) = &read {
            on_disk.version
        } else {
            let any: AnyVersion = serde_json::from_slice(json).map_err(problem)?;
            any.version
        };
        if version > VERSION {
            return Err(KeyringProblem::Newer(version));
        }
        if version == 0 {
            return Err(KeyringProblem::Json("there is no version 0".to_owned()));
        }
        let on_disk = read.map_err(problem)?;
        let keyring = Self { keys: on_disk.keys };
        keyring.check()?;
        Ok(keyring)
    }

    /// What is written to `keyring.json`, for people to read too.
    ///
    /// # Errors
    /// When it breaks a rule that every keyring keeps.
    pub fn to_json(&self) -> Result<Vec<u8>, KeyringProblem> {
        self.check()?;
        let on_disk = OnDisk {
            version: VERSION,
            keys: self.keys.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&on_disk)
            .map_err(|error| KeyringProblem::Json(error.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }

    /// All keys, in the order in which they came.
    pub fn keys(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// The key with this selector, in whatever state.
    pub fn key(&self, selector: &Selector) -> Option<&KeyEntry> {
        self.keys.iter().find(|key| key.selector == *selector)
    }

    /// The key that signs for `domain` with `algorithm`: there is never more than one.
    pub fn active_key(&self, domain: &DomainName, algorithm: Algorithm) -> Option<&KeyEntry> {
        self.keys
            .iter()
            .find(|key| key.algorithm == algorithm && key.state(domain) == Some(State::Active))
    }

    /// The key that waits to sign for `domain` with `algorithm`: the last one that was not
    /// used yet and came after the one that signs.
    pub fn waiting_key(&self, domain: &DomainName, algorithm: Algorithm) -> Option<&KeyEntry> {
        let of_kind = self.keys.iter().rev();
        of_kind
            .filter(|key| key.algorithm == algorithm)
            .take_while(|key| key.state(domain) != Some(State::Active))
            .find(|key| {
                let state = key.state(domain);
                matches!(state, Some(State::Generated | State::Published))
            })
    }

    /// Adds a key after the others. Whether its selector and the key are new is looked at
    /// when the keyring is written.
    pub fn add(&mut self, key: KeyEntry) {
        self.keys.push(key);
    }

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
        let (Event::Activated { instead_of }, Some(key)) =
            (&change.event, self.key(&change.selector))
        else {
            return false;
        };
        let active = self.active_key(&change.domain, key.algorithm);
        active.map(|key| &key.selector) != instead_of.as_ref()
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
            && !matches!(change.after.state, State::Active | State::Revoked)
            && self.active_key(&change.domain, key.algorithm).is_none()
    }

    /// Creates the publications that `domains` do not have yet. False without such a key.
    pub(crate) fn add_domains(
        &mut self,
        selector: &Selector,
        domains: &[DomainName],
        now: Timestamp,
    ) -> bool {
        let Some(key) = self.keys.iter_mut().find(|key| key.selector == *selector) else {
            return false;
        };
        for domain in domains {
            key.publications
                .entry(domain.clone())
                .or_insert_with(|| Publication::generated(now));
        }
        true
    }

    /// Makes the key, if there is one with this selector, active for one domain, and lets
    /// the one before it drain.
    ///
    /// # Errors
    /// When it was active once, or was revoked; nothing is changed then.
    pub fn activate(
        &mut self,
        (selector, domain): (&Selector, &DomainName),
        evidence: Evidence,
        now: Timestamp,
    ) -> Result<(), ForbiddenStep> {
        let keys = &mut self.keys;
        let Some(key) = keys.iter_mut().find(|key| key.selector == *selector) else {
            return Ok(());
        };
        let algorithm = key.algorithm;
        key.publications
            .entry(domain.clone())
            .or_insert_with(|| Publication::generated(now))
            .activate(evidence, now)?;
        for key in keys {
            if key.selector != *selector
                && key.algorithm == algorithm
                && let Some(publication) = key.publications.get_mut(domain)
                && publication.state == State::Active
            {
                publication.advance(State::Draining, now)?;
            }
        }
        Ok(())
    }

    /// The rules that every keyring keeps.
    fn check(&self) -> Result<(), KeyringProblem> {
        let mut selectors = HashSet::new();
        let mut fingerprints = HashMap::new();
        let mut active = HashMap::new();
        for key in &self.keys {
            let selector = &key.selector;
            if !selectors.insert(selector) {
                return Err(KeyringProblem::RepeatedSelector(selector.clone()));
            }
            if let Some(other) = fingerprints.insert(key.fingerprint, selector) {
                let other: &Selector = other;
                return Err(KeyringProblem::RepeatedKey(other.clone(), selector.clone()));
            }
            for (domain, publication) in &key.publications {
                if publication.state != State::Active {
                    continue;
                }
                if let Some(first) = active.insert((domain, key.algorithm), selector) {
                    let first: &Selector = first;
                    return Err(KeyringProblem::SeveralActive {
                        domain: domain.clone(),
                        algorithm: key.algorithm,
                        first: first.clone(),
                        second: selector.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The rules that hold for a change by itself.
fn check_change(change: &Change) -> Result<(), ChangeRefusal> {
    let (from, after) = match &change.before {
        Some(before) => (before.state, &change.after),
        None => (State::Generated, &change.after),
    };
    if from != after.state && !from.leads_to(after.state) {
        return Err(ChangeRefusal::Step(ForbiddenStep {
            from,
            to: after.state,
        }));
    }
    let has_evidence = match after.state {
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
