//! The hand-over pack: the records as a DNS administrator enters them, each value to be
//! copied with one click.

use maud::{Markup, html};

use crate::{
    handover::{
        DelegationPack, DomainPack, DomainTasks, Format, KeyPack, Pack, PolicyKind, PolicyPack,
        ResourceRecord,
    },
    keys::{Task, What},
    page::request::PackFormat,
    words::{Language, printable},
};

pub(super) fn records(pack: &Pack, language: Language) -> Markup {
    let id = &pack.organisation;
    html! {
        p.muted { "Only public keys are in here. One click on a value selects all of it." }
        @for domain in &pack.domains { (domain_records(domain)) }
        h3 { "The whole pack" }
        ul.files {
            @for other in [Language::Dutch, Language::English] {
                li {
                    a href=(format!("/org/{id}/{}?lang={other}", PackFormat::Text)) {
                        "Text for a ticket, in " (language_name(other))
                    }
                }
            }
            li { a href=(format!("/org/{id}/{}", PackFormat::Zone)) { "Lines for a zone file" } }
            li { a href=(format!("/org/{id}/{}", PackFormat::Json)) { "JSON" } }
        }
        details {
            summary { "Read it here, in " (language_name(language)) }
            pre.pack tabindex="0" lang=(language) { (pack.render(Format::Text, language)) }
        }
    }
}

fn language_name(language: Language) -> &'static str {
    match language {
        Language::Dutch => "Dutch",
        Language::English => "English",
    }
}

fn domain_records(domain: &DomainPack) -> Markup {
    match &domain.tasks {
        DomainTasks::Sending { keys, policies, .. } => {
            // What is in our own zone is nothing to hand over.
            let own = keys.iter().filter(|key| !key.is_delegated);
            let (keep, others): (Vec<_>, Vec<_>) = own.partition(|key| key.task == Task::Keep);
            let asked = || policies.iter().filter(|policy| policy.task != Task::Keep);
            html! {
                h3 { (domain.domain) }
                @if let Some(delegation) = &domain.delegation {
                    (handed_over(domain, delegation))
                } @else if keys.is_empty() {
                    p { "There is no key yet, so there is none to hand over." }
                } @else if others.is_empty() && asked().next().is_none() {
                    p { "Nothing to do." }
                }
                @for key in others { (key_record(domain, key)) }
                @for policy in asked() { (policy_record(domain, policy)) }
                @if !keep.is_empty() {
                    details {
                        summary { "Records that stay (" (keep.len()) ")" }
                        @for key in keep { (key_record(domain, key)) }
                    }
                }
            }
        }
        DomainTasks::Parked {
            records, remove, ..
        } => html! {
            h3 { (domain.domain) " (parked)" }
            details {
                summary { "Records that say that it sends no mail (" (records.len()) ")" }
                @for record in records {
                    (one_record(domain, &record.name, Some(record)))
                }
            }
            @for name in remove {
                p { strong { "Remove" } " " code { (name) } }
            }
        },
    }
}

/// What is to be done once, or that nothing is, where keys are in the operator's zone.
fn handed_over(domain: &DomainPack, delegation: &DelegationPack) -> Markup {
    let class = if delegation.urgent {
        "level urgent"
    } else {
        "level act"
    };
    html! {
        @if !delegation.is_asked {
            p { "Nothing to do for keys: they are in our own zone." }
        } @else if !delegation.records.is_empty() {
            p.task {
                strong class=(class) { "Add" } " once"
                @if let Some(date) = delegation.date { ", by " (date) }
            }
            @for record in &delegation.records {
                (one_record(domain, &record.name, Some(record)))
            }
        }
    }
}

fn key_record(domain: &DomainPack, key: &KeyPack) -> Markup {
    let class = match key.task {
        _ if key.urgent => "level urgent",
        Task::Keep => "level",
        _ => "level act",
    };
    html! {
        p.task {
            strong class=(class) { (task(key.task)) }
            @if key.urgent { " now" }
            @if let Some(date) = key.date { (until(key)) (date) }
        }
        (one_record(domain, &key.name, key.record.as_ref()))
    }
}

/// SPF or DMARC: what is there, and what should be.
fn policy_record(domain: &DomainPack, policy: &PolicyPack) -> Markup {
    let kind = match policy.kind {
        PolicyKind::Spf => "SPF",
        PolicyKind::Dmarc => "DMARC",
    };
    html! {
        p.task { strong.level.act { (task(policy.task)) } " the " (kind) " record" }
        @if let Some(ladder) = &policy.ladder {
            p { strong { (ladder.advised.as_str().replace('_', " ")) } ": " (ladder.text) "." }
        }
        dl.record {
            dt { "In the DNS now" }
            @match policy.seen.as_deref() {
                None => dd { "Not looked at yet" },
                Some([]) => dd { "Nothing" },
                Some(seen) => @for text in seen { dd { code.value { (printable(text)) } } },
            }
            @if let Some(part) = &policy.part {
                dt { "Needed for our relays" }
                dd { code { (part) } }
            }
        }
        (one_record(domain, &policy.name, policy.record.as_ref()))
    }
}

/// What the date of a key means.
fn until(key: &KeyPack) -> &'static str {
    match key.task {
        Task::Restore | Task::Mend | Task::Add => ", by ",
        Task::Keep if matches!(key.next, What::MakeSuccessor | What::AwaitSuccessor(_)) => {
            "; the record of its successor is expected on "
        }
        Task::Keep => ", at least until ",
        Task::Empty => ", and remove it from ",
        Task::Remove => ", from ",
    }
}

fn task(task: Task) -> &'static str {
    match task {
        Task::Restore => "Put back",
        Task::Mend => "Correct",
        Task::Add => "Add",
        Task::Empty => "Empty",
        Task::Keep => "Keep",
        Task::Remove => "Remove",
    }
}

/// Name, type, TTL and value, as the form of a DNS panel asks for them.
fn one_record(domain: &DomainPack, name: &str, record: Option<&ResourceRecord>) -> Markup {
    html! {
        dl.record {
            @for place in domain.placements(name) {
                dt { "Name in the zone " (place.zone) }
                dd { code { (place.relative) } }
            }
            dt { "Whole name" }
            dd { code { (name) } }
            @if let Some(record) = record {
                dt { "Type and TTL" }
                dd { (record.data.record_type()) ", " (record.ttl) " seconds" }
                dt { "Value" }
                dd { code.value { (record.data.value()) } }
            }
        }
    }
}
