//! `zegel key list`

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{
        context::{self, Context},
        failure::Failure,
        organisations::date,
        output::{Table, warn},
        status::Status,
    },
    dkim::{Algorithm, Fingerprint},
    keystore::{KeyEntry, Keystore, Publication},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct ListArguments {
    /// The id of an organisation [default: all]
    #[arg(value_name = "ORG")]
    organisation: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ListedKey {
    organisation: OrganisationId,
    selector: Selector,
    algorithm: Algorithm,
    /// Unknown when the key file cannot be used.
    bits: Option<usize>,
    created: Timestamp,
    fingerprint: Fingerprint,
    domains: Vec<ListedDomain>,
}

#[derive(Serialize)]
struct ListedDomain {
    domain: DomainName,
    #[serde(flatten)]
    publication: Publication,
}

pub(super) fn run(arguments: &ListArguments, context: &mut Context) -> Result<Status, Failure> {
    let loaded = context.load()?;
    let wanted: Vec<&Organisation> = match &arguments.organisation {
        Some(id) => vec![context::organisation(&loaded, id)?],
        None => loaded.organisations.iter().collect(),
    };
    let keystore = Keystore::open(&loaded.settings.keystore_path)?;
    let mut keys = Vec::new();
    for organisation in wanted {
        match keystore.read_keyring(&organisation.id) {
            Err(error) => warn(error),
            Ok(keyring) => keys.extend(
                keyring
                    .keys()
                    .iter()
                    .map(|entry| listed(&keystore, &organisation.id, entry)),
            ),
        }
    }
    if arguments.json {
        context.output.json(&keys);
    } else if keys.is_empty() {
        context
            .output
            .line("there are no keys; make some with `zegel key generate ORG`");
    } else {
        context.output.line(table(&keys));
    }
    Ok(Status::Good)
}

fn listed(keystore: &Keystore, organisation: &OrganisationId, entry: &KeyEntry) -> ListedKey {
    let key = keystore
        .load_key(organisation, entry)
        .inspect_err(|problem| warn(problem));
    let publications = entry.publications.iter();
    ListedKey {
        organisation: organisation.clone(),
        selector: entry.selector.clone(),
        algorithm: entry.algorithm,
        bits: key.ok().map(|key| key.public_key().bits()),
        created: entry.created,
        fingerprint: entry.fingerprint,
        domains: publications
            .map(|(domain, publication)| ListedDomain {
                domain: domain.clone(),
                publication: *publication,
            })
            .collect(),
    }
}

fn table(keys: &[ListedKey]) -> Table<8> {
    let mut table = Table::new([
        "ORGANISATION",
        "SELECTOR",
        "ALGORITHM",
        "BITS",
        "CREATED",
        "DOMAIN",
        "STATE",
        "SINCE",
    ]);
    for key in keys {
        let row = |domain: String, state: String, since: String| {
            let bits = key.bits.map(|bits| bits.to_string());
            [
                key.organisation.to_string(),
                key.selector.to_string(),
                key.algorithm.to_string(),
                bits.unwrap_or_else(|| "?".to_owned()),
                date(key.created),
                domain,
                state,
                since,
            ]
        };
        if key.domains.is_empty() {
            table.row(row("-".to_owned(), "-".to_owned(), "-".to_owned()));
        }
        for listed in &key.domains {
            let Publication { state, since, .. } = listed.publication;
            table.row(row(
                listed.domain.to_string(),
                state.to_string(),
                date(since),
            ));
        }
    }
    table
}
