//! `zegel dns check`

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        context::{self, Context, nearest},
        failure::Failure,
        judging::Judge,
        keeper, key,
        live::ask_signer,
        look::{KeyRecord, ToldFinding, in_one_round, word},
        output::{Output, Table, complain, printable},
        status::Status,
    },
    config::{Loaded, MOST_BELOW, SendersBelow, situation},
    dkim::{Algorithm, PublicKey},
    dns::{Code, Finding, Observer, RelayPart, Round, judge_parked, judge_sending},
    keys::{Keyring, Publication, Situation, State, Timing},
    keystore::Keystore,
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
    words::{Language, Level, Severity},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// Only this domain, which may be a parked one
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// Have the keeper look at the keys of the organisation first, and do what is due
    #[arg(long, requires = "organisation")]
    look: bool,

    /// The language of the advice
    #[arg(long, value_enum, default_value_t = Language::English, value_name = "LANGUAGE")]
    lang: Language,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a domain is to its organisation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// It sends mail.
    Sending,
    /// It never does.
    Parked,
    /// It is in the configuration no more, and mail on its way may need its records.
    Former,
}

/// A domain to be looked at.
struct Subject {
    organisation: OrganisationId,
    domain: DomainName,
    role: Role,
    level: Level,
    keys: Vec<Watched>,
}

/// A key whose record is to be looked at.
struct Watched {
    record: KeyRecord,
    algorithm: Algorithm,
    publication: Publication,
}

/// What was found.
#[derive(Serialize)]
struct Examined {
    organisation: OrganisationId,
    domain: DomainName,
    role: Role,
    /// How it stands by what the keeper last saw, as everywhere.
    level: Level,
    keys: Vec<ExaminedKey>,
    #[serde(skip)]
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct ExaminedKey {
    selector: Selector,
    algorithm: Algorithm,
    state: State,
    /// How far its record can be seen.
    sight: &'static str,
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
    findings: Vec<ToldFinding<'a>>,
}

pub(super) fn run(arguments: &CheckArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of_or_all(arguments.organisation.as_deref())?;
    let organisations = organisations(arguments, &loaded)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let mut was_looked_at = true;
    if arguments.look {
        for organisation in &organisations {
            let status = keeper::look(&loaded, &keystore, organisation)?;
            was_looked_at &= status == Status::Good;
        }
        if !arguments.json {
            key::list(context, (&loaded, &keystore), &organisations, false)?;
            context.output.line("");
        }
    }
    let figures = ask_signer(&loaded.settings);
    let mut survey = Survey {
        keystore: &keystore,
        judge: Judge::new(&loaded, figures.as_ref())?,
        subjects: Vec::new(),
        is_whole: true,
    };
    let timing = loaded.settings.timing();
    for organisation in organisations {
        survey.add(organisation, &timing);
    }
    if let Some(domain) = &arguments.domain {
        survey.subjects.retain(|subject| subject.domain == *domain);
    }
    let examined = examine(&loaded, survey.subjects)?;
    let good = survey.is_whole
        && was_looked_at
        && examined
            .iter()
            .flat_map(|examined| &examined.findings)
            .all(|finding| finding.severity == Severity::Note);
    if arguments.json {
        let domains = examined
            .iter()
            .map(|examined| reported(examined, arguments.lang))
            .collect();
        context.output.json(&Report { good, domains });
    } else {
        print(&examined, arguments.lang, &mut context.output);
    }
    Ok(Status::of_check(good))
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
        return Err(Failure::Usage(format!(
            "{domain} is no domain of {}; {}",
            arguments
                .organisation
                .as_deref()
                .unwrap_or("any organisation"),
            nearest(domain.as_str(), all().map(DomainName::as_str))
                .unwrap_or_else(|| "see `zegel org list`".to_owned())
        )));
    }
    wanted.retain(|one| one.domains.contains(domain) || one.parked.contains(domain));
    Ok(wanted)
}

/// What is to be looked at, as far as the keystore can be read.
struct Survey<'a> {
    keystore: &'a Keystore,
    judge: Judge<'a>,
    subjects: Vec<Subject>,
    /// Whether every key could be read.
    is_whole: bool,
}

impl Survey<'_> {
    fn lacks(&mut self, problem: impl fmt::Display) {
        complain(problem);
        self.is_whole = false;
    }

    /// Everything of an organisation.
    fn add(&mut self, organisation: &Organisation, timing: &Timing) {
        let id = &organisation.id;
        let keyring = self.keystore.read_keyring(id).unwrap_or_else(|error| {
            self.lacks(error);
            Keyring::default()
        });
        let situation = situation(organisation, &keyring, &[], timing);
        let mut keys = self.watched_keys(organisation, &situation);
        let judgement = self.judge.judge(organisation);
        let mut add = |domain, role, keys| {
            let level = judgement.of_domain(&domain);
            self.subjects.push(Subject {
                organisation: id.clone(),
                domain,
                role,
                level,
                keys,
            });
        };
        for (domains, role) in [
            (&organisation.domains, Role::Sending),
            (&organisation.parked, Role::Parked),
        ] {
            for domain in domains {
                let keys = keys.remove(domain).unwrap_or_default();
                add(domain.clone(), role, keys);
            }
        }
        for (domain, keys) in keys {
            add(domain, Role::Former, keys);
        }
    }

    fn watched_keys(
        &mut self,
        organisation: &Organisation,
        situation: &Situation<'_>,
    ) -> BTreeMap<DomainName, Vec<Watched>> {
        let mut public: HashMap<&Selector, Option<PublicKey>> = HashMap::new();
        let mut watched: BTreeMap<DomainName, Vec<Watched>> = BTreeMap::new();
        for (entry, domain) in situation.watched() {
            let key = public.entry(&entry.selector).or_insert_with(|| {
                let key = self.keystore.public_key(&organisation.id, entry);
                key.map_err(|problem| self.lacks(problem)).ok()
            });
            if let (Some(key), Some(publication)) = (key, entry.publications.get(domain)) {
                watched.entry(domain.clone()).or_default().push(Watched {
                    record: KeyRecord {
                        selector: entry.selector.clone(),
                        domain: domain.clone(),
                        public_key: key.clone(),
                    },
                    algorithm: entry.algorithm,
                    publication: *publication,
                });
            }
        }
        watched
    }
}

/// In the order of the subjects.
fn examine(loaded: &Loaded, subjects: Vec<Subject>) -> Result<Vec<Examined>, Failure> {
    let observer = Observer::with_settings(&loaded.settings.keeper)?;
    let part = Arc::new(RelayPart::of(&loaded.settings));
    let claims = Arc::new(loaded.claims());
    let numbered = subjects.into_iter().enumerate().collect();
    let mut examined = in_one_round(&observer, numbered, |round, (place, subject)| {
        let part = Arc::clone(&part);
        let claims = Arc::clone(&claims);
        async move {
            let examined = Subject::examine(subject, &round, &part, claims.below());
            (place, examined.await)
        }
    })?;
    examined.sort_unstable_by_key(|(place, _)| *place);
    Ok(examined.into_iter().map(|(_, examined)| examined).collect())
}

impl Subject {
    /// Looks at all of it.
    async fn examine(self, round: &Round, part: &RelayPart, below: &SendersBelow) -> Examined {
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut findings = Vec::new();
        for key in &self.keys {
            let seen = key.record.look(round).await;
            keys.push(ExaminedKey {
                selector: key.record.selector.clone(),
                algorithm: key.algorithm,
                state: key.publication.state,
                sight: word(seen.sight),
            });
            // A record that is to go may be empty or gone.
            if key.publication.withdrawal.is_none() {
                findings.extend(seen.findings);
            }
        }
        let domain = self.domain.as_str();
        match self.role {
            Role::Sending => {
                let policy = round.mail_policy(domain, &part.addresses).await;
                let policy = policy.without_record_of(|owner| below.is_above(owner));
                findings.extend(judge_sending(&policy, part));
            }
            Role::Parked => {
                let names = below.names(&self.domain);
                let mut has_to_wait = names.len() > MOST_BELOW;
                for name in names.iter().take(MOST_BELOW) {
                    let has_own = round.has_own_dmarc(name).await.unwrap_or(false);
                    has_to_wait = has_to_wait || !has_own;
                }
                let policy = round.mail_policy(domain, &[]).await;
                let mut parked = judge_parked(&policy, has_to_wait);
                // What is left there from better days is looked at above.
                parked.retain(|finding| finding.code != Code::ParkedKey || self.keys.is_empty());
                findings.extend(parked);
            }
            Role::Former => {}
        }
        Examined {
            organisation: self.organisation,
            domain: self.domain,
            role: self.role,
            level: self.level,
            keys,
            findings,
        }
    }
}

fn reported(examined: &Examined, language: Language) -> ReportedDomain<'_> {
    let findings = examined
        .findings
        .iter()
        .map(|finding| ToldFinding::new(finding, language))
        .collect();
    ReportedDomain { examined, findings }
}

fn print(examined: &[Examined], language: Language, output: &mut Output) {
    let findings = || {
        examined.iter().flat_map(|examined| {
            examined
                .findings
                .iter()
                .map(move |finding| (&examined.organisation, finding))
        })
    };
    if findings().next().is_some() {
        let mut table = Table::new(["SEVERITY", "CODE", "ORGANISATION", "NAME"]);
        for (organisation, finding) in findings() {
            table.row([
                severity(finding.severity).to_owned(),
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
    print_levels(examined, output);
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

/// How the domains stand that are not well; for this look, see the findings.
fn print_levels(examined: &[Examined], output: &mut Output) {
    let mut worst: Vec<&Examined> = examined.iter().collect();
    worst.retain(|one| one.level != Level::Well);
    worst.sort_by_key(|one| one.level);
    if worst.is_empty() {
        return;
    }
    let mut table = Table::new(["LEVEL", "ORGANISATION", "DOMAIN"]);
    for one in worst {
        table.row([
            one.level.to_string(),
            one.organisation.to_string(),
            one.domain.to_string(),
        ]);
    }
    output.line("As the keeper last saw it:");
    output.line(table);
    output.line("");
}

/// What [`print_levels`] says of all organisations, where the signer says this.
#[cfg(test)]
pub(in crate::cli) fn printed(
    loaded: &Loaded,
    keystore: &Keystore,
    figures: &crate::observe::status::SignerFigures,
) -> String {
    let mut survey = Survey {
        keystore,
        judge: Judge::new(loaded, Some(figures)).unwrap(),
        subjects: Vec::new(),
        is_whole: true,
    };
    for organisation in &loaded.organisations {
        survey.add(organisation, &loaded.settings.timing());
    }
    let examined = survey.subjects.into_iter().map(|subject| Examined {
        organisation: subject.organisation,
        domain: subject.domain,
        role: subject.role,
        level: subject.level,
        keys: Vec::new(),
        findings: Vec::new(),
    });
    let mut output = Output::to_memory();
    print_levels(&examined.collect::<Vec<_>>(), &mut output);
    String::from_utf8(output.into_octets()).unwrap()
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
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Act => "error",
        other => other.as_str(),
    }
}
