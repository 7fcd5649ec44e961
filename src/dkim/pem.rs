//! The PEM form of keys (RFC 7468), one block to a file.
//!
//! White space of any kind around the block, CRLF and a byte order mark are tolerated:
//! they come from editors. Any other text is not: it may be a second key.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::algorithm::KeyError;

/// No key file is longer than this.
pub(super) const MAXIMAL_OCTETS: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// One PEM block: its label and what is inside.
pub(super) struct Pem<'a> {
    pub(super) label: &'a str,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Reads a file that holds one PEM block and nothing else.
pub(super) fn read(octets: &[u8]) -> Result<Pem<'_>, KeyError> {
    if octets.len() > MAXIMAL_OCTETS {
        return Err(KeyError::TooLarge);
    }
    let text = std::str::from_utf8(octets).map_err(|_| KeyError::NotPem)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(KeyError::Empty);
    }
    if !text.contains(BEGIN) {
        return Err(KeyError::NotPem);
    }
    let mut lines = text
        .lines()
        .map(str::trim_ascii)
        .filter(|line| !line.is_empty());
    let label = lines
        .next()
        .and_then(|line| boundary_label(line, BEGIN))
        .ok_or(KeyError::SurroundingText)?;
    // Its capacity is never exceeded: a reallocation would leave a copy behind.
    let mut base64 = Zeroizing::new(Vec::with_capacity(text.len()));
    loop {
        let line = lines.next().ok_or(KeyError::Truncated)?;
        if let Some(end) = boundary_label(line, END) {
            if end != label {
                return Err(KeyError::Truncated);
            }
            break;
        }
        check_body_line(line)?;
        base64.extend(line.bytes().filter(|octet| !octet.is_ascii_whitespace()));
    }
    match lines.next() {
        None => {}
        Some(line) if line.starts_with(BEGIN) => return Err(KeyError::Several),
        Some(_) => return Err(KeyError::SurroundingText),
    }
    Ok(Pem {
        label,
        der: decode(&base64)?,
    })
}

fn boundary_label<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(DASHES)?;
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || octet == b' ';
    (!label.is_empty() && label.len() <= 64 && label.bytes().all(valid)).then_some(label)
}

fn check_body_line(line: &str) -> Result<(), KeyError> {
    if line.starts_with(BEGIN) {
        return Err(KeyError::Truncated);
    }
    // RFC 1421 §4.6.1.1: `Proc-Type: 4,ENCRYPTED`.
    if line.starts_with("Proc-Type:") && line.ends_with("ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    Ok(())
}

fn decode(base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
    let length = STANDARD
        .decode_slice(base64, &mut der)
        .map_err(|_| KeyError::Base64)?;
    der.truncate(length);
    Ok(der)
}
