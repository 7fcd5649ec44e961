//! The items of `smtpd_milters` and `non_smtpd_milters`.

use std::fmt;

use super::text::{separates, split};

/// One milter of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::doctor) struct Milter {
    pub(in crate::doctor) address: String,
    /// What is said of it alone, in its order.
    options: Vec<(String, String)>,
}

impl Milter {
    /// All of a list.
    pub(in crate::doctor) fn list(text: &str) -> Vec<Self> {
        let milter = |item: String| {
            let mut parts = split(&item, separates).into_iter();
            let address = parts.next()?;
            let option = |part: String| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            };
            Some(Self {
                address,
                options: parts.filter_map(option).collect(),
            })
        };
        split(text, separates)
            .into_iter()
            .filter_map(milter)
            .collect()
    }

    /// What is said of it alone.
    pub(in crate::doctor) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        options
            .find(|(option, _)| option == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same with another value of an option.
    pub(in crate::doctor) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.options.retain(|(option, _)| option != name);
        changed.options.push((name.to_owned(), value.to_owned()));
        changed
    }
}

/// As it stands in a list.
impl fmt::Display for Milter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.options.is_empty() {
            return formatter.write_str(&self.address);
        }
        write!(formatter, "{{ {}", self.address)?;
        for (name, value) in &self.options {
            write!(formatter, ", {name}={value}")?;
        }
        formatter.write_str(" }")
    }
}

/// A list of them as a setting has it.
pub(in crate::doctor) fn list(milters: &[Milter]) -> String {
    let items: Vec<String> = milters.iter().map(Milter::to_string).collect();
    items.join(", ")
}
