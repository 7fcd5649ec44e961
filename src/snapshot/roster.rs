//! Who has which domains: what the files say, and what stays although its file is lost.
//!
//! A file that is gone says nothing. As long as a key is in use for a domain, the domain is held
//! for the organisation that had it: signed for as before where that is known, or else its mail
//! is put off. It ends when the file is back, when another file has the domain, or when the
//! operator retires it, after which no key is in use.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use crate::{
    config::Loaded,
    keys::Keyring,
    keystore::{View, Witness},
    names::{DomainName, OrganisationId},
    organisation::{Action, Organisation},
};

/// An organisation as it is in the snapshot.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) organisation: Arc<Organisation>,
    /// As far as it is known how its mail is to be signed: the same, or without the domains that
    /// are put off; none if nothing is known.
    pub(super) known: Option<Arc<Organisation>>,
}

/// A domain that no file has, though a key is in use for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Lost {
    pub(super) organisation: OrganisationId,
    pub(super) signs: bool,
}

/// By domain.
pub(super) type AllLost = BTreeMap<DomainName, Lost>;

/// The lost domain, for people.
pub(super) struct Told<'a>(pub(super) &'a DomainName, pub(super) &'a Lost);

impl fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(
            domain,
            Lost {
                organisation: id,
                signs,
            },
        ) = self;
        let what = if *signs {
            "its mail is signed as before; put it back"
        } else {
            "its mail is put off, since nobody knows who may send it; put it back, reload the \
             signer if it is there"
        };
        write!(
            formatter,
            "orgs.d/{id}.toml: {domain} of {id} is in no file any more, though a key is in use \
             for it: {what}, or say that it is gone for good with `zegel org retire {id} --domain \
             {domain}`"
        )
    }
}

impl Member {
    /// As its file has it.
    pub(super) fn of_file(organisation: &Arc<Organisation>) -> Self {
        Self {
            organisation: Arc::clone(organisation),
            known: Some(Arc::clone(organisation)),
        }
    }

    /// One that has no file, and of which only its keys are known.
    pub(super) fn without_file(id: &OrganisationId, domains: Vec<DomainName>) -> Self {
        let mut organisation = Organisation::without_file(id);
        organisation.domains = domains;
        // What its file said is not known; mail of ours does not leave unsigned for that.
        organisation.policy.signing_failure = Action::Tempfail;
        Self {
            organisation: Arc::new(organisation),
            known: None,
        }
    }

    /// Has these domains too, though nobody knows how their mail is to be signed.
    pub(super) fn with_put_off(&self, domains: &[DomainName]) -> Self {
        let mut organisation = Organisation::clone(&self.organisation);
        organisation.domains.extend_from_slice(domains);
        Self {
            organisation: Arc::new(organisation),
            known: self.known.clone(),
        }
    }
}

/// What a snapshot had, for the next one.
pub(super) struct Before<'a> {
    pub(super) organisations: &'a [Arc<Organisation>],
    pub(super) lost: &'a AllLost,
    /// Whether a key was in use for the domain.
    pub(super) had_key: &'a dyn Fn(&DomainName) -> bool,
}

/// The organisations of the files, with what is held for them or for others.
pub(super) fn roster(
    loaded: &Loaded,
    before: &Before<'_>,
    keystore: (&View, &Witness),
) -> (Vec<Member>, AllLost) {
    let files = &loaded.organisations;
    let mut members: Vec<Member> = files.iter().map(Member::of_file).collect();
    let mut lost = AllLost::new();
    let changed = changed(files, before);
    if changed.is_empty() {
        return (members, lost);
    }
    let claimed = claimed(files);
    let places: HashMap<&OrganisationId, usize> =
        files.iter().map(|one| &one.id).zip(0..).collect();
    for old in changed {
        let held = held(old, &claimed, before, keystore);
        if held.is_empty() {
            continue;
        }
        let domains: Vec<DomainName> = held.iter().map(|(domain, _)| domain.clone()).collect();
        let place = places.get(&old.id).copied();
        let member = hold(old, place.map(|place| &files[place]), &claimed, &held);
        match place {
            Some(place) => members[place] = member,
            None => members.push(member),
        }
        lost.extend(
            domains
                .into_iter()
                .zip(held.into_iter().map(|(_, lost)| lost)),
        );
    }
    (members, lost)
}

/// The organisations of the files, with the domains of `before` that no file has any more, and
/// those of the mark. As long as the keystore can't be read, nobody knows whether a key is in use
/// for one of them.
pub(super) fn unread_roster(
    loaded: &Loaded,
    before: &[Arc<Organisation>],
    marked: &[(OrganisationId, DomainName)],
) -> Vec<Arc<Organisation>> {
    let files = &loaded.organisations;
    let claimed = claimed(files);
    let before = before.iter();
    let before = before.flat_map(|old| old.domains.iter().map(|domain| (&old.id, domain)));
    let marked = marked.iter().map(|(id, domain)| (id, domain));
    let mut known = HashSet::new();
    let mut gone: BTreeMap<&OrganisationId, Vec<DomainName>> = BTreeMap::new();
    for (id, domain) in before.chain(marked) {
        if !claimed.contains(domain) && known.insert(domain) {
            gone.entry(id).or_default().push(domain.clone());
        }
    }
    let put_off = |file: &Arc<Organisation>| match gone.remove(&file.id) {
        Some(domains) => Member::of_file(file).with_put_off(&domains).organisation,
        None => Arc::clone(file),
    };
    let mut organisations: Vec<Arc<Organisation>> = files.iter().map(put_off).collect();
    let others = gone.into_iter();
    organisations
        .extend(others.map(|(id, domains)| Member::without_file(id, domains).organisation));
    organisations
}

/// Those of before that are no more as they were.
fn changed<'a>(files: &[Arc<Organisation>], before: &Before<'a>) -> Vec<&'a Arc<Organisation>> {
    let same: HashSet<*const Organisation> = files.iter().map(Arc::as_ptr).collect();
    let old = before.organisations.iter();
    old.filter(|old| !same.contains(&Arc::as_ptr(old)))
        .collect()
}

/// The domains that the files have.
pub(super) fn claimed(files: &[Arc<Organisation>]) -> HashSet<&DomainName> {
    let files = files.iter();
    files
        .flat_map(|one| one.domains.iter().chain(&one.parked))
        .collect()
}

/// The domains of an organisation that nobody has now, and for which a key is in use.
fn held(
    old: &Organisation,
    claimed: &HashSet<&DomainName>,
    before: &Before<'_>,
    (view, witness): (&View, &Witness),
) -> Vec<(DomainName, Lost)> {
    let gone = || {
        old.domains
            .iter()
            .filter(|domain| !claimed.contains(domain))
    };
    if gone().next().is_none() {
        return Vec::new();
    }
    // What can't be read, or is gone, says nothing about its keys.
    let keyring = view.read_keyring(&old.id).ok().map(|(keyring, _)| keyring);
    let keyring = keyring.filter(|keyring| !keyring.keys().is_empty());
    let in_use: Option<BTreeSet<&DomainName>> = keyring.as_ref().map(Keyring::in_use);
    let is_missing = |domain: &DomainName| {
        let keyring = keyring.as_ref();
        keyring.is_some_and(|keyring| witness.lacks_in_use(&old.id, keyring, domain))
    };
    let was_lost = |domain: &DomainName| before.lost.get(domain);
    gone()
        .filter(|domain| match &in_use {
            Some(in_use) => in_use.contains(domain) || is_missing(domain),
            None => (before.had_key)(domain) && !witness.has_ended(&old.id, domain),
        })
        .map(|domain| {
            let lost = Lost {
                organisation: old.id.clone(),
                signs: was_lost(domain).is_none_or(|lost| lost.signs),
            };
            (domain.clone(), lost)
        })
        .collect()
}

/// The organisation with what is held for it: as its file is now, or else as it was.
fn hold(
    old: &Arc<Organisation>,
    file: Option<&Arc<Organisation>>,
    claimed: &HashSet<&DomainName>,
    held: &[(DomainName, Lost)],
) -> Member {
    let names = |signs| {
        let held = held.iter().filter(move |(_, lost)| lost.signs == signs);
        held.map(|(domain, _)| domain.clone())
    };
    let mut known = Organisation::clone(file.unwrap_or(old));
    if file.is_none() {
        known.domains.clear();
        known.parked.retain(|domain| !claimed.contains(domain));
    }
    known.domains.extend(names(true));
    let mut all = known.clone();
    all.domains.extend(names(false));
    let nothing_is_known = known.domains.is_empty() && file.is_none();
    // The same one if nothing has changed, so that nothing is made anew.
    let shared = |organisation: Organisation| {
        if organisation == **old {
            Arc::clone(old)
        } else {
            Arc::new(organisation)
        }
    };
    let is_whole = names(false).next().is_none();
    let organisation = shared(all);
    let known = match (nothing_is_known, is_whole) {
        (true, _) => None,
        (false, true) => Some(Arc::clone(&organisation)),
        (false, false) => Some(Arc::new(known)),
    };
    Member {
        organisation,
        known,
    }
}
