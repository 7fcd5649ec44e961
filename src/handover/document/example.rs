//! What is shown by the example of one record: how it is entered.

use super::sends;
use crate::{
    handover::{
        catalogue::Catalogue,
        pack::{DomainPack, DomainTasks, Pack},
    },
    keys::Task,
    paper::{Inlines, fill},
};

pub(super) fn entering(
    pack: &Pack,
    catalogue: &Catalogue,
    example: &DomainPack,
    name: &str,
) -> Vec<Inlines> {
    let placements = example.placements(name);
    let zone = placements.first().map_or("", |placement| &placement.zone);
    let wrong = format!("{name}.{zone}");
    let mut sentences = vec![
        catalogue.enter_zone_name,
        catalogue.enter_quotes,
        catalogue.enter_semicolon,
        catalogue.enter_length,
        catalogue.enter_exact,
        catalogue.enter_ttl,
    ];
    if pack.has_keys() {
        sentences.push(catalogue.enter_beside);
    }
    let names = || pack.domains.iter().map(|domain| &domain.domain);
    if names().any(|domain| domain.unicode() != domain.as_str()) {
        sentences.push(catalogue.enter_idn);
    }
    let fill = |sentence| fill(sentence, &[("wrong", wrong.as_str())]);
    sentences.into_iter().map(fill).collect()
}

/// The domain that examples are taken from: one that sends.
pub(super) fn example(pack: &Pack) -> Option<&DomainPack> {
    pack.domains.iter().find(|domain| sends(domain))
}

/// The whole name of a record to show things on, one to be added if there is.
pub(super) fn example_name(domain: &DomainPack) -> String {
    let record = match &domain.tasks {
        DomainTasks::Sending { keys, coming, .. } => keys
            .iter()
            .filter(|key| matches!(key.task, Task::Add | Task::Mend | Task::Restore))
            .chain(keys)
            .filter_map(|key| key.record.as_ref())
            .chain(coming)
            .next(),
        DomainTasks::Parked { records, .. } => records.last(),
    };
    let delegated = match &domain.tasks {
        DomainTasks::Sending { keys, .. } => keys.iter().find(|key| key.is_delegated),
        DomainTasks::Parked { .. } => None,
    };
    let name = record.map(|record| &record.name);
    let name = name.or(delegated.map(|key| &key.name));
    name.map_or_else(
        || format!("SELECTOR._domainkey.{}", domain.domain),
        Clone::clone,
    )
}
