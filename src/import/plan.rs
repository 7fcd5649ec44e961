//! From what another signer does to organisations: domains that share a key are one.

mod groups;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use self::groups::{Domains, Member, related};
use super::{
    finding::{Code, Finding, Place},
    setup::{Hints, KeySource, Setup, Signing},
};
use crate::{
    dkim::key::{Algorithm, Fingerprint},
    names::{DomainName, OrganisationId, Selector},
};

/// Names of files of the keystore itself.
const RESERVED: [&str; 2] = ["generation", "lock"];
const LONGEST: usize = 40;

/// What was found where a key should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyFacts {
    /// A key that may enter the keystore.
    Usable {
        /// Which one.
        fingerprint: Fingerprint,
        /// What it signs with.
        algorithm: Algorithm,
    },
    /// Something else.
    Refused {
        /// What is wrong.
        code: Code,
        /// The same in words.
        reason: String,
    },
}

/// What is to be written.
#[derive(Debug)]
pub struct Plan {
    /// In the order of their first domains.
    pub organisations: Vec<PlannedOrganisation>,
    /// For `zegel.toml`.
    pub hints: Hints,
    /// Everything that is to be said.
    pub findings: Vec<Finding>,
}

/// An organisation.
#[derive(Debug, Eq, PartialEq)]
pub struct PlannedOrganisation {
    /// Unique.
    pub id: OrganisationId,
    /// Whether its file is there already, with these domains.
    pub is_there: bool,
    /// In the order in which they were named.
    pub domains: Vec<DomainName>,
    /// Those that can be used; selectors differ.
    pub keys: Vec<PlannedKey>,
}

/// A key of an organisation.
#[derive(Debug, Eq, PartialEq)]
pub struct PlannedKey {
    /// Its selector.
    pub selector: Selector,
    /// Where it is.
    pub source: KeySource,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// For which domains.
    pub domains: Vec<DomainName>,
    /// For which of them it signs today, so that its record should be in the DNS.
    pub in_use: Vec<DomainName>,
    /// Where it says so.
    pub place: Place,
}

/// Makes a plan. `keys` has the facts of every source of `setup`.
pub fn plan(setup: Setup, keys: &BTreeMap<KeySource, KeyFacts>, taken: &Taken) -> Plan {
    let mut planner = Planner {
        keys,
        findings: setup.findings,
    };
    let mut domains = Domains::default();
    for signing in setup.signings {
        planner.place(&mut domains, signing);
    }
    for domain in &setup.keyless {
        domains.member(domain);
    }
    let groups = domains.groups();
    let mut names = Names::new(taken);
    let mut organisations = Vec::with_capacity(groups.len());
    for group in groups {
        organisations.extend(planner.organisation(group, &mut names));
    }
    let mut said = HashSet::new();
    planner.findings.retain(|finding| {
        let place = finding.place.clone();
        said.insert((finding.code, place, finding.found.clone()))
    });
    planner
        .findings
        .sort_by_key(|finding| Reverse(finding.severity));
    Plan {
        organisations,
        hints: setup.hints,
        findings: planner.findings,
    }
}

struct Planner<'a> {
    keys: &'a BTreeMap<KeySource, KeyFacts>,
    findings: Vec<Finding>,
}

impl Planner<'_> {
    fn say(
        &mut self,
        code: Code,
        place: &Place,
        found: impl Into<String>,
        done: impl Into<String>,
    ) {
        self.findings.push(Finding::at(code, place, found, done));
    }

    /// Gives a signing to its domain, unless the domain has one of that kind.
    fn place(&mut self, domains: &mut Domains, signing: Signing) {
        let facts = self.keys.get(&signing.key);
        if signing.author != signing.signer {
            let below = signing
                .author
                .as_str()
                .strip_suffix(signing.signer.as_str());
            let is_below = below.is_some_and(|labels| labels.ends_with('.'));
            self.say_other_domain(&signing, is_below);
            domains.member(&signing.author);
            if is_below {
                let signing = Signing {
                    in_use: false,
                    ..signing
                };
                if domains.add(signing.clone(), facts).is_none() {
                    domains.join_key(&signing.author, &signing.key, facts);
                }
            }
            return;
        }
        let Some(first) = domains.add(signing.clone(), facts) else {
            domains.join_key(&signing.author, &signing.key, facts);
            if let Some(before) = &signing.hidden_by {
                let found = format!(
                    "{} is never looked up here, because {before} takes its mail",
                    signing.author
                );
                let done = "its key was taken over as one that does not sign yet; see that its \
                            record is in the DNS";
                self.say(Code::NeverMatches, &signing.place, found, done);
            }
            return;
        };
        let (code, done) = if (&first.key, &first.selector) == (&signing.key, &signing.selector) {
            (
                Code::DomainTwice,
                "the first is as good as the second".to_owned(),
            )
        } else {
            let done = format!(
                "the first was taken over, with the selector {}; {} with the selector {} was \
                 left out: if receivers still need its record, leave that in the DNS",
                first.selector, signing.key, signing.selector
            );
            (Code::SeveralKeys, done)
        };
        let found = format!("{} is named at {} already", signing.author, first.place);
        self.say(code, &signing.place, found, done);
    }

    fn say_other_domain(&mut self, signing: &Signing, is_below: bool) {
        let Signing {
            author,
            signer,
            selector,
            place,
            ..
        } = signing;
        let found = format!("mail from {author} is signed as d={signer}");
        let done = if is_below {
            format!(
                "Zegel signs it as {author}, and not before the record \
                 {selector}._domainkey.{author} is in the DNS"
            )
        } else {
            format!(
                "Zegel signs it as {author}, with a key of its own: make it with `zegel key \
                 generate`, and hand its record over"
            )
        };
        self.say(Code::OtherDomain, place, found, done);
    }

    fn organisation(
        &mut self,
        mut group: Vec<Member>,
        names: &mut Names<'_>,
    ) -> Option<PlannedOrganisation> {
        let (id, is_there) = names.choose(&mut group, &mut self.findings)?;
        let keys = self.group_keys(&id, &group);
        self.say_shared(&id, &group);
        self.say_refused(&id, &group);
        if keys.is_empty() {
            let found = format!("{id} ({}) has no key that can sign", listed(&group));
            let done = format!(
                "it has a file all the same; make a key with `zegel key generate {id}`, and hand its \
                 record over: until it is in use, mail of its domains is not signed"
            );
            self.findings.push(Finding::new(Code::NoKey, found, done));
        }
        Some(PlannedOrganisation {
            id,
            is_there,
            domains: group.into_iter().map(|member| member.domain).collect(),
            keys,
        })
    }

    /// The keys, each under the selector that most of its domains have it under.
    fn group_keys(&mut self, id: &OrganisationId, group: &[Member]) -> Vec<PlannedKey> {
        let mut found: Vec<(Vec<&Signing>, Algorithm)> = Vec::new();
        let mut places = HashMap::new();
        for (algorithm, signing) in group.iter().flat_map(|member| &member.signings) {
            let Some(KeyFacts::Usable { fingerprint, .. }) = self.keys.get(&signing.key) else {
                continue;
            };
            let at = *places.entry(*fingerprint).or_insert_with(|| {
                found.push((Vec::new(), *algorithm));
                found.len() - 1
            });
            found[at].0.push(signing);
        }
        let mut selectors = HashSet::new();
        let mut keys = Vec::new();
        for (signings, algorithm) in found {
            let selector = usual_selector(&signings).clone();
            self.say_other_selectors(&signings, &selector);
            let first = signings[0];
            if !selectors.insert(selector.clone()) {
                let found = format!("{id} has another key with the selector {selector}");
                let done = "the first was taken over, this one was not: in an organisation a \
                            selector names one key; make a new one with `zegel key generate`";
                self.say(Code::SelectorTwice, &first.place, found, done);
                continue;
            }
            let under = |signing: &&&Signing| signing.in_use && signing.selector == selector;
            let in_use = signings.iter().filter(under);
            keys.push(PlannedKey {
                source: first.key.clone(),
                algorithm,
                in_use: in_use.map(|signing| signing.author.clone()).collect(),
                domains: signings
                    .iter()
                    .map(|signing| signing.author.clone())
                    .collect(),
                place: first.place.clone(),
                selector,
            });
        }
        keys
    }

    fn say_other_selectors(&mut self, signings: &[&Signing], selector: &Selector) {
        for signing in signings {
            if signing.selector != *selector {
                let found = format!(
                    "{} has the selector {}, and other domains have the same key as {selector}",
                    signing.author, signing.selector
                );
                let done = format!(
                    "a key has one selector in Zegel: it was taken over as {selector}, and does \
                     not sign for {} before {selector}._domainkey.{} is in the DNS",
                    signing.author, signing.author
                );
                self.say(Code::SeveralSelectors, &signing.place, found, done);
            }
        }
    }

    fn say_shared(&mut self, id: &OrganisationId, group: &[Member]) {
        let domains: Vec<&DomainName> = group.iter().map(|member| &member.domain).collect();
        // A key that can't be used has brought them together as well.
        let signing = group.first().and_then(|first| {
            first
                .signings
                .first()
                .map(|(_, signing)| signing)
                .or(first.refused.first())
        });
        if let (false, Some(signing)) = (related(&domains), signing) {
            let found = format!("{} have one key in common", listed(group));
            let done = format!(
                "they became one organisation, {id}; if they are not one organisation, give each \
                 a file of its own in orgs.d and a key of its own: whoever has the key of one \
                 can sign as the other"
            );
            self.say(Code::SharedKey, &signing.place, found, done);
        }
    }

    fn say_refused(&mut self, id: &OrganisationId, group: &[Member]) {
        let mut refused: BTreeMap<&KeySource, (&Signing, BTreeSet<&DomainName>)> = BTreeMap::new();
        for signing in group.iter().flat_map(|member| &member.refused) {
            let entry = refused.entry(&signing.key);
            let (_, domains) = entry.or_insert((signing, BTreeSet::new()));
            domains.insert(&signing.author);
        }
        for (source, (signing, domains)) in refused {
            if let Some(KeyFacts::Refused { code, reason }) = self.keys.get(source) {
                let names: Vec<&str> = domains.iter().map(|domain| domain.as_str()).collect();
                let found = format!("{source}, the key of {}: {reason}", enumeration(&names));
                let done = format!(
                    "it was not taken over; correct it and import again, or make a new key with \
                     `zegel key generate {id}`"
                );
                self.say(*code, &signing.place, found, done);
            }
        }
    }
}

/// The one that most have; among equals the first.
fn usual_selector<'a>(signings: &[&'a Signing]) -> &'a Selector {
    let mut counts: Vec<(&Selector, usize)> = Vec::new();
    for signing in signings {
        match counts
            .iter_mut()
            .find(|(name, _)| **name == signing.selector)
        {
            Some((_, count)) => *count += 1,
            None => counts.push((&signing.selector, 1)),
        }
    }
    let mut best = counts[0];
    for candidate in counts {
        if candidate.1 > best.1 {
            best = candidate;
        }
    }
    best.0
}

fn listed(group: &[Member]) -> String {
    let names: Vec<&str> = group.iter().map(|member| member.domain.as_str()).collect();
    enumeration(&names)
}

/// The first few of them.
fn enumeration(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    match names.len().checked_sub(SHOWN) {
        None | Some(0 | 1) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// The organisations that are there already, with their domains.
#[derive(Debug, Default)]
pub struct Taken {
    organisations: BTreeMap<OrganisationId, Vec<DomainName>>,
    owners: HashMap<DomainName, OrganisationId>,
}

impl Taken {
    /// Adds one, with all its domains, parked or not.
    pub fn insert(&mut self, id: &OrganisationId, domains: &[DomainName]) {
        let known = self.organisations.entry(id.clone()).or_default();
        known.extend(domains.iter().cloned());
        let owned = domains.iter().map(|domain| (domain.clone(), id.clone()));
        self.owners.extend(owned);
    }
}

/// Gives out ids.
struct Names<'a> {
    taken: &'a Taken,
    given: HashSet<OrganisationId>,
    /// The next number for a stem that was given before.
    numbers: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    fn new(taken: &'a Taken) -> Self {
        Self {
            taken,
            given: HashSet::new(),
            numbers: HashMap::new(),
        }
    }

    /// An id for a group, and whether it is that of an organisation which is there and has
    /// just these domains. Domains of others are taken out of the group; if none is left
    /// there is no id.
    fn choose(
        &mut self,
        group: &mut Vec<Member>,
        findings: &mut Vec<Finding>,
    ) -> Option<(OrganisationId, bool)> {
        let owner = group
            .first()
            .and_then(|first| self.taken.owners.get(&first.domain));
        if let Some(owner) = owner {
            let domains = &self.taken.organisations[owner];
            let is_theirs = |member: &Member| domains.contains(&member.domain);
            if group.len() == domains.len() && group.iter().all(is_theirs) {
                self.given.insert(owner.clone());
                return Some((owner.clone(), true));
            }
        }
        group.retain(|member| match self.taken.owners.get(&member.domain) {
            None => true,
            Some(owner) => {
                let found = format!("{} is a domain of {owner} already", member.domain);
                let done = "that organisation was left as it is, and the key was not taken over: \
                            bring it in with `zegel key import`, or remove the domain there and \
                            import again";
                findings.push(Finding::new(Code::DomainTaken, found, done));
                false
            }
        });
        let first = group.first()?;
        Some((self.fresh(&first.domain), false))
    }

    fn fresh(&mut self, domain: &DomainName) -> OrganisationId {
        let stem = domain.as_str().replace('.', "-");
        loop {
            let number = self.numbers.entry(stem.clone()).or_insert(0);
            *number += 1;
            let suffix = match *number {
                1 => String::new(),
                number => format!("-{number}"),
            };
            let kept = stem.len().min(LONGEST - suffix.len());
            let name = format!("{}{suffix}", stem[..kept].trim_end_matches('-'));
            let free = |id: &OrganisationId| {
                !RESERVED.contains(&id.as_str())
                    && !self.taken.organisations.contains_key(id)
                    && !self.given.contains(id)
            };
            if let Some(id) = name.parse().ok().filter(free) {
                self.given.insert(OrganisationId::clone(&id));
                return id;
            }
        }
    }
}
