//! The list of all organisations.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{frame, parts};
use crate::{
    page::{
        history::Day,
        list::{Entry, Part, ROWS},
        request::{Sort, Wish},
        standing::{STATES, Standing},
        words,
    },
    snapshot::Snapshot,
    words::{Language, Level},
};

/// All that the list is made from.
pub(in crate::page) struct All<'a> {
    pub(in crate::page) part: &'a Part<'a>,
    pub(in crate::page) wish: &'a Wish,
    /// All organisations together.
    pub(in crate::page) sum: &'a Day,
    pub(in crate::page) snapshot: &'a Snapshot,
    pub(in crate::page) started: Timestamp,
    pub(in crate::page) now: Timestamp,
}

pub(in crate::page) fn all(all: &All<'_>) -> String {
    let (part, wish) = (all.part, all.wish);
    let main = html! {
        h1 { (words::count(part.all, "organisation", "organisations")) }
        (tally(part, wish))
        (parts::figure(all.sum, all.started, all.now))
        (search(part, wish))
        @if part.rows.is_empty() {
            p.nothing { "No organisation is found. " a href="/" { "Show all" } }
        } @else {
            (table(part, wish))
        }
        (pages(part, wish))
    };
    let domains = all.snapshot.domains_without_key();
    let foot = html! {
        p {
            "Generation " (all.snapshot.generation().number()) " of the keystore. "
            (words::count(domains, "domain has", "domains have")) " no key in use. "
            "What is said of DNS is what the keeper last saw; "
            code { "zegel dns check" } " looks again, at SPF, DMARC and MX too."
        }
    };
    frame("Organisations", &main, &foot)
}

/// How many there are of each level, each a link to just those; of a level without any nothing is
/// said, but that nothing is wrong.
fn tally(part: &Part<'_>, wish: &Wish) -> Markup {
    let levels = Level::ALL.into_iter().zip(part.tally);
    let shown = levels.filter(|(level, number)| {
        *number > 0 || *level == Level::Well || wish.only == Some(*level)
    });
    html! {
        nav.tally aria-label="By level" {
            @for (level, number) in shown {
                @let chosen = wish.only == Some(level);
                @let other = Wish { only: (!chosen).then_some(level), page: 1, ..wish.clone() };
                a class=(level.as_str()) href=(other.address()) aria-current=[chosen.then_some("true")] {
                    strong { (words::number(number as u64)) }
                    span { (words::level(level)) }
                    small { (words::meaning(level)) }
                }
            }
        }
    }
}

fn search(part: &Part<'_>, wish: &Wish) -> Markup {
    let sign = if wish.reversed { "-" } else { "" };
    let first = (part.page - 1) * ROWS + 1;
    html! {
        form.search role="search" action="/" method="get" {
            label for="q" { "Name, id or domain" }
            input #q type="search" name="q" value=(wish.search) autocomplete="off" spellcheck="false";
            @if wish.sort != Sort::Level || wish.reversed {
                input type="hidden" name="sort" value=(format!("{sign}{}", wish.sort));
            }
            @if let Some(only) = wish.only {
                input type="hidden" name="only" value=(only.as_str());
            }
            button type="submit" { "Search" }
            p.muted {
                @if part.found == 0 {
                    "None of " (words::number(part.all as u64))
                } @else {
                    (words::number(first as u64)) "–"
                    (words::number((first - 1 + part.rows.len()) as u64))
                    " of " (words::number(part.found as u64))
                }
                @if wish.only.is_some() || !wish.search.is_empty() {
                    " · " a href="/" { "Show all" }
                }
            }
        }
    }
}

fn table(part: &Part<'_>, wish: &Wish) -> Markup {
    html! {
        table.organisations role="table" {
            caption.hidden { "Organisations" }
            thead role="rowgroup" {
                tr role="row" {
                    (heading("Organisation", Sort::Name, wish))
                    th role="columnheader" scope="col" { "Keys" }
                    (heading("How it stands", Sort::Level, wish))
                    (heading("In DNS", Sort::Checked, wish))
                    (heading("Signed", Sort::Signed, wish))
                    (heading("Not signed", Sort::Unsigned, wish))
                    th role="columnheader" scope="col" { "24 hours" }
                }
            }
            tbody role="rowgroup" {
                @for entry in &part.rows { (row(entry)) }
            }
        }
    }
}

/// A heading that sorts; the second time the other way round.
fn heading(title: &str, sort: Sort, wish: &Wish) -> Markup {
    let chosen = wish.sort == sort;
    let other = Wish {
        sort,
        reversed: chosen && !wish.reversed,
        page: 1,
        ..wish.clone()
    };
    let rises = matches!(sort, Sort::Level | Sort::Name | Sort::Checked) != wish.reversed;
    let order = if rises { "ascending" } else { "descending" };
    html! {
        th class=(sort.as_str()) role="columnheader" scope="col" aria-sort=[chosen.then_some(order)] {
            a href=(other.address()) { (title) }
        }
    }
}

fn row(entry: &Entry<'_>) -> Markup {
    let organisation = &entry.row.organisation;
    let standing = &entry.row.standing;
    let id = organisation.id.as_str();
    let totals = entry.day.map(Day::totals).unwrap_or_default();
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href=(format!("/org/{id}")) { (organisation.name) }
                span.muted {
                    (id)
                    span.domains { " · " (words::count(organisation.domains.len(), "domain", "domains")) }
                }
            }
            td.keys role="cell" data-label="Keys" { (keys(standing)) }
            td.step role="cell" data-label="How it stands" { (standing_of(entry)) }
            td.dns role="cell" data-label="In DNS" { (dns(standing)) }
            td.number role="cell" data-label="Signed" { (parts::number(totals.signed)) }
            td.number role="cell" data-label="Not signed" {
                (parts::number(totals.left()))
                @if totals.kept_back > 0 {
                    p.muted { (words::number(totals.kept_back)) " put off or rejected" }
                }
            }
            td.plot.empty[entry.day.is_none()] role="cell" data-label="24 hours" {
                @match entry.day {
                    Some(day) => {
                        (parts::bars(day))
                        (parts::scale(day))
                    },
                    None => span.muted { "No mail" },
                }
            }
        }
    }
}

fn keys(standing: &Standing) -> Markup {
    let states = STATES.into_iter().zip(standing.states);
    let some: Vec<_> = states.filter(|(_, number)| *number > 0).collect();
    html! {
        @if some.is_empty() {
            span.muted { "None" }
        }
        ul.states {
            @for (state, number) in some {
                li { (number) " " (parts::state(state)) }
            }
        }
    }
}

/// The worst of what is so, with who has to act.
fn standing_of(entry: &Entry<'_>) -> Markup {
    let judgement = &entry.judgement;
    let id = &entry.row.organisation.id;
    html! {
        @if let Some(worst) = judgement.worst() {
            (parts::level(worst.level))
            p { (parts::prose(&worst.sentence(id, Language::English))) }
            p.muted {
                "Next: " (words::actor(worst.actor))
                @if let Some(when) = worst.when { ", " (parts::time(when)) }
                @if judgement.others() > 0 { "; and " (judgement.others()) " more" }
            }
            @for level in judgement.also_urgent() {
                p.also { span.muted { "Also: " } (parts::level(level)) }
            }
        } @else {
            span.muted { "Nothing to do" }
        }
    }
}

fn dns(standing: &Standing) -> Markup {
    html! {
        @if let Some(finding) = standing.finding {
            p { (words::why(finding)) }
        } @else if standing.has_wrong_policy {
            p { "SPF or DMARC is missing or wrong" }
        } @else if standing.checked.is_some() {
            p.muted { "As it should be" }
        }
        p.muted {
            @match standing.checked {
                Some(checked) => (parts::time(checked)),
                None => "Not looked at yet",
            }
        }
    }
}

fn pages(part: &Part<'_>, wish: &Wish) -> Markup {
    let address = |page| {
        Wish {
            page,
            ..wish.clone()
        }
        .address()
    };
    html! {
        @if part.pages > 1 {
            nav.pages aria-label="Pages" {
                @if part.page > 1 {
                    a rel="prev" href=(address(part.page - 1)) { "Previous" }
                }
                span { "Page " (part.page) " of " (part.pages) }
                @if part.page < part.pages {
                    a rel="next" href=(address(part.page + 1)) { "Next" }
                }
            }
        }
    }
}
