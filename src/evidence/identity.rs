//! What a row is known by, as text: the form in which the store keeps it.

use crate::report::{Identity, Outcome};

/// A signature, by names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Signed {
    /// `d=`; may be empty.
    pub domain: String,
    /// `s=`; empty when the reporter leaves it out.
    pub selector: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// An SPF check, by names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Checked {
    /// The domain that was checked; may be empty.
    pub domain: String,
    /// The name of HELO and not the sender.
    pub helo: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// Who the messages of a row say they are from, and what came of it.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KnownBy {
    /// The signatures.
    pub signatures: Vec<Signed>,
    /// The SPF checks.
    pub spf: Vec<Checked>,
}

impl KnownBy {
    /// The text for the store, such as `dkim a.nl s1 pass`: a line for each, with `-` for an
    /// empty name.
    pub fn text(identity: &Identity, word: impl Fn(u32) -> String) -> String {
        let named = |place: u32| {
            let word = word(place);
            if word.is_empty() {
                return "-".to_owned();
            }
            // A selector may be anything a stranger writes; a blank would end it.
            word.replace(char::is_whitespace, "_")
        };
        let mut lines: Vec<String> = identity
            .signatures
            .iter()
            .map(|one| {
                format!(
                    "dkim {} {} {}",
                    named(one.domain),
                    named(one.selector),
                    one.outcome
                )
            })
            .chain(identity.spf.iter().map(|one| {
                let kind = if one.helo { "helo" } else { "spf" };
                format!("{kind} {} {}", named(one.domain), one.outcome)
            }))
            .collect();
        // In the order of the text: that of the report's words differs from report to report.
        lines.sort_unstable();
        lines.join("\n")
    }

    /// From the text of the store; a line that nobody knows is left out.
    pub fn read(text: &str) -> Self {
        let mut known = Self::default();
        let name = |word: &str| {
            if word == "-" {
                String::new()
            } else {
                word.to_owned()
            }
        };
        let outcome = |word: &str| Outcome::named(word).unwrap_or_default();
        for line in text.lines() {
            match &*line.split(' ').collect::<Vec<_>>() {
                ["dkim", domain, selector, result] => known.signatures.push(Signed {
                    domain: name(domain),
                    selector: name(selector),
                    outcome: outcome(result),
                }),
                [kind @ ("spf" | "helo"), domain, result] => known.spf.push(Checked {
                    domain: name(domain),
                    helo: *kind == "helo",
                    outcome: outcome(result),
                }),
                _ => {}
            }
        }
        known
    }
}
