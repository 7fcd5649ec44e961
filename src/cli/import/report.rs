//! What an import did, or would do.

use std::{cmp::Reverse, path::PathBuf};

use serde::Serialize;

use super::{CommonArguments, write::Destination};
use crate::{
    cli::{
        output::{Output, printable},
        status::Status,
    },
    dkim::Algorithm,
    import::{Code, Finding, Hints, Plan, PlannedOrganisation},
    names::{DomainName, OrganisationId, Selector},
    words::Severity,
};

/// Serialised for `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) organisations: Vec<Taken>,
    /// What a human has to look at comes first.
    pub(super) findings: Vec<Finding>,
    keystore: PathBuf,
    /// Where the new settings are, if some were written.
    settings: Option<PathBuf>,
    #[serde(skip)]
    pub(super) plan: Vec<PlannedOrganisation>,
    #[serde(skip)]
    pub(super) hints: Hints,
    #[serde(skip)]
    pub(super) assume_published: bool,
}

/// An organisation.
#[derive(Serialize)]
pub(super) struct Taken {
    id: OrganisationId,
    file: PathBuf,
    /// Whether it was there before, and is as it was.
    unchanged: bool,
    domains: Vec<DomainName>,
    pub(super) keys: Vec<TakenKey>,
}

/// A key of it.
#[derive(Serialize)]
pub(super) struct TakenKey {
    selector: Selector,
    algorithm: Algorithm,
    /// Where it signs from now on.
    signs_for: Vec<DomainName>,
    /// Where it signs when its record is seen in the DNS.
    waits_for: Vec<DomainName>,
    pub(super) state: KeyState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyState {
    /// It is in the keystore, or would be.
    Added,
    /// It was there before.
    Unchanged,
    /// The keystore would not have it; there is a finding.
    Refused,
}

impl Report {
    pub(super) fn new(plan: Plan, destination: &Destination, arguments: &CommonArguments) -> Self {
        let organisations = plan.organisations.iter().map(|planned| Taken {
            id: planned.id.clone(),
            file: destination.organisation_file(&planned.id),
            unchanged: planned.is_there,
            domains: planned.domains.clone(),
            keys: planned
                .keys
                .iter()
                .map(|key| {
                    let signs = |domain: &&DomainName| {
                        arguments.assume_published && key.in_use.contains(domain)
                    };
                    let (signs_for, waits_for) = key.domains.iter().partition::<Vec<_>, _>(signs);
                    TakenKey {
                        selector: key.selector.clone(),
                        algorithm: key.algorithm,
                        signs_for: signs_for.into_iter().cloned().collect(),
                        waits_for: waits_for.into_iter().cloned().collect(),
                        state: KeyState::Added,
                    }
                })
                .collect(),
        });
        Self {
            dry_run: false,
            organisations: organisations.collect(),
            findings: plan.findings,
            keystore: destination.keystore.clone(),
            settings: destination.new_settings(),
            plan: plan.organisations,
            hints: plan.hints,
            assume_published: arguments.assume_published,
        }
    }

    /// Adds what came to light while it was written.
    pub(super) fn say(&mut self, code: Code, found: String, done: &str) {
        self.findings.push(Finding::new(code, found, done));
        self.findings
            .sort_by_key(|finding| Reverse(finding.severity));
    }

    pub(super) fn status(&self) -> Status {
        if self.of(Severity::Act).next().is_some() {
            Status::Finding
        } else {
            Status::Good
        }
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    }

    pub(super) fn print(&self, output: &mut Output) {
        for (severity, heading) in [
            (Severity::Act, "To be looked at:"),
            (Severity::Note, "Good to know:"),
        ] {
            let mut findings = self.of(severity).peekable();
            if findings.peek().is_some() {
                output.line(heading);
            }
            for finding in findings {
                output.line(format_args!("  {}", printable(&finding.to_string())));
            }
        }
        self.print_summary(output);
        self.print_next_steps(output);
    }

    fn print_summary(&self, output: &mut Output) {
        let domains: usize = self.organisations.iter().map(|one| one.domains.len()).sum();
        let keys = self.organisations.iter().flat_map(|one| &one.keys);
        let keys = keys.filter(|key| key.state != KeyState::Refused).count();
        let would = if self.dry_run {
            "Nothing was written. There would be"
        } else {
            "There are now"
        };
        output.line(format_args!(
            "{would} {} organisations with {domains} domains and {keys} keys of this set-up in {}",
            self.organisations.len(),
            self.keystore.display()
        ));
        if let Some(settings) = &self.settings {
            let verb = if self.dry_run { "would be" } else { "were" };
            output.line(format_args!(
                "Settings {verb} written to {}: look them over, the listener above all",
                settings.display()
            ));
        }
        let (act, note) = (
            self.of(Severity::Act).count(),
            self.of(Severity::Note).count(),
        );
        output.line(format_args!(
            "{act} findings need a human, {note} are good to know"
        ));
    }

    fn print_next_steps(&self, output: &mut Output) {
        if self.dry_run || self.organisations.is_empty() {
            return;
        }
        output.line("");
        if self.assume_published {
            output.line(
                "The keys sign on your word that their records are in the DNS; see that they \
                 are: zegel dns check",
            );
            return;
        }
        output.line(
            "The keys do not sign yet, though their records should be in the DNS. The keeper \
             looks at every name server and lets them sign. Before you switch the MTA over:",
        );
        output.line("  zegel check");
        output.line("  zegel keeper --once     # and again after `settle`, or let it run");
        output.line("  zegel key list          # what each key waits for");
        if let Some(first) = self.organisations.iter().find(|one| !one.keys.is_empty()) {
            let key = &first.keys[0];
            output.line(format_args!(
                "One alone, at once:  zegel key activate {} {}",
                first.id, key.selector
            ));
        }
    }
}
