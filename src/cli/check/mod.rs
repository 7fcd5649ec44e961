//! `zegel check`: the configuration, the keystore, and a probe for every domain.

mod examination;
mod findings;
mod probe;

use clap::Args;

use self::findings::{Finding, Findings};
use super::{context::Context, status::Status};
use crate::config;

#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    /// Print JSON, problems and warnings included
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CheckArguments, context: &mut Context) -> Status {
    let mut findings = Findings {
        config: context.config_file().to_owned(),
        ..Findings::default()
    };
    let status = match config::load(context.config_file()) {
        Err(problems) => {
            findings.problems = problems.0.iter().map(Finding::from).collect();
            Status::Configuration
        }
        Ok(loaded) => {
            examination::examine(loaded, &mut findings);
            if findings.problems.is_empty() {
                Status::Good
            } else {
                Status::Finding
            }
        }
    };
    findings.good = status == Status::Good;
    if arguments.json {
        context.output.json(&findings);
    } else {
        findings.print(&mut context.output);
    }
    status
}
