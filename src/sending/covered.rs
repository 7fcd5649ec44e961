//! How much of the mail of an organisation reports tell of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::coverage::{Signatures, coverage};
use crate::{
    evidence::selectors::PassedByDay,
    keys::Keyring,
    keystore::Coverage,
    names::{DomainName, OrganisationId},
};

/// What passed with the selectors of an organisation, and what was signed with them. Signatures are
/// not counted by domain: of a domain is told how it is with the selectors that it has, in
/// whichever domain they sign.
pub struct Covered<'a> {
    signatures: &'a Signatures,
    organisation: &'a OrganisationId,
    /// In days since 1970.
    today: i32,
    /// The selectors of each domain.
    selectors: HashMap<&'a str, BTreeSet<&'a str>>,
    /// What passed with a selector.
    passed: HashMap<String, BTreeMap<i32, u64>>,
}

impl<'a> Covered<'a> {
    /// From what passed under each of the policies that its mail falls under: each once.
    pub fn new<'p>(
        signatures: &'a Signatures,
        (organisation, keyring): (&'a OrganisationId, &'a Keyring),
        passed: impl Iterator<Item = &'p PassedByDay>,
        today: i32,
    ) -> Self {
        let mut selectors: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for key in keyring.keys() {
            for domain in key.publications.keys() {
                let of_domain = selectors.entry(domain.as_str()).or_default();
                of_domain.insert(key.selector.as_str());
            }
        }
        let mut sums: HashMap<String, BTreeMap<i32, u64>> = HashMap::new();
        for ((domain, selector), days) in passed.flatten() {
            let own = selectors.get(domain.as_str());
            if own.is_some_and(|own| own.contains(selector.as_str())) {
                let days = days.iter().map(|(day, passed)| (*day, passed.messages));
                add(sums.entry(selector.clone()).or_default(), days);
            }
        }
        Self {
            signatures,
            organisation,
            today,
            selectors,
            passed: sums,
        }
    }

    /// None if there is nothing to compare.
    pub fn of(&self, domain: &DomainName) -> Option<Coverage> {
        let selectors = self.selectors.get(domain.as_str())?;
        let mut all = BTreeMap::new();
        for selector in selectors {
            let days = self.passed.get(*selector).into_iter().flatten();
            add(&mut all, days.map(|(day, passed)| (*day, *passed)));
        }
        let of = |selector: &&str, day| {
            let organisation = [self.organisation.as_str()];
            self.signatures.of(&organisation, selector, day)
        };
        let signed = |day| {
            let mut signed = selectors.iter().map(|selector| of(selector, day));
            signed.try_fold(0_u64, |sum, signed| Some(sum.saturating_add(signed?)))
        };
        coverage(&all, signed, self.today)
    }
}

fn add(sums: &mut BTreeMap<i32, u64>, days: impl Iterator<Item = (i32, u64)>) {
    for (day, passed) in days {
        let sum = sums.entry(day).or_default();
        *sum = sum.saturating_add(passed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        dkim::Algorithm, evidence::selectors::Passed, keystore::Keystore, keystore::Target,
        observe::tally::SignedDay,
    };

    const TODAY: i32 = 20_485;

    fn keyring(folder: &std::path::Path, keys: &[(&str, &[&str])]) -> Keyring {
        let keystore = Keystore::create(folder).unwrap();
        let id = "een".parse().unwrap();
        for (selector, domains) in keys {
            let domains: Vec<DomainName> =
                domains.iter().map(|name| name.parse().unwrap()).collect();
            let target = Target {
                organisation: &id,
                selector: &selector.parse().unwrap(),
                domains: &domains,
            };
            let now = jiff::Timestamp::UNIX_EPOCH;
            keystore
                .generate(&target, Algorithm::Ed25519Sha256, 0, now)
                .unwrap();
        }
        keystore.read_keyring(&id).unwrap()
    }

    #[test]
    fn a_domain_is_told_what_is_known_of_its_selectors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let keys = [("s1", &["een.nl", "twee.nl"][..]), ("s2", &["drie.nl"])];
        let keyring = keyring(&path, &keys);
        let day = r#"{"version":1,"organisations":{"een":{"signed":60,"signed_by":{"s1":40,"s2":20}},
                      "ander":{"signed":900,"signed_by":{"s1":900}}}}"#;
        let days = TODAY - 34..=TODAY;
        let kept: BTreeSet<i32> = days.clone().collect();
        let read = days
            .clone()
            .map(|day_| (day_, SignedDay::parse(day.as_bytes()).unwrap()));
        let signatures = Signatures::new(&kept, read.collect(), TODAY);
        let passed = |domain: &str, selector: &str, messages| {
            let one = Passed {
                messages,
                settled: 0,
            };
            let name = (domain.to_owned(), selector.to_owned());
            PassedByDay::from([(name, days.clone().map(|day| (day, one)).collect())])
        };
        let policies = [
            passed("een.nl", "s1", 10),
            passed("twee.nl", "s1", 20),
            passed("drie.nl", "s2", 1),
            // Of another organisation, which has such a selector too.
            passed("ander.nl", "s1", 500),
            passed("een.nl", "s3", 500),
        ];
        let id = "een".parse().unwrap();
        let covered = Covered::new(&signatures, (&id, &keyring), policies.iter(), TODAY);
        let of = |domain: &str| covered.of(&domain.parse().unwrap()).map(Coverage::rounded);
        assert_eq!((of("een.nl"), of("twee.nl")), (Some(0.75), Some(0.75)));
        assert_eq!((of("drie.nl"), of("vier.nl")), (Some(0.05), None));
    }
}
