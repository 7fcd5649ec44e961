//! The pages as HTML. Whatever is put into them is escaped by `maud`, which is named here
//! only.

mod all;
mod one;
mod parts;
mod past;
mod records;
mod senders;
mod stream;

use maud::{DOCTYPE, Markup, html};

pub(super) use self::{
    all::{All, all},
    one::{One, one},
    stream::{OneStream, one_stream},
};

/// The style sheet of all pages.
pub(super) const STYLE: &str = include_str!("style.css");
/// The picture of the site.
pub(super) const SEAL: &str = include_str!("seal.svg");

/// There is no such page, or no such organisation any more.
pub(super) fn not_found() -> String {
    let main = html! {
        h1 { "Not here" }
        p.lead { "There is no such page, or the organisation is no longer in the configuration." }
        p { a href="/" { "All organisations" } }
    };
    frame("Not here", &main, &html! {})
}

/// What is around every page.
fn frame(title: &str, main: &Markup, foot: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Zegel" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/seal.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#main" { "To the content" }
                header.top {
                    a.mark href="/" { img src="/seal.svg" alt="" width="28" height="28"; "Zegel" }
                    p { "Status of the signer. Nothing can be changed here." }
                }
                main #main { (main) }
                footer.foot {
                    (foot)
                    p { "Zegel " (env!("CARGO_PKG_VERSION")) ". All times are in UTC." }
                }
            }
        }
    };
    page.into_string()
}
