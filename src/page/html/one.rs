//! The page of one organisation.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{frame, parts, past, records, senders};
use crate::{
    config::situation,
    judgement::{Judgement, Matter},
    keys::{KeyEntry, Keyring, Publication, Situation},
    keystore::{SelectorSeen, Senders},
    names::DomainName,
    page::{Subject, history::Day, past::PastMail, words},
    words::{Language, Level},
};

/// All that it is made from.
pub(in crate::page) struct One<'a> {
    pub(in crate::page) subject: &'a Subject<'a>,
    /// Of the hand-over pack.
    pub(in crate::page) language: Language,
    pub(in crate::page) day: &'a Day,
    /// Why mail was not signed since the start, and how often.
    pub(in crate::page) reasons: &'a [(&'static str, u64)],
    /// The last days as the keeper counted them, or why nobody can tell.
    pub(in crate::page) past: Result<Option<&'a PastMail>, &'a str>,
    /// By DMARC reports.
    pub(in crate::page) senders: &'a Senders,
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
        section aria-labelledby="standing" {
            h2 #standing { "How it stands" }
            (standing(one.subject))
        }
        section aria-labelledby="keys" {
            h2 #keys { "Keys" }
            @match &one.subject.keyring {
                Ok(keyring) => (keys(one.subject, keyring, one.senders)),
                Err(_) => p.muted { "They can't be read." },
            }
            @if !organisation.parked.is_empty() {
                p.muted { "Parked, never signed: " (names(&organisation.parked)) "." }
            }
        }
        section aria-labelledby="mail" {
            h2 #mail { "Mail" }
            (parts::figure(one.day, one.started, one.now))
            (reasons(one))
            (past::past(one.past))
        }
        (senders::senders(&organisation.id, one.senders))
        section aria-labelledby="records" {
            h2 #records { "For the DNS administrator" }
            @match &one.subject.pack {
                Ok(pack) => (records::records(pack, one.language)),
                // Why is said above, to the operator; it may name files of this host.
                Err(_) => p { "The records can't be written now. Whoever runs Zegel has to act first." },
            }
        }
    };
    frame(&organisation.name, &main, &html! {})
}

/// All that is not well, the worst first.
fn standing(subject: &Subject<'_>) -> Markup {
    let matters = &subject.judgement.matters;
    html! {
        @if matters.is_empty() {
            p { (parts::level(Level::Well)) " Nothing to do." }
        } @else {
            ol.matters {
                @for matter in matters { li { (matter_of(subject, matter)) } }
            }
        }
    }
}

/// In the language of the page, whichever one the records for the DNS administrator are in.
fn matter_of(subject: &Subject<'_>, matter: &Matter) -> Markup {
    html! {
        (parts::level(matter.level))
        p { (parts::prose(&matter.sentence(&subject.organisation.id, Language::English))) }
        p.muted {
            "Next: " (words::actor(matter.actor))
            @if let Some(due) = matter.due { ", by " (parts::time(due)) }
            @if let Some(when) = matter.when { ", " (parts::time(when)) }
            @if let Some(since) = matter.since { "; since " (parts::time(since)) }
            @if let Some(seen) = matter.seen {
                "; seen by the " (matter.seen_by.as_str()) " " (parts::time(seen))
            }
        }
    }
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

fn keys(subject: &Subject<'_>, keyring: &Keyring, senders: &Senders) -> Markup {
    let timing = subject.snapshot.settings().timing();
    let by_files = subject.snapshot.by_files(subject.organisation);
    let away = subject.snapshot.away(&by_files, keyring);
    let situation = situation(&by_files, keyring, &away, &timing).seen(&subject.leads);
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
                        @let seen = senders.of_key(domain, &entry.selector);
                        (row(&situation, &subject.judgement, (entry, domain, publication), seen.as_ref()))
                    }
                    @if keys.is_empty() {
                        tr role="row" {
                            (domain_heading(domain))
                            td role="cell" data-label="Key" { span.muted { "None" } }
                            td role="cell" data-label="State" {}
                            td role="cell" data-label="In DNS" {}
                            td.step role="cell" data-label="Next step" {
                                (parts::level(subject.judgement.of_domain(domain)))
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
    let mut domains: Vec<&DomainName> = subject.organisation.keyed().collect();
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
    judgement: &Judgement,
    (entry, domain, publication): (&KeyEntry, &DomainName, &Publication),
    seen: Option<&SelectorSeen>,
) -> Markup {
    let level = judgement.of_key(&entry.selector, domain);
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
                @if let Some(seen) = seen {
                    p.muted {
                        "By reports " (seen.share()) " of " (words::number(seen.messages))
                        " passed in 56 days"
                        @if let Some(date) = seen.last_seen { ", last on " (date) }
                    }
                }
            }
            td role="cell" data-label="In DNS" { (dns(publication)) }
            td.step role="cell" data-label="Next step" {
                @if level != Level::Well { (parts::level(level)) }
                p { (parts::prose(&words::step(&step))) }
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
            p.muted { "Taken for published, as the operator said" }
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
