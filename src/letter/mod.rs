//! The letter to a customer: who sent in its name in a month, what was stopped, what has changed,
//! and what it has to do. For readers who do not run mail servers: `src/letter/dutch.rs` and
//! `english.rs` have its words.
//!
//! Pure: how the domains stand goes in ([`About`]), text comes out ([`Letter::render`]).

mod catalogue;
mod document;
mod dutch;
mod english;
mod mail;
mod month;
mod name;
mod style;
mod tasks;
#[cfg(test)]
mod tests;

use jiff::civil::Date;

pub use self::month::Month;
use crate::{
    ladder::{Standing, facts::Facts},
    names::DomainName,
    paper::{html, markdown, text},
    words::{Language, words},
};

words! {
    /// What a letter is written as.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub enum Format {
        /// One page to print, without scripts and without anything from elsewhere.
        Html = "html",
        /// For a mail.
        Text = "text",
        /// CommonMark, with tables.
        Markdown = "markdown",
    }
}

/// A domain, and how it stands.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its name.
    pub domain: &'a DomainName,
    /// Whether it never sends.
    pub parked: bool,
    /// Whose record speaks for it.
    pub owner: &'a DomainName,
    /// Of one that never sends: one below it that does, and has no record of its own.
    pub waits_for: Option<&'a DomainName>,
    /// Whether there are records that receivers do not use: a wrong one, or several.
    pub is_broken: bool,
    /// What reports prove of its owner, or of itself if it never sends.
    pub facts: &'a Facts,
    /// What is advised; nothing if the record of its owner speaks for it.
    pub standing: &'a Standing,
}

impl About<'_> {
    /// The domain whose record is to change.
    fn record_of(&self) -> &DomainName {
        if self.parked { self.domain } else { self.owner }
    }

    /// Whether the record of another domain speaks for it.
    fn is_below(&self) -> bool {
        !self.parked && self.owner != self.domain
    }
}

/// All that a letter is made from.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// What the organisation is called.
    pub name: &'a str,
    /// Who writes.
    pub sender: Option<&'a str>,
    /// Whom to ask.
    pub questions: Option<&'a str>,
    /// The day on which it is written.
    pub date: Date,
    /// What it is about.
    pub month: Month,
    /// The domains of the organisation, in the order of its file.
    pub domains: Vec<About<'a>>,
}

impl Letter<'_> {
    /// Writes it. Ends with a newline.
    pub fn render(&self, format: Format, language: Language) -> String {
        let blocks = document::write(self, catalogue::of(language));
        match format {
            Format::Html => html::render(&blocks, language, style::STYLE),
            Format::Text => text::render(&blocks),
            Format::Markdown => markdown::render(&blocks),
        }
    }
}
