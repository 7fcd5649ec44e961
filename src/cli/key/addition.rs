//! Keys that have just been added: their files, their records, and what comes next.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::choice::list;
use crate::{
    cli::{failure::Failure, output::Output},
    dkim::Algorithm,
    keys::{KeyEntry, WantedKey},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
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
    /// What has been added.
    pub(super) fn new(
        keystore: &Keystore,
        organisation: &OrganisationId,
        entry: &KeyEntry,
    ) -> Result<Self, Failure> {
        let key = keystore
            .public_key(organisation, entry)
            .map_err(KeystoreError::UnusableKey)?;
        let names = entry.publications.keys();
        Ok(Self {
            organisation: organisation.clone(),
            selector: entry.selector.clone(),
            algorithm: entry.algorithm,
            domains: entry.publications.keys().cloned().collect(),
            bits: key.bits(),
            file: keystore.key_path(organisation, &entry.selector),
            record: key.record(),
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

/// Makes the keys. A domain that has got a successor in the meantime is left out.
pub(super) fn make_wanted(
    keystore: &Keystore,
    organisation: &Organisation,
    wanted: &[WantedKey],
) -> Result<Vec<Addition>, Failure> {
    let mut added = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        // Outside the lock: it takes long.
        let key = wanted.generate().map_err(KeystoreError::from)?;
        let mut writer = keystore.writer()?;
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
    output.line(format_args!(
        "Hand its record over to whoever runs the DNS: zegel dns records {}",
        organisation.id
    ));
}
