//! `zegel sign`: signs one message on the same path as the milter.

use std::path::PathBuf;

use clap::Args;

use super::{
    context::Context,
    failure::Failure,
    message::Mail,
    output::{complain, warn},
    refusal::explain,
    status::Status,
    trial::{CircumstanceArguments, Trial, build},
};
use crate::{
    organisation::{Action, Refusal},
    signer::{Decision, Refused},
    snapshot::Built,
};

#[derive(Args, Debug)]
pub(super) struct SignArguments {
    /// The message; standard input if it is - or left out
    file: Option<PathBuf>,

    /// Print the DKIM-Signature fields alone
    #[arg(long)]
    header_only: bool,

    #[command(flatten)]
    circumstances: CircumstanceArguments,
}

pub(super) fn run(arguments: &SignArguments, context: &mut Context) -> Result<Status, Failure> {
    let mail = Mail::read(arguments.file.as_deref())?;
    let message = mail.parse()?;
    let (built, _) = build(context, &message.header)?;
    let trial = Trial::new(&built.snapshot, &message, &arguments.circumstances)?;
    match trial.sign() {
        Err(refused) => {
            report(&built, &trial.decision, refused, &trial.listener.name);
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
