//! What ingesting says of each file: the document of `--json`, and its sums.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use crate::{
    evidence::{NumberKind, Store, StoreError, Taken},
    report::{Disposition, Form, Mended, Reason, Refusal, Report},
};

/// The whole document.
#[derive(Serialize)]
pub(super) struct Document {
    pub(super) version: u8,
    pub(super) files: Vec<FileFound>,
    pub(super) totals: Totals,
}

/// What was in one file, or in one message of an mbox.
#[derive(Serialize)]
pub(super) struct FileFound {
    pub(super) path: String,
    pub(super) reports: Vec<ReportFound>,
    pub(super) refusals: Vec<RefusalFound>,
}

/// A report that was read.
#[derive(Serialize)]
pub(super) struct ReportFound {
    pub(super) outcome: Taken,
    org_name: String,
    email: String,
    report_id: String,
    domain: String,
    begin: i64,
    end: i64,
    form: Form,
    authenticated: Option<bool>,
    #[serde(flatten)]
    sums: Sums,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<BTreeMap<IpAddr, u64>>,
    mended: Vec<Mended>,
}

/// The sums of a report.
#[derive(Default, Serialize)]
struct Sums {
    records: u64,
    skipped: u64,
    messages: u64,
    dkim_aligned: u64,
    spf_aligned: u64,
    passed: u64,
    dispositions: BTreeMap<&'static str, u64>,
}

/// Something that was refused.
#[derive(Clone, Serialize)]
pub(super) struct RefusalFound {
    /// The entry of the archive, or the part of the message.
    entry: Option<String>,
    reason: Reason,
    text: String,
}

/// All files together.
#[derive(Default, Serialize)]
pub(super) struct Totals {
    files: u64,
    reports: u64,
    stored: u64,
    replaced: u64,
    duplicate: u64,
    not_ours: u64,
    too_old: u64,
    refused: u64,
    records: u64,
    messages: u64,
    #[serde(skip)]
    refusals: BTreeMap<Reason, u64>,
}

impl ReportFound {
    pub(super) fn new(
        report: &Report,
        outcome: Taken,
        authenticated: Option<bool>,
        with_sources: bool,
    ) -> Self {
        let mut sums = Sums {
            skipped: report.skipped,
            dispositions: Disposition::ALL
                .iter()
                .map(|one| (one.as_str(), 0))
                .collect(),
            ..Sums::default()
        };
        let mut sources = BTreeMap::new();
        for row in &report.rows.rows {
            let count = u64::from(row.count);
            let counted = |is: bool| if is { count } else { 0 };
            sums.records += 1;
            sums.messages += count;
            sums.dkim_aligned += counted(row.flags.dkim_aligned());
            sums.spf_aligned += counted(row.flags.spf_aligned());
            sums.passed += counted(row.flags.passed());
            *sums
                .dispositions
                .entry(row.flags.disposition().as_str())
                .or_default() += count;
            if with_sources {
                *sources.entry(row.address).or_default() += count;
            }
        }
        Self {
            outcome,
            org_name: report.org_name.clone(),
            email: report.email.clone(),
            report_id: report.report_id.clone(),
            domain: report.policy.domain.clone(),
            begin: report.begin,
            end: report.end,
            form: report.form,
            authenticated,
            sums,
            sources: with_sources.then_some(sources),
            mended: report.mended.clone(),
        }
    }
}

impl RefusalFound {
    pub(super) fn new(entry: Option<String>, refusal: Refusal) -> Self {
        Self {
            entry,
            reason: refusal.reason,
            text: refusal.text,
        }
    }

    /// Whether it may be put aside: of a failure report nothing is kept.
    pub(super) fn may_be_kept(&self) -> bool {
        self.reason != Reason::FailureReport
    }

    /// Whether the file itself could not be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.reason == Reason::Unreadable
    }

    /// In words, with the entry.
    pub(super) fn words(&self) -> String {
        match &self.entry {
            Some(entry) => format!("{entry}: {}", self.text),
            None => self.text.clone(),
        }
    }
}

impl FileFound {
    pub(super) fn new(path: String) -> Self {
        Self {
            path,
            reports: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

impl Totals {
    /// Adds a file.
    pub(super) fn add(&mut self, file: &FileFound) {
        self.files += 1;
        self.refused += file.refusals.len() as u64;
        for refusal in &file.refusals {
            *self.refusals.entry(refusal.reason).or_default() += 1;
        }
        for report in &file.reports {
            self.reports += 1;
            self.records += report.sums.records;
            self.messages += report.sums.messages;
            *match report.outcome {
                Taken::Stored => &mut self.stored,
                Taken::Replaced => &mut self.replaced,
                Taken::Duplicate => &mut self.duplicate,
                Taken::NotOurs => &mut self.not_ours,
                Taken::TooOld => &mut self.too_old,
            } += 1;
        }
    }

    /// Whether there was nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// Whether anything was refused.
    pub(super) fn refused(&self) -> bool {
        self.refused > 0
    }

    /// Adds them to what the store counts.
    pub(super) fn count(&self, store: &mut Store) -> Result<(), StoreError> {
        for (taken, number) in [
            (Taken::Stored, self.stored),
            (Taken::Replaced, self.replaced),
            (Taken::Duplicate, self.duplicate),
            (Taken::NotOurs, self.not_ours),
            (Taken::TooOld, self.too_old),
        ] {
            store.count(NumberKind::Outcome, taken.as_str(), number)?;
        }
        for (reason, number) in &self.refusals {
            store.count(NumberKind::Refusal, reason.as_str(), *number)?;
        }
        Ok(())
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        format!(
            "files: {}, reports: {} ({} stored, {} replaced, {} there already, {} of other \
             domains, {} too old), refused: {}, rows: {}, messages: {}",
            self.files,
            self.reports,
            self.stored,
            self.replaced,
            self.duplicate,
            self.not_ours,
            self.too_old,
            self.refused,
            self.records,
            self.messages
        )
    }
}
