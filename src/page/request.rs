//! What is asked for: the path and the text after the question mark.

use crate::{
    handover::Format,
    words::Level,
    words::{Language, words},
};

/// A page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place<'a> {
    /// All organisations.
    All,
    /// The organisation with this id, which may not exist.
    One(&'a str),
    /// What its DNS administrator is given, as a file.
    Pack(&'a str, PackFormat),
    /// A stream of the organisation; the text after the question mark says which.
    Stream(&'a str),
    Style,
    Seal,
}

words! {
    /// The files of a hand-over pack; the words are the ends of their paths.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum PackFormat {
        Text = "records.txt",
        Zone = "records.zone",
        Json = "records.json",
    }
}

impl PackFormat {
    pub(super) fn format(self) -> Format {
        match self {
            Self::Text => Format::Text,
            Self::Zone => Format::Zone,
            Self::Json => Format::Json,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text | Self::Zone => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// The page of a path, if there is one. Ids need no decoding.
pub(super) fn place(path: &str) -> Option<Place<'_>> {
    match path {
        "/" => return Some(Place::All),
        "/style.css" => return Some(Place::Style),
        "/seal.svg" => return Some(Place::Seal),
        _ => {}
    }
    let rest = path.strip_prefix("/org/")?;
    let Some((id, file)) = rest.split_once('/') else {
        return Some(Place::One(rest));
    };
    if file == "stream" {
        return Some(Place::Stream(id));
    }
    Some(Place::Pack(id, PackFormat::named(file)?))
}

words! {
    /// The order of the list; the words are those in addresses.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum Sort {
        Level = "level",
        Name = "name",
        Checked = "checked",
        Signed = "signed",
        Unsigned = "unsigned",
    }
}

/// Which part of the list is wanted, and in which order. What can't be understood is left
/// out: an old bookmark shows something all the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wish {
    /// Lower case; empty: everything.
    pub(super) search: String,
    pub(super) sort: Sort,
    /// The other way round.
    pub(super) reversed: bool,
    /// Only organisations of this level.
    pub(super) only: Option<Level>,
    /// From 1.
    pub(super) page: usize,
}

/// Longer than any name that could be found.
const LONGEST_SEARCH: usize = 256;

impl Default for Wish {
    fn default() -> Self {
        Self {
            search: String::new(),
            sort: Sort::Level,
            reversed: false,
            only: None,
            page: 1,
        }
    }
}

impl Wish {
    pub(super) fn parse(query: &str) -> Self {
        let mut wish = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "q" => {
                    let text = value.trim().chars().take(LONGEST_SEARCH);
                    wish.search = text.collect::<String>().to_lowercase();
                }
                "sort" => {
                    let reversed = value.strip_prefix('-');
                    if let Some(sort) = Sort::named(reversed.unwrap_or(&value)) {
                        wish.sort = sort;
                        wish.reversed = reversed.is_some();
                    }
                }
                "only" => wish.only = Level::named(&value),
                "page" => wish.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        wish
    }

    /// The address of the list with this wish.
    pub(super) fn address(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("q", &self.search);
        }
        if (self.sort, self.reversed) != (Sort::Level, false) {
            let sign = if self.reversed { "-" } else { "" };
            query.append_pair("sort", &format!("{sign}{}", self.sort));
        }
        if let Some(only) = self.only {
            query.append_pair("only", only.as_str());
        }
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        let query = query.finish();
        if query.is_empty() {
            "/".to_owned()
        } else {
            format!("/?{query}")
        }
    }
}

/// The language of a hand-over pack, if `lang=` asks for one; else it is that of the organisation,
/// as on the command line.
pub(super) fn language(query: &str) -> Option<Language> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "lang")
        .and_then(|(_, word)| Language::named(&word))
}

/// The policy domain and the id of a stream that is asked for.
pub(super) fn stream(query: &str) -> Option<(String, String)> {
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, value) = pairs.find(|(key, _)| key == wanted)?;
        Some(value.into_owned())
    };
    Some((value("domain")?, value("stream")?))
}

/// The address of its page.
pub(super) fn stream_address(organisation: &str, domain: &str, stream: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("domain", domain);
    query.append_pair("stream", stream);
    format!("/org/{organisation}/stream?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place("/"), Some(Place::All));
        assert_eq!(place("/org/a"), Some(Place::One("a")));
        let zone = Place::Pack("a", PackFormat::Zone);
        assert_eq!(place("/org/a/records.zone"), Some(zone));
        assert_eq!(place("/org/a/stream"), Some(Place::Stream("a")));
        for path in ["", "/org", "/org/a/", "/org/a/b/records.txt", "/../etc"] {
            assert_eq!(place(path), None, "{path}");
        }
    }

    #[test]
    fn a_stream_is_its_address() {
        let id = "via:\"><a&b=c>.nl";
        let address = stream_address("een", "een.nl", id);
        let (path, query) = address.split_once('?').unwrap();
        assert_eq!(place(path), Some(Place::Stream("een")));
        let asked = ("een.nl".to_owned(), id.to_owned());
        assert_eq!(stream(query), Some(asked));
        assert_eq!(stream("domain=een.nl"), None);
    }

    #[test]
    fn a_wish_is_its_address() {
        for address in [
            "/",
            "/?q=voorbeeld",
            "/?sort=name",
            "/?sort=-level",
            "/?q=a+%26+b&sort=-signed&only=not_live&page=3",
            "/?q=%22%3E%3Cscript%3E",
        ] {
            let query = address.strip_prefix("/?").unwrap_or_default();
            assert_eq!(Wish::parse(query).address(), address);
        }
    }

    #[test]
    fn what_cannot_be_understood_is_left_out() {
        for query in [
            "sort=nothing",
            "sort=",
            "only=none",
            "page=0",
            "page=-1",
            "page=x",
            "page=99999999999999999999999",
            "q=%20%20",
            "&&==&%",
            "x",
        ] {
            assert_eq!(Wish::parse(query), Wish::default(), "{query}");
        }
        let long = Wish::parse(&format!("q={}", "A".repeat(100_000)));
        assert_eq!(long.search.len(), LONGEST_SEARCH);
    }

    #[test]
    fn packs_are_in_dutch_unless_asked_for() {
        assert_eq!(language(""), None);
        assert_eq!(language("lang=xx"), None);
        assert_eq!(language("a=b&lang=en"), Some(Language::English));
    }
}
