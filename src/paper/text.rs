//! Plain text for a ticket or a mail: at most 76 columns, except what is to be copied.

use std::fmt::Write;

use super::{Block, Inline, Inlines, plain};

const COLUMNS: usize = 76;

/// Ends with a newline.
pub fn render(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        if !text.is_empty() {
            text.push('\n');
        }
        match block {
            Block::Title(inlines) => heading(&mut text, inlines, '='),
            Block::Section(inlines) => {
                text.push('\n');
                heading(&mut text, inlines, '-');
            }
            Block::Subsection(inlines) => wrap(&mut text, inlines, ("## ", "   ")),
            Block::Paragraph(inlines) => wrap(&mut text, inlines, ("", "")),
            Block::Urgent(inlines) => wrap(&mut text, inlines, ("!! ", "   ")),
            Block::List(items) => {
                for item in items {
                    wrap(&mut text, item, ("* ", "  "));
                }
            }
            Block::Facts(facts) => {
                for (label, value) in facts {
                    let (label, value) = (plain(label), plain(value));
                    text.push_str(&["  ", &label, ": ", &value, "\n"].concat());
                }
            }
            Block::Table(heads, rows) => table(&mut text, heads, rows),
            Block::Copy(label, lines) => {
                wrap(&mut text, label, ("  ", "  "));
                text.truncate(text.trim_end().len());
                text.push_str(":\n\n");
                for line in lines {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    text
}

fn heading(text: &mut String, inlines: &[Inline], rule: char) {
    let line = plain(inlines);
    let rule = rule.to_string().repeat(line.chars().count());
    text.push_str(&[&line, "\n", &rule, "\n"].concat());
}

/// Numbers stand on the right. A name that is too long has a line of its own.
fn table(text: &mut String, heads: &[Inlines], rows: &[Vec<Inlines>]) {
    let lines = std::iter::once(heads).chain(rows.iter().map(Vec::as_slice));
    let lines: Vec<Vec<String>> = lines
        .map(|cells| cells.iter().map(|cell| plain(cell)).collect())
        .collect();
    let width = |place: usize| {
        let cells = lines.iter().filter_map(|line| line.get(place));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let numbers: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    let most = COLUMNS.saturating_sub(numbers);
    let first = widths.first().copied().unwrap_or_default().min(most);
    for line in &lines {
        let mut cells = line.iter().zip(&widths);
        if let Some((name, _)) = cells.next() {
            text.push_str(name);
            let length = name.chars().count();
            if length > first {
                text.push('\n');
            }
            let length = if length > first { 0 } else { length };
            text.push_str(&" ".repeat(first - length));
        }
        for (number, width) in cells {
            // Writing to a string can't fail.
            let _ = write!(text, "  {number:>width$}");
        }
        text.push('\n');
    }
}

/// Breaks lines between words, but never within what is literal: a space in there may be
/// part of it.
fn wrap(text: &mut String, inlines: &[Inline], (first, other): (&str, &str)) {
    let mut line = first.to_owned();
    let mut fresh = true;
    for word in unbreakable_words(inlines) {
        let length = line.chars().count() + 1 + word.chars().count();
        if !fresh && length > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line.clear();
            line.push_str(other);
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(&word);
        fresh = false;
    }
    text.push_str(&line);
    text.push('\n');
}

fn unbreakable_words(inlines: &[Inline]) -> Vec<String> {
    let mut words = vec![String::new()];
    for inline in inlines {
        match inline {
            Inline::Code(code) => {
                if let Some(word) = words.last_mut() {
                    word.push_str(code);
                }
            }
            Inline::Text(text) | Inline::Strong(text) => {
                for (place, piece) in text.split(' ').enumerate() {
                    if place > 0 {
                        words.push(String::new());
                    }
                    if let Some(word) = words.last_mut() {
                        word.push_str(piece);
                    }
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::words;

    #[test]
    fn a_table_stays_within_its_columns() {
        let long = "x".repeat(70);
        let row = |name: &str, number: &str| vec![words(name), words(number)];
        let blocks = [Block::Table(
            row("Name", "Messages"),
            vec![row("een", "1"), row(&long, "12.345")],
        )];
        let first = " ".repeat(66);
        let expected = format!(
            "Name{}  Messages\neen{}         1\n{long}\n{first}    12.345\n",
            " ".repeat(62),
            " ".repeat(63)
        );
        assert_eq!(render(&blocks), expected);
    }
}
