//! What `zegel dmarc status` tells: the document of `--json`, and the text for people.

use std::fmt;

use jiff::civil::Date;
use serde::Serialize;

use crate::{
    cli::output::{Output, Table, printable},
    keystore::Coverage,
    ladder::{
        Action, Finding, Rung, Standing,
        facts::{Facts, Replay},
        holds::{Hold, HoldCode},
        words::{Next, advice, hold},
    },
    names::{DomainName, OrganisationId},
    sending::{Climb, date},
    words::Severity,
};

/// So many domains are told with everything that is known of them, unless an organisation is
/// asked for.
const FEW: usize = 3;

/// A domain of which is told.
pub(super) struct Subject<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) domain: &'a DomainName,
    pub(super) parked: bool,
    /// Whose record speaks for it.
    pub(super) owner: &'a DomainName,
    /// Whether that is no domain of ours.
    pub(super) is_elsewhere: bool,
    pub(super) published: Option<&'a str>,
    /// Whether there are records, and receivers use none of them.
    pub(super) is_broken: bool,
    /// What is wrong with the answer of the DNS.
    pub(super) problem: Option<&'a str>,
    /// Of one that never sends: one below it that does, without a record of its own.
    pub(super) waits_for: Option<&'a DomainName>,
    pub(super) climb: &'a Climb,
    /// How much of its mail reports tell of.
    pub(super) coverage: Option<Coverage>,
    pub(super) standing: Standing,
}

/// The document of `--json`.
#[derive(Serialize)]
pub(super) struct Document {
    version: u8,
    date: Date,
    domains: Vec<ToldDomain>,
}

#[derive(Serialize)]
pub(super) struct ToldDomain {
    domain: String,
    organisation: String,
    parked: bool,
    /// The domain above whose record speaks for it.
    counts_with: Option<String>,
    published: Option<String>,
    problem: Option<String>,
    step: Option<Rung>,
    since: Option<Date>,
    evidence: ToldEvidence,
    holds: Vec<ToldHold>,
    advice: ToldAdvice,
    findings: Vec<ToldFinding>,
    selectors: Vec<ToldSelector>,
}

#[derive(Serialize)]
struct ToldEvidence {
    days: u16,
    reports: u64,
    reporters: usize,
    ignored_reports: u64,
    last_report: Option<Date>,
    messages: u64,
    legitimate: u64,
    legitimate_aligned: u64,
    /// Reported messages with a signature of ours that passed, for each signature that was made.
    coverage: Option<f64>,
    #[serde(skip)]
    covered: Option<Coverage>,
}

#[derive(Serialize)]
struct ToldHold {
    code: HoldCode,
    blocks: Rung,
    stream: Option<String>,
    name: Option<String>,
    messages: u64,
    text: String,
    command: Option<String>,
}

#[derive(Serialize)]
struct ToldAdvice {
    action: Action,
    step: Rung,
    name: String,
    record: Option<String>,
    not_before: Option<Date>,
    text: String,
    command: Option<String>,
}

#[derive(Serialize)]
struct ToldFinding {
    code: Finding,
    severity: Severity,
    stream: Option<String>,
    selector: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct ToldSelector {
    domain: String,
    selector: String,
    messages: u64,
    passed: u64,
    last_seen: Option<Date>,
}

impl Document {
    pub(super) fn new(today: i32, domains: Vec<ToldDomain>) -> Self {
        Self {
            version: 1,
            date: date(today),
            domains,
        }
    }

    pub(super) fn is_small(&self) -> bool {
        self.domains.len() <= FEW
    }
}

impl ToldDomain {
    /// Whether a human has something to do.
    pub(super) fn is_due(&self) -> bool {
        let alarms = self.findings.iter();
        self.advice.action.is_due() || alarms.into_iter().any(|one| one.severity == Severity::Act)
    }
}

/// Of a domain that is settled.
pub(super) fn tell(subject: &Subject<'_>) -> ToldDomain {
    let facts = &subject.climb.facts;
    let counts_with = (subject.owner != subject.domain).then_some(subject.owner);
    let standing = &subject.standing;
    let legitimate = facts.legitimate();
    let holds: Vec<ToldHold> = standing.holds.iter().map(|one| subject.hold(one)).collect();
    ToldDomain {
        domain: subject.domain.to_string(),
        organisation: subject.organisation.to_string(),
        parked: subject.parked,
        counts_with: counts_with.map(ToString::to_string),
        published: subject.published.map(str::to_owned),
        problem: subject.problem.map(str::to_owned),
        step: standing.step,
        since: standing.since.map(date),
        evidence: ToldEvidence {
            days: facts.days_under(standing.step.unwrap_or(Rung::None)),
            reports: facts.reports,
            reporters: facts.reporters.len(),
            ignored_reports: facts.ignored_reports,
            last_report: facts.last_report().map(date),
            messages: facts.messages(),
            legitimate: legitimate.messages,
            legitimate_aligned: legitimate.aligned,
            coverage: subject.coverage.map(Coverage::rounded),
            covered: subject.coverage,
        },
        advice: subject.advice(&holds),
        holds,
        findings: findings(standing, facts),
        selectors: (subject.climb.selectors.iter())
            .map(|((domain, selector), seen)| ToldSelector {
                domain: domain.clone(),
                selector: selector.clone(),
                messages: seen.messages,
                passed: seen.passed,
                last_seen: seen.last_passed.map(date),
            })
            .collect(),
    }
}

impl Subject<'_> {
    /// With what others of our domains have to say about its record.
    pub(super) fn settled(mut self) -> Self {
        if self.owner != self.domain && !self.parked {
            self.leave_to_owner();
        }
        if self.waits_for.is_some() && self.standing.advice.action == Action::Publish {
            self.standing.advice.action = Action::Wait;
            self.standing.advice.record = None;
        }
        self
    }

    /// The record above speaks for it, and so does what is advised there.
    fn leave_to_owner(&mut self) {
        self.standing.lost.clear();
        self.standing.holds.clear();
        self.standing.findings.clear();
        let advice = &mut self.standing.advice;
        advice.action = Action::Done;
        advice.record = None;
        advice.days = 0;
        if self.is_elsewhere {
            advice.action = Action::Ask;
            self.standing.holds.push(Hold {
                code: HoldCode::RecordElsewhere,
                blocks: advice.step,
                stream: None,
                name: None,
                messages: 0,
                days: 0,
            });
        }
    }

    fn hold(&self, one: &Hold) -> ToldHold {
        let (text, command) = hold(one, self.domain, self.owner);
        ToldHold {
            code: one.code,
            blocks: one.blocks,
            stream: one.stream.clone(),
            name: one.name.clone(),
            messages: one.messages,
            text,
            command,
        }
    }

    fn advice(&self, holds: &[ToldHold]) -> ToldAdvice {
        let advised = &self.standing.advice;
        let asks = |hold: &&ToldHold| hold.code.asks().as_str() == advised.action.as_str();
        let first = holds.iter().find(asks);
        let command = first.and_then(|hold| hold.command.clone());
        let not_before = (advised.days > 0 && advised.action != Action::StepBack)
            .then(|| date(self.climb.facts.today + i32::from(advised.days)));
        ToldAdvice {
            action: advised.action,
            step: advised.step,
            name: format!(
                "_dmarc.{}",
                if self.parked { self.domain } else { self.owner }
            ),
            record: advised.record.clone(),
            text: self.waits_for.map_or_else(|| self.text(), |below| {
                format!(
                    "{below} sends and has no record of its own: publish that first, or p=reject \
                     here refuses its mail"
                )
            }),
            not_before,
            command,
        }
    }

    fn text(&self) -> String {
        advice(&Next {
            standing: &self.standing,
            owner: self.owner,
            is_below: self.owner != self.domain,
            published: self.published,
        })
    }
}

fn findings(standing: &Standing, facts: &Facts) -> Vec<ToldFinding> {
    let told = standing.findings.iter().map(|(code, stream)| {
        let id = stream.as_deref().unwrap_or_default();
        let (severity, text) = match code {
            Finding::UnknownSelector => (
                Severity::Act,
                format!(
                    "{id}: a signature passes with a key that is not ours: someone has a key in \
                     this zone; find out who, and name the stream, or have the record removed"
                ),
            ),
            Finding::Replay => (Severity::Act, replayed(id, facts.replays.get(id))),
            Finding::ParkedPasses => (
                Severity::Act,
                format!(
                    "{id}: mail passes in the name of a domain that never sends: look at its SPF \
                     and at its keys"
                ),
            ),
            Finding::NotStrict => (
                Severity::Note,
                format!("{id}: strict alignment (adkim=s; aspf=s) would lose mail of this stream"),
            ),
            Finding::WeakSubdomains => (
                Severity::Warning,
                "sp= treats names below more gently than the domain: who forges takes one of them"
                    .to_owned(),
            ),
        };
        let mut unknown = facts.unknown_selectors.iter();
        let selector = (*code == Finding::UnknownSelector)
            .then(|| unknown.find(|(_, seen_in)| *seen_in == id))
            .flatten()
            .map(|((_, selector), _)| selector.clone());
        let is_replay = *code == Finding::Replay;
        ToldFinding {
            code: *code,
            severity,
            stream: stream.clone().filter(|_| !is_replay),
            selector: selector.or_else(|| stream.clone().filter(|_| is_replay)),
            text,
        }
    });
    told.collect()
}

fn replayed(selector: &str, replay: Option<&Replay>) -> String {
    let seen = replay.map_or_else(String::new, |seen| {
        format!(
            "from {} to {}, {} messages passed with this selector at receivers, and {} were signed \
             with it from {} to {}: ",
            date(seen.from),
            date(seen.to),
            seen.passed,
            seen.signed,
            date(seen.from - Replay::BEFORE),
            date(seen.to + Replay::AFTER),
        )
    });
    format!(
        "{selector}: {seen}mail that was signed once is sent many times, or someone else has the \
         key; see who sends it, and take another key"
    )
}

pub(super) fn print(document: &Document, whole: bool, output: &mut Output) {
    if !whole {
        table(document, output);
        return;
    }
    for (place, told) in document.domains.iter().enumerate() {
        if place > 0 {
            output.line("");
        }
        details(told, output);
    }
}

fn table(document: &Document, output: &mut Output) {
    let mut table = Table::new([
        "ORGANISATION",
        "DOMAIN",
        "STEP",
        "SINCE",
        "DAYS",
        "ACTION",
        "HELD BY",
    ]);
    for told in &document.domains {
        let mut codes: Vec<&str> = told.holds.iter().map(|hold| hold.code.as_str()).collect();
        codes.dedup();
        table.row([
            told.organisation.clone(),
            told.domain.clone(),
            step(told),
            told.since.map_or_else(String::new, |date| date.to_string()),
            told.evidence.days.to_string(),
            told.advice.action.to_string(),
            codes.join(", "),
        ]);
    }
    output.line(table);
}

fn step(told: &ToldDomain) -> String {
    match (&told.counts_with, told.step) {
        (Some(owner), _) => format!("as {owner}"),
        (None, Some(step)) => step.to_string(),
        (None, None) => "no record".to_owned(),
    }
}

fn details(told: &ToldDomain, output: &mut Output) {
    let evidence = &told.evidence;
    let parked = if told.parked { ", parked" } else { "" };
    let since = told
        .since
        .map_or_else(String::new, |since| format!(" since {since}"));
    said(
        output,
        format_args!(
            "{} ({}{parked}): {}{since}",
            told.domain,
            told.organisation,
            step(told)
        ),
    );
    if let Some(problem) = &told.problem {
        said(output, format_args!("  DNS: {problem}"));
    }
    proof(evidence, output);
    for hold in &told.holds {
        said(
            output,
            format_args!("  {} ({}): {}", hold.code, hold.blocks, hold.text),
        );
        if let Some(command) = &hold.command {
            said(output, format_args!("    {command}"));
        }
    }
    for finding in &told.findings {
        said(output, format_args!("  {}: {}", finding.code, finding.text));
    }
    said(
        output,
        format_args!("  {}: {}", told.advice.action, told.advice.text),
    );
    if let Some(date) = told.advice.not_before {
        said(output, format_args!("  not before {date}"));
    }
    if let Some(record) = &told.advice.record {
        said(
            output,
            format_args!("  {} TXT \"{record}\"", told.advice.name),
        );
    }
}

fn proof(evidence: &ToldEvidence, output: &mut Output) {
    if let Some(last) = evidence.last_report {
        said(
            output,
            format_args!(
                "  reports: {} by {}, the last about {last}; days that count: {}",
                evidence.reports, evidence.reporters, evidence.days
            ),
        );
        said(
            output,
            format_args!(
                "  messages: {}, legitimate: {}, of these aligned: {}",
                evidence.messages, evidence.legitimate, evidence.legitimate_aligned
            ),
        );
        if let Some(covered) = evidence.covered {
            said(output, format_args!("  coverage: {covered}"));
        }
    }
}

/// A line; what strangers wrote in it does nothing to a terminal.
fn said(output: &mut Output, text: fmt::Arguments<'_>) {
    output.line(printable(&text.to_string()));
}
