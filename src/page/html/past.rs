//! What was not signed on the last days, as the keeper has counted it.

use maud::{Markup, html};

use super::parts;
use crate::{observe::tally::DAYS, page::past::PastMail};

/// Nothing if there is nothing to be said.
pub(super) fn past(past: Result<Option<&PastMail>, &str>) -> Markup {
    html! {
        @match past {
            Ok(None) => {},
            Ok(Some(mail)) => (table(mail)),
            Err(problem) => {
                h3 { "Not signed, by day" }
                p.problem { "What the keeper has counted can't be read: " (problem) }
            },
        }
    }
}

fn table(mail: &PastMail) -> Markup {
    let days = format!("{DAYS} days");
    let titles = ["Today", "Yesterday", "7 days", &days];
    let is_known = [mail.has_today, mail.has_yesterday, true, true];
    html! {
        h3 #past { "Not signed, by day" }
        table.past role="table" aria-labelledby="past" {
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { "Why" }
                    @for title in titles {
                        th.number role="columnheader" scope="col" { (title) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for ((reason, fate), sums) in &mail.rows {
                    @let sums = [sums.today, sums.yesterday, sums.week, sums.all];
                    tr role="row" {
                        th role="rowheader" scope="row" {
                            code { (reason) } " "
                            span.muted { (fate.as_str()) }
                        }
                        @for ((title, sum), is_known) in titles.iter().zip(sums).zip(is_known) {
                            td.number role="cell" data-label=(title) {
                                @if is_known { (parts::number(sum)) }
                                @else { span.muted { "not counted" } }
                            }
                        }
                    }
                }
            }
        }
        p.muted {
            "Counted by the keeper from " (mail.since) " to " (parts::time(mail.until))
            @if mail.is_partial { ", with gaps" }
            ". A message that is put off and comes again counts again. "
            code { "zegel org unsigned" } " has each day."
        }
    }
}
