//! `zegel key generate`: makes the keys that an organisation lacks, and shows those that wait. The
//! keeper makes keys as well, so an operator or a script that asks for one would often get a
//! second.

use std::collections::BTreeMap;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;

use super::addition::{Addition, Additions};
use crate::{
    cli::{
        context::{self, Context, domains_of},
        failure::Failure,
        keystore::open_or_initialise,
        output::{date, warn},
        status::Status,
    },
    dkim::{Algorithm, key::NEW_RSA_BITS},
    keys::{KeyEntry, NewKey},
    keystore::{KeyProblem, Keystore, KeystoreError, Target, Writer},
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

    /// The size of an RSA key [default: 2048]
    #[arg(long, value_parser = rsa_bits())]
    bits: Option<usize>,

    /// The selector [default: the next free one by the organisation's template]
    #[arg(long)]
    selector: Option<Selector>,

    /// Only for this domain; may be given several times [default: all of the organisation's]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<DomainName>,

    /// Make one more key where one waits already, instead of showing that one
    #[arg(long)]
    another: bool,

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
    let loaded = context.load_of(&arguments.organisation)?;
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
    let wishes: Vec<Wish<'_>> = algorithms
        .into_iter()
        .map(|algorithm| Wish {
            arguments,
            organisation,
            algorithm,
            domains: &domains,
        })
        .collect();
    // What contradicts a key that waits is said before any key is made.
    for wish in &wishes {
        wish.look(&keystore)?;
    }
    let mut additions = Vec::with_capacity(wishes.len());
    for wish in &wishes {
        warn_of_other_algorithm(organisation, wish.algorithm);
        additions.extend(wish.fulfil(&keystore)?);
    }
    if arguments.json {
        context.output.json(&Additions { keys: &additions });
        return Ok(Status::Good);
    }
    for addition in &additions {
        addition.print(&mut context.output);
        addition.print_next_step(organisation, &mut context.output);
    }
    Ok(Status::Good)
}

/// Those that are named, or all.
pub(super) fn target_domains(
    organisation: &Organisation,
    named: &[DomainName],
) -> Result<Vec<DomainName>, Failure> {
    let domains = if named.is_empty() {
        organisation.keyed().cloned().collect()
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

/// A key of one algorithm for these domains.
struct Wish<'a> {
    arguments: &'a GenerateArguments,
    organisation: &'a Organisation,
    algorithm: Algorithm,
    domains: &'a [DomainName],
}

/// What there is of it.
#[derive(Default)]
struct Look {
    /// Keys that wait, and for which of the domains.
    waiting: Vec<(KeyEntry, Vec<DomainName>)>,
    /// The domains for which none waits.
    without: Vec<DomainName>,
    /// Keys that wait and can't be used.
    unusable: Vec<KeyProblem>,
}

impl Wish<'_> {
    /// Which of the domains have a key that waits. Refuses options that such a key does not have.
    fn look(&self, keystore: &Keystore) -> Result<Look, Failure> {
        let mut look = Look::default();
        if self.arguments.another {
            look.without = self.domains.to_vec();
            return Ok(look);
        }
        let keyring = keystore.read_keyring(&self.organisation.id)?;
        let mut waiting: BTreeMap<&Selector, (&KeyEntry, Vec<DomainName>)> = BTreeMap::new();
        for domain in self.domains {
            match keyring.waiting_key(domain, self.algorithm) {
                Some(entry) => {
                    let (_, domains) = waiting.entry(&entry.selector).or_insert((entry, vec![]));
                    domains.push(domain.clone());
                }
                None => look.without.push(domain.clone()),
            }
        }
        for (entry, mut domains) in waiting.into_values() {
            domains.sort_unstable();
            match keystore.load_key(&self.organisation.id, entry) {
                Ok(key) => {
                    self.check_same(entry, key.public_key().bits())?;
                    look.waiting.push((entry.clone(), domains));
                }
                // It would wait for ever.
                Err(problem) => {
                    look.without.extend(domains);
                    look.unusable.push(*problem);
                }
            }
        }
        Ok(look)
    }

    /// Whether the key that waits is the one that the options ask for.
    fn check_same(&self, entry: &KeyEntry, bits: usize) -> Result<(), Failure> {
        let (arguments, selector) = (self.arguments, &entry.selector);
        let other_selector = arguments.selector.as_ref().is_some_and(|it| it != selector);
        let is_rsa = self.algorithm == Algorithm::RsaSha256;
        let other_bits = is_rsa && arguments.bits.is_some_and(|it| it != bits);
        if !other_selector && !other_bits {
            return Ok(());
        }
        let id = &self.organisation.id;
        Err(Failure::Other(format!(
            "no key was made: {selector} of {id} ({}, {bits} bits) was made on {} and still waits. \
             `zegel key generate {id}` without this option shows it; with --another, one more is \
             made",
            entry.algorithm,
            date(entry.created)
        )))
    }

    /// Gives the keys that wait, and makes one for the domains without.
    fn fulfil(&self, keystore: &Keystore) -> Result<Vec<Addition>, Failure> {
        let look = self.look(keystore)?;
        if look.without.is_empty() {
            return self.waiting(keystore, &look);
        }
        // Outside the lock: it takes long.
        let bits = self.arguments.bits.unwrap_or(NEW_RSA_BITS[0]);
        let key = NewKey::generate(self.algorithm, bits).map_err(KeystoreError::from)?;
        // A selector that is free under the lock stays so; and the keeper may have made a key
        // meanwhile.
        let organisation = self.organisation;
        let mut writer = keystore.writer_of([&organisation.id], &organisation.domains)?;
        let look = self.look(keystore)?;
        for problem in &look.unusable {
            warn(format_args!("{problem}; another key is made"));
        }
        let mut additions = self.waiting(keystore, &look)?;
        if !look.without.is_empty() {
            let entry = self.add(&mut writer, &key, &look.without)?;
            additions.push(Addition::new(keystore, &self.organisation.id, &entry)?.made());
        }
        Ok(additions)
    }

    fn waiting(&self, keystore: &Keystore, look: &Look) -> Result<Vec<Addition>, Failure> {
        let waiting = look.waiting.iter();
        waiting
            .map(|(entry, domains)| {
                Addition::waiting(keystore, &self.organisation.id, (entry, domains))
            })
            .collect()
    }

    fn add(
        &self,
        writer: &mut Writer,
        key: &NewKey,
        domains: &[DomainName],
    ) -> Result<KeyEntry, Failure> {
        let now = Timestamp::now();
        let Some(selector) = &self.arguments.selector else {
            let added = writer.add_next(self.organisation, domains, key, now);
            return added.map_err(|error| match error {
                KeystoreError::NoFreeSelector(id) => Failure::Other(format!(
                    "{id}: no selector of its template is free; name one with --selector"
                )),
                other => other.into(),
            });
        };
        let target = Target {
            organisation: &self.organisation.id,
            selector,
            domains,
        };
        Ok(writer.add(&target, key, now)?)
    }
}
