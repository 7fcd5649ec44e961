//! `zegel key withdraw`

use clap::Args;
use jiff::Timestamp;

use super::{
    addition::GivenUp,
    choice::{domains_of_key, find, list},
};
use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        status::Status,
    },
    keys::{CommandError, Insistence, withdraw},
    names::{DomainName, OrganisationId, Selector},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct WithdrawArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The selector of the key
    selector: Selector,

    /// Only for this domain; may be given several times [default: all that it was made for]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Before it is known that no mail on its way needs the record
    #[arg(long)]
    force: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &WithdrawArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load_of(&arguments.organisation)?;
    let keystore = context.open_keystore(&loaded.settings)?;
    let named = &arguments.organisation;
    let organisation = &*context::organisation_or_gone(&loaded, &keystore, named)?;
    let selector = &arguments.selector;
    let id = &organisation.id;
    let insistence = if arguments.force {
        Insistence::Force
    } else {
        Insistence::WhenDue
    };
    let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
    let keyring = keystore.read_keyring(id)?;
    let entry = find(organisation, &keyring, selector)?;
    let domains = domains_of_key(entry, &arguments.domains)?;
    let now = Timestamp::now();
    let changes = withdraw(&keyring, selector, &domains, insistence, now)
        .map_err(|error| refused(id, &error))?;
    writer.apply(id, &changes, now)?;
    drop(writer);
    if arguments.json {
        context.output.json(&GivenUp::new(id, selector, &changes));
        return Ok(Status::Good);
    }
    context.output.line(format_args!(
        "{selector} is withdrawn for {}, as you say: nobody looks for its record any more.",
        list(changes.iter().map(|change| &change.domain))
    ));
    context.output.line(
        "If the record is still in the DNS, have it removed. The selector is not used again.",
    );
    Ok(Status::Good)
}

fn refused(id: &OrganisationId, error: &CommandError) -> Failure {
    Failure::Other(match error {
        CommandError::NotDrained { .. } => format!(
            "{error} with --force, after which that mail may not verify; nothing was changed"
        ),
        CommandError::NeverSigned { selector, .. } => {
            format!("{error} with `zegel key roll --abort {id} {selector}`; nothing was changed")
        }
        CommandError::NothingToDo(selector) => format!(
            "{selector} is withdrawn already for each of these domains; see `zegel key list {id}`"
        ),
        other => format!("{other}; nothing was changed"),
    })
}
