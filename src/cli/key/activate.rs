//! `zegel key activate`

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{choice::find, say_taken_up};
use crate::{
    cli::{
        context::{self, Context, domains_of},
        failure::Failure,
        look::{KeyRecord, Seen, ToldFinding, look},
        output::{Output, complain},
        status::Status,
    },
    config::{Settings, situation},
    dns::Finding,
    keys::{self, Change, Event, KeyEntry, Keyring, Moment, Sight, State, What},
    keystore::{Keystore, KeystoreError, Target},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::Language,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ActivateArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The selector of the key
    selector: Selector,

    /// Only for this domain; may be given several times [default: all that it was made for]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Without looking at the DNS: you say that the record is there, on every name server
    #[arg(long)]
    assume_published: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Activation<'a> {
    organisation: &'a OrganisationId,
    selector: &'a Selector,
    domains: Vec<ActivatedDomain<'a>>,
}

#[derive(Default, Serialize)]
struct ActivatedDomain<'a> {
    domain: &'a str,
    /// Whether the key signs.
    active: bool,
    /// Whether that is so since now.
    changed: bool,
    /// The key that drains since then.
    instead_of: Option<&'a Selector>,
    /// Why it does not sign.
    reason: Option<String>,
    /// What was found in the DNS.
    findings: Vec<ToldFinding<'a>>,
}

pub(super) fn run(arguments: &ActivateArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.organisation)?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let keyring = keystore.read_keyring(&organisation.id)?;
    let entry = find(organisation, &keyring, &arguments.selector)?;
    let domains = domains(arguments, organisation, entry)?;
    let target = Target {
        organisation: &organisation.id,
        selector: &arguments.selector,
        domains: &domains,
    };
    if !arguments.assume_published {
        return on_evidence(
            (&keystore, &loaded.settings),
            organisation,
            &target,
            entry,
            (arguments.json, &mut context.output),
        );
    }
    let changes = keystore.activate(&target, &loaded.settings.timing(), Timestamp::now())?;
    if arguments.json {
        let domains = domains.iter();
        context.output.json(&Activation {
            organisation: target.organisation,
            selector: target.selector,
            domains: domains
                .map(|domain| ActivatedDomain::active(&changes, target.selector, domain))
                .collect(),
        });
        return Ok(Status::Good);
    }
    for domain in &domains {
        print_active(&changes, target.selector, domain, &mut context.output);
    }
    say_taken_up(&mut context.output);
    Ok(Status::Good)
}

/// Those that are named, or those that the key was made for and the organisation still has.
fn domains(
    arguments: &ActivateArguments,
    organisation: &Organisation,
    entry: &KeyEntry,
) -> Result<Vec<DomainName>, Failure> {
    if !arguments.domains.is_empty() {
        return domains_of(organisation, &arguments.domains);
    }
    let domains = entry.publications.keys();
    let domains: Vec<DomainName> = domains
        .filter(|domain| organisation.keyed().any(|one| one == *domain))
        .cloned()
        .collect();
    if domains.is_empty() {
        return Err(Failure::Usage(format!(
            "{} was made for none of the domains that {} has now; name some with --domain",
            entry.selector, organisation.id
        )));
    }
    Ok(domains)
}

/// Whether a key signs since now, and instead of which one.
fn activated<'a>(
    changes: &'a [Change],
    selector: &Selector,
    domain: &DomainName,
) -> Option<&'a Option<Selector>> {
    changes
        .iter()
        .filter(|change| change.selector == *selector && change.domain == *domain)
        .find_map(|change| match &change.event {
            Event::Activated { instead_of } => Some(instead_of),
            _ => None,
        })
}

impl<'a> ActivatedDomain<'a> {
    fn active(changes: &'a [Change], selector: &Selector, domain: &'a DomainName) -> Self {
        let activated = activated(changes, selector, domain);
        Self {
            domain: domain.as_str(),
            active: true,
            changed: activated.is_some(),
            instead_of: activated.and_then(Option::as_ref),
            ..Self::default()
        }
    }
}

/// What has happened to a key that signs now.
fn print_active(changes: &[Change], selector: &Selector, domain: &DomainName, output: &mut Output) {
    match activated(changes, selector, domain) {
        None => output.line(format_args!("{domain}: {selector} signed already")),
        Some(None) => output.line(format_args!("{domain}: {selector} signs from now on")),
        Some(Some(older)) => output.line(format_args!(
            "{domain}: {selector} signs from now on; {older} drains: leave its record in the DNS"
        )),
    }
}

/// Looks for the record in the domains of `target`, writes down what was seen, and lets the
/// key sign where it is due: one look of what the keeper does all day.
fn on_evidence(
    (keystore, settings): (&Keystore, &Settings),
    organisation: &Organisation,
    target: &Target<'_>,
    entry: &KeyEntry,
    (json, output): (bool, &mut Output),
) -> Result<Status, Failure> {
    keys::refuse_former(entry, target.domains).map_err(KeystoreError::Command)?;
    let seen = look(&settings.keeper, records(keystore, target, entry)?)?;
    let now = Timestamp::now();
    let mut writer = keystore.writer_of([target.organisation], target.domains)?;
    // Under the lock: what it is like right before.
    let keyring = keystore.read_keyring(target.organisation)?;
    let added = keys::add_domains(&keyring, target.selector, target.domains, now)
        .map_err(KeystoreError::Command)?;
    writer.apply(target.organisation, &added, now)?;
    let keyring = keystore.read_keyring(target.organisation)?;
    let timing = settings.timing();
    let sight = |selector: &_, domain: &_| match seen.get(domain) {
        Some(seen) if selector == target.selector => seen.sight,
        _ => Sight::Unknown,
    };
    let plan = situation(organisation, &keyring, &[], &timing).plan(Moment::steady(now), sight);
    let changes: Vec<Change> = plan
        .changes
        .into_iter()
        .filter(|change| is_asked_for(change, target, &seen))
        .collect();
    for problem in writer.apply(target.organisation, &changes, now)? {
        complain(problem);
    }
    drop(writer);
    let outcome = Outcome {
        target,
        changes: &changes,
        after: &keystore.read_keyring(target.organisation)?,
        seen: &seen,
    };
    if json {
        let domains = target.domains.iter();
        let told: Vec<ActivatedDomain<'_>> = domains
            .map(|domain| outcome.of(settings, organisation, domain))
            .collect();
        let status = Status::of_check(told.iter().all(|one| one.active));
        output.json(&Activation {
            organisation: target.organisation,
            selector: target.selector,
            domains: told,
        });
        return Ok(status);
    }
    Ok(outcome.tell(settings, organisation, output))
}

/// Where it does not sign yet.
fn records(
    keystore: &Keystore,
    target: &Target<'_>,
    entry: &KeyEntry,
) -> Result<Vec<KeyRecord>, Failure> {
    let key = keystore
        .load_key(target.organisation, entry)
        .map_err(KeystoreError::UnusableKey)?;
    Ok(target
        .domains
        .iter()
        .filter(|domain| entry.state(domain) != Some(State::Active))
        .map(|domain| KeyRecord {
            selector: target.selector.clone(),
            domain: domain.clone(),
            public_key: key.public_key().clone(),
        })
        .collect())
}

/// What is due for other keys is left to the keeper: nobody has looked at them.
fn is_asked_for(change: &Change, target: &Target<'_>, seen: &HashMap<DomainName, Seen>) -> bool {
    let key = match &change.event {
        Event::Draining { successor } => successor,
        _ => &change.selector,
    };
    key == target.selector && seen.contains_key(&change.domain)
}

/// What has come of it.
struct Outcome<'a> {
    target: &'a Target<'a>,
    changes: &'a [Change],
    after: &'a Keyring,
    seen: &'a HashMap<DomainName, Seen>,
}

impl Outcome<'_> {
    fn signs(&self, domain: &DomainName) -> bool {
        let entry = self.after.key(self.target.selector);
        entry.and_then(|entry| entry.state(domain)) == Some(State::Active)
    }

    fn of<'a>(
        &'a self,
        settings: &Settings,
        organisation: &Organisation,
        domain: &'a DomainName,
    ) -> ActivatedDomain<'a> {
        if self.signs(domain) {
            return ActivatedDomain::active(self.changes, self.target.selector, domain);
        }
        let seen = self.seen.get(domain);
        let findings = seen.into_iter().flat_map(|seen| &seen.findings);
        ActivatedDomain {
            domain: domain.as_str(),
            reason: self.reason(settings, organisation, domain),
            findings: findings
                .map(|one| ToldFinding::new(one, Language::English))
                .collect(),
            ..ActivatedDomain::default()
        }
    }

    fn tell(
        &self,
        settings: &Settings,
        organisation: &Organisation,
        output: &mut Output,
    ) -> Status {
        let selector = self.target.selector;
        let domains = self.target.domains.iter();
        let (active, waiting): (Vec<_>, Vec<_>) = domains.partition(|one| self.signs(one));
        for domain in &active {
            print_active(self.changes, selector, domain, output);
        }
        if active.iter().any(|domain| self.seen.contains_key(*domain)) {
            say_taken_up(output);
        }
        for domain in &waiting {
            self.complain(settings, organisation, domain);
        }
        if waiting.is_empty() {
            return Status::Good;
        }
        complain(
            "The keeper goes on looking, and activates it by itself. If you have seen the record \
             on every name server, say so with --assume-published: the key then signs on your \
             word, which is written in the audit log; were the record missing, receivers would \
             find the signatures broken.",
        );
        Status::Finding
    }

    /// Why it does not sign there yet, and what that waits for.
    fn reason(
        &self,
        settings: &Settings,
        organisation: &Organisation,
        domain: &DomainName,
    ) -> Option<String> {
        let timing = settings.timing();
        let entry = self.after.key(self.target.selector)?;
        // What can't be read says nothing.
        let keystore = settings.open_keystore();
        let sightings = keystore.and_then(|keystore| keystore.sightings(&organisation.id));
        let sightings = sightings.unwrap_or_default();
        let situation = situation(organisation, self.after, &[], &timing).seen(&sightings.leads);
        let next = situation.next_step(entry, domain);
        Some(match (&next.what, next.when) {
            (What::Activate, Some(when)) => format!(
                "its record is seen everywhere, and must have been for long enough: it may sign \
                 from {when:.0} on, when it is looked at again"
            ),
            _ => format!("next: {}", next.text()),
        })
    }

    fn complain(&self, settings: &Settings, organisation: &Organisation, domain: &DomainName) {
        let selector = self.target.selector;
        let Some(reason) = self.reason(settings, organisation, domain) else {
            return;
        };
        complain(format_args!(
            "{domain}: {selector} was not activated; {reason}"
        ));
        let findings = self.seen.get(domain).map(|seen| seen.findings.iter());
        for finding in findings.into_iter().flatten() {
            complain_of(finding);
        }
    }
}

fn complain_of(finding: &Finding) {
    let Finding { name, seen, .. } = finding;
    complain(format_args!(
        "{}: {name}: seen: {seen}. {}",
        finding.code.as_str(),
        finding.advice(Language::English)
    ));
}
