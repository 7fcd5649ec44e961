//! What the keeper last saw in the DNS of an organisation beyond the states of its keys: the
//! policies of its domains, and what is wrong with records. The keeper alone writes it, the
//! surfaces read it; it decides nothing, so a power cut may take the last of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Keystore, KeystoreError, climbing::Climbed, files::Folder, problem::FileError};
use crate::{
    keys::Lead,
    names::{DomainName, OrganisationId, Selector},
};

/// No organisation has a dot in its name.
pub(super) const FOLDER: &str = "keeper.seen";

/// What was last seen for one organisation. A reader takes what it doesn't know for nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sightings {
    /// The policies, by domain.
    #[serde(default)]
    pub domains: BTreeMap<DomainName, DomainSighting>,
    /// What is wrong with the records of keys.
    #[serde(default)]
    pub keys: Vec<KeySighting>,
    /// Where the names of keys lead, in domains whose keys are to be in a zone of the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leads: Vec<Lead>,
    /// How far domains with reports have come on the ladder of DMARC. Read with the rest, and kept
    /// in another file, with who sends: [`super::Senders`].
    #[serde(skip)]
    pub climbed: BTreeMap<DomainName, Climbed>,
}

/// The policies of one domain, as resolvers showed them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DomainSighting {
    /// When.
    pub checked: Timestamp,
    /// The SPF records; none if nobody could tell so far.
    pub spf: Option<Vec<String>>,
    /// The DMARC records that speak for the domain; none if nobody could tell so far.
    pub dmarc: Option<Vec<String>>,
    /// The domain that those belong to: this one, or one above it.
    #[serde(default)]
    pub dmarc_owner: Option<String>,
    /// Whether that is a domain that never sends: its record would have this one's mail refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_under_parked: bool,
    /// Of a domain that never sends: those below it that do and that have a record of their own. The
    /// others are under the record of this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub apart: BTreeSet<DomainName>,
    /// The names below it that send by the reports ([`super::SendersOf::names_below`]), and whether
    /// each is in the DNS. One is missing if nobody could tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub below: BTreeMap<String, bool>,
    /// What is wrong, or could be better.
    pub findings: Vec<FindingSeen>,
}

/// What is wrong with the record of one key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeySighting {
    /// Which key.
    pub selector: Selector,
    /// In the DNS of which domain.
    pub domain: DomainName,
    /// What.
    pub findings: Vec<FindingSeen>,
}

/// A finding of `zegel dns check`, with the time since which it is so.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FindingSeen {
    /// The word of its code, such as `spf.missing`; a later version may have others.
    pub code: String,
    /// Where, as a domain name.
    pub name: String,
    /// By which servers: `ns1.example.nl (192.0.2.1)`.
    #[serde(default)]
    pub servers: Vec<String>,
    /// What was seen: shortened, and harmless to a terminal.
    pub seen: String,
    /// What should be there.
    pub expected: String,
    /// Since when it is so.
    pub since: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(is: &bool) -> bool {
    !is
}

impl Sightings {
    /// What was wrong with the record of a key.
    pub fn of_key(&self, selector: &Selector, domain: &DomainName) -> Option<&KeySighting> {
        let mut keys = self.keys.iter();
        keys.find(|one| one.selector == *selector && one.domain == *domain)
    }
}

impl Keystore {
    /// What the keeper last saw for an organisation; empty if it has not looked, or if the file
    /// is of a kind that this version can't read.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn sightings(&self, organisation: &OrganisationId) -> Result<Sightings, KeystoreError> {
        Ok(self.view()?.sightings(organisation)?.0)
    }

    /// Keeps what the keeper saw. Only for the one keeper.
    ///
    /// # Errors
    /// When it can't be written; what was there is there still.
    pub fn keep_sightings(
        &self,
        organisation: &OrganisationId,
        sightings: &Sightings,
    ) -> Result<(), KeystoreError> {
        let folder = self.root()?.child_or_new(FOLDER)?;
        Ok(keep(&folder, organisation, sightings)?)
    }
}

/// Writes the file of an organisation in the folder: whole, but not down to the disk, since the
/// next look writes it again.
pub(super) fn keep(
    folder: &Folder,
    organisation: &OrganisationId,
    seen: &impl Serialize,
) -> Result<(), FileError> {
    // Nothing that is kept so fails to serialise.
    let Ok(json) = serde_json::to_vec(seen) else {
        return Ok(());
    };
    folder
        .prepare_unsynced(&file(organisation), &json)?
        .rename()
}

/// The name of the file of an organisation in the folder.
pub(super) fn file(organisation: &OrganisationId) -> String {
    format!("{organisation}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::{Climbing, Senders, SendersOf, StrangeKey};

    #[test]
    fn how_far_a_domain_has_come_is_read_with_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let id = "een".parse().unwrap();
        let view = keystore.view().unwrap();
        let (nothing, stamp) = view.sightings(&id).unwrap();
        assert_eq!(nothing, Sightings::default());
        let stamp = stamp.unwrap();
        assert!(view.has_same_sightings(&id, &stamp));
        let now = Timestamp::UNIX_EPOCH;
        let found = SendersOf {
            found: now,
            from: jiff::civil::Date::ZERO,
            to: jiff::civil::Date::ZERO,
            reports: 1,
            streams: Vec::new(),
            others: 0,
            other_messages: 0,
            selectors: Vec::new(),
            coverage: None,
            unknown_selectors: vec![StrangeKey::of("een.example", now)],
            replays: Vec::new(),
            climbing: Some(Climbing::of("publish", &[], now)),
            names_below: BTreeSet::new(),
        };
        let domain: DomainName = "een.example".parse().unwrap();
        let senders = Senders {
            domains: [(domain.clone(), found.clone())].into(),
        };
        keystore.keep_senders(&id, &senders).unwrap();
        assert!(!view.has_same_sightings(&id, &stamp));
        let (seen, _) = view.sightings(&id).unwrap();
        let climbed = &seen.climbed[&domain];
        assert_eq!(climbed.climbing, found.climbing);
        assert_eq!(climbed.unknown_selectors, found.unknown_selectors);
        // It is not kept twice.
        keystore.keep_sightings(&id, &seen).unwrap();
        let kept = folder.path().join("keys/keeper.seen/een.json");
        let kept = std::fs::read_to_string(kept).unwrap();
        assert!(!kept.contains("quarantine"), "{kept}");
        // One file that can't be read says nothing, and harms no other.
        let file = folder.path().join("keys/keeper.senders/een.json");
        std::fs::write(file, "none").unwrap();
        let (seen, _) = view.sightings(&id).unwrap();
        assert_eq!(seen.climbed, BTreeMap::new());
    }
}
