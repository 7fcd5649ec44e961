//! The keeper, as `src/keeper/check.rs` does it, with what the DNS of this test shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use zegel::{
    config::{Loaded, Reader, situation},
    dkim::{Algorithm, key::Fingerprint},
    keys::{Change, KeyEntry, Keyring, Moment, NewKey, Sight, Timing, unseen_since},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

use crate::{
    events::{DOMAINS, Dom, ORGANISATIONS, Org},
    files::Files,
};

/// What a record holds; none of a key with an empty `p=`.
pub(crate) type Record = Option<Fingerprint>;

/// The records of all domains, by selector.
#[derive(Default)]
pub(crate) struct Dns(pub(crate) BTreeMap<(Dom, Selector), Record>);

impl Dns {
    fn sight(&self, dom: Dom, key: &KeyEntry) -> Sight {
        match self.0.get(&(dom, key.selector.clone())) {
            None => Sight::Absent {
                negative_ttl: Duration::ZERO,
            },
            Some(None) => Sight::RevokedEverywhere,
            Some(Some(shown)) if *shown == key.fingerprint => Sight::Everywhere {
                ttl: Duration::ZERO,
                negative_ttl: Duration::ZERO,
            },
            Some(_) => Sight::Wrong,
        }
    }
}

pub(crate) struct Keeper {
    reader: Reader,
    /// None while it can't begin.
    loaded: Option<Loaded>,
}

/// What was written for an organisation.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) changes: Vec<Change>,
    pub(crate) made: Vec<KeyEntry>,
}

/// What a look saw and did.
pub(crate) struct Looked {
    /// Keys whose records every server showed.
    pub(crate) seen: Vec<(Fingerprint, Dom)>,
    /// Domains for which no key of the organisation is to sign.
    pub(crate) elsewhere: Vec<Dom>,
    pub(crate) written: Written,
}

pub(crate) fn timing(drains_long: bool) -> Timing {
    Timing {
        check_every: Duration::from_hours(1),
        settle: Duration::ZERO,
        drain: if drains_long {
            Duration::from_hours(1)
        } else {
            Duration::ZERO
        },
        longest_expiry: Duration::ZERO,
        rotate_every: Duration::from_hours(10_000),
        lead_time: Duration::from_hours(1),
    }
}

pub(crate) fn dom(name: &DomainName) -> Dom {
    DOMAINS
        .iter()
        .position(|one| *one == name.as_str())
        .unwrap()
}

pub(crate) fn id(org: Org) -> OrganisationId {
    ORGANISATIONS[org].parse().unwrap()
}

impl Keeper {
    pub(crate) fn start(files: &Files) -> Self {
        let mut reader = Reader::new(&files.path("zegel.toml"));
        let loaded = reader.load().ok();
        Self { reader, loaded }
    }

    /// None where it could not look, or not write what follows.
    pub(crate) fn look(
        &mut self,
        org: Org,
        (dns, answers): (&Dns, bool),
        timing: &Timing,
    ) -> Option<Looked> {
        if let Ok(loaded) = self.reader.load() {
            self.loaded = Some(loaded);
        }
        let loaded = self.loaded.as_ref()?;
        let id = id(org);
        let keystore = loaded.settings.open_keystore().ok()?;
        let mut organisations = loaded.organisations.iter();
        let organisation = organisations.find(|one| one.id == id);
        let organisation = match organisation {
            Some(organisation) => organisation.clone(),
            None => without_file(&keystore, loaded, &id)?,
        };
        let look = Look {
            organisation: &organisation,
            loaded,
            timing,
            dns,
            answers,
        };
        look.conclude(&keystore).ok()
    }
}

/// As `src/keeper/round.rs` adds it: its keys are looked at, and no key is made for it.
fn without_file(
    keystore: &Keystore,
    loaded: &Loaded,
    id: &OrganisationId,
) -> Option<Arc<Organisation>> {
    let files = loaded.organisations.iter().map(|one| &one.id);
    let others = keystore.without_file(files).ok()?;
    let keyring = keystore.read_keyring(id).ok()?;
    if !others.contains(id) || keyring.is_of_0_1() || keyring.keys().is_empty() {
        return None;
    }
    let mut organisation = Organisation::without_file(id);
    organisation.algorithms.clear();
    Some(Arc::new(organisation))
}

struct Look<'a> {
    organisation: &'a Organisation,
    loaded: &'a Loaded,
    timing: &'a Timing,
    dns: &'a Dns,
    answers: bool,
}

impl Look<'_> {
    fn conclude(&self, keystore: &Keystore) -> Result<Looked, KeystoreError> {
        let organisation = self.organisation;
        let id = &organisation.id;
        let keyring = keystore.read_keyring(id)?;
        let away = self.loaded.claims().away(organisation, &keyring);
        let situation = situation(organisation, &keyring, &away, self.timing);
        let now = Timestamp::now();
        let mut seen = Vec::new();
        let mut sights = BTreeMap::new();
        for (key, domain) in situation.watched() {
            let dom = dom(domain);
            let sight = if self.answers {
                self.dns.sight(dom, key)
            } else {
                Sight::Unknown
            };
            if matches!(sight, Sight::Everywhere { .. }) {
                seen.push((key.fingerprint, dom));
            }
            sights.insert((key.selector.clone(), domain.clone()), sight);
        }
        let mut plan = situation.plan(Moment::steady(now), |selector, domain| {
            let sight = sights.get(&(selector.clone(), domain.clone()));
            sight.copied().unwrap_or(Sight::Unknown)
        });
        let mut writer = keystore.writer()?;
        if let Some(restored) = writer.restored() {
            let (domains, algorithms) = (&organisation.domains, &organisation.algorithms);
            plan.hold_back(unseen_since(&keyring, domains, algorithms, restored));
        }
        if !writer.doubts(organisation, &keyring)?.is_empty() {
            plan.wanted.clear();
        }
        writer.apply(id, &plan.changes, now)?;
        let mut written = Written {
            changes: plan.changes,
            made: Vec::new(),
        };
        let ed25519 = plan.wanted.iter();
        for wanted in ed25519.filter(|wanted| wanted.algorithm == Algorithm::Ed25519Sha256) {
            let key = NewKey::generate(wanted.algorithm, 0).unwrap();
            writer.avoid(self.occupied(&wanted.domains));
            let made = writer.add_wanted(organisation, wanted, &key, now);
            // As of any key that can't be made, this is told and nothing else fails.
            written.made.extend(made.ok().flatten());
        }
        Ok(Looked {
            seen,
            elsewhere: self.elsewhere(),
            written,
        })
    }

    /// Selectors at which one of the domains has a record.
    fn occupied(&self, domains: &[DomainName]) -> BTreeSet<Selector> {
        if !self.answers {
            return BTreeSet::new();
        }
        let records = self.dns.0.keys();
        let records = records.filter(|(at, _)| domains.iter().any(|domain| dom(domain) == *at));
        records.map(|(_, selector)| selector.clone()).collect()
    }

    fn elsewhere(&self) -> Vec<Dom> {
        let (own, organisations) = (self.organisation, &self.loaded.organisations);
        let is_off = !own.algorithms.contains(&Algorithm::Ed25519Sha256);
        let is_elsewhere = |dom: &Dom| {
            let name: DomainName = DOMAINS[*dom].parse().unwrap();
            let mut others = organisations.iter().filter(|other| other.id != own.id);
            let is_taken =
                others.any(|other| other.domains.contains(&name) || other.parked.contains(&name));
            let is_sent = own.domains.contains(&name);
            (!is_sent && (is_taken || own.parked.contains(&name))) || (is_sent && is_off)
        };
        (0..DOMAINS.len()).filter(is_elsewhere).collect()
    }
}

/// Which of the changes are in the keyring now, each with its key.
pub(crate) fn in_keyring<'a>(
    keyring: &'a Keyring,
    changes: &'a [Change],
) -> impl Iterator<Item = (&'a KeyEntry, &'a Change)> {
    changes.iter().filter_map(|change| {
        let key = keyring.key(&change.selector)?;
        let now = key.publications.get(&change.domain)?;
        (*now == change.after).then_some((key, change))
    })
}
