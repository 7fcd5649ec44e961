//! When somebody was last told what to do with a record: what is to be done stands in the
//! keyring, this does not, and nothing that signs depends on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Keystore, KeystoreError,
    audit::AuditLog,
    files::{Folder, Secrecy},
    writer::Writer,
};
use crate::{
    keys::{AuditEntry, Keyring, Revision},
    names::{DomainName, OrganisationId, Selector},
};

/// No organisation has a dot in its name.
pub(super) const FOLDER: &str = "handed.over";

const VERSION: u32 = 1;

/// Of which key the record was handed over for which domain, and when that was last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HandedOver(BTreeMap<(DomainName, Selector), Told>);

/// That it was handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Told {
    /// When.
    pub time: Timestamp,
    /// The user who said so, as in the audit log.
    pub uid: u32,
}

/// What was handed over to one organisation.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// To whom.
    pub organisation: OrganisationId,
    /// The records, by domain and selector.
    pub records: Vec<(DomainName, Selector)>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    records: Vec<Row>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    domain: DomainName,
    selector: Selector,
    time: Timestamp,
    uid: u32,
}

impl HandedOver {
    /// When the record of this key was last handed over for this domain.
    pub fn last(&self, domain: &DomainName, selector: &Selector) -> Option<Told> {
        self.0.get(&(domain.clone(), selector.clone())).copied()
    }

    /// When the record of any key was last handed over for this domain.
    pub fn last_of(&self, domain: &DomainName) -> Option<Told> {
        let of_domain = self.0.iter().filter(|((of, _), _)| of == domain);
        of_domain
            .map(|(_, told)| *told)
            .max_by_key(|told| told.time)
    }

    fn parse(json: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!("it has version {}", document.version));
        }
        let rows = document.records.into_iter();
        let entry = |row: Row| {
            let (time, uid) = (row.time, row.uid);
            ((row.domain, row.selector), Told { time, uid })
        };
        Ok(Self(rows.map(entry).collect()))
    }

    fn to_json(&self) -> Result<Vec<u8>, String> {
        let row = |((domain, selector), told): (&(DomainName, Selector), &Told)| Row {
            domain: domain.clone(),
            selector: selector.clone(),
            time: told.time,
            uid: told.uid,
        };
        let document = Document {
            version: VERSION,
            records: self.0.iter().map(row).collect(),
        };
        let mut json = serde_json::to_vec_pretty(&document).map_err(|error| error.to_string())?;
        json.push(b'\n');
        Ok(json)
    }
}

impl Keystore {
    /// What was handed over to an organisation.
    ///
    /// # Errors
    /// When the file is unsafe, or is none of ours.
    pub fn handed_over(&self, organisation: &OrganisationId) -> Result<HandedOver, KeystoreError> {
        match self.root()?.child(FOLDER)? {
            Some(folder) => read(&folder, &file_of(organisation)),
            None => Ok(HandedOver::default()),
        }
    }
}

impl Writer {
    /// Notes that all of this was handed over at `time`, also if it had been before.
    ///
    /// # Errors
    /// When a file can't be read or written. What came before that is noted then.
    pub fn note_handed_over(
        &mut self,
        notes: &[HandOver],
        time: Timestamp,
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let notes: Vec<&HandOver> = notes.iter().filter(|one| !one.records.is_empty()).collect();
        if notes.is_empty() {
            return Ok(());
        }
        let uid = rustix::process::getuid().as_raw();
        let folder = self.root.child_or_new(FOLDER)?;
        let mut prepared = Vec::with_capacity(notes.len());
        for note in &notes {
            let name = file_of(&note.organisation);
            let mut known = read(&folder, &name)?;
            let records = note.records.iter().cloned();
            known
                .0
                .extend(records.map(|record| (record, Told { time, uid })));
            let json = known
                .to_json()
                .map_err(|why| refused(&folder, &name, why))?;
            prepared.push(folder.prepare_unsynced(&name, &json)?);
        }
        let revisions: Vec<Revision<'_>> = notes.iter().map(|note| told(note)).collect();
        let told = AuditLog::open(&self.keystore, &self.root)?.append(&revisions, now)?;
        self.root.sync_file_system()?;
        let mut told = Some(told);
        for one in &mut prepared {
            one.rename()?;
            if let Some(told) = told.take() {
                told.keep();
            }
        }
        Ok(folder.sync()?)
    }
}

fn read(folder: &Folder, name: &str) -> Result<HandedOver, KeystoreError> {
    let Some(json) = folder.read(name, Secrecy::State)? else {
        return Ok(HandedOver::default());
    };
    HandedOver::parse(&json).map_err(|why| refused(folder, name, why))
}

fn refused(folder: &Folder, name: &str, why: String) -> KeystoreError {
    KeystoreError::HandedOver {
        place: folder.place(name),
        why,
    }
}

fn file_of(organisation: &OrganisationId) -> String {
    format!("{organisation}.json")
}

/// For the audit log: a line for each key.
fn told(note: &HandOver) -> Revision<'_> {
    let mut domains: BTreeMap<&Selector, Vec<DomainName>> = BTreeMap::new();
    for (domain, selector) in &note.records {
        domains.entry(selector).or_default().push(domain.clone());
    }
    let mut revision = Revision::new(&note.organisation, Keyring::default());
    let line = |(selector, domains): (&Selector, Vec<DomainName>)| AuditEntry {
        selector: Some(selector.clone()),
        domains,
        event: "handed_over",
        evidence: None,
        publication: None,
    };
    revision.audit = domains.into_iter().map(line).collect();
    revision
}
