//! Looks at everything that a signer with this configuration would use, and at what it
//! would not.

use std::{collections::HashSet, sync::Arc};

use super::{
    findings::{CheckedDomain, CheckedKey, CheckedOrganisation, DomainState, Finding, Findings},
    probe::Probe,
};
use crate::{
    cli::context,
    config::Loaded,
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId},
    observe::metrics::Metrics,
    organisation::Organisation,
    snapshot::{ActiveKey, Signing, Snapshot},
};

/// Adds what is found.
pub(super) fn examine(loaded: Loaded, findings: &mut Findings) {
    let warnings = loaded.warnings.iter().map(Finding::from);
    findings.warnings.extend(warnings);
    let keystore = match Keystore::open(&loaded.settings.keystore_path) {
        Ok(keystore) => keystore,
        // Nothing to sign for: a keystore can wait.
        Err(error @ KeystoreError::NoKeystore(_)) if loaded.organisations.is_empty() => {
            return findings.warnings.push(error.to_string().into());
        }
        Err(error) => return findings.problems.push(error.to_string().into()),
    };
    match Snapshot::build(loaded, &keystore, &Metrics::new(), None) {
        Err(error) => findings.problems.push(error.to_string().into()),
        Ok(built) => {
            let problems = built.problems.into_iter().map(Finding::from);
            findings.problems.extend(problems);
            examine_keystore(&built.snapshot, &keystore, findings);
            for organisation in built.snapshot.organisations() {
                let checked = examine_organisation(&built.snapshot, organisation, findings);
                findings.organisations.push(checked);
            }
        }
    }
}

/// What the signer does not look at: keys that are not in use, and files that nobody
/// asked for.
fn examine_keystore(snapshot: &Snapshot, keystore: &Keystore, findings: &mut Findings) {
    let known = findings.problems.iter();
    let known: HashSet<String> = known.map(|problem| problem.message.clone()).collect();
    for organisation in snapshot.organisations() {
        // An error is among the problems of the snapshot.
        let Ok(keys) = keystore.load_organisation(&organisation.id) else {
            continue;
        };
        let refused = keys.refused.iter().map(ToString::to_string);
        let refused = refused.filter(|problem| !known.contains(problem));
        findings.problems.extend(refused.map(Finding::from));
        let warnings = keys.warnings.iter().map(ToString::to_string);
        findings.warnings.extend(warnings.map(Finding::from));
    }
    let organisations = snapshot.organisations().iter();
    let ids: HashSet<&OrganisationId> = organisations.map(|known| &known.id).collect();
    match keystore.organisations() {
        Err(error) => findings.problems.push(error.to_string().into()),
        Ok(folders) => {
            for folder in folders.iter().filter(|folder| !ids.contains(folder)) {
                findings.warnings.push(Finding::from(format!(
                    "{}: there are keys of {folder}, which is no organisation in orgs.d; keep \
                     them until its last mail is delivered",
                    keystore.path().join(folder.as_str()).display()
                )));
            }
        }
    }
}

fn examine_organisation(
    snapshot: &Snapshot,
    organisation: &Organisation,
    findings: &mut Findings,
) -> CheckedOrganisation {
    let names = organisation.domains.iter().chain(&organisation.parked);
    let domains = names.map(|name| {
        let domain = snapshot.domain(name);
        let signing = domain.and_then(|one| Some((one, one.keys.as_ref()?.load())));
        let (state, keys) = match &signing {
            None => (DomainState::Parked, Vec::new()),
            // Why is among the problems of the snapshot.
            Some((_, Signing::Unusable)) => (DomainState::Unusable, Vec::new()),
            Some((_, Signing::Awaiting)) => {
                warn_of_missing(organisation, name, &[], findings);
                (DomainState::AwaitingKey, Vec::new())
            }
            Some((domain, Signing::Active(keys))) => {
                warn_of_missing(organisation, name, keys, findings);
                let probe = Probe {
                    snapshot,
                    name,
                    domain,
                    keys,
                    now: context::now(),
                };
                (try_keys(&probe, &organisation.id, findings), checked(keys))
            }
        };
        CheckedDomain {
            domain: name.clone(),
            state,
            keys,
        }
    });
    CheckedOrganisation {
        id: organisation.id.clone(),
        name: organisation.name.clone(),
        domains: domains.collect(),
    }
}

fn try_keys(probe: &Probe<'_>, id: &OrganisationId, findings: &mut Findings) -> DomainState {
    match probe.run() {
        Ok(()) => DomainState::Signs,
        Err(error) => {
            let text = format!("{} of {id}: {error}; make a new key", probe.name);
            findings.problems.push(text.into());
            DomainState::ProbeFailed
        }
    }
}

fn checked(keys: &[Arc<ActiveKey>]) -> Vec<CheckedKey> {
    let checked = keys.iter().map(|key| CheckedKey {
        selector: key.selector.clone(),
        algorithm: key.signing_key.algorithm(),
    });
    checked.collect()
}

fn warn_of_missing(
    organisation: &Organisation,
    name: &DomainName,
    keys: &[Arc<ActiveKey>],
    findings: &mut Findings,
) {
    let id = &organisation.id;
    if keys.is_empty() {
        return findings.warnings.push(Finding::from(format!(
            "{name} of {id} has no key in use, so its mail is not signed; see `zegel key list {id}`"
        )));
    }
    for algorithm in &organisation.algorithms {
        if !keys
            .iter()
            .any(|key| key.signing_key.algorithm() == *algorithm)
        {
            findings.warnings.push(Finding::from(format!(
                "{name} of {id} has no {algorithm} key in use; see `zegel key list {id}`"
            )));
        }
    }
}
