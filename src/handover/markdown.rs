//! CommonMark.

use super::{
    catalogue::{Inline, Inlines},
    document::Block,
};

pub(super) fn render(blocks: &[Block]) -> String {
    let blocks: Vec<String> = blocks.iter().map(block).collect();
    blocks.join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Title(inlines) => format!("# {}\n", inline(inlines)),
        Block::Section(inlines) => format!("## {}\n", inline(inlines)),
        Block::Subsection(inlines) => format!("### {}\n", inline(inlines)),
        Block::Paragraph(inlines) => format!("{}\n", inline(inlines)),
        Block::Urgent(inlines) => format!("> **{}**\n", inline(inlines)),
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
        Block::Copy(label, lines) => {
            let lines = lines.join("\n");
            format!("{}:\n\n```text\n{lines}\n```\n", inline(label))
        }
    }
}

fn inline(inlines: &Inlines) -> String {
    let pieces = inlines.iter().map(|inline| match inline {
        Inline::Text(text) => escape(text),
        // Nothing literal in a pack holds a backquote.
        Inline::Code(code) => format!("`{}`", code.replace('`', "'")),
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
    use crate::handover::catalogue::words;

    #[test]
    fn a_name_is_no_markup() {
        let name = words("<b>*x*</b> [a](b) `c` &amp; | # 1_2_3");
        let expected = r"\<b\>\*x\*\</b\> \[a\](b) \`c\` \&amp; \| \# 1\_2\_3";
        assert_eq!(inline(&name), expected);
    }
}
