//! What an import did, or would do.

use std::{cmp::Reverse, path::PathBuf};

use serde::Serialize;

use crate::{
    cli::{
        output::{Output, printable},
        status::Status,
    },
    dkim::Algorithm,
    import::{Code, Finding},
    names::{DomainName, OrganisationId, Selector},
    words::Severity,
};

/// Serialised for `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) organisations: Vec<TakenOrganisation>,
    /// What a human has to look at comes first.
    pub(super) findings: Vec<Finding>,
    pub(super) keystore: PathBuf,
    /// Where the new settings are, if some were written.
    pub(super) settings: Option<PathBuf>,
    #[serde(skip)]
    pub(super) assume_published: bool,
}

/// An organisation.
#[derive(Serialize)]
pub(super) struct TakenOrganisation {
    pub(super) id: OrganisationId,
    pub(super) file: PathBuf,
    /// Whether it was there before, and is as it was.
    pub(super) unchanged: bool,
    pub(super) domains: Vec<DomainName>,
    pub(super) keys: Vec<TakenKey>,
}

/// A key of it.
#[derive(Serialize)]
pub(super) struct TakenKey {
    pub(super) selector: Selector,
    pub(super) algorithm: Algorithm,
    /// Where it signs from now on.
    pub(super) signs_for: Vec<DomainName>,
    /// Where it signs when its record is seen in the DNS.
    pub(super) waits_for: Vec<DomainName>,
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
    /// Adds what came to light while it was written.
    pub(super) fn say(&mut self, code: Code, found: String, done: &str) {
        self.findings.push(Finding::new(code, found, done));
        self.findings
            .sort_by_key(|finding| Reverse(finding.severity));
    }

    pub(super) fn status(&self) -> Status {
        Status::of_check(self.of(Severity::Act).next().is_none())
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
        let keys = self
            .organisations
            .iter()
            .flat_map(|one| &one.keys)
            .filter(|key| key.state != KeyState::Refused)
            .count();
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
        output.line(format_args!(
            "{} findings need a human, {} are good to know",
            self.of(Severity::Act).count(),
            self.of(Severity::Note).count()
        ));
    }

    fn print_next_steps(&self, output: &mut Output) {
        if self.dry_run || self.organisations.is_empty() {
            return;
        }
        output.line("");
        let keys = self.organisations.iter().flat_map(|one| &one.keys);
        let mut keys = keys.filter(|key| key.state != KeyState::Refused).peekable();
        if keys.peek().is_none() {
            output.line(
                "No key was taken over, so nothing is signed yet: see above what is wrong with \
                 each, or make new ones with zegel key generate",
            );
            return;
        }
        // Of a key that was there before, the keystore knows whether it signs.
        let signs = |key: &TakenKey| key.state == KeyState::Added && !key.signs_for.is_empty();
        if self.assume_published && keys.any(signs) {
            output.line(
                "The keys sign because you say that their records are in the DNS; see that \
                 they are: zegel dns check",
            );
            return;
        }
        output.line(
            "Keys that were taken over do not sign yet, though their records should be in the DNS. The keeper \
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
