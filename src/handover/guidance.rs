//! What holds for all records: how they are entered and checked, and how it goes on.

use std::time::Duration;

use jiff::ToSpan;

use super::{
    catalogue::{Catalogue, Inlines, fill},
    delegation::HORIZON_DAYS,
    document::{Block, Writer},
    pack::{DomainPack, DomainTasks, Pack, Task},
};

/// The CNAME variant, where it is asked for and there is a domain that sends.
pub(super) fn delegation(writer: &mut Writer<'_>) {
    let (pack, catalogue) = (writer.pack, writer.catalogue);
    let (Some(zone), Some(example)) = (&pack.delegation, example(pack)) else {
        return;
    };
    writer.section(catalogue.delegation, &[]);
    writer.paragraph(catalogue.delegation_what, &[("zone", zone.as_str())]);
    let until = pack.date.checked_add(HORIZON_DAYS.days());
    let until = catalogue.date(until.unwrap_or(jiff::civil::Date::MAX));
    writer.paragraph(catalogue.delegation_names, &[("date", &until)]);
    writer.paragraph(catalogue.delegation_beside, &[]);
    let target = format!("{}.{zone}", pack.organisation);
    let domain = example.domain.as_str();
    let values = [("target", target.as_str()), ("domain", domain)];
    writer.paragraph(catalogue.delegation_dot, &values);
    let sending = pack.domains.iter().filter(|domain| sends(domain));
    let lines =
        sending.map(|domain| format!("_domainkey.{}. 3600 IN DNAME {target}.", domain.domain));
    let label = fill(catalogue.delegation_dname, &[("domain", domain)]);
    writer.blocks.push(Block::Copy(label, lines.collect()));
}

/// The rest of the document.
pub(super) fn general(writer: &mut Writer<'_>) {
    let (pack, catalogue) = (writer.pack, writer.catalogue);
    let Some(example) = example(pack).or(pack.domains.first()) else {
        return;
    };
    let name = example_name(example);
    writer.section(catalogue.entering, &[]);
    let entering = entering(pack, catalogue, example, &name);
    writer.blocks.push(Block::List(entering));
    writer.section(catalogue.checking, &[]);
    let placements = example.placements(&name);
    let zone = placements.first().map_or("", |placement| &placement.zone);
    let values = [("name", name.as_str()), ("zone", zone)];
    let sentences = [
        catalogue.check_servers,
        catalogue.check_output,
        catalogue.check_windows,
        catalogue.check_early,
    ];
    let checking = sentences.map(|sentence| fill(sentence, &values));
    writer.blocks.push(Block::List(checking.into()));
    later(writer);
}

fn entering(pack: &Pack, catalogue: &Catalogue, example: &DomainPack, name: &str) -> Vec<Inlines> {
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

fn later(writer: &mut Writer<'_>) {
    let (pack, catalogue) = (writer.pack, writer.catalogue);
    if !pack.domains.iter().any(sends) {
        return;
    }
    writer.section(catalogue.later, &[]);
    if pack.delegation.is_none() {
        let rotate = catalogue.duration(pack.rotate_every);
        let lead = catalogue.duration(pack.lead_time);
        let values = [("rotate", rotate.as_str()), ("lead", lead.as_str())];
        writer.paragraph(catalogue.later_rotation, &values);
        let drain = drain(pack, catalogue);
        writer.paragraph(catalogue.later_drain, &[("drain", &drain)]);
    }
    writer.paragraph(catalogue.other_checks, &[]);
}

/// How long a former key is needed, in words; in whole days where it is days.
pub(super) fn drain(pack: &Pack, catalogue: &Catalogue) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = pack.drain.as_secs();
    let whole = if seconds > 2 * DAY {
        seconds.div_ceil(DAY) * DAY
    } else {
        seconds
    };
    catalogue.duration(Duration::from_secs(whole))
}

fn sends(domain: &DomainPack) -> bool {
    matches!(domain.tasks, DomainTasks::Sending { .. })
}

/// The domain that examples are taken from: one that sends.
fn example(pack: &Pack) -> Option<&DomainPack> {
    pack.domains.iter().find(|domain| sends(domain))
}

/// The whole name of a record to show things on, one to be added if there is.
fn example_name(domain: &DomainPack) -> String {
    let record = match &domain.tasks {
        DomainTasks::Sending { keys, coming } => {
            let added = keys.iter().filter(|key| key.task == Task::Add);
            let records = added.chain(keys).filter_map(|key| key.record.as_ref());
            records.chain(coming).next()
        }
        DomainTasks::Parked { records, .. } => records.last(),
    };
    let name = record.map(|record| record.name.clone());
    name.unwrap_or_else(|| format!("SELECTOR._domainkey.{}", domain.domain))
}
