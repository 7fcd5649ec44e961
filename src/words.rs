//! Words that several rooms say, each written down once: closed lists of them, how bad a
//! finding is, languages, and sentences that are filled in.

use serde::Deserialize;

/// An enum whose values have one word each: in JSON, in labels, in logs, on the command line.
macro_rules! words {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$about_one:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$about])*
        $visibility enum $name {
            $($(#[$about_one])* $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            #[allow(dead_code, reason = "not every list is gone through")]
            $visibility const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The word for it, which never changes.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The one with this word.
            #[allow(dead_code, reason = "not every word is read")]
            $visibility fn named(word: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.as_str() == word)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// How bad a finding is; the greater, the worse.
    #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    pub enum Severity {
        /// Nothing has to be done.
        Note = "note",
        /// It works, and something should be put right.
        Warning = "warning",
        /// Someone has to act: mail is or will be unsigned, lost or not verifiable, or nobody
        /// can tell.
        Act = "act",
    }
}

words! {
    /// How things stand with an organisation, a domain or a key; the first is the worst.
    #[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
    #[serde(rename_all = "snake_case")]
    pub enum Level {
        /// The DNS shows a key that others have, or may have: they can write in its name.
        Compromised = "compromised",
        /// Signed mail fails to verify.
        Unverifiable = "unverifiable",
        /// Mail is put off.
        Tempfailed = "tempfailed",
        /// Mail leaves unsigned, of an organisation that has been seen to send.
        Unsigned = "unsigned",
        /// Someone has to act; mail is fine meanwhile.
        Act = "act",
        /// It comes by itself.
        Waits = "waits",
        /// No key signs yet, and no mail was seen so far.
        NotLive = "not_live",
        /// Nothing has to be done.
        #[default]
        Well = "well",
    }
}

impl Level {
    /// Whether mail suffers, or may be forged.
    pub fn is_urgent(self) -> bool {
        self <= Self::Unsigned
    }
}

words! {
    /// The language of a reader who looks after the DNS of an organisation.
    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    pub enum Language {
        /// Dutch.
        #[default]
        Dutch = "nl",
        /// English.
        English = "en",
    }
}

/// The months in Dutch.
pub const DUTCH_MONTHS: [&str; 12] = [
    "januari",
    "februari",
    "maart",
    "april",
    "mei",
    "juni",
    "juli",
    "augustus",
    "september",
    "oktober",
    "november",
    "december",
];

/// The months in English.
pub const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A sentence with `{name}` filled in for each name in `values`. Any other placeholder stays as
/// it is, and what is filled in is not read again.
pub fn filled(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(key, _)| *key == name)?;
            Some((value, after))
        });
        let (piece, after) = known.unwrap_or((&"{", after));
        filled.push_str(piece);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Without control characters: what is printed may come from a file, a message or the DNS.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// As HTML: right between tags and in quoted attributes. Of control characters only the ends of
/// lines stay: no page may hold the others.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_greatest() {
        assert_eq!(Severity::ALL.into_iter().max(), Some(Severity::Act));
        assert!(Severity::ALL.is_sorted());
    }

    #[test]
    fn only_known_placeholders_are_filled_in_and_only_once() {
        let values = [("x", "{y}"), ("y", "2")];
        assert_eq!(filled("{x} {y}{y} {z} {", &values), "{y} 22 {z} {");
    }
}
