//! `zegel report name`: the operator's word for a stream.

use std::{collections::BTreeSet, net::IpAddr};

use clap::{Args, ValueEnum, builder::PossibleValue};
use jiff::Timestamp;
use serde::Serialize;

use super::{keystore_for, sending_advice, state_advice, store_there};
use crate::{
    cli::{
        context::Context,
        failure::Failure,
        output::{printable, warn},
        status::Status,
    },
    config::Loaded,
    evidence::{
        Store,
        streams::{Class, Name, Stream},
    },
    keystore::StreamWord,
    names::{DomainName, OrganisationId},
    sending::{Ours, everything, sort},
};

#[derive(Args, Debug)]
pub(in crate::cli) struct NameArguments {
    /// The policy domain
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,

    /// The id of the stream, as zegel report streams shows it
    #[arg(
        value_name = "STREAM",
        required_unless_present = "rest",
        conflicts_with = "rest"
    )]
    stream: Option<String>,

    /// Every unknown stream of which nothing was ever aligned
    #[arg(long)]
    rest: bool,

    /// What it is
    #[arg(
        long = "as",
        value_enum,
        value_name = "CLASS",
        required_unless_present = "forget"
    )]
    class: Option<Class>,

    /// What it is called; streams that belong together have one label
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// Who is responsible for it
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,

    /// Take back what was said
    #[arg(long, conflicts_with_all = ["class", "label", "owner"])]
    forget: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ValueEnum for Class {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Known, Self::List, Self::Forwarding, Self::Abuse]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Known => "Someone who may send in this name",
            Self::List => "A mailing list",
            Self::Forwarding => "Someone who sends mail on",
            Self::Abuse => "Someone who may not",
            Self::Ours | Self::Unknown => return None,
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    domain: &'a DomainName,
    streams: &'a [String],
    class: Option<Class>,
    label: Option<&'a str>,
    owner: Option<&'a str>,
}

pub(super) fn run(arguments: &NameArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let settings = &loaded.settings.reports;
    let store = store_there(settings)?;
    let domain = arguments.domain.as_str();
    let keystore = keystore_for(&loaded, &arguments.domain)?;
    let ours = Ours::of(&loaded, keystore.as_ref());
    let sorted = sort(&store, &ours, &arguments.domain, everything()).map_err(sending_advice)?;
    drop(store);
    if sorted.policy_domain != arguments.domain {
        return Err(Failure::Usage(format!(
            "{domain} has no policy of its own: its mail fell under that of {0}, and so do its \
             streams; say zegel report name {0}",
            sorted.policy_domain
        )));
    }
    let named = chosen(arguments, &sorted.streams)?;
    let written = Store::open(&settings.state).and_then(|mut store| {
        store.begin()?;
        for (id, networks) in &named {
            let name = arguments.class.map(|class| Name {
                class,
                label: arguments.label.clone(),
                owner: arguments.owner.clone(),
                networks: networks.clone(),
            });
            store.set_name(domain, id, name.as_ref(), Timestamp::now().as_second())?;
        }
        store.commit()
    });
    written.map_err(|error| state_advice(&error))?;
    let named: Vec<String> = named.into_iter().map(|(id, _)| id).collect();
    let organisation = ours.owner(&arguments.domain).map(|one| &one.id);
    let status = note(&named, organisation, arguments, &loaded, context);
    if arguments.json {
        context.output.json(&Document {
            domain: &arguments.domain,
            streams: &named,
            class: arguments.class,
            label: arguments.label.as_deref(),
            owner: arguments.owner.as_deref(),
        });
        return Ok(status);
    }
    for id in &named {
        let said = match arguments.class {
            Some(class) => format!("{id}: {class}"),
            None => format!("{id}: nothing is said of it"),
        };
        context.output.line(printable(&said));
    }
    Ok(status)
}

/// The streams that are meant, with the networks that send most of each.
fn chosen(
    arguments: &NameArguments,
    all: &[Stream],
) -> Result<Vec<(String, BTreeSet<IpAddr>)>, Failure> {
    let with_networks = |stream: &Stream| (stream.id.clone(), stream.main_networks());
    let Some(id) = &arguments.stream else {
        // What was known and has changed is somebody's: the operator has to look at it.
        let rest = all.iter().filter(|stream| {
            stream.class == Class::Unknown && stream.aligned == 0 && stream.changed.is_none()
        });
        return Ok(rest.map(with_networks).collect());
    };
    match all.iter().find(|stream| stream.id == *id) {
        Some(stream) => Ok(vec![with_networks(stream)]),
        // A name may be taken back when the stream is gone.
        None if arguments.forget => Ok(vec![(id.clone(), BTreeSet::new())]),
        None => Err(Failure::Usage(format!(
            "{0} has no stream {id}; zegel report streams {0} lists them",
            arguments.domain
        ))),
    }
}

/// Tells the audit log. What was said holds all the same if that fails.
fn note(
    named: &[String],
    organisation: Option<&OrganisationId>,
    arguments: &NameArguments,
    loaded: &Loaded,
    context: &mut Context,
) -> Status {
    if named.is_empty() {
        return Status::Good;
    }
    let words: Vec<StreamWord<'_>> = named
        .iter()
        .map(|stream| StreamWord {
            organisation,
            domain: &arguments.domain,
            stream,
            class: arguments.class.map(Class::as_str),
        })
        .collect();
    let noted = context
        .open_keystore(&loaded.settings)
        .and_then(|keystore| keystore.note_streams(&words, Timestamp::now()));
    match noted {
        Ok(()) => Status::Good,
        Err(error) => {
            warn(format_args!(
                "it is kept with the reports, but not in the audit log of the keystore: {error}"
            ));
            Status::Finding
        }
    }
}
