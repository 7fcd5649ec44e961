//! The files that a move changes, written together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::file::{DOMAINS, INCOMING, OrganisationFile, PARKED};
use crate::{
    cli::{
        failure::Failure,
        placing::{Existing, failed, put_all},
    },
    config::{Candidate, Reader},
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// What becomes of a domain in the file of an organisation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    /// It will come from another organisation.
    Incoming(&'a DomainName),
    /// It comes no more.
    NoMoreIncoming(&'a DomainName),
    /// It is here now; parked or sent from.
    Comes(&'a DomainName, bool),
    /// It is here no more.
    Goes(&'a DomainName),
}

pub(super) struct Files {
    folder: PathBuf,
    /// In the order in which they are written: who gets something comes first, so that no domain
    /// is ever in no file.
    changed: Vec<(OrganisationId, OrganisationFile, String)>,
    places: BTreeMap<OrganisationId, usize>,
    /// From which something goes: their files go too when nothing is left.
    gone: BTreeSet<OrganisationId>,
}

impl Files {
    pub(super) fn new(config_file: &Path) -> Self {
        Self {
            folder: config_file.with_file_name("orgs.d"),
            changed: Vec::new(),
            places: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    fn path(&self, id: &OrganisationId) -> PathBuf {
        self.folder.join(format!("{id}.toml"))
    }

    /// Changes the file of an organisation in memory.
    pub(super) fn change(
        &mut self,
        organisation: &Organisation,
        change: Change<'_>,
    ) -> Result<(), Failure> {
        let file = self.file(&organisation.id)?;
        match change {
            Change::Incoming(domain) => file.add(INCOMING, domain),
            Change::NoMoreIncoming(domain) => file.remove(INCOMING, domain),
            Change::Comes(domain, is_parked) => {
                file.remove(INCOMING, domain);
                file.add(if is_parked { PARKED } else { DOMAINS }, domain);
            }
            Change::Goes(domain) => {
                file.remove(DOMAINS, domain);
                file.remove(PARKED, domain);
                self.gone.insert(organisation.id.clone());
            }
        }
        Ok(())
    }

    fn file(&mut self, id: &OrganisationId) -> Result<&mut OrganisationFile, Failure> {
        if let Some(place) = self.places.get(id) {
            return Ok(&mut self.changed[*place].1);
        }
        let path = self.path(id);
        let shown = path.display();
        let is_link = fs::symlink_metadata(&path).is_ok_and(|one| one.is_symlink());
        if is_link {
            return Err(Failure::Other(format!(
                "{shown} is a link, which is not written through; change what it leads to with an \
                 editor, as docs/moving.md says"
            )));
        }
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let file = OrganisationFile::new(&text)
            .map_err(|error| Failure::Other(format!("{shown}: {error}")))?;
        let place = self.changed.len();
        self.changed.push((id.clone(), file, text));
        self.places.insert(id.clone(), place);
        Ok(&mut self.changed[place].1)
    }

    /// Checks what has changed and writes it. Gives the organisations whose file is gone, since
    /// nothing is left in it.
    pub(super) fn write(self, reader: &Reader) -> Result<Vec<OrganisationId>, Failure> {
        let mut files = Vec::new();
        let mut empty = Vec::new();
        for (id, file, before) in &self.changed {
            let text = file.text();
            if file.is_empty() && self.gone.contains(id) {
                empty.push(id.clone());
                continue;
            }
            if text == *before {
                continue;
            }
            let candidate = Candidate {
                id: id.clone(),
                text,
            };
            if let Err(problems) = reader.try_out(&candidate) {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Err(Failure::Other(format!(
                    "{}\nnothing was written",
                    lines.join("\n")
                )));
            }
            files.push((format!("{id}.toml"), candidate.text.into_bytes()));
        }
        put_all(&self.folder, &files, Existing::Replaced)?;
        for id in &empty {
            let path = self.path(id);
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
        Ok(empty)
    }
}
