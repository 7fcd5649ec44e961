//! The answer in short: whether the keys are long enough, young enough, and nobody else's.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    period::Period,
    told::{KeyReport, LongUse, OldestKey, OrganisationReport, Summary, WithoutKey},
};
use crate::{
    dkim::key::Fingerprint,
    keys::{Keyring, State},
    names::{DomainName, OrganisationId, Selector},
};

/// The least that is asked of an RSA key.
const LEAST_BITS: usize = 2048;

/// Answers in short. `is_all`: no organisation was left out.
pub(super) fn summary<'a>(
    period: Period,
    organisations: &[OrganisationReport],
    is_all: bool,
    keyrings: &BTreeMap<OrganisationId, Keyring>,
    unreadable: &[OrganisationId],
    configured: impl Iterator<Item = (&'a OrganisationId, &'a [DomainName])>,
) -> Summary {
    // Nobody knows what a keyring that can't be read has.
    let configured = configured.filter(|(id, _)| !unreadable.contains(id));
    let mut summary = Summary {
        unreadable_keyrings: unreadable.to_vec(),
        without_key: period.now.map(|_| without_key(keyrings, configured)),
        wrong_now: period.now.map(|_| 0),
        ..Summary::default()
    };
    let mut domains = BTreeSet::new();
    for one in organisations {
        summary.organisations += usize::from(!one.keys.is_empty());
        summary.rotations += one.rotations.len();
        summary.suspensions += one.suspensions.len();
        summary.unknown += one.unknown.len();
        domains.extend(one.keys.iter().map(|key| &key.domain));
        summary.count_events(one);
        summary.count_keys(one);
    }
    summary.domains = domains.len();
    summary.in_use_too_long.sort();
    if is_all {
        summary.find_shared(organisations);
    }
    summary
}

impl Summary {
    fn count_events(&mut self, one: &OrganisationReport) {
        self.revoked += one.counted.revoked.len();
        self.withdrawn += one.counted.withdrawn.len();
        self.alarms += one.counted.alarms;
        self.alarms_standing += one.alarms_standing;
        self.assumed += one.counted.assumed;
    }

    fn count_keys(&mut self, one: &OrganisationReport) {
        let mut known: BTreeMap<&Selector, &KeyReport> = BTreeMap::new();
        let mut too_long: BTreeMap<&Selector, i64> = BTreeMap::new();
        for key in &one.keys {
            known.entry(&key.selector).or_insert(key);
            if let Some(wrong) = &mut self.wrong_now {
                *wrong += usize::from(key.alarm.is_some());
            }
            if key.too_long {
                let days = too_long.entry(&key.selector).or_default();
                *days = (*days).max(key.used_days.unwrap_or_default());
            }
            let signs = key.signed.last().is_some_and(|time| time.until.is_none());
            let age = key.age_days.filter(|_| signs);
            let oldest = self.oldest_active.as_ref().map(|oldest| oldest.age_days);
            if let Some(age_days) = age.filter(|age| Some(*age) > oldest) {
                self.oldest_active = Some(OldestKey {
                    organisation: one.organisation.clone(),
                    selector: key.selector.clone(),
                    age_days,
                });
            }
        }
        self.keys += known.len();
        for key in known.values() {
            let is_rsa = key.algorithm.is_some_and(|one| one.key_type() == "rsa");
            self.bits_unknown += usize::from(key.bits.is_none());
            if let Some(bits) = key.bits.filter(|_| is_rsa) {
                self.rsa_below_2048 += usize::from(bits < LEAST_BITS);
                let shortest = self.shortest_rsa_bits.unwrap_or(bits);
                self.shortest_rsa_bits = Some(shortest.min(bits));
            }
        }
        let too_long = too_long.into_iter();
        self.in_use_too_long
            .extend(too_long.map(|(selector, used_days)| LongUse {
                organisation: one.organisation.clone(),
                selector: selector.clone(),
                used_days,
            }));
    }

    fn find_shared(&mut self, organisations: &[OrganisationReport]) {
        let mut keys: BTreeMap<[u8; 32], (&OrganisationId, Fingerprint)> = BTreeMap::new();
        let mut places: BTreeMap<(&DomainName, &Selector), &OrganisationId> = BTreeMap::new();
        let mut shared = BTreeMap::new();
        let mut occupied = BTreeSet::new();
        for one in organisations {
            let id = &one.organisation;
            for key in &one.keys {
                if let Some(fingerprint) = key.fingerprint {
                    let octets = *fingerprint.as_bytes();
                    let known = keys.entry(octets).or_insert((id, fingerprint));
                    if known.0 != id {
                        shared.insert(octets, fingerprint);
                    }
                }
                let place = (&key.domain, &key.selector);
                if *places.entry(place).or_insert(id) != id {
                    occupied.insert(format!("{}.{}", key.selector, key.domain));
                }
            }
        }
        self.keys_of_several = Some(shared.into_values().collect());
        self.selectors_of_several = Some(occupied.into_iter().collect());
    }
}

fn without_key<'a>(
    keyrings: &BTreeMap<OrganisationId, Keyring>,
    configured: impl Iterator<Item = (&'a OrganisationId, &'a [DomainName])>,
) -> Vec<WithoutKey> {
    let mut found = Vec::new();
    for (id, domains) in configured {
        let keyring = keyrings.get(id);
        let has_key = |domain: &DomainName| {
            let mut keys = keyring.into_iter().flat_map(Keyring::keys);
            keys.any(|key| key.state(domain) == Some(State::Active))
        };
        let lacking: Vec<DomainName> = domains
            .iter()
            .filter(|domain| !has_key(domain))
            .cloned()
            .collect();
        if !lacking.is_empty() {
            found.push(WithoutKey {
                organisation: id.clone(),
                domains: lacking,
            });
        }
    }
    found.sort_by(|a, b| a.organisation.cmp(&b.organisation));
    found
}
