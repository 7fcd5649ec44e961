//! Files that are yet to be written: what would be wrong with them, said before anybody reads
//! them.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Folder, Memory, Taken, read_organisation};
use crate::{
    config::{
        mistakes::Mistakes,
        problem::{Fault, Problem, Report, Site},
        source,
    },
    names::{DomainName, OrganisationId},
    organisation::Organisation,
};

/// A file of `orgs.d/` that is to be written.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Whose it is: its name is this and `.toml`.
    pub id: OrganisationId,
    /// What it is to say.
    pub text: String,
}

/// What would come of a [`Candidate`]: the organisation, or every problem of its file.
pub type Examined = Result<Arc<Organisation>, Vec<Problem>>;

impl Memory {
    /// What would come of these, beside what was read last and with each other. A domain stays
    /// with the file that has it, whether that can be used or not.
    pub(in crate::config) fn examine(
        &self,
        folder: &Path,
        mistakes: &Mistakes,
        candidates: &[Candidate],
    ) -> Vec<Examined> {
        let mut owners = self.owners(folder, mistakes);
        candidates
            .iter()
            .map(|candidate| {
                let examined = self.examine_one(folder, candidate, &owners);
                if let Ok(organisation) = &examined {
                    note(&mut owners, organisation, &path_of(folder, &candidate.id));
                }
                examined
            })
            .collect()
    }

    /// What the file of an organisation would say with this text, whoever has its domains now.
    pub(in crate::config) fn try_out(&self, folder: &Path, candidate: &Candidate) -> Examined {
        self.examine_one(folder, candidate, &HashMap::new())
    }

    fn examine_one(
        &self,
        folder: &Path,
        candidate: &Candidate,
        owners: &HashMap<DomainName, PathBuf>,
    ) -> Examined {
        let surroundings = self.surroundings.clone().unwrap_or_default();
        let report = Report::default();
        let file = Site::file(&path_of(folder, &candidate.id));
        let root = source::parse(&file, &candidate.text, &report);
        let id = candidate.id.clone();
        let read = root.map(|root| read_organisation(root, id, &surroundings, &report));
        if let Some(read) = &read {
            let lists = [("domains", &read.domains), ("parked", &read.parked)];
            for (key, domain) in lists
                .iter()
                .flat_map(|(key, list)| list.iter().map(move |domain| (key, domain)))
            {
                if let Some(owner) = owners.get(domain) {
                    report.problem(&file.child(key), is_owned(domain, owner));
                }
            }
        }
        match read {
            Some(read) if report.is_empty() => Ok(Arc::new(read)),
            _ => Err(report.into_problems()),
        }
    }

    /// The file of each domain.
    fn owners(&self, folder: &Path, mistakes: &Mistakes) -> HashMap<DomainName, PathBuf> {
        let mut owners = HashMap::new();
        for known in &self.files {
            let organisation = &known.organisation;
            note(
                &mut owners,
                organisation,
                &path_of(folder, &organisation.id),
            );
        }
        let (Some(surroundings), false) = (&self.surroundings, mistakes.broken.is_empty()) else {
            return owners;
        };
        let Ok(opened) = Folder::open(folder, &Report::default()) else {
            return owners;
        };
        for broken in &mistakes.broken {
            let name = broken.file.file_name().unwrap_or_default();
            let read = opened.read(name, None, surroundings);
            // What can be made of a file with a mistake.
            let taken = Taken::new(broken.file.clone(), None, read);
            if let Some(organisation) = taken.organisation() {
                note(&mut owners, organisation, &broken.file);
            }
        }
        owners
    }
}

fn note(owners: &mut HashMap<DomainName, PathBuf>, organisation: &Organisation, file: &Path) {
    for domain in organisation.domains.iter().chain(&organisation.parked) {
        if let Entry::Vacant(free) = owners.entry(domain.clone()) {
            free.insert(file.to_owned());
        }
    }
}

fn path_of(folder: &Path, id: &OrganisationId) -> PathBuf {
    folder.join(format!("{id}.toml"))
}

fn is_owned(domain: &DomainName, owner: &Path) -> Fault {
    Fault::new(
        format!("{domain} is in {} already", owner.display()),
        "take it out there first, or leave it out here: a domain belongs to one organisation",
    )
}
