//! One page that needs nothing from elsewhere and runs nothing.

use super::{
    catalogue::{Inline, Inlines, plain},
    document::Block,
};
use crate::words::{Language, escape};

/// Values are selected whole by one click (`user-select: all`), and broken anywhere on
/// screen without a character that would be copied.
const STYLE: &str = "
:root { color-scheme: light dark; --line: #767676; --shade: #f2f4f7; --alarm: #a30000; }
@media (prefers-color-scheme: dark) {
  :root { --line: #9a9a9a; --shade: #23272e; --alarm: #ff9c8f; }
}
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; break-after: avoid; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { margin-top: 2rem; }
li { margin: .4rem 0; }
code { font: .92em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, 16rem) 1fr; gap: .3rem 1rem; break-inside: avoid; }
dt { font-weight: 600; }
dd { margin: 0; min-width: 0; }
dd code, pre code { user-select: all; }
figure { margin: 1rem 0; break-inside: avoid; }
pre { margin: .3rem 0 0; padding: .7rem; border: 1px solid var(--line); border-radius: .3rem;
  background: var(--shade); white-space: pre-wrap; overflow-wrap: anywhere; }
.urgent { border-left: .4rem solid var(--alarm); padding-left: .8rem; color: var(--alarm); font-weight: 600; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print {
  :root { color-scheme: light; --line: #767676; --shade: #fff; --alarm: #000; }
  body { font-size: 10pt; color: #000; background: #fff; }
  main { max-width: none; padding: 0; }
}
";

pub(super) fn render(blocks: &[Block], language: Language) -> String {
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
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
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
        Block::Copy(label, lines) => format!(
            "<figure>\n<figcaption>{}</figcaption>\n<pre><code>{}</code></pre>\n</figure>\n",
            inline(label),
            escape(&lines.join("\n"))
        ),
    }
}

fn inline(inlines: &Inlines) -> String {
    let pieces = inlines.iter().map(|inline| match inline {
        Inline::Text(text) => escape(text),
        Inline::Code(code) => format!("<code>{}</code>", escape(code)),
    });
    pieces.collect()
}
