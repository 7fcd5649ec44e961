//! Which domains belong together.

use std::collections::HashMap;

use super::KeyFacts;
use crate::{
    dkim::key::{Algorithm, Fingerprint},
    import::setup::{KeySource, Signing},
    names::DomainName,
};

/// A domain, and what signs its mail.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) domain: DomainName,
    /// With keys that can be used, at most one for each algorithm.
    pub(super) signings: Vec<(Algorithm, Signing)>,
    /// With keys that cannot.
    pub(super) refused: Vec<Signing>,
}

/// What makes two places the same key.
#[derive(Eq, Hash, PartialEq)]
enum Identity {
    Key(Fingerprint),
    /// Nobody could read it: the same place is the same key.
    Place(KeySource),
}

/// The domains in the order in which they were named.
#[derive(Default)]
pub(super) struct Domains {
    members: Vec<Member>,
    /// Where a domain is.
    index: HashMap<DomainName, usize>,
    /// One domain that has this key.
    owners: HashMap<Identity, usize>,
    /// The next step to the domain that stands for the group.
    parents: Vec<usize>,
}

impl Domains {
    /// The place of a domain, which is made if need be.
    pub(super) fn member(&mut self, domain: &DomainName) -> usize {
        if let Some(&at) = self.index.get(domain) {
            return at;
        }
        let at = self.members.len();
        self.members.push(Member {
            domain: domain.clone(),
            signings: Vec::new(),
            refused: Vec::new(),
        });
        self.parents.push(at);
        self.index.insert(domain.clone(), at);
        at
    }

    /// Puts a domain together with the others that have this key.
    pub(super) fn join_key(
        &mut self,
        domain: &DomainName,
        source: &KeySource,
        facts: Option<&KeyFacts>,
    ) {
        let at = self.member(domain);
        let identity = match facts {
            Some(KeyFacts::Usable { fingerprint, .. }) => Identity::Key(*fingerprint),
            _ => Identity::Place(source.clone()),
        };
        let owner = *self.owners.entry(identity).or_insert(at);
        let (one, other) = (self.root(at), self.root(owner));
        self.parents[one.max(other)] = one.min(other);
    }

    /// Adds a signing to its domain; the one that is there for the same algorithm, if any.
    pub(super) fn add(&mut self, signing: Signing, facts: Option<&KeyFacts>) -> Option<Signing> {
        let at = self.member(&signing.author);
        let member = &mut self.members[at];
        let Some(KeyFacts::Usable { algorithm, .. }) = facts else {
            let same = member
                .refused
                .iter()
                .find(|one| one.key == signing.key)
                .cloned();
            if same.is_none() {
                member.refused.push(signing);
            }
            return same;
        };
        let mut signings = member.signings.iter();
        if let Some((_, first)) = signings.find(|(other, _)| other == algorithm) {
            return Some(first.clone());
        }
        member.signings.push((*algorithm, signing));
        None
    }

    fn root(&mut self, at: usize) -> usize {
        let mut root = at;
        while self.parents[root] != root {
            root = self.parents[root];
        }
        let mut step = at;
        while self.parents[step] != root {
            step = std::mem::replace(&mut self.parents[step], root);
        }
        root
    }

    /// The groups, in the order of their first domains.
    pub(super) fn groups(mut self) -> Vec<Vec<Member>> {
        let mut groups: Vec<Vec<Member>> = Vec::new();
        let mut places = HashMap::new();
        let roots: Vec<usize> = (0..self.members.len()).map(|at| self.root(at)).collect();
        for (member, root) in self.members.into_iter().zip(roots) {
            let at = *places.entry(root).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(member);
        }
        groups
    }
}

/// What many registries of countries have below them, and register names below.
const SECOND_LEVELS: [&str; 20] = [
    "ac", "asso", "biz", "co", "com", "edu", "go", "gob", "gouv", "gov", "info", "ltd", "mil",
    "ne", "net", "nom", "or", "org", "plc", "sch",
];

/// Whether domains are obviously of one organisation: below one name that was registered, as
/// far as can be told without the list of public suffixes.
pub(super) fn related(domains: &[&DomainName]) -> bool {
    let registered = |domain: &DomainName| -> String {
        let labels: Vec<&str> = domain.as_str().rsplit('.').collect();
        let suffix = match labels[..] {
            [country, second, ..] if country.len() == 2 && SECOND_LEVELS.contains(&second) => 2,
            _ => 1,
        };
        let kept = labels.len().min(suffix + 1);
        labels[..kept].join(".")
    };
    let mut names = domains.iter().map(|domain| registered(domain));
    let first = names.next();
    names.all(|name| Some(name) == first)
}
