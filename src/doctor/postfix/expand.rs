//! `$name` in a value, and what else postconf(5) lets stand there.

/// Settings that name each other go no deeper than this in any sane configuration.
const DEPTH: usize = 8;

/// A value with what it names put in: `$name`, `${name}`, `$(name)`, and what depends on whether
/// a setting is empty: `${name?text}`, `${name:text}`, `${name?{text}:{text}}`. Comparisons
/// (`${{a}=={b}?{text}}`) stay as they are.
pub(super) fn expanded(value: &str, meaning: &dyn Fn(&str) -> String) -> String {
    expand(value, meaning, DEPTH)
}

fn expand(value: &str, meaning: &dyn Fn(&str) -> String, depth: usize) -> String {
    let Some((before, rest)) = value.split_once('$').filter(|_| depth > 0) else {
        return value.to_owned();
    };
    if let Some(behind) = rest.strip_prefix('$') {
        return format!("{before}${}", expand(behind, meaning, depth));
    }
    let (inner, behind) = named(rest);
    let length = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let (name, condition) = inner.split_at(length.unwrap_or(inner.len()));
    let meant = || expand(&meaning(name), meaning, depth - 1);
    let text = if name.is_empty() {
        let end = rest.len() - behind.len();
        format!("${}", &rest[..end])
    } else if condition.is_empty() {
        meant()
    } else {
        expand(chosen(condition, !meant().is_empty()), meaning, depth - 1)
    };
    format!("{before}{text}{}", expand(behind, meaning, depth))
}

/// What stands between the brackets, or the name, and what follows.
fn named(rest: &str) -> (&str, &str) {
    let (open, close) = match rest.as_bytes().first() {
        Some(b'{') => ('{', '}'),
        Some(b'(') => ('(', ')'),
        _ => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            return rest.split_at(end.unwrap_or(rest.len()));
        }
    };
    let end = closing(rest, open, close).unwrap_or(rest.len());
    let behind = rest.get(end + 1..).unwrap_or_default();
    (&rest[1..end.max(1)], behind)
}

/// Where the bracket is closed that a text begins with.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

/// Of `?text`, `:text` or `?{text}:{text}`, what counts for a setting that is filled or empty.
fn chosen(condition: &str, is_filled: bool) -> &str {
    let (first, other) = match condition.strip_prefix("?{") {
        Some(_) => {
            let end = closing(&condition[1..], '{', '}').map_or(condition.len(), |end| end + 1);
            let other = condition.get(end + 1..).unwrap_or_default();
            (&condition[..end], other.strip_prefix(':').unwrap_or(other))
        }
        None => (condition, ""),
    };
    match (first.strip_prefix('?'), is_filled) {
        (Some(text), true) => unbraced(text),
        (Some(_), false) => unbraced(other),
        (None, false) => unbraced(first.strip_prefix(':').unwrap_or(first)),
        (None, true) => "",
    }
}

fn unbraced(text: &str) -> &str {
    let text = text.strip_prefix('{').unwrap_or(text);
    text.strip_suffix('}').unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_expanded_as_postconf_says() {
        let meaning = |name: &str| {
            let value = match name {
                "milters" => "unix:a, inet:b",
                "all" => "$milters",
                "loop" => "$loop",
                _ => "",
            };
            value.to_owned()
        };
        for (value, expected) in [
            ("$milters", "unix:a, inet:b"),
            ("${all} c", "unix:a, inet:b c"),
            ("$(all), c", "unix:a, inet:b, c"),
            ("x$nothing/y", "x/y"),
            ("a $$ b", "a $ b"),
            ("${milters?on}", "on"),
            ("${nothing?on}", ""),
            ("${nothing:off}", "off"),
            ("${milters:off}", ""),
            ("${milters?{$all}:{none}}", "unix:a, inet:b"),
            ("${nothing?{some}:{no $milters}}", "no unix:a, inet:b"),
            ("${{a}=={b}?{c}} d", "${{a}=={b}?{c}} d"),
            ("${milters", "unix:a, inet:b"),
            ("$", "$"),
        ] {
            assert_eq!(expanded(value, &meaning), expected, "{value}");
        }
        assert!(expanded("$loop", &meaning).starts_with("$loop"));
    }
}
