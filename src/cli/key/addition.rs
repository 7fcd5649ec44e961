//! A key that has just been added: its file, its records, and what comes next.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    cli::{failure::Failure, output::Output},
    dkim::Algorithm,
    keys::KeyEntry,
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
};

#[derive(Serialize)]
pub(super) struct Addition {
    organisation: OrganisationId,
    pub(super) selector: Selector,
    pub(super) algorithm: Algorithm,
    pub(super) domains: Vec<DomainName>,
    bits: usize,
    file: PathBuf,
    /// What belongs in the DNS, under each of `names`.
    record: String,
    names: Vec<String>,
}

impl Addition {
    /// Reads back what has been added.
    pub(super) fn new(
        keystore: &Keystore,
        organisation: &OrganisationId,
        entry: &KeyEntry,
    ) -> Result<Self, Failure> {
        let key = keystore
            .load_key(organisation, entry)
            .map_err(KeystoreError::UnusableKey)?;
        let names = entry.publications.keys();
        Ok(Self {
            organisation: organisation.clone(),
            selector: entry.selector.clone(),
            algorithm: entry.algorithm,
            domains: entry.publications.keys().cloned().collect(),
            bits: key.public_key().bits(),
            file: keystore.key_path(organisation, &entry.selector),
            record: key.public_key().record(),
            names: names
                .map(|domain| entry.selector.record_name(domain))
                .collect(),
        })
    }

    pub(super) fn print(&self, output: &mut Output) {
        output.line(format_args!(
            "key {} of {}: {}, {} bits",
            self.selector, self.organisation, self.algorithm, self.bits
        ));
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
    pub(super) fn print_next_step(&self, output: &mut Output) {
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
