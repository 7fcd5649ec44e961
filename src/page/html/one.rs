//! The page of one organisation.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{frame, parts, records};
use crate::{
    config::situation,
    keys::{KeyEntry, Keyring, Publication, Situation, Urgency},
    names::DomainName,
    page::{Subject, history::Day, words},
    words::Language,
};

/// All that it is made from.
pub(in crate::page) struct One<'a> {
    pub(in crate::page) subject: &'a Subject<'a>,
    /// Of the hand-over pack.
    pub(in crate::page) language: Language,
    pub(in crate::page) day: &'a Day,
    /// Why mail was not signed since the start, and how often.
    pub(in crate::page) reasons: &'a [(&'static str, u64)],
    pub(in crate::page) started: Timestamp,
    pub(in crate::page) now: Timestamp,
}

pub(in crate::page) fn one(one: &One<'_>) -> String {
    let organisation = one.subject.organisation;
    let main = html! {
        nav.back aria-label="Back" { a href="/" { "All organisations" } }
        h1 { (organisation.name) }
        p.lead {
            (organisation.id)
            @if let Some(contact) = &organisation.contact { " · DNS: " (contact) }
        }
        section aria-labelledby="keys" {
            h2 #keys { "Keys" }
            @match &one.subject.keyring {
                Ok(keyring) => (keys(one.subject, keyring)),
                Err(error) => p.problem { (parts::prose(error)) },
            }
            @if !organisation.parked.is_empty() {
                p.muted { "Parked, never signed: " (names(&organisation.parked)) "." }
            }
        }
        section aria-labelledby="mail" {
            h2 #mail { "Mail" }
            (parts::figure(one.day, one.started, one.now))
            (reasons(one))
        }
        section aria-labelledby="records" {
            h2 #records { "For the DNS administrator" }
            @match &one.subject.pack {
                Ok(pack) => (records::records(pack, one.language)),
                Err(reason) => p.problem { (parts::prose(reason)) },
            }
        }
    };
    frame(&organisation.name, &main, &html! {})
}

fn names(domains: &[DomainName]) -> String {
    let names: Vec<&str> = domains.iter().map(DomainName::as_str).collect();
    names.join(", ")
}

fn reasons(one: &One<'_>) -> Markup {
    html! {
        @if !one.reasons.is_empty() {
            p { "Not signed since " (parts::time(one.started)) ":" }
            ul.reasons {
                @for (reason, number) in one.reasons {
                    li { code { (reason) } " " (words::number(*number)) }
                }
            }
        }
    }
}

fn keys(subject: &Subject<'_>, keyring: &Keyring) -> Markup {
    let timing = subject.snapshot.settings().timing();
    let away = subject.snapshot.away(subject.organisation, keyring);
    let situation = situation(subject.organisation, keyring, &away, &timing);
    html! {
        table.keys role="table" {
            caption.hidden { "Keys by domain" }
            thead role="rowgroup" {
                tr role="row" {
                    @for title in ["Domain", "Key", "State", "In DNS", "Next step"] {
                        th role="columnheader" scope="col" { (title) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for domain in domains(subject, keyring) {
                    @let keys = keys_of(keyring, domain);
                    @for (entry, publication) in &keys {
                        (row(&situation, entry, domain, publication))
                    }
                    @if keys.is_empty() {
                        tr role="row" {
                            (domain_heading(domain))
                            td role="cell" data-label="Key" { span.muted { "None" } }
                            td role="cell" data-label="State" {}
                            td role="cell" data-label="In DNS" {}
                            td.step role="cell" data-label="Next step" {
                                (parts::urgency(Urgency::Now))
                                p { (parts::prose(&words::no_key(&subject.organisation.id))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Those of the configuration, and then those that only the keyring still has.
fn domains<'a>(subject: &'a Subject<'_>, keyring: &'a Keyring) -> Vec<&'a DomainName> {
    let mut domains: Vec<&DomainName> = subject.organisation.domains.iter().collect();
    for domain in keyring
        .keys()
        .iter()
        .flat_map(|key| key.publications.keys())
    {
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

/// The newest first.
fn keys_of<'a>(keyring: &'a Keyring, domain: &DomainName) -> Vec<(&'a KeyEntry, &'a Publication)> {
    keyring
        .keys()
        .iter()
        .rev()
        .filter_map(|key| Some((key, key.publications.get(domain)?)))
        .collect()
}

fn domain_heading(domain: &DomainName) -> Markup {
    let unicode = domain.unicode();
    html! {
        th role="rowheader" scope="row" {
            (domain)
            @if unicode != domain.as_str() { span.muted { (unicode) } }
        }
    }
}

fn row(
    situation: &Situation<'_>,
    entry: &KeyEntry,
    domain: &DomainName,
    publication: &Publication,
) -> Markup {
    let step = situation.next_step(entry, domain);
    html! {
        tr role="row" {
            (domain_heading(domain))
            td role="cell" data-label="Key" {
                code { (entry.selector) }
                p.muted { (entry.algorithm) }
            }
            td role="cell" data-label="State" {
                (parts::state(publication.state))
                p.muted { (words::state(publication.state)) }
                p.muted { "Since " (parts::time(publication.since)) }
            }
            td role="cell" data-label="In DNS" { (dns(publication)) }
            td.step role="cell" data-label="Next step" {
                @if step.urgency != Urgency::Well { (parts::urgency(step.urgency)) }
                p { (parts::prose(&words::step(&step.what))) }
                @if let Some(when) = step.when { p.muted { (parts::time(when)) } }
            }
        }
    }
}

fn dns(publication: &Publication) -> Markup {
    html! {
        @if let Some(why) = publication.why {
            p { (words::why(why)) }
        }
        @if publication.assumed {
            p.muted { "Taken for published on the word of the operator" }
        }
        @if let Some(since) = publication.seen_since {
            p.muted { "Everywhere since " (parts::time(since)) }
        }
        p.muted {
            @match publication.checked {
                Some(checked) => { "Looked at " (parts::time(checked)) },
                None => "Not looked at yet",
            }
        }
    }
}
