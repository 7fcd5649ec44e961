//! What a check has found, and how it is printed.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    cli::output::{Output, Table, complain, warn},
    config::Problem,
    dkim::Algorithm,
    names::{DomainName, OrganisationId, Selector},
};

/// All that was found.
#[derive(Default, Serialize)]
pub(super) struct Findings {
    pub(super) config: PathBuf,
    pub(super) good: bool,
    pub(super) problems: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    pub(super) organisations: Vec<CheckedOrganisation>,
}

#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<String> for Finding {
    fn from(message: String) -> Self {
        Self {
            message,
            file: None,
            line: None,
            key: None,
        }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            message: problem.to_string(),
            file: Some(problem.file.clone()),
            line: problem.place.line,
            key: Some(problem.place.key.clone()).filter(|key| !key.is_empty()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct CheckedOrganisation {
    pub(super) id: OrganisationId,
    pub(super) name: String,
    pub(super) domains: Vec<CheckedDomain>,
}

#[derive(Serialize)]
pub(super) struct CheckedDomain {
    pub(super) domain: DomainName,
    pub(super) state: DomainState,
    pub(super) keys: Vec<CheckedKey>,
}

#[derive(Serialize)]
pub(super) struct CheckedKey {
    pub(super) selector: Selector,
    pub(super) algorithm: Algorithm,
}

#[derive(Clone, Copy, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DomainState {
    /// The probe was signed and verified.
    Signs,
    AwaitingKey,
    /// A key in use can't be used: mail is tempfailed.
    Unusable,
    ProbeFailed,
    Parked,
}

impl DomainState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Signs => "signs",
            Self::AwaitingKey => "awaiting key",
            Self::Unusable => "UNUSABLE",
            Self::ProbeFailed => "PROBE FAILED",
            Self::Parked => "parked",
        }
    }
}

impl Findings {
    /// For people.
    pub(super) fn print(&self, output: &mut Output) {
        for problem in &self.problems {
            complain(&problem.message);
        }
        for warning in &self.warnings {
            warn(&warning.message);
        }
        if !self.organisations.is_empty() {
            output.line(self.table());
        }
        let domains = self.organisations.iter();
        let domains: usize = domains.map(|checked| checked.domains.len()).sum();
        output.line(format_args!(
            "{}: organisations: {}, domains: {domains}, problems: {}, warnings: {}",
            self.config.display(),
            self.organisations.len(),
            self.problems.len(),
            self.warnings.len(),
        ));
    }

    fn table(&self) -> Table<4> {
        let mut table = Table::new(["ORGANISATION", "DOMAIN", "STATE", "KEYS"]);
        for organisation in &self.organisations {
            for domain in &organisation.domains {
                let keys = domain.keys.iter();
                let keys: Vec<String> = keys
                    .map(|key| format!("{} ({})", key.selector, key.algorithm))
                    .collect();
                table.row([
                    organisation.id.to_string(),
                    domain.domain.to_string(),
                    domain.state.as_str().to_owned(),
                    keys.join(", "),
                ]);
            }
        }
        table
    }
}
