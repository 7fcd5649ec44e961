//! `zegel check`: the configuration, the keystore, and a probe for every domain.

mod reports;
mod sealing;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use serde::Serialize;

use super::{
    context::{self, Context},
    judging::{BEHIND, Judge, is_behind},
    live::ask_signer,
    output::{Output, Table, complain, warn},
    status::Status,
};
use crate::{
    config::{self, Loaded, Problem, Settings},
    dkim::{Algorithm, FIELD_NAME, Message, ParsedSignature, PublicKey},
    judgement::{Fact, Judgement},
    keys::{KeyEntry, State},
    keystore::{Keystore, KeystoreError},
    names::{DomainName, OrganisationId, Selector},
    observe::{metrics::Metrics, status::SignerFigures},
    organisation::{Ground, Organisation},
    signer::{Body, Decision, Work},
    snapshot::{ActiveKey, Domain, Signing, Snapshot},
    words::{Language, Level, Severity},
};

/// Of the probe.
const BODY: &[u8] = b"One line,\r\nand another. \r\n\r\n";

#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    /// Print JSON, problems and warnings included
    #[arg(long)]
    json: bool,
}

/// All that was found.
#[derive(Default, Serialize)]
struct Report {
    config: PathBuf,
    good: bool,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    organisations: Vec<CheckedOrganisation>,
    /// Whether a signer has answered.
    asked_signer: bool,
    /// How they lie; none if the keystore can't be read.
    private_keys: Option<sealing::PrivateKeys>,
}

#[derive(Serialize)]
struct Finding {
    severity: Severity,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Serialize)]
struct CheckedOrganisation {
    id: OrganisationId,
    name: String,
    domains: Vec<CheckedDomain>,
}

#[derive(Serialize)]
struct CheckedDomain {
    domain: DomainName,
    /// How it stands, as everywhere.
    level: Level,
    state: DomainState,
    keys: Vec<CheckedKey>,
}

#[derive(Serialize)]
struct CheckedKey {
    selector: Selector,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum DomainState {
    /// The probe was signed and verified.
    Signs,
    AwaitingKey,
    /// The operator has said that it leaves, and its grace is over.
    Left,
    /// The operator has suspended the organisation.
    Suspended,
    /// A key in use can't be used: mail is tempfailed.
    Unusable,
    ProbeFailed,
    Parked,
}

pub(super) fn run(arguments: &CheckArguments, context: &mut Context) -> Status {
    let mut report = Report {
        config: context.config_file().to_owned(),
        ..Report::default()
    };
    let status = match config::load(context.config_file()) {
        Err(problems) => {
            for problem in &problems.0 {
                report.add(Finding::of_configuration(Severity::Act, problem));
            }
            Status::Configuration
        }
        Ok(loaded) => {
            report.examine(loaded, ask_signer);
            Status::of_check(report.problems.is_empty())
        }
    };
    report.good = status == Status::Good;
    if arguments.json {
        // It has warnings of its own, with their places.
        context.output.plain_json(&report);
    } else {
        report.print(&mut context.output);
    }
    status
}

impl Finding {
    fn of_configuration(severity: Severity, problem: &Problem) -> Self {
        Self {
            severity,
            message: problem.to_string(),
            file: Some(problem.file.clone()),
            line: problem.place.line,
            key: Some(problem.place.key.clone()).filter(|key| !key.is_empty()),
        }
    }
}

impl Report {
    fn add(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Act => self.problems.push(finding),
            Severity::Warning | Severity::Note => self.warnings.push(finding),
        }
    }

    fn say(&mut self, severity: Severity, message: &impl ToString) {
        self.add(Finding {
            severity,
            message: message.to_string(),
            file: None,
            line: None,
            key: None,
        });
    }

    /// Looks at everything that a signer with this configuration would use, and at what it
    /// would not. `ask` asks the signer that runs, if one does.
    fn examine(&mut self, loaded: Loaded, ask: impl FnOnce(&Settings) -> Option<SignerFigures>) {
        for problem in &loaded.mistakes.problems() {
            self.add(Finding::of_configuration(Severity::Act, problem));
        }
        for warning in &loaded.warnings {
            self.add(Finding::of_configuration(Severity::Warning, warning));
        }
        if let Some(message) = reports::hint(&loaded.settings) {
            self.add(Finding {
                severity: Severity::Note,
                message,
                file: Some(self.config.clone()),
                line: None,
                key: Some(reports::KEY.to_owned()),
            });
        }
        let keystore = match loaded.settings.open_keystore() {
            Ok(keystore) => keystore,
            // Nothing to sign for: a keystore can wait.
            Err(error @ KeystoreError::NoKeystore(_)) if loaded.organisations.is_empty() => {
                return self.say(Severity::Warning, &error);
            }
            Err(error) => return self.say(Severity::Act, &error),
        };
        if !self.examine_sealing(&keystore) {
            return;
        }
        match Snapshot::build(loaded, &keystore, &Metrics::new(), None) {
            Err(error) => self.say(Severity::Act, &error),
            Ok(built) => {
                for problem in built.problems {
                    self.say(Severity::Act, &problem);
                }
                self.examine_keystore(&built.snapshot, &keystore);
                let loaded = built.snapshot.loaded();
                let figures = ask(&loaded.settings);
                self.asked_signer = figures.is_some();
                let is_behind = |figures| is_behind(figures, &self.config);
                if figures.as_ref().is_some_and(is_behind) {
                    self.say(Severity::Warning, &BEHIND);
                }
                let judge = match Judge::new(loaded, figures.as_ref()) {
                    Ok(judge) => judge,
                    Err(error) => return self.say(Severity::Act, &error),
                };
                for organisation in built.snapshot.organisations() {
                    let judgement = judge.judge(organisation);
                    self.say_of(&organisation.id, &judgement);
                    let checked =
                        self.examine_organisation(&built.snapshot, organisation, &judgement);
                    self.organisations.push(checked);
                }
            }
        }
    }

    /// What the signer does not look at: keys that are not in use, and files that nobody
    /// asked for.
    fn examine_keystore(&mut self, snapshot: &Snapshot, keystore: &Keystore) {
        let problems = self.problems.iter();
        let known: HashSet<String> = problems.map(|problem| problem.message.clone()).collect();
        let mut records = HashMap::new();
        for organisation in snapshot.organisations() {
            // An error is among the problems of the snapshot.
            let Ok(keys) = keystore.load_organisation(&organisation.id) else {
                continue;
            };
            for key in &keys.keys {
                self.say_of_shared_names(&mut records, &organisation.id, &key.entry);
            }
            let refused = keys.refused.iter().map(ToString::to_string);
            for problem in refused.filter(|problem| !known.contains(problem)) {
                self.say(Severity::Act, &problem);
            }
            for warning in &keys.warnings {
                self.say(Severity::Warning, &warning);
            }
            for key in keys.keys.iter().filter(|key| key.entry.may_sign()) {
                let public = key.signing_key.public_key();
                self.warn_of_size(&organisation.id, &key.entry.selector, public);
            }
        }
        let organisations = snapshot.organisations().iter();
        let ids: HashSet<&OrganisationId> = organisations.map(|known| &known.id).collect();
        match keystore.organisations() {
            Err(error) => self.say(Severity::Act, &error),
            Ok(folders) => {
                for folder in folders.iter().filter(|folder| !ids.contains(folder)) {
                    let place = keystore.path().join(folder.as_str());
                    let text = format!(
                        "{}: there are keys of {folder}, which is no organisation in orgs.d; \
                         keep them until its last mail is delivered",
                        place.display()
                    );
                    self.say(Severity::Warning, &text);
                }
            }
        }
    }

    /// There is one record of a name, so it can be that of one key only.
    fn say_of_shared_names(
        &mut self,
        records: &mut HashMap<(Selector, DomainName), OrganisationId>,
        id: &OrganisationId,
        key: &KeyEntry,
    ) {
        let publications = key.publications.iter();
        for (domain, _) in publications.filter(|(_, one)| one.state != State::Withdrawn) {
            let name = (key.selector.clone(), domain.clone());
            match records.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(id.clone());
                }
                Entry::Occupied(first) => {
                    let text = format!(
                        "{} and {id} both have a key with the selector {} for {domain}, which \
                         has one record: make {id} another key with `zegel key roll {id}`",
                        first.get(),
                        key.selector
                    );
                    self.say(Severity::Act, &text);
                }
            }
        }
    }

    /// What mail suffers from, though the files are as they should be.
    fn say_of(&mut self, id: &OrganisationId, judgement: &Judgement) {
        let is_of_files = |fact: &Fact| matches!(fact, Fact::NoTarget(_) | Fact::Departures(_));
        let matters = judgement.matters.iter();
        for matter in matters.filter(|matter| is_of_files(&matter.fact)) {
            let sentence = matter.sentence(id, Language::English);
            self.say(Severity::Act, &format!("{id}: {sentence}"));
        }
        let urgent = judgement.matters.iter();
        for matter in urgent.filter(|matter| matter.level.is_urgent()) {
            let sentence = matter.sentence(id, Language::English);
            self.say(
                Severity::Warning,
                &format!("{id}: {}: {sentence}", matter.level),
            );
        }
    }

    fn examine_organisation(
        &mut self,
        snapshot: &Snapshot,
        organisation: &Organisation,
        judgement: &Judgement,
    ) -> CheckedOrganisation {
        let names = organisation.domains.iter().chain(&organisation.parked);
        let domains = names.map(|name| {
            let domain = snapshot.domain(name);
            let signing = domain.and_then(|one| Some((one, one.keys.as_ref()?.load())));
            let (state, keys) = match &signing {
                None => (DomainState::Parked, Vec::new()),
                // Why is among the problems of the snapshot.
                Some((_, Signing::Unusable)) => (DomainState::Unusable, Vec::new()),
                Some((_, Signing::Suspended)) => (DomainState::Suspended, Vec::new()),
                Some((_, Signing::Awaiting)) if judgement.has_left(name) => {
                    (DomainState::Left, Vec::new())
                }
                Some((_, Signing::Awaiting)) => {
                    self.warn_of_missing(organisation, name, &[]);
                    (DomainState::AwaitingKey, Vec::new())
                }
                Some((domain, Signing::Active(keys))) => {
                    self.warn_of_missing(organisation, name, keys);
                    let probe = Probe {
                        snapshot,
                        name,
                        domain,
                        keys,
                        now: context::now(),
                    };
                    let keys = keys.iter().map(|key| CheckedKey {
                        selector: key.selector.clone(),
                        algorithm: key.signing_key.algorithm(),
                    });
                    (self.try_keys(&probe, &organisation.id), keys.collect())
                }
            };
            CheckedDomain {
                level: judgement
                    .of_domain(name)
                    .min(state.level(self.asked_signer)),
                domain: name.clone(),
                state,
                keys,
            }
        });
        CheckedOrganisation {
            id: organisation.id.clone(),
            name: organisation.name.clone(),
            domains: domains.collect(),
        }
    }

    fn try_keys(&mut self, probe: &Probe<'_>, id: &OrganisationId) -> DomainState {
        match probe.run() {
            Ok(()) => DomainState::Signs,
            Err(error) => {
                let text = format!("{} of {id}: {error}; make a new key", probe.name);
                self.say(Severity::Act, &text);
                DomainState::ProbeFailed
            }
        }
    }

    /// It signs on: where it verifies today it would be missed.
    fn warn_of_size(&mut self, id: &OrganisationId, selector: &Selector, key: &PublicKey) {
        if let Err(error) = key.check_verifiers_take_it() {
            let text = format!("{selector} of {id}: {error} with `zegel key roll {id}`");
            self.say(Severity::Warning, &text);
        }
    }

    fn warn_of_missing(
        &mut self,
        organisation: &Organisation,
        name: &DomainName,
        keys: &[Arc<ActiveKey>],
    ) {
        let id = &organisation.id;
        if keys.is_empty() {
            let text = format!(
                "{name} of {id} has no key in use, so its mail is not signed; see `zegel key \
                 list {id}`"
            );
            return self.say(Severity::Warning, &text);
        }
        for algorithm in &organisation.algorithms {
            let mut algorithms = keys.iter().map(|key| key.signing_key.algorithm());
            if !algorithms.any(|one| one == *algorithm) {
                let text = format!(
                    "{name} of {id} has no {algorithm} key in use; see `zegel key list {id}`"
                );
                self.say(Severity::Warning, &text);
            }
        }
    }

    /// For people.
    fn print(&self, output: &mut Output) {
        for problem in &self.problems {
            complain(&problem.message);
        }
        for warning in &self.warnings {
            warn(&warning.message);
        }
        if !self.organisations.is_empty() {
            output.line(self.table());
        }
        if let Some(keys) = &self.private_keys {
            keys.print(output);
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

    fn table(&self) -> Table<5> {
        let mut table = Table::new(["ORGANISATION", "DOMAIN", "STATE", "LEVEL", "KEYS"]);
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
                    domain.level.to_string(),
                    keys.join(", "),
                ]);
            }
        }
        table
    }
}

impl DomainState {
    /// How a domain stands at least, by what this command found. A signer that runs may go on
    /// with the key as it was; what it does, it says itself.
    fn level(self, asked_signer: bool) -> Level {
        match self {
            Self::Unusable if !asked_signer => Level::Tempfailed,
            Self::Unusable | Self::ProbeFailed => Level::Act,
            Self::Signs | Self::AwaitingKey | Self::Left | Self::Suspended | Self::Parked => {
                Level::Well
            }
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Signs => "signs",
            Self::AwaitingKey => "awaiting key",
            Self::Left => "left",
            Self::Suspended => "suspended",
            Self::Unusable => "UNUSABLE",
            Self::ProbeFailed => "PROBE FAILED",
            Self::Parked => "parked",
        }
    }
}

/// A message of our own, signed by the keys of a domain and verified by their records: the
/// whole way but for the MTA and the DNS.
struct Probe<'a> {
    snapshot: &'a Snapshot,
    name: &'a DomainName,
    domain: &'a Arc<Domain>,
    keys: &'a Arc<[Arc<ActiveKey>]>,
    now: u64,
}

impl Probe<'_> {
    /// Signs with every key, and verifies every signature with what the record of its key
    /// says. An error names the key that failed.
    fn run(&self) -> Result<(), String> {
        let text = format!(
            "From: zegel <probe@{}>\r\nTo: probe@example.com\r\nSubject: probe\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n",
            self.name
        );
        let message = Message::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        // It comes from nobody: what decides on senders has no say.
        let decision = Decision {
            author: Ok(self.name.clone()),
            domain: Some(Arc::clone(self.domain)),
            outbound: Some(Ground::Anybody),
            permission: Some(Ground::Anybody),
            verdict: Ok(Arc::clone(self.keys)),
        };
        let canonicalisation = self.snapshot.signing().canonicalisation;
        let mut body = Body::new(canonicalisation);
        body.update(BODY);
        let signed = Work::new(
            &decision,
            self.snapshot,
            &message.header,
            canonicalisation,
            self.now,
        )
        .and_then(|work| work.sign(body))
        .map_err(|refused| format!("a probe cannot be signed: {}", refused.refusal))?;
        for (key, field) in self.keys.iter().zip(&signed.fields) {
            self.verify(&message, key, field.value()).map_err(|error| {
                format!(
                    "a probe signed by {} does not verify: {error}",
                    key.selector
                )
            })?;
        }
        Ok(())
    }

    fn verify(&self, message: &Message<'_>, key: &ActiveKey, value: &str) -> Result<(), String> {
        let signature = ParsedSignature::parse(FIELD_NAME.as_bytes(), value.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut hasher = signature.body_hasher();
        hasher.update(BODY);
        let record = key.signing_key.public_key().record();
        let public_key = PublicKey::from_record(&record).map_err(|error| error.to_string())?;
        signature
            .verify(&message.header, &hasher.finish(), &public_key, self.now)
            .map_err(|error| error.to_string())
    }
}

/// What is printed, where the signer says this: the table, and before it what is wrong and what is
/// warned of.
#[cfg(test)]
pub(super) fn printed(loaded: Loaded, figures: SignerFigures) -> (String, String) {
    let mut report = Report::default();
    report.examine(loaded, |_| Some(figures));
    let findings = report.problems.iter().chain(&report.warnings);
    let said: Vec<&str> = findings.map(|one| one.message.as_str()).collect();
    (said.join("\n"), report.table().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_verifiers_need_not_take_is_warned_of() {
        let mut report = Report::default();
        let (id, selector) = ("a".parse().unwrap(), "s".parse().unwrap());
        for pem in [
            &include_bytes!("../../tests/fixtures/keys/unsafe-rsa5120-public.pem")[..],
            include_bytes!("../../tests/fixtures/keys/unsafe-rsa2048-public.pem"),
        ] {
            let key = PublicKey::from_pem(pem).unwrap();
            report.warn_of_size(&id, &selector, &key);
        }
        let [warning] = &report.warnings[..] else {
            panic!("there is one: {}", report.warnings.len())
        };
        let beginning = "s of a: the RSA key has 5120 bits; verifiers need not take more than 4096";
        assert!(
            warning.message.starts_with(beginning),
            "{}",
            warning.message
        );
        assert!(
            warning
                .message
                .ends_with("make a new key with `zegel key roll a`")
        );
    }
}
