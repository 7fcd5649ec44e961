//! `zegel sign`: signs one message on the same path as the milter.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use super::{
    context::{self, Context, nearest},
    failure::Failure,
    message::Mail,
    output::{complain, warn},
    refusal::explain,
    status::Status,
};
use crate::{
    config::{ListenerSettings, Settings},
    dkim::Message,
    keystore::Keystore,
    milter::{
        decision::{Circumstances, Decision, PendingDecision},
        signing::{Body, Refused, Signed, Work},
    },
    observe::metrics::Metrics,
    organisation::{Action, Refusal},
    snapshot::{Built, Snapshot},
};

#[derive(Args, Debug)]
pub(super) struct SignArguments {
    /// The message; standard input if it is - or left out
    file: Option<PathBuf>,

    /// Print the DKIM-Signature fields alone
    #[arg(long)]
    header_only: bool,

    /// As if it came in by this listener [default: the first one]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// As if this SMTP client had sent it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,

    /// As if the client had logged in by this name
    #[arg(long, value_name = "LOGIN")]
    auth: Option<String>,
}

pub(super) fn run(arguments: &SignArguments, context: &mut Context) -> Result<Status, Failure> {
    let mail = Mail::read(arguments.file.as_deref())?;
    let message = mail.parse()?;
    let loaded = context.load()?;
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    let built = Snapshot::build(loaded, &keystore, &Metrics::new(), None)?;
    let listener = listener(built.snapshot.settings(), arguments.listener.as_deref())?;

    let circumstances = circumstances(arguments, listener, &message, built.snapshot.settings());
    let decision = Decision::new(&built.snapshot, &message.header, &circumstances)
        .unwrap_or_else(PendingDecision::resolve);
    match sign(&built.snapshot, &message, &decision) {
        Err(refused) => {
            report(&built, &decision, refused, &listener.name);
            Ok(Status::Finding)
        }
        Ok(signed) => {
            for hazard in signed.hazards.iter() {
                warn(format_args!(
                    "the message holds a hazard, which may break the signature on its way: {}",
                    hazard.as_str()
                ));
            }
            for field in &signed.fields {
                let line = field.line();
                context
                    .output
                    .octets(mail.in_its_line_ends(&line).as_bytes());
            }
            if !arguments.header_only {
                context.output.octets(mail.original());
            }
            Ok(Status::Good)
        }
    }
}

fn listener<'a>(
    settings: &'a Settings,
    name: Option<&str>,
) -> Result<&'a ListenerSettings, Failure> {
    let listeners = &settings.listeners;
    let Some(name) = name else {
        return listeners
            .first()
            .ok_or_else(|| Failure::Usage("the configuration has no [[listener]]".to_owned()));
    };
    let found = listeners.iter().find(|listener| listener.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = listeners
            .iter()
            .map(|listener| listener.name.as_str())
            .collect();
        let advice = nearest(name, names.iter().copied());
        Failure::Usage(format!(
            "there is no listener {name}; {}",
            advice.unwrap_or_else(|| format!("there are: {}", names.join(", ")))
        ))
    })
}

fn circumstances<'a>(
    arguments: &'a SignArguments,
    listener: &'a ListenerSettings,
    message: &Message<'_>,
    settings: &Settings,
) -> Circumstances<'a> {
    let limits = &settings.limits;
    let header = &message.header;
    Circumstances {
        listener: &listener.name,
        outbound: &listener.outbound,
        login: arguments.auth.as_deref().filter(|login| !login.is_empty()),
        client: Some(arguments.client.to_canonical()),
        header_is_whole: header.octets() <= limits.header_bytes
            && header.len() <= limits.header_fields,
    }
}

fn sign(
    snapshot: &Snapshot,
    message: &Message<'_>,
    decision: &Decision,
) -> Result<Signed, Refused> {
    let keys = decision.verdict.as_ref().map_err(|&refusal| refusal)?;
    let Ok(author) = &decision.author else {
        return Err(Refusal::SigningFailure.into());
    };
    let canonicalisation = snapshot.signing().canonicalisation;
    let mut body = Body::new(canonicalisation);
    body.update(message.body);
    let work = Work {
        header: &message.header,
        author,
        keys,
        rules: snapshot.signing(),
        canonicalisation,
        policy: decision.policy(snapshot),
        now: context::now(),
    };
    work.sign(body)
}

fn report(built: &Built, decision: &Decision, refused: Refused, listener: &str) {
    if refused.refusal == Refusal::SigningFailure {
        built.problems.iter().for_each(complain);
    }
    let fate = match decision.action(&built.snapshot, refused.refusal) {
        Action::Accept => "it would pass unsigned",
        Action::Tempfail => "it would be put off (451)",
        Action::Reject => "it would be rejected (550)",
    };
    complain(format_args!(
        "not signed: {}: {}; by the policy {fate}",
        refused.refusal,
        explain(decision, refused, listener),
    ));
}
