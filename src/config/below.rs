//! Domains that never send, above domains that do: whoever these belong to, a record of the one
//! above that asks to reject speaks for them as long as they have none of their own (RFC 9989
//! §4.10).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::mistakes::Mistakes;
use crate::{
    keystore::Sightings, ladder::ADVICE_DAYS, names::DomainName, organisation::Organisation,
};

/// What the keeper saw is good for so long.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * (ADVICE_DAYS as i64 + 1));

/// So many names that send are asked about below one that never does. As long as there are more, it
/// waits for them.
pub const MOST_BELOW: usize = 100;

/// For each domain that never sends, the domains below it that do.
#[derive(Clone, Debug, Default)]
pub struct SendersBelow(HashMap<DomainName, Vec<DomainName>>);

impl SendersBelow {
    /// Of all the domains of these organisations. What files with `mistakes` name may send, too: a
    /// file that nobody can use yet must not have the mail of its domains refused.
    pub fn of(organisations: &[Arc<Organisation>], mistakes: &Mistakes) -> Self {
        let parked = organisations.iter().flat_map(|one| &one.parked);
        Self::new(parked, organisations, mistakes)
    }

    /// Of the domains of one organisation; names below them may belong to any of them all.
    pub fn of_one(
        organisation: &Organisation,
        all: &[Arc<Organisation>],
        mistakes: &Mistakes,
    ) -> Self {
        Self::new(organisation.parked.iter(), all, mistakes)
    }

    fn new<'a>(
        parked: impl Iterator<Item = &'a DomainName>,
        all: &[Arc<Organisation>],
        mistakes: &Mistakes,
    ) -> Self {
        let nobody = |domain: &DomainName| (domain.clone(), Vec::new());
        let mut below: HashMap<DomainName, Vec<DomainName>> = parked.map(nobody).collect();
        if below.is_empty() {
            return Self::default();
        }
        // One that comes from elsewhere is soon sent from.
        let known = || all.iter().flat_map(|one| one.keyed());
        let mut others: BTreeSet<&DomainName> = mistakes.may_send().collect();
        if !others.is_empty() {
            for one in known() {
                others.remove(one);
            }
        }
        for domain in known().chain(others) {
            let mut name = domain.as_str();
            while let Some((_, above)) = name.split_once('.') {
                if let Some(found) = below.get_mut(above)
                    && found.last() != Some(domain)
                {
                    found.push(domain.clone());
                }
                name = above;
            }
        }
        below.retain(|_, found| !found.is_empty());
        Self(below)
    }

    /// The domains that send below one that never does.
    pub fn names(&self, domain: &DomainName) -> &[DomainName] {
        self.0.get(domain).map_or(&[], Vec::as_slice)
    }

    /// Whether a domain never sends, and one below it does.
    pub fn is_above(&self, domain: &str) -> bool {
        self.0.contains_key(domain)
    }

    /// Of a domain that never sends: one below it that does, and that has no record of its own as
    /// far as the keeper has seen in the last days. Until it has one, the domain above must not ask
    /// to reject.
    pub fn waits_for(
        &self,
        domain: &DomainName,
        sightings: &Sightings,
        now: Timestamp,
    ) -> Option<&DomainName> {
        let seen = sightings.domains.get(domain);
        let seen = seen.filter(|seen| now.duration_since(seen.checked) <= LONGEST);
        let is_apart = |one: &&DomainName| seen.is_some_and(|seen| seen.apart.contains(*one));
        self.names(domain).iter().find(|one| !is_apart(one))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keystore::DomainSighting;

    #[test]
    fn whoever_sends_below_is_found() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let organisation = |id: &str, domains: &[&str], parked: &[&str]| {
            Arc::new(Organisation {
                domains: names(domains),
                parked: names(parked),
                ..Organisation::without_file(&id.parse().unwrap())
            })
        };
        let all = [
            organisation("een", &["een.nl"], &["oud.nl", "rijk.nl", "diep.rijk.nl"]),
            organisation("twee", &["a.diep.rijk.nl", "nietoud.nl"], &[]),
        ];
        let below = SendersBelow::of(&all, &Mistakes::default());
        let found = |name: &str| -> Vec<String> {
            let found = below.names(&name.parse().unwrap()).iter();
            found.map(ToString::to_string).collect()
        };
        assert_eq!(found("rijk.nl"), ["a.diep.rijk.nl"]);
        assert_eq!(found("diep.rijk.nl"), ["a.diep.rijk.nl"]);
        assert_eq!(found("oud.nl"), [""; 0]);
        assert_eq!(found("een.nl"), [""; 0]);
        let parked: DomainName = "rijk.nl".parse().unwrap();
        let of_other = SendersBelow::of_one(&all[1], &all, &Mistakes::default());
        assert_eq!(of_other.names(&parked), []);
        let own = SendersBelow::of_one(&all[0], &all, &Mistakes::default());
        let waits = own.waits_for(&parked, &Sightings::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(waits.map(DomainName::as_str), Some("a.diep.rijk.nl"));
    }

    /// What was seen long ago counts for nothing: the record below may be gone.
    #[test]
    fn a_record_below_counts_only_as_long_as_it_was_seen_lately() {
        let names = |name: &str| vec![name.parse().unwrap()];
        let all = [Arc::new(Organisation {
            domains: names("post.oud.nl"),
            parked: names("oud.nl"),
            ..Organisation::without_file(&"een".parse().unwrap())
        })];
        let below = SendersBelow::of(&all, &Mistakes::default());
        let (oud, post): (DomainName, DomainName) =
            ("oud.nl".parse().unwrap(), "post.oud.nl".parse().unwrap());
        let seen = |apart: &[&DomainName]| {
            let sighting = DomainSighting {
                checked: Timestamp::UNIX_EPOCH,
                spf: None,
                dmarc: None,
                dmarc_owner: None,
                is_under_parked: false,
                apart: apart.iter().copied().cloned().collect(),
                below: BTreeMap::new(),
                findings: Vec::new(),
            };
            Sightings {
                domains: [(oud.clone(), sighting)].into(),
                ..Sightings::default()
            }
        };
        let waits = |apart: &[&DomainName], age: SignedDuration| {
            let now = Timestamp::UNIX_EPOCH + age;
            below.waits_for(&oud, &seen(apart), now).is_some()
        };
        let second = SignedDuration::from_secs(1);
        assert!(!waits(&[&post], SignedDuration::ZERO));
        assert!(!waits(&[&post], LONGEST));
        assert!(waits(&[&post], LONGEST + second));
        assert!(waits(&[], SignedDuration::ZERO));
    }
}
