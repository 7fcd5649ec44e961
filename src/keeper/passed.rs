//! Until when receivers report that keys pass which are about to leave the DNS: from the store of
//! reports, for the rounds, which never wait for it. What can't be read holds no key.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    config::ReportSettings,
    evidence::{Store, StoreError, rollup::DAY, streams::Window},
    keys::{Change, KeyEntry, Keyring, LastPassed, State},
    keystore::Keystore,
    organisation::Organisation,
    sending::{self, Ours},
};

/// More facts of one domain are not held: the keys come first here.
pub(super) const MOST_FACTS: usize = 200_000;
/// Older days hold no key, and are not looked at.
const DAYS: i32 = 14;

/// Whose keys.
pub(super) struct OfKeys<'a> {
    pub(super) organisations: &'a [Arc<Organisation>],
    pub(super) keystore: &'a Keystore,
    pub(super) settings: &'a ReportSettings,
}

impl OfKeys<'_> {
    /// The last day on which each selector passed, as far as reports that count say; of
    /// organisations in which keys change. None if the store can't be read, which is told.
    pub(super) fn last_passed(&self) -> Option<LastPassed> {
        let told = |error: &StoreError| {
            tracing::warn!("what receivers report of keys is not known: {error}");
        };
        self.read().inspect_err(told).ok()
    }

    fn read(&self) -> Result<LastPassed, StoreError> {
        let mut passed = LastPassed::default();
        let names = self.names();
        if names.is_empty() {
            return Ok(passed);
        }
        let Some(store) = Store::read(&self.settings.state)? else {
            return Ok(passed);
        };
        let ours = Ours::new(self.organisations, None, &[], self.settings, MOST_FACTS);
        let today = Timestamp::now().as_second().div_euclid(DAY);
        let to = i32::try_from(today).unwrap_or(i32::MAX);
        let window = Window {
            from: to - DAYS,
            to,
        };
        let with_reports = store.numbers()?.latest;
        let above: HashSet<&str> = names.iter().flat_map(|name| with_parents(name)).collect();
        let related = |domain: &str| {
            above.contains(domain) || with_parents(domain).any(|parent| names.contains(parent))
        };
        for domain in with_reports.keys().filter(|domain| related(domain)) {
            match sending::signed(&store, &ours, domain, window) {
                Ok(signed) => {
                    for ((domain, selector), seen) in signed {
                        let day = seen.last_passed.and_then(begin_of);
                        let (Some(day), Ok(domain), Ok(selector)) =
                            (day, domain.parse(), selector.parse())
                        else {
                            continue;
                        };
                        let known = passed.entry((domain, selector)).or_insert(day);
                        *known = day.max(*known);
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        "what receivers report of keys in {domain} is not known: {error}"
                    );
                }
            }
        }
        Ok(passed)
    }

    /// The domains of organisations in which a key drains, or is about to take the place of one
    /// that will.
    fn names(&self) -> BTreeSet<String> {
        let changes = |key: &KeyEntry, keyring: &Keyring| {
            let mut publications = key.publications.iter();
            publications.any(|(domain, one)| match one.state {
                State::Generated | State::Published => true,
                State::Draining => one.withdrawal.is_none(),
                State::Active => keyring.departure(domain).is_some(),
                State::Withdrawn | State::Revoked => false,
            })
        };
        let mut names = BTreeSet::new();
        for organisation in self.organisations {
            // Who looks at the organisation tells what is wrong with its keyring.
            let Ok(keyring) = self.keystore.read_keyring(&organisation.id) else {
                continue;
            };
            if keyring.keys().iter().any(|key| changes(key, &keyring)) {
                let keys = keyring.keys().iter();
                let signed = keys.flat_map(|key| key.publications.keys());
                let domains = organisation.domains.iter().chain(signed);
                names.extend(domains.map(ToString::to_string));
            }
        }
        names
    }
}

/// Tells once of each key that is kept since receivers still report that it passes.
pub(super) fn tell_if_kept(change: &Change) {
    let (after, before) = (&change.after, change.before.as_ref());
    let was_kept = before.is_some_and(|before| before.reported.is_some());
    if let (Some(day), Some(until), false) = (after.reported, after.kept_until(), was_kept) {
        tracing::info!(
            domain = %change.domain,
            selector = %change.selector,
            "still reported as passing on {} by receivers; withdrawal waits until {}",
            day.strftime("%Y-%m-%d"),
            until.strftime("%Y-%m-%d"),
        );
    }
}

fn with_parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}

fn begin_of(day: i32) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(day) * DAY).ok()
}
