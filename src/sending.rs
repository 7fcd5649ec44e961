//! Who sends in the name of a domain: what reports prove ([`crate::evidence`]), joined with the
//! keys and the relays of whose domain it is.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use jiff::Timestamp;

use crate::{
    config::{Loaded, ReportSettings},
    evidence::{
        Store, StoreError,
        rollup::DAY,
        standing,
        streams::{Evidence, Stream, Window, streams},
    },
    keystore::{Keystore, KeystoreError},
    names::DomainName,
    organisation::Organisation,
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

/// What evidence is joined with.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// All of them.
    pub organisations: &'a [Arc<Organisation>],
    /// Where their keys are.
    pub keystore: &'a Keystore,
    /// The addresses of our relays.
    pub relays: &'a [IpAddr],
    /// Whether only reports count whose messages are known to have passed DMARC (RFC 9990
    /// §3.5.2).
    pub only_authenticated: bool,
}

impl<'a> Ours<'a> {
    /// By the configuration.
    pub fn new(loaded: &'a Loaded, keystore: &'a Keystore) -> Self {
        Self {
            organisations: &loaded.organisations,
            keystore,
            relays: &loaded.settings.keeper.relay_addresses,
            only_authenticated: is_strict(&loaded.settings.reports),
        }
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
}

/// Whether only reports count whose messages are known to have passed DMARC: with a name to check
/// them by.
pub fn is_strict(settings: &ReportSettings) -> bool {
    settings.authserv_id.is_some()
}

/// Evidence, sorted.
pub struct Sorted {
    /// The domain whose policy the mail fell under: the one that was asked for, or one above it.
    pub policy_domain: DomainName,
    /// The largest first.
    pub streams: Vec<Stream>,
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
    let selectors = selectors(ours, &policy_domain)?;
    let relays = ours.relays;
    let is_whole = policy_domain == *domain;
    let shown = |from: &str| is_whole || is_below(from, domain.as_str());
    Ok(Sorted {
        streams: streams(&evidence, &selectors, relays, window, shown),
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
        let evidence = store.evidence(one.as_str(), |flags| ours.counts(flags))?;
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

/// The organisation that has this domain, or one above it.
pub fn owner<'a>(
    organisations: &'a [Arc<Organisation>],
    domain: &DomainName,
) -> Option<&'a Organisation> {
    let has = |names: &[DomainName]| {
        let mut names = names.iter();
        names.any(|name| is_below(domain.as_str(), name.as_str()))
    };
    let organisations = organisations.iter().map(AsRef::as_ref);
    organisations
        .filter(|one: &&Organisation| has(&one.domains) || has(&one.parked))
        .max_by_key(|one| one.domains.contains(domain))
}

/// The selectors of the organisation that has this domain, ever: what was rotated out still
/// comes by forwarding. None if no organisation has it.
fn selectors(
    ours: &Ours<'_>,
    domain: &DomainName,
) -> Result<BTreeSet<(String, String)>, KeystoreError> {
    let Some(organisation) = owner(ours.organisations, domain) else {
        return Ok(BTreeSet::new());
    };
    let keyring = ours.keystore.read_keyring(&organisation.id)?;
    let mut selectors = BTreeSet::new();
    for key in keyring.keys() {
        for name in key.publications.keys() {
            selectors.insert((name.as_str().to_owned(), key.selector.as_str().to_owned()));
        }
    }
    Ok(selectors)
}
