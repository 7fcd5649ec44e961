//! The text that postconf(1) prints, cut into lines, words and numbers.

/// Logical lines: without comments, with their continuations.
pub(super) fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match lines.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(last) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

/// What separates the items of a list.
pub(super) fn separates(character: char) -> bool {
    character == ',' || character.is_whitespace()
}

/// The parts of a text; what is in braces is one part, without them.
pub(super) fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<String> {
    let parts = split_with_braces(text, is_separator).into_iter();
    let bare = parts.map(|part| match part.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}').unwrap_or(inner).to_owned(),
        None => part,
    });
    bare.filter(|part| !part.trim().is_empty()).collect()
}

/// The parts of a text; what is in braces is in one part, with them.
pub(super) fn split_with_braces(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && is_separator(character) {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// `3.7.11` or `3.12-20260821` as three numbers.
pub(super) fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let version = version.trim().split('-').next()?;
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((
        parts.next()??,
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
    ))
}

/// `30s`, `5m`, `1h`; without a letter it is seconds.
pub(in crate::doctor) fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}
