//! The measurement as one page, which needs nothing from elsewhere and runs nothing.

use std::fmt::Write;

use super::Document;
use crate::{
    cli::dmarc::figures::{Cell, Figure, NAMES, Part, ToldDomain},
    words::{Language, escape},
};

const STYLE: &str = "
body { margin: 1.5rem; font: 1rem/1.4 system-ui, sans-serif; color: #000; background: #fff; }
h1 { font-size: 1.5rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #767676; padding: .2rem .5rem; text-align: left; }
th { background: #eee; }
td:first-child, td:nth-child(2) { overflow-wrap: anywhere; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.no, .unknown { font-weight: 700; }
.no { background: #fde8e8; }
.unknown { background: #fff4d6; }
small { color: #444; white-space: nowrap; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { margin: 0; font-size: 8pt; } }
";

/// A text in both languages.
struct Said(Language);

impl Said {
    fn say<'a>(&self, dutch: &'a str, english: &'a str) -> &'a str {
        match self.0 {
            Language::Dutch => dutch,
            Language::English => english,
        }
    }

    fn cell(&self, cell: Cell) -> &'static str {
        match cell {
            Cell::Yes => self.say("ja", "yes"),
            Cell::No => self.say("nee", "no"),
            Cell::Unknown => self.say("onbekend", "unknown"),
            Cell::NotNeeded => self.say("niet nodig", "not needed"),
        }
    }

    fn heading(&self, name: &'static str) -> &'static str {
        match name {
            "spf" => "SPF",
            "dkim" => "DKIM",
            "dmarc" => "DMARC",
            "strict" => self.say("streng genoeg", "strict enough"),
            "dnssec" => "DNSSEC",
            "tlsa" => "TLSA",
            "mta_sts" => "MTA-STS",
            other => other,
        }
    }

    /// A number with one place behind the comma.
    fn number(&self, number: &str) -> String {
        match self.0 {
            Language::Dutch => number.replace('.', ","),
            Language::English => number.to_owned(),
        }
    }

    fn figure(&self, figure: &Figure) -> String {
        let mut cell = format!("{} {} {}", figure.count, self.say("van", "of"), figure.of);
        let mut more = Vec::new();
        if let Some(percent) = figure.percent {
            let percent = self.number(&format!("{percent:.1}"));
            more.push(format!("{percent} %"));
        }
        if let Some(change) = figure.count_change {
            more.push(format!("{change:+}"));
        }
        if let Some(change) = figure.percent_change {
            let change = self.number(&format!("{change:+.1}"));
            more.push(format!("{change} {}", self.say("punt", "points")));
        }
        if figure.unknown > 0 {
            let unknown = self.say("onbekend", "unknown");
            more.push(format!("{} {unknown}", figure.unknown));
        }
        for one in more {
            // Writing to a string can't fail, here and below.
            let _ = write!(cell, " <small>{one}</small>");
        }
        cell
    }
}

/// The page.
pub(super) fn page(document: &Document, language: Language) -> String {
    let said = Said(language);
    let title = said.say("Meting van de domeinen", "Measurement of the domains");
    let about = document.organisation.as_deref().map(escape);
    let about = about.map_or_else(String::new, |id| format!(", {id}"));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}{about}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}{about}</h1>\n<p>{}</p>\n",
        document.date
    );
    totals(&mut html, document, &said);
    domains(&mut html, &document.domains, &said);
    html.push_str("</body>\n</html>\n");
    html
}

fn totals(html: &mut String, document: &Document, said: &Said) {
    let totals = &document.totals;
    let parts: [(&str, &Part); 3] = [
        (said.say("alle", "all"), &totals.all),
        (said.say("verzendend", "sending"), &totals.sending),
        (said.say("geparkeerd", "parked"), &totals.parked),
    ];
    html.push_str("<table>\n<thead>\n<tr><th></th>");
    for (name, part) in parts {
        let _ = write!(html, "<th>{name} ({})</th>", part.domains);
    }
    html.push_str("</tr>\n</thead>\n<tbody>\n");
    for (place, name) in NAMES.into_iter().enumerate() {
        let _ = write!(html, "<tr><th>{}</th>", said.heading(name));
        for (_, part) in parts {
            let figures = part.figures();
            let figure = figures.get(place).map(|figure| said.figure(figure));
            let _ = write!(html, "<td>{}</td>", figure.unwrap_or_default());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    if let Some(since) = document.since {
        let words = said.say("Het verschil is dat met", "Changes are those since");
        let _ = writeln!(html, "<p>{words} {since}.</p>");
    }
}

fn domains(html: &mut String, domains: &[ToldDomain], said: &Said) {
    html.push_str("<table>\n<thead>\n<tr>");
    let first = [
        said.say("organisatie", "organisation"),
        said.say("domein", "domain"),
        said.say("gebruik", "use"),
    ];
    let headings = NAMES.map(|name| said.heading(name));
    for heading in first.into_iter().chain(headings) {
        let _ = write!(html, "<th>{heading}</th>");
    }
    html.push_str("</tr>\n</thead>\n<tbody>\n");
    for told in domains {
        let used = if told.parked {
            said.say("geparkeerd", "parked")
        } else {
            said.say("verzendend", "sending")
        };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{used}</td>",
            escape(&told.organisation),
            escape(&told.domain)
        );
        for cell in told.cells() {
            let class = match cell {
                Cell::No => " class=\"no\"",
                Cell::Unknown => " class=\"unknown\"",
                Cell::Yes | Cell::NotNeeded => "",
            };
            let _ = write!(html, "<td{class}>{}</td>", said.cell(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    let problems = domains.iter().filter_map(|told| {
        let problem = told.problem.as_deref()?;
        Some(format!("{}: {problem}", told.domain))
    });
    for problem in problems {
        let _ = writeln!(html, "<p>{}</p>", escape(&problem));
    }
}
