//! `zegel report name`: the operator's word for a stream.

use clap::{Args, ValueEnum, builder::PossibleValue};
use jiff::Timestamp;
use serde::Serialize;

use super::{state_advice, store_there};
use crate::{
    cli::{
        context::Context,
        failure::Failure,
        output::printable,
        report::streams::{everything, sort},
        status::Status,
    },
    evidence::{
        Store,
        streams::{Class, Name},
    },
    names::DomainName,
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
    let all = sort(&store, &loaded, &arguments.domain, everything())?;
    drop(store);
    let named: Vec<String> = match &arguments.stream {
        // A name may be taken back when the stream is gone.
        Some(id) if arguments.forget || all.iter().any(|stream| stream.id == *id) => {
            vec![id.clone()]
        }
        Some(id) => {
            return Err(Failure::Usage(format!(
                "{domain} has no stream {id}; zegel report streams {domain} lists them"
            )));
        }
        None => all
            .into_iter()
            .filter(|stream| stream.class == Class::Unknown && stream.aligned == 0)
            .map(|stream| stream.id)
            .collect(),
    };
    let name = arguments.class.map(|class| Name {
        class,
        label: arguments.label.clone(),
        owner: arguments.owner.clone(),
    });
    let written = Store::open(&settings.state).and_then(|mut store| {
        store.begin()?;
        for id in &named {
            store.set_name(domain, id, name.as_ref(), Timestamp::now().as_second())?;
        }
        store.commit()
    });
    written.map_err(|error| state_advice(&error))?;
    if arguments.json {
        context.output.json(&Document {
            domain: &arguments.domain,
            streams: &named,
            class: arguments.class,
            label: arguments.label.as_deref(),
            owner: arguments.owner.as_deref(),
        });
        return Ok(Status::Good);
    }
    for id in &named {
        let said = match arguments.class {
            Some(class) => format!("{id}: {class}"),
            None => format!("{id}: nothing is said of it"),
        };
        context.output.line(printable(&said));
    }
    Ok(Status::Good)
}
