//! The page of one stream: what one party sends in the name of a domain, as the keeper found it in
//! DMARC reports.

use jiff::{ToSpan, civil::Date};
use maud::{Markup, html};

use super::{frame, parts};
use crate::{
    keystore::{Largest, SendersOf, StreamPage},
    names::DomainName,
    organisation::Organisation,
    page::words,
    shell::quoted,
    words::printable,
};

/// A column for each week, and so high at most.
const STEP: usize = 10;
const HEIGHT: u64 = 80;

/// All that it is made from.
pub(in crate::page) struct OneStream<'a> {
    pub(in crate::page) organisation: &'a Organisation,
    /// The policy domain.
    pub(in crate::page) domain: &'a DomainName,
    /// The days, and when it was found out.
    pub(in crate::page) found: &'a SendersOf,
    pub(in crate::page) stream: &'a StreamPage,
}

pub(in crate::page) fn one_stream(one: &OneStream<'_>) -> String {
    let OneStream {
        organisation,
        domain,
        found,
        stream,
    } = one;
    let id = printable(&stream.stream.id);
    let name = stream.stream.name.as_deref().map(printable);
    let title = name.as_deref().unwrap_or(&id);
    let main = html! {
        nav.back aria-label="Back" {
            a href=(format!("/org/{}", organisation.id)) { (organisation.name) }
        }
        h1 { (title) }
        p.lead {
            @if name.is_some() { code { (id) } " · " }
            "Sends in the name of " (domain)
        }
        section aria-labelledby="what" {
            h2 #what { "What it is" }
            (what(stream))
        }
        section aria-labelledby="messages" {
            h2 #messages { "Messages" }
            p.muted {
                "From " (found.from) " to " (found.to) ", by DMARC reports; found out "
                (parts::time(found.found))
            }
            (weeks(&stream.by_week, found.from))
            (numbers(stream))
        }
        (known_by(stream))
        section aria-labelledby="command" {
            h2 #command { "Say what it is" }
            (commands(domain, stream))
        }
    };
    frame(title, &main, &html! {})
}

/// Its class, and why.
fn what(stream: &StreamPage) -> Markup {
    html! {
        p {
            strong { (printable(&stream.stream.class)) } ": " (words::class(&stream.stream.class))
        }
        p { "How it was found: " (words::rule(stream.rule)) }
        @if stream.named {
            p {
                "You have said what it is"
                @if let Some(owner) = &stream.owner { ", and that it belongs to " (printable(owner)) }
                "."
            }
        }
        @if let Some(changed) = &stream.changed {
            p.problem { (words::changed(changed)) }
        }
    }
}

fn numbers(stream: &StreamPage) -> Markup {
    let all = stream.stream.messages;
    let rows = [
        ("Messages", all),
        ("Aligned: DMARC passes", stream.stream.aligned),
        ("By DKIM", stream.dkim_aligned),
        ("By SPF", stream.spf_aligned),
        ("By SPF alone, which forwarding breaks", stream.spf_only),
        ("Set aside by receivers", stream.quarantined),
        ("Refused by receivers", stream.stream.rejected),
    ];
    html! {
        dl.record {
            @for (place, (what, number)) in rows.into_iter().enumerate() {
                dt { (what) }
                dd {
                    (words::number(number))
                    @if place > 0 && number > 0 { " " span.muted { "(" (percent(number, all)) ")" } }
                }
            }
            dt { "First and last seen" }
            dd { (stream.first_seen) " and " (stream.last_seen) }
        }
    }
}

/// Rounded down, so that one message that fails never reads as 100 %.
fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part.min(whole)) * 1_000 / u128::from(whole.max(1));
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// What it is known by, and who tells of it.
fn known_by(stream: &StreamPage) -> Markup {
    let signed = stream.signatures.most.iter();
    let signatures = signed.map(|((domain, selector, result), messages)| {
        let selector = if selector.is_empty() {
            "(left out)"
        } else {
            selector
        };
        (vec![domain.as_str(), selector, result.as_str()], *messages)
    });
    let checked = stream.checks.most.iter();
    let checks = checked
        .map(|((domain, result), messages)| (vec![domain.as_str(), result.as_str()], *messages));
    let plain = |told: &'_ Largest<String>| -> Vec<(String, u64)> { told.most.clone() };
    let networks = plain(&stream.networks);
    let networks = networks
        .iter()
        .map(|(network, messages)| (vec![network.as_str()], *messages));
    let names = plain(&stream.names);
    let names = names
        .iter()
        .map(|(name, messages)| (vec![name.as_str()], *messages));
    html! {
        section aria-labelledby="sources" {
            h2 #sources { "Where it comes from" }
            (table(&["Network"], &networks.collect::<Vec<_>>(), stream.networks.others))
            p.muted { "Of all days of which addresses are kept." }
        }
        section aria-labelledby="signatures" {
            h2 #signatures { "Signatures" }
            (table(&["Domain", "Selector", "Result"], &signatures.collect::<Vec<_>>(), stream.signatures.others))
        }
        section aria-labelledby="checks" {
            h2 #checks { "SPF" }
            (table(&["Domain", "Result"], &checks.collect::<Vec<_>>(), stream.checks.others))
        }
        section aria-labelledby="names" {
            h2 #names { "Names it sent as" }
            (table(&["From"], &names.collect::<Vec<_>>(), stream.names.others))
        }
        section aria-labelledby="reporters" {
            h2 #reporters { "Who reports it" }
            ul.reasons {
                @for (reporter, _) in &stream.reporters.most { li { (printable(reporter)) } }
            }
            (others(stream.reporters.others))
        }
    }
}

fn table(titles: &[&str], rows: &[(Vec<&str>, u64)], left_out: usize) -> Markup {
    html! {
        @if rows.is_empty() {
            p.muted { "None is known." }
        } @else {
            table.told role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for title in titles { th role="columnheader" scope="col" { (title) } }
                        th.number role="columnheader" scope="col" { "Messages" }
                    }
                }
                tbody role="rowgroup" {
                    @for (cells, messages) in rows {
                        tr role="row" {
                            @for (title, cell) in titles.iter().zip(cells) {
                                td role="cell" data-label=(title) { (printable(cell)) }
                            }
                            td.number role="cell" data-label="Messages" { (parts::number(*messages)) }
                        }
                    }
                }
            }
            (others(left_out))
        }
    }
}

fn others(number: usize) -> Markup {
    html! {
        @if number > 0 { p.muted { "And " (number) " more." } }
    }
}

/// The commands that say what it is; of mail of our own there is nothing to say.
fn commands(domain: &DomainName, stream: &StreamPage) -> Markup {
    let id = printable(&stream.stream.id);
    let id = quoted(&id);
    let name = |class: &str| format!("zegel report name {domain} {id} --as {class}");
    let asks = !matches!(stream.stream.class.as_str(), "ours" | "forwarding");
    html! {
        @if asks || stream.named {
            p {
                "On the host of the keeper, one of these. " code { "--label" } " and "
                code { "--owner" } " can say what it is called and whose it is."
            }
            dl.record {
                @for (class, means) in [
                    ("known", "It may send in your name"),
                    ("list", "It is a mailing list, and you accept that mail through it may fail"),
                    ("forwarding", "It only sends your mail on"),
                    ("abuse", "It has no right to send in your name"),
                ] {
                    dt { (means) }
                    dd { code.value { (name(class)) } }
                }
                @if stream.named {
                    dt { "Take back what you have said" }
                    dd { code.value { "zegel report name " (domain) " " (id) " --forget" } }
                }
            }
        } @else {
            p { "Nothing has to be said of it." }
        }
        p.muted {
            "All that is kept of it, with its addresses: "
            code { "zegel report streams " (domain) " " (id) }
        }
    }
}

/// A column for each week: what passed below, what failed on top.
fn weeks(weeks: &[(u64, u64)], from: Date) -> Markup {
    let sum = |(aligned, failed): &(u64, u64)| aligned.saturating_add(*failed);
    let most = weeks.iter().map(sum).max().unwrap_or_default();
    let width = (weeks.len() * STEP).max(1);
    let all = |pick: fn(&(u64, u64)) -> u64| -> u64 {
        weeks.iter().map(pick).fold(0, u64::saturating_add)
    };
    let label: Vec<String> = weeks
        .iter()
        .map(|(aligned, failed)| {
            format!(
                "{} aligned and {} not",
                words::number(*aligned),
                words::number(*failed)
            )
        })
        .collect();
    let label = format!("Messages by week, the last one last: {}", label.join("; "));
    html! {
        figure.day {
            figcaption {
                span.key-signed { (words::number(all(|week| week.0))) " aligned" }
                span.key-unsigned { (words::number(all(|week| week.1))) " not aligned" }
                span.muted { "by week; of reports that tell the day" }
            }
            @if most > 0 {
                p.scale aria-hidden="true" { (words::number(most)) " a week" }
            }
            svg.bars viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none"
                role="img" aria-label=(label) {
                path.ground d=(format!("M0 {HEIGHT}h{width}")) {}
                @for (place, week) in weeks.iter().enumerate() {
                    @let whole = height(sum(week), most);
                    @let failed = height(week.1, most).min(whole);
                    @let left = place * STEP + 2;
                    @if whole > failed {
                        rect.signed x=(left) y=(HEIGHT - whole + failed) width="6"
                            height=(whole - failed) {}
                    }
                    @if failed > 0 {
                        rect.unsigned x=(left) y=(HEIGHT - whole) width="6" height=(failed) {}
                    }
                }
            }
            p.week-starts aria-hidden="true" {
                @for place in 0..weeks.len() { span { (start(from, place)) } }
            }
        }
    }
}

/// The first day of a week.
fn start(from: Date, place: usize) -> String {
    let days = i64::try_from(place * 7).unwrap_or_default();
    let first = from.checked_add(days.days()).unwrap_or(from);
    first.strftime("%-d %b").to_string()
}

/// At least one unit for anything.
fn height(messages: u64, most: u64) -> u64 {
    let scaled = u128::from(messages) * u128::from(HEIGHT) / u128::from(most.max(1));
    let scaled = u64::try_from(scaled).unwrap_or(HEIGHT);
    if messages == 0 {
        0
    } else {
        scaled.clamp(1, HEIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_columns_of_what_passed_and_what_failed() {
        let from = jiff::civil::date(2026, 9, 28);
        let page = weeks(&[(0, 0), (90, 10), (0, 1), (50, 50)], from).into_string();
        assert_eq!(page.matches("<rect").count(), 5, "{page}");
        assert!(
            page.contains("<span>28 Sep</span><span>5 Oct</span>"),
            "{page}"
        );
        assert!(page.contains("90 aligned and 10 not"), "{page}");
        let most = weeks(&[(u64::MAX, u64::MAX)], from).into_string();
        assert!(most.contains("height=\"80\""), "{most}");
        let empty = weeks(&[], from).into_string();
        assert!(!empty.contains("<rect"), "{empty}");
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(u64::MAX, 1), "100.0 %");
    }
}
