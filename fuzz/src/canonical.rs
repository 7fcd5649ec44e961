//! Canonicalisation as RFC 6376 §3.4 says it, step by step on everything at once.

use zegel::dkim::{Canonicalisation, HeaderSection};

const CRLF: &[u8] = b"\r\n";

fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// RFC 6376 §3.4.3 and §3.4.4.
pub fn body(canonicalisation: Canonicalisation, body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = split_at_crlf(body)
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    if canonicalisation == Canonicalisation::Relaxed {
        for line in &mut lines {
            *line = reduce_blanks(line);
            if line.last() == Some(&b' ') {
                line.pop();
            }
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    if lines.is_empty() && canonicalisation == Canonicalisation::Simple {
        return CRLF.to_vec();
    }
    lines
        .iter()
        .flat_map(|line| [line, CRLF].concat())
        .collect()
}

/// RFC 6376 §3.4.1 and §3.4.2, without the CRLF at the end.
pub fn field(canonicalisation: Canonicalisation, name: &[u8], value: &[u8]) -> Vec<u8> {
    if canonicalisation == Canonicalisation::Simple {
        return [name, b":", value].concat();
    }
    let name = trim_end(&name.to_ascii_lowercase());
    let value = trim_end(&reduce_blanks(&unfold(value)));
    let value = value.strip_prefix(b" ").unwrap_or(&value);
    [&name, &b":"[..], value].concat()
}

/// The fields that names in `h=` stand for, each with its CRLF (RFC 6376 §5.4.2): each name
/// takes the lowest field of that name that no name before it took.
pub fn fields<'n>(
    canonicalisation: Canonicalisation,
    header: &HeaderSection,
    skipped: Option<usize>,
    names: impl Iterator<Item = &'n str>,
) -> Vec<u8> {
    let fields: Vec<_> = header.fields().collect();
    let mut taken = vec![false; fields.len()];
    if let Some(place) = skipped {
        taken[place] = true;
    }
    let mut output = Vec::new();
    for name in names {
        let place = (0..fields.len()).rev().find(|&place| {
            let own = trim_end(fields[place].name);
            !taken[place] && own.eq_ignore_ascii_case(name.as_bytes())
        });
        if let Some(place) = place {
            taken[place] = true;
            output.extend(field(
                canonicalisation,
                fields[place].name,
                fields[place].value,
            ));
            output.extend(CRLF);
        }
    }
    output
}

fn split_at_crlf(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == CRLF) {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

/// Takes out each CRLF that has a blank behind it, and one at the end.
fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(CRLF).unwrap_or(value);
    let lines = split_at_crlf(value);
    let mut output = lines[0].to_vec();
    for line in &lines[1..] {
        if !line.first().is_some_and(|&octet| is_blank(octet)) {
            output.extend(CRLF);
        }
        output.extend_from_slice(line);
    }
    output
}

fn reduce_blanks(line: &[u8]) -> Vec<u8> {
    let mut output: Vec<u8> = Vec::new();
    for &octet in line {
        if !is_blank(octet) {
            output.push(octet);
        } else if output.last() != Some(&b' ') {
            output.push(b' ');
        }
    }
    output
}

fn trim_end(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    while text.last().is_some_and(|&octet| is_blank(octet)) {
        text.pop();
    }
    text
}
