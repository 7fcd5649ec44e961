//! Paper: documents of headings, sentences and tables, before it is known whether they become
//! text, Markdown or HTML. Pure.
//!
//! A sentence holds `{name}` for what is filled in and backquotes around what is typed or seen
//! literally. What is filled in is never read for either of the two.

pub mod html;
pub mod markdown;
pub mod text;

use crate::words::filled;

/// A piece of a sentence.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Inline {
    /// For reading.
    Text(String),
    /// To be seen first.
    Strong(String),
    /// Literally so.
    Code(String),
}

/// A sentence that is filled in.
pub type Inlines = Vec<Inline>;

/// A part of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Block {
    /// Of the first level: the title; there is one, and it comes first.
    Title(Inlines),
    /// Of the second level.
    Section(Inlines),
    /// Of the third level.
    Subsection(Inlines),
    /// A paragraph.
    Paragraph(Inlines),
    /// A paragraph that must not be overlooked.
    Urgent(Inlines),
    /// Points, in no order.
    List(Vec<Inlines>),
    /// Terms and what they are.
    Facts(Vec<(Inlines, Inlines)>),
    /// Heads of columns, and rows of as many cells. All columns but the first hold numbers.
    Table(Vec<Inlines>, Vec<Vec<Inlines>>),
    /// To be copied as it is: a label, then lines that are never broken.
    Copy(Inlines, Vec<String>),
}

/// Fills in a sentence. A placeholder that is not among `values` stays as it is.
pub fn fill(sentence: &str, values: &[(&str, &str)]) -> Inlines {
    let mut inlines = Vec::new();
    for (place, piece) in sentence.split('`').enumerate() {
        if piece.is_empty() {
            continue;
        }
        let piece = filled(piece, values);
        inlines.push(if place % 2 == 0 {
            Inline::Text(piece)
        } else {
            Inline::Code(piece)
        });
    }
    inlines
}

/// Fills in a sentence as [`fill`] does, and `pieces` where it names them; these stand outside
/// backquotes.
pub fn splice(sentence: &str, values: &[(&str, &str)], pieces: &[(&str, &[Inline])]) -> Inlines {
    let first = pieces.iter().filter_map(|(name, inlines)| {
        let mark = format!("{{{name}}}");
        let place = sentence.find(&mark)?;
        Some((place, place + mark.len(), *inlines))
    });
    let Some((from, to, inlines)) = first.min_by_key(|(from, ..)| *from) else {
        return fill(sentence, values);
    };
    let (before, after) = (sentence.get(..from), sentence.get(to..));
    let mut all = fill(before.unwrap_or_default(), values);
    all.extend_from_slice(inlines);
    all.extend(splice(after.unwrap_or_default(), values, pieces));
    all
}

/// The words of a sentence, without marks.
pub fn plain(inlines: &[Inline]) -> String {
    let words = inlines.iter().map(|inline| match inline {
        Inline::Text(text) | Inline::Strong(text) | Inline::Code(text) => text.as_str(),
    });
    words.collect()
}

/// Something literal, as a whole sentence.
pub fn code(text: impl Into<String>) -> Inlines {
    vec![Inline::Code(text.into())]
}

/// Something to read, as a whole sentence.
pub fn words(text: impl Into<String>) -> Inlines {
    vec![Inline::Text(text.into())]
}

/// That two languages have the same sentences, by name: each with the same values and with whole
/// literals, on one line.
#[cfg(test)]
pub(crate) fn say_the_same<'a>(
    one: impl IntoIterator<Item = (&'a str, &'a str)>,
    other: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    use std::collections::BTreeSet;

    let values = |sentence: &'a str| -> BTreeSet<&'a str> {
        let pieces = sentence.split('{').skip(1);
        pieces
            .map(|piece| piece.split_once('}').unwrap().0)
            .collect()
    };
    for ((name, one), (_, other)) in one.into_iter().zip(other) {
        assert!(!one.is_empty() && !other.is_empty(), "{name}");
        assert_eq!(values(one), values(other), "{name}");
        for sentence in [one, other] {
            assert_eq!(sentence.matches('`').count() % 2, 0, "{name}");
            assert!(
                !sentence.contains('\n') && !sentence.contains("  "),
                "{name}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_read() {
        let filled = fill("a {x} `{y};`", &[("x", "`{y}`"), ("y", "{x}")]);
        let expected = [Inline::Text("a `{y}` ".into()), Inline::Code("{x};".into())];
        assert_eq!(filled, expected);
    }

    #[test]
    fn pieces_keep_their_marks() {
        let piece = [Inline::Text("via ".into()), Inline::Code("{y}`{n}".into())];
        let all = splice("`{n}` by {y}, {z}{y}.", &[("n", "1")], &[("y", &piece)]);
        let text = |text: &str| Inline::Text(text.into());
        let code = |text: &str| Inline::Code(text.into());
        let expected = [
            code("1"),
            text(" by "),
            text("via "),
            code("{y}`{n}"),
            text(", {z}"),
            text("via "),
            code("{y}`{n}"),
            text("."),
        ];
        assert_eq!(all, expected);
    }
}
