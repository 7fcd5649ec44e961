//! What a sender is called in a letter. Domains, selectors and labels come from reports and from
//! whoever named them: they are cut and cleaned here, and become markup nowhere.

use super::catalogue::Catalogue;
use crate::{
    evidence::streams::{Class, Stream},
    paper::{Inline, Inlines, fill, words},
};

/// The longest name that is shown, in characters.
const LONGEST: usize = 60;

/// What a stranger wrote, fit to be shown: short, on one line, and read in the order in which it is
/// written.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|one| if is_seen(one) { one } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Whether a character stands for itself: not one that controls how others are shown, or that
/// nobody sees.
fn is_seen(one: char) -> bool {
    let is_hidden = matches!(
        one,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !one.is_control() && !is_hidden
}

/// What a stream is called: as the operator named it, else by what it is known by.
pub(super) fn called(stream: &Stream, catalogue: &Catalogue) -> Inlines {
    let label = stream.label.as_deref().map(shown);
    if let Some(label) = label.filter(|label| !label.trim().is_empty()) {
        // Some readers of Markdown and mail make a link of it.
        let is_link = label.contains("://") || label.to_ascii_lowercase().contains("www.");
        return if is_link {
            vec![Inline::Code(label)]
        } else {
            words(label)
        };
    }
    known_by(&stream.id, stream.class, catalogue)
}

fn known_by(id: &str, class: Class, catalogue: &Catalogue) -> Inlines {
    let (kind, rest) = id.split_once(':').unwrap_or((id, ""));
    let name = |sentence: &str| fill(sentence, &[("name", &shown(rest))]);
    match kind {
        "ours" => words(catalogue.ours),
        // What is no name of a domain, reports are read without.
        "via" | "list" | "net" if rest.is_empty() => words(catalogue.nameless),
        "via" => name(catalogue.via),
        "list" => name(catalogue.list),
        "net" => name(catalogue.net),
        "dkim" => {
            let (domain, selector) = rest.split_once('/').unwrap_or((rest, ""));
            let (domain, selector) = (shown(domain), shown(selector));
            let values = [("domain", domain.as_str()), ("selector", &selector)];
            if selector.is_empty() {
                fill(catalogue.signed, &values)
            } else {
                fill(catalogue.key, &values)
            }
        }
        _ if class == Class::Abuse => words(catalogue.others),
        _ => vec![Inline::Code(shown(id))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{letter::catalogue, paper::plain, words::Language};

    #[test]
    fn what_a_stranger_wrote_is_short_and_cannot_turn_the_line() {
        assert_eq!(shown("factuur.nl"), "factuur.nl");
        assert_eq!(
            shown("a\u{202e}b\nc\u{200b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
        let long = shown(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with("x…"));
        assert_eq!(shown(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
    }

    #[test]
    fn a_stream_is_called_as_the_operator_named_it_or_by_what_it_is_known_by() {
        let catalogue = catalogue::of(Language::Dutch);
        for (id, class, expected) in [
            ("ours", Class::Ours, "onze mailservers"),
            ("via:factuur.nl", Class::Unknown, "via factuur.nl"),
            ("list:lijst.nl", Class::List, "mailinglijst lijst.nl"),
            ("net:192.0.2.0/24", Class::Unknown, "adressen 192.0.2.0/24"),
            (
                "dkim:voorbeeld.nl/x",
                Class::Known,
                "sleutel x van voorbeeld.nl",
            ),
            (
                "dkim:voorbeeld.nl/",
                Class::Unknown,
                "een sleutel van voorbeeld.nl",
            ),
            ("via:", Class::Unknown, "een dienst zonder naam"),
            ("abuse", Class::Abuse, "anderen"),
            ("wat", Class::Unknown, "wat"),
        ] {
            let stream = Stream::made(id, class);
            assert_eq!(plain(&called(&stream, catalogue)), expected);
        }
        let mut stream = Stream::made("via:factuur.nl", Class::Known);
        stream.label = Some("Facturen".to_owned());
        assert_eq!(called(&stream, catalogue), words("Facturen"));
        stream.label = Some("WWW.kwaad.nl".to_owned());
        assert_eq!(
            called(&stream, catalogue),
            [Inline::Code("WWW.kwaad.nl".to_owned())]
        );
        stream.label = Some(" ".to_owned());
        assert_eq!(plain(&called(&stream, catalogue)), "via factuur.nl");
    }
}
