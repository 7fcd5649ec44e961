//! Mistakes in `orgs.d/`: each concerns its own organisation, and no other.

use std::{collections::BTreeSet, path::PathBuf};

use super::problem::{Problem, in_order};
use crate::names::{DomainName, OrganisationId};

/// What is wrong with files of organisations. Empty if they are good.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mistakes {
    /// In the order of the files.
    pub broken: Vec<Broken>,
    /// In the order of the domains.
    pub contested: Vec<Contested>,
}

/// A file that can't be used as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Whose it is; none if its name is no id.
    pub organisation: Option<OrganisationId>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Whether the organisation stays as the file had it when it was last good.
    pub is_kept: bool,
    /// Of a file that is not used: every word in it that can be a domain, since it may send from
    /// that.
    pub names: Vec<DomainName>,
}

/// A domain that several files have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contested {
    /// The domain.
    pub domain: DomainName,
    /// Who would send from it, in the order of the files.
    pub senders: Vec<OrganisationId>,
    /// Who would have it parked, likewise.
    pub parked: Vec<OrganisationId>,
    /// Who had it before, and keeps it. Without one it is in no organisation.
    pub holder: Option<OrganisationId>,
    /// One for each file but the first.
    pub problems: Vec<Problem>,
}

impl Contested {
    /// Whether the domain is in the file of this organisation.
    pub fn has(&self, id: &OrganisationId) -> bool {
        self.senders.contains(id) || self.parked.contains(id)
    }
}

impl Mistakes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.broken.is_empty() && self.contested.is_empty()
    }

    /// Every problem, file by file.
    pub fn problems(&self) -> Vec<Problem> {
        let broken = self.broken.iter().flat_map(|one| &one.problems);
        let contested = self.contested.iter().flat_map(|one| &one.problems);
        in_order(broken.chain(contested).cloned().collect())
    }

    /// Every problem, and what it means for mail: a line each, for the log.
    pub fn lines(&self) -> BTreeSet<String> {
        let problems = self.problems();
        let broken = self.broken.iter().filter_map(Broken::consequence);
        let contested = self.contested.iter().map(Contested::consequence);
        let problems = problems.iter().map(ToString::to_string);
        problems.chain(broken).chain(contested).collect()
    }

    /// What is wrong with the file of this organisation; none if nothing is.
    pub fn of(&self, id: &str) -> Option<&Broken> {
        let is_it = |one: &&Broken| {
            one.organisation
                .as_ref()
                .is_some_and(|own| own.as_str() == id)
        };
        self.broken.iter().find(is_it)
    }
}

impl Mistakes {
    /// Domains that somebody may send from, though no organisation has them: those in files that are
    /// not used, and those that several files have and nobody holds.
    pub fn may_send(&self) -> impl Iterator<Item = &DomainName> {
        let contested = self.contested.iter();
        let contested = contested.filter(|one| one.holder.is_none() && !one.senders.is_empty());
        let broken = self.broken.iter().flat_map(|one| &one.names);
        broken.chain(contested.map(|one| &one.domain))
    }
}

impl Broken {
    fn consequence(&self) -> Option<String> {
        let (file, id) = (self.file.display(), self.organisation.as_ref()?);
        Some(if self.is_kept {
            format!("{file}: {id} stays as it was until its file is corrected")
        } else {
            format!(
                "{file}: {id} is left out until its file is corrected, and mail of its domains \
                 with a key in use is put off"
            )
        })
    }
}

impl Contested {
    fn consequence(&self) -> String {
        let domain = &self.domain;
        match &self.holder {
            Some(holder) => format!("{domain} stays with {holder} until one file has it"),
            None => format!(
                "{domain} is of nobody until one file has it, unless it has a key in use with one \
                 of them only"
            ),
        }
    }
}
