//! One domain: what is to be looked at, and what is found.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use serde::Serialize;

use crate::{
    cli::look::{KeyRecord, Seen, word},
    dkim::{Algorithm, PublicKey},
    dns::{Code, Finding, Round, judge_parked, judge_sending},
    keys::{Publication, Situation, State},
    keystore::{KeyProblem, Keystore},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// What a domain is to its organisation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// It sends mail.
    Sending,
    /// It never does.
    Parked,
    /// It is in the configuration no more, and mail on its way may need its records.
    Former,
}

/// A domain to be looked at.
pub(super) struct Subject {
    organisation: OrganisationId,
    pub(super) domain: DomainName,
    role: Role,
    keys: Vec<Watched>,
}

/// A key whose record is to be looked at.
struct Watched {
    record: KeyRecord,
    algorithm: Algorithm,
    publication: Publication,
}

/// What was found.
#[derive(Serialize)]
pub(super) struct Examined {
    pub(super) organisation: OrganisationId,
    pub(super) domain: DomainName,
    role: Role,
    pub(super) keys: Vec<ExaminedKey>,
    #[serde(skip)]
    pub(super) findings: Vec<Finding>,
}

#[derive(Serialize)]
pub(super) struct ExaminedKey {
    selector: Selector,
    algorithm: Algorithm,
    state: State,
    /// How far its record can be seen.
    sight: &'static str,
}

/// Everything of an organisation that is to be looked at, and the keys that cannot be read.
pub(super) fn subjects(
    keystore: &Keystore,
    organisation: &Organisation,
    situation: &Situation<'_>,
) -> (Vec<Subject>, Vec<KeyProblem>) {
    let (mut keys, problems) = watched_keys(keystore, organisation, situation);
    let mut subjects = Vec::new();
    let mut add = |domain: &DomainName, role, keys| {
        subjects.push(Subject {
            organisation: organisation.id.clone(),
            domain: domain.clone(),
            role,
            keys,
        });
    };
    for domain in &organisation.domains {
        add(
            domain,
            Role::Sending,
            keys.remove(domain).unwrap_or_default(),
        );
    }
    for domain in &organisation.parked {
        add(
            domain,
            Role::Parked,
            keys.remove(domain).unwrap_or_default(),
        );
    }
    for (domain, keys) in keys {
        add(&domain, Role::Former, keys);
    }
    (subjects, problems)
}

fn watched_keys(
    keystore: &Keystore,
    organisation: &Organisation,
    situation: &Situation<'_>,
) -> (BTreeMap<DomainName, Vec<Watched>>, Vec<KeyProblem>) {
    let mut public: HashMap<&Selector, Option<PublicKey>> = HashMap::new();
    let mut problems = Vec::new();
    let mut watched: BTreeMap<DomainName, Vec<Watched>> = BTreeMap::new();
    for (entry, domain) in situation.watched() {
        let key = public.entry(&entry.selector).or_insert_with(|| {
            match keystore.load_key(&organisation.id, entry) {
                Ok(key) => Some(key.public_key().clone()),
                Err(problem) => {
                    problems.push(*problem);
                    None
                }
            }
        });
        if let (Some(key), Some(publication)) = (key, entry.publications.get(domain)) {
            let record = KeyRecord {
                selector: entry.selector.clone(),
                domain: domain.clone(),
                public_key: key.clone(),
            };
            watched.entry(domain.clone()).or_default().push(Watched {
                record,
                algorithm: entry.algorithm,
                publication: *publication,
            });
        }
    }
    (watched, problems)
}

impl Subject {
    /// Looks at all of it.
    pub(super) async fn examine(self, round: &Round, relays: &[IpAddr]) -> Examined {
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut findings = Vec::new();
        for key in &self.keys {
            let seen = key.record.look(round).await;
            keys.push(key.examined(&seen));
            // A record that is to go may be empty or gone.
            if key.publication.withdrawal.is_none() {
                findings.extend(seen.findings);
            }
        }
        let domain = self.domain.as_str();
        match self.role {
            Role::Sending => {
                findings.extend(judge_sending(&round.mail_policy(domain, relays).await));
            }
            Role::Parked => {
                let mut parked = judge_parked(&round.mail_policy(domain, &[]).await);
                // What is left there from better days is looked at above.
                parked.retain(|finding| finding.code != Code::ParkedKey || self.keys.is_empty());
                findings.extend(parked);
            }
            Role::Former => {}
        }
        Examined {
            organisation: self.organisation,
            domain: self.domain,
            role: self.role,
            keys,
            findings,
        }
    }
}

impl Watched {
    fn examined(&self, seen: &Seen) -> ExaminedKey {
        ExaminedKey {
            selector: self.record.selector.clone(),
            algorithm: self.algorithm,
            state: self.publication.state,
            sight: word(seen.sight),
        }
    }
}
