//! Tag lists (RFC 6376 §3.2), the form of signatures and of key records.

use std::collections::HashSet;

/// Why a text is no tag list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TagError {
    /// This piece, which is not `name=value`.
    #[error("{0:?} is not a tag of the form name=value")]
    Malformed(String),
    /// A tag is there twice, which RFC 6376 §3.2 forbids.
    #[error("the tag {0}= is there more than once")]
    Repeated(String),
}

/// The tags in their order; values without the white space around them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TagList<'a> {
    tags: Vec<(&'a str, &'a str)>,
}

impl<'a> TagList<'a> {
    /// Parses a whole list; a semicolon at the end is allowed.
    ///
    /// # Errors
    ///
    /// When a part is no tag, or a tag is repeated.
    pub(super) fn parse(text: &'a str) -> Result<Self, TagError> {
        let text = text.trim_matches(BLANK);
        let mut tags = Vec::new();
        let mut names = HashSet::new();
        if text.is_empty() {
            return Ok(Self { tags });
        }
        for piece in text.strip_suffix(';').unwrap_or(text).split(';') {
            let malformed = || TagError::Malformed(piece.trim_matches(BLANK).to_owned());
            let (name, value) = piece.split_once('=').ok_or_else(malformed)?;
            let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
            if !is_tag_name(name) || !value.chars().all(is_value_character) {
                return Err(malformed());
            }
            if !names.insert(name) {
                return Err(TagError::Repeated(name.to_owned()));
            }
            tags.push((name, value));
        }
        Ok(Self { tags })
    }

    /// The value of a tag, if it is there.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.tags
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    /// The value of a tag without any white space in it, as base64 and numbers want it.
    pub(super) fn compact(&self, name: &str) -> Option<String> {
        self.value(name)
            .map(|value| value.chars().filter(|c| !BLANK.contains(c)).collect())
    }

    /// All names, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.tags.iter().map(|(name, _)| *name)
    }

    /// The name of the first tag.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.tags.first().map(|(name, _)| *name)
    }
}

/// The characters of folding white space (RFC 6376 §2.8).
pub(super) const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_tag_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

/// `tval` (RFC 6376 §3.2) with the blanks in it; notes in UTF-8 are harmless.
fn is_value_character(character: char) -> bool {
    BLANK.contains(&character) || !character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let tags = TagList::parse(" v = 1 ;\r\n\tb= a b\r\n\tc ;x=;").unwrap();
        assert_eq!(tags.first(), Some("v"));
        assert_eq!(tags.value("v"), Some("1"));
        assert_eq!(tags.compact("b").as_deref(), Some("abc"));
        assert_eq!(tags.value("x"), Some(""));
        assert_eq!(tags.value("y"), None);
        assert_eq!(TagList::parse("").unwrap().first(), None);
    }

    #[test]
    fn what_is_no_list() {
        assert_eq!(
            TagList::parse("v=1;v=1"),
            Err(TagError::Repeated("v".to_owned()))
        );
        for text in ["v", ";", "v=1;;b=2", "1=2", "=1", "a b=1"] {
            assert!(
                matches!(TagList::parse(text), Err(TagError::Malformed(_))),
                "{text}"
            );
        }
    }

    /// A minute, if each name were looked for among all before it.
    #[test]
    fn many_tags_take_no_time() {
        let tags: Vec<String> = (0..150_000).map(|number| format!("a{number}=;")).collect();
        let mut text = tags.concat();
        assert_eq!(TagList::parse(&text).unwrap().value("a149999"), Some(""));
        text.push_str("a0=");
        assert_eq!(
            TagList::parse(&text),
            Err(TagError::Repeated("a0".to_owned()))
        );
    }
}
