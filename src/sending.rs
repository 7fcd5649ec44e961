//! Who sends in the name of a domain: what reports prove ([`crate::evidence`]), joined with the
//! keys and the relays of whose domain it is.

mod counted;
mod coverage;
mod covered;
mod successors;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    config::{Loaded, ReportSettings},
    evidence::{
        Store, StoreError,
        rollup::DAY,
        selectors::{PassedByDay, Seen, passed, selectors, unknown_selectors},
        standing,
        streams::{Evidence, Stream, Window, streams},
    },
    keystore::{Keystore, KeystoreError},
    ladder::{
        Thresholds,
        facts::{DAYS, Facts, Replay},
    },
    names::DomainName,
    organisation::Organisation,
};

pub use self::{
    counted::signatures,
    coverage::Signatures,
    covered::Covered,
    successors::{Weaker, weaker},
};

/// Days that may be asked for.
const LONGEST_WINDOW: i32 = 3_650;

/// Nobody can tell who sends.
#[derive(Debug, thiserror::Error)]
pub enum SendingError {
    /// The evidence can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys can't be read.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

/// Domains with selectors.
type Signing = Arc<[(String, String)]>;

/// An organisation with some of its domains and selectors.
type Signer<'a> = (&'a str, Vec<(String, String)>);

/// What evidence is joined with.
#[derive(Debug)]
pub struct Ours<'a> {
    keystore: Option<&'a Keystore>,
    relays: &'a [IpAddr],
    only_authenticated: bool,
    /// How many facts of a domain may be held.
    most: usize,
    /// The numbers of the ladder.
    thresholds: Thresholds,
    /// What was signed.
    signatures: Signatures,
    /// Whose each domain is, parked ones with them.
    owners: HashMap<&'a str, &'a Organisation>,
    /// Those who have a domain below this name.
    below: HashMap<&'a str, Vec<&'a Organisation>>,
    /// What was read of keyrings: one may have thousands of domains, each of which is asked for.
    keyrings: Mutex<HashMap<&'a str, Signing>>,
}

impl<'a> Ours<'a> {
    /// Of these organisations, with their keys and the addresses of our relays. A domain with more
    /// than `most` facts is not sorted.
    pub fn new(
        organisations: &'a [Arc<Organisation>],
        keystore: Option<&'a Keystore>,
        relays: &'a [IpAddr],
        settings: &ReportSettings,
        most: usize,
    ) -> Self {
        let (mut owners, mut below) = (HashMap::new(), HashMap::<&str, Vec<_>>::new());
        for organisation in organisations.iter().map(AsRef::as_ref) {
            let parked = organisation.parked.iter().map(DomainName::as_str);
            let domains = organisation.domains.iter().map(DomainName::as_str);
            for domain in parked.chain(domains) {
                owners.insert(domain, organisation);
                let mut name = domain;
                while let Some((_, parent)) = name.split_once('.') {
                    name = parent;
                    below.entry(name).or_default().push(organisation);
                }
            }
        }
        Self {
            keystore,
            relays,
            // With a name to check them by, only reports whose messages are known to have passed
            // DMARC prove anything (RFC 9990 §3.5.2).
            only_authenticated: settings.authserv_id.is_some(),
            most,
            thresholds: Thresholds::default(),
            signatures: Signatures::default(),
            owners,
            below,
            keyrings: Mutex::default(),
        }
    }

    /// All that a command may want to know. No keystore: nobody has keys for what is asked.
    pub fn of(loaded: &'a Loaded, keystore: Option<&'a Keystore>) -> Self {
        let settings = &loaded.settings;
        let relays = &settings.keeper.relay_addresses;
        let organisations = &loaded.organisations;
        Self::new(
            organisations,
            keystore,
            relays,
            &settings.reports,
            usize::MAX,
        )
        .with_thresholds(settings.dmarc)
    }

    /// Those of `zegel.toml` take the place of the defaults.
    #[must_use]
    pub fn with_thresholds(self, thresholds: Thresholds) -> Self {
        Self { thresholds, ..self }
    }

    /// What the keeper counted is compared with what is reported.
    #[must_use]
    pub fn with_signatures(self, signatures: Signatures) -> Self {
        Self { signatures, ..self }
    }

    /// What the keeper counted of signatures.
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// The numbers of the ladder.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Whether something is evidence, by the flags of its facts.
    pub fn counts(&self, flags: u16) -> bool {
        let ignored = if self.only_authenticated {
            standing::NOT_AUTHENTICATED | standing::BARE
        } else {
            standing::NOT_AUTHENTICATED
        };
        flags & ignored == 0
    }

    /// The organisation that has this domain, or the nearest one above it.
    pub fn owner(&self, domain: &DomainName) -> Option<&'a Organisation> {
        let mut name = domain.as_str();
        loop {
            if let Some(owner) = self.owners.get(name) {
                return Some(owner);
            }
            name = name.split_once('.')?.1;
        }
    }

    /// Those who have this domain or one below it.
    pub fn related(&self, domain: &DomainName) -> impl Iterator<Item = &'a Organisation> {
        let below = self.below.get(domain.as_str()).into_iter().flatten();
        self.owner(domain).into_iter().chain(below.copied())
    }

    /// The selectors of those who have this domain or one below it, ever: what was rotated out
    /// still comes by forwarding.
    fn selectors(&self, domain: &DomainName) -> Result<BTreeSet<(String, String)>, KeystoreError> {
        let signers = self.signers(domain)?;
        Ok(signers
            .into_iter()
            .flat_map(|(_, related)| related)
            .collect())
    }

    /// The same, by whose they are.
    fn signers(&self, domain: &DomainName) -> Result<Vec<Signer<'a>>, KeystoreError> {
        let all = self.related(domain);
        let (mut signers, mut read) = (Vec::new(), BTreeSet::new());
        let Some(keystore) = self.keystore else {
            return Ok(signers);
        };
        let domain = domain.as_str();
        for organisation in all {
            if !read.insert(&organisation.id) {
                continue;
            }
            let signing = self.signing(keystore, organisation)?;
            // Of its other domains nothing is said here.
            let related = signing
                .iter()
                .filter(|(name, _)| is_below(name, domain) || is_below(domain, name));
            signers.push((organisation.id.as_str(), related.cloned().collect()));
        }
        Ok(signers)
    }

    /// The domains of an organisation with their selectors.
    fn signing(
        &self,
        keystore: &Keystore,
        organisation: &'a Organisation,
    ) -> Result<Signing, KeystoreError> {
        let id = organisation.id.as_str();
        let known = || self.keyrings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(id) {
            return Ok(Arc::clone(known));
        }
        let keyring = keystore.read_keyring(&organisation.id)?;
        let signing: Signing = keyring
            .keys()
            .iter()
            .flat_map(|key| {
                let names = key.publications.keys();
                names.map(|name| (name.to_string(), key.selector.to_string()))
            })
            .collect();
        known().insert(id, Arc::clone(&signing));
        Ok(signing)
    }
}

/// Whether an organisation has this domain, or one above or below it: only then keys matter.
pub fn concerns(loaded: &Loaded, domain: &DomainName) -> bool {
    let related = |name: &DomainName| {
        is_below(name.as_str(), domain.as_str()) || is_below(domain.as_str(), name.as_str())
    };
    let mut organisations = loaded.organisations.iter();
    organisations.any(|one| one.domains.iter().chain(&one.parked).any(related))
}

/// Evidence, sorted.
pub struct Sorted {
    /// The domain whose policy the mail fell under: the one that was asked for, or one above it.
    pub policy_domain: DomainName,
    /// The largest first.
    pub streams: Vec<Stream>,
    /// Keys in the zone that sign and that nobody knows, by domain and selector, with the stream in
    /// which each was seen.
    pub unknown_selectors: BTreeMap<(String, String), String>,
    /// Our selectors, with what reports say of them.
    pub selectors: BTreeMap<(String, String), Seen>,
}

/// A day that is counted from 1970.
pub fn date(day: i32) -> Date {
    let time = Timestamp::from_second(i64::from(day) * DAY);
    time.map_or(Date::ZERO, |time| time.to_zoned(TimeZone::UTC).date())
}

/// All days.
pub fn everything() -> Window {
    let to = Timestamp::now().as_second().div_euclid(DAY);
    let to = i32::try_from(to).unwrap_or(i32::MAX);
    Window {
        from: to - LONGEST_WINDOW,
        to: to + 3,
    }
}

/// What the ladder is told of a domain, as of a day.
pub struct Climb {
    /// What reports prove.
    pub facts: Facts,
    /// Our selectors, with what reports of the last [`DAYS`] say of them.
    pub selectors: BTreeMap<(String, String), Seen>,
    /// What of it passed on each of these days.
    pub passed: PassedByDay,
}

impl Climb {
    /// Of a domain of which nothing was ever reported.
    pub fn none(today: i32) -> Self {
        Self {
            facts: Facts {
                today,
                ..Facts::default()
            },
            selectors: BTreeMap::new(),
            passed: PassedByDay::new(),
        }
    }
}

/// What the ladder is told of a policy domain. `today` is counted in days since 1970.
///
/// # Errors
///
/// When the evidence or the keys can't be read.
pub fn climb(
    store: &Store,
    ours: &Ours<'_>,
    policy_domain: &DomainName,
    today: i32,
) -> Result<Climb, SendingError> {
    let evidence = store.evidence(policy_domain.as_str(), ours.most, |flags| {
        ours.counts(flags)
    })?;
    let own = ours.selectors(policy_domain)?;
    climb_with((store, ours), policy_domain, (&evidence, own), today)
}

/// The same, with the streams of the last [`DAYS`] as [`sort`] has them: of one reading, since that
/// takes the most time.
///
/// # Errors
///
/// When the evidence or the keys can't be read.
pub fn climb_and_sort(
    store: &Store,
    ours: &Ours<'_>,
    domain: &DomainName,
    today: i32,
) -> Result<(Climb, Sorted), SendingError> {
    let name = domain.as_str();
    let evidence = store.evidence(name, ours.most, |flags| ours.counts(flags))?;
    let own = ours.selectors(domain)?;
    let window = lately(today);
    let sorted = if evidence.lines.is_empty() {
        // What there is of it fell under the policy of a domain above.
        sort(store, ours, domain, window)?
    } else {
        let streams = streams(name, &evidence, &own, ours.relays, window, |_| true);
        let mut seen = selectors(&evidence, window);
        seen.retain(|one, _| own.contains(one));
        Sorted {
            unknown_selectors: unknown_selectors(name, &evidence, &streams, &own),
            selectors: seen,
            streams,
            policy_domain: domain.clone(),
        }
    };
    let climb = climb_with((store, ours), domain, (&evidence, own), today)?;
    Ok((climb, sorted))
}

/// The last [`DAYS`].
fn lately(today: i32) -> Window {
    Window {
        from: today - DAYS + 1,
        to: today,
    }
}

fn climb_with(
    (store, ours): (&Store, &Ours<'_>),
    policy_domain: &DomainName,
    (evidence, own): (&Evidence, BTreeSet<(String, String)>),
    today: i32,
) -> Result<Climb, SendingError> {
    let name = policy_domain.as_str();
    let all = Window {
        from: today - LONGEST_WINDOW,
        to: today,
    };
    let streams = streams(name, evidence, &own, ours.relays, all, |_| true);
    let policies = store.policies(name, |flags| ours.counts(flags))?;
    let lately = lately(today);
    let unknown = unknown_selectors(name, evidence, &streams, &own);
    let mut facts = Facts::new(evidence, streams, policies, today);
    facts.unknown_selectors = unknown;
    facts.confirmed = store.confirmed(name)?;
    (facts.reports, facts.ignored_reports) =
        store.reports(name, lately, |flags| ours.counts(flags))?;
    let mut seen = selectors(evidence, lately);
    let passed = passed(evidence, lately, &own);
    facts.replays = replays(ours, policy_domain, &passed, today)?;
    Ok(Climb {
        facts,
        selectors: own
            .into_iter()
            .map(|one| {
                let seen = seen.remove(&one).unwrap_or_default();
                (one, seen)
            })
            .collect(),
        passed,
    })
}

/// Selectors with which far more mail passes under this policy than was signed with them. Only what
/// reporters say counts who have reported for four weeks: who begins to report raises no alarm.
fn replays(
    ours: &Ours<'_>,
    policy_domain: &DomainName,
    passed: &PassedByDay,
    today: i32,
) -> Result<BTreeMap<String, Replay>, KeystoreError> {
    if passed.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut signers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (id, related) in ours.signers(policy_domain)? {
        for (_, selector) in related {
            signers.entry(selector).or_default().insert(id);
        }
    }
    let mut by_selector: BTreeMap<&str, BTreeMap<i32, u64>> = BTreeMap::new();
    for ((_, selector), days) in passed {
        let sums = by_selector.entry(selector).or_default();
        for (day, passed) in days {
            let sum = sums.entry(*day).or_default();
            *sum = sum.saturating_add(passed.settled);
        }
    }
    let found = by_selector.into_iter().filter_map(|(selector, days)| {
        let ids: Vec<&str> = signers.get(selector)?.iter().copied().collect();
        let signed = |day| ours.signatures.of(&ids, selector, day);
        let replay = coverage::replay(&days, signed, today, &ours.thresholds)?;
        Some((selector.to_owned(), replay))
    });
    Ok(found.collect())
}

/// What is said of each domain and selector that signed, in what is kept under the policy of this
/// domain and counts as evidence.
///
/// # Errors
///
/// When it can't be read.
pub fn signed(
    store: &Store,
    ours: &Ours<'_>,
    policy_domain: &str,
    window: Window,
) -> Result<BTreeMap<(String, String), Seen>, StoreError> {
    let evidence = store.evidence(policy_domain, ours.most, |flags| ours.counts(flags))?;
    Ok(selectors(&evidence, window))
}

/// The streams of a domain in these days. Of one that has no policy of its own: of the mail that
/// is from it or below it, under the nearest policy above.
///
/// # Errors
///
/// When the evidence or the keys can't be read.
pub fn sort(
    store: &Store,
    ours: &Ours<'_>,
    domain: &DomainName,
    window: Window,
) -> Result<Sorted, SendingError> {
    let (policy_domain, evidence) = evidence(store, ours, domain)?;
    let own = ours.selectors(&policy_domain)?;
    let relays = ours.relays;
    let is_whole = policy_domain == *domain;
    let shown = |from: &str| is_whole || is_below(from, domain.as_str());
    let name = policy_domain.as_str();
    let streams = streams(name, &evidence, &own, relays, window, shown);
    let mut seen = selectors(&evidence, window);
    seen.retain(|one, _| own.contains(one));
    Ok(Sorted {
        unknown_selectors: unknown_selectors(name, &evidence, &streams, &own),
        selectors: seen,
        streams,
        policy_domain,
    })
}

fn evidence(
    store: &Store,
    ours: &Ours<'_>,
    domain: &DomainName,
) -> Result<(DomainName, Evidence), StoreError> {
    let mut above = Some(domain.clone());
    while let Some(one) = above {
        let evidence = store.evidence(one.as_str(), ours.most, |flags| ours.counts(flags))?;
        if !evidence.lines.is_empty() {
            return Ok((one, evidence));
        }
        let parent = one.as_str().split_once('.').map(|(_, parent)| parent);
        above = parent.and_then(|parent| parent.parse().ok());
    }
    Ok((domain.clone(), Evidence::default()))
}

fn is_below(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dkim::Algorithm, keystore::Target};

    fn organisation(id: &str, domains: &[&str], parked: &[&str]) -> Arc<Organisation> {
        let mut organisation = Organisation::without_file(&id.parse().unwrap());
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        organisation.domains = names(domains);
        organisation.parked = names(parked);
        Arc::new(organisation)
    }

    #[test]
    fn the_nearest_owner_counts_and_the_keys_of_those_below_are_ours_too() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let all = [
            organisation("ministerie", &["ministerie.nl"], &["oud.nl"]),
            organisation("dienst", &["dienst.ministerie.nl"], &[]),
            organisation("ander", &["ander.nl"], &[]),
        ];
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        for one in &all {
            let target = Target {
                organisation: &one.id,
                selector: &"s1".parse().unwrap(),
                domains: &one.domains,
            };
            keystore
                .generate(&target, Algorithm::Ed25519Sha256, 0, now)
                .unwrap();
        }
        let settings = ReportSettings::default();
        let ours = Ours::new(&all, Some(&keystore), &[], &settings, usize::MAX);
        let owner = |name: &str| {
            ours.owner(&name.parse().unwrap())
                .map(|one| one.id.as_str())
        };
        assert_eq!(owner("ministerie.nl"), Some("ministerie"));
        assert_eq!(owner("x.dienst.ministerie.nl"), Some("dienst"));
        assert_eq!(owner("www.ministerie.nl"), Some("ministerie"));
        assert_eq!(owner("mail.oud.nl"), Some("ministerie"));
        assert_eq!(owner("nl"), None);
        let signing = |name: &str| -> BTreeSet<String> {
            let selectors = ours.selectors(&name.parse().unwrap()).unwrap();
            selectors.into_iter().map(|(domain, _)| domain).collect()
        };
        let domains = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            signing("ministerie.nl"),
            domains(&["dienst.ministerie.nl", "ministerie.nl"])
        );
        assert_eq!(
            signing("dienst.ministerie.nl"),
            domains(&["dienst.ministerie.nl"])
        );
        assert_eq!(signing("nergens.nl"), domains(&[]));
    }
}
