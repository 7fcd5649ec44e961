//! One page that needs nothing from elsewhere, runs nothing, and can be printed.

use std::fmt::Write;

use super::{
    told::{Done, OrganisationReport, Report, Rotation, Signed, Unknown},
    words::{join, moment},
};
use crate::words::escape;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #767676; --shade: #f2f4f7; }
@media (prefers-color-scheme: dark) { :root { --line: #9a9a9a; --shade: #23272e; } }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 80rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; break-after: avoid; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
dl { display: grid; grid-template-columns: minmax(8rem, 24rem) 1fr; gap: .3rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; min-width: 0; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { border: 1px solid var(--line); padding: .25rem .4rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { background: var(--shade); overflow-wrap: normal; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
code { font: .92em/1.4 ui-monospace, monospace; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  :root { color-scheme: light; --line: #767676; --shade: #fff; }
  body { font-size: 9pt; color: #000; background: #fff; }
  main { max-width: none; padding: 0; }
}
";

/// The report as one HTML file.
pub fn html(report: &Report) -> String {
    let title = escape(&report.title());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<dl>\n"
    );
    for (question, answer) in report.answers() {
        let (question, answer) = (escape(question), escape(&answer));
        // A String takes all that is written to it.
        let _ = writeln!(page, "<dt>{question}</dt><dd>{answer}</dd>");
    }
    page.push_str("</dl>\n");
    for one in &report.organisations {
        organisation(&mut page, one);
    }
    page.push_str("<h2>The keystore as a whole</h2>\n");
    if report.keystore.is_empty() {
        page.push_str("<p>Nothing happened to it.</p>\n");
    } else {
        let rows = report.keystore.iter();
        let rows = rows.map(|done| [moment(Some(done.time)), done.words(), done.by.to_string()]);
        table(&mut page, ["When", "What", "By"], rows);
    }
    page.push_str("<h2>Where this comes from, and what it does not know</h2>\n<ul>\n");
    for source in &report.sources {
        let _ = writeln!(page, "<li>{}</li>", escape(source));
    }
    page.push_str("</ul>\n</main>\n</body>\n</html>\n");
    page
}

fn organisation(page: &mut String, one: &OrganisationReport) {
    let _ = writeln!(page, "<h2>{}</h2>", escape(one.organisation.as_str()));
    if one.keys.is_empty() {
        page.push_str("<p>No key signed.</p>\n");
    } else {
        keys(page, one);
    }
    if !one.rotations.is_empty() {
        page.push_str("<h3>Rotations</h3>\n");
        rotations(page, &one.rotations);
    }
    if !one.suspensions.is_empty() {
        page.push_str("<h3>Suspended</h3>\n<ul>\n");
        for suspension in &one.suspensions {
            let _ = writeln!(page, "<li>{}</li>", escape(&suspension.words()));
        }
        page.push_str("</ul>\n");
    }
    if !one.unknown.is_empty() {
        page.push_str("<h3>Not known whether they signed</h3>\n");
        unknown(page, &one.unknown);
    }
    if !one.events.is_empty() {
        page.push_str("<h3>What was done</h3>\n");
        events(page, &one.events);
    }
    if one.left_out > 0 {
        let count = one.left_out;
        let _ = writeln!(page, "<p>Not listed, as there are too many: {count}.</p>");
    }
}

fn rotations(page: &mut String, rotations: &[Rotation]) {
    let rows = rotations.iter().map(|rotation| {
        [
            moment(Some(rotation.time)),
            rotation.domain.to_string(),
            format!("{} → {}", rotation.from, rotation.to),
            or_not_known(rotation.after_days),
            or_not_known(rotation.by.as_ref()),
        ]
    });
    table(page, ["When", "Domain", "Keys", "After days", "By"], rows);
}

fn unknown(page: &mut String, keys: &[Unknown]) {
    let rows = keys.iter().map(|key| {
        [
            key.domain.to_string(),
            key.selector.to_string(),
            key.algorithm.to_string(),
            or_not_known(key.bits),
            moment(Some(key.made)),
            key.fingerprint.to_string(),
        ]
    });
    let headings = [
        "Domain",
        "Selector",
        "Algorithm",
        "Bits",
        "Made",
        "Fingerprint",
    ];
    table(page, headings, rows);
}

fn events(page: &mut String, events: &[Done]) {
    let rows = events.iter().map(|done| {
        let selector = done.selector.as_ref();
        [
            moment(Some(done.time)),
            done.words(),
            selector.map_or(String::new(), ToString::to_string),
            join(&done.domains),
            done.by.to_string(),
        ]
    });
    table(page, ["When", "What", "Selector", "Domains", "By"], rows);
}

fn keys(page: &mut String, one: &OrganisationReport) {
    let rows = one.keys.iter().map(|key| {
        let signed: Vec<String> = key.signed.iter().map(Signed::words).collect();
        [
            key.domain.to_string(),
            key.selector.to_string(),
            key.kind(),
            signed.join("; "),
            or_not_known(key.used_days),
            or_not_known(key.age_days),
            key.record(),
            key.remarks().join("; "),
            or_not_known(key.fingerprint),
        ]
    });
    let headings = [
        "Domain",
        "Selector",
        "Key",
        "Signed",
        "Days in use",
        "Age in days",
        "Record seen everywhere",
        "Remarks",
        "Fingerprint (SHA-256)",
    ];
    table(page, headings, rows);
}

fn or_not_known(value: Option<impl ToString>) -> String {
    value.map_or("not known".to_owned(), |value| value.to_string())
}

fn table<const COLUMNS: usize>(
    page: &mut String,
    headings: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) {
    page.push_str("<table>\n<thead><tr>");
    for heading in headings {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escape(heading));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escape(&cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
}
