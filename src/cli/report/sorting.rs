//! What is kept of a domain, sorted into streams, for the commands that show and name them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::state_advice;
use crate::{
    cli::failure::Failure,
    config::Loaded,
    evidence::{
        Store,
        rollup::DAY,
        standing,
        streams::{Evidence, Stream, Window, streams},
    },
    names::DomainName,
    organisation::Organisation,
};

/// Days that may be asked for.
const LONGEST_WINDOW: i32 = 3_650;

/// Evidence, sorted.
pub(super) struct Sorted {
    /// The domain whose policy the mail fell under: the one that was asked for, or one above it.
    pub(super) policy_domain: DomainName,
    /// The largest first.
    pub(super) streams: Vec<Stream>,
}

/// Whether something is evidence, by the flags of its facts. With a name to check them by, only
/// reports whose messages passed DMARC prove anything (RFC 9990 §3.5.2).
pub(super) fn counts(loaded: &Loaded, flags: u16) -> bool {
    let ignored = match loaded.settings.reports.authserv_id {
        Some(_) => standing::NOT_AUTHENTICATED | standing::BARE,
        None => standing::NOT_AUTHENTICATED,
    };
    flags & ignored == 0
}

/// All days.
pub(super) fn everything() -> Window {
    let to = Timestamp::now().as_second().div_euclid(DAY);
    let to = i32::try_from(to).unwrap_or(i32::MAX);
    Window {
        from: to - LONGEST_WINDOW,
        to: to + 3,
    }
}

/// The streams of a domain in these days. Of one that has no policy of its own: of the mail that
/// is from it or below it, under the nearest policy above.
pub(super) fn sort(
    store: &Store,
    loaded: &Loaded,
    domain: &DomainName,
    window: Window,
) -> Result<Sorted, Failure> {
    let (policy_domain, evidence) = evidence(store, loaded, domain)?;
    let selectors = selectors(loaded, &policy_domain)?;
    let relays = &loaded.settings.keeper.relay_addresses;
    let is_whole = policy_domain == *domain;
    let shown = |from: &str| is_whole || is_below(from, domain.as_str());
    Ok(Sorted {
        streams: streams(&evidence, &selectors, relays, window, shown),
        policy_domain,
    })
}

fn evidence(
    store: &Store,
    loaded: &Loaded,
    domain: &DomainName,
) -> Result<(DomainName, Evidence), Failure> {
    let mut above = Some(domain.clone());
    while let Some(one) = above {
        let evidence = store
            .evidence(one.as_str(), |flags| counts(loaded, flags))
            .map_err(|error| state_advice(&error))?;
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
pub(super) fn owner<'a>(loaded: &'a Loaded, domain: &DomainName) -> Option<&'a Organisation> {
    let has = |names: &[DomainName]| {
        let mut names = names.iter();
        names.any(|name| is_below(domain.as_str(), name.as_str()))
    };
    let organisations = loaded.organisations.iter().map(AsRef::as_ref);
    organisations
        .filter(|one: &&Organisation| has(&one.domains) || has(&one.parked))
        .max_by_key(|one| one.domains.contains(domain))
}

/// The selectors of the organisation that has this domain, ever: what was rotated out still
/// comes by forwarding. None if no organisation has it.
fn selectors(loaded: &Loaded, domain: &DomainName) -> Result<BTreeSet<(String, String)>, Failure> {
    let Some(organisation) = owner(loaded, domain) else {
        return Ok(BTreeSet::new());
    };
    let keystore = loaded.settings.open_keystore()?;
    let keyring = keystore.read_keyring(&organisation.id)?;
    let mut selectors = BTreeSet::new();
    for key in keyring.keys() {
        for name in key.publications.keys() {
            selectors.insert((name.as_str().to_owned(), key.selector.as_str().to_owned()));
        }
    }
    Ok(selectors)
}
