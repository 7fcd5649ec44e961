//! The domain of a From field, found without a grammar: strike out what is quoted and what
//! is a comment, and the one address must stand there in plain sight.

use zegel::names::DomainName;

/// Stand for what is struck out; no control is let through.
const COMMENT: char = '\u{1}';
const QUOTED: char = '\u{2}';
/// A quoted string that holds an end of an address.
const QUOTED_END: char = '\u{3}';

/// The domain that anybody would see in the value of a From field, if there is exactly one.
///
/// Only an upper bound: Zegel may refuse more than this, and never see another domain.
pub fn domain(value: &[u8]) -> Option<DomainName> {
    let text = String::from_utf8_lossy(value);
    if holds_controls(&text) {
        return None;
    }
    let (plain, has_hidden_end) = strike_out(&text)?;
    if plain.contains([')', '\\', ':']) {
        return None;
    }
    let mut elements = plain.split([',', ';']).filter(|one| !is_blank(one));
    let only = elements.next()?;
    if elements.next().is_some() {
        return None;
    }
    let (display_name, address) = match only.split_once('<') {
        None => ("", only.trim_matches([' ', COMMENT])),
        Some((display_name, rest)) => {
            let (inside, behind) = rest.split_once('>')?;
            if !is_blank(behind) || display_name.contains('>') {
                return None;
            }
            (display_name, inside.trim_matches(' '))
        }
    };
    let (local_part, domain) = address.split_once('@')?;
    let (local_part, domain) = (local_part.trim_end_matches(' '), domain.trim_matches(' '));
    // An address in one piece, and nothing in it that ends one for some reader.
    if local_part.is_empty()
        || local_part.contains(['<', '>', '[', ']', ' ', COMMENT, QUOTED_END])
        || local_part.contains("=?")
        || domain.contains(['@', ' ', COMMENT, 'ß', 'ς', '\u{200c}', '\u{200d}'])
        || (!address.is_ascii() && std::str::from_utf8(value).is_err())
    {
        return None;
    }
    if let Some((_, another)) = display_name.split_once('@') {
        let another = another.trim_matches([' ', COMMENT]);
        if !another.eq_ignore_ascii_case(domain) {
            return None;
        }
    }
    let names_another = text.split('@').skip(1).any(|rest| {
        let rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        !rest
            .to_ascii_lowercase()
            .starts_with(&domain.to_ascii_lowercase())
    });
    let is_odd = has_hidden_end || only != plain || display_name.contains(['[', ']']);
    if names_another && is_odd {
        return None;
    }
    domain.parse().ok()
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|one| one == ' ' || one == COMMENT)
}

/// Controls, but for TAB and for line ends with a blank behind them.
fn holds_controls(text: &str) -> bool {
    let text = text.replace("\r\n", "\n");
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let fine = match character {
            '\t' => true,
            '\n' => rest
                .peek()
                .is_none_or(|next| matches!(next, ' ' | '\t' | '\n')),
            '\u{2028}' | '\u{2029}' => false,
            other => !other.is_control(),
        };
        if !fine {
            return true;
        }
    }
    false
}

/// The text with marks for quoted strings and comments and blanks for line ends, and whether
/// any of what is struck out holds what some take for its end.
fn strike_out(text: &str) -> Option<(String, bool)> {
    let mut plain = String::new();
    let mut depth = 0_usize;
    let mut quoted: Option<String> = None;
    let mut has_hidden_end = false;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        has_hidden_end |= (quoted.is_some() || depth > 0) && "\\\r\n".contains(character);
        has_hidden_end |= quoted.is_none() && depth > 0 && character == '(';
        match (character, &mut quoted) {
            ('\\', Some(text)) => text.push(rest.next()?),
            ('"', Some(text)) => {
                let ends = text.contains(['@', '<', '>', ',']) || text.contains("=?");
                plain.push(if ends { QUOTED_END } else { QUOTED });
                quoted = None;
            }
            (_, Some(text)) => text.push(character),
            ('\\', None) if depth > 0 => {
                rest.next()?;
            }
            ('(', None) => {
                depth += 1;
                plain.push(COMMENT);
            }
            (')', None) if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ('"', None) => quoted = Some(String::new()),
            ('\t' | '\r' | '\n', None) => plain.push(' '),
            (other, None) => plain.push(other),
        }
    }
    (depth == 0 && quoted.is_none()).then_some((plain, has_hidden_end))
}
