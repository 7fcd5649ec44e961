//! `zegel key generate`

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::{Timestamp, tz::TimeZone};

use super::addition::Addition;
use crate::{
    cli::{
        context::{self, Context, domains_of},
        failure::Failure,
        output::warn,
        status::Status,
    },
    dkim::Algorithm,
    keys::KeyEntry,
    keystore::{Keystore, NewKey, Target},
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
    #[arg(long, default_value = "2048", value_parser = rsa_bits())]
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
    PossibleValuesParser::new(["2048", "3072", "4096"]).try_map(|text| text.parse::<usize>())
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
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    let mut added = Vec::with_capacity(algorithms.len());
    for algorithm in algorithms {
        warn_of_other_algorithm(organisation, algorithm);
        // Outside the lock: it takes long.
        let key = NewKey::generate(algorithm, arguments.bits)?;
        let wanted = arguments.selector.as_ref();
        let entry = add(&keystore, organisation, (&key, wanted, &domains))?;
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
    (key, wanted, domains): (&NewKey, Option<&Selector>, &[DomainName]),
) -> Result<KeyEntry, Failure> {
    // A selector that is free under the lock stays so.
    let mut writer = keystore.writer()?;
    let selector = match wanted {
        Some(selector) => selector.clone(),
        None => free_selector(keystore, organisation)?,
    };
    let target = Target {
        organisation: &organisation.id,
        selector: &selector,
        domains,
    };
    Ok(writer.add(&target, key, Timestamp::now())?)
}

/// The first that the keyring does not know, and that no file has.
pub(super) fn free_selector(
    keystore: &Keystore,
    organisation: &Organisation,
) -> Result<Selector, Failure> {
    let id = &organisation.id;
    let keyring = keystore.read_keyring(id)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    organisation
        .selector
        .candidates(today)
        .find(|selector| {
            keyring.key(selector).is_none() && !keystore.key_path(id, selector).exists()
        })
        .ok_or_else(|| {
            Failure::Other(format!(
                "{id}: no selector of its template is free; name one with --selector"
            ))
        })
}
