//! Who sends in the names of the organisation's domains, as the keeper found it in DMARC reports.

use maud::{Markup, html};

use super::parts;
use crate::{
    keystore::{Climbing, Senders, SendersOf, SendingStream},
    ladder::Rung,
    names::{DomainName, OrganisationId},
    page::{request, words},
};

/// A bar of 4 and a gap of 1 for each week, and so high at most.
const STEP: usize = 5;
const HEIGHT: u64 = 16;

/// Nothing if there are no reports.
pub(super) fn senders(organisation: &OrganisationId, senders: &Senders) -> Markup {
    html! {
        @if !senders.domains.is_empty() {
            section aria-labelledby="senders" {
                h2 #senders { "Who sends in its name" }
                @for (domain, found) in &senders.domains {
                    (of_domain(organisation, domain, found))
                }
                p.muted {
                    "By DMARC reports; found out by the keeper every hour. "
                    code { "zegel report streams DOMAIN" } " has more."
                }
            }
        }
    }
}

fn of_domain(organisation: &OrganisationId, domain: &DomainName, found: &SendersOf) -> Markup {
    html! {
        h3 { (domain) }
        p.muted {
            "Reports: " (words::number(found.reports)) ", from " (found.from) " to " (found.to)
            ", as of " (parts::time(found.found))
        }
        @if let Some(coverage) = &found.coverage {
            p.muted {
                "Coverage: " (coverage) ". The signatures are those with the selectors of this "
                "domain, in all domains of the organisation."
            }
        }
        @if let Some(climbing) = &found.climbing { (ladder(climbing)) }
        @if !found.streams.is_empty() {
            table.senders role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        th role="columnheader" scope="col" { "Sender" }
                        th role="columnheader" scope="col" { "Class" }
                        th.number role="columnheader" scope="col" { "Messages" }
                        th.number role="columnheader" scope="col" { "Aligned" }
                        th.number role="columnheader" scope="col" { "Rejected" }
                        th role="columnheader" scope="col" { "By week" }
                    }
                }
                tbody role="rowgroup" {
                    @for stream in &found.streams {
                        @let address = stream.has_page.then(|| {
                            request::stream_address(organisation.as_str(), domain.as_str(), &stream.id)
                        });
                        (row(stream, address.as_deref()))
                    }
                }
            }
        }
        @if found.others > 0 {
            p.muted {
                "And " (found.others) " more, with " (words::number(found.other_messages))
                " messages."
            }
        }
    }
}

/// The rungs of DMARC in their order, with what holds the domain and the record that it should
/// have.
fn ladder(climbing: &Climbing) -> Markup {
    let at = climbing.step.as_deref();
    html! {
        ol.rungs aria-label="DMARC" {
            @for rung in Rung::ALL {
                @let is_here = at == Some(rung.as_str());
                li aria-current=[is_here.then_some("step")] { (rung.as_str().replace('_', " ")) }
            }
        }
        p {
            strong { (climbing.action.replace('_', " ")) } ": " (climbing.text) "."
            @if let Some(since) = climbing.since { " On this rung since " (since) "." }
            @if let Some(date) = climbing.not_before { " Not before " (date) "." }
        }
        @if !climbing.holds.is_empty() {
            ul {
                @for held in &climbing.holds {
                    li {
                        strong { (held.code.replace('_', " ")) } ": " (held.text)
                        @if let Some(command) = &held.command { ": " code { (command) } }
                    }
                }
            }
        }
        @match &climbing.record {
            Some(record) => p { code { (climbing.name) " TXT \"" (record) "\"" } },
            None => p.muted {
                "Which record it should have, " code { "zegel dmarc status" } " says: mail is sent "
                "from names below it."
            },
        }
    }
}

fn row(stream: &SendingStream, address: Option<&str>) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                @if let Some(name) = &stream.name { (name) " " }
                @match address {
                    Some(address) => a href=(address) { code { (stream.id) } },
                    None => code { (stream.id) },
                }
            }
            td role="cell" data-label="Class" { (stream.class) }
            td.number role="cell" data-label="Messages" { (parts::number(stream.messages)) }
            td.number role="cell" data-label="Aligned" { (share(stream)) }
            td.number role="cell" data-label="Rejected" { (parts::number(stream.rejected)) }
            td role="cell" data-label="By week" { (bars(&stream.weeks)) }
        }
    }
}

/// Rounded down: one message that is not aligned never reads as 100 %.
fn share(stream: &SendingStream) -> String {
    let percent = u128::from(stream.aligned) * 100 / u128::from(stream.messages.max(1));
    format!("{percent} %")
}

fn bars(weeks: &[u64]) -> Markup {
    let most = weeks.iter().copied().max().unwrap_or_default().max(1);
    let width = (weeks.len() * STEP).max(1);
    let told: Vec<String> = weeks.iter().map(|week| words::number(*week)).collect();
    let told = format!("Messages by week, the last one last: {}", told.join(", "));
    html! {
        svg.weeks role="img" aria-label=(told) width=(width) height=(HEIGHT)
            viewBox=(format!("0 0 {width} {HEIGHT}")) {
            title { (told) }
            @for (place, week) in weeks.iter().enumerate() {
                @let height = height(*week, most);
                @if height > 0 {
                    rect x=(place * STEP) y=(HEIGHT - height) width="4" height=(height) {}
                }
            }
        }
    }
}

/// At least one unit for anything.
fn height(week: u64, most: u64) -> u64 {
    let scaled = u128::from(week) * u128::from(HEIGHT) / u128::from(most);
    let scaled = u64::try_from(scaled).unwrap_or(HEIGHT);
    if week == 0 {
        0
    } else {
        scaled.clamp(1, HEIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::{Coverage, Held};

    fn stream(id: &str, messages: u64, aligned: u64, weeks: &[u64]) -> SendingStream {
        SendingStream {
            id: id.to_owned(),
            class: "unknown".to_owned(),
            name: None,
            messages,
            aligned,
            rejected: 0,
            weeks: weeks.to_vec(),
            has_page: false,
        }
    }

    #[test]
    fn a_sender_is_shown_with_its_weeks_and_no_text_is_markup() {
        let mut odd = stream("via:<script>.nl", 1000, 999, &[0, 1, 999]);
        odd.name = Some("\"><b>".to_owned());
        let page = row(&odd, None).into_string();
        assert!(page.contains("99 %"), "{page}");
        assert!(page.contains("via:&lt;script&gt;.nl"), "{page}");
        assert!(
            !page.contains("<b>") && !page.contains("<script>"),
            "{page}"
        );
        // Nothing of the first week, one unit for one message, all of it for the most.
        assert_eq!(page.matches("<rect").count(), 2);
        assert!(
            page.contains("x=\"5\" y=\"15\" width=\"4\" height=\"1\""),
            "{page}"
        );
        assert!(
            page.contains("x=\"10\" y=\"0\" width=\"4\" height=\"16\""),
            "{page}"
        );
        assert!(page.contains("the last one last: 0, 1, 999"), "{page}");
    }

    #[test]
    fn a_domain_shows_how_much_reports_tell_of() {
        let day = jiff::civil::date(2026, 3, 2);
        let mut found = SendersOf {
            found: jiff::Timestamp::UNIX_EPOCH,
            from: day,
            to: day,
            reports: 1,
            streams: Vec::new(),
            others: 0,
            other_messages: 0,
            selectors: Vec::new(),
            coverage: Some(Coverage {
                passed: 410,
                signed: 1_000,
                days: 28,
            }),
            unknown_selectors: Vec::new(),
            replays: Vec::new(),
            names_below: std::collections::BTreeSet::new(),
            climbing: None,
        };
        let shown = |found: &SendersOf| {
            let (een, domain) = ("een".parse().unwrap(), "een.nl".parse().unwrap());
            of_domain(&een, &domain, found).into_string()
        };
        let page = shown(&found);
        let told = "Coverage: reports tell of 41 % of 1000 signatures, on 28 days.";
        assert!(page.contains(told), "{page}");
        found.coverage = None;
        let page = shown(&found);
        assert!(!page.contains("Coverage"), "{page}");
    }

    #[test]
    fn the_ladder_shows_the_rung_what_holds_and_the_record() {
        let mut climbing = Climbing {
            step: Some("quarantine_test".to_owned()),
            published: None,
            since: Some(jiff::civil::date(2026, 3, 2)),
            action: "ask".to_owned(),
            acting_since: jiff::Timestamp::UNIX_EPOCH,
            to: "quarantine_test".to_owned(),
            lost: 0,
            text: "someone has to answer; the rung stays".to_owned(),
            name: "_dmarc.voorbeeld.nl".to_owned(),
            record: Some("v=DMARC1; p=quarantine; t=y; pct=0".to_owned()),
            not_before: Some(jiff::civil::date(2026, 3, 16)),
            holds: vec![Held {
                code: "unknown_stream".to_owned(),
                text: "via:<b>.nl sent".to_owned(),
                command: Some("zegel report name".to_owned()),
                is_next: true,
                stream: None,
                name: None,
                messages: 20,
                days: 0,
                since: jiff::Timestamp::UNIX_EPOCH,
            }],
        };
        let page = ladder(&climbing).into_string();
        for part in [
            "<li>none</li><li aria-current=\"step\">quarantine test</li><li>quarantine</li>",
            "<strong>ask</strong>: someone has to answer; the rung stays. On this rung since \
             2026-03-02. Not before 2026-03-16.",
            "<strong>unknown stream</strong>: via:&lt;b&gt;.nl sent: <code>zegel report name</code>",
            "<code>_dmarc.voorbeeld.nl TXT &quot;v=DMARC1; p=quarantine; t=y; pct=0&quot;</code>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        climbing.step = None;
        climbing.record = None;
        let page = ladder(&climbing).into_string();
        assert!(!page.contains("aria-current"), "{page}");
        assert!(page.contains("zegel dmarc status"), "{page}");
    }

    #[test]
    fn without_reports_nothing_is_said() {
        assert_eq!(
            senders(&"een".parse().unwrap(), &Senders::default()).into_string(),
            ""
        );
        let most = stream("ours", u64::MAX, u64::MAX, &[u64::MAX, u64::MAX]);
        assert!(row(&most, None).into_string().contains("100 %"));
    }
}
