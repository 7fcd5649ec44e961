//! The `[log]` table: the form of the log, and how much of it there is.

use std::fmt;

use super::{
    problem::Fault,
    section::{Section, distance, quoted, text, word},
    source::Node,
};
use crate::words::words;

/// The `[log]` table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// Which lines there are.
    pub filter: LogFilter,
}

/// What is logged: a level, or several of `TARGET=LEVEL`, with commas between, such as `info`
/// or `warn,zegel::milter=debug`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl LogFilter {
    /// From silence to everything.
    pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// Finds the usual slips: a word that is no level would be taken for a target, and nothing
    /// else would be logged. Words with a span are left to the log itself.
    ///
    /// # Errors
    ///
    /// What should be a level and is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let filter = Self(text.to_owned());
        let is_wrong = |word: &&str| {
            !Self::LEVELS
                .iter()
                .any(|one| one.eq_ignore_ascii_case(word))
        };
        let words = filter.words().filter(|word| !word.contains(['[', '{']));
        let wrong = words
            .map(|word| word.split_once('=').map_or(word, |(_, level)| level.trim()))
            .find(is_wrong);
        let wrong = wrong.or_else(|| filter.words().next().is_none().then_some(text));
        match wrong.map(ToOwned::to_owned) {
            Some(wrong) => Err(wrong),
            None => Ok(filter),
        }
    }

    /// The parts between commas, but those in the brackets of a span.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let mut depth = 0_usize;
        let outside = move |character| {
            match character {
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            character == ',' && depth == 0
        };
        let words = self.0.split(outside).map(str::trim);
        words.filter(|word| !word.is_empty())
    }
}

/// As written.
impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

words! {
    /// The form of a log line.
    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    pub enum LogFormat {
        /// For people and the journal.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

pub(super) fn read(mut section: Section<'_>) -> LogSettings {
    let defaults = LogSettings::default();
    let formats = LogFormat::ALL.map(|format| (format.as_str(), format));
    let settings = LogSettings {
        format: section.read_or("format", defaults.format, |node| word(node, &formats)),
        filter: section.read_or("filter", defaults.filter, filter),
    };
    section.finish();
    settings
}

fn filter(node: &Node) -> Result<LogFilter, Fault> {
    LogFilter::new(text(node)?).map_err(|word| {
        let levels = LogFilter::LEVELS;
        let nearest = levels.iter().min_by_key(|known| distance(&word, known));
        let advice = format!(
            "write a level ({}), or module=level; did you mean {}?",
            levels.join(", "),
            nearest.unwrap_or(&"info")
        );
        Fault::new(format!("{} is no level", quoted(&word)), advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_with_a_word_that_is_no_level_are_refused() {
        for (text, wrong) in [
            ("", ""),
            (" ", " "),
            (",", ","),
            ("inof", "inof"),
            ("info,zegel", "zegel"),
            ("zegel=loud", "loud"),
            ("zegel=info=debug", "info=debug"),
            ("zegel=", ""),
        ] {
            assert_eq!(LogFilter::new(text), Err(wrong.to_owned()), "{text:?}");
        }
        for text in ["info", "INFO,", "warn, zegel::milter = debug", "off"] {
            assert_eq!(LogFilter::new(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn commas_in_the_brackets_of_a_span_are_no_separators() {
        let filter = LogFilter::new("info, zegel[message{id=1,to=2,a=3}]=debug,warn").unwrap();
        let words: Vec<&str> = filter.words().collect();
        assert_eq!(
            words,
            ["info", "zegel[message{id=1,to=2,a=3}]=debug", "warn"]
        );
    }
}
