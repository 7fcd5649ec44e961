//! CommonMark, with tables as GitHub and others write them.

use super::{Block, Inline, Inlines};

/// Ends with a newline.
pub fn render(blocks: &[Block]) -> String {
    let blocks: Vec<String> = blocks.iter().map(block).collect();
    blocks.join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Title(inlines) => format!("# {}\n", inline(inlines)),
        Block::Section(inlines) => format!("## {}\n", inline(inlines)),
        Block::Subsection(inlines) => format!("### {}\n", inline(inlines)),
        Block::Paragraph(inlines) => format!("{}\n", inline(inlines)),
        Block::Urgent(inlines) => format!("> **{}**\n", strong(inlines)),
        Block::List(items) => items
            .iter()
            .map(inline)
            .map(|item| ["- ", &item, "\n"].concat())
            .collect(),
        Block::Facts(facts) => {
            let facts = facts
                .iter()
                .map(|(label, value)| (inline(label), inline(value)));
            facts
                .map(|(label, value)| ["- ", &label, ": ", &value, "\n"].concat())
                .collect()
        }
        Block::Table(heads, rows) => table(heads, rows),
        Block::Copy(label, lines) => {
            let lines = lines.join("\n");
            format!("{}:\n\n```text\n{lines}\n```\n", inline(label))
        }
    }
}

fn table(heads: &[Inlines], rows: &[Vec<Inlines>]) -> String {
    let line = |cells: &[Inlines]| {
        let cells: Vec<String> = cells.iter().map(cell).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rules = heads.iter().enumerate();
    let rules = rules.map(|(place, _)| if place == 0 { "---|" } else { "---:|" });
    let rows = rows.iter().map(|row| line(row));
    format!(
        "{}|{}\n{}",
        line(heads),
        rules.collect::<String>(),
        rows.collect::<String>()
    )
}

fn literal(code: &str) -> String {
    if code.is_empty() {
        return String::new();
    }
    // Nothing literal holds a backquote that matters.
    format!("`{}`", code.replace('`', "'"))
}

fn inline(inlines: &Inlines) -> String {
    let strong = |text: &str| format!("**{}**", escape(text));
    pieces(inlines, strong, literal)
}

/// Within what is strong already.
fn strong(inlines: &Inlines) -> String {
    pieces(inlines, escape, literal)
}

fn cell(inlines: &Inlines) -> String {
    let strong = |text: &str| format!("**{}**", escape(text));
    // A bar ends a cell, even in what is literal, and a backslash need not help.
    pieces(inlines, strong, |code| {
        literal(&code.replace('|', "\u{a6}"))
    })
}

fn pieces(
    inlines: &Inlines,
    strong: impl Fn(&str) -> String,
    literal: impl Fn(&str) -> String,
) -> String {
    let pieces = inlines.iter().map(|inline| match inline {
        Inline::Text(text) => escape(text),
        Inline::Strong(text) => strong(text),
        Inline::Code(code) => literal(code),
    });
    pieces.collect()
}

/// Every character with a meaning in CommonMark or in a dialect of it, wherever it stands;
/// a full stop or a bracket after a number would make a list only at the start of a line,
/// where no sentence of ours has one, but a name might.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\`*_{}[]<>#|~&!$@".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::words;

    #[test]
    fn a_name_is_no_markup() {
        let name = words("<b>*x*</b> [a](b) `c` &amp; | # 1_2_3");
        let expected = r"\<b\>\*x\*\</b\> \[a\](b) \`c\` \&amp; \| \# 1\_2\_3";
        assert_eq!(inline(&name), expected);
    }

    #[test]
    fn nothing_in_a_cell_ends_it() {
        let rows = vec![vec![words("a|b\\|c"), vec![Inline::Code("d|e\\|`".into())]]];
        let heads = vec![words("Name"), words("Number")];
        let expected = "| Name | Number |\n|---|---:|\n| a\\|b\\\\\\|c | `d\u{a6}e\\\u{a6}'` |\n";
        assert_eq!(render(&[Block::Table(heads, rows)]), expected);
    }
}
