//! How the selectors of an organisation are named.

use std::fmt;

use jiff::civil::Date;

use crate::names::{NameError, OrganisationId, Selector};

/// A label is at most 63 octets (RFC 1035 §2.3.4); this much of the last one is kept free
/// for the number of [`SelectorTemplate::candidates`].
const SUFFIX_OCTETS: usize = 4;
const LABEL_OCTETS: usize = 63;
const PLACEHOLDERS: [&str; 3] = ["org", "year", "half"];

/// A template such as `{org}-{year}{half}`, bound to one organisation and known to give a
/// valid selector on every date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SelectorTemplate {
    template: Box<str>,
    /// The template with the organisation filled in.
    bound: Box<str>,
}

/// Why a text is no template for selectors.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace is not closed, or not opened")]
    Brace,
    /// A placeholder that does not exist.
    #[error("there is no placeholder {{{0}}}")]
    Placeholder(String),
    /// What it gives is no selector (RFC 6376 §3.1).
    #[error("it gives {0:?}, which is no selector: {1}")]
    NotASelector(String, NameError),
    /// No room for `-2` and so on in the last label, for a second key in one half year.
    #[error("the last label of {0:?} is longer than 59 octets")]
    TooLong(String),
}

impl SelectorTemplate {
    /// What an organisation has that names none.
    pub const DEFAULT: &'static str = "{org}-{year}{half}";

    /// The default, for this organisation.
    #[expect(clippy::missing_panics_doc, reason = "every id fits into the default")]
    pub fn of_organisation(id: &OrganisationId) -> Self {
        Self::new(Self::DEFAULT, id).expect("every id fits into the default")
    }

    /// Binds a template to an organisation.
    ///
    /// # Errors
    ///
    /// When it holds an unknown placeholder, or does not give a valid selector.
    pub fn new(template: &str, organisation: &OrganisationId) -> Result<Self, TemplateError> {
        check_placeholders(template)?;
        let bound = Self {
            template: template.into(),
            bound: template.replace("{org}", organisation.as_str()).into(),
        };
        let sample = bound.fill(2026, 1);
        sample
            .parse::<Selector>()
            .map_err(|error| TemplateError::NotASelector(sample.clone(), error))?;
        let last_label = sample.rsplit('.').next().unwrap_or(&sample);
        if last_label.len() > LABEL_OCTETS - SUFFIX_OCTETS {
            return Err(TemplateError::TooLong(sample));
        }
        Ok(bound)
    }

    /// The selector of a key that is made on this date (UTC).
    #[expect(clippy::missing_panics_doc, reason = "it cannot")]
    pub fn render(&self, date: Date) -> Selector {
        self.fill(date.year(), date.month())
            .parse()
            .expect("every date gives as many letters and digits as the one checked in new")
    }

    /// The selector of this date, then the same with `-2`, `-3` and so on up to `-999`: a
    /// selector that ever named one key never names another, so a second key in one half
    /// year takes the next.
    pub fn candidates(&self, date: Date) -> impl Iterator<Item = Selector> {
        let first = self.render(date);
        let numbered = first.clone();
        let rest = (2..1000).filter_map(move |number| format!("{numbered}-{number}").parse().ok());
        std::iter::once(first).chain(rest)
    }

    fn fill(&self, year: i16, month: i8) -> String {
        let half = if month <= 6 { "a" } else { "b" };
        self.bound
            .replace("{year}", &format!("{:04}", year.clamp(0, 9999)))
            .replace("{half}", half)
    }
}

impl fmt::Display for SelectorTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.template)
    }
}

fn check_placeholders(template: &str) -> Result<(), TemplateError> {
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let inside = rest[at..].strip_prefix('{').ok_or(TemplateError::Brace)?;
        let (name, after) = inside.split_once('}').ok_or(TemplateError::Brace)?;
        if !PLACEHOLDERS.contains(&name) {
            return Err(TemplateError::Placeholder(name.into()));
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn template(text: &str) -> Result<SelectorTemplate, TemplateError> {
        SelectorTemplate::new(text, &"voorbeeld".parse().unwrap())
    }

    #[test]
    fn selectors_follow_the_date() {
        for (text, day, expected) in [
            (
                SelectorTemplate::DEFAULT,
                date(2026, 1, 1),
                "voorbeeld-2026a",
            ),
            (
                SelectorTemplate::DEFAULT,
                date(2026, 6, 30),
                "voorbeeld-2026a",
            ),
            (
                SelectorTemplate::DEFAULT,
                date(2026, 7, 1),
                "voorbeeld-2026b",
            ),
            ("{half}{year}.{org}", date(2027, 12, 31), "b2027.voorbeeld"),
            ("Mail", date(2026, 1, 1), "mail"),
            (SelectorTemplate::DEFAULT, Date::MIN, "voorbeeld-0000a"),
            (SelectorTemplate::DEFAULT, Date::MAX, "voorbeeld-9999b"),
        ] {
            assert_eq!(template(text).unwrap().render(day).as_str(), expected);
        }
    }

    #[test]
    fn a_second_key_takes_the_next_selector() {
        let template = template(SelectorTemplate::DEFAULT).unwrap();
        let all: Vec<_> = template.candidates(date(2026, 1, 1)).collect();
        assert_eq!(all[0].as_str(), "voorbeeld-2026a");
        assert_eq!(all[1].as_str(), "voorbeeld-2026a-2");
        assert_eq!(all.last().unwrap().as_str(), "voorbeeld-2026a-999");
    }

    #[test]
    fn what_is_no_template() {
        for (text, expected) in [
            ("", "the name is empty"),
            ("{org", "brace"),
            ("org}", "brace"),
            ("}{", "brace"),
            ("{month}", "no placeholder {month}"),
            ("{{org}}", "no placeholder {{org}"),
            ("{org}_x", "no selector"),
            ("{org}-", "no selector"),
            (&"a".repeat(60), "longer than 59"),
        ] {
            let error = template(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let hyphen: OrganisationId = "-x".parse().unwrap();
        assert!(SelectorTemplate::new("{org}", &hyphen).is_err());
    }
}
