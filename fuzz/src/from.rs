//! The domain of a From field, found without a grammar: strike out what is quoted and what
//! is a comment, and the one address must stand there in plain sight.

use zegel::names::DomainName;

/// The domain that anybody would see in the value of a From field, if there is exactly one.
///
/// Only an upper bound: Zegel may refuse more than this, and never see another domain.
pub fn domain(value: &[u8]) -> Option<DomainName> {
    let text = std::str::from_utf8(value).ok()?;
    if holds_controls(text) {
        return None;
    }
    let plain = strike_out(text)?;
    if plain.contains(['[', ']', ')', '\\']) {
        return None;
    }
    let address = match plain.split_once('<') {
        None => plain.as_str(),
        Some((display_name, rest)) => {
            let (inside, behind) = rest.split_once('>')?;
            if !behind.trim().is_empty() || display_name.contains(['@', ',', ';', ':', '>']) {
                return None;
            }
            // An obsolete route is `@a,@b:` ahead of the address.
            match inside.rsplit_once(':') {
                None => inside,
                Some((route, address)) if route.contains('@') => address,
                Some(_) => return None,
            }
        }
    };
    if address.contains(['<', '>', ',', ';', ':']) {
        return None;
    }
    let (local_part, domain) = address.split_once('@')?;
    // Any character beyond ASCII may stand in a local part, be it a blank to the eye
    // (RFC 6532 §3.2).
    if local_part.trim_matches(' ').is_empty() || local_part.contains("=?") || domain.contains('@')
    {
        return None;
    }
    // White space may stand around a dot, and nowhere else.
    let labels: Vec<&str> = domain.split('.').map(str::trim).collect();
    let broken = |label: &&str| label.is_empty() || label.contains(char::is_whitespace);
    if labels.iter().any(broken) {
        return None;
    }
    labels.join(".").parse().ok()
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

/// The text with a letter for each quoted string and a blank for each comment and line end.
fn strike_out(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' if quoted || depth > 0 => {
                rest.next()?;
            }
            '"' if depth == 0 => {
                quoted = !quoted;
                if quoted {
                    plain.push('q');
                }
            }
            _ if quoted => {}
            '(' => {
                depth += 1;
                plain.push(' ');
            }
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            '\t' | '\r' | '\n' => plain.push(' '),
            other => plain.push(other),
        }
    }
    (depth == 0 && !quoted).then_some(plain)
}
