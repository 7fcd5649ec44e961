//! `zegel dns check`

use std::{net::IpAddr, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::examination::{Examined, Subject, subjects};
use crate::{
    cli::{
        context::{self, Context, nearest},
        failure::Failure,
        look::in_one_round,
        output::{Output, Table, complain, printable},
        status::Status,
    },
    config::{Loaded, situation},
    dns::Finding,
    keys::Keyring,
    keystore::Keystore,
    names::DomainName,
    organisation::Organisation,
    words::{Language, Severity},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// Only this domain, which may be a parked one
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// The language of the advice
    #[arg(long, value_enum, default_value_t = Language::English, value_name = "LANGUAGE")]
    lang: Language,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    good: bool,
    domains: Vec<ReportedDomain<'a>>,
}

#[derive(Serialize)]
struct ReportedDomain<'a> {
    #[serde(flatten)]
    examined: &'a Examined,
    findings: Vec<ReportedFinding<'a>>,
}

#[derive(Serialize)]
struct ReportedFinding<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    advice: String,
}

pub(super) fn run(arguments: &CheckArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let organisations = organisations(arguments, &loaded)?;
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    let (mut subjects, readable) = all_subjects(&keystore, &loaded, &organisations);
    if let Some(domain) = &arguments.domain {
        subjects.retain(|subject| subject.domain == *domain);
    }
    let examined = examine(&loaded, subjects)?;
    let good = readable == Readable::All
        && examined
            .iter()
            .flat_map(|examined| &examined.findings)
            .all(|finding| finding.severity == Severity::Note);
    if arguments.json {
        let domains = examined.iter();
        let domains = domains.map(|examined| reported(examined, arguments.lang));
        context.output.json(&Report {
            good,
            domains: domains.collect(),
        });
    } else {
        print(&examined, arguments.lang, &mut context.output);
    }
    Ok(if good { Status::Good } else { Status::Finding })
}

/// Those that are asked for.
fn organisations<'a>(
    arguments: &CheckArguments,
    loaded: &'a Loaded,
) -> Result<Vec<&'a Organisation>, Failure> {
    let mut wanted: Vec<&Organisation> = match &arguments.organisation {
        Some(id) => vec![context::organisation(loaded, id)?],
        None => loaded.organisations.iter().map(AsRef::as_ref).collect(),
    };
    let Some(domain) = &arguments.domain else {
        return Ok(wanted);
    };
    let all = || {
        wanted
            .iter()
            .flat_map(|one| one.domains.iter().chain(&one.parked))
    };
    if !all().any(|known| known == domain) {
        let advice = nearest(domain.as_str(), all().map(DomainName::as_str));
        return Err(Failure::Usage(format!(
            "{domain} is no domain of {}; {}",
            arguments
                .organisation
                .as_deref()
                .unwrap_or("any organisation"),
            advice.unwrap_or_else(|| "see `zegel org list`".to_owned())
        )));
    }
    wanted.retain(|one| one.domains.contains(domain) || one.parked.contains(domain));
    Ok(wanted)
}

/// Whether every key could be read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Readable {
    All,
    Some,
}

fn all_subjects(
    keystore: &Keystore,
    loaded: &Loaded,
    organisations: &[&Organisation],
) -> (Vec<Subject>, Readable) {
    let timing = loaded.settings.timing();
    let mut all = Vec::new();
    let mut readable = Readable::All;
    for organisation in organisations {
        let keyring = keystore
            .read_keyring(&organisation.id)
            .unwrap_or_else(|error| {
                complain(error);
                readable = Readable::Some;
                Keyring::default()
            });
        let situation = situation(organisation, &keyring, &timing);
        let (subjects, problems) = subjects(keystore, organisation, &situation);
        for problem in problems {
            complain(problem);
            readable = Readable::Some;
        }
        all.extend(subjects);
    }
    (all, readable)
}

/// In the order of the subjects.
fn examine(loaded: &Loaded, subjects: Vec<Subject>) -> Result<Vec<Examined>, Failure> {
    let keeper = &loaded.settings.keeper;
    let relays: Arc<[IpAddr]> = keeper.relay_addresses.as_slice().into();
    let numbered = subjects.into_iter().enumerate().collect();
    let mut examined = in_one_round(&keeper.resolvers, numbered, |round, (place, subject)| {
        let relays = Arc::clone(&relays);
        async move { (place, Subject::examine(subject, &round, &relays).await) }
    })?;
    examined.sort_unstable_by_key(|(place, _)| *place);
    Ok(examined.into_iter().map(|(_, examined)| examined).collect())
}

fn reported(examined: &Examined, language: Language) -> ReportedDomain<'_> {
    let findings = examined.findings.iter();
    let findings = findings.map(|finding| ReportedFinding {
        finding,
        advice: finding.advice(language),
    });
    ReportedDomain {
        examined,
        findings: findings.collect(),
    }
}

fn print(examined: &[Examined], language: Language, output: &mut Output) {
    let findings = || {
        examined.iter().flat_map(|examined| {
            let findings = examined.findings.iter();
            findings.map(move |finding| (&examined.organisation, finding))
        })
    };
    if findings().next().is_some() {
        let mut table = Table::new(["SEVERITY", "CODE", "ORGANISATION", "NAME"]);
        for (organisation, finding) in findings() {
            table.row([
                word(finding.severity).to_owned(),
                finding.code.as_str().to_owned(),
                organisation.to_string(),
                finding.name.clone(),
            ]);
        }
        output.line(table);
        output.line("");
    }
    for (_, finding) in findings() {
        print_finding(finding, language, output);
    }
    let count = |severity| {
        findings()
            .filter(|(_, one)| one.severity == severity)
            .count()
    };
    output.line(format_args!(
        "looked at {} domains and {} key records: {} errors, {} warnings, {} notes",
        examined.len(),
        examined.iter().map(|one| one.keys.len()).sum::<usize>(),
        count(Severity::Act),
        count(Severity::Warning),
        count(Severity::Note)
    ));
}

fn print_finding(finding: &Finding, language: Language, output: &mut Output) {
    output.line(format_args!(
        "{} at {}",
        finding.code.as_str(),
        printable(&finding.name)
    ));
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            output.line(format_args!("  {label:<10}{}", printable(text)));
        }
    };
    line("seen:", &finding.seen);
    line("by:", &finding.servers.join(", "));
    line("expected:", &finding.expected);
    line("advice:", &finding.advice(language));
    output.line("");
}

/// For people.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Act => "error",
        other => other.as_str(),
    }
}
