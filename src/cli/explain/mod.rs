//! `zegel explain`: every step of the decision on one message, in order, and what follows.
//!
//! Nothing is decided here: the decision and the signatures are those of the milter, and
//! this tells what they say.

mod steps;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use clap::Args;
use serde::Serialize;

use self::steps::{Stage, Step, steps};
use super::{
    context::Context,
    failure::Failure,
    judging::{BEHIND, Judge, is_behind},
    live::ask_signer,
    message::Mail,
    output::{Output, Table, complain, printable, warn},
    refusal,
    status::Status,
    trial::{CircumstanceArguments, Trial, build},
};
use crate::{
    dkim::{Algorithm, FIELD_NAME, Hazard, Hazards, ParsedSignature},
    keys::{Keyring, State},
    keystore::Keystore,
    names::{DomainName, OrganisationId, Selector},
    observe::status::SignerFigures,
    organisation::{Action, Organisation, Refusal},
    signer::{Refused, Signed},
    snapshot::Built,
    words::Level,
};

#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// The message; standard input if it is - or left out
    file: Option<PathBuf>,

    #[command(flatten)]
    circumstances: CircumstanceArguments,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explanation {
    listener: String,
    /// Whether the listener only looks on, so that nothing of this is done.
    observe: bool,
    /// None of a client without an address.
    client: Option<IpAddr>,
    login: Option<String>,
    from_domain: Option<DomainName>,
    organisation: Option<OrganisationId>,
    /// How the From domain stands, as everywhere; none if nobody of ours has it.
    level: Option<Level>,
    file: Option<PathBuf>,
    /// All keys that the organisation has for the domain, whatever their state.
    keys: Vec<ExplainedKey>,
    steps: Vec<Step>,
    /// `signed`, `unsigned`, `tempfailed` or `rejected`: what becomes of the message.
    result: &'static str,
    /// Why it is not signed.
    reason: Option<Refusal>,
    advice: Option<String>,
    /// None when the message was not looked at so far.
    hazards: Option<Vec<&'static str>>,
    signatures: Vec<ExplainedSignature>,
}

#[derive(Serialize)]
struct ExplainedKey {
    selector: Selector,
    algorithm: Algorithm,
    state: State,
}

#[derive(Serialize)]
struct ExplainedSignature {
    selector: Selector,
    algorithm: Algorithm,
    /// `h=`, in its order; a name stands once more than the message has such fields where
    /// another one must not be added.
    signed_fields: Vec<String>,
    /// The whole field, with CRLF.
    field: String,
    verifies: bool,
    problem: Option<String>,
}

/// Empty if it can't be read: the trial says why.
fn keyring_of(keystore: &Keystore, organisation: Option<&Arc<Organisation>>) -> Keyring {
    let keyring = organisation.and_then(|one| keystore.read_keyring(&one.id).ok());
    keyring.unwrap_or_default()
}

pub(super) fn run(arguments: &ExplainArguments, context: &mut Context) -> Result<Status, Failure> {
    let mail = Mail::read(arguments.file.as_deref())?;
    let message = mail.parse()?;
    let (built, keystore) = build(context, &message.header)?;
    let trial = Trial::new(&built.snapshot, &message, &arguments.circumstances)?;
    let domain = trial.decision.domain.as_ref();
    let organisation = domain.map(|domain| &domain.organisation);
    let keyring = keyring_of(&keystore, organisation);
    let file = organisation.map(|one| {
        let folder = context.config_file().with_file_name("orgs.d");
        folder.join(format!("{}.toml", one.id))
    });
    let author = trial.decision.author.as_ref().ok();
    let level = match organisation.zip(author) {
        Some((one, author)) => Some(asked_level(&built, one, author, context)?),
        None => None,
    };
    let explanation = Explanation {
        listener: trial.listener.name.clone(),
        observe: trial.listener.observe,
        client: arguments.circumstances.client.address(),
        login: arguments.circumstances.login().map(str::to_owned),
        from_domain: author.cloned(),
        organisation: organisation.map(|one| one.id.clone()),
        level,
        file,
        keys: keyring
            .keys()
            .iter()
            .filter_map(|key| {
                Some(ExplainedKey {
                    selector: key.selector.clone(),
                    algorithm: key.algorithm,
                    state: key.state(author?)?,
                })
            })
            .collect(),
        steps: Vec::new(),
        result: "signed",
        reason: None,
        advice: None,
        hazards: None,
        signatures: Vec::new(),
    };
    let left = author.is_some_and(|author| keyring.has_left(author));
    let mut explanation = match &trial.sign() {
        Ok(signed) => explanation.signed(&trial, signed),
        Err(refused) => explanation.refused(&built, &trial, (*refused, left)),
    };
    explanation.steps = steps(&trial, &explanation, &arguments.circumstances);
    if arguments.json {
        context.output.json(&explanation);
    } else {
        explanation.print(&mut context.output);
    }
    let is_good =
        explanation.result == "signed" && explanation.signatures.iter().all(|one| one.verifies);
    Ok(Status::of_check(is_good))
}

/// How a domain stands, with what the signer says of it if it can be asked.
fn asked_level(
    built: &Built,
    organisation: &Organisation,
    domain: &DomainName,
    context: &Context,
) -> Result<Level, Failure> {
    let figures = ask_signer(&built.snapshot.loaded().settings);
    let is_behind = |figures| is_behind(figures, context.config_file());
    if figures.as_ref().is_some_and(is_behind) {
        warn(BEHIND);
    }
    level(built, organisation, (domain, figures.as_ref()))
}

/// How a domain stands, with what the signer says of it.
fn level(
    built: &Built,
    organisation: &Organisation,
    (domain, figures): (&DomainName, Option<&SignerFigures>),
) -> Result<Level, Failure> {
    let loaded = built.snapshot.loaded();
    let judge = Judge::new(loaded, figures)?;
    Ok(judge.judge(organisation).of_domain(domain))
}

/// How a domain stands as [`run`] says it, where the signer says this.
#[cfg(test)]
pub(super) fn stands(
    built: &Built,
    organisation: &Organisation,
    (domain, figures): (&DomainName, &SignerFigures),
) -> Level {
    level(built, organisation, (domain, Some(figures))).unwrap()
}

fn words(hazards: Hazards) -> Vec<&'static str> {
    hazards.iter().map(Hazard::as_str).collect()
}

impl Explanation {
    fn signed(self, trial: &Trial<'_>, signed: &Signed) -> Self {
        let verified = trial.verify(signed);
        let signatures =
            trial
                .keys()
                .zip(&signed.fields)
                .zip(verified)
                .map(|((key, field), verified)| {
                    let value = field.value().as_bytes();
                    let parsed = ParsedSignature::parse(FIELD_NAME.as_bytes(), value);
                    ExplainedSignature {
                        selector: key.selector.clone(),
                        algorithm: key.signing_key.algorithm(),
                        signed_fields: parsed.map(|parsed| parsed.names).unwrap_or_default(),
                        field: field.line(),
                        verifies: verified.is_ok(),
                        problem: verified.err().map(|error| error.to_string()),
                    }
                });
        Self {
            hazards: Some(words(signed.hazards)),
            signatures: signatures.collect(),
            ..self
        }
    }

    fn refused(self, built: &Built, trial: &Trial<'_>, (refused, left): (Refused, bool)) -> Self {
        let decision = &trial.decision;
        let why = if left && refused.refusal == Refusal::AwaitingKey {
            refusal::has_left(decision)
        } else {
            refusal::explain(decision, refused, &trial.listener.name)
        };
        let mut advice = vec![why];
        if Stage::of(refused.refusal, decision) == Stage::Keys {
            advice.extend_from_slice(&built.problems);
        }
        Self {
            result: match decision.action(&built.snapshot, refused.refusal) {
                Action::Accept => "unsigned",
                Action::Tempfail => "tempfailed",
                Action::Reject => "rejected",
            },
            reason: Some(refused.refusal),
            advice: Some(advice.join("; ")),
            hazards: decision.verdict.is_ok().then(|| words(refused.hazards)),
            ..self
        }
    }

    fn print(&self, output: &mut Output) {
        let mut table = Table::new(["STEP", "", "WHAT"]);
        for step in &self.steps {
            let mark = match step.passed {
                Some(true) => "ok",
                Some(false) => "NO",
                None => "-",
            };
            table.row([
                step.stage.label().to_owned(),
                mark.to_owned(),
                step.text.clone(),
            ]);
        }
        output.line(table);
        if let (Some(domain), Some(level)) = (&self.from_domain, self.level) {
            output.line(format_args!("\nHow {domain} stands: {level}"));
        }
        for signature in &self.signatures {
            output.line(format_args!(
                "\nThe signature with {} ({}) covers, in this order:\n  {}\n",
                signature.selector,
                signature.algorithm,
                printable(&signature.signed_fields.join(" : "))
            ));
            output.line(signature.field.trim_end().replace("\r\n", "\n"));
        }
        if let (Some(reason), Some(advice)) = (self.reason, &self.advice) {
            complain(format_args!("not signed: {reason}: {advice}"));
        }
    }
}
