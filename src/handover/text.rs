//! Plain text for a ticket or a mail: at most 76 columns, except what is to be copied.

use super::{
    catalogue::{Inline, plain},
    document::Block,
};

const COLUMNS: usize = 76;

pub(super) fn render(blocks: &[Block]) -> String {
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
            Inline::Text(text) => {
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
