//! `zegel key generate`

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;

use super::addition::Addition;
use crate::{
    cli::{
        context::{self, Context, domains_of},
        failure::Failure,
        keystore::open_or_initialise,
        output::warn,
        status::Status,
    },
    dkim::{Algorithm, key::NEW_RSA_BITS},
    keys::{KeyEntry, NewKey},
    keystore::{Keystore, KeystoreError, Target},
    names::{DomainName, Selector},
    organisation::Organisation,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct GenerateArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// rsa-sha256 or ed25519-sha256 [default: each of the organisation's]
    #[arg(long)]
    algorithm: Option<Algorithm>,

    /// The size of an RSA key
    #[arg(long, default_value_t = NEW_RSA_BITS[0], value_parser = rsa_bits())]
    bits: usize,

    /// The selector [default: the next free one by the organisation's template]
    #[arg(long)]
    selector: Option<Selector>,

    /// Only for this domain; may be given several times [default: all of the organisation's]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn rsa_bits() -> impl TypedValueParser<Value = usize> {
    // clap wants words that live as long as the program; this is called once.
    let words = NEW_RSA_BITS.map(|bits| &*bits.to_string().leak());
    PossibleValuesParser::new(words).try_map(|text| text.parse::<usize>())
}

pub(super) fn run(arguments: &GenerateArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let organisation = context::organisation(&loaded, &arguments.organisation)?;
    let domains = target_domains(organisation, &arguments.domains)?;
    let algorithms = match arguments.algorithm {
        Some(algorithm) => vec![algorithm],
        None => organisation.algorithms.clone(),
    };
    if arguments.selector.is_some() && algorithms.len() > 1 {
        return Err(Failure::Usage(format!(
            "{} has several algorithms, and each key needs a selector of its own: name one of \
             them with --algorithm",
            organisation.id
        )));
    }
    let keystore = open_or_initialise(context, &loaded.settings)?;
    let mut added = Vec::with_capacity(algorithms.len());
    for algorithm in algorithms {
        warn_of_other_algorithm(organisation, algorithm);
        // Outside the lock: it takes long.
        let key = NewKey::generate(algorithm, arguments.bits).map_err(KeystoreError::from)?;
        let wanted = arguments.selector.as_ref();
        let entry = add(&keystore, organisation, &key, wanted, &domains)?;
        added.push(Addition::new(&keystore, &organisation.id, &entry)?);
    }
    if arguments.json {
        context.output.json(&added);
        return Ok(Status::Good);
    }
    for addition in &added {
        addition.print(&mut context.output);
        addition.print_next_step(&mut context.output);
    }
    Ok(Status::Good)
}

/// Those that are named, or all.
pub(super) fn target_domains(
    organisation: &Organisation,
    named: &[DomainName],
) -> Result<Vec<DomainName>, Failure> {
    let domains = if named.is_empty() {
        organisation.domains.clone()
    } else {
        domains_of(organisation, named)?
    };
    if domains.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has only parked domains, which need no key",
            organisation.id
        )));
    }
    Ok(domains)
}

pub(super) fn warn_of_other_algorithm(organisation: &Organisation, algorithm: Algorithm) {
    if !organisation.algorithms.contains(&algorithm) {
        let id = &organisation.id;
        warn(format_args!(
            "{algorithm} is not among the algorithms of {id}, so the key will not sign; add it \
             to algorithms in orgs.d/{id}.toml"
        ));
    }
}

fn add(
    keystore: &Keystore,
    organisation: &Organisation,
    key: &NewKey,
    selector: Option<&Selector>,
    domains: &[DomainName],
) -> Result<KeyEntry, Failure> {
    // A selector that is free under the lock stays so.
    let mut writer = keystore.writer()?;
    let now = Timestamp::now();
    let Some(selector) = selector else {
        let added = writer.add_next(organisation, domains, key, now);
        return added.map_err(|error| match error {
            KeystoreError::NoFreeSelector(id) => Failure::Other(format!(
                "{id}: no selector of its template is free; name one with --selector"
            )),
            other => other.into(),
        });
    };
    let target = Target {
        organisation: &organisation.id,
        selector,
        domains,
    };
    Ok(writer.add(&target, key, now)?)
}
