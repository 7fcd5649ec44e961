//! An organisation as it is asked for, and the file that it gets.

use std::fmt::Write as _;

use toml::Value;

use super::Mistake;
use crate::{
    config::{Candidate, Problem},
    keys::Way,
    names::{DomainName, OrganisationId},
    words::Language,
};

pub(super) struct Entry {
    /// In which line of the sheet.
    pub(super) line: Option<u64>,
    pub(super) id: OrganisationId,
    pub(super) name: String,
    pub(super) domains: Vec<DomainName>,
    pub(super) parked: Vec<DomainName>,
    pub(super) contact: Option<String>,
    pub(super) logins: Vec<String>,
    /// How its keys are handed over to the operator.
    pub(super) delegation: Option<Way>,
    /// Of the texts for it, if it was said.
    pub(super) language: Option<Language>,
}

impl Entry {
    /// What its file says. The same entry has the same text, so that a command may be repeated.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        line("name", quoted(&self.name));
        if let Some(contact) = &self.contact {
            line("contact", quoted(contact));
        }
        if let Some(language) = self.language {
            line("language", quoted(language.as_str()));
        }
        line("domains", list(self.domains.iter().map(DomainName::as_str)));
        if !self.parked.is_empty() {
            line("parked", list(self.parked.iter().map(DomainName::as_str)));
        }
        if let Some(way) = self.delegation {
            line("delegation", quoted(way.as_str()));
        }
        if !self.logins.is_empty() {
            let logins = list(self.logins.iter().map(String::as_str));
            line("\n[senders]\nauth", logins);
        }
        text
    }

    /// Whether a file says the same. It may say in which language its texts are, or not: an option
    /// of this command asks for one pack in another.
    pub(super) fn is_written_as(&self, file: &str) -> bool {
        let own = self.text();
        let rest = |text| lines_but_language(text).collect::<Vec<&str>>();
        rest(&own) == rest(file)
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id.clone(),
            text: self.text(),
        }
    }

    pub(super) fn mistake(&self, text: &str) -> Mistake {
        Mistake {
            line: self.line,
            text: format!("{}: {text}", self.id),
        }
    }

    /// What is wrong with its file; the line there is nowhere to be seen.
    pub(super) fn problem(&self, problem: &Problem) -> Mistake {
        let key = &problem.place.key;
        let (gap, text, advice) = (
            if key.is_empty() { "" } else { ": " },
            &problem.text,
            &problem.advice,
        );
        self.mistake(&format!("{key}{gap}{text}; {advice}"))
    }
}

fn lines_but_language(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .filter(|line| !line.starts_with("language = "))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items
        .map(|item| format!("    {},\n", quoted(item)))
        .collect();
    if items.is_empty() {
        return "[]".to_owned();
    }
    format!("[\n{}]", items.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_makes_no_other_file() {
        let entry = |name: &str, language| Entry {
            line: None,
            id: "een".parse().unwrap(),
            name: name.to_owned(),
            domains: vec!["een.nl".parse().unwrap()],
            parked: Vec::new(),
            contact: None,
            logins: Vec::new(),
            delegation: None,
            language,
        };
        let (dutch, english) = (Some(Language::Dutch), Some(Language::English));
        for language in [None, dutch, english] {
            let text = entry("Een", language).text();
            assert!(entry("Een", None).is_written_as(&text));
            assert!(entry("Een", english).is_written_as(&text));
            assert!(!entry("Twee", language).is_written_as(&text));
        }
    }

    #[test]
    fn whatever_is_in_it_the_file_says_the_same() {
        let names = [
            "Gemeente \"Een\"",
            "it's",
            "back\\slash",
            "two\nlines",
            "\"\"\"",
            "'''",
            "é\u{7f}",
        ];
        for name in names {
            let entry = Entry {
                line: None,
                id: "een".parse().unwrap(),
                name: name.to_owned(),
                domains: vec!["café.nl".parse().unwrap()],
                parked: Vec::new(),
                contact: Some("dns@een.nl".to_owned()),
                logins: vec![name.to_owned()],
                delegation: Some(Way::Dname),
                language: Some(Language::English),
            };
            let read: toml::Table = entry.text().parse().unwrap();
            assert_eq!(read["name"].as_str(), Some(name));
            assert_eq!(read["senders"]["auth"][0].as_str(), Some(name));
            assert_eq!(read["domains"][0].as_str(), Some("xn--caf-dma.nl"));
            assert_eq!(read["delegation"].as_str(), Some("dname"));
            assert_eq!(read["language"].as_str(), Some("en"));
            assert!(!read.contains_key("parked"));
        }
    }
}
