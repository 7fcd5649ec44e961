//! The first keys of organisations that were added: as `zegel key generate` makes them, many at
//! once.

use std::{collections::HashSet, num::NonZero, panic::resume_unwind, sync::Arc, thread};

use jiff::Timestamp;

use crate::{
    cli::{failure::Failure, output::complain},
    dkim::{Algorithm, key::NEW_RSA_BITS},
    keys::{Keyring, NewKey, State, Timing},
    keystore::{BATCH, Keystore, KeystoreError, NextKey, Writer},
    names::{DomainName, OrganisationId, Selector},
    organisation::Organisation,
};

/// Fewer keys than this are written one by one.
const FEW: usize = 8;

/// The keys that were made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) keys: HashSet<(OrganisationId, Selector)>,
    /// Whether an organisation did not get its key, which was said.
    pub(super) is_incomplete: bool,
}

/// A key that is lacking.
struct Wish<'a> {
    organisation: &'a Organisation,
    algorithm: Algorithm,
}

/// Makes what these organisations lack. The keeper may do the same meanwhile: there is one key
/// all the same.
pub(super) fn make(
    keystore: &Keystore,
    organisations: &[Arc<Organisation>],
    timing: &Timing,
) -> Result<Made, Failure> {
    let mut wishes = Vec::new();
    for organisation in organisations {
        let keyring = keystore.read_keyring(&organisation.id)?;
        for algorithm in &organisation.algorithms {
            let wish = Wish {
                organisation,
                algorithm: *algorithm,
            };
            if !wish.domains_without(&keyring).is_empty() {
                wishes.push(wish);
            }
        }
    }
    let mut made = Made::default();
    for wishes in wishes.chunks(BATCH) {
        // Outside the lock: it takes long.
        let keys = generate(wishes)?;
        add(keystore, wishes, &keys, timing, &mut made)?;
    }
    Ok(made)
}

impl Wish<'_> {
    /// The domains for which no key of the algorithm signs or is to.
    fn domains_without(&self, keyring: &Keyring) -> Vec<DomainName> {
        let has_key = |domain: &DomainName| {
            let mut keys = keyring.keys().iter();
            keys.any(|key| {
                let state = key.state(domain);
                let is_to_sign = matches!(
                    state,
                    Some(State::Generated | State::Published | State::Active)
                );
                key.algorithm == self.algorithm && is_to_sign
            })
        };
        let domains = self.organisation.domains.iter();
        domains.filter(|domain| !has_key(domain)).cloned().collect()
    }
}

/// On all processors: an RSA key takes a good part of a second.
fn generate(wishes: &[Wish<'_>]) -> Result<Vec<NewKey>, Failure> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = wishes.len().div_ceil(threads).max(1);
    let work = |share: &[Wish<'_>]| -> Vec<_> {
        let keys = share
            .iter()
            .map(|wish| NewKey::generate(wish.algorithm, NEW_RSA_BITS[0]));
        keys.collect()
    };
    let keys: Vec<_> = thread::scope(|scope| {
        let shares = wishes.chunks(share);
        let running: Vec<_> = shares
            .map(|share| scope.spawn(move || work(share)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let keys: Result<Vec<NewKey>, _> = keys.into_iter().collect();
    Ok(keys.map_err(KeystoreError::from)?)
}

fn add(
    keystore: &Keystore,
    wishes: &[Wish<'_>],
    keys: &[NewKey],
    timing: &Timing,
    made: &mut Made,
) -> Result<(), Failure> {
    let organisations = wishes.iter().map(|wish| &wish.organisation.id);
    let domains = wishes.iter().flat_map(|wish| &wish.organisation.domains);
    let mut writer = keystore.writer_of(organisations, domains)?;
    let mut lacking = Vec::with_capacity(wishes.len());
    for (wish, key) in wishes.iter().zip(keys) {
        let keyring = keystore.read_keyring(&wish.organisation.id)?;
        lacking.push((wish.organisation, wish.domains_without(&keyring), key));
    }
    let next: Vec<NextKey<'_>> = lacking
        .iter()
        .filter(|(_, domains, _)| !domains.is_empty())
        .map(|(organisation, domains, key)| NextKey {
            organisation,
            domains,
            key,
        })
        .collect();
    let answers = add_next(&mut writer, &next, timing)?;
    for (one, answer) in next.iter().zip(answers) {
        let id = &one.organisation.id;
        match answer {
            Ok(selector) => {
                made.keys.insert((id.clone(), selector));
            }
            Err(error) => {
                complain(format_args!("{id}: no key was made: {error}"));
                made.is_incomplete = true;
            }
        }
    }
    Ok(())
}

fn add_next(
    writer: &mut Writer,
    next: &[NextKey<'_>],
    timing: &Timing,
) -> Result<Vec<Result<Selector, KeystoreError>>, KeystoreError> {
    let now = Timestamp::now();
    if next.len() >= FEW {
        return writer.add_all_next(next, timing, now);
    }
    // The rest of the file system may be busy with mail, and is not waited for.
    let add = |one: &NextKey<'_>| {
        let added = writer.add_next(one.organisation, one.domains, one.key, now);
        added.map(|entry| entry.selector)
    };
    Ok(next.iter().map(add).collect())
}
