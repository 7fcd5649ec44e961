//! `zegel report forget`: what the operator has to delete.

use clap::Args;
use serde::Serialize;

use super::{state_advice, store_there};
use crate::{
    cli::{context::Context, day::Day, failure::Failure, status::Status},
    evidence::{Store, rollup::DAY},
    names::DomainName,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ForgetArguments {
    /// The policy domain of which everything is forgotten
    #[arg(
        value_name = "DOMAIN",
        required_unless_present = "before",
        conflicts_with = "before"
    )]
    domain: Option<DomainName>,

    /// Forget what is about days before this one, such as 2026-01-01
    #[arg(long, value_name = "DATE")]
    before: Option<Day>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    domain: Option<&'a DomainName>,
    before: Option<jiff::Timestamp>,
}

pub(super) fn run(arguments: &ForgetArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let settings = &loaded.settings.reports;
    drop(store_there(settings)?);
    let forgotten = Store::open(&settings.state).and_then(|mut store| {
        if let Some(domain) = &arguments.domain {
            store.forget_domain(domain.as_str())?;
        }
        if let Some(before) = arguments.before {
            let day = before.begins().as_second().div_euclid(DAY);
            store.forget_before(i32::try_from(day).unwrap_or(i32::MAX))?;
        }
        store.wipe()
    });
    forgotten.map_err(|error| state_advice(&error))?;
    if arguments.json {
        context.output.json(&Document {
            domain: arguments.domain.as_ref(),
            before: arguments.before.map(Day::begins),
        });
    } else {
        context.output.line("forgotten");
    }
    Ok(Status::Good)
}
