//! The pack as a document: headings, sentences and records, in one language, before it is
//! known whether it becomes text, Markdown or HTML.

mod example;
mod leaving;
mod seen;

use std::time::Duration;

use jiff::ToSpan;

use self::example::{entering, example, example_name};
pub(super) use self::seen::policy_line;
use super::{
    catalogue::Catalogue,
    delegation::{DelegationPack, HORIZON_DAYS},
    pack::{DomainPack, DomainTasks, KeyPack, Pack},
    record::ResourceRecord,
};
use crate::{
    keys::{State, Task, Way, What},
    paper::{Block, Inlines, code, fill, words},
    words::Language,
};

pub(super) fn write(pack: &Pack, catalogue: &'static Catalogue, language: Language) -> Vec<Block> {
    let mut writer = Writer {
        pack,
        catalogue,
        language,
        blocks: Vec::new(),
    };
    writer.top();
    writer.leaving();
    writer.summary();
    writer.delegation();
    for domain in &pack.domains {
        writer.domain(domain);
    }
    writer.general();
    writer.blocks
}

/// Only what concerns the domains that leave.
pub(super) fn write_farewell(
    pack: &Pack,
    catalogue: &'static Catalogue,
    language: Language,
) -> Vec<Block> {
    let mut writer = Writer {
        pack,
        catalogue,
        language,
        blocks: Vec::new(),
    };
    writer.head(catalogue.leaving_title);
    writer.leaving();
    writer.blocks
}

struct Writer<'a> {
    pack: &'a Pack,
    catalogue: &'static Catalogue,
    language: Language,
    blocks: Vec<Block>,
}

impl Writer<'_> {
    fn section(&mut self, sentence: &str, values: &[(&str, &str)]) {
        self.blocks.push(Block::Section(fill(sentence, values)));
    }

    fn paragraph(&mut self, sentence: &str, values: &[(&str, &str)]) {
        self.blocks.push(Block::Paragraph(fill(sentence, values)));
    }

    fn top(&mut self) {
        let (pack, catalogue) = (self.pack, self.catalogue);
        self.head(catalogue.title);
        let name = [("name", pack.name.as_str())];
        self.paragraph(catalogue.introduction, &name);
        self.paragraph(catalogue.public_only, &[]);
    }

    /// What every letter begins with.
    fn head(&mut self, title: &str) {
        let (pack, catalogue) = (self.pack, self.catalogue);
        let name = [("name", pack.name.as_str())];
        self.blocks.push(Block::Title(fill(title, &name)));
        let id = format!("{} ({})", pack.name, pack.organisation);
        let mut facts = vec![(words(catalogue.organisation), words(id))];
        if let Some(contact) = &pack.contact {
            facts.push((words(catalogue.contact), words(contact)));
        }
        let date = catalogue.date(pack.date);
        facts.push((words(catalogue.made_on), words(date)));
        let from = [
            (catalogue.sender, &pack.sender),
            (catalogue.questions, &pack.questions),
        ];
        for (label, value) in from {
            facts.extend(value.as_ref().map(|value| (words(label), words(value))));
        }
        self.blocks.push(Block::Facts(facts));
        if let Some(note) = &pack.note {
            self.blocks.push(Block::Paragraph(words(note)));
        }
    }

    fn summary(&mut self) {
        self.section(self.catalogue.summary, &[]);
        let domains = self.pack.domains.iter();
        let tasks: Vec<Inlines> = domains
            .flat_map(|domain| tasks(domain, self.catalogue))
            .collect();
        if tasks.is_empty() {
            self.paragraph(self.catalogue.nothing_to_do, &[]);
        } else {
            self.blocks.push(Block::List(tasks));
        }
    }

    /// The CNAME variant, where it is asked for and there is a domain that sends.
    fn delegation(&mut self) {
        let (pack, catalogue) = (self.pack, self.catalogue);
        let (Some(zone), Some(example)) = (
            &pack.delegation,
            pack.domains.iter().find(|domain| takes_aliases(domain)),
        ) else {
            return;
        };
        self.section(catalogue.delegation, &[]);
        self.paragraph(catalogue.delegation_what, &[("zone", zone.as_str())]);
        let until = pack.date.checked_add(HORIZON_DAYS.days());
        let until = catalogue.date(until.unwrap_or(jiff::civil::Date::MAX));
        self.paragraph(catalogue.delegation_names, &[("date", &until)]);
        self.paragraph(catalogue.delegation_beside, &[]);
        let target = format!("{}.{zone}", pack.organisation);
        let domain = example.domain.as_str();
        let values = [("target", target.as_str()), ("domain", domain)];
        self.paragraph(catalogue.delegation_dot, &values);
        let sending = pack.domains.iter().filter(|domain| takes_aliases(domain));
        let lines =
            sending.map(|domain| format!("_domainkey.{}. 3600 IN DNAME {target}.", domain.domain));
        let label = fill(catalogue.delegation_dname, &[("domain", domain)]);
        self.blocks.push(Block::Copy(label, lines.collect()));
    }

    fn domain(&mut self, domain: &DomainPack) {
        let catalogue = self.catalogue;
        let name = domain.domain.as_str();
        let heading = match &domain.tasks {
            DomainTasks::Sending { .. } => catalogue.domain,
            DomainTasks::Parked { .. } => catalogue.parked_domain,
        };
        self.section(heading, &[("domain", name)]);
        let unicode = domain.domain.unicode();
        if unicode != name {
            let values = [("domain", name), ("unicode", &*unicode)];
            self.paragraph(catalogue.unicode_domain, &values);
        }
        match &domain.tasks {
            DomainTasks::Sending {
                keys,
                coming,
                policies,
            } => {
                if keys.is_empty() && coming.is_empty() && domain.delegation.is_none() {
                    self.paragraph(catalogue.no_keys, &[]);
                }
                self.handed_over(domain);
                for key in keys.iter().filter(|key| !key.is_delegated) {
                    self.key(domain, key);
                }
                self.coming(domain, coming);
                for policy in policies {
                    self.policy(domain, policy);
                }
            }
            DomainTasks::Parked {
                records,
                waits_for,
                wildcards,
                remove,
                ..
            } => {
                self.paragraph(catalogue.parked_what, &[]);
                if let Some(below) = waits_for {
                    self.paragraph(catalogue.parked_waits, &[("below", below.as_str())]);
                }
                self.paragraph(catalogue.parked_exact, &[]);
                for record in records {
                    self.record(domain, record);
                }
                self.parked_removal(name, remove);
                self.paragraph(catalogue.parked_wildcards, &[]);
                for record in wildcards {
                    self.record(domain, record);
                }
            }
        }
    }

    /// What is to be done once, or that nothing is, where the keys are in the operator's zone.
    fn handed_over(&mut self, domain: &DomainPack) {
        let catalogue = self.catalogue;
        let Some(delegation) = &domain.delegation else {
            return;
        };
        if !delegation.is_asked {
            return self.paragraph(catalogue.delegation_done, &[]);
        }
        if delegation.way == Way::Cname {
            return;
        }
        let line = delegation_line(domain.domain.as_str(), delegation, catalogue);
        self.blocks.push(if delegation.urgent {
            Block::Urgent(line)
        } else {
            Block::Paragraph(line)
        });
        let name = [("domain", domain.domain.as_str())];
        let what = match delegation.way {
            Way::Ns => catalogue.delegation_ns_what,
            _ => catalogue.delegation_dname_what,
        };
        self.paragraph(what, &name);
        for record in &delegation.records {
            self.record(domain, record);
        }
        self.paragraph(catalogue.delegation_last, &name);
    }

    fn parked_removal(&mut self, domain: &str, remove: &[String]) {
        let catalogue = self.catalogue;
        self.paragraph(catalogue.parked_remove, &[("domain", domain)]);
        if !remove.is_empty() {
            let drain = drain(self.pack, catalogue);
            self.paragraph(catalogue.parked_remove_keys, &[("drain", &drain)]);
            self.blocks
                .push(Block::List(remove.iter().map(code).collect()));
        }
    }

    fn key(&mut self, domain: &DomainPack, key: &KeyPack) {
        let catalogue = self.catalogue;
        let heading = fill(catalogue.key, &[("selector", key.selector.as_str())]);
        self.blocks.push(Block::Subsection(heading));
        let line = task_line(key, catalogue);
        self.blocks.push(if key.urgent {
            Block::Urgent(line)
        } else {
            Block::Paragraph(line)
        });
        let date = key
            .date
            .map(|date| catalogue.date(date))
            .unwrap_or_default();
        let next = self.next(key);
        self.paragraph(next, &[("date", &date)]);
        let mut facts = vec![state(key, catalogue)];
        facts.extend(self.seen_of(key));
        facts.extend(self.place(domain, &key.name));
        if let Some(record) = &key.record {
            self.facts_of(facts, record);
        } else {
            facts.push(self.check("TXT", &key.name));
            self.blocks.push(Block::Facts(facts));
        }
    }

    /// What happens next with a key, and why.
    fn next(&self, key: &KeyPack) -> &'static str {
        let catalogue = self.catalogue;
        let delegated = self.pack.delegation.is_some();
        match (key.task, &key.next) {
            (Task::Remove, _) if delegated => catalogue.delegated_remove,
            (Task::Remove, _) => catalogue.next_removed,
            (Task::Empty, _) if key.urgent => catalogue.next_revoked,
            (Task::Empty, _) => catalogue.next_empty,
            (Task::Restore, _) => catalogue.next_restored,
            (Task::Mend, _) if key.publication.state == State::Active => catalogue.next_restored,
            (Task::Add | Task::Mend, _) if key.follows_another => catalogue.next_successor,
            (Task::Add | Task::Mend, _) => catalogue.next_first,
            (Task::Keep, _) if delegated => catalogue.delegated_keep,
            (Task::Keep, What::KeepRecord | What::AwaitReports | What::MendClock) => {
                catalogue.next_draining
            }
            (Task::Keep, What::AwaitSuccessor(_)) => catalogue.next_followed,
            (Task::Keep, What::MakeSuccessor) => catalogue.next_active,
            (Task::Keep, What::SignUntil) => catalogue.next_leaving,
            (Task::Keep, What::Configure | What::Leave) => catalogue.next_kept,
            (Task::Keep, _) => catalogue.next_published,
        }
    }

    fn coming(&mut self, domain: &DomainPack, records: &[ResourceRecord]) {
        if records.is_empty() {
            return;
        }
        let name = [("domain", domain.domain.as_str())];
        let heading = fill(self.catalogue.coming, &name);
        self.blocks.push(Block::Subsection(heading));
        let places = |record: &ResourceRecord| domain.placements(&record.name).into_iter().next();
        let zone = places(&records[0]).map_or_else(String::new, |place| place.zone);
        self.paragraph(self.catalogue.coming_columns, &[("zone", &zone)]);
        let line = |record: &ResourceRecord| {
            let name = places(record).map_or_else(|| record.name.clone(), |place| place.relative);
            (code(name), code(record.data.value()))
        };
        self.blocks
            .push(Block::Facts(records.iter().map(line).collect()));
        let label = words(self.catalogue.coming_lines);
        let lines = records.iter().map(ToString::to_string).collect();
        self.blocks.push(Block::Copy(label, lines));
    }

    fn record(&mut self, domain: &DomainPack, record: &ResourceRecord) {
        let facts = self.place(domain, &record.name);
        self.facts_of(facts, record);
    }

    /// A record as a table of facts and values to copy.
    fn facts_of(&mut self, mut facts: Vec<(Inlines, Inlines)>, record: &ResourceRecord) {
        let catalogue = self.catalogue;
        let kind = record.data.record_type();
        facts.push((words(catalogue.record_type), code(kind)));
        facts.push((words(catalogue.ttl), code(record.ttl.to_string())));
        // Through a CNAME the question for the TXT shows both.
        let asked = if kind == "CNAME" { "TXT" } else { kind };
        facts.push(self.check(asked, &record.name));
        self.blocks.push(Block::Facts(facts));
        let label = fill(catalogue.value, &[("name", &record.name)]);
        self.blocks
            .push(Block::Copy(label, vec![record.data.value()]));
        let strings = record.data.strings();
        if strings.len() > 1 {
            let quoted = strings.iter().map(|text| super::record::quoted(text));
            let label = words(catalogue.value_in_parts);
            self.blocks.push(Block::Copy(label, quoted.collect()));
        }
    }

    /// The names of a record: in the likely zone, in the other one, in full.
    fn place(&self, domain: &DomainPack, name: &str) -> Vec<(Inlines, Inlines)> {
        let catalogue = self.catalogue;
        let placements = domain.placements(name).into_iter().enumerate();
        let mut facts: Vec<(Inlines, Inlines)> = placements
            .map(|(place, placement)| {
                let sentence = match place {
                    0 => catalogue.name_in_zone,
                    _ => catalogue.name_otherwise,
                };
                let label = fill(sentence, &[("zone", &placement.zone)]);
                (label, code(placement.relative))
            })
            .collect();
        facts.push((words(catalogue.whole_name), code(format!("{name}."))));
        facts
    }

    fn check(&self, kind: &str, name: &str) -> (Inlines, Inlines) {
        let command = format!("dig +short {kind} {}", shell_word(name));
        (words(self.catalogue.check_with), code(command))
    }

    /// The rest of the document.
    fn general(&mut self) {
        let (pack, catalogue) = (self.pack, self.catalogue);
        let Some(example) = example(pack).or(pack.domains.first()) else {
            return;
        };
        let name = example_name(example);
        self.section(catalogue.entering, &[]);
        let entering = entering(pack, catalogue, example, &name);
        self.blocks.push(Block::List(entering));
        self.section(catalogue.checking, &[]);
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
        self.blocks.push(Block::List(checking.into()));
        self.later();
    }

    fn later(&mut self) {
        let (pack, catalogue) = (self.pack, self.catalogue);
        if !pack.domains.iter().any(sends) {
            return;
        }
        self.section(catalogue.later, &[]);
        let rotates = |domain: &DomainPack| sends(domain) && domain.delegation.is_none();
        let by_option = pack.delegation.is_some()
            && pack
                .domains
                .iter()
                .all(|domain| domain.delegation.is_none());
        if !by_option && pack.domains.iter().any(rotates) {
            let rotate = catalogue.duration(pack.rotate_every);
            let lead = catalogue.duration(pack.lead_time);
            let values = [("rotate", rotate.as_str()), ("lead", lead.as_str())];
            self.paragraph(catalogue.later_rotation, &values);
            let drain = drain(pack, catalogue);
            self.paragraph(catalogue.later_drain, &[("drain", &drain)]);
        }
        self.paragraph(catalogue.other_checks, &[]);
    }
}

/// What is to be done in a domain, one line each; nothing for what only has to stay.
fn tasks(domain: &DomainPack, catalogue: &Catalogue) -> Vec<Inlines> {
    let name = domain.domain.as_str();
    match &domain.tasks {
        DomainTasks::Sending {
            keys,
            coming,
            policies,
        } => {
            let handed = domain.delegation.as_ref().filter(|one| one.is_asked);
            let handed = handed.filter(|one| one.way != Way::Cname);
            let handed = handed.map(|one| delegation_line(name, one, catalogue));
            let mut lines: Vec<Inlines> = keys
                .iter()
                .filter(|key| key.task != Task::Keep)
                .map(|key| task_line(key, catalogue))
                .collect();
            lines.extend(handed);
            if !coming.is_empty() {
                let number = coming.len().to_string();
                let values = [("domain", name), ("number", number.as_str())];
                lines.push(fill(catalogue.coming_names, &values));
            }
            let asked = policies.iter().filter(|policy| policy.task != Task::Keep);
            lines.extend(asked.map(|policy| policy_line(policy, catalogue)));
            lines
        }
        DomainTasks::Parked { records, .. } => {
            let number = records.len().to_string();
            let values = [("domain", name), ("number", number.as_str())];
            vec![fill(catalogue.park, &values)]
        }
    }
}

/// The record that hands the keys of a domain over, in a line.
pub(super) fn delegation_line(
    domain: &str,
    delegation: &DelegationPack,
    catalogue: &Catalogue,
) -> Inlines {
    let sentence = match delegation.date {
        Some(_) => catalogue.delegate_by,
        None => catalogue.delegate_now,
    };
    let date = delegation.date.map(|date| catalogue.date(date));
    let values = [
        ("name", format!("_domainkey.{domain}")),
        ("type", delegation.way.as_str().to_uppercase()),
        ("number", delegation.records.len().to_string()),
        ("date", date.unwrap_or_default()),
    ];
    fill(
        sentence,
        &values
            .each_ref()
            .map(|(name, value)| (*name, value.as_str())),
    )
}

/// Whether CNAME records are asked for.
fn takes_aliases(domain: &DomainPack) -> bool {
    let delegation = domain.delegation.as_ref();
    sends(domain) && delegation.is_none_or(DelegationPack::asks_for_aliases)
}

/// What is to be done about a key, in a line.
pub(super) fn task_line(key: &KeyPack, catalogue: &Catalogue) -> Inlines {
    let sentence = match (key.task, key.urgent) {
        (Task::Restore, _) => catalogue.restore,
        (Task::Mend, _) => catalogue.mend,
        (Task::Add, _) if key.date.is_some() => catalogue.add_by,
        (Task::Add, _) => catalogue.add_now,
        (Task::Keep, _)
            if matches!(
                key.next,
                What::KeepRecord | What::AwaitReports | What::MendClock
            ) =>
        {
            catalogue.keep_until
        }
        (Task::Keep, _) => catalogue.keep,
        (Task::Empty, false) => catalogue.empty,
        (Task::Empty, true) => catalogue.empty_now,
        (Task::Remove, false) => catalogue.remove,
        (Task::Remove, true) => catalogue.remove_now,
    };
    let kind = key
        .record
        .as_ref()
        .map_or("TXT", |record| record.data.record_type());
    let date = key
        .date
        .map(|date| catalogue.date(date))
        .unwrap_or_default();
    let values = [("name", key.name.as_str()), ("type", kind), ("date", &date)];
    fill(sentence, &values)
}

fn state(key: &KeyPack, catalogue: &Catalogue) -> (Inlines, Inlines) {
    let state = match key.publication.state {
        State::Generated => catalogue.generated,
        State::Published => catalogue.published,
        State::Active => catalogue.active,
        State::Draining if key.publication.holds_key() => catalogue.draining,
        State::Draining | State::Withdrawn => catalogue.withdrawn,
        State::Revoked => catalogue.revoked,
    };
    let since = catalogue.date(super::schedule::date(key.publication.since));
    let values = [("state", state), ("since", ""), ("date", since.as_str())];
    (words(catalogue.state), fill(catalogue.since, &values))
}

/// A shell would look for files with the star of a wildcard.
fn shell_word(name: &str) -> String {
    if name.starts_with('*') {
        format!("'{name}'")
    } else {
        name.to_owned()
    }
}

/// How long a former key is needed, in words; in whole days where it is days.
fn drain(pack: &Pack, catalogue: &Catalogue) -> String {
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
