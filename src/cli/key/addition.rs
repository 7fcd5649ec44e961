//! Keys that have just been added: their files, their records, and what comes next.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::choice::list;
use crate::{
    cli::{
        failure::Failure,
        output::{Output, date},
    },
    dkim::Algorithm,
    keys::{Change, KeyEntry, WantedKey},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// Of a domain whose keys are delegated.
const IN_OWN_ZONE: &str =
    "Where its keys are delegated, put the record into your own zone: `zegel dns zone` writes it.";

/// A key that was given up, as a document.
#[derive(Serialize)]
pub(super) struct GivenUp<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) selector: &'a Selector,
    /// For these.
    pub(super) domains: Vec<&'a DomainName>,
}

impl<'a> GivenUp<'a> {
    pub(super) fn new(
        organisation: &'a OrganisationId,
        selector: &'a Selector,
        changes: &'a [Change],
    ) -> Self {
        Self {
            organisation,
            selector,
            domains: changes.iter().map(|change| &change.domain).collect(),
        }
    }
}

/// Several of them, as a document.
#[derive(Serialize)]
pub(super) struct Additions<'a> {
    pub(super) keys: &'a [Addition],
}

#[derive(Serialize)]
pub(in crate::cli) struct Addition {
    organisation: OrganisationId,
    pub(in crate::cli) selector: Selector,
    pub(super) algorithm: Algorithm,
    pub(super) domains: Vec<DomainName>,
    bits: usize,
    created: Timestamp,
    /// Whether it was made now, or waited already; none where that can't be.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<bool>,
    file: PathBuf,
    /// What belongs in the DNS, under each of `names`.
    record: String,
    names: Vec<String>,
}

impl Addition {
    /// What has been added.
    pub(in crate::cli) fn new(
        keystore: &Keystore,
        organisation: &OrganisationId,
        entry: &KeyEntry,
    ) -> Result<Self, Failure> {
        Self::for_domains(keystore, organisation, (entry, entry.publications.keys()))
    }

    /// A key that was there and waits to sign for these domains.
    pub(super) fn waiting(
        keystore: &Keystore,
        organisation: &OrganisationId,
        (entry, domains): (&KeyEntry, &[DomainName]),
    ) -> Result<Self, Failure> {
        let addition = Self::for_domains(keystore, organisation, (entry, domains.iter()))?;
        Ok(Self {
            made: Some(false),
            ..addition
        })
    }

    /// It was made now.
    pub(super) fn made(self) -> Self {
        self.made_now(true)
    }

    /// Whether it was made now, or was there.
    pub(in crate::cli) fn made_now(self, is_new: bool) -> Self {
        Self {
            made: Some(is_new),
            ..self
        }
    }

    fn for_domains<'a>(
        keystore: &Keystore,
        organisation: &OrganisationId,
        (entry, domains): (&KeyEntry, impl Iterator<Item = &'a DomainName>),
    ) -> Result<Self, Failure> {
        let key = keystore
            .public_key(organisation, entry)
            .map_err(KeystoreError::UnusableKey)?;
        let domains: Vec<DomainName> = domains.cloned().collect();
        Ok(Self {
            organisation: organisation.clone(),
            selector: entry.selector.clone(),
            algorithm: entry.algorithm,
            bits: key.bits(),
            created: entry.created,
            made: None,
            file: keystore.key_path(organisation, &entry.selector),
            record: key.record(),
            names: domains
                .iter()
                .map(|domain| entry.selector.record_name(domain))
                .collect(),
            domains,
        })
    }

    pub(super) fn print(&self, output: &mut Output) {
        output.line(format_args!(
            "key {} of {}: {}, {} bits",
            self.selector, self.organisation, self.algorithm, self.bits
        ));
        if self.made == Some(false) {
            output.line(format_args!(
                "It was made on {} and still waits. --another makes one more.",
                date(self.created)
            ));
        }
        output.line(format_args!("file: {}", self.file.display()));
        output.line("");
        output.line("TXT record, under each of these names:");
        for name in &self.names {
            output.line(format_args!("  {name}"));
        }
        output.line("with this value:");
        output.line(format_args!("  {}", self.record));
        output.line("");
    }

    /// What to do before it signs.
    pub(super) fn print_next_step(&self, organisation: &Organisation, output: &mut Output) {
        let mut domains = self.domains.iter();
        if domains.any(|domain| organisation.delegations.way(domain).is_some()) {
            output.line(IN_OWN_ZONE);
        }
        let (organisation, selector) = (&self.organisation, &self.selector);
        output.line(
            "It does not sign yet. Publish the record; when every name server shows it, the \
             keeper lets it sign. Without a keeper:",
        );
        output.line(format_args!(
            "  zegel key activate {organisation} {selector}"
        ));
    }
}

/// Makes the keys. A domain that has got a successor in the meantime is left out.
pub(in crate::cli) fn make_wanted(
    keystore: &Keystore,
    organisation: &Organisation,
    wanted: &[WantedKey],
) -> Result<Vec<Addition>, Failure> {
    let mut added = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        // Outside the lock: it takes long.
        let key = wanted.generate().map_err(KeystoreError::from)?;
        let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
        if let Some(entry) = writer.add_wanted(organisation, wanted, &key, Timestamp::now())? {
            added.push(Addition::new(keystore, &organisation.id, &entry)?);
        }
    }
    Ok(added)
}

/// Who has to do what with them.
pub(super) fn print_wanted(organisation: &Organisation, added: &[Addition], output: &mut Output) {
    for addition in added {
        output.line(format_args!(
            "made the key {} of {} ({}) for {}",
            addition.selector,
            organisation.id,
            addition.algorithm,
            list(&addition.domains)
        ));
    }
    let domains = || added.iter().flat_map(|addition| &addition.domains);
    let is_delegated = |domain: &DomainName| organisation.delegations.way(domain).is_some();
    if domains().any(is_delegated) {
        output.line(IN_OWN_ZONE);
    }
    if !domains().all(is_delegated) {
        output.line(format_args!(
            "Hand its record over to whoever runs the DNS: zegel dns records {}",
            organisation.id
        ));
    }
}
