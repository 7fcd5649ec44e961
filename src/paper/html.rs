//! One page that needs nothing from elsewhere and runs nothing.

use super::{Block, Inline, Inlines, plain};
use crate::words::{Language, escape};

/// With this style sheet. Ends with a newline.
pub fn render(blocks: &[Block], language: Language, style: &str) -> String {
    let title = match blocks.first() {
        Some(Block::Title(inlines)) => escape(&plain(inlines)),
        _ => String::new(),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
    );
    for one in blocks {
        html.push_str(&block(one));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn block(block: &Block) -> String {
    match block {
        Block::Title(inlines) => format!("<h1>{}</h1>\n", inline(inlines)),
        Block::Section(inlines) => format!("<h2>{}</h2>\n", inline(inlines)),
        Block::Subsection(inlines) => format!("<h3>{}</h3>\n", inline(inlines)),
        Block::Paragraph(inlines) => format!("<p>{}</p>\n", inline(inlines)),
        Block::Urgent(inlines) => format!("<p class=\"urgent\">{}</p>\n", inline(inlines)),
        Block::List(items) => {
            let items = items
                .iter()
                .map(|item| format!("<li>{}</li>\n", inline(item)));
            format!("<ul>\n{}</ul>\n", items.collect::<String>())
        }
        Block::Facts(facts) => {
            let facts = facts.iter().map(|(label, value)| {
                format!("<dt>{}</dt>\n<dd>{}</dd>\n", inline(label), inline(value))
            });
            format!("<dl>\n{}</dl>\n", facts.collect::<String>())
        }
        Block::Table(heads, rows) => table(heads, rows),
        Block::Copy(label, lines) => format!(
            "<figure>\n<figcaption>{}</figcaption>\n<pre><code>{}</code></pre>\n</figure>\n",
            inline(label),
            escape(&lines.join("\n"))
        ),
    }
}

fn table(heads: &[Inlines], rows: &[Vec<Inlines>]) -> String {
    let heads = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{}</th>", inline(head)));
    let rows = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(place, cell)| match place {
            0 => format!("<th scope=\"row\">{}</th>", inline(cell)),
            _ => format!("<td>{}</td>", inline(cell)),
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    });
    format!(
        "<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
        heads.collect::<String>(),
        rows.collect::<String>()
    )
}

fn inline(inlines: &Inlines) -> String {
    let pieces = inlines.iter().map(|inline| match inline {
        Inline::Text(text) => escape(text),
        Inline::Strong(text) => format!("<strong>{}</strong>", escape(text)),
        Inline::Code(code) => format!("<code>{}</code>", escape(code)),
    });
    pieces.collect()
}
