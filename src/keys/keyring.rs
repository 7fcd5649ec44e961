//! What is known of the keys of one organisation: `keyring.json`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    departure::{Departure, Departures},
    publication::{Publication, State},
};
use crate::{
    dkim::{
        PublicKey,
        key::{Algorithm, Fingerprint},
    },
    names::{DomainName, Selector},
};

/// The keys of an organisation, without their private halves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keyring {
    pub(super) keys: Vec<KeyEntry>,
    /// Since when the operator has its mail not signed; see [`Keyring::suspended`].
    pub(super) suspended: Option<Timestamp>,
    /// By when records are to be there, where the operator named a day. Kept beside the keyring,
    /// not in it.
    deadlines: BTreeMap<Selector, Timestamp>,
    /// What leaves at the operator's word; likewise.
    pub(super) departures: Departures,
    /// Why nobody can tell what leaves, for the operator.
    departures_problem: Option<String>,
    /// The version that it was read in was written by a zegel of 0.1.
    is_of_0_1: bool,
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
    /// Its public half: what belongs in DNS. None as long as only a zegel of 0.1, which wrote
    /// version 1, has written it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
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

    /// Whether it signs for a domain, or may do so one day.
    pub fn may_sign(&self) -> bool {
        let mut publications = self.publications.values();
        publications.any(|one| {
            matches!(
                one.state,
                State::Generated | State::Published | State::Active
            )
        })
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
    #[error(
        "it has version {0}, and this zegel knows up to {known}: upgrade zegel",
        known = Keyring::VERSION
    )]
    Newer(u64),
    /// Two keys with one selector.
    #[error("the selector {0} is there twice: remove the key that is not in {0}.pem")]
    RepeatedSelector(Selector),
    /// Two entries for one key.
    #[error("the selectors {0} and {1} have the same key: remove one of the two")]
    RepeatedKey(Selector, Selector),
    /// The record would be that of another key.
    #[error(
        "the public_key of {0} does not have its fingerprint and algorithm: take public_key out \
         of its entry, and it is made anew from the key file"
    )]
    OtherPublicKey(Selector),
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

/// `keyring.json` as it is on disk.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    suspended: Option<Timestamp>,
    keys: Vec<KeyEntry>,
}

/// As much as can be read of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

impl Keyring {
    /// The version that is written, and the newest that is read.
    pub const VERSION: u64 = 3;

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
        if version > Self::VERSION {
            return Err(KeyringProblem::Newer(version));
        }
        if version == 0 {
            return Err(KeyringProblem::Json("there is no version 0".to_owned()));
        }
        let on_disk = read.map_err(problem)?;
        let keyring = Self {
            keys: on_disk.keys,
            suspended: on_disk.suspended,
            deadlines: BTreeMap::new(),
            departures: Departures::default(),
            departures_problem: None,
            is_of_0_1: version < Self::VERSION,
        };
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
            version: Self::VERSION,
            suspended: self.suspended,
            keys: self.keys.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&on_disk)
            .map_err(|error| KeyringProblem::Json(error.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }

    /// By when the operator wants the record of this key to be there; none if they named no day.
    pub fn deadline(&self, selector: &Selector) -> Option<Timestamp> {
        self.deadlines.get(selector).copied()
    }

    /// Adds the days that the operator named, which are kept elsewhere.
    pub fn set_deadlines(&mut self, deadlines: BTreeMap<Selector, Timestamp>) {
        self.deadlines = deadlines;
    }

    /// What the operator said of organisations and domains that leave.
    pub fn departures(&self) -> &Departures {
        &self.departures
    }

    /// Adds what the operator said, which is kept elsewhere.
    pub fn set_departures(&mut self, departures: Departures) {
        self.departures = departures;
    }

    /// Says that what leaves can't be read, and why: nobody can tell then, so that no key is made
    /// and none comes back.
    pub fn set_departures_problem(&mut self, problem: String) {
        self.departures_problem = Some(problem);
    }

    /// Why nobody can tell what leaves, for the operator; none if everybody can.
    pub fn departures_problem(&self) -> Option<&str> {
        self.departures_problem.as_deref()
    }

    /// The notice that holds for a domain; none if it stays.
    pub fn departure(&self, domain: &DomainName) -> Option<Departure> {
        self.departures.of(domain)
    }

    /// Whether a domain has left by the operator's word: its grace is over.
    pub fn has_left(&self, domain: &DomainName) -> bool {
        let departure = self.departure(domain);
        departure.is_some_and(|departure| departure.ended.is_some())
    }

    /// All keys, in the order in which they came.
    pub fn keys(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// Whether the keys, and whether they sign, are the same; what lies beside the keyring does not
    /// count.
    pub fn has_same_keys(&self, other: &Self) -> bool {
        self.keys == other.keys && self.suspended == other.suspended
    }

    /// Since when no mail of the organisation is signed, at the operator's word, whatever keys
    /// are active; none when it is not suspended.
    pub fn suspended(&self) -> Option<Timestamp> {
        self.suspended
    }

    /// Whether it was read as a zegel of 0.1 wrote it, which took an organisation without a file
    /// for removed.
    pub fn is_of_0_1(&self) -> bool {
        self.is_of_0_1
    }

    /// The domains for which a key is active.
    pub fn in_use(&self) -> BTreeSet<&DomainName> {
        let publications = self.keys.iter().flat_map(|key| &key.publications);
        let active = publications.filter(|(_, one)| one.state == State::Active);
        active.map(|(domain, _)| domain).collect()
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

    /// Writes down the public halves that are lacking, as far as `read` finds them.
    pub fn complete(&mut self, read: impl Fn(&KeyEntry) -> Option<PublicKey>) {
        for key in &mut self.keys {
            if key.public_key.is_none() {
                key.public_key = read(key);
            }
        }
    }

    /// The rules that every keyring keeps.
    pub(super) fn check(&self) -> Result<(), KeyringProblem> {
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
            let is_other = |public_key: &PublicKey| {
                public_key.fingerprint() != key.fingerprint
                    || public_key.algorithm() != key.algorithm
            };
            if key.public_key.as_ref().is_some_and(is_other) {
                return Err(KeyringProblem::OtherPublicKey(selector.clone()));
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

#[cfg(test)]
impl Keyring {
    /// With one RSA key, `s0`, `s1` and so on, for each of these publications of the domain.
    pub(crate) fn of(domain: &str, publications: &[Publication]) -> Self {
        let keys = publications.iter().zip(0..).map(|(publication, place)| {
            serde_json::json!({
                "selector": format!("s{place}"),
                "algorithm": "rsa-sha256",
                "created": "2026-01-01T00:00:00Z",
                "fingerprint": format!("{place:064x}"),
                "publications": BTreeMap::from([(domain, publication)]),
            })
        });
        let keys: Vec<_> = keys.collect();
        let json = serde_json::json!({ "version": 1, "keys": keys });
        Self::parse(json.to_string().as_bytes()).unwrap()
    }
}
